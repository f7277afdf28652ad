//! One look at everything: declaration, store, kernel. The invariants are about one view, not about several moments.

use super::declaration::{Declaration, Local, Tunnel};
use super::store::{Store, Tuple};
use super::{Kind, Object, Snapshot};
use crate::support::Host;
use anyhow::Result;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::Path;

pub const GROUP: &str = "26472";
pub const PROTOCOL: &str = "147";
const PREFIX: &str = "gh-";
const LABEL: &str = ":gh";
const MARK: &str = "0x47";

pub struct View {
    pub declaration: Declaration,
    pub store: Store,
    pub kernel: Snapshot,
    /// Links of ours by name.
    pub devices: BTreeSet<String>,
    /// The local address that each holder has leased.
    pub locals: BTreeMap<String, Ipv4Addr>,
    /// Every IPv4 address of the host; whether it is labelled as ours.
    pub placed: BTreeMap<Ipv4Addr, bool>,
    /// The underlay's way to each remote; absent: there is none.
    pub ways: BTreeMap<Ipv4Addr, Value>,
    /// Addresses on our links that somebody else put there before.
    pub strangers: BTreeSet<String>,
    /// Tunnels of which nothing is asked: they are known to be held or refused.
    pub excused: BTreeSet<String>,
}

impl View {
    pub fn take(host: &Host, file: &Path) -> Result<Self> {
        let declaration = Declaration::read(file)?;
        let store = Store::read(&declaration.state_dir)?;
        let kernel = Snapshot::take(host)?;
        let ways = ways(host, &declaration, &store)?;
        let devices = devices(&kernel, &store);
        let (locals, placed) = (store.locals(), placed(&kernel));
        let (strangers, excused) = <(BTreeSet<String>, BTreeSet<String>)>::default();
        Ok(Self { declaration, store, kernel, devices, locals, placed, ways, strangers, excused })
    }

    /// Enabled, and not excused.
    pub fn tunnels(&self) -> impl Iterator<Item = &Tunnel> {
        self.declaration.enabled().filter(|tunnel| !self.excused.contains(&tunnel.name))
    }

    /// The local address of a tunnel: its lease, or what is declared.
    pub fn local(&self, tunnel: &Tunnel) -> Option<Ipv4Addr> {
        match tunnel.local {
            Local::Host(address) => Some(address),
            Local::Auto | Local::Leased(_) => self.locals.get(&tunnel.holder()).copied(),
        }
    }

    /// Where a tunnel leads.
    pub fn remote(&self, tunnel: &Tunnel) -> Option<Ipv4Addr> {
        remote(tunnel, &self.store)
    }

    pub fn link(&self, name: &str) -> Option<&Object> {
        self.kernel.get(&format!("link {name}"))
    }

    /// IPv4 addresses of all links.
    pub fn addresses(&self) -> impl Iterator<Item = &Object> {
        ipv4(&self.kernel)
    }

    /// Routes that carry our protocol number.
    pub fn routes(&self) -> impl Iterator<Item = &Object> {
        self.kernel.of(Kind::Route).filter(|route| route.field("protocol") == PROTOCOL)
    }

    pub fn is_excused(&self, device: &str) -> bool {
        device.strip_prefix(PREFIX).is_some_and(|name| self.excused.contains(name))
    }
}

/// The tunnel that a link of ours is named after.
pub fn tunnel_of(device: &str) -> &str {
    device.strip_prefix(PREFIX).unwrap_or(device)
}

pub fn is_labelled(address: &Object) -> bool {
    address.field("label").ends_with(LABEL)
}

/// A parameter of a GRE link.
pub fn parameter(link: &Object, name: &str) -> String {
    super::object::text(&link.value["linkinfo"]["info_data"], name)
}

/// Ours are GRE links with our mark and a tunnel's name, those with our mark and a claimed tuple, whatever their name,
/// and those with the name of a claimed tunnel. Others may have one of the marks by chance.
fn devices(kernel: &Snapshot, store: &Store) -> BTreeSet<String> {
    let tuples: BTreeSet<Tuple> = store.tuples.iter().map(|(_, tuple)| *tuple).collect();
    let ours = |link: &&Object| {
        let tunnel = link.device.strip_prefix(PREFIX).filter(|name| is_slug(name));
        let named = tunnel.is_some() || tuple(link).is_some_and(|tuple| tuples.contains(&tuple));
        let claimed = tunnel.is_some_and(|tunnel| store.claims.contains(tunnel));
        is_gre(link) && (claimed || named && link.field("group") == GROUP)
    };
    kernel.of(Kind::Link).filter(ours).map(|link| link.device.clone()).collect()
}

pub fn is_gre(link: &Object) -> bool {
    link.value["linkinfo"]["info_kind"] == "gre"
}

/// Local, remote and key of a GRE link; nothing when it is bound to no address.
pub fn tuple(link: &Object) -> Option<Tuple> {
    let key = parameter(link, "ikey");
    let key = if key.is_empty() { None } else { Some(key.parse::<Ipv4Addr>().ok()?.into()) };
    Some((parameter(link, "local").parse().ok()?, parameter(link, "remote").parse().ok()?, key))
}

/// As tunnels are named.
fn is_slug(name: &str) -> bool {
    let within = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit()) && name.chars().all(within)
}

fn ipv4(kernel: &Snapshot) -> impl Iterator<Item = &Object> {
    kernel.of(Kind::Address).filter(|address| address.value["family"] == "inet")
}

fn placed(kernel: &Snapshot) -> BTreeMap<Ipv4Addr, bool> {
    let mut placed = BTreeMap::new();
    for address in ipv4(kernel) {
        if let Ok(local) = address.field("local").parse() {
            *placed.entry(local).or_default() |= is_labelled(address);
        }
    }
    placed
}

/// The chosen one, as long as it is declared, else the first.
fn remote(tunnel: &Tunnel, store: &Store) -> Option<Ipv4Addr> {
    let chosen = store.choices.get(&tunnel.name).filter(|chosen| tunnel.remotes.contains(chosen));
    chosen.or_else(|| tunnel.remotes.first()).copied()
}

/// What outer packets find: asked with the mark that they carry.
fn ways(host: &Host, declaration: &Declaration, store: &Store) -> Result<BTreeMap<Ipv4Addr, Value>> {
    let remotes: BTreeSet<_> = declaration.enabled().filter_map(|tunnel| remote(tunnel, store)).collect();
    let mut lines = String::new();
    for remote in remotes {
        writeln!(lines, "route get {remote} mark {MARK}")?;
    }
    let answers = host.json_each(&lines)?;
    let way = |answer: Value| Some((answer[0]["dst"].as_str()?.parse().ok()?, answer[0].clone()));
    Ok(answers.into_iter().filter_map(way).collect())
}
