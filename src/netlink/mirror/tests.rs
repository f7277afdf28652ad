//! What each kind of event changes, and what it puts in doubt.

use std::collections::BTreeSet;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};

use super::*;
use crate::model::marks::{ROUTE_PROTOCOL, TABLE};
use crate::model::{Link, LinkKind, Route, Rule};
use crate::netlink::answer::Answer;
use crate::netlink::{captured, event, fold, fold_link};

const NEWLINK: u16 = 16;
const DELLINK: u16 = 17;
const NEWADDR: u16 = 20;
const DELADDR: u16 = 21;
const NEWROUTE: u16 = 24;
const DELROUTE: u16 = 25;
const NEWRULE: u16 = 32;
const DELRULE: u16 = 33;

fn empty() -> Mirror {
    Mirror::new(Observed::default(), BTreeSet::new())
}

fn hear(mirror: &mut Mirror, kind: u16, flags: u16, payload: &[u8]) {
    event::fold(mirror, &Answer { kind, flags, sequence: 0, payload }).unwrap();
}

fn hear_hex(mirror: &mut Mirror, kind: u16, hex: &str) {
    hear(mirror, kind, NLM_F_EXCL | NLM_F_CREATE, &captured::bytes(hex));
}

/// A mirror with the captured link (ifindex 6, of ours by its group) under this ifindex.
fn with_link(index: u32) -> Mirror {
    let mut observed = Observed::default();
    let mut link = fold_link::link(&captured::bytes(captured::GRE)).unwrap();
    (link.index, link.master) = (index, None);
    observed.links.insert(index, link);
    Mirror::new(observed, BTreeSet::new())
}

fn said(mirror: &mut Mirror, link: Option<&str>) -> String {
    sentences(mirror, &link.map_or(Place::Elsewhere, |link| Place::Link(link.to_owned())))
}

fn sentences(mirror: &mut Mirror, place: &Place) -> String {
    mirror.take_causes().of(place).join("; ")
}

#[test]
fn a_link_comes_changes_and_goes() {
    let mut mirror = empty();
    hear_hex(&mut mirror, NEWLINK, captured::GRE);
    let link = mirror.observed().links.values().next().unwrap().clone();
    assert_eq!(said(&mut mirror, Some("b2")), "link b2 created");

    let revision = mirror.revision();
    hear_hex(&mut mirror, NEWLINK, captured::GRE);
    assert_eq!(mirror.revision(), revision, "the same again is no change");

    mirror.link(Link { group: 5, ..link.clone() });
    assert_eq!(said(&mut mirror, Some("b2")), "group of b2 26472 -> 5");
    assert!(!mirror.is_stale());

    mirror.link(Link { name: "b3".into(), ..link.clone() });
    assert!(said(&mut mirror, Some("b2")).contains("link b2 renamed b3"));

    hear_hex(&mut mirror, DELLINK, captured::GRE);
    assert_eq!(said(&mut mirror, Some("b3")), "link b3 deleted");
    assert_eq!(*mirror.observed(), Observed::default());
    assert!(!mirror.is_stale());
}

#[test]
fn every_parameter_of_a_tunnel_that_changes_is_told() {
    let mut mirror = with_link(6);
    let mut link = mirror.observed().links[&6].clone();
    let LinkKind::Gre(gre) = &mut link.kind else { panic!("no GRE link") };
    gre.remote = [10, 0, 0, 9].into();
    gre.ikey = None;
    gre.fwmark = 0;
    mirror.link(link);
    assert_eq!(
        said(&mut mirror, Some("b2")),
        "remote of b2 10.0.0.3 -> 10.0.0.9; ikey of b2 5 -> none; fwmark of b2 0x47 -> 0x0"
    );
}

#[test]
fn what_other_families_say_of_a_link_is_not_heard() {
    let mut mirror = with_link(6);
    let mut bridge = captured::bytes(captured::GRE);
    bridge[0] = 7;
    hear(&mut mirror, DELLINK, 0, &bridge);
    hear(&mut mirror, NEWLINK, 0, &bridge);
    assert!(mirror.observed().links.contains_key(&6));
    assert_eq!(mirror.revision(), 1);
}

#[test]
fn an_event_with_a_part_of_a_link_has_the_link_read() {
    let mut mirror = with_link(6);
    let header = captured::bytes(captured::GRE)[..16].to_vec();
    let mut wireless = header;
    wireless[4] = 6;
    hear(&mut mirror, NEWLINK, 0, &wireless);
    assert_eq!(mirror.revision(), 1);
    assert_eq!(mirror.needs().links, [6].into());
}

#[test]
fn an_event_that_cannot_be_read_is_an_error() {
    for (kind, payload) in [(NEWLINK, &[][..]), (NEWADDR, &[2, 3]), (NEWROUTE, &[2, 3]), (DELLINK, &[0])] {
        let event = Answer { kind, flags: 0, sequence: 0, payload };
        assert!(event::fold(&mut empty(), &event).is_err(), "{kind}");
    }
}

