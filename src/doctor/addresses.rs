//! Addresses for terminations that somebody else put on this host. Pure.

use std::net::Ipv4Addr;

use super::code::Code;
use super::facts::{Facts, Host, Inventory, Stock};
use super::report::Report;
use crate::config::Config;
use crate::model::{Address, LOOPBACK, Link, Pool, Purpose, Role, Termination, marks};

const CODES: [Code; 1] = [Code::ForeignAddress];

pub fn judge(facts: &Facts, report: &mut Report) {
    let seen = facts.declared();
    let Some((host, config)) = report.see(&CODES, "", &seen) else { return };
    if let Err(why) = &facts.inventory {
        report.not(&CODES, "of the inventory's pools", why);
    }
    let stock = match &facts.inventory {
        Ok(Inventory::Read { stock, .. }) => stock,
        _ => &Stock::default(),
    };
    let label = marks::label(config.loopback.as_str()).unwrap_or_default();
    let ours = |address: &&Address| {
        let link = host.observed.links.get(&address.link);
        address.label == label || address.protocol == marks::ADDRESS_PROTOCOL || link.is_some_and(is_ours)
    };
    for address in host.observed.addresses.iter().filter(|address| !ours(address)) {
        let ip = address.address.ip();
        let (link, found) = (host.named(address.link), &address.label);
        let Some(Claimed { pool, exclude }) = claimed(config, stock, ip, link) else { continue };
        let evidence = format!("{ip} of {pool} is on {link} with label {found}, not {label}");
        let delete = format!("ip address delete {} dev {link}", address.address);
        let mend = if may_go(host, address) { format!("{exclude}; or {delete}") } else { exclude };
        report.find(Code::ForeignAddress, ip.to_string(), evidence, mend);
    }
}

/// A pool that an address lies in, and how it is kept out of it.
struct Claimed {
    pool: String,
    exclude: String,
}

/// Who would lease it: this host by its declaration, an edge box its own range, or anybody by the inventory.
fn claimed(config: &Config, stock: &Stock, ip: Ipv4Addr, link: &str) -> Option<Claimed> {
    if let Some(pool) = config.pools.iter().find(|pool| leases(pool, ip)) {
        let all = pool.exclude.iter().map(ToString::to_string).chain([format!("{ip}/32")]);
        let all: Vec<String> = all.map(|range| format!("{range:?}")).collect();
        let name = &pool.name;
        let exclude = format!("in the [[pool]] {name} of the declaration: exclude = [{}]", all.join(", "));
        return Some(Claimed { pool: format!("pool {name}"), exclude });
    }
    let device = match &config.role {
        Role::Edge(edge) => Some(&edge.device),
        Role::Alone | Role::Host(_) => None,
    };
    // What an operator has pinned to an interface of this device is where it belongs.
    let here = |offered: &&Termination| {
        device.is_some_and(|device| device.code == offered.device) && offered.interface.as_str() == link
    };
    let pinned = stock.offered.iter().filter(here).any(|offered| offered.address == ip);
    if (pinned && link != config.loopback.as_str()) || stock.used.iter().any(|prefix| prefix.contains(ip)) {
        return None;
    }
    if let Some(pool) = stock.pools.iter().find(|pool| leases(&pool.pool, ip)) {
        let name = pool.pool.name.as_str();
        return Some(Claimed { pool: format!("pool {name} ({})", pool.scope()), exclude: shared(name, ip) });
    }
    // A range that is not registered yet.
    let code = device.filter(|device| device.prefixes.iter().any(|range| range.contains(ip)))?.code.as_str();
    let registered = stock.pools.iter().any(|pool| pool.pool.name.as_str() == code);
    let pool = format!("the prefixes of device {code}");
    (!registered).then(|| Claimed { pool, exclude: shared(code, ip) })
}

fn shared(pool: &str, ip: Ipv4Addr) -> String {
    format!("greyhound pool set {pool} --exclude {ip}/32")
}

/// May a tunnel's local address be this one of the pool?
fn leases(pool: &Pool, address: Ipv4Addr) -> bool {
    let excluded = pool.exclude.iter().any(|range| range.contains(address));
    pool.purpose == Purpose::Termination && pool.contains(address) && !excluded
}

/// Does nothing else hang on it? The host may be reached by it: it is what packets to a remote leave from, or it makes
/// the route to the link's network.
fn may_go(host: &Host, address: &Address) -> bool {
    let ip = address.address.ip();
    let preferred = host.observed.paths.values().any(|path| path.source == Some(ip));
    !preferred && (address.address.prefix() == 32 || host.named(address.link) == LOOPBACK)
}

