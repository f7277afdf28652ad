//! TOML text -> [`Config`]; errors point at the line. Pure.
//!
//! A text is read in three steps: TOML into raw entries, entries into drafts whose values are valid
//! one by one, drafts into the model once they fit each other. Each step reports all that it finds,
//! and the next goes on with what is left, so that one look at the errors is enough.
//!
//! | file | what is in it |
//! |---|---|
//! | `diagnostics`, `excerpt` | what is wrong, where, and what to write instead; the drawing of it |
//! | `document` | TOML into raw entries: syntax, unknown keys, types |
//! | `raw`, `either`, `schema` | the file as it is written, and its JSON schema |
//! | `value`, `network` | single values; `ranges` the arithmetic of pools, `nearest` "did you mean" |
//! | `check_daemon` | the `[daemon]`, `[inventory]` and `[metrics]` sections |
//! | `check_probe` | the sections of probes |
//! | `check_role` | the `[host]` and `[device]` sections |
//! | `check_filter` | the `[filter]` section |
//! | `check_pool`, `check_pools` | one pool alone; pools beside each other |
//! | `draft`, `check_tunnel` | one tunnel value by value; one tunnel alone |
//! | `check_outer`, `check_inner` | tunnels beside each other: in the underlay; inside a VRF |
//! | `check_layers` | the insides of tunnels beside the outsides of all |

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::model::{
    Filtering, LOOPBACK, LinkName, Local, Pool, Probing, Reflecting, Role, Tunnel, TunnelName,
};

mod at;
mod check_daemon;
mod check_filter;
mod check_inner;
mod check_layers;
mod check_outer;
mod check_pool;
mod check_pools;
mod check_probe;
mod check_role;
mod check_tunnel;
mod diagnostics;
mod document;
mod draft;
mod either;
mod excerpt;
mod nearest;
mod network;
mod ranges;
mod raw;
#[cfg(test)]
mod reference;
mod schema;
#[cfg(test)]
mod tests;
mod value;

pub use diagnostics::{Also, Diagnostic, Diagnostics};
pub use schema::schema;

use diagnostics::{Problem, Sink};

/// A file larger than this, in bytes, is refused unread: 10,000 tunnels need about a third of it.
pub const LARGEST_FILE: usize = 8 << 20;

const SOCKET: &str = "/run/greyhound/greyhound.sock";
const GROUP: &str = "greyhound";
const STATE_DIR: &str = "/var/lib/greyhound";
const REST: Duration = Duration::from_secs(3600);

/// A checked declaration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    pub daemon: DaemonConfig,
    /// In the order of the declaration, which is the order in which they are drawn from.
    pub pools: Vec<Pool>,
    pub tunnels: BTreeMap<TunnelName, Tunnel>,
    /// The link that leased addresses are put on.
    pub loopback: LinkName,
    pub probe: Probing,
    /// `None`: nobody's probes are answered.
    pub reflector: Option<Reflecting>,
    /// Where metrics are served by HTTP besides; `None`: nowhere.
    pub metrics: Option<SocketAddr>,
    /// The inventory's file, absolute; `None`: this host shares none.
    pub inventory: Option<PathBuf>,
    /// What this host is to it.
    pub role: Role,
    pub filter: Filtering,
    /// Addresses that are on the loopback link, whether a tunnel has them or not. A file declares none: they are what an
    /// edge box offers.
    pub offered: BTreeSet<Ipv4Addr>,
}

/// Where the daemon keeps its things.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DaemonConfig {
    /// Absolute, at most 107 bytes.
    pub socket: PathBuf,
    /// Absolute.
    pub state_dir: PathBuf,
    /// How long a released address rests before another holder gets it: at most 3650 days.
    pub rest: Duration,
    /// Everybody on this host may read over the API, not only root and the group.
    pub readers_all: bool,
    /// The group whose members may change things over the API.
    pub group: String,
}

impl Default for Config {
    /// What an empty file declares.
    fn default() -> Self {
        let daemon = DaemonConfig {
            socket: SOCKET.into(),
            state_dir: STATE_DIR.into(),
            rest: REST,
            readers_all: false,
            group: GROUP.to_owned(),
        };
        let loopback = LinkName::new(LOOPBACK).expect("lo is a link name");
        let probe = Probing::default();
        Self {
            daemon,
            pools: Vec::new(),
            tunnels: BTreeMap::new(),
            loopback,
            probe,
            reflector: None,
            metrics: None,
            inventory: None,
            role: Role::default(),
            filter: Filtering::default(),
            offered: BTreeSet::new(),
        }
    }
}

/// Reads and checks a declaration. `file_name` is for the messages only.
///
/// # Errors
/// Everything that is wrong with it, with the place and what to write instead.
pub fn parse(text: &str, file_name: &str) -> Result<Config, Diagnostics> {
    let mut sink = Sink::default();
    let config = check(text, &mut sink);
    match (sink.finish(text, file_name), config) {
        (None, Some(config)) => Ok(config),
        (Some(diagnostics), _) => Err(diagnostics),
        (None, None) => unreachable!("what is missing from a draft has been reported"),
    }
}

