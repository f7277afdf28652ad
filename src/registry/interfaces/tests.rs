use super::super::testing::{NOW, Paper, code, device, pool};
use super::super::{devices, pools};
use super::*;
use crate::model::Used;

fn lo(device: &str, addresses: &[&str]) -> Interface {
    Interface {
        device: code(device),
        name: InterfaceName::new("lo").unwrap(),
        owner: "acme".to_owned(),
        addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
        tunnel_termination: true,
    }
}

fn two_devices() -> Paper {
    let mut paper = Paper::default();
    paper.change(|r| devices::put(r, &device("ams-1", &["198.51.100.8/29"]), NOW)).unwrap();
    paper.change(|r| devices::put(r, &device("fra-1", &["203.0.113.8/29"]), NOW)).unwrap();
    paper
}

#[test]
fn terminations_are_bootstrapped_all_or_none_and_once() {
    let mut paper = two_devices();
    let (ams, name) = (code("ams-1"), InterfaceName::new("lo").unwrap());
    paper.change(|r| put(r, &lo("ams-1", &["198.51.100.9"]), NOW)).unwrap();
    let made = paper.change(|r| bootstrap(r, (&ams, &name), 3, NOW)).unwrap();
    assert_eq!(
        made.addresses.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["198.51.100.8", "198.51.100.9", "198.51.100.10"]
    );
    assert_eq!(made.owner, "acme", "what it was otherwise stays");
    assert!(bootstrap(&paper.registry(), (&ams, &name), 3, NOW).unwrap().transaction.is_empty());
    let refused = paper.refused(|r| bootstrap(r, (&ams, &name), 9, NOW));
    assert!(refused.contains("6 asked (/32), 5 free"), "{refused}");
    assert_eq!(paper.registry().terminations_of(&ams).count(), 3);
}

#[test]
fn as_many_as_a_transaction_takes_come_and_go_at_once() {
    let mut paper = Paper::default();
    paper.change(|r| devices::put(r, &device("ams-1", &["198.51.100.0/24"]), NOW)).unwrap();
    let (ams, name) = (code("ams-1"), InterfaceName::new("lo").unwrap());
    paper.change(|r| bootstrap(r, (&ams, &name), 40, NOW)).unwrap();
    paper.change(|r| remove(r, "ams-1/lo", NOW)).unwrap();
    assert!(!bootstrap(&paper.registry(), (&ams, &name), 70, NOW).unwrap().transaction.fits());
}

#[test]
fn an_operator_pins_what_is_his() {
    let mut paper = two_devices();
    paper.change(|r| put(r, &lo("ams-1", &["198.51.100.15", "192.0.2.1"]), NOW)).unwrap();
    let registry = paper.registry();
    assert_eq!(registry.leases.keys().collect::<Vec<_>>(), ["198.51.100.15/32"], "192.0.2.1 is of no pool");
    assert_eq!(registry.terminations.len(), 2);
    paper.change(|r| put(r, &lo("ams-1", &["192.0.2.1"]), NOW)).unwrap();
    assert_eq!((paper.registry().leases.len(), paper.registry().terminations.len()), (0, 1));
}

#[test]
fn policy_refuses_what_is_not_his() {
    let mut paper = two_devices();
    let block = crate::model::SharedPool {
        carve: Some(24),
        ..pool("block", crate::model::Purpose::Termination, &["203.0.120.0/21"])
    };
    paper.change(|r| pools::put(r, &block, NOW)).unwrap();
    paper.change(|r| put(r, &lo("fra-1", &["192.0.2.9"]), NOW)).unwrap();
    let used = Used { prefix: "192.0.2.77/32".parse().unwrap(), note: "a multicast source".to_owned() };
    paper.change(|r| pools::import_used(r, std::slice::from_ref(&used))).unwrap();
    let cases = [
        ("203.0.113.8", "203.0.113.8 is of pool fra-1, which is for device fra-1"),
        ("192.0.2.9", "192.0.2.9 is a termination of interface fra-1/lo already"),
        ("192.0.2.77", "192.0.2.77 is used elsewhere (a multicast source)"),
        ("203.0.121.1", "203.0.121.1 is in block block"),
        ("127.0.0.1", "127.0.0.1 cannot be a termination"),
    ];
    for (address, why) in cases {
        let refused = paper.refused(|r| put(r, &lo("ams-1", &[address]), NOW));
        assert!(refused.contains(why), "{refused}");
    }
    let dangling = paper.refused(|r| put(r, &lo("lon-1", &["192.0.2.5"]), NOW));
    assert_eq!(
        dangling,
        "interface lon-1/lo refers to device lon-1, which is not in the inventory: add that first"
    );
}

#[test]
fn an_address_that_was_pinned_before_its_pool_was_there_is_passed_over() {
    let mut paper = Paper::default();
    paper.change(|r| devices::put(r, &device("ams-1", &[]), NOW)).unwrap();
    paper.change(|r| put(r, &lo("ams-1", &["203.0.113.0"]), NOW)).unwrap();
    paper.change(|r| pools::put(r, &pool("late", Purpose::Termination, &["203.0.113.0/29"]), NOW)).unwrap();
    let (ams, other) = (code("ams-1"), InterfaceName::new("lo1").unwrap());
    let made = paper.change(|r| bootstrap(r, (&ams, &other), 1, NOW)).unwrap();
    assert_eq!(made.addresses.first().unwrap().to_string(), "203.0.113.1");
}

#[test]
fn one_that_offers_none_may_have_any_address() {
    let mut paper = two_devices();
    let plain = Interface { tunnel_termination: false, ..lo("ams-1", &["10.0.0.1"]) };
    paper.change(|r| put(r, &plain, NOW)).unwrap();
    paper.change(|r| put(r, &Interface { device: code("fra-1"), ..plain }, NOW)).unwrap();
    assert_eq!(paper.registry().terminations.len(), 0);
}
