use std::time::{Duration, Instant};

use super::super::{Book, Foreign};
use super::*;
use crate::model::{AddressRange, HolderName, Purpose};

const NOW: Timestamp = 10_000;
const REST: u64 = 60;

fn pool(name: &str, ranges: &[&str]) -> Pool {
    let ranges = ranges.iter().map(|range| range.parse().unwrap()).collect();
    let (quota, exclude) = (None, Vec::new());
    let name = PoolName::new(name).unwrap();
    Pool { name, purpose: Purpose::Termination, tier: Tier::Primary, ranges, quota, exclude }
}

fn reserve(name: &str, ranges: &[&str]) -> Pool {
    Pool { tier: Tier::Reserve, ..pool(name, ranges) }
}

fn holder(name: &str) -> HolderName {
    HolderName::new(name).unwrap()
}

fn ask(name: &str) -> Ask {
    Ask::new(holder(name), Purpose::Termination)
}

fn active(prefix: &str, pool: &str, name: &str) -> Lease {
    Lease {
        prefix: prefix.parse().unwrap(),
        pool: PoolName::new(pool).unwrap(),
        purpose: Purpose::Termination,
        holder: holder(name),
        state: LeaseState::Active,
        since: NOW - 500,
    }
}

fn resting(prefix: &str, pool: &str, name: &str, since: Timestamp) -> Lease {
    Lease { state: LeaseState::Resting, since, ..active(prefix, pool, name) }
}

struct World {
    pools: Vec<Pool>,
    book: Book,
    foreign: Foreign,
}

impl World {
    fn new(pools: impl Into<Vec<Pool>>, leases: impl Into<Vec<Lease>>) -> Self {
        Self { pools: pools.into(), book: Book::new(leases.into()), foreign: Foreign::new() }
    }

    fn foreign(mut self, addresses: &[&str]) -> Self {
        let foreign = |address: &&str| (address.parse().unwrap(), "an address of this host".to_owned());
        self.foreign = addresses.iter().map(foreign).collect();
        self
    }

    fn choose(&self, ask: &Ask) -> Result<Vec<Choice>, Refused> {
        choose(&self.pools, Taken { book: &self.book, foreign: &self.foreign, rest: REST }, ask, NOW)
    }

    fn gives(&self, ask: &Ask) -> Vec<String> {
        self.choose(ask).unwrap().iter().map(|choice| choice.prefix.to_string()).collect()
    }

    fn refuses(&self, ask: &Ask) -> String {
        self.choose(ask).unwrap_err().to_string()
    }
}

#[test]
fn ranges_are_drawn_in_the_order_of_the_declaration_lowest_first() {
    let world =
        World::new([pool("a", &["10.0.0.8-10.0.0.9", "10.0.0.0/31"]), pool("b", &["10.1.0.0/31"])], []);
    let five = Ask { count: 5, ..ask("x") };
    assert_eq!(
        world.gives(&five),
        ["10.0.0.8/32", "10.0.0.9/32", "10.0.0.0/32", "10.0.0.1/32", "10.1.0.0/32"]
    );
    let only_b = Ask { pool: Some(PoolName::new("b").unwrap()), ..ask("x") };
    assert_eq!(world.gives(&only_b), ["10.1.0.0/32"]);
}

#[test]
fn a_holder_keeps_what_it_has() {
    let leases = [active("10.0.0.3/32", "a", "x"), active("10.0.0.0/32", "a", "y")];
    let world = World::new([pool("a", &["10.0.0.0/29"])], leases);
    assert_eq!(world.choose(&ask("x")).unwrap()[0].why, Why::Kept);
    assert_eq!(world.gives(&Ask { count: 2, ..ask("x") }), ["10.0.0.3/32", "10.0.0.1/32"]);
}

#[test]
fn a_shrinking_pool_touches_no_lease() {
    let lease = active("10.9.9.9/32", "a", "x");
    let world = World::new([pool("a", &["10.0.0.0/29"])], [lease.clone()]);
    assert_eq!(world.gives(&ask("x")), ["10.9.9.9/32"]);
    assert_eq!(World::new([], [lease]).gives(&ask("x")), ["10.9.9.9/32"]);
}

#[test]
fn a_lease_that_fits_no_more_is_not_kept() {
    let pools = [pool("a", &["10.0.0.0/29"]), pool("b", &["10.1.0.0/29"])];
    let world = World::new(pools, [active("10.0.0.3/32", "a", "x")]);
    assert_eq!(world.gives(&Ask { pool: Some(PoolName::new("b").unwrap()), ..ask("x") }), ["10.1.0.0/32"]);
    assert_eq!(world.gives(&Ask { pinned: Some([10, 0, 0, 5].into()), ..ask("x") }), ["10.0.0.5/32"]);
    assert_eq!(world.gives(&Ask { unit: 31, ..ask("x") }), ["10.0.0.0/31"]);
}

