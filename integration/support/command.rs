//! Commands: finished ones as `Output`, running ones as the guard `Process`.

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

/// No command of a scenario takes this long, not even under emulation: it hangs.
const DEADLINE: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(2);

#[derive(Clone, Debug)]
pub struct Output {
    pub command: String,
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    /// The output of a command that ended with 0; else an error that names command, status and what it said.
    pub fn success(self) -> Result<Self> {
        if self.status.success() {
            return Ok(self);
        }
        let said = if self.stderr.trim().is_empty() { &self.stdout } else { &self.stderr };
        bail!("`{}`: {}: {}", self.command, self.status, said.trim());
    }
}

/// Runs a command to its end, whatever that is, feeding it `input`.
pub fn run(mut command: Command, input: &str) -> Result<Output> {
    let name = shown(&command);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot start `{name}`"))?;
    let stdin = child.stdin.take().context("no stdin")?;
    let feed = feed(stdin, input.to_owned());
    let stdout = collect(child.stdout.take().context("no stdout")?);
    let stderr = collect(child.stderr.take().context("no stderr")?);
    let status = wait(&mut child, DEADLINE);
    // A child that outlives the command may hold the pipes open: after the deadline nobody waits for them.
    let status = status?.with_context(|| format!("`{name}` did not end within {DEADLINE:?}"))?;
    let _ = feed.join();
    let text = |reader: JoinHandle<String>| reader.join().unwrap_or_default();
    Ok(Output { command: name, status, stdout: text(stdout), stderr: text(stderr) })
}

fn feed(mut stdin: std::process::ChildStdin, input: String) -> JoinHandle<()> {
    use std::io::Write;
    // Who closes its stdin early has read enough.
    spawn(move || drop(stdin.write_all(input.as_bytes())))
}

fn collect(mut pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// The status once the child has ended; `None`, and the child killed, when it did not in time.
fn wait(child: &mut Child, within: Duration) -> Result<Option<ExitStatus>> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if start.elapsed() >= within {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        sleep(PAUSE);
    }
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

/// A running command, killed when dropped. What it says goes to a file.
#[derive(Debug)]
pub struct Process {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Process {
    pub fn start(mut command: Command, log: &Path) -> Result<Self> {
        let name = shown(&command);
        let file = std::fs::File::create(log)?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let child = command.spawn().with_context(|| format!("cannot start `{name}`"))?;
        Ok(Self { child, name, log: log.to_owned() })
    }

    /// The file with what it says.
    pub fn log(&self) -> &Path {
        &self.log
    }

    pub fn id(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("process ids are positive"))
    }

    /// Everything it has said so far, on stdout and stderr.
    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill(self.id(), signal).with_context(|| format!("{signal} to `{}`", self.name))
    }

    /// Waits for its end; an error, with what it said, when there is none in time.
    pub fn ended(&mut self, within: Duration) -> Result<ExitStatus> {
        match wait(&mut self.child, within)? {
            Some(status) => Ok(status),
            None => bail!("`{}` did not end within {within:?}; it said: {}", self.name, self.said().trim()),
        }
    }

    /// An error, with what it said, once it has ended.
    pub fn still_runs(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("`{}` has ended: {status}; it said: {}", self.name, self.said().trim()),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
