use std::collections::BTreeSet;

use super::super::State;
use super::super::claims::tests::{claim, name};
use super::*;
use crate::model::Tier;

fn pool(range: &str) -> Pool {
    Pool {
        name: PoolName::new("a").unwrap(),
        purpose: Purpose::Termination,
        tier: Tier::Primary,
        ranges: vec![range.parse().unwrap()],
        quota: None,
        exclude: Vec::new(),
    }
}

fn ask(holder: &str) -> Ask {
    Ask::new(HolderName::new(holder).unwrap(), Purpose::Termination)
}

struct Host {
    dir: tempfile::TempDir,
    state: State,
    pools: Vec<Pool>,
    foreign: Foreign,
    now: Timestamp,
}

impl Host {
    fn new(range: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(dir.path()).unwrap();
        Self { dir, state, pools: vec![pool(range)], foreign: Foreign::new(), now: 1000 }
    }

    fn restart(&mut self) {
        self.state = State::open(self.dir.path()).unwrap();
    }

    fn lease(&mut self, ask: &Ask) -> Result<Vec<String>, Error> {
        let supply = Supply { pools: &self.pools, foreign: &self.foreign, rest: 60, now: self.now };
        let leases = self.state.change(|tx| tx.lease(&supply, ask))?;
        Ok(leases.iter().map(|lease| lease.prefix.to_string()).collect())
    }

    fn gives(&mut self, holder: &str) -> String {
        self.lease(&ask(holder)).unwrap().remove(0)
    }

    fn release(&mut self, holder: &str) -> usize {
        let (holder, now) = (HolderName::new(holder).unwrap(), self.now);
        self.state.change(|tx| tx.release(&holder, now)).unwrap().len()
    }
}

/// P14: an allocator gave addresses out twice after a restart, three times in its history.
#[test]
fn p14_a_restart_gives_nothing_out_twice() {
    let mut host = Host::new("10.0.0.0/29");
    let given: BTreeSet<_> = (0..8)
        .map(|n| {
            host.restart();
            host.gives(&format!("h{n}"))
        })
        .collect();
    assert_eq!(given.len(), 8);
    host.restart();
    assert!(host.lease(&ask("h9")).is_err());
}

#[test]
fn a_holder_gets_the_same_after_a_restart() {
    let mut host = Host::new("10.0.0.0/29");
    host.gives("before");
    let first = host.gives("ams");
    host.restart();
    host.now += 10_000;
    host.release("before");
    assert_eq!(host.gives("ams"), first);
}

/// P5: where endpoints run out a peer writes 0.0.0.0, and two tunnels share one address.
#[test]
fn p5_exhaustion_writes_nothing() {
    let mut host = Host::new("10.0.0.0/31");
    host.gives("x");
    let before = host.state.leases().unwrap();
    let Err(Error::Refused { holder, source }) = host.lease(&Ask { count: 2, ..ask("y") }) else {
        panic!("gave more than there is")
    };
    assert_eq!(holder.as_str(), "y");
    assert!(source.to_string().contains("2 asked (/32), 1 free"), "{source}");
    assert_eq!(host.state.leases().unwrap(), before);
}

#[test]
fn p5_the_schema_itself_refuses_0_0_0_0_and_overlaps() {
    let mut host = Host::new("10.0.0.0/29");
    host.lease(&Ask { unit: 31, ..ask("x") }).unwrap();
    let mut forge = |prefix: &str, nth: i64| {
        let prefix: Ipv4Network = prefix.parse().unwrap();
        let row = [
            u32::from(prefix.network()).into(),
            u32::from(prefix.broadcast()).into(),
            prefix.prefix().into(),
            nth,
        ];
        let sql =
            "INSERT OR REPLACE INTO lease VALUES (?1, ?2, ?3, 'a', 'termination', 'y', 'active', 0, ?4)";
        host.state.change(|tx| tx.run("forge", |conn| conn.execute(sql, row)))
    };
    for prefix in ["0.0.0.0/32", "0.0.0.0/24", "10.0.0.0/32", "10.0.0.1/32", "10.0.0.0/29", "10.0.0.0/31"] {
        assert!(forge(prefix, 0).is_err(), "{prefix}");
    }
    assert!(forge("10.0.0.2/32", 0).is_ok());
    assert!(forge("9.0.0.0/8", 1).is_ok());
    assert!(forge("9.255.255.255/32", 2).is_err());
    assert!(
        host.state
            .change(|tx| tx.run("forge", |conn| conn.execute("UPDATE lease SET first = 7", [])))
            .is_err()
    );
}

#[test]
fn what_was_given_back_rests() {
    let mut host = Host::new("10.0.0.0/31");
    assert_eq!((host.gives("x"), host.gives("y")), ("10.0.0.0/32".into(), "10.0.0.1/32".into()));
    assert_eq!((host.release("x"), host.release("x")), (1, 0));
    host.now += 59;
    assert!(host.lease(&ask("z")).is_err());
    host.now += 1;
    assert_eq!(host.gives("z"), "10.0.0.0/32");
    assert_eq!(host.state.leases().unwrap().len(), 2, "its old row was replaced");
}

#[test]
fn its_own_comes_back_to_a_holder_at_once() {
    let mut host = Host::new("10.0.0.0/29");
    host.gives("x");
    let own = host.gives("y");
    host.release("y");
    host.release("x");
    assert_eq!(host.gives("y"), own);
}