#[test]
fn a_foreign_address_is_passed_over_and_moves_no_tunnel_that_uses_it() {
    let mut world = World::new([pool("a", &["10.0.0.0/29"])], [active("10.0.0.0/32", "a", "x")])
        .foreign(&["10.0.0.0", "10.0.0.1"]);
    assert_eq!(world.gives(&ask("y")), ["10.0.0.2/32"]);
    assert_eq!(world.gives(&ask("x")), ["10.0.0.2/32"], "leased, never used, and now somebody else's");
    world.book.set_in_use([10, 0, 0, 0].into(), holder("x"));
    assert_eq!(world.gives(&ask("x")), ["10.0.0.0/32"]);
}

#[test]
fn the_never_leased_come_before_the_rested_and_the_longest_rested_first() {
    let leases = [
        resting("10.0.0.0/32", "a", "p", NOW - REST - 10),
        resting("10.0.0.1/32", "a", "q", NOW - REST - 20),
        resting("10.0.0.2/32", "a", "r", NOW - REST - 20),
        resting("10.0.0.3/32", "a", "s", NOW - REST + 1),
    ];
    let world = World::new([pool("a", &["10.0.0.0-10.0.0.4"])], leases);
    let four = Ask { count: 4, ..ask("x") };
    assert_eq!(world.gives(&four), ["10.0.0.4/32", "10.0.0.1/32", "10.0.0.2/32", "10.0.0.0/32"]);
    assert_eq!(world.gives(&ask("s")), ["10.0.0.3/32"], "its own, rested or not");
}

#[test]
fn an_address_is_not_reused_while_a_tunnel_may_still_have_it() {
    let lease = resting("10.0.0.0/32", "a", "x", NOW - REST);
    let mut world = World::new([pool("a", &["10.0.0.0/31"])], [lease]);
    world.book.set_in_use([10, 0, 0, 0].into(), holder("x"));
    world.book.set_in_use([10, 0, 0, 1].into(), holder("z"));
    assert!(world.refuses(&ask("y")).contains("exhausted: 1 asked (/32), 0 free"));
    assert_eq!(world.gives(&ask("x")), ["10.0.0.0/32"]);
}

#[test]
fn bigger_units_are_carved_aligned() {
    let block = Pool {
        exclude: vec!["10.0.9.7".parse::<Ipv4Network>().unwrap().into()],
        ..pool("a", &["10.0.8.0/21"])
    };
    let world = World::new([block], [active("10.0.8.0/32", "a", "y"), active("10.0.10.0/24", "a", "z")]);
    let carve = |count| Ask { unit: 24, count, ..ask("x") };
    assert_eq!(world.gives(&carve(2)), ["10.0.11.0/24", "10.0.12.0/24"]);
    assert!(world.refuses(&carve(6)).contains("6 asked (/24), 5 free"));
    assert_eq!(world.gives(&Ask { unit: 31, ..ask("x") }), ["10.0.8.2/31"]);
}

#[test]
fn the_reserve_is_untouched_unless_allowed() {
    let world = World::new([reserve("r", &["10.1.0.0/30"]), pool("a", &["10.0.0.0/32"])], []);
    let two = Ask { count: 2, ..ask("x") };
    let text = world.refuses(&two);
    assert!(text.ends_with("add a range to pool a, or allow the reserve tier, which has 4"), "{text}");
    assert_eq!(world.gives(&Ask { reserve_allowed: true, ..two }), ["10.0.0.0/32", "10.1.0.0/32"]);
    let pinned = Ask { pinned: Some([10, 1, 0, 2].into()), ..ask("x") };
    assert!(world.refuses(&pinned).contains("in pool r, a reserve"));
}

#[test]
fn a_quota_counts_active_leases() {
    let quota = Pool { quota: Some(2), ..pool("a", &["10.0.0.0/29"]) };
    let leases = [active("10.0.0.0/32", "a", "y"), resting("10.0.0.1/32", "a", "z", NOW)];
    let world = World::new([quota], leases);
    assert_eq!(world.gives(&ask("x")), ["10.0.0.2/32"]);
    let text = world.refuses(&Ask { count: 2, ..ask("x") });
    assert!(text.contains("2 asked (/32), 1 free") && text.contains("raise the quota of pool a"), "{text}");
    assert_eq!(world.gives(&Ask { pinned: Some([10, 0, 0, 7].into()), ..ask("y") }), ["10.0.0.7/32"]);
}

#[test]
fn a_lease_that_lies_across_two_ranges_counts_once() {
    let quota = Pool { quota: Some(2), ..pool("a", &["10.0.0.0-10.0.0.3", "10.0.0.4-10.0.0.9"]) };
    let world = World::new([quota], [active("10.0.0.0/29", "a", "y")]);
    assert_eq!(world.gives(&ask("x")), ["10.0.0.8/32"]);
}

