//! `greyhound daemon` on a host, watched over as systemd would: a notify socket, a watchdog, a log.

use super::command::Process;
use super::greyhound::Greyhound;
use super::host::Host;
use super::notify::{Notices, NotifySocket};
use super::world::greyhound;
use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The daemon must feed the watchdog at least as often.
pub const WATCHDOG: Duration = Duration::from_secs(6);
/// Under emulation and with a thousand tunnels to look at.
const READY: Duration = Duration::from_secs(60);
const END: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(10);

/// Killed when dropped.
#[derive(Debug)]
pub struct Daemon {
    process: Process,
    socket: NotifySocket,
    started: Instant,
}

/// By what somebody else watches a daemon, also after its end.
#[derive(Clone, Debug)]
pub struct Signs {
    pub pid: Pid,
    pub log: PathBuf,
    pub notices: Notices,
    pub started: Instant,
}

impl Daemon {
    /// Starts it, and waits until it says that it is ready.
    pub fn start(greyhound: &Greyhound) -> Result<Self> {
        Self::start_with(greyhound, "")
    }

    /// The same, with further words behind the verb.
    pub fn start_with(greyhound: &Greyhound, words: &str) -> Result<Self> {
        Self::start_by(greyhound, [], words)
    }

    fn start_by<const N: usize>(greyhound: &Greyhound, before: [String; N], words: &str) -> Result<Self> {
        let words = greyhound.words(&format!("daemon {words}"));
        let program = self::greyhound().display().to_string();
        let notify = greyhound.file().with_extension("notify");
        let mut daemon =
            Self::run(&greyhound.host, &notify, before.into_iter().chain([program]).chain(words))?;
        daemon.ready()?;
        Ok(daemon)
    }

    /// The same, with a log that says everything.
    pub fn start_talkative(greyhound: &Greyhound) -> Result<Self> {
        let talkative = ["env", "GREYHOUND_LOG=greyhound=debug"].map(str::to_owned);
        Self::start_by(greyhound, talkative, "")
    }

    /// Any program that is watched over in this way, and need never be ready.
    pub fn run(host: &Host, notify: &Path, words: impl IntoIterator<Item = String>) -> Result<Self> {
        let socket = NotifySocket::bind(notify)?;
        let settings = [
            "env".to_owned(),
            format!("NOTIFY_SOCKET={}", notify.display()),
            format!("WATCHDOG_USEC={}", WATCHDOG.as_micros()),
        ];
        let process = host.spawn(settings.into_iter().chain(words))?;
        Ok(Self { process, socket, started: Instant::now() })
    }

    fn ready(&mut self) -> Result<()> {
        while self.notified("READY=1") == 0 {
            self.process.still_runs()?;
            if self.started.elapsed() > READY {
                bail!("the daemon was not ready within {READY:?}; it said: {}", self.log());
            }
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// SIGKILL: it ends at once, wherever it is.
    pub fn kill(mut self) -> Result<()> {
        self.process.signal(Signal::SIGKILL)?;
        self.process.ended(END)?;
        Ok(())
    }

    /// SIGTERM: it ends with 0. What it said.
    pub fn stop(mut self) -> Result<String> {
        self.process.signal(Signal::SIGTERM)?;
        let status = self.process.ended(END)?;
        ensure!(status.success(), "the daemon ended with {status}; it said: {}", self.log());
        Ok(self.log())
    }

    /// SIGHUP: it reads its declaration again.
    pub fn reload(&self) -> Result<()> {
        self.process.signal(Signal::SIGHUP)
    }

    /// Waits for an end of its own accord, with whatever status.
    pub fn ended(&mut self, within: Duration) -> Result<std::process::ExitStatus> {
        self.process.ended(within).context("the daemon goes on")
    }

    pub fn pid(&self) -> Pid {
        self.process.id()
    }

    /// Everything it has said so far.
    pub fn log(&self) -> String {
        self.process.said()
    }

    /// How many datagrams to systemd had this line.
    pub fn notified(&self, line: &str) -> usize {
        self.socket.notices.times(line).len()
    }

    pub fn signs(&self) -> Signs {
        Signs {
            pid: self.pid(),
            log: self.process.log().to_owned(),
            notices: self.socket.notices.clone(),
            started: self.started,
        }
    }
}
