//! Processes that are killed while they take what sessions need: nothing is doubled, nothing is lost for ever.

use std::env;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use super::suite::{ask, check, stock};
use super::{Backend as _, Heard, Sqlite, change};
use crate::registry::sessions;
use crate::registry::testing::NOW;

const ALLOCATORS: usize = 64;
/// A worker's file and number. The parent sets it; without it the worker works alone.
const VARIABLE: &str = "GREYHOUND_TEST_ALLOCATOR";

/// One process's work: it has sessions made and ended, and has its last one at the end.
#[test]
fn an_allocator_takes_what_its_sessions_need() {
    let Ok(given) = env::var(VARIABLE) else { return };
    let (file, host) = given.rsplit_once(':').unwrap();
    let (inventory, host) = (Sqlite::open(Path::new(file)).unwrap(), host.parse().unwrap());
    // Twice as many allocators as there are addresses: half of them find none left, which is an answer, too.
    for tunnel in 0..2 {
        let wanted = ask(host, tunnel);
        let taken = change::change(&inventory, |r| sessions::request(r, &wanted, NOW));
        if let (0, Ok(session)) = (tunnel, taken) {
            change::change(&inventory, |r| sessions::confirm_gone(r, &session.key(), true, NOW)).unwrap();
        }
    }
}

#[test]
fn killed_allocators_neither_double_nor_lose() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("inventory.db");
    stock(&Sqlite::open(&file).unwrap());
    let seed = std::process::id();
    let mut allocators: Vec<_> = (0..ALLOCATORS).map(|n| spawn(&file, n)).collect();
    for (n, allocator) in (0u32..).zip(&mut allocators).filter(|(n, _)| n % 4 != 0) {
        sleep(Duration::from_millis(u64::from(scatter(seed + n)) % 30));
        allocator.kill().unwrap();
    }
    for allocator in &mut allocators {
        allocator.wait().unwrap();
    }
    let inventory = Sqlite::open(&file).unwrap();
    let registry = change::read(&inventory).unwrap();
    check(&registry);
    // All that there is can still be had, to the last one.
    for session in registry.sessions.values().map(|session| &session.value) {
        change::change(&inventory, |r| sessions::confirm_gone(r, &session.key(), true, NOW)).unwrap();
    }
    for host in 0..32 {
        change::change(&inventory, |r| sessions::request(r, &ask(host, 0), NOW)).unwrap();
    }
    check(&change::read(&inventory).unwrap());
}

#[test]
fn another_process_is_heard_soon() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("inventory.db");
    let inventory = Sqlite::open(&file).unwrap();
    stock(&inventory);
    let mut watch = inventory.watch(change::read(&inventory).unwrap().revision).unwrap();
    let mut other = spawn(&file, 0);
    assert!(other.wait().unwrap().success());
    let Heard::Changed { rows, .. } = watch.next(Duration::from_secs(1)).unwrap() else {
        panic!("nothing heard")
    };
    assert!(rows.iter().any(|changed| changed.row.key == "h0/t1"), "{rows:?}");
}

fn spawn(file: &Path, n: usize) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "inventory::crash::an_allocator_takes_what_its_sessions_need"])
        .env(VARIABLE, format!("{}:{n}", file.display()))
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// Knuth's multiplicative hash: spread out, and the same for the same seed.
fn scatter(n: u32) -> u32 {
    n.wrapping_mul(2_654_435_761) >> 16
}