#[test]
fn a_full_quota_refuses_a_pinned_address() {
    let quota = Pool { quota: Some(1), ..pool("a", &["10.0.0.0/29"]) };
    let world = World::new([quota], [active("10.0.0.0/32", "a", "y")]);
    let pinned = Ask { pinned: Some([10, 0, 0, 7].into()), ..ask("x") };
    assert!(world.refuses(&pinned).contains("quota of 1"));
}

#[test]
fn a_pinned_address_that_is_not_to_be_had_says_why() {
    let excluding = Pool {
        exclude: vec!["10.0.0.5-10.0.0.5".parse::<AddressRange>().unwrap()],
        ..pool("a", &["10.0.0.0/29"])
    };
    let leases = [active("10.0.0.1/32", "a", "y"), resting("10.0.0.2/32", "a", "z", NOW - 20)];
    let world = World::new([excluding], leases).foreign(&["10.0.0.3"]);
    for (last, says) in [
        (1, "10.0.0.1 is held by y"),
        (2, "10.0.0.2 was given back by z and rests for 40 s more"),
        (3, "10.0.0.3 is foreign: an address of this host; remove it there"),
        (5, "10.0.0.5 is excluded from pool a"),
        (9, "10.0.0.9 is not in one range of a termination pool"),
    ] {
        let text = world.refuses(&Ask { pinned: Some([10, 0, 0, last].into()), ..ask("x") });
        assert!(text.contains(says), "{text}");
    }
    assert_eq!(world.gives(&Ask { pinned: Some([10, 0, 0, 4].into()), ..ask("x") }), ["10.0.0.4/32"]);
}

#[test]
fn asks_that_make_no_sense_are_refused() {
    let world = World::new([pool("a", &["10.0.0.0/29"])], []);
    let pinned = |last, unit, count| Ask { pinned: Some([10, 0, 0, last].into()), unit, count, ..ask("x") };
    assert!(world.refuses(&pinned(1, 31, 1)).contains("10.0.0.1 does not begin a /31"));
    assert!(world.refuses(&pinned(1, 32, 2)).contains("pin one at a time"));
    assert!(world.refuses(&Ask { unit: 33, ..ask("x") }).contains("/33"));
    assert!(world.refuses(&Ask::new(holder("x"), Purpose::Overlay)).contains("no pool of purpose overlay"));
    let nowhere = Ask { pool: Some(PoolName::new("q").unwrap()), ..ask("x") };
    assert!(world.refuses(&nowhere).contains("no pool q of purpose termination"));
}

/// P5: where endpoints run out a peer writes 0.0.0.0, and two tunnels share one address.
#[test]
fn p5_exhaustion_is_an_error_and_never_an_address() {
    let leases = [active("10.0.0.0/32", "a", "y"), resting("10.0.0.1/32", "a", "z", NOW - 25)];
    let world = World::new([pool("a", &["10.0.0.0/31"])], leases);
    let Err(Refused::Exhausted(exhausted)) = world.choose(&ask("x")) else { panic!("not exhausted") };
    assert_eq!((exhausted.asked, exhausted.free, exhausted.rested_in), (1, 0, Some(35)));
    let text = exhausted.to_string();
    assert!(text.contains("termination pools are exhausted: 1 asked (/32), 0 free"), "{text}");
    assert!(text.contains("the next has rested in 35 s; add a range to pool a"), "{text}");
}

#[test]
fn p5_a_pool_that_has_0_0_0_0_does_not_give_it() {
    let world = World::new([pool("a", &["0.0.0.0/30"])], []);
    assert_eq!(world.gives(&Ask { count: 3, ..ask("x") }), ["0.0.0.1/32", "0.0.0.2/32", "0.0.0.3/32"]);
    assert!(world.refuses(&Ask { count: 4, ..ask("x") }).contains("3 free"));
    assert_eq!(world.gives(&Ask { unit: 31, ..ask("x") }), ["0.0.0.2/31"]);
    assert!(
        world.refuses(&Ask { pinned: Some([0, 0, 0, 0].into()), ..ask("x") }).contains("never given out")
    );
}

/// Gaps are looked at, not addresses: a thousand choices from 16 million addresses with 10,000 leases.
#[test]
fn a_large_pool_answers_quickly() {
    let first = u32::from(Ipv4Addr::new(10, 0, 0, 0));
    let leases = (0..10_000u32).map(|n| {
        let prefix = Ipv4Network::new((first + n + n / 5000 * 1_000_000).into(), 32).unwrap();
        Lease { prefix, ..active("10.0.0.0/32", "a", &format!("h{n}")) }
    });
    let world = World::new([pool("a", &["10.0.0.0/8"])], leases.collect::<Vec<_>>());
    let start = Instant::now();
    for _ in 0..100 {
        assert_eq!(world.gives(&ask("x")), ["10.0.19.136/32"]);
        assert_eq!(world.gives(&Ask { unit: 24, ..ask("x") }), ["10.0.20.0/24"]);
    }
    let each = start.elapsed() / 200;
    assert!(each < Duration::from_millis(50), "{each:?} a choice");
}
