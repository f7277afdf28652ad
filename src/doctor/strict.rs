//! Reverse path filters that drop what belongs to a tunnel: on the links below tunnels, and on tunnels' own. Pure.

use std::collections::{BTreeMap, BTreeSet};

use ipnetwork::Ipv4Network;

use super::code::Code;
use super::facts::{Facts, Host};
use super::report::Report;
use super::settings::{set, set_of_tunnel};
use crate::api::dto::TunnelView;
use crate::model::{Route, kernel, marks, sysctl};

const KEY: &str = "rp_filter";
const LOOSE: u8 = 2;

pub fn judge(facts: &Facts, report: &mut Report) {
    let seen = facts.tunnels();
    let Some((host, tunnels)) = report.see(&[Code::RpFilterStrict], "", &seen) else { return };
    below(host, tunnels, report);
    // A VRF looks sources up in a table that is not looked at.
    for tunnel in tunnels.iter().filter(|tunnel| tunnel.vrf.is_none()) {
        own(host, tunnel, report);
    }
}

/// One finding for each link that drops what comes from remotes.
fn below(host: &Host, tunnels: &[TunnelView], report: &mut Report) {
    let into: BTreeMap<Ipv4Network, &str> = tunnels
        .iter()
        .filter(|tunnel| tunnel.vrf.is_none())
        .flat_map(|tunnel| routes(tunnel).map(|route| (route, tunnel.name.as_str())))
        .collect();
    let mut told = BTreeSet::new();
    for (tunnel, path) in host.paths(tunnels).filter(|(_, path)| path.strict_rp) {
        let Some((remote, link)) = tunnel.remote.zip(host.observed.links.get(&path.link)) else { continue };
        let Some(other) = kernel::covering(&into, remote, path) else { continue };
        if told.insert(path.link) {
            let evidence = format!(
                "{}; {remote}, the remote of {}, comes in there and is routed into tunnel {other}",
                values(host, &link.name),
                tunnel.name
            );
            let mend = set(&sysctl::of_link(&link.name, KEY), LOOSE);
            report.find(Code::RpFilterStrict, format!("link {}", link.name), evidence, mend);
        }
    }
}

/// What comes out of a tunnel is dropped there when packets go back to its source by another link.
fn own(host: &Host, tunnel: &TunnelView, report: &mut Report) {
    let value = |name: &str| host.setting(name)?.parse().ok();
    let link = &tunnel.link;
    if !sysctl::is_strict(link, value) {
        return;
    }
    let reason = if tunnel.groups.is_empty() {
        let Some((route, other)) = elsewhere(host, tunnel) else { return };
        format!("{route} is its route too, and packets there leave by {other}")
    } else {
        let groups = tunnel.groups.join(", ");
        format!("it receives {groups} and drops them when their sender is not routed into it")
    };
    let evidence = format!("{}; {reason}", values(host, link));
    let mend = set_of_tunnel(link, KEY, LOOSE);
    report.find(Code::RpFilterStrict, format!("link {link}"), evidence, mend);
}

/// A route of this tunnel for which, whole or in part, another link wins, and that link's name.
fn elsewhere<'a>(host: &'a Host, tunnel: &TunnelView) -> Option<(Ipv4Network, &'a str)> {
    let own = host.observed.link(&tunnel.link)?.index;
    let ours = || host.observed.routes.iter().filter(|route| route.table == marks::TABLE);
    let within = |wide: Ipv4Network, route: &Route| {
        wide.prefix() <= route.destination.prefix() && wide.contains(route.destination.network())
    };
    routes(tunnel).find_map(|wide| {
        let inside = ours().filter(|route| within(wide, route));
        // Of one destination the route with the lowest metric wins.
        let mut winners: BTreeMap<Ipv4Network, &Route> = BTreeMap::new();
        for route in inside {
            let best = winners.entry(route.destination).or_insert(route);
            if route.metric < best.metric {
                *best = route;
            }
        }
        let other = winners.into_values().filter_map(|route| route.link).find(|link| *link != own)?;
        Some((wide, host.named(other)))
    })
}

