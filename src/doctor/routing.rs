//! Routes, rules, filters, forwarding and addresses of this host. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use ipnetwork::Ipv4Network;

use super::code::Code;
use super::facts::{Declaration, Facts, Host};
use super::report::Report;
use crate::api::dto::TunnelView;
use crate::config::Config;
use crate::model::{Address, Link, Path, Pool, Purpose, Role, kernel, marks};

pub fn judge(facts: &Facts, report: &mut Report) {
    let of_tunnels = [Code::Recursion, Code::RpFilterStrict];
    let of_the_host = [Code::ForwardingOff, Code::ForeignAddress];
    let all = [of_tunnels, of_the_host].concat();
    let Some(host) = report.see(&all, "", &facts.host) else { return };
    let tunnels = facts.status.as_ref().map(|status| &status.tunnels[..]).unwrap_or_default();
    match &facts.status {
        Ok(_) => {
            recursion(host, tunnels, report);
            strict(host, tunnels, report);
        }
        Err(why) => {
            report.examined.retain(|code| !of_tunnels.contains(code));
            report.not(&of_tunnels, "", why);
        }
    }
    let Ok(Declaration::Good { config, .. }) = &facts.declaration else {
        report.examined.retain(|code| !of_the_host.contains(code));
        return report.not(&of_the_host, "", "there is no declaration to look at");
    };
    if matches!(config.role, Role::Edge(_)) {
        forwarding(host, tunnels, report);
    }
    addresses(host, config, report);
}

fn recursion(host: &Host, tunnels: &[TunnelView], report: &mut Report) {
    let Host { observed, settings: _ } = host;
    for (tunnel, path) in paths(host, tunnels) {
        let Some(link) = observed.links.get(&path.link).filter(|link| is_ours(link)) else { continue };
        let (name, mark) = (&link.name, marks::FWMARK);
        let remote = tunnel.remote.map(|remote| remote.to_string()).unwrap_or_default();
        let evidence =
            format!("the kernel's route to {remote} for packets with mark {mark:#x} leaves by {name}");
        let mend = format!("ip route show table main dev {name}; ip route delete PREFIX dev {name}");
        report.find(Code::Recursion, format!("tunnel {}", tunnel.name), evidence, mend);
    }
    let routed = observed.routes.iter().any(|route| route.table == marks::TABLE);
    let ruled = observed.rules.iter().any(|rule| {
        rule.priority == marks::RULE_UNDERLAY && rule.table == marks::TABLE_MAIN && rule.fwmark.is_some()
    });
    if routed && !ruled {
        let (priority, mark, table) = (marks::RULE_UNDERLAY, marks::FWMARK, marks::TABLE);
        let evidence = format!(
            "table {table} has routes, and rule {priority} (fwmark {mark:#x} lookup main) is missing"
        );
        report.find(Code::Recursion, "rules", evidence, "greyhound apply");
    }
}

/// One finding for each link that drops what comes from remotes.
fn strict(host: &Host, tunnels: &[TunnelView], report: &mut Report) {
    let into: BTreeMap<Ipv4Network, &str> =
        tunnels.iter().filter(|tunnel| tunnel.vrf.is_none()).flat_map(routes).collect();
    let mut told = BTreeSet::new();
    for (tunnel, path) in paths(host, tunnels).filter(|(_, path)| path.strict_rp) {
        let Some((remote, link)) = tunnel.remote.zip(host.observed.links.get(&path.link)) else { continue };
        let Some(other) = kernel::covering(&into, remote, path) else { continue };
        if told.insert(path.link) {
            let name = &link.name;
            let value = |of: &str| setting(host, &format!("net.ipv4.conf.{of}.rp_filter")).unwrap_or("?");
            let evidence = format!(
                "rp_filter is {} on {name} and {} for all; {remote}, the remote of {}, comes in there and is routed \
                 into tunnel {other}",
                value(name),
                value("all"),
                tunnel.name
            );
            report.find(
                Code::RpFilterStrict,
                format!("link {name}"),
                evidence,
                set(&format!("conf.{name}.rp_filter"), 2),
            );
        }
    }
}

