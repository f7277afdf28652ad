//! What was observed, and of what was not, why. Pure: `look` gathers it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::PathBuf;

use ipnetwork::Ipv4Network;

use crate::api::dto::{StatusView, TunnelView};
use crate::config::Config;
use crate::model::{Counters, Observed, Path, SharedPool, Termination};

/// An observation, or why there is none.
pub type Seen<T> = Result<T, String>;

/// Everything that an examination stands on.
#[derive(Clone, Debug)]
pub struct Facts {
    pub asker: Asker,
    /// The kernel's release, as uname(2) has it.
    pub release: Seen<String>,
    pub gre: Seen<Gre>,
    pub declaration: Seen<Declaration>,
    pub daemon: Seen<Daemon>,
    /// As the daemon shows it, or this process itself where none runs.
    pub status: Seen<StatusView>,
    pub host: Seen<Host>,
    /// Chains of packet filters that drop what is forwarded unless a rule lets it pass: family, table and name of each.
    pub forward: Seen<Vec<String>>,
    pub managers: Seen<Vec<Manager>>,
    pub clock: Seen<Clock>,
    pub store: Seen<Store>,
    pub inventory: Seen<Inventory>,
    pub trials: Seen<Trials>,
}

impl Facts {
    /// The kernel's objects, and the tunnels among them.
    pub fn tunnels(&self) -> Seen<(&Host, &[TunnelView])> {
        let host = self.host.as_ref().map_err(Clone::clone)?;
        let status = self.status.as_ref().map_err(Clone::clone)?;
        Ok((host, &status.tunnels))
    }

    /// The kernel's objects, and what is declared for them.
    pub fn declared(&self) -> Seen<(&Host, &Config)> {
        let host = self.host.as_ref().map_err(Clone::clone)?;
        match &self.declaration {
            Ok(Declaration::Good { config, .. }) => Ok((host, config)),
            _ => Err("there is no declaration to look at".to_owned()),
        }
    }
}

/// Who examines.
#[derive(Clone, Debug)]
pub struct Asker {
    /// The release of this program.
    pub version: String,
    pub root: bool,
    pub capabilities: Seen<Capabilities>,
}

/// The effective capabilities of a process, a bit each (linux/capability.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities(pub u64);