fn routes(tunnel: &TunnelView) -> impl Iterator<Item = Ipv4Network> {
    tunnel.routes.iter().filter_map(|route| route.parse().ok())
}

/// What is set for the link, and for all.
fn values(host: &Host, link: &str) -> String {
    let value = |of: &str| host.setting(&sysctl::of_link(of, KEY)).unwrap_or("?");
    format!("rp_filter is {} on {link} and {} for all", value(link), value("all"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{codes, healthy, host};
    use super::*;
    use crate::model::Link;

    fn strict(link: &str, change: impl FnOnce(&mut Host, &mut TunnelView)) -> Facts {
        let mut facts = healthy();
        let mut tunnel = facts.status.as_ref().unwrap().tunnels[0].clone();
        let host = facts.host.as_mut().unwrap();
        host.settings.insert(sysctl::of_link(link, KEY), "1".to_owned());
        change(host, &mut tunnel);
        facts.status.as_mut().unwrap().tunnels = vec![tunnel];
        facts
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
        assert!(report.findings[0].mend.starts_with("sysctl -w net/ipv4/conf/eth0/rp_filter=2; "));
    }

    #[test]
    fn a_link_with_a_dot_in_its_name_is_set_by_its_whole_name() {
        let mut facts = host(|host| {
            host.observed.paths.values_mut().for_each(|path| path.strict_rp = true);
            host.observed.links.get_mut(&2).unwrap().name = "eth0.100".to_owned();
        });
        facts.status.as_mut().unwrap().tunnels[0].routes = vec!["203.0.113.0/24".to_owned()];
        let mend = super::super::judge(&facts).findings.remove(0).mend;
        assert!(mend.starts_with("sysctl -w net/ipv4/conf/eth0.100/rp_filter=2; "), "{mend}");
    }

    #[test]
    fn a_tunnels_own_filter_matters_where_its_packets_go_back_by_another_link() {
        assert!(codes(&strict("gh-ams", |_, _| ())).is_empty(), "its route is its own");
        let groups = |_: &mut Host, tunnel: &mut TunnelView| tunnel.groups = vec!["239.1.1.1/32".to_owned()];
        let report = super::super::judge(&strict("all", groups));
        assert_eq!(report.findings.len(), 1, "{report:?}");
        assert_eq!(
            (report.findings[0].code, &*report.findings[0].about),
            (Code::RpFilterStrict, "link gh-ams")
        );
        assert!(report.findings[0].evidence.contains("it receives 239.1.1.1/32 and drops them"));
        assert!(report.findings[0].mend.starts_with("sysctl -w net/ipv4/conf/gh-ams/rp_filter=2 "));
        let loose = strict("gh-ams", |host, tunnel| {
            groups(host, tunnel);
            host.settings.insert(sysctl::of_link("all", KEY), "2".to_owned());
        });
        assert!(codes(&loose).is_empty(), "the larger holds");
    }

    #[test]
    fn a_route_that_another_tunnel_wins_goes_back_by_that_one() {
        let beside = |destination: &str, metric: u32| {
            strict("gh-ams", |host, _| {
                let link = host.observed.links[&7].clone();
                host.observed.links.insert(8, Link { index: 8, name: "gh-fra".to_owned(), ..link });
                let route = host.observed.routes.first().cloned().unwrap();
                let own = Route { metric: 10, ..route.clone() };
                let other =
                    Route { destination: destination.parse().unwrap(), metric, link: Some(8), ..route };
                host.observed.routes = [own, other].into();
            })
        };
        for (destination, metric, found) in [
            ("10.20.0.0/16", 5, true),
            ("10.20.0.0/16", 20, false),
            ("10.20.7.0/24", 20, true),
            ("10.0.0.0/8", 5, false),
            ("10.21.0.0/16", 5, false),
        ] {
            let report = super::super::judge(&beside(destination, metric));
            assert_eq!(!report.findings.is_empty(), found, "{destination} {metric}: {report:?}");
            let words = "10.20.0.0/16 is its route too, and packets there leave by gh-fra";
            assert!(report.findings.iter().all(|finding| finding.evidence.ends_with(words)), "{report:?}");
        }
    }
}
