//! Routes, rules and forwarding of this host. Pure.

use std::collections::BTreeSet;

use super::code::Code;
use super::facts::{Facts, Host, Seen};
use super::report::Report;
use super::settings::{set, set_of_tunnel};
use crate::api::dto::TunnelView;
use crate::model::{Link, Role, marks, sysctl};

const FORWARDING: &str = "forwarding";

pub fn judge(facts: &Facts, report: &mut Report) {
    let seen = facts.tunnels();
    if let Some((host, tunnels)) = report.see(&[Code::Recursion], "", &seen) {
        recursion(host, tunnels, report);
    }
    let seen = facts.declared();
    if let Some((host, config)) = report.see(&[Code::ForwardingOff], "", &seen)
        && matches!(config.role, Role::Edge(_))
    {
        let tunnels = facts.status.as_ref().map(|status| &status.tunnels[..]).unwrap_or_default();
        forwarding(host, tunnels, report);
        filtered(&facts.forward, report);
    }
}

fn recursion(host: &Host, tunnels: &[TunnelView], report: &mut Report) {
    let Host { observed, settings: _ } = host;
    for (tunnel, path) in host.paths(tunnels) {
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

fn forwarding(host: &Host, tunnels: &[TunnelView], report: &mut Report) {
    let off = |name: &str| host.setting(name) == Some("0");
    let mut find = |about: String, name: &str, mend: String| {
        let evidence = format!("{name} is 0, and this host is an edge box");
        report.find(Code::ForwardingOff, about, evidence, mend);
    };
    if off(sysctl::FORWARD) {
        return find(String::new(), sysctl::FORWARD, set(sysctl::FORWARD, 1));
    }
    let outer: BTreeSet<&str> = host.paths(tunnels).map(|(_, path)| host.named(path.link)).collect();
    let inner: BTreeSet<&str> = tunnels.iter().map(|tunnel| tunnel.link.as_str()).collect();
    for link in outer.union(&inner) {
        let name = sysctl::of_link(link, FORWARDING);
        if off(&name) {
            let mend = if inner.contains(link) { set_of_tunnel(link, FORWARDING, 1) } else { set(&name, 1) };
            find(format!("link {link}"), &name, mend);
        }
    }
}

/// What the rules of such a chain let pass is not worked out.
fn filtered(forward: &Seen<Vec<String>>, report: &mut Report) {
    let codes = [Code::ForwardingOff];
    match forward {
        Err(why) => report.not(&codes, "by packet filters", why),
        Ok(chains) => {
            for chain in chains {
                let why = format!(
                    "what its rules do not let pass is dropped, and they were not examined: nft list chain {chain}"
                );
                report.not(&codes, &format!("by chain {chain}"), &why);
            }
        }
    }
}

fn is_ours(link: &Link) -> bool {
    link.name.starts_with(marks::LINK_PREFIX) && link.gre().is_some()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{EDGE, TUNNEL, codes, declared, healthy, host};
    use super::*;
    use crate::model::{LinkKind, Rule};

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
    fn an_edge_box_forwards() {
        let off = |names: &[&str]| {
            let set = |host: &mut Host| {
                for name in names {
                    host.settings.insert(format!("net/ipv4/{name}"), "0".to_owned());
                }
            };
            Facts { declaration: declared(EDGE), ..host(set) }
        };
        assert!(codes(&off(&[])).is_empty());
        assert_eq!(codes(&off(&["ip_forward", "conf/eth0/forwarding"])), ["forwarding-off"]);
        assert_eq!(codes(&off(&["conf/eth0/forwarding", "conf/gh-ams/forwarding"])), ["forwarding-off"; 2]);
        let facts = Facts { declaration: declared(TUNNEL), ..off(&["ip_forward"]) };
        assert!(codes(&facts).is_empty(), "who is no edge box need not");
    }

    #[test]
    fn a_chain_that_drops_by_policy_is_told_to_an_edge_box() {
        let forward = || Ok(vec!["ip filter FORWARD".to_owned()]);
        let facts = Facts { declaration: declared(EDGE), forward: forward(), ..healthy() };
        let report = super::super::judge(&facts);
        assert!(report.findings.is_empty(), "{report:?}");
        let told = report.unexamined.first().unwrap();
        assert_eq!((told.code, &*told.about), (Code::ForwardingOff, "by chain ip filter FORWARD"));
        assert!(told.why.ends_with(": nft list chain ip filter FORWARD"), "{}", told.why);
        let report = super::super::judge(&Facts { forward: forward(), ..healthy() });
        assert!(report.unexamined.is_empty(), "who is no edge box need not forward");
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