fn is_ours(link: &Link) -> bool {
    link.name.starts_with(marks::LINK_PREFIX) && link.gre().is_some()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{EDGE, TUNNEL, codes, declared, healthy, host};
    use super::*;
    use crate::model::{Scope, SharedPool, Tier};

    fn on(link: u32, address: &str, label: &str) -> Facts {
        let found = Address {
            link,
            address: address.parse().unwrap(),
            scope: Scope::Global,
            label: label.to_owned(),
            protocol: 0,
        };
        host(|host| host.observed.addresses.extend([found]))
    }

    fn mend(facts: &Facts) -> String {
        let report = super::super::judge(facts);
        assert_eq!(report.findings.len(), 1, "{report:?}");
        report.findings[0].mend.clone()
    }

    const EXCLUDE: &str = "in the [[pool]] loopbacks of the declaration: exclude = [\"198.51.100.9/32\"]";

    #[test]
    fn an_address_of_our_pool_with_another_label_is_foreign() {
        let facts = on(2, "198.51.100.9/32", "eth0");
        assert_eq!(codes(&facts), ["foreign-address"]);
        assert!(codes(&on(2, "198.51.100.9/32", "lo:gh")).is_empty());
        assert!(codes(&on(2, "198.51.100.99/32", "eth0")).is_empty());
        let excluded = TUNNEL.replace("15\"]", "15\"]\nexclude = [\"198.51.100.9/32\"]");
        assert!(codes(&Facts { declaration: declared(&excluded), ..facts }).is_empty());
    }

    #[test]
    fn it_is_kept_out_of_the_pool_and_deleted_only_where_nothing_hangs_on_it() {
        let delete =
            |address: &str, dev: &str| format!("{EXCLUDE}; or ip address delete {address} dev {dev}");
        assert_eq!(mend(&on(2, "198.51.100.9/32", "eth0")), delete("198.51.100.9/32", "eth0"));
        assert_eq!(mend(&on(1, "198.51.100.9/24", "lo")), delete("198.51.100.9/24", "lo"));
        assert_eq!(mend(&on(2, "198.51.100.9/24", "eth0")), EXCLUDE, "it makes the link's network");
        let mut source = on(2, "198.51.100.9/32", "eth0");
        let paths = &mut source.host.as_mut().unwrap().observed.paths;
        paths.values_mut().for_each(|path| path.source = Some([198, 51, 100, 9].into()));
        assert_eq!(mend(&source), EXCLUDE, "packets leave from it");
        let other = TUNNEL.replace("15\"]", "15\"]\nexclude = [\"198.51.100.12-198.51.100.13\"]");
        let facts = Facts { declaration: declared(&other), ..on(2, "198.51.100.9/24", "eth0") };
        assert!(mend(&facts).ends_with("exclude = [\"198.51.100.12-198.51.100.13\", \"198.51.100.9/32\"]"));
    }

    #[test]
    fn an_edge_boxs_own_range_is_its_own_before_it_is_registered() {
        let edge = declared(&EDGE.replace("code =", "prefixes = [\"203.0.113.8/29\"]\ncode ="));
        let facts = Facts { declaration: edge, ..on(2, "203.0.113.9/24", "eth0") };
        assert_eq!(mend(&facts), "greyhound pool set ams-1 --exclude 203.0.113.9/32");
    }

    fn read(facts: Facts, change: impl FnOnce(&mut Stock)) -> Facts {
        let pool = Pool {
            name: "ams-1".parse().unwrap(),
            purpose: Purpose::Termination,
            tier: Tier::Primary,
            ranges: vec!["203.0.113.8/29".parse().unwrap()],
            quota: None,
            exclude: Vec::new(),
        };
        let pool = SharedPool {
            pool,
            device: Some("ams-1".parse().unwrap()),
            carve: None,
            allowed: Default::default(),
            low_water: 0,
            carved_from: None,
        };
        let mut stock = Stock { pools: vec![pool], ..Stock::default() };
        change(&mut stock);
        let inventory = Ok(Inventory::Read { path: "/i.db".into(), problems: Vec::new(), stock });
        Facts { inventory, ..facts }
    }

    #[test]
    fn a_termination_of_the_inventory_is_nobodys_elses() {
        let facts = || on(2, "203.0.113.9/32", "eth0");
        let report = super::super::judge(&read(facts(), |_| ()));
        assert_eq!(
            report.findings[0].evidence,
            "203.0.113.9 of pool ams-1 (device ams-1) is on eth0 with label eth0, not lo:gh"
        );
        assert!(
            report.findings[0].mend.starts_with("greyhound pool set ams-1 --exclude 203.0.113.9/32; or ip ")
        );
        let used = read(facts(), |stock| stock.used = vec!["203.0.113.8/30".parse().unwrap()]);
        assert!(codes(&used).is_empty(), "the inventory knows of it");
        let client = read(facts(), |stock| stock.pools[0].pool.purpose = Purpose::Client);
        assert!(codes(&client).is_empty(), "a client may have it");
    }

    #[test]
    fn what_a_device_offers_itself_may_be_on_it() {
        let offered = |device: &str, interface: &str, (link, label): (u32, &str)| {
            let facts = Facts { declaration: declared(EDGE), ..on(link, "203.0.113.9/32", label) };
            let (address, interface) = ([203, 0, 113, 9].into(), interface.parse().unwrap());
            let offered = Termination { address, device: device.parse().unwrap(), interface };
            codes(&read(facts, |stock| stock.offered = vec![offered]))
        };
        let (eth0, lo) = ((2, "eth0"), (1, "lo"));
        assert!(offered("ams-1", "eth0", eth0).is_empty(), "it was pinned there");
        assert_eq!(offered("fra-1", "eth0", eth0), ["foreign-address"], "another device offers it");
        assert_eq!(offered("ams-1", "lo", eth0), ["foreign-address"], "greyhound puts it on lo");
        assert_eq!(offered("ams-1", "lo", lo), ["foreign-address"], "and marks it there");
    }

    #[test]
    fn an_inventory_that_was_not_seen_is_told() {
        let facts = Facts { inventory: Err("denied".to_owned()), ..healthy() };
        let report = super::super::judge(&facts);
        let told = report.unexamined.iter().find(|one| one.code == Code::ForeignAddress).unwrap();
        assert_eq!((&*told.about, &*told.why), ("of the inventory's pools", "denied"));
    }
}
