//! A real API on a socket of its own with a daemon made of paper behind it, and the program that talks to it.

use std::io::Read as _;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use greyhound::api::dto::{EventView, TunnelState};
use greyhound::api::{Access, Error, Handle, Limits, Readers, Socket, listening, serve};
use tempfile::TempDir;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

pub use super::paper::event;
use super::paper::{paper, snapshot};

/// Longer than anything here takes.
pub const SOON: Duration = Duration::from_secs(30);

/// A directory with a declaration in it that names a socket beside it.
pub struct Place {
    directory: TempDir,
}

/// A daemon that runs, on a thread and a runtime of its own.
pub struct Daemon {
    pub events: broadcast::Sender<EventView>,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<Result<(), Error>>,
}

/// How a program ended, and what it said.
#[derive(Debug)]
pub struct Said {
    pub status: Option<i32>,
    pub out: String,
    pub err: String,
}

/// A program that runs.
pub struct Running(pub Child);

impl Place {
    pub fn new() -> Self {
        let place = Self { directory: tempfile::tempdir().unwrap() };
        // Others may come this far.
        std::fs::set_permissions(place.directory.path(), PermissionsExt::from_mode(0o755)).unwrap();
        place.declare("");
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn socket(&self) -> PathBuf {
        self.path("api.sock")
    }

    pub fn file(&self) -> PathBuf {
        self.path("greyhound.toml")
    }

    pub fn declare(&self, more: &str) {
        let (socket, state) = (self.socket(), self.path("state"));
        let daemon = format!("[daemon]\nsocket = {socket:?}\nstate_dir = {state:?}\n");
        std::fs::write(self.file(), daemon + more).unwrap();
    }

    /// A daemon that runs with the declaration here.
    pub fn daemon(&self, events: Vec<EventView>) -> Daemon {
        self.daemon_of(&self.file(), events, TunnelState::Up)
    }

    pub fn daemon_of(&self, file: &Path, kept: Vec<EventView>, state: TunnelState) -> Daemon {
        let access = Access { group: Some(nix::unistd::getgid().as_raw()), readers: Readers::Group };
        let socket = Socket::bind(&self.socket(), &access).unwrap();
        let (requests, asked) = mpsc::channel(8);
        let (publish, snapshot) = watch::channel(Arc::new(snapshot(file, state)));
        let (events, _) = broadcast::channel(16);
        let (stop, stopped) = oneshot::channel();
        let handle = Handle { requests, snapshot, events: events.clone(), listening: listening(None).1 };
        let file = file.to_owned();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                tokio::spawn(paper(asked, publish, kept, file));
                let shutdown = async { stopped.await.unwrap_or(()) };
                serve(socket, handle, access, Limits::default(), shutdown).await
            })
        });
        Daemon { events, stop, thread }
    }

    /// The program, with the declaration here.
    pub fn program(&self, words: &str) -> Process {
        let mut process = greyhound(words);
        process.arg("--config").arg(self.file());
        process
    }

    pub fn run(&self, words: &str) -> Said {
        said(&mut self.program(words))
    }

    pub fn start(&self, words: &str) -> Running {
        Running(self.program(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }
}

impl Daemon {
    pub fn stop(self) {
        self.stop.send(()).unwrap();
        self.thread.join().unwrap().unwrap();
    }

    /// Says that something happened, once `count` listen.
    pub fn happens(&self, event: EventView, count: usize) {
        eventually("somebody listens", || self.events.receiver_count() >= count);
        self.events.send(event).unwrap();
    }
}

impl Running {
    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = nix::unistd::Pid::from_raw(self.0.id().try_into().unwrap());
        nix::sys::signal::kill(pid, signal).unwrap();
    }

    /// Reads what it prints until `enough` is in it.
    pub fn until(&mut self, enough: &str) -> String {
        let out = self.0.stdout.as_mut().unwrap();
        let mut text = Vec::new();
        let mut byte = [0];
        while !String::from_utf8_lossy(&text).contains(enough) {
            assert!(
                out.read(&mut byte).unwrap() > 0,
                "no {enough:?} in {:?}",
                String::from_utf8_lossy(&text)
            );
            text.push(byte[0]);
        }
        String::from_utf8(text).unwrap()
    }

    /// Waits for its end.
    pub fn ended(mut self) -> ExitStatus {
        let mut status = None;
        eventually("it ends", || {
            status = self.0.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended, unless the test failed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn greyhound(words: &str) -> Process {
    let mut process = Process::new(env!("CARGO_BIN_EXE_greyhound"));
    process.args(words.split_whitespace());
    process.env_remove("GREYHOUND_CONFIG").env_remove("GREYHOUND_SOCKET").env("NO_COLOR", "1");
    process
}

pub fn said(process: &mut Process) -> Said {
    let output = process.stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.signal(), None);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { status: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

fn eventually(what: &str, mut is: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < SOON, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
