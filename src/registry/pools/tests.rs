use super::super::carve::{Carving, carve};
use super::super::testing::{NOW, Paper, code, device, pool, pool_name};
use super::super::{devices, interfaces};
use super::*;
use crate::model::{InterfaceName, Tier};

fn block() -> SharedPool {
    SharedPool { carve: Some(24), ..pool("block", Purpose::Termination, &["203.0.112.0/21"]) }
}

fn carving(pool: &str, device: Option<&str>) -> Carving {
    let device = device.map(code);
    Carving { block: pool_name("block"), pool: pool_name(pool), device, count: 1, reserve: false }
}

fn with_block(block: &SharedPool) -> Paper {
    let mut paper = Paper::default();
    paper.change(|r| devices::put(r, &device("ams-1", &[]), NOW)).unwrap();
    paper.change(|r| devices::put(r, &device("fra-1", &[]), NOW)).unwrap();
    paper.change(|r| put(r, block, NOW)).unwrap();
    paper
}

#[test]
fn prefixes_are_carved_one_after_the_other_and_given_back() {
    let mut paper = with_block(&block());
    let first = paper.change(|r| carve(r, &carving("ams", Some("ams-1")), NOW)).unwrap();
    assert_eq!(first.pool.ranges[0].to_string(), "203.0.112.0-203.0.112.255");
    assert_eq!((first.device, first.carved_from), (Some(code("ams-1")), Some(pool_name("block"))));
    let second = paper.change(|r| carve(r, &carving("fra", Some("fra-1")), NOW)).unwrap();
    assert_eq!(second.pool.ranges[0].to_string(), "203.0.113.0-203.0.113.255");
    let more = paper.change(|r| carve(r, &carving("ams", Some("ams-1")), NOW)).unwrap();
    assert_eq!(more.pool.ranges.len(), 2);
    paper.change(|r| remove(r, &pool_name("ams"), NOW)).unwrap();
    assert_eq!(paper.registry().leases.len(), 1, "the other's");
    let again = paper.change(|r| carve(r, &carving("lon", None), NOW)).unwrap();
    assert_eq!(again.pool.ranges[0].to_string(), "203.0.112.0-203.0.112.255");
}

#[test]
fn a_reserve_is_drawn_from_by_whom_it_allows() {
    let mut reserve = block();
    reserve.pool.tier = Tier::Reserve;
    let mut paper = with_block(&reserve);
    let refused = paper.refused(|r| carve(r, &carving("ams", Some("ams-1")), NOW));
    assert!(refused.contains("block block is a reserve: device ams-1 may not draw from it"), "{refused}");
    let refused = paper.refused(|r| carve(r, &carving("all", None), NOW));
    assert!(refused.contains("allow the reserve tier, which has 8"), "{refused}");
    reserve.allowed.insert(code("ams-1"));
    paper.change(|r| put(r, &reserve, NOW)).unwrap();
    paper.change(|r| carve(r, &carving("ams", Some("ams-1")), NOW)).unwrap();
    paper.refused(|r| carve(r, &carving("fra", Some("fra-1")), NOW));
    let by_hand = Carving { reserve: true, ..carving("fra", Some("fra-1")) };
    paper.change(|r| carve(r, &by_hand, NOW)).unwrap();
}

#[test]
fn a_reserve_of_single_addresses_too() {
    let mut paper = Paper::default();
    paper.change(|r| devices::put(r, &device("ams-1", &["198.51.100.8/30"]), NOW)).unwrap();
    let mut reserve = pool("reserve", Purpose::Termination, &["203.0.113.0/29"]);
    reserve.pool.tier = Tier::Reserve;
    paper.change(|r| put(r, &reserve, NOW)).unwrap();
    let lo = InterfaceName::new("lo").unwrap();
    let ams = code("ams-1");
    let want = |paper: &Paper, count| paper.refused(|r| interfaces::bootstrap(r, (&ams, &lo), count, NOW));
    assert!(want(&paper, 5).contains(
        "5 asked (/32), 4 free; add a range to pool ams-1, or allow the reserve tier, which has 8"
    ));
    reserve.allowed.insert(ams.clone());
    paper.change(|r| put(r, &reserve, NOW)).unwrap();
    let interface = paper.change(|r| interfaces::bootstrap(r, (&ams, &lo), 5, NOW)).unwrap();
    let last = interface.addresses.last().unwrap().to_string();
    assert_eq!((interface.addresses.len(), last.as_str()), (5, "203.0.113.0"));
}

