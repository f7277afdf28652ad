//! The daemon as a service of systemd, under the very unit that is shipped.
//!
//! Each host has an instance: a copy of `systemd/greyhound.service`, and beside it a drop-in that says what differs in a
//! scenario: the program under test and its declaration, the host's network namespace, the folder that it writes to,
//! where its words go, and that nobody starts it again, which the scenario does.

use super::host::Host;
use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::kill;
use nix::unistd::Pid;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Units of this boot alone (systemd.unit(5)).
const UNITS: &str = "/run/systemd/system";
const SHIPPED: &str = include_str!("../../systemd/greyhound.service");
const USERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/systemd/greyhound.sysusers");
/// Whom the unit runs as.
pub const USER: &str = "greyhound";
const PAUSE: Duration = Duration::from_millis(50);
/// `si_code` of a child that has exited (waitid(2)).
const CLD_EXITED: &str = "1";

/// Whether scenarios run their daemons under the unit: systemd is the first process. Makes the unit's user.
pub fn available() -> bool {
    static KNOWN: OnceLock<bool> = OnceLock::new();
    *KNOWN.get_or_init(|| {
        // sd_booted(3).
        let booted = Path::new(UNITS).exists();
        booted && Command::new("systemd-sysusers").arg(USERS).status().is_ok_and(|status| status.success())
    })
}

/// What a service is started with.
#[derive(Debug)]
pub struct Order<'a> {
    pub host: &'a Host,
    pub words: Vec<String>,
    /// What it may write to.
    pub folder: &'a Path,
    pub log: PathBuf,
    /// Lines of the section `[Service]` besides.
    pub more: String,
}

/// Stopped, and its files removed, when dropped.
#[derive(Debug)]
pub struct Service {
    unit: String,
    log: PathBuf,
    pid: Pid,
    /// It was seen to have ended: there is nothing to be stopped.
    over: Cell<bool>,
}

impl Service {
    /// Starts it, and waits until it has said that it is ready.
    pub fn start(order: &Order) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let unit = format!("greyhound-{}.service", COUNT.fetch_add(1, Ordering::Relaxed));
        // Before its files: what fails half-way leaves nothing behind.
        let mut made = Self { unit, log: order.log.clone(), pid: Pid::from_raw(0), over: Cell::new(false) };
        let drop_ins = made.file().with_extension("service.d");
        fs::create_dir_all(&drop_ins)?;
        fs::write(made.file(), SHIPPED)?;
        fs::write(drop_ins.join("scenario.conf"), made.differs(order))?;
        made.systemctl(&["start"])?;
        made.pid = Pid::from_raw(made.properties()?["MainPID"].parse()?);
        Ok(made)
    }

    fn differs(&self, order: &Order) -> String {
        let own = self.unit.trim_end_matches(".service");
        let words: Vec<_> = order.words.iter().map(|word| format!("\"{word}\"")).collect();
        let (namespace, folder, log) = (order.host.namespace(), order.folder.display(), self.log.display());
        format!(
            "[Service]\nExecStart=\nExecStart={}\nExecReload=\nNetworkNamespacePath=/run/netns/{namespace}\n\
             ReadWritePaths={folder}\nRuntimeDirectory=\nRuntimeDirectory={own}\nStateDirectory=\nStateDirectory={own}\n\
             StandardOutput=append:{log}\nStandardError=append:{log}\nRestart=no\n{}\n",
            words.join(" "),
            order.more
        )
    }

    fn file(&self) -> PathBuf {
        Path::new(UNITS).join(&self.unit)
    }

    pub fn pid(&self) -> Pid {
        self.pid
    }

    pub fn log(&self) -> &Path {
        &self.log
    }

    pub fn unit(&self) -> &str {
        &self.unit
    }

    /// Has systemd stop it, and says how it ended.
    pub fn stop(&self) -> Result<ExitStatus> {
        self.systemctl(&["stop"])?;
        self.status()
    }

    /// How it ended by itself; an error when it has not in time.
    pub fn ended(&self, within: Duration) -> Result<ExitStatus> {
        let begun = Instant::now();
        // Asking systemd takes long on a busy machine: first the process is gone.
        while kill(self.pid, None).is_ok() && begun.elapsed() < within {
            std::thread::sleep(PAUSE);
        }
        while self.runs()? {
            ensure!(begun.elapsed() < within, "{} did not end within {within:?}", self.unit);
            std::thread::sleep(PAUSE);
        }
        self.status()
    }

    fn runs(&self) -> Result<bool> {
        Ok(!matches!(self.properties()?["ActiveState"].as_str(), "inactive" | "failed"))
    }

    fn status(&self) -> Result<ExitStatus> {
        let all = self.properties()?;
        let number: i32 = all["ExecMainStatus"].parse()?;
        self.over.set(true);
        // As wait(2) has it: the status in the second byte, or the signal in the first.
        Ok(ExitStatus::from_raw(if all["ExecMainCode"] == CLD_EXITED { number << 8 } else { number }))
    }

    /// What systemd says of it.
    fn properties(&self) -> Result<BTreeMap<String, String>> {
        properties(&self.unit)
    }

    fn systemctl(&self, words: &[&str]) -> Result<()> {
        let output = Command::new("systemctl").args(words).arg(&self.unit).output()?;
        if !output.status.success() {
            let said = fs::read_to_string(&self.log).unwrap_or_default();
            let why = String::from_utf8_lossy(&output.stderr);
            bail!("systemctl {words:?} {}: {why}it said: {said}\n{:#?}", self.unit, self.properties()?);
        }
        Ok(())
    }
}

/// Of a unit, as `systemctl show` prints it.
pub fn properties(unit: &str) -> Result<BTreeMap<String, String>> {
    const SHOWN: &str =
        "--property=MainPID,ActiveState,Result,ExecMainCode,ExecMainStatus,NRestarts,StatusText";
    let output = Command::new("systemctl").args(["show", SHOWN, unit]).output().context("systemctl show")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let pair = |line: &str| line.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    Ok(text.lines().filter_map(pair).collect())
}

impl Drop for Service {
    fn drop(&mut self) {
        if !self.over.get() {
            let _ = Command::new("systemctl").args(["kill", "--signal=KILL", &self.unit]).output();
            let _ = Command::new("systemctl").args(["stop", &self.unit]).output();
        }
        let _ = fs::remove_dir_all(self.file().with_extension("service.d"));
        let _ = fs::remove_file(self.file());
    }
}
