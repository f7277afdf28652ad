use super::super::devices;
use super::super::sessions;
use super::super::testing::{NOW, Paper, ask, code, device, stocked};
use super::*;
use crate::model::Sharing;

const MS: Duration = Duration::from_millis(1);

/// ams-1 has .8 and .9 of 198.51.100.0/24, fra-1 those of 203.0.113.0/24; each figure in milliseconds.
fn measured(figures: [Option<u32>; 4]) -> Measured {
    let [ams, fra] = [[198, 51, 100], [203, 0, 113]];
    let addresses = [ams, fra].into_iter().flat_map(|[a, b, c]| [8, 9].map(|d| Ipv4Addr::new(a, b, c, d)));
    addresses.zip(figures).filter_map(|(address, ms)| Some((address, MS * ms?))).collect()
}

fn chosen(paper: &Paper, figures: [Option<u32>; 4]) -> Choice {
    let host = HostName::new("host-1").unwrap();
    let client = [192, 0, 2, b'1'].into();
    let wish = Wish { host: &host, client, device: None, termination: None, within: MS * 5 };
    choose(&paper.registry(), &wish, &measured(figures))
}

fn offers(choice: &Choice) -> Vec<String> {
    choice.offers.iter().map(|offer| offer.termination.to_string()).collect()
}

#[test]
fn the_nearest_of_all_comes_first_and_what_is_too_far_not_at_all() {
    let choice = chosen(&stocked(Sharing::Exclusive), [Some(9), Some(10), Some(20), Some(8)]);
    assert_eq!(offers(&choice), ["203.0.113.9", "203.0.113.8", "198.51.100.8", "198.51.100.9"]);
    let choice = chosen(&stocked(Sharing::Exclusive), [Some(1), Some(2), Some(20), Some(8)]);
    assert_eq!(offers(&choice), ["198.51.100.8", "198.51.100.9"]);
    let far: Vec<_> = choice.rejected.iter().map(|rejected| rejected.why.clone()).collect();
    assert_eq!(far, [Why::TooFar(MS * 7), Why::TooFar(MS * 19)]);
}

#[test]
fn a_second_tunnel_takes_the_next_best_of_the_same_device_however_far() {
    let mut paper = stocked(Sharing::Exclusive);
    paper.change(|r| sessions::request(r, &ask("host-1", "uni", "ams-1"), NOW)).unwrap();
    let choice = chosen(&paper, [Some(1), Some(30), Some(4), Some(5)]);
    assert_eq!(offers(&choice), ["198.51.100.9", "203.0.113.8", "203.0.113.9"]);
    assert_eq!(choice.rejected[0].why, Why::Taken);
}

#[test]
fn with_none_left_there_only_what_is_near_the_best_is_offered() {
    let mut paper = stocked(Sharing::Exclusive);
    for name in ["one", "two"] {
        paper.change(|r| sessions::request(r, &ask("host-1", name, "ams-1"), NOW)).unwrap();
    }
    assert_eq!(offers(&chosen(&paper, [Some(1), Some(2), Some(6), Some(7)])), ["203.0.113.8"]);
    let none = chosen(&paper, [Some(1), Some(2), Some(60), None]);
    assert!(none.offers.is_empty());
    let whys: Vec<_> = none.rejected.into_iter().map(|rejected| rejected.why).collect();
    let [Why::Refused(full), Why::Unmeasured, Why::TooFar(by)] = &whys[..] else { panic!("{whys:?}") };
    assert_eq!(full.to_string(), "device ams-1 has no termination that is free for 192.0.2.49");
    assert_eq!(*by, MS * 59);
}

#[test]
fn others_that_fill_the_best_device_do_not_make_the_next_too_far() {
    let mut paper = stocked(Sharing::Exclusive);
    for name in ["one", "two"] {
        paper.change(|r| sessions::request(r, &ask("host-2", name, "ams-1"), NOW)).unwrap();
    }
    assert_eq!(offers(&chosen(&paper, [Some(1), Some(2), Some(60), None])), ["203.0.113.8"]);
}

#[test]
fn only_activated_devices_and_what_was_asked_for() {
    let mut paper = stocked(Sharing::Exclusive);
    let draining = Device { status: DeviceStatus::Draining, ..device("ams-1", &["198.51.100.8/29"]) };
    paper.change(|r| devices::put(r, &draining, NOW)).unwrap();
    let choice = chosen(&paper, [Some(1), Some(2), Some(60), Some(61)]);
    assert_eq!(offers(&choice), ["203.0.113.8", "203.0.113.9"]);
    let host = HostName::new("host-1").unwrap();
    let (fra, nine) = (code("fra-1"), Ipv4Addr::new(203, 0, 113, 9));
    let client = [192, 0, 2, 1].into();
    let wish =
        Wish { host: &host, client, device: Some(&fra), termination: Some(nine), within: Duration::ZERO };
    let choice = choose(&paper.registry(), &wish, &measured([Some(1), Some(2), Some(60), Some(61)]));
    assert_eq!(offers(&choice), ["203.0.113.9"]);
    assert!(choice.rejected.iter().all(|rejected| rejected.why == Why::NotAsked));
}

#[test]
fn what_is_nearer_than_what_a_session_has_is_told_with_the_reason() {
    let mut paper = stocked(Sharing::Exclusive);
    let figures = measured([Some(2), Some(1), Some(9), None]);
    let first = paper.change(|r| sessions::request(r, &ask("host-1", "uni", "ams-1"), NOW)).unwrap();
    let why = |paper: &Paper, figures: &Measured| {
        nearer(&paper.registry(), &first, figures).map(|nearer| {
            let Offer { termination, latency, .. } = nearer.offer;
            format!("{termination} at {latency:?}: {}", nearer.why)
        })
    };
    assert_eq!(
        why(&paper, &figures).unwrap(),
        "198.51.100.9 at 1ms: it was not free, or farther, when this session began: a new one would have it"
    );
    paper.change(|r| sessions::request(r, &ask("host-2", "uni", "ams-1"), NOW)).unwrap();
    assert_eq!(why(&paper, &figures).unwrap(), "198.51.100.9 at 1ms: session host-2/uni has it");
    assert_eq!(why(&paper, &measured([Some(1), Some(1), Some(9), None])), None);
    assert_eq!(why(&paper, &Measured::new()), None);
}

#[test]
fn what_is_asked_for_by_name_is_not_too_far_for_what_was_not() {
    let mut paper = stocked(Sharing::Exclusive);
    paper.change(|r| sessions::request(r, &ask("host-1", "uni", "ams-1"), NOW)).unwrap();
    let figures = measured([Some(1), Some(2), Some(50), Some(99)]);
    let (host, fra) = (HostName::new("host-1").unwrap(), code("fra-1"));
    let client = [192, 0, 2, b'1'].into();
    let wish = Wish { host: &host, client, device: Some(&fra), termination: None, within: MS * 5 };
    let registry = paper.registry();
    assert_eq!(offers(&choose(&registry, &wish, &figures)), ["203.0.113.8", "203.0.113.9"]);
    let wish = Wish { device: None, termination: Some([203, 0, 113, 9].into()), ..wish };
    assert_eq!(offers(&choose(&registry, &wish, &figures)), ["203.0.113.9"]);
}
