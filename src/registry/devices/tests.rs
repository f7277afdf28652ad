use super::super::testing::{NOW, Paper, code, device, pool, pool_name};
use super::super::{Draft, interfaces};
use super::*;
use crate::model::{DeviceStatus, Interface, InterfaceName};

#[test]
fn registering_is_idempotent_and_leaves_what_operators_decide() {
    let mut paper = Paper::default();
    let pending = Device { status: DeviceStatus::Pending, ..device("ams-1", &["198.51.100.8/29"]) };
    let registered = paper.change(|r| register(r, &pending, NOW)).unwrap();
    assert_eq!((registered.capacity, registered.warnings), (8, vec![]));
    let again = register(&paper.registry(), &pending, NOW + 5).unwrap();
    assert!(again.transaction.is_empty());

    let decided = Device { status: DeviceStatus::Activated, max_sessions: Some(3), ..pending.clone() };
    paper.change(|r| put(r, &decided, NOW)).unwrap();
    let moved = Device { location: "Delft".to_owned(), ..pending };
    let registered = paper.change(|r| register(r, &moved, NOW)).unwrap().device;
    assert_eq!((registered.status, registered.max_sessions), (DeviceStatus::Activated, Some(3)));
    assert_eq!(registered.location, "Delft");
}

#[test]
fn its_prefixes_are_its_pool_and_more_can_be_added() {
    let mut paper = Paper::default();
    paper.change(|r| put(r, &device("ams-1", &["198.51.100.8/29"]), NOW)).unwrap();
    let registered =
        paper.change(|r| put(r, &device("ams-1", &["198.51.100.8/29", "203.0.113.4/30"]), NOW)).unwrap();
    assert_eq!(registered.capacity, 12);
    let warning = "203.0.113.4-203.0.113.7 has 4 usable address(es): contribute a /29 (8) or more";
    assert_eq!(registered.warnings, [warning]);
    let registry = paper.registry();
    let pool = registry.pool(&pool_name("ams-1")).unwrap();
    assert_eq!((pool.pool.ranges.len(), &pool.device), (2, &Some(code("ams-1"))));
}

#[test]
fn prefixes_overlap_nothing_and_cover_what_is_leased() {
    let mut paper = Paper::default();
    paper.change(|r| put(r, &device("ams-1", &["198.51.100.8/29"]), NOW)).unwrap();
    let lo = InterfaceName::new("lo").unwrap();
    paper.change(|r| interfaces::bootstrap(r, (&code("ams-1"), &lo), 2, NOW)).unwrap();
    let overlaps = paper.refused(|r| put(r, &device("fra-1", &["198.51.100.0/24"]), NOW));
    assert!(overlaps.contains("overlaps 198.51.100.8-198.51.100.15 of pool ams-1"), "{overlaps}");
    let uncovered = paper.refused(|r| put(r, &device("ams-1", &["203.0.113.0/29"]), NOW));
    assert!(
        uncovered.contains("would no longer cover lease 198.51.100.8/32 of interface/ams-1/lo"),
        "{uncovered}"
    );
    let none = paper.refused(|r| put(r, &device("ams-1", &[]), NOW));
    assert!(none.contains("pool ams-1 cannot be removed: lease 198.51.100.8/32 refers to it"), "{none}");
}

#[test]
fn what_is_on_a_device_goes_before_it() {
    let mut paper = Paper::default();
    paper.change(|r| put(r, &device("ams-1", &["198.51.100.8/29"]), NOW)).unwrap();
    let lo = Interface {
        device: code("ams-1"),
        name: InterfaceName::new("lo").unwrap(),
        owner: String::new(),
        addresses: Default::default(),
        tunnel_termination: false,
    };
    paper.change(|r| interfaces::put(r, &lo, NOW)).unwrap();
    let refused = paper.refused(|r| remove(r, &code("ams-1")));
    assert_eq!(refused, "device ams-1 cannot be removed: interface ams-1/lo refers to it; remove that first");
    paper.change(|r| interfaces::remove(r, "ams-1/lo", NOW)).unwrap();
    paper.change(|r| remove(r, &code("ams-1"))).unwrap();
    let kept = paper.0.rows.iter().filter(|row| row.name.kind != Kind::Fence).count();
    assert_eq!(kept, 0, "{:?}", paper.0.rows);
}

#[test]
fn a_pool_of_another_sort_keeps_its_name() {
    let mut paper = Paper::default();
    paper.change(|r| pools::put(r, &pool("ams-1", Purpose::Client, &["203.0.113.0/29"]), NOW)).unwrap();
    let refused = paper.refused(|r| put(r, &device("ams-1", &["198.51.100.8/29"]), NOW));
    assert!(refused.contains("pool ams-1 is there already"), "{refused}");
}

#[test]
fn fields_of_a_later_greyhound_are_kept() {
    let mut paper = Paper::default();
    paper.change(|r| put(r, &device("ams-1", &[]), NOW)).unwrap();
    paper.0.rows.iter_mut().find(|row| row.name.kind == Kind::Device).unwrap().value["rack"] = "7b".into();
    let suspended = Device { status: DeviceStatus::Suspended, ..device("ams-1", &[]) };
    paper.change(|r| put(r, &suspended, NOW)).unwrap();
    let row = paper.0.rows.iter().find(|row| row.name.kind == Kind::Device).unwrap();
    assert_eq!((&row.value["rack"], &row.value["status"]), (&"7b".into(), &"suspended".into()));
}

#[test]
fn two_who_write_at_once_do_not_undo_each_other() {
    let mut paper = Paper::default();
    paper.change(|r| put(r, &device("ams-1", &[]), NOW)).unwrap();
    let before = paper.registry();
    let interface = Interface {
        device: code("ams-1"),
        name: InterfaceName::new("lo").unwrap(),
        owner: String::new(),
        addresses: Default::default(),
        tunnel_termination: false,
    };
    let mut draft = Draft::new(&before);
    draft.put(&interface);
    let adds = draft.finish().unwrap();
    let removes = remove(&before, &code("ams-1")).unwrap().transaction;
    let (mut one, mut other) = (paper.clone(), paper);
    assert!(one.commit(&adds) && !one.commit(&removes));
    assert!(other.commit(&removes) && !other.commit(&adds));
}
