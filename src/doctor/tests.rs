//! What the judges' tests share: a host that is well.

use std::net::Ipv4Addr;

use super::facts::{
    Asked, Asker, Capabilities, Clock, Daemon, Declaration, Facts, Gre, Host, Inventory, Runs, Seen, Size,
    Store, Trial, Trials, Turns,
};
use super::judge;
use crate::api::dto::{StatusView, TunnelView};
use crate::config;
use crate::model::{
    self, Address, Counters, Link, LinkKind, Observed, Path, Route, RouteKind, Rule, Scope, marks,
};

pub const TUNNEL: &str = "\
[[pool]]
name = \"loopbacks\"
purpose = \"termination\"
ranges = [\"198.51.100.8-198.51.100.15\"]
[[tunnel]]
name = \"ams\"
kind = \"unicast\"
local = \"auto\"
remote = \"203.0.113.1\"
overlay = \"169.254.10.0/31\"
routes = [\"10.20.0.0/16\"]
";

pub const EDGE: &str = "\
[daemon]
role = \"edge\"
[inventory]
path = \"/var/lib/greyhound-inventory/inventory.db\"
[device]
code = \"ams-1\"
public_ip = \"192.0.2.10\"
";

const REMOTE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
const LOCAL: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 8);

pub fn declared(text: &str) -> Seen<Declaration> {
    let config = config::parse(text, "greyhound.toml").unwrap();
    Ok(Declaration::Good { file: "/etc/greyhound/greyhound.toml".into(), config: Box::new(config) })
}

/// The codes that are found.
pub fn codes(facts: &Facts) -> Vec<&'static str> {
    judge(facts).findings.iter().map(|finding| finding.code.entry().id).collect()
}

/// A host on which nothing is wrong: a tunnel by `eth0`, kept by a daemon.
pub fn healthy() -> Facts {
    let version = "0.1.0".to_owned();
    let capabilities = Ok(Capabilities(u64::MAX));
    let runs = Runs {
        version: version.clone(),
        pid: Ok(7),
        capabilities: capabilities.clone(),
        turns: Ok(Turns::Answers),
    };
    Facts {
        asker: Asker { version, root: true, capabilities },
        release: Ok("6.1.0-50-amd64".to_owned()),
        gre: Ok(Gre::Loaded),
        declaration: declared(TUNNEL),
        daemon: Ok(Daemon::Runs(runs)),
        status: Ok(status()),
        host: Ok(well()),
        forward: Ok(Vec::new()),
        managers: Ok(Vec::new()),
        clock: Ok(Clock { now_ms: 1_000_000, synchronised: true, most_us: 500 }),
        store: Ok(Store::Fine { directory: "/var/lib/greyhound".into(), network: None, newest: None }),
        inventory: Ok(Inventory::Undeclared),
        trials: Ok(Trials { tunnels: [("ams".to_owned(), Ok(trial()))].into(), left_out: 0 }),
    }
}

/// The same host, but for this.
pub fn host(change: impl FnOnce(&mut Host)) -> Facts {
    let mut facts = healthy();
    change(facts.host.as_mut().unwrap());
    facts
}

fn status() -> StatusView {
    let tunnel = TunnelView {
        local: Some(LOCAL),
        remote: Some(REMOTE),
        routes: vec!["10.20.0.0/16".to_owned()],
        ..crate::api::tests::tunnel("ams")
    };
    StatusView {
        version: "0.1.0".to_owned(),
        config: "/etc/greyhound/greyhound.toml".to_owned(),
        tunnels: vec![tunnel],
        sessions: Vec::new(),
        orphans: Vec::new(),
        notes: Vec::new(),
        filter: Default::default(),
    }
}

