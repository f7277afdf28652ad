//! What becomes of a link, its addresses and routes, and the rules: as asked for, by iproute2's word.

use super::netlink_kit::{
    address, apply_all, apply_on, desired, expect, inside, ip, ip_json, links_of_ip, name, observe, route,
    rule, tuple,
};
use crate::support::needs::VRF;
use crate::support::scenario::{Scenario, scenario};
use crate::support::{Result, World};
use greyhound::model::marks::{ADDRESS_PROTOCOL, FWMARK, ROUTE_PROTOCOL, TABLE};
use greyhound::model::{Rule, Scope, Tos, Ttl};
use greyhound::netlink::Netlink;
use greyhound::plan::Step;
use std::collections::BTreeSet;

pub const SCENARIOS: &[Scenario] = &[
    scenario!(a_link_gets_every_attribute_and_keeps_its_index_when_they_change).needs(&[VRF]),
    scenario!(a_tunnel_link_has_no_ipv6_addresses_and_no_ipv6_routes),
    scenario!(a_link_too_small_for_ipv6_is_made_all_the_same),
    scenario!(a_link_is_renamed_in_place),
    scenario!(addresses_and_routes_and_rules_are_as_asked_for),
];

fn a_link_gets_every_attribute_and_keeps_its_index_when_they_change(world: &World) -> Result<()> {
    inside(world, || {
        ip("link add vrf-in type vrf table 900");
        ip("link set vrf-in up");
        let mut netlink = Netlink::open().unwrap();
        let plain = desired("gh-x", tuple(1, 1, None));
        let mut other = desired("gh-x", tuple(2, 2, Some(0)));
        other.gre.okey = Some(7);
        other.gre.iflags = 0x8000;
        other.gre.oflags = 0x1000;
        other.gre.ttl = Ttl::Fixed(9);
        other.gre.tos = Tos::Fixed(0xb8);
        other.gre.pmtudisc = false;
        other.gre.ignore_df = true;
        other.gre.fwmark = 0x99;
        other.mtu = 1300;
        other.multicast = true;
        other.vrf = Some(name("vrf-in"));
        let mut inherit = desired("gh-x", tuple(0, 3, None));
        (inherit.gre.ttl, inherit.gre.tos, inherit.gre.fwmark) = (Ttl::Inherit, Tos::Inherit, 0);
        inherit.mtu = 900;

        let forms = [&plain, &other, &inherit, &plain];
        apply_all(&mut netlink, [Step::CreateLink(plain.clone())]);
        let index = expect(&mut netlink, &plain).index;
        for form in forms.iter().chain(forms.iter().rev()) {
            let step = Step::ChangeLink { index, link: (*form).clone(), differences: vec![] };
            apply_all(&mut netlink, [step]);
            assert_eq!(expect(&mut netlink, form).index, index, "changed in place");
        }
        for form in forms {
            let index = observe(&mut netlink).link("gh-x").unwrap().index;
            apply_all(&mut netlink, [Step::RecreateLink { index, link: form.clone(), differences: vec![] }]);
            assert_ne!(expect(&mut netlink, form).index, index, "made anew");
        }
        let index = observe(&mut netlink).link("gh-x").unwrap().index;
        apply_all(&mut netlink, [Step::DeleteLink { index, name: "gh-x".into() }]);
        assert!(!links_of_ip().contains_key("gh-x"));
        assert!(observe(&mut netlink).link("gh-x").is_none());
    })
}

fn a_tunnel_link_has_no_ipv6_addresses_and_no_ipv6_routes(world: &World) -> Result<()> {
    inside(world, || {
        let mut netlink = Netlink::open().unwrap();
        apply_all(&mut netlink, [Step::CreateLink(desired("gh-x", tuple(1, 1, None)))]);
        assert!(observe(&mut netlink).link("gh-x").unwrap().addrgen_none);
        assert_eq!(ip("-6 addr show dev gh-x"), "");
        assert!(!ip("-6 route show table all").contains("fe80::/64 dev gh-x"));
    })
}

fn a_link_too_small_for_ipv6_is_made_all_the_same(world: &World) -> Result<()> {
    inside(world, || {
        let mut netlink = Netlink::open().unwrap();
        let mut link = desired("gh-x", tuple(1, 1, None));
        link.mtu = 1000;
        apply_all(&mut netlink, [Step::CreateLink(link.clone())]);
        expect(&mut netlink, &link);
        link.mtu = 1476;
        let index = observe(&mut netlink).link("gh-x").unwrap().index;
        apply_all(&mut netlink, [Step::ChangeLink { index, link: link.clone(), differences: vec![] }]);
        assert!(observe(&mut netlink).link("gh-x").unwrap().addrgen_none);
    })
}