#[test]
fn pools_that_cannot_be_are_refused() {
    let mut paper = with_block(&block());
    paper.change(|r| put(r, &pool("inside", Purpose::Overlay, &["169.254.0.0/24"]), NOW)).unwrap();
    let cases = [
        (pool("a", Purpose::Client, &[]), "pool a has no ranges"),
        (
            pool("a", Purpose::Client, &["10.0.0.0/24", "10.0.0.9/32"]),
            "10.0.0.9 overlaps 10.0.0.0-10.0.0.255 of pool a",
        ),
        (
            pool("a", Purpose::Client, &["169.254.0.128/25"]),
            "overlaps 169.254.0.0-169.254.0.255 of pool inside",
        ),
        (pool("a", Purpose::Client, &["224.0.0.0/24"]), "holds multicast addresses"),
        (
            pool("a", Purpose::Termination, &["203.0.113.0/29"]),
            "is in block block and was not carved from it",
        ),
        (
            SharedPool { carve: Some(24), ..pool("a", Purpose::Client, &["10.0.0.0/25"]) },
            "its ranges have none",
        ),
        (SharedPool { carve: Some(16), ..pool("a", Purpose::Client, &["203.0.0.0/16"]) }, "overlaps"),
        (
            SharedPool { device: Some(code("lon-9")), ..pool("a", Purpose::Client, &["10.0.0.0/24"]) },
            "pool a refers to device lon-9, which is not in the inventory",
        ),
    ];
    for (pool, why) in cases {
        let refused = paper.refused(|r| put(r, &pool, NOW));
        assert!(refused.contains(why), "{refused}");
    }
}

#[test]
fn what_is_leased_stays_what_it_is() {
    let mut paper = with_block(&block());
    paper.change(|r| carve(r, &carving("ams", Some("ams-1")), NOW)).unwrap();
    let changed = SharedPool { carve: Some(25), ..block() };
    assert!(paper.refused(|r| put(r, &changed, NOW)).contains("pool block has leases"));
    let refused = paper.refused(|r| remove(r, &pool_name("block"), NOW));
    assert!(refused.contains("pool block cannot be removed: "), "{refused}");
}

#[test]
fn addresses_used_elsewhere_are_never_given_out() {
    let mut paper = Paper::default();
    paper.change(|r| devices::put(r, &device("ams-1", &["198.51.100.8/29"]), NOW)).unwrap();
    let used = |prefix: &str| Used { prefix: prefix.parse().unwrap(), note: "a multicast source".to_owned() };
    let lo = InterfaceName::new("lo").unwrap();
    let bootstrap = |paper: &mut Paper, count| {
        paper.change(|r| interfaces::bootstrap(r, (&code("ams-1"), &lo), count, NOW)).map(|i| i.addresses)
    };
    assert_eq!(
        paper.change(|r| import_used(r, &[used("198.51.100.8/31"), used("10.0.0.0/24")])).unwrap(),
        []
    );
    assert_eq!(bootstrap(&mut paper, 1).unwrap().first().unwrap().to_string(), "198.51.100.10");
    assert!(bootstrap(&mut paper, 7).is_err());
    let leased = paper.change(|r| import_used(r, &[used("198.51.100.10/32")])).unwrap();
    assert_eq!(leased[0].holder.as_str(), "interface/ams-1/lo", "said, and not taken away");
    assert!(paper.refused(|r| import_used(r, &[used("10.0.0.0/19")])).contains("at most 4096"));
    paper.change(|r| forget_used(r, "198.51.100.8/31".parse().unwrap())).unwrap();
    assert_eq!(bootstrap(&mut paper, 7).unwrap().len(), 7);
}

#[test]
fn a_pool_says_when_it_runs_low_and_how_many_it_needs() {
    let mut paper = Paper::default();
    paper.change(|r| devices::put(r, &device("ams-1", &["198.51.100.8/29"]), NOW)).unwrap();
    let mut low = paper.registry().pool(&pool_name("ams-1")).unwrap().clone();
    low.low_water = 3;
    paper.change(|r| put(r, &low, NOW)).unwrap();
    let lo = InterfaceName::new("lo").unwrap();
    let need = |paper: &mut Paper, count| {
        paper.change(|r| interfaces::bootstrap(r, (&code("ams-1"), &lo), count, NOW)).unwrap();
        paper.registry().needs().map(|need| (need.left, need.needed)).collect::<Vec<_>>()
    };
    assert_eq!(need(&mut paper, 4), []);
    assert_eq!(need(&mut paper, 5), [(3, 1)]);
    assert_eq!(need(&mut paper, 8), [(0, 4)]);
    paper
        .change(|r| devices::put(r, &device("ams-1", &["198.51.100.8/29", "198.51.100.16/29"]), NOW))
        .unwrap();
    assert_eq!(paper.registry().needs().count(), 0);
}

#[test]
fn a_quota_holds_for_what_is_pinned_too() {
    let mut paper = Paper::default();
    paper.change(|r| devices::put(r, &device("ams-1", &["198.51.100.8/29"]), NOW)).unwrap();
    let mut limited = paper.registry().pool(&pool_name("ams-1")).unwrap().clone();
    limited.pool.quota = Some(2);
    paper.change(|r| put(r, &limited, NOW)).unwrap();
    let lo = InterfaceName::new("lo").unwrap();
    let mut interface = paper.change(|r| interfaces::bootstrap(r, (&code("ams-1"), &lo), 2, NOW)).unwrap();
    interface.addresses.insert([198, 51, 100, 15].into());
    let refused = paper.refused(|r| interfaces::put(r, &interface, NOW));
    assert!(refused.contains("pool ams-1 has reached its quota of 2"), "{refused}");
}
