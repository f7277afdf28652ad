//! `greyhound daemon` on a host: under the shipped unit where systemd runs, else as a process that is watched over as
//! systemd would.

use super::command::Process;
use super::greyhound::Greyhound;
use super::host::Host;
use super::notify::{Notices, NotifySocket};
use super::service::{self, Order, Service};
use super::world::greyhound;
use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
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
    kept: Kept,
    started: Instant,
}

#[derive(Debug)]
enum Kept {
    Process { process: Process, socket: NotifySocket },
    Service(Service),
}

/// By what somebody else watches a daemon, also after its end.
#[derive(Clone, Debug)]
pub struct Signs {
    pub pid: Pid,
    pub log: PathBuf,
    pub manager: Manager,
    pub started: Instant,
}

/// Whom the daemon tells how it goes, and who has the watchdog.
#[derive(Clone, Debug)]
pub enum Manager {
    Us(Notices),
    /// systemd, which knows the daemon as this unit.
    Systemd(String),
}

impl Daemon {
    /// Starts it, and waits until it says that it is ready.
    pub fn start(greyhound: &Greyhound) -> Result<Self> {
        Self::start_by(greyhound, "")
    }

    /// The same, with a log that says everything.
    pub fn start_talkative(greyhound: &Greyhound) -> Result<Self> {
        Self::start_by(greyhound, "GREYHOUND_LOG=greyhound=debug")
    }

    /// The same as [`Self::start`], with further words behind the verb, and always as a process that tells us, and not
    /// systemd, how it goes.
    pub fn start_told(greyhound: &Greyhound, words: &str) -> Result<Self> {
        Self::as_process(greyhound, words, "")
    }

    /// The setting is `NAME=VALUE`, for its environment.
    fn start_by(greyhound: &Greyhound, setting: &str) -> Result<Self> {
        if service::available() {
            Self::as_service(greyhound, setting)
        } else {
            Self::as_process(greyhound, "", setting)
        }
    }

    fn as_service(greyhound: &Greyhound, setting: &str) -> Result<Self> {
        let program = self::greyhound().display().to_string();
        let words = std::iter::once(program).chain(greyhound.words("daemon")).collect();
        let folder = greyhound.file().parent().context("a folder")?;
        hand_over(greyhound.state_dir())?;
        let started = Instant::now();
        let order = Order {
            host: &greyhound.host,
            words,
            folder,
            log: greyhound.host.next_log(),
            more: if setting.is_empty() { String::new() } else { format!("Environment={setting}") },
        };
        Ok(Self { kept: Kept::Service(Service::start(&order)?), started })
    }

    fn as_process(greyhound: &Greyhound, words: &str, setting: &str) -> Result<Self> {
        let words = greyhound.words(&format!("daemon {words}"));
        let program = self::greyhound().display().to_string();
        let notify = greyhound.file().with_extension("notify");
        let setting = ["env".to_owned(), setting.to_owned()].into_iter().filter(|word| !word.is_empty());
        let mut daemon = Self::run(&greyhound.host, &notify, setting.chain([program]).chain(words))?;
        daemon.ready()?;
        Ok(daemon)
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
        Ok(Self { kept: Kept::Process { process, socket }, started: Instant::now() })
    }

    fn ready(&mut self) -> Result<()> {
        while self.notified("READY=1") == 0 {
            if let Kept::Process { process, .. } = &mut self.kept {
                process.still_runs()?;
            }
            if self.started.elapsed() > READY {
                bail!("the daemon was not ready within {READY:?}; it said: {}", self.log());
            }
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// SIGKILL: it ends at once, wherever it is.
    pub fn kill(mut self) -> Result<()> {
        self.signal(Signal::SIGKILL)?;
        self.ended(END)?;
        Ok(())
    }

    /// SIGTERM: it ends with 0. What it said.
    pub fn stop(mut self) -> Result<String> {
        let status = match &self.kept {
            Kept::Service(service) => service.stop()?,
            Kept::Process { .. } => {
                self.signal(Signal::SIGTERM)?;
                self.ended(END)?
            }
        };
        ensure!(status.success(), "the daemon ended with {status}; it said: {}", self.log());
        Ok(self.log())
    }

    /// SIGHUP: it reads its declaration again.
    pub fn reload(&self) -> Result<()> {
        self.signal(Signal::SIGHUP)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        kill(self.pid(), signal).with_context(|| format!("{signal} to the daemon"))
    }

    /// Waits for an end of its own accord, with whatever status.
    pub fn ended(&mut self, within: Duration) -> Result<ExitStatus> {
        match &mut self.kept {
            Kept::Process { process, .. } => process.ended(within),
            Kept::Service(service) => service.ended(within),
        }
        .context("the daemon goes on")
    }

    pub fn pid(&self) -> Pid {
        match &self.kept {
            Kept::Process { process, .. } => process.id(),
            Kept::Service(service) => service.pid(),
        }
    }

    /// Everything it has said so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    fn log_file(&self) -> &Path {
        match &self.kept {
            Kept::Process { process, .. } => process.log(),
            Kept::Service(service) => service.log(),
        }
    }

    /// How many datagrams to us had this line.
    pub fn notified(&self, line: &str) -> usize {
        match &self.kept {
            Kept::Process { socket, .. } => socket.notices.times(line).len(),
            Kept::Service(service) => panic!("{} tells systemd, not us", service.unit()),
        }
    }

    pub fn signs(&self) -> Signs {
        let manager = match &self.kept {
            Kept::Process { socket, .. } => Manager::Us(socket.notices.clone()),
            Kept::Service(service) => Manager::Systemd(service.unit().to_owned()),
        };
        Signs { pid: self.pid(), log: self.log_file().to_owned(), manager, started: self.started }
    }
}

/// What root made there before is the unit's user's, as systemd makes it for a `StateDirectory=`.
fn hand_over(state: &Path) -> Result<()> {
    let owner = format!("{0}:{0}", service::USER);
    let user = User::from_name(service::USER)?.context("the service's user")?;
    // Once, as systemd does it for a StateDirectory= whose owner is another.
    if !state.exists() || fs::metadata(state)?.uid() == user.uid.as_raw() {
        return Ok(());
    }
    let status = Command::new("chown").args(["--recursive", &owner]).arg(state).status()?;
    ensure!(status.success(), "{} cannot be handed over", state.display());
    Ok(())
}
