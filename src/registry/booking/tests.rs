use std::time::Duration;

use super::super::testing::{NOW, Paper, stocked};
use super::*;
use crate::model::Sharing;

const MS: Duration = Duration::from_millis(1);

fn booking(kind: Kind) -> Booking {
    // ams-1 is nearest with .8, then .9; fra-1 is 20 ms farther.
    let measured = [("198.51.100.8", 1), ("198.51.100.9", 2), ("203.0.113.8", 21), ("203.0.113.9", 22)];
    Booking {
        host: HostName::new("host-1").unwrap(),
        name: None,
        kind,
        device: None,
        termination: None,
        publish: BTreeSet::new(),
        subscribe: BTreeSet::new(),
        underlay: Underlay { bound: [192, 0, 2, 51].into(), public: None },
        near: Near::default(),
        measured: measured.into_iter().map(|(address, ms)| (address.parse().unwrap(), MS * ms)).collect(),
        names: BTreeSet::new(),
    }
}

fn booked(paper: &mut Paper, booking: &Booking) -> Result<String, Vec<String>> {
    let booked = paper.change(|registry| book(registry, booking, NOW)).unwrap();
    let shown = booked.map(|session| format!("{} {} {}", session.name, session.device, session.termination));
    shown.map_err(|rejected| rejected.iter().map(ToString::to_string).collect())
}

#[test]
fn the_first_gets_the_nearest_and_the_second_the_next_of_the_same_device() {
    let mut paper = stocked(Sharing::Exclusive);
    assert_eq!(booked(&mut paper, &booking(Kind::Unicast)), Ok("unicast ams-1 198.51.100.8".to_owned()));
    assert_eq!(booked(&mut paper, &booking(Kind::Multicast)), Ok("multicast ams-1 198.51.100.9".to_owned()));
    let why = booked(&mut paper, &booking(Kind::Unicast)).unwrap_err();
    assert_eq!(
        why,
        [
            "ams-1: device ams-1 has no termination that is free for 192.0.2.51",
            "fra-1 203.0.113.8: it is 20.0 ms farther than the best",
            "fra-1 203.0.113.9: it is 21.0 ms farther than the best",
        ]
    );
    let near = Booking { near: Near(MS * 30), ..booking(Kind::Unicast) };
    assert_eq!(booked(&mut paper, &near), Ok("unicast-2 fra-1 203.0.113.8".to_owned()));
}

#[test]
fn a_name_that_the_host_has_is_not_taken_and_one_that_is_given_is_kept() {
    let mut paper = stocked(Sharing::Exclusive);
    let names = [TunnelName::new("unicast").unwrap()].into();
    let beside = Booking { names, ..booking(Kind::Unicast) };
    assert_eq!(booked(&mut paper, &beside), Ok("unicast-2 ams-1 198.51.100.8".to_owned()));
    let named = Booking { name: Some(TunnelName::new("mine").unwrap()), ..booking(Kind::Unicast) };
    assert_eq!(booked(&mut paper, &named), Ok("mine ams-1 198.51.100.9".to_owned()));
    // Asked again, it is the same session: nothing else is taken.
    assert_eq!(booked(&mut paper, &named), Ok("mine ams-1 198.51.100.9".to_owned()));
    let other = Booking { kind: Kind::Multicast, ..named };
    let refused = paper.refused(|registry| book(registry, &other, NOW));
    assert!(refused.contains("session host-1/mine is there already, and another: unicast to device ams-1"));
}

#[test]
fn who_does_not_answer_is_never_chosen() {
    let mut paper = stocked(Sharing::Exclusive);
    let deaf = Booking { measured: Measured::new(), ..booking(Kind::Unicast) };
    let why = booked(&mut paper, &deaf).unwrap_err();
    assert_eq!(why.len(), 4);
    assert!(why.iter().all(|why| why.ends_with("nobody answers there, or it was not probed yet")), "{why:?}");
}

#[test]
fn what_holds_for_all_is_an_error_and_nothing_is_taken() {
    let paper = stocked(Sharing::Exclusive);
    let groups = Booking { publish: [[239, 0, 0, 1].into()].into(), ..booking(Kind::Unicast) };
    assert_eq!(
        paper.refused(|registry| book(registry, &groups, NOW)),
        "a unicast session has no groups: ask for a multicast one"
    );
}