fn routes(tunnel: &TunnelView) -> impl Iterator<Item = (Ipv4Network, &str)> {
    tunnel.routes.iter().filter_map(|route| Some((route.parse().ok()?, tunnel.name.as_str())))
}

fn forwarding(host: &Host, tunnels: &[TunnelView], report: &mut Report) {
    let off = |name: &str| setting(host, name) == Some("0");
    let all = "net.ipv4.ip_forward";
    if off(all) {
        let evidence = format!("{all} is 0, and this host is an edge box");
        return report.find(Code::ForwardingOff, "", evidence, set("ip_forward", 1));
    }
    let outer = paths(host, tunnels).filter_map(|(_, path)| host.observed.links.get(&path.link));
    let inner = tunnels.iter().filter_map(|tunnel| host.observed.link(&tunnel.link));
    let links: BTreeSet<&str> = outer.chain(inner).map(|link| link.name.as_str()).collect();
    for link in links.into_iter().filter(|link| off(&format!("net.ipv4.conf.{link}.forwarding"))) {
        let evidence = format!("net.ipv4.conf.{link}.forwarding is 0, and this host is an edge box");
        report.find(
            Code::ForwardingOff,
            format!("link {link}"),
            evidence,
            set(&format!("conf.{link}.forwarding"), 1),
        );
    }
}

/// Addresses of termination pools that somebody else put on this host. Excluded ones are never leased.
fn addresses(host: &Host, config: &Config, report: &mut Report) {
    let label = marks::label(config.loopback.as_str()).unwrap_or_default();
    let ours = |address: &&Address| {
        let link = host.observed.links.get(&address.link);
        address.label == label || address.protocol == marks::ADDRESS_PROTOCOL || link.is_some_and(is_ours)
    };
    for address in host.observed.addresses.iter().filter(|address| !ours(address)) {
        let ip = address.address.ip();
        let Some(pool) = config.pools.iter().find(|pool| leases(pool, ip)) else { continue };
        let link = host.observed.links.get(&address.link).map_or("?", |link| &link.name);
        let (pool, whole, found) = (&pool.name, address.address, &address.label);
        let evidence = format!("{ip} of pool {pool} is on {link} with label {found}, not {label}");
        let mend =
            format!("ip address delete {whole} dev {link}; or, in pool {pool}: exclude = [\"{ip}/32\"]");
        report.find(Code::ForeignAddress, ip.to_string(), evidence, mend);
    }
}

/// May a tunnel's local address be this one of the pool?
fn leases(pool: &Pool, address: Ipv4Addr) -> bool {
    let excluded = pool.exclude.iter().any(|range| range.contains(address));
    pool.purpose == Purpose::Termination && pool.contains(address) && !excluded
}

/// The tunnels that the kernel has a way for.
fn paths<'a>(host: &'a Host, tunnels: &'a [TunnelView]) -> impl Iterator<Item = (&'a TunnelView, &'a Path)> {
    let path = |tunnel: &'a TunnelView| Some((tunnel, host.observed.paths.get(&tunnel.remote?)?));
    tunnels.iter().filter_map(path)
}

fn is_ours(link: &Link) -> bool {
    link.name.starts_with(marks::LINK_PREFIX) && link.gre().is_some()
}

fn setting<'a>(host: &'a Host, name: &str) -> Option<&'a str> {
    host.settings.get(name).map(String::as_str)
}

/// For now, and for the next boot.
fn set(name: &str, value: u8) -> String {
    format!(
        "sysctl -w net.ipv4.{name}={value}; echo net.ipv4.{name}={value} >>/etc/sysctl.d/60-greyhound.conf"
    )
}

#[cfg(test)]
mod tests {
    use super::super::tests::{EDGE, TUNNEL, codes, declared, healthy};
    use super::*;
    use crate::model::{LinkKind, Rule, Scope};

    fn host(change: impl FnOnce(&mut Host)) -> Facts {
        let mut facts = healthy();
        change(facts.host.as_mut().unwrap());
        facts
    }