impl Capabilities {
    pub const NET_BIND_SERVICE: (u8, &'static str) = (10, "CAP_NET_BIND_SERVICE");
    pub const NET_ADMIN: (u8, &'static str) = (12, "CAP_NET_ADMIN");
    pub const NET_RAW: (u8, &'static str) = (13, "CAP_NET_RAW");

    /// Which of these are missing.
    pub fn lack(self, wanted: &[(u8, &'static str)]) -> Vec<&'static str> {
        let missing = wanted.iter().filter(|(bit, _)| self.0 & (1 << bit) == 0);
        missing.map(|(_, name)| *name).collect()
    }
}

/// Whether the kernel has GRE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gre {
    Loaded,
    /// The kernel would load it by itself.
    Loadable,
    /// With what was tried.
    Missing {
        tried: String,
    },
}

/// The declaration's file.
#[derive(Clone, Debug)]
pub enum Declaration {
    Absent { file: PathBuf },
    Wrong { file: PathBuf, mistakes: usize, first: String },
    Good { file: PathBuf, config: Box<Config> },
}

/// The daemon of this network namespace.
#[derive(Clone, Debug)]
pub enum Daemon {
    /// Nobody listens.
    Absent {
        socket: PathBuf,
    },
    /// Somebody does, and has answered neither of two questions within this time.
    Silent {
        socket: PathBuf,
        pid: Option<i32>,
        seconds: u64,
    },
    /// It answers by another version of the API.
    Other {
        theirs: String,
        ours: u32,
    },
    Runs(Runs),
}

/// A daemon that answers.
#[derive(Clone, Debug)]
pub struct Runs {
    /// Its release.
    pub version: String,
    pub pid: Seen<i32>,
    pub capabilities: Seen<Capabilities>,
    /// Whether its loop answers, or for how many seconds it has not, though it was asked twice.
    pub turns: Seen<Turns>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turns {
    Answers,
    Silent { seconds: u64 },
}

/// The kernel's objects, and its settings.
#[derive(Clone, Debug, Default)]
pub struct Host {
    pub observed: Observed,
    /// By name with slashes, as in `model::sysctl`.
    pub settings: BTreeMap<String, String>,
}

impl Host {
    pub fn setting(&self, name: &str) -> Option<&str> {
        self.settings.get(name).map(String::as_str)
    }

    /// The name of a link, for people.
    pub fn named(&self, link: u32) -> &str {
        self.observed.links.get(&link).map_or("?", |link| &link.name)
    }

    /// The tunnels that the kernel has a way for.
    pub fn paths<'a>(
        &'a self,
        tunnels: &'a [TunnelView],
    ) -> impl Iterator<Item = (&'a TunnelView, &'a Path)> {
        let path = |tunnel: &'a TunnelView| Some((tunnel, self.observed.paths.get(&tunnel.remote?)?));
        tunnels.iter().filter_map(path)
    }
}

/// Another program that manages networks, running in this network namespace.
#[derive(Clone, Debug)]
pub struct Manager {
    pub kind: ManagerKind,
    pub pid: i32,
    /// Its configuration, in the order in which it is read.
    pub files: Vec<ConfigFile>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManagerKind {
    Networkd,
    NetworkManager,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFile {
    pub path: PathBuf,
    pub text: String,
}

/// This host's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub now_ms: u64,
    pub synchronised: bool,
    /// The largest error that the kernel says it may have, in microseconds.
    pub most_us: i64,
}

/// The store of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Store {
    /// There is none yet.
    Absent {
        directory: PathBuf,
    },
    Broken {
        directory: PathBuf,
        error: String,
        mend: String,
    },
    Fine {
        directory: PathBuf,
        /// The network file system that it is on.
        network: Option<&'static str>,
        newest: Option<Newest>,
    },
}

/// The newest row of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Newest {
    pub what: String,
    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub at_ms: u64,
}

/// The inventory that hosts share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inventory {
    Undeclared,
    Absent { path: PathBuf },
    Broken { path: PathBuf, error: String },
    Read { path: PathBuf, problems: Vec<String>, stock: Stock },
}

/// What the inventory says of terminations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stock {
    /// The pools for terminations, but for blocks: what is carved from those is a pool of its own.
    pub pools: Vec<SharedPool>,
    /// Those that devices offer.
    pub offered: Vec<Termination>,
    /// What it knows to be used elsewhere.
    pub used: Vec<Ipv4Network>,
}

/// What came of probing tunnels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trials {
    /// By tunnel; those that are not up are not there.
    pub tunnels: BTreeMap<String, Seen<Trial>>,
    /// So many tunnels were not probed, because there are so many.
    pub left_out: usize,
}

/// What came of probing a tunnel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trial {
    pub link: String,
    pub local: Option<Ipv4Addr>,
    pub remote: Option<Ipv4Addr>,
    /// Through the tunnel, to the peer inside.
    pub inside: Asked,
    /// To the remote, from the tunnel's own address.
    pub own: Asked,
    /// To the remote, from the address that the route prefers, where that is another.
    pub plain: Option<(Ipv4Addr, Asked)>,
    /// Of the tunnel's link, before and after.
    pub counters: (Counters, Counters),
    /// What others said of our GRE packets to the remote.
    pub said: BTreeSet<String>,
    pub size: Option<Seen<Size>>,
}

/// Probes to one address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    pub sent: u32,
    pub answered: u32,
    /// Why one could not arrive, when somebody said so.
    pub why: Option<String>,
}

/// The largest packets that passed, in bytes, outer headers and all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Size {
    /// What a full packet of the tunnel has.
    pub wanted: u32,
    pub passed: u32,
    /// Who said that a link carries no more, and how much it carries.
    pub told: Option<(Ipv4Addr, u32)>,
    /// The link of this host that it leaves by carries no more.
    pub own: bool,
}