pub fn trial() -> Trial {
    let asked = Asked { sent: 6, answered: 6, why: None };
    let before = Counters { rx_packets: 5, tx_packets: 50, ..Counters::default() };
    let after = Counters { rx_packets: 11, tx_packets: 56, ..Counters::default() };
    Trial {
        link: "gh-ams".to_owned(),
        local: Some(LOCAL),
        remote: Some(REMOTE),
        inside: asked.clone(),
        own: asked.clone(),
        plain: Some(([192, 0, 2, 10].into(), asked)),
        counters: (before, after),
        said: Default::default(),
        size: Some(Ok(Size { wanted: 1500, passed: 1500, told: None, own: false })),
    }
}

fn well() -> Host {
    let gre = model::Gre::new(model::Tuple { local: LOCAL, remote: REMOTE, key: None });
    let links =
        [link(1, "lo", LinkKind::Other(String::new())), link(2, "eth0", LinkKind::Other("veth".to_owned()))];
    let links = links.into_iter().chain([link(7, "gh-ams", LinkKind::Gre(gre))]);
    let path = Path {
        link: 2,
        gateway: Some([192, 0, 2, 254].into()),
        source: Some([192, 0, 2, 10].into()),
        mtu: 1500,
        strict_rp: false,
    };
    let observed = Observed {
        links: links.map(|link| (link.index, link)).collect(),
        addresses: [address(1, "198.51.100.8/32", "lo:gh"), address(2, "192.0.2.10/24", "eth0")].into(),
        routes: [route()].into(),
        rules: [rule()].into(),
        paths: [(REMOTE, path)].into(),
    };
    let settings = [("ip_forward", "1"), ("conf/all/rp_filter", "0"), ("conf/eth0/rp_filter", "1")];
    let settings = settings.map(|(name, value)| (format!("net/ipv4/{name}"), value.to_owned())).into();
    Host { observed, settings }
}

fn link(index: u32, name: &str, kind: LinkKind) -> Link {
    let (name, mtu, group) = (name.to_owned(), 1500, 0);
    Link { index, name, kind, mtu, group, up: true, multicast: false, master: None, addrgen_none: true }
}

fn address(link: u32, address: &str, label: &str) -> Address {
    let (address, label) = (address.parse().unwrap(), label.to_owned());
    Address { link, address, scope: Scope::Global, label, protocol: 0 }
}

fn route() -> Route {
    Route {
        table: marks::TABLE,
        destination: "10.20.0.0/16".parse().unwrap(),
        metric: 0,
        tos: 0,
        link: Some(7),
        gateway: None,
        prefsrc: None,
        protocol: marks::ROUTE_PROTOCOL,
        scope: Scope::Link,
        kind: RouteKind::Unicast,
    }
}

fn rule() -> Rule {
    Rule {
        priority: marks::RULE_UNDERLAY,
        invert: false,
        fwmark: Some((marks::FWMARK, u32::MAX)),
        table: marks::TABLE_MAIN,
        suppress_prefixlength: None,
        protocol: marks::ROUTE_PROTOCOL,
        exotic: false,
    }
}

#[test]
fn a_host_that_is_well_has_no_finding_and_everything_was_examined() {
    let report = judge(&healthy());
    assert_eq!((report.findings.len(), report.unexamined.len()), (0, 0), "{report:?}");
    let missing: Vec<_> =
        super::TABLE.iter().filter(|entry| !report.examined.contains(&entry.code)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn what_was_not_seen_is_never_a_finding() {
    fn not<T>() -> Seen<T> {
        Err("not seen".to_owned())
    }
    let facts = Facts {
        asker: Asker { version: "0.1.0".to_owned(), root: false, capabilities: not() },
        release: not(),
        gre: not(),
        declaration: not(),
        daemon: not(),
        status: not(),
        host: not(),
        forward: not(),
        managers: not(),
        clock: not(),
        store: not(),
        inventory: not(),
        trials: not(),
    };
    let report = judge(&facts);
    assert!(report.findings.is_empty() && report.examined.is_empty(), "{report:?}");
    let told: std::collections::BTreeSet<_> = report.unexamined.iter().map(|one| one.code).collect();
    let missing: Vec<_> = super::TABLE.iter().filter(|entry| !told.contains(&entry.code)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