#[test]
fn a_holder_has_what_it_asked_for_last() {
    let mut host = Host::new("10.0.0.0/29");
    let count = |count| Ask { count, ..ask("x") };
    assert_eq!(host.lease(&count(3)).unwrap(), ["10.0.0.0/32", "10.0.0.1/32", "10.0.0.2/32"]);
    assert_eq!(host.lease(&count(1)).unwrap(), ["10.0.0.0/32"]);
    assert_eq!(host.lease(&count(3)).unwrap(), ["10.0.0.0/32", "10.0.0.1/32", "10.0.0.2/32"]);
    let pinned = Ask { pinned: Some([10, 0, 0, 7].into()), ..ask("x") };
    assert_eq!(host.lease(&pinned).unwrap(), ["10.0.0.7/32"]);
    let active = host.state.leases().unwrap().into_iter().filter(|lease| lease.state == LeaseState::Active);
    assert_eq!(active.count(), 1);
}

#[test]
fn a_pool_that_shrinks_or_is_renamed_touches_no_lease() {
    let mut host = Host::new("10.0.0.0/29");
    let first = host.gives("x");
    host.pools[0].name = PoolName::new("b").unwrap();
    assert_eq!(host.gives("x"), first);
    assert_eq!(host.state.leases().unwrap()[0].pool.as_str(), "b");
    host.pools = vec![pool("10.1.0.0/29")];
    assert_eq!(host.gives("x"), first);
    host.pools.clear();
    assert_eq!(host.gives("x"), first);
}

#[test]
fn an_address_that_a_claim_still_names_goes_to_nobody_else() {
    let mut host = Host::new("10.0.0.1-10.0.0.1");
    host.gives("tunnel/ams");
    host.state.change(|tx| tx.claim(&name("ams"), &claim(1))).unwrap();
    host.release("tunnel/ams");
    host.now += 10_000;
    assert!(host.lease(&ask("tunnel/fra")).is_err());
    host.state.change(|tx| tx.unclaim(&name("ams"))).unwrap();
    assert_eq!(host.gives("tunnel/fra"), "10.0.0.1/32");
}

#[test]
fn claims_of_the_same_change_count() {
    let mut host = Host::new("10.0.0.1-10.0.0.2");
    let supply = Supply { pools: &host.pools, foreign: &host.foreign, rest: 0, now: 1000 };
    let leases = host.state.change(|tx| {
        let before = tx.lease(&supply, &ask("tunnel/ams"))?;
        tx.claim(&name("lon"), &claim(2))?;
        assert!(tx.lease(&supply, &ask("tunnel/fra")).is_err());
        tx.unclaim(&name("lon"))?;
        Ok::<_, Error>([before, tx.lease(&supply, &ask("tunnel/fra"))?].concat())
    });
    assert_eq!(leases.unwrap().len(), 2);
}

#[test]
fn one_that_is_refused_holds_up_no_other() {
    let mut host = Host::new("10.0.0.0/31");
    let supply = Supply { pools: &host.pools, foreign: &host.foreign, rest: 0, now: 1000 };
    let taken = host.state.change(|tx| {
        let asks = ["x", "y", "z"].map(ask);
        Ok::<_, Error>(asks.map(|ask| tx.lease(&supply, &ask).is_ok()))
    });
    assert_eq!(taken.unwrap(), [true, true, false]);
    assert_eq!(host.state.leases().unwrap().len(), 2);
}

#[test]
fn a_bigger_prefix_takes_the_place_of_what_rested_in_it() {
    let mut host = Host::new("10.0.0.0/30");
    host.lease(&Ask { count: 4, ..ask("x") }).unwrap();
    host.release("x");
    host.now += 60;
    assert_eq!(host.lease(&Ask { unit: 30, ..ask("y") }).unwrap(), ["10.0.0.0/30"]);
    assert_eq!(host.state.leases().unwrap().len(), 1);
}

#[test]
fn a_rehearsal_says_what_the_real_one_gives() {
    let mut host = Host::new("10.0.0.0/29");
    host.gives("x");
    let supply = Supply { pools: &host.pools, foreign: &host.foreign, rest: 60, now: host.now };
    let mut copy = State::open_copy(host.dir.path()).unwrap();
    let rehearsed = copy.change(|tx| tx.lease(&supply, &ask("y"))).unwrap();
    assert_eq!(host.state.leases().unwrap().len(), 1);
    assert_eq!(host.state.change(|tx| tx.lease(&supply, &ask("y"))).unwrap(), rehearsed);
}

#[test]
fn the_book_of_a_change_is_the_book_on_disk() {
    let mut host = Host::new("10.0.0.0/28");
    let supply = Supply { pools: &host.pools, foreign: &host.foreign, rest: 60, now: 1000 };
    let holder = |n: u32| format!("tunnel/t{n}");
    let kept = host.state.change(|tx| {
        for n in 0..6 {
            tx.lease(&supply, &ask(&holder(n)))?;
            tx.claim(&name(&format!("t{n}")), &claim(n + 1))?;
        }
        tx.release(&HolderName::new(&holder(2)).unwrap(), 1000)?;
        tx.settle(&name("t3"), &claim(9))?;
        tx.unclaim(&name("t4"))?;
        tx.lease(&supply, &Ask { unit: 31, count: 2, ..ask(&holder(1)) })?;
        Ok::<_, Error>(tx.book.clone().unwrap())
    });
    let kept = kept.unwrap();
    let read = host.state.book().unwrap();
    assert_eq!(kept.leases().collect::<Vec<_>>(), read.leases().collect::<Vec<_>>());
    assert_eq!(kept, read);
}