    #[test]
    fn a_remote_that_is_routed_into_one_of_our_tunnels_is_a_recursion() {
        let facts = host(|host| host.observed.paths.values_mut().for_each(|path| path.link = 7));
        let report = super::super::judge(&facts);
        assert_eq!(report.findings[0].about, "tunnel ams");
        assert!(
            report.findings[0].evidence.contains("203.0.113.1 for packets with mark 0x47 leaves by gh-ams")
        );
        // A tunnel of somebody else is a link like any other.
        let facts = host(|host| {
            host.observed.paths.values_mut().for_each(|path| path.link = 7);
            host.observed.links.values_mut().for_each(|link| link.name = format!("x{}", link.index));
        });
        assert!(codes(&facts).is_empty());
    }

    #[test]
    fn the_rule_for_outer_packets_must_be_there_while_there_are_routes() {
        assert_eq!(codes(&host(|host| host.observed.rules.clear())), ["recursion"]);
        let facts = host(|host| {
            host.observed.rules.clear();
            host.observed.routes.clear();
        });
        assert!(codes(&facts).is_empty());
        let other = |rule: Rule| Rule { priority: rule.priority + 1, ..rule };
        let facts =
            host(|host| host.observed.rules = host.observed.rules.iter().cloned().map(other).collect());
        assert_eq!(codes(&facts), ["recursion"]);
    }

    #[test]
    fn a_strict_filter_matters_where_a_route_covers_the_remote() {
        let strict = || host(|host| host.observed.paths.values_mut().for_each(|path| path.strict_rp = true));
        assert!(codes(&strict()).is_empty(), "10.20.0.0/16 does not cover it");
        let mut facts = strict();
        facts.status.as_mut().unwrap().tunnels[0].routes =
            vec!["203.0.0.0/8".to_owned(), "203.0.113.0/24".to_owned()];
        let report = super::super::judge(&facts);
        assert_eq!(report.findings[0].code, Code::RpFilterStrict);
        assert!(
            report.findings[0].evidence.starts_with("rp_filter is 1 on eth0 and 0 for all; 203.0.113.1, ")
        );
        assert!(report.findings[0].mend.starts_with("sysctl -w net.ipv4.conf.eth0.rp_filter=2; "));
    }

    #[test]
    fn an_edge_box_forwards() {
        let off = |names: &[&str]| {
            let set = |host: &mut Host| {
                for name in names {
                    host.settings.insert(format!("net.ipv4.{name}"), "0".to_owned());
                }
            };
            Facts { declaration: declared(EDGE), ..host(set) }
        };
        assert!(codes(&off(&[])).is_empty());
        assert_eq!(codes(&off(&["ip_forward", "conf.eth0.forwarding"])), ["forwarding-off"]);
        assert_eq!(codes(&off(&["conf.eth0.forwarding", "conf.gh-ams.forwarding"])), ["forwarding-off"; 2]);
        let facts = Facts { declaration: declared(TUNNEL), ..off(&["ip_forward"]) };
        assert!(codes(&facts).is_empty(), "who is no edge box need not");
    }

    #[test]
    fn an_address_of_our_pool_with_another_label_is_foreign() {
        let add = |address: &str, label: &str| {
            let found = Address {
                link: 2,
                address: address.parse().unwrap(),
                scope: Scope::Global,
                label: label.to_owned(),
                protocol: 0,
            };
            host(|host| host.observed.addresses.extend([found]))
        };
        let facts = add("198.51.100.9/32", "eth0");
        assert_eq!(codes(&facts), ["foreign-address"]);
        assert!(codes(&add("198.51.100.9/32", "lo:gh")).is_empty());
        assert!(codes(&add("198.51.100.99/32", "eth0")).is_empty());
        let excluded = TUNNEL.replace("15\"]", "15\"]\nexclude = [\"198.51.100.9/32\"]");
        assert!(codes(&Facts { declaration: declared(&excluded), ..facts }).is_empty());
    }

    #[test]
    fn without_a_declaration_the_rest_is_examined() {
        let report = super::super::judge(&Facts { declaration: Err("denied".to_owned()), ..healthy() });
        assert!(
            report.examined.contains(&Code::Recursion) && !report.examined.contains(&Code::ForwardingOff)
        );
        assert!(matches!(healthy().host.unwrap().observed.links[&7].kind, LinkKind::Gre(_)));
    }
}