#[test]
fn a_link_that_goes_takes_all_that_is_on_it() {
    let mut mirror = with_link(6);
    hear_hex(&mut mirror, NEWADDR, captured::ADDRESS);
    let route = Route { link: Some(6), prefsrc: None, ..captured_route() };
    mirror.route(route, Arrival::Alone);
    hear_hex(&mut mirror, DELADDR, captured::ADDRESS);
    mirror.link_gone(6);
    assert_eq!(*mirror.observed(), Observed::default());
    assert_eq!(mirror.needs(), Needs::default());
    assert_eq!(said(&mut mirror, Some("b2")), "link b2 deleted");
}

#[test]
fn an_address_comes_and_goes() {
    let mut mirror = with_link(6);
    hear_hex(&mut mirror, NEWADDR, captured::ADDRESS);
    assert_eq!(mirror.observed().addresses.len(), 1);
    assert_eq!(said(&mut mirror, Some("b2")), "address 169.254.10.0/31 added to b2");
    assert!(!mirror.is_stale());

    hear_hex(&mut mirror, DELADDR, captured::ADDRESS);
    assert!(mirror.observed().addresses.is_empty());
    assert_eq!(said(&mut mirror, Some("b2")), "address 169.254.10.0/31 deleted from b2");
    assert_eq!(mirror.needs().closures.keys().copied().collect::<Vec<_>>(), [6]);
}

#[test]
fn an_address_of_a_link_that_is_not_known_has_the_link_read() {
    let mut mirror = empty();
    hear_hex(&mut mirror, NEWADDR, captured::ADDRESS);
    assert!(mirror.observed().addresses.is_empty());
    assert_eq!(mirror.needs().links, [6].into());
    mirror.link_read(6, None);
    assert!(!mirror.is_stale());
}

#[test]
fn an_address_that_goes_has_the_routes_read_that_prefer_it() {
    let mut mirror = with_link(5);
    mirror.route(captured_route(), Arrival::Alone);
    let mut other = fold::address(&captured::bytes(captured::ADDRESS)).unwrap().unwrap();
    (other.link, other.address) = (1, "10.4.4.4/32".parse().unwrap());
    mirror.address_gone(&other);
    assert_eq!(mirror.needs().closures, [(5, [TABLE].into())].into());
}

#[test]
fn a_route_comes_and_goes() {
    let mut mirror = with_link(5);
    hear_hex(&mut mirror, NEWROUTE, captured::ROUTE);
    assert_eq!(mirror.observed().routes, [captured_route()].into());
    assert_eq!(said(&mut mirror, Some("b2")), "route 10.9.0.0/16 added");
    hear_hex(&mut mirror, DELROUTE, captured::ROUTE);
    assert!(mirror.observed().routes.is_empty());
    assert_eq!(said(&mut mirror, Some("b2")), "route 10.9.0.0/16 deleted");
    hear_hex(&mut mirror, NEWROUTE, captured::BLACKHOLE);
    assert_eq!(said(&mut mirror, None), "route 10.11.0.0/16 of table 254 added");
    assert!(!mirror.is_stale());
}

#[test]
fn how_a_route_came_says_what_it_leaves_of_its_key() {
    let before = captured_route();
    let new = Route { prefsrc: None, ..before.clone() };
    let both: BTreeSet<Route> = [before.clone(), new.clone()].into();
    let alone: BTreeSet<Route> = [new.clone()].into();
    let cases = [
        (NLM_F_CREATE | NLM_F_EXCL, Arrival::Alone, &alone),
        (NLM_F_CREATE | NLM_F_REPLACE, Arrival::Replaces, &alone),
        (NLM_F_CREATE, Arrival::Beside, &both),
    ];
    for (flags, arrival, after) in cases {
        assert_eq!(event::arrival(flags), arrival);
        let mut mirror = with_link(5);
        mirror.route(before.clone(), Arrival::Alone);
        mirror.route(new.clone(), arrival);
        assert_eq!(mirror.observed().routes, *after, "{arrival:?}");
        assert!(!mirror.is_stale(), "{arrival:?}");
    }
}

#[test]
fn which_of_several_was_replaced_has_to_be_read() {
    let mut mirror = with_link(5);
    let route = |prefsrc: u8| Route { prefsrc: Some([10, 4, 4, prefsrc].into()), ..captured_route() };
    mirror.route(route(1), Arrival::Alone);
    mirror.route(route(2), Arrival::Beside);
    mirror.route(route(3), Arrival::Replaces);
    assert!(mirror.needs().routes);
    mirror.routes_read([route(2), route(3)].into());
    assert_eq!(mirror.observed().routes, [route(2), route(3)].into());
    assert!(!mirror.is_stale());
}

