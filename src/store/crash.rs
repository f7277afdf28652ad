//! Processes that are killed while they lease: nothing is doubled, nothing acknowledged is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use super::{Error, State, Supply};
use crate::alloc::{Ask, Foreign};
use crate::model::{HolderName, Lease, LeaseState, Pool, PoolName, Purpose, Tier};

const WORKERS: u32 = 16;
const EACH: u32 = 32;
/// A worker's directory and number. The parent sets it; without it the worker works alone.
const VARIABLE: &str = "GREYHOUND_TEST_WORKER";

/// One process's work: as one-shot commands do, the state is opened anew for each lease.
#[test]
fn a_worker_leases_what_it_needs() {
    let alone = tempfile::tempdir().unwrap();
    let given = env::var(VARIABLE).unwrap_or_else(|_| format!("{}:0", alone.path().display()));
    let (dir, worker) = given.rsplit_once(':').unwrap();
    for n in 0..EACH {
        let holder = format!("w{worker}/{n}");
        let lease = lease(Path::new(dir), &holder).unwrap();
        let mut said =
            OpenOptions::new().create(true).append(true).open(format!("{dir}/said-{worker}")).unwrap();
        said.write_all(format!("{holder} {}\n", lease.prefix).as_bytes()).unwrap();
    }
}

#[test]
fn killed_allocators_neither_double_nor_lose() {
    let dir = tempfile::tempdir().unwrap();
    let seed = std::process::id();
    let mut said = BTreeMap::new();
    for round in 0..4 {
        let mut workers: Vec<_> = (0..WORKERS).map(|n| spawn(dir.path(), n)).collect();
        for (n, worker) in workers.iter_mut().enumerate() {
            sleep(Duration::from_millis(u64::from(scatter(seed + round * 100 + n as u32)) % 20));
            worker.kill().unwrap();
        }
        for worker in &mut workers {
            worker.wait().unwrap();
        }
        check(dir.path(), &mut said);
    }
    let survivors: Vec<_> = (0..WORKERS).map(|n| spawn(dir.path(), n)).collect();
    for mut worker in survivors {
        assert!(
            worker.wait().unwrap().success(),
            "there is an address for each, unless one was lost (seed {seed})"
        );
    }
    check(dir.path(), &mut said);
    assert_eq!(said.len() as u32, WORKERS * EACH);
}

/// Every holder has one address, no address has two holders, and what was said once holds.
fn check(dir: &Path, said: &mut BTreeMap<String, String>) {
    let leases = State::open(dir).unwrap().leases().unwrap();
    let stored: BTreeMap<_, _> =
        leases.iter().map(|lease| (lease.holder.to_string(), lease.prefix.to_string())).collect();
    assert_eq!(stored.len(), leases.len(), "a holder has two");
    assert_eq!(stored.values().collect::<BTreeSet<_>>().len(), leases.len(), "an address has two holders");
    assert!(leases.iter().all(|lease| lease.state == LeaseState::Active));
    for n in 0..WORKERS {
        let lines = fs::read_to_string(dir.join(format!("said-{n}"))).unwrap_or_default();
        // A line that was cut off by the kill was never said.
        let whole = lines.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
        for (holder, prefix) in whole.filter_map(|line| line.split_once(' ')) {
            let before = said.insert(holder.to_owned(), prefix.to_owned());
            assert!(before.is_none_or(|before| before == prefix), "{holder} was moved");
            assert_eq!(stored.get(holder).map(String::as_str), Some(prefix), "{holder} lost it");
        }
    }
}

/// A pool with exactly one address for each holder: whatever is lost is missed in the end.
fn lease(dir: &Path, holder: &str) -> Result<Lease, Error> {
    let pool = Pool {
        name: PoolName::new("a").unwrap(),
        purpose: Purpose::Termination,
        tier: Tier::Primary,
        ranges: vec!["10.0.0.0/23".parse().unwrap()],
        quota: None,
        exclude: Vec::new(),
    };
    assert_eq!(pool.ranges[0].size(), u64::from(WORKERS * EACH));
    let supply = Supply { pools: &[pool], foreign: &Foreign::new(), rest: 60, now: 1000 };
    let ask = Ask::new(HolderName::new(holder).unwrap(), Purpose::Termination);
    State::open(dir)?.change(|tx| tx.lease(&supply, &ask)).map(|mut leases| leases.remove(0))
}

fn spawn(dir: &Path, n: u32) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "store::crash::a_worker_leases_what_it_needs"])
        .env(VARIABLE, format!("{}:{n}", dir.display()))
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// Knuth's multiplicative hash: spread out, and the same for the same seed.
fn scatter(n: u32) -> u32 {
    n.wrapping_mul(2_654_435_761) >> 16
}
