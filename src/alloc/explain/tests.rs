use super::super::{Book, Foreign};
use super::*;

const NOW: Timestamp = 10_000;

fn lease(prefix: &str, holder: &str, state: LeaseState, since: Timestamp) -> Lease {
    let (pool, holder) = (PoolName::new("a").unwrap(), HolderName::new(holder).unwrap());
    Lease { prefix: prefix.parse().unwrap(), pool, purpose: Purpose::Termination, holder, state, since }
}

fn pool(ranges: &[&str], exclude: &[&str]) -> Pool {
    let parse = |texts: &[&str]| texts.iter().map(|range| range.parse().unwrap()).collect();
    Pool {
        name: PoolName::new("a").unwrap(),
        purpose: Purpose::Termination,
        tier: Tier::Primary,
        ranges: parse(ranges),
        quota: None,
        exclude: parse(exclude),
    }
}

fn explained(pool: Pool) -> Explanation {
    let book = Book::new([
        lease("10.0.0.1/32", "x", LeaseState::Active, NOW - 5),
        lease("10.0.0.2/32", "y", LeaseState::Resting, NOW - 5),
        lease("10.0.0.3/32", "z", LeaseState::Resting, NOW - 500),
        lease("10.7.0.0/32", "w", LeaseState::Active, NOW - 5),
    ]);
    let foreign = Foreign::from([("10.0.0.4".parse().unwrap(), "the remote of tunnel x".to_owned())]);
    explain(&[pool], Taken { book: &book, foreign: &foreign, rest: 60 }, NOW)
}

#[test]
fn every_address_is_counted_once_and_every_part_is_shown() {
    let explanation = explained(pool(&["10.0.0.0/29", "10.1.0.0/24"], &["10.0.0.6-10.0.0.7"]));
    let pool = &explanation.pools[0];
    let sizes = Sizes { total: 264, excluded: 2, active: 1, resting: 1, foreign: 1, free: 259 };
    assert_eq!((pool.sizes, pool.available, pool.leases), (sizes, 259, 1));
    let parts: Vec<_> = pool.ranges[0].parts.iter().map(|part| part.range.to_string()).collect();
    assert_eq!(parts.len(), 7, "{parts:?}");
    assert_eq!(pool.ranges[0].parts[6].state, PartState::Excluded);
    let foreign = PartState::Foreign { what: "the remote of tunnel x".to_owned() };
    assert_eq!(pool.ranges[0].parts[4].state, foreign);
    assert_eq!(pool.ranges[1].parts.len(), 1);
    let rested = PartState::Rested { holder: HolderName::new("z").unwrap(), since: NOW - 440 };
    assert_eq!(pool.ranges[0].parts[3].state, rested);
}

#[test]
fn it_says_what_comes_next_and_why() {
    let next = |pool| explained(pool).pools.remove(0).next;
    let prefix = |text: &str, why| Next::Prefix { prefix: text.parse().unwrap(), why };
    assert_eq!(next(pool(&["10.0.0.0/29"], &[])), prefix("10.0.0.0/32", Why::NeverUsed));
    assert_eq!(
        next(pool(&["10.0.0.1-10.0.0.4"], &[])),
        prefix("10.0.0.3/32", Why::Rested { since: NOW - 440 })
    );
    assert_eq!(next(pool(&["10.0.0.1-10.0.0.2"], &[])), Next::Nothing { rested_at: Some(NOW + 55) });
    let quota = Pool { quota: Some(1), ..pool(&["10.0.0.0/29"], &[]) };
    assert_eq!(explained(quota.clone()).pools[0].available, 0);
    assert_eq!(next(quota), Next::QuotaReached);
}

#[test]
fn leases_outside_of_every_pool_are_reported() {
    let strays = explained(pool(&["10.0.0.0/29"], &[])).strays;
    assert_eq!(strays.iter().map(|lease| lease.holder.as_str()).collect::<Vec<_>>(), ["w"]);
}

#[test]
fn it_reads_as_flat_json() {
    let explanation = explained(pool(&["10.0.0.0/30"], &[]));
    let json = serde_json::to_value(&explanation).unwrap();
    assert_eq!(json["pools"][0]["next"]["prefix"], "10.0.0.0/32");
    assert_eq!(json["pools"][0]["next"]["why"], "never-used");
    assert_eq!(json["pools"][0]["ranges"][0]["parts"][1]["state"], "active");
    assert_eq!(json["pools"][0]["ranges"][0]["parts"][1]["holder"], "x");
}
