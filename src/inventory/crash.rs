//! Processes that are killed while they take what sessions need: nothing is doubled, nothing is lost for ever.

use std::env;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use super::suite::{ask, check, stock};
use super::{Backend as _, Heard, Sqlite, change};
use crate::model::SessionKey;
use crate::registry::testing::NOW;
use crate::registry::{Registry, sessions};

const ALLOCATORS: usize = 64;
/// Long enough that all of them have begun.
const WARM: Duration = Duration::from_millis(1500);
/// An allocator's file and number, and how many rounds it makes. The parent sets it.
const VARIABLE: &str = "GREYHOUND_TEST_ALLOCATOR";

/// One process's work: its two sessions come and go. It says what it has, once it has it, and that it lets go, before
/// it does.
#[test]
fn an_allocator_takes_what_its_sessions_need() {
    let Ok(given) = env::var(VARIABLE) else { return };
    let mut given = given.split('|');
    let file = Path::new(given.next().unwrap());
    let [host, rounds] = [0; 2].map(|_: usize| given.next().unwrap().parse::<usize>().unwrap());
    let inventory = Sqlite::open(file).unwrap();
    let mut said = OpenOptions::new().create(true).append(true).open(said(file, host)).unwrap();
    for tunnel in (0..rounds).map(|round| round % 2) {
        let wanted = ask(host, tunnel);
        // Twice as many allocators as there are addresses: that there is none left is an answer, too.
        if change::change(&inventory, |r| sessions::request(r, &wanted, NOW)).is_err() {
            continue;
        }
        said.write_all(format!("+{tunnel}\n").as_bytes()).unwrap();
        if tunnel == 0 || host % 4 != 1 {
            let key = SessionKey { host: wanted.host, name: wanted.name };
            said.write_all(format!("-{tunnel}\n").as_bytes()).unwrap();
            change::change(&inventory, |r| sessions::confirm_gone(r, &key, true, NOW)).unwrap();
        }
    }
}

#[test]
fn killed_allocators_neither_double_nor_lose() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("inventory.db");
    let inventory = Sqlite::open(&file).unwrap();
    stock(&inventory);
    let seed = std::process::id();
    let mut allocators: Vec<_> = (0..ALLOCATORS).map(|n| spawn(&file, n, usize::MAX)).collect();
    sleep(WARM);
    for (n, allocator) in (0u32..).zip(&mut allocators) {
        sleep(Duration::from_millis(u64::from(scatter(seed + n)) % 50));
        allocator.kill().unwrap();
        allocator.wait().unwrap();
        if n % 16 == 0 {
            check(&change::read(&inventory).unwrap());
        }
    }
    let registry = change::read(&inventory).unwrap();
    check(&registry);
    let acknowledged: usize = (0..ALLOCATORS).map(|host| kept(&registry, &file, host)).sum();
    assert!(acknowledged > ALLOCATORS, "only {acknowledged} were taken: they were killed too soon");
    println!(
        "{ALLOCATORS} allocators, all killed: {acknowledged} sessions acknowledged, none doubled, none lost"
    );
    // All that there is can still be had, to the last one.
    for session in registry.sessions.values().map(|session| &session.value) {
        change::change(&inventory, |r| sessions::confirm_gone(r, &session.key(), true, NOW)).unwrap();
    }
    for host in 0..32 {
        change::change(&inventory, |r| sessions::request(r, &ask(host, 0), NOW)).unwrap();
    }
    check(&change::read(&inventory).unwrap());
}

/// What a process said that it has, it has; how often it had something.
fn kept(registry: &Registry, file: &Path, host: usize) -> usize {
    let text = fs::read_to_string(said(file, host)).unwrap_or_default();
    // A line that was cut off by the kill was never said.
    let lines: Vec<_> = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')).collect();
    for tunnel in ["0", "1"] {
        let last = lines.iter().rev().find(|line| line.ends_with(tunnel));
        if last.is_some_and(|last| last.starts_with('+')) {
            assert!(
                registry.sessions.contains_key(&format!("h{host}/t{tunnel}")),
                "h{host}/t{tunnel} was lost"
            );
        }
    }
    lines.iter().filter(|line| line.starts_with('+')).count()
}

fn said(file: &Path, host: usize) -> PathBuf {
    file.with_file_name(format!("said-{host}"))
}

#[test]
fn another_process_is_heard_soon() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("inventory.db");
    let inventory = Sqlite::open(&file).unwrap();
    stock(&inventory);
    let mut watch = inventory.watch(change::read(&inventory).unwrap().revision).unwrap();
    let mut other = spawn(&file, 1, 2);
    assert!(other.wait().unwrap().success());
    let Heard::Changed { rows, .. } = watch.next(Duration::from_secs(1)).unwrap() else {
        panic!("nothing heard")
    };
    assert!(rows.iter().any(|changed| changed.row.key == "h1/t1"), "{rows:?}");
}

fn spawn(file: &Path, host: usize, rounds: usize) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "inventory::crash::an_allocator_takes_what_its_sessions_need"])
        .env(VARIABLE, format!("{}|{host}|{rounds}", file.display()))
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// Knuth's multiplicative hash: spread out, and the same for the same seed.
fn scatter(n: u32) -> u32 {
    n.wrapping_mul(2_654_435_761) >> 16
}
