//! The world of one scenario: its hosts, and a folder for its files.

use super::host::Host;
use super::service;
use anyhow::{Context, Result};
use nix::sys::socket::{setsockopt, sockopt};
use nix::unistd::{User, chown};
use std::cell::{Cell, RefCell};
use std::fs::{Permissions, set_permissions};
use std::net::{Ipv4Addr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use tempfile::TempDir;

/// In memory: SQLite's write-ahead log needs a file system that the lab's shared folders are not.
const MEMORY: &str = "/run";

struct Base {
    folder: PathBuf,
    greyhound: PathBuf,
}

static BASE: OnceLock<Base> = OnceLock::new();

/// What a run of all scenarios holds to its end.
pub struct Opened {
    _folder: TempDir,
    _stamped: UdpSocket,
}

/// Makes the folder of this run of all scenarios, with a copy of greyhound in memory, which starts several times
/// faster than one on a shared folder. Removed with the guard.
pub fn open_base() -> Result<Opened> {
    let guard = tempfile::Builder::new().prefix("scenarios.").tempdir_in(MEMORY)?;
    set_permissions(guard.path(), Permissions::from_mode(0o755))?;
    let greyhound = guard.path().join("greyhound");
    std::fs::copy(env!("CARGO_BIN_EXE_greyhound"), &greyhound).context("copy of greyhound")?;
    let base = Base { folder: guard.path().to_owned(), greyhound };
    BASE.set(base).map_err(|_| anyhow::anyhow!("opened twice"))?;
    Ok(Opened { _folder: guard, _stamped: stamped()? })
}

/// A socket that asks for time stamps of what comes. With the first and the last such socket the kernel rewrites its
/// own code (the static key `netstamp_needed_key`, net/core/dev.c). QEMU 7.2 with two emulated processors under traffic
/// may go on with the code in between, a breakpoint that is no longer there, and never come out of it again: with
/// this one socket from the beginning to the end, no socket is the first or the last.
fn stamped() -> Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).context("socket with time stamps")?;
    setsockopt(&socket, sockopt::ReceiveTimestamp, &true).context("time stamps")?;
    Ok(socket)
}

fn base() -> &'static Base {
    BASE.get().expect("main opens the base before any scenario")
}

/// The greyhound under test.
pub fn greyhound() -> &'static Path {
    &base().greyhound
}

pub struct World {
    /// Dropped after the hosts: their processes write here.
    folder: TempDir,
    number: u32,
    files: Cell<u32>,
    hosts: RefCell<Vec<Host>>,
}

impl World {
    pub fn new() -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = tempfile::Builder::new().prefix("world.").tempdir_in(&base().folder)?;
        if service::available() {
            // Its daemons are not root, and make files there.
            let user = User::from_name(service::USER)?.context("the unit's user")?;
            chown(folder.path(), Some(user.uid), Some(user.gid))?;
            set_permissions(folder.path(), Permissions::from_mode(0o755))?;
        }
        Ok(Self { folder, number, files: Cell::new(0), hosts: RefCell::default() })
    }

    /// A new host of this world: an empty network namespace with its loopback up.
    pub fn host(&self, name: &str) -> Result<Host> {
        Ok(self.hosts(&[name])?.remove(0))
    }

    /// The machine itself as a host, for what is installed on it: only where systemd is its first process.
    pub fn machine(&self) -> Result<Host> {
        let made = Host::machine(self.namespace("machine"), self.folder.path())?;
        self.hosts.borrow_mut().push(made.clone());
        Ok(made)
    }

    /// Several hosts at once, which is quicker.
    pub fn hosts(&self, names: &[&str]) -> Result<Vec<Host>> {
        let namespaces = names.iter().map(|name| (*name, self.namespace(name))).collect::<Vec<_>>();
        let made = Host::make(&namespaces, self.folder.path())?;
        self.hosts.borrow_mut().extend(made.iter().cloned());
        Ok(made)
    }

    /// Process and counter make it unique on the machine.
    fn namespace(&self, host: &str) -> String {
        format!("gh{}-{}-{host}", process::id(), self.number)
    }

    /// A folder of the scenario's own, in memory.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A new file of the scenario's own, in memory.
    pub fn file(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.folder.path().join(format!("{}-{name}", self.files.replace(self.files.get() + 1)));
        std::fs::write(&path, text)?;
        Ok(path)
    }

    /// What a failed scenario leaves to look at.
    pub fn describe(&self) -> String {
        self.hosts.borrow().iter().map(Host::describe).collect()
    }
}