fn a_link_is_renamed_in_place(world: &World) -> Result<()> {
    inside(world, || {
        let mut netlink = Netlink::open().unwrap();
        apply_all(&mut netlink, [Step::CreateLink(desired("gh-old", tuple(1, 1, None)))]);
        let index = observe(&mut netlink).link("gh-old").unwrap().index;
        let link = desired("gh-new", tuple(1, 1, None));
        let steps = [
            Step::ChangeLink { index, link: link.clone(), differences: vec![] },
            Step::AddAddress(address("gh-new", "169.254.10.0/31", Scope::Link, "gh-new")),
        ];
        apply_all(&mut netlink, steps);
        assert_eq!(expect(&mut netlink, &link).index, index);
    })
}

fn addresses_and_routes_and_rules_are_as_asked_for(world: &World) -> Result<()> {
    inside(world, || {
        ip("link set lo up");
        let mut netlink = Netlink::open().unwrap();
        let addresses = [
            address("gh-x", "169.254.10.0/31", Scope::Link, "gh-x"),
            address("gh-x", "10.20.30.40/32", Scope::Global, "gh-x"),
            address("lo", "198.51.100.8/32", Scope::Global, "lo:gh"),
        ];
        let routes = [
            route("10.20.0.0/16", Some("10.20.30.40"), 0, TABLE),
            route("0.0.0.0/0", None, 77, TABLE),
            route("10.21.0.0/16", None, 5, 254),
        ];
        let mark = Some((FWMARK, u32::MAX));
        let rules = [
            Rule { fwmark: mark, ..rule(4700, 254) },
            Rule { invert: true, fwmark: mark, suppress_prefixlength: Some(0), ..rule(4701, TABLE) },
            rule(4703, TABLE),
        ];
        let mut steps = vec![Step::CreateLink(desired("gh-x", tuple(1, 1, None)))];
        steps.extend(addresses.iter().cloned().map(Step::AddAddress));
        steps.extend(routes.iter().cloned().map(Step::AddRoute));
        steps.extend(rules.iter().cloned().map(Step::AddRule));
        apply_all(&mut netlink, steps.clone());

        let seen = ip_json("addr show");
        let witness = |device: &str, ip: &str| {
            let device = seen.iter().find(|link| link["ifname"] == device).unwrap();
            let address = device["addr_info"].as_array().unwrap().iter().find(|a| a["local"] == ip).unwrap();
            (address["scope"].clone(), address["label"].clone(), address["prefixlen"].clone())
        };
        assert_eq!(witness("gh-x", "169.254.10.0"), ("link".into(), "gh-x".into(), 31.into()));
        assert_eq!(witness("gh-x", "10.20.30.40"), ("global".into(), "gh-x".into(), 32.into()));
        assert_eq!(witness("lo", "198.51.100.8"), ("global".into(), "lo:gh".into(), 32.into()));
        let table = ip(&format!("route show table {TABLE}"));
        assert!(table.contains("10.20.0.0/16 dev gh-x proto 147 scope link src 10.20.30.40"), "{table}");
        assert!(table.contains("default dev gh-x proto 147 scope link metric 77"), "{table}");
        assert!(ip("route show").contains("10.21.0.0/16 dev gh-x proto 147 scope link metric 5"));
        let listed = ip("rule");
        assert!(listed.contains("4700:\tfrom all fwmark 0x47 lookup main proto 147"), "{listed}");
        let inverted = "4701:\tnot from all fwmark 0x47 lookup 4700 suppress_prefixlength 0 proto 147";
        assert!(listed.contains(inverted), "{listed}");

        let observed = observe(&mut netlink);
        let index = observed.link("gh-x").unwrap().index;
        let owned: BTreeSet<_> = observed
            .addresses
            .iter()
            .filter(|address| address.protocol == ADDRESS_PROTOCOL)
            .cloned()
            .collect();
        let named = |link: u32| name(&observed.links[&link].name);
        assert_eq!(owned.iter().map(|a| a.named(named(a.link))).collect::<BTreeSet<_>>(), addresses.into());
        let back: BTreeSet<_> = observed.routes.iter().map(|r| r.named(r.link.map(named))).collect();
        assert_eq!(back, routes.into());
        for rule in &rules {
            assert!(observed.rules.contains(rule), "{rule:?}");
        }
        assert!(observed.rules.iter().any(|rule| rule.priority == 32766 && !rule.exotic));

        let mut removals: Vec<_> = rules.iter().cloned().map(Step::DeleteRule).collect();
        removals.extend(observed.routes.iter().cloned().map(Step::DeleteRoute));
        removals.extend(owned.iter().cloned().map(Step::DeleteAddress));
        removals.push(Step::DeleteLink { index, name: "gh-x".into() });
        apply_all(&mut netlink, removals.clone());
        let after = observe(&mut netlink);
        assert!(after.routes.is_empty() && after.links.len() == observed.links.len() - 1);
        assert!(after.rules.iter().all(|rule| rule.protocol != ROUTE_PROTOCOL));
        assert!(after.addresses.iter().all(|address| address.protocol != ADDRESS_PROTOCOL));
        // Once more on what is gone: the end is reached already.
        for (step, result) in removals.iter().zip(apply_on(&mut netlink, removals.clone(), &observed)) {
            result.unwrap_or_else(|error| panic!("{step:?}: {error}"));
        }
    })
}
