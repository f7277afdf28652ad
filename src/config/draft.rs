//! One `[[tunnel]]`, value by value: from what is written to a draft.

use std::net::Ipv4Addr;

use ipnetwork::Ipv4Network;

use super::at::At;
use super::diagnostics::{Problem, Sink};
use super::document::Entry;
use super::either::OneOrMany;
use super::{check_daemon, network, raw, value};
use crate::model::{Kind, LinkName, PoolName, Tos, Ttl, TunnelName};

/// The most candidates of one tunnel.
const MOST_REMOTES: usize = 64;

/// A tunnel as far as it could be read. Where a value could not, `None` (or a shorter list) stands
/// for it, and no check builds on it.
#[derive(Debug)]
pub struct Draft {
    pub name: Option<At<TunnelName>>,
    pub kind: Option<Kind>,
    pub local: Option<At<Source>>,
    pub pool: Option<At<PoolName>>,
    pub remotes: Vec<At<Ipv4Addr>>,
    pub overlay: Option<At<Ipv4Network>>,
    pub routes: Vec<At<Ipv4Network>>,
    pub groups: Vec<At<Ipv4Network>>,
    pub ttl: Option<At<Ttl>>,
    pub tos: Option<Tos>,
    /// The inner `None` is "no key".
    pub key: Option<Option<u32>>,
    /// Not yet checked: its limit depends on the key.
    pub mtu: Option<At<i64>>,
    pub pmtudisc: Option<bool>,
    pub ignore_df: Option<At<bool>>,
    /// The inner `None` is "no VRF".
    pub vrf: Option<Option<LinkName>>,
    pub metric: Option<u32>,
    pub client: Option<At<Ipv4Addr>>,
    pub enable: bool,
}

/// `local` before it is known whose address it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Auto,
    Address(Ipv4Addr),
}

impl Draft {
    /// For messages.
    pub fn title(&self) -> String {
        self.name.as_ref().map_or("a tunnel without a name".into(), |name| format!("tunnel `{}`", name.value))
    }

    /// Its fixed local address, if it has one.
    pub fn address(&self) -> Option<At<Ipv4Addr>> {
        let local = self.local.as_ref()?;
        match local.value {
            Source::Auto => None,
            Source::Address(address) => Some(local.with(address)),
        }
    }
}

pub fn read(entry: &Entry<raw::Tunnel>, sink: &mut Sink) -> Draft {
    let raw = &entry.raw;
    let name = entry.required("name", raw.name.as_ref(), sink);
    let kind = entry.required("kind", raw.kind.as_ref(), sink);
    let local = entry.required("local", raw.local.as_ref(), sink);
    let remote = entry.required("remote", raw.remote.as_ref(), sink);
    let overlay = entry.required("overlay", raw.overlay.as_ref(), sink);
    Draft {
        name: name.and_then(|text| sink.take(value::name(text, TunnelName::new))),
        kind: kind.and_then(|text| sink.take(value::choice(text, "kind", &KINDS))).map(|at| at.value),
        local: local.and_then(|text| sink.take(source(text))),
        pool: raw.pool.as_ref().and_then(|text| sink.take(value::name(text, PoolName::new))),
        remotes: remote.map(|remote| remotes(remote, sink)).unwrap_or_default(),
        overlay: overlay.and_then(|text| sink.take(network::overlay(text))),
        routes: sink.take_all(raw.routes.iter().flat_map(|list| &list.value).map(network::route)),
        groups: sink.take_all(raw.groups.iter().flat_map(|list| &list.value).map(network::group)),
        ttl: raw.ttl.as_ref().and_then(|ttl| sink.take(value::ttl(ttl))),
        tos: raw.tos.as_ref().and_then(|tos| sink.take(value::tos(tos))).map(|at| at.value),
        key: match &raw.key {
            Some(key) => sink.take(value::key(key)).map(|at| Some(at.value)),
            None => (!entry.is_broken("key")).then_some(None),
        },
        mtu: raw.mtu.clone(),
        pmtudisc: raw.pmtudisc.as_ref().map(|at| at.value).or((!entry.is_broken("pmtudisc")).then_some(true)),
        ignore_df: raw.ignore_df.clone(),
        vrf: match &raw.vrf {
            Some(vrf) => sink.take(vrf_link(vrf)).map(|at| Some(at.value)),
            None => (!entry.is_broken("vrf")).then_some(None),
        },
        metric: match &raw.metric {
            Some(n) => sink.take(value::number(n, "metric", 0..=i64::from(u32::MAX))).map(|at| at.value),
            None => (!entry.is_broken("metric")).then_some(0),
        },
        client: raw.client.as_ref().and_then(|text| sink.take(network::host(text, "client", CLIENT))),
        enable: raw.enable.as_ref().is_none_or(|at| at.value),
    }
}

const KINDS: [(&str, Kind); 2] = [("unicast", Kind::Unicast), ("multicast", Kind::Multicast)];
const CLIENT: &str = "write an address that others can reach this host by, such as 203.0.113.77";
const LOCAL: &str = "write \"auto\", an address of a termination pool, or a unicast address of this host";
const REMOTE: &str = "write the unicast address of the tunnel's other end in the underlay, such as 192.0.2.1";

fn source(text: &At<String>) -> Result<At<Source>, Problem> {
    if text.value == "auto" {
        return Ok(text.with(Source::Auto));
    }
    if text.value.parse::<Ipv4Addr>().is_err() && !text.value.contains(['.', ':']) {
        return Err(Problem::new(&text.span, format!("`local` cannot be {:?}", text.value), LOCAL));
    }
    let address = network::host(text, "local", LOCAL)?;
    Ok(address.with(Source::Address(address.value)))
}

fn remotes(remote: &At<OneOrMany>, sink: &mut Sink) -> Vec<At<Ipv4Addr>> {
    let read = |text: &At<String>| network::host(text, "remote", REMOTE);
    let list = match &remote.value {
        OneOrMany::One(text) => return sink.take(read(&remote.with(text.clone()))).into_iter().collect(),
        OneOrMany::Many(list) => list,
    };
    if list.is_empty() {
        sink.push(Problem::new(&remote.span, "`remote` is empty", REMOTE));
    }
    if list.len() > MOST_REMOTES {
        let message = format!("`remote` has {} candidates", list.len());
        let help = format!("write at most {MOST_REMOTES}: each one is probed");
        sink.push(Problem::new(&remote.span, message, help));
    }
    sink.take_all(list.iter().take(MOST_REMOTES).map(read))
}

fn vrf_link(text: &At<String>) -> Result<At<LinkName>, Problem> {
    let vrf = value::name(text, LinkName::new)?;
    if check_daemon::is_ours(vrf.value.as_str()) {
        let message = format!("`vrf` cannot be {:?}: that is a tunnel's own link", text.value);
        let help = "write the name of a VRF link that exists; links named gh-… are greyhound's tunnels";
        return Err(Problem::new(&text.span, message, help));
    }
    Ok(vrf)
}