#[test]
fn a_foreign_route_matters_only_where_it_can_take_the_place_of_ours() {
    let ours = Route { table: 254, ..captured_route() };
    let foreign = |destination: &str, replaces| Foreign {
        table: 254,
        destination: destination.parse().unwrap(),
        replaces,
    };
    let cases = [("10.9.0.0/16", true, true), ("10.9.0.0/16", false, false), ("10.9.0.0/17", true, false)];
    for (destination, replaces, stale) in cases {
        let mut mirror = with_link(5);
        mirror.route(ours.clone(), Arrival::Alone);
        let revision = mirror.revision();
        mirror.foreign_route(foreign(destination, replaces));
        assert_eq!((mirror.is_stale(), mirror.revision()), (stale, revision), "{destination} {replaces}");
    }
}

#[test]
fn a_link_that_goes_down_has_its_routes_read_in_their_tables() {
    let mut mirror = with_link(5);
    mirror.route(captured_route(), Arrival::Alone);
    mirror.route(Route { table: 900, ..captured_route() }, Arrival::Alone);
    let link = mirror.observed().links[&5].clone();
    mirror.link(Link { up: false, ..link });
    let needs = mirror.needs();
    assert_eq!(needs.closures, [(5, [900, TABLE].into())].into());
    assert!(!needs.routes);
    mirror.take_causes();
    mirror.closure_read(5, &BTreeSet::new(), &[900, TABLE].into(), &BTreeSet::new());
    assert!(mirror.observed().routes.is_empty());
    let sentence = "route 10.9.0.0/16 of table 900 deleted; route 10.9.0.0/16 deleted";
    assert_eq!(said(&mut mirror, Some("b2")), sentence);
}

#[test]
fn a_route_over_several_links_is_read_when_one_of_them_goes() {
    let several = Route { link: None, prefsrc: None, ..captured_route() };
    let mut mirror = with_link(5);
    mirror.route(several, Arrival::Alone);
    mirror.link_gone(5);
    assert!(mirror.needs().routes);
}

#[test]
fn rules_come_and_go() {
    let mut mirror = empty();
    hear_hex(&mut mirror, NEWRULE, captured::RULE_MARK);
    assert_eq!(mirror.observed().rules.len(), 1);
    assert_eq!(said(&mut mirror, None), "rule 4700 lookup 254 added");
    assert!(!mirror.is_stale());
    hear_hex(&mut mirror, DELRULE, captured::RULE_MARK);
    assert!(mirror.observed().rules.is_empty());
    assert_eq!(said(&mut mirror, None), "rule 4700 lookup 254 deleted");
    assert!(mirror.needs().rules, "an equal one can be left");
}

#[test]
fn a_full_look_tells_what_no_event_told() {
    let mut mirror = with_link(5);
    mirror.route(captured_route(), Arrival::Alone);
    mirror.take_causes();
    let mut observed = mirror.observed().clone();
    observed.routes.clear();
    observed.links.get_mut(&5).unwrap().group = 1;
    let revision = mirror.revision();
    mirror.doubt_everything();
    mirror.replace(observed.clone());
    assert_eq!(*mirror.observed(), observed);
    assert!(!mirror.is_stale() && mirror.revision() > revision);
    assert_eq!(said(&mut mirror, Some("b2")), "group of b2 26472 -> 1; route 10.9.0.0/16 deleted");

    let revision = mirror.revision();
    mirror.replace(observed);
    assert_eq!(mirror.revision(), revision);
    assert_eq!(mirror.take_causes(), Causes::default());
}

#[test]
fn a_foreign_storm_leaves_room_for_what_is_ours() {
    let mut mirror = empty();
    for number in 0..5000 {
        let mut foreign = fold_link::link(&captured::bytes(captured::LOOPBACK)).unwrap();
        (foreign.index, foreign.name) = (100 + number, format!("veth{number}"));
        mirror.link(foreign);
    }
    hear_hex(&mut mirror, NEWLINK, captured::GRE);
    let causes = mirror.take_causes();
    assert_eq!(causes.of(&Place::Link("b2".to_owned())), ["link b2 created"]);
    assert!(causes.places() < 300);
}

/// By link 5, in our table.
fn captured_route() -> Route {
    let route = fold::route(&captured::bytes(captured::ROUTE)).unwrap().unwrap();
    assert_eq!((route.link, route.table, route.protocol), (Some(5), TABLE, ROUTE_PROTOCOL));
    route
}

#[test]
fn an_equal_rule_that_is_left_is_found_again() {
    let rule: Rule = fold::rule(&captured::bytes(captured::RULE_MARK)).unwrap();
    let mut mirror = empty();
    mirror.rule(rule.clone());
    mirror.rule_gone(&rule);
    mirror.replace_rules(&[rule.clone()].into());
    assert_eq!(mirror.observed().rules, [rule].into());
    assert!(!mirror.is_stale());
}