/// Reads and checks a declaration as it lies in a file.
///
/// # Errors
/// As [`parse`]; of bytes that are not UTF-8, the place of the first.
pub fn parse_bytes(bytes: &[u8], file_name: &str) -> Result<Config, Diagnostics> {
    let text = String::from_utf8_lossy(bytes);
    // What is too large is refused by its size; the replacements make it no shorter.
    let (Err(error), false) = (std::str::from_utf8(bytes), bytes.len() > LARGEST_FILE) else {
        return parse(&text, file_name);
    };
    let place = error.valid_up_to();
    let message = format!("the byte 0x{:02x} is not UTF-8", bytes[place]);
    let help = "save the file as UTF-8, or take the byte out";
    let mut sink = Sink::default();
    // Up to there both are the same; the replacement character is three bytes long.
    sink.push(Problem::new(&(place..place + 3), message, help));
    match sink.finish(&text, file_name) {
        Some(diagnostics) => Err(diagnostics),
        None => unreachable!("the problem was just found"),
    }
}

fn check(text: &str, sink: &mut Sink) -> Option<Config> {
    if text.len() > LARGEST_FILE {
        let message = format!("the file is {} bytes long", text.len());
        let help = format!("write at most {LARGEST_FILE} bytes; this should be greyhound's TOML declaration");
        sink.push(Problem::new(&(0..0), message, help));
        return None;
    }
    let document = document::read(text, sink);
    let (daemon, loopback) = check_daemon::check(&document.daemon, sink);
    let probe = check_probe::check(&document.probe, sink);
    let reflector = check_probe::check_reflector(document.reflector.as_ref(), sink);
    let metrics = check_daemon::check_metrics(document.metrics.as_ref(), sink);
    let inventory = check_daemon::check_inventory(document.inventory.as_ref(), &daemon.state_dir, sink);
    let role = check_role::check(&document, sink);
    let reflector = reflector.or_else(|| check_probe::of_role(&role, document.reflector.is_some()));
    let filter = check_filter::check(&document.filter, &role, sink);
    let pools: Vec<_> = document.pools.iter().map(|entry| check_pool::check(entry, sink)).collect();
    let tunnels: Vec<_> = document.tunnels.iter().map(|entry| draft::read(entry, sink)).collect();
    for tunnel in &tunnels {
        check_tunnel::check(tunnel, sink);
    }
    let index = check_pools::check(&pools, sink);
    check_outer::check(&tunnels, &index, sink);
    check_inner::check(&tunnels, sink);
    check_layers::check(&tunnels, sink);
    let tunnels = tunnels.into_iter().map(|draft| finish(draft, &index)).collect::<Option<Vec<_>>>()?;
    let tunnels = tunnels.into_iter().map(|tunnel| (tunnel.name.clone(), tunnel)).collect();
    let pools = pools.into_iter().map(check_pool::Draft::finish).collect::<Option<_>>()?;
    Some(Config {
        daemon,
        pools,
        tunnels,
        loopback,
        probe,
        reflector,
        metrics,
        inventory,
        role,
        filter,
        offered: BTreeSet::new(),
    })
}

/// The tunnel, when nothing of it is missing.
fn finish(draft: draft::Draft, pools: &check_pools::Pools<'_>) -> Option<Tunnel> {
    let bare = |list: Vec<at::At<ipnetwork::Ipv4Network>>| {
        let mut list: Vec<_> = list.into_iter().map(|at| at.value).collect();
        list.sort();
        list
    };
    let local = match draft.local?.value {
        draft::Source::Auto => Local::Auto { pool: draft.pool.map(|pool| pool.value) },
        draft::Source::Address(address) => match check_outer::leased_from(address, pools) {
            Some(pool) => Local::Leased { pool: pool.clone(), address },
            None => Local::Host(address),
        },
    };
    Some(Tunnel {
        name: draft.name?.value,
        kind: draft.kind?,
        local,
        remotes: draft.remotes.into_iter().map(|at| at.value).collect(),
        overlay: draft.overlay?.value,
        routes: bare(draft.routes),
        groups: bare(draft.groups),
        ttl: draft.ttl.map_or(crate::model::Ttl::Fixed(64), |ttl| ttl.value),
        tos: draft.tos.unwrap_or(crate::model::Tos::Fixed(0)),
        key: draft.key?,
        mtu: draft.mtu.and_then(|mtu| u32::try_from(mtu.value).ok()),
        pmtudisc: draft.pmtudisc?,
        ignore_df: draft.ignore_df.is_some_and(|at| at.value),
        vrf: draft.vrf?,
        metric: draft.metric?,
        client: draft.client.map(|at| at.value),
        enable: draft.enable,
    })
}
