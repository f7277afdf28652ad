//! This host's part of the inventory: what of it concerns this host, kept for when the inventory is away, and the
//! declaration together with the tunnels that it asks for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Error;
use crate::config::Config;
use crate::model::{DeviceCode, HostName, Role, SessionKey, Tunnel, TunnelName};
use crate::registry::transfer::{self, Document};
use crate::registry::{Kind, Record as _, Registry, Revision, RowName, Snapshot, ends};
use crate::store::{self, State};

/// The rows that say what hosts and devices have to do. The others are for who gives addresses out.
pub const KINDS: [Kind; 6] =
    [Kind::Meta, Kind::Device, Kind::Interface, Kind::Termination, Kind::Session, Kind::Seat];

/// Under which name the store keeps the part.
const NAME: &str = "inventory";

/// Who this host is in its inventory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Me {
    Host(HostName),
    Edge(DeviceCode),
}

/// The declaration together with the tunnels that the inventory asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whole {
    pub config: Config,
    /// Sessions whose tunnel cannot be built beside what is declared, and why.
    pub aside: BTreeMap<SessionKey, String>,
}

/// What is kept for when the inventory is away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The inventory's file.
    pub place: PathBuf,
    /// The inventory was at this one.
    pub revision: Revision,
    /// The rows that concern this host.
    pub document: Document,
}

/// Who this host is; `None`: it has no part in an inventory.
///
/// # Errors
/// When it is to be called as its kernel calls it, and that is no name.
pub fn me(role: &Role) -> Result<Option<Me>, Error> {
    Ok(match role {
        Role::Alone => None,
        Role::Edge(edge) => Some(Me::Edge(edge.device.code.clone())),
        Role::Host(host) => Some(Me::Host(match &host.name {
            Some(name) => name.clone(),
            None => host_name()?,
        })),
    })
}

fn host_name() -> Result<HostName, Error> {
    let name = nix::unistd::gethostname().map_err(|errno| Error::NoName { why: errno.to_string() })?;
    let name = name.to_string_lossy().to_ascii_lowercase();
    HostName::new(&name).map_err(|invalid| Error::NoName { why: invalid.to_string() })
}

/// The rows that concern this host, in a form in which they can be kept; `everybody`: a host needs all clients, too.
pub fn excerpt(snapshot: &Snapshot, registry: &Registry, me: &Me, everybody: bool) -> Document {
    let mut mine: BTreeSet<RowName> = BTreeSet::new();
    let is_mine = |device: &DeviceCode| match me {
        Me::Edge(code) => code == device,
        Me::Host(_) => true,
    };
    let devices = registry.devices.values().map(|device| &device.value);
    mine.extend(devices.filter(|device| is_mine(&device.code)).map(|device| device.row_name()));
    let interfaces = registry.interfaces.values().map(|interface| &interface.value);
    mine.extend(
        interfaces.filter(|interface| is_mine(&interface.device)).map(|interface| interface.row_name()),
    );
    let terminations = registry.terminations.values().map(|termination| &termination.value);
    mine.extend(terminations.filter(|offer| is_mine(&offer.device)).map(|offer| offer.row_name()));
    let sessions = registry.sessions.values().map(|session| &session.value);
    let ours = sessions.filter(|session| match me {
        Me::Edge(code) => session.device == *code,
        // Who routes to every client knows them all.
        Me::Host(host) => everybody || session.host == *host,
    });
    mine.extend(ours.map(|session| session.row_name()));
    let rows = snapshot.rows.iter().filter(|row| mine.contains(&row.name)).cloned().collect();
    transfer::export(&Snapshot { revision: snapshot.revision, rows })
}

/// The part as it was seen last; `None`: none ever was.
pub fn kept(state: &State) -> Result<Option<(Kept, Registry)>, Error> {
    let unusable = |why: String| Error::Part { why };
    let note = state.note(NAME).map_err(|source| unusable(source.to_string()))?;
    let Some(note) = note else { return Ok(None) };
    let kept: Kept = serde_json::from_str(&note).map_err(|error| unusable(error.to_string()))?;
    let snapshot = kept.document.snapshot().map_err(|unfit| unusable(unfit.to_string()))?;
    let registry = Registry::new(&snapshot).map_err(|refused| unusable(refused.to_string()))?;
    Ok(Some((kept, registry)))
}

/// Keeps the part, in the place of the last.
pub fn keep(state: &mut State, kept: &Kept) -> Result<(), store::Error> {
    let note = serde_json::to_string(kept).unwrap_or_default();
    state.change(|change| change.note(NAME, &note))
}

/// The declaration with what the part that is kept asks for, as the daemon had it last.
pub fn with_kept(declared: Config) -> Result<Config, Error> {
    let Some(me) = me(&declared.role)? else { return Ok(declared) };
    let directory = declared.daemon.state_dir.clone();
    let state = State::open_copy(&directory)
        .map_err(|source| Error::State { directory, source: Box::new(source) })?;
    Ok(match kept(&state)? {
        Some((_, registry)) => whole(&declared, &registry, &me, &BTreeSet::new()).config,
        None => declared,
    })
}

/// The declaration together with what the registry asks of this host. A host routes nothing into the tunnels of `down`.
pub fn whole(declared: &Config, registry: &Registry, me: &Me, down: &BTreeSet<TunnelName>) -> Whole {
    let mut whole = Whole { config: declared.clone(), aside: BTreeMap::new() };
    let tunnels = match (me, &declared.role) {
        (Me::Host(name), Role::Host(host)) => {
            let client = ends::Client { pools: &declared.pools, routes: &host.routes };
            let keys = |tunnel: &TunnelName| SessionKey { host: name.clone(), name: tunnel.clone() };
            let tunnels = ends::of_host(registry, name, &client).into_values();
            tunnels.map(|tunnel| (keys(&tunnel.name), tunnel)).collect()
        }
        (Me::Edge(code), _) => {
            let ends::Edge { tunnels, terminations } = ends::of_edge(registry, code);
            whole.config.offered = terminations;
            tunnels
        }
        (Me::Host(_), Role::Alone | Role::Edge(_)) => BTreeMap::new(),
    };
    for (key, mut tunnel) in tunnels {
        let odd = registry.session(&key).ok().and_then(|session| session.oddity());
        let twice =
            || whole.config.tunnels.contains_key(&tunnel.name).then(|| "another has its name".to_owned());
        if let Some(why) = odd.or_else(|| clash(declared, &tunnel)).or_else(twice) {
            whole.aside.insert(key, why);
            continue;
        }
        if matches!(me, Me::Host(_)) && down.contains(&tunnel.name) {
            tunnel.routes.clear();
            tunnel.groups.clear();
        }
        whole.config.tunnels.insert(tunnel.name.clone(), tunnel);
    }
    whole
}

/// What of the declaration a session's tunnel cannot be beside.
fn clash(declared: &Config, tunnel: &Tunnel) -> Option<String> {
    let clashes = |other: &&Tunnel| {
        other.name == tunnel.name
            || (other.vrf == tunnel.vrf && other.overlay.overlaps(tunnel.overlay))
            || (other.key == tunnel.key && other.local == tunnel.local && other.remotes == tunnel.remotes)
    };
    let other = declared.tunnels.values().find(clashes)?;
    let what = match &other.name {
        name if *name == tunnel.name => "has its name",
        _ if other.overlay.overlaps(tunnel.overlay) => "has its addresses inside",
        _ => "has its local address and remote",
    };
    Some(format!("the declared tunnel {} {what}", other.name))
}

#[cfg(test)]
mod tests;
