//! What every backend must do. A backend's tests give a place, and take all of these.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::json;

use super::backend::{Backend, Committed, Heard, Watch};
use super::{Error, change};
use crate::model::{HostName, InterfaceName, Purpose, SessionKey, TunnelName, Underlay};
use crate::registry::testing::{NOW, code, device, pool};
use crate::registry::{
    Condition, Kind, LARGEST, Registry, Revision, RowName, Transaction, Write, devices, form, interfaces,
    pools, sessions, transfer,
};

/// A store that is empty at first, and as many clients of it as are opened.
pub trait Place: Sync {
    type Backend: Backend;

    fn open(&self) -> Self::Backend;
}

/// A test of each of these for one sort of place.
macro_rules! suite {
    ($fresh:expr; $($test:ident)*) => {
        $(#[test]
        fn $test() {
            crate::inventory::suite::$test(&$fresh);
        })*
    };
    ($fresh:expr) => {
        crate::inventory::suite::suite! { $fresh;
            a_transaction_is_whole_or_it_is_not
            a_conflict_names_the_row
            only_what_is_asked_for_is_read
            what_is_too_large_is_refused
            changes_are_heard_by_others_soon
            a_watch_from_the_past_hears_what_was
            who_decides_at_once_never_doubles
            a_document_comes_in_once
            rows_of_a_later_form_are_refused
        }
    };
}
pub(super) use suite;

/// A notification takes less than this after the commit ...
const SOON: Duration = Duration::from_secs(1);
/// ... which itself may take its time on a slow disk.
const PATIENCE: Duration = Duration::from_secs(20);

fn row(key: &str) -> RowName {
    RowName::new(Kind::Device, key)
}

fn put(key: &str, n: u32) -> Write {
    Write::Put(row(key), json!({ "n": n }))
}

fn when(key: &str, at: Option<Revision>) -> Condition {
    Condition { row: row(key), at }
}

fn done(backend: &impl Backend, conditions: Vec<Condition>, writes: Vec<Write>) -> Revision {
    match backend.commit(&Transaction { conditions, writes }).unwrap() {
        Committed::Done(revision) => revision,
        Committed::Conflict(row) => panic!("{row} is in the way"),
    }
}

fn keys(backend: &impl Backend) -> Vec<String> {
    backend.read(&[Kind::Device]).unwrap().rows.into_iter().map(|row| row.name.key).collect()
}

pub fn a_transaction_is_whole_or_it_is_not(place: &impl Place) {
    let (one, other) = (place.open(), place.open());
    let first = done(&one, vec![when("a", None)], vec![put("a", 1), put("b", 1)]);
    assert_eq!(keys(&other), ["a", "b"]);
    let second = done(&other, vec![when("a", Some(first))], vec![put("a", 2), Write::Delete(row("b"))]);
    assert!(second > first);
    let snapshot = one.read(&[Kind::Device]).unwrap();
    assert_eq!((snapshot.revision, snapshot.rows.len()), (second, 1));
    assert_eq!((snapshot.rows[0].revision, &snapshot.rows[0].value), (second, &json!({ "n": 2 })));
    let stale =
        Transaction { conditions: vec![when("a", Some(first))], writes: vec![put("c", 1), put("a", 3)] };
    assert_eq!(one.commit(&stale).unwrap(), Committed::Conflict(row("a")));
    assert_eq!(one.read(&[Kind::Device]).unwrap(), snapshot, "nothing of it was done");
    assert_eq!(one.commit(&Transaction::default()).unwrap(), Committed::Done(second));
}

pub fn a_conflict_names_the_row(place: &impl Place) {
    let backend = place.open();
    let at = done(&backend, vec![], vec![put("a", 1), put("b", 1)]);
    for (condition, conflicts) in [
        (when("a", Some(at)), false),
        (when("c", None), false),
        (when("a", None), true),
        (when("a", Some(at + 7)), true),
        (when("c", Some(at)), true),
    ] {
        let conditions = vec![
            when("b", backend.read(&[Kind::Device]).unwrap().rows[1].revision.into()),
            condition.clone(),
        ];
        let became = backend.commit(&Transaction { conditions, writes: vec![put("b", 2)] }).unwrap();
        assert_eq!(
            became == Committed::Conflict(condition.row.clone()),
            conflicts,
            "{condition:?}: {became:?}"
        );
    }
}

pub fn only_what_is_asked_for_is_read(place: &impl Place) {
    let backend = place.open();
    assert_eq!(backend.read(&Kind::ALL).unwrap().rows, []);
    let other = RowName::new(Kind::Pool, "ä b/c%\n");
    done(&backend, vec![], vec![put("a", 1), Write::Put(other.clone(), json!({ "text": "ä\u{0}\"" }))]);
    let pools = backend.read(&[Kind::Pool]).unwrap().rows;
    assert_eq!(pools.iter().map(|row| &row.name).collect::<Vec<_>>(), [&other]);
    assert_eq!(pools[0].value["text"], "ä\u{0}\"");
    assert_eq!(backend.read(&Kind::ALL).unwrap().rows.len(), 2);
}

pub fn what_is_too_large_is_refused(place: &impl Place) {
    let backend = place.open();
    let writes = |count: usize| (0..count).map(|n| put(&format!("d{n}"), 1)).collect::<Vec<_>>();
    let conditions = |count: usize| (0..count).map(|n| when(&format!("d{n}"), None)).collect::<Vec<_>>();
    for (more, fewer) in [(LARGEST + 1, 1), (1, LARGEST + 1)] {
        let large = Transaction { conditions: conditions(more), writes: writes(fewer) };
        assert!(matches!(backend.commit(&large), Err(Error::TooLarge { .. })));
    }
    assert_eq!(keys(&backend).len(), 0);
    done(&backend, conditions(LARGEST), writes(LARGEST));
    assert_eq!(keys(&backend).len(), LARGEST);
}

/// What is heard next: the rows, in order.
fn heard(watch: &mut dyn Watch) -> (Vec<String>, Revision) {
    match watch.next(PATIENCE).unwrap() {
        Heard::Changed { revision, rows } => {
            (rows.into_iter().map(|changed| changed.row.key).collect(), revision)
        }
        other => panic!("{other:?}"),
    }
}

pub fn changes_are_heard_by_others_soon(place: &impl Place) {
    let (one, other) = (place.open(), place.open());
    let from = done(&one, vec![], vec![put("a", 1)]);
    let mut watch = other.watch(from).unwrap();
    assert_eq!(watch.next(Duration::ZERO).unwrap(), Heard::Nothing);
    for n in 0..5 {
        std::thread::scope(|scope| {
            let hears = scope.spawn(|| (heard(watch.as_mut()), Instant::now()));
            std::thread::sleep(Duration::from_millis(20));
            let at = done(&one, vec![], vec![put("b", n), Write::Delete(row("a"))]);
            let committed = Instant::now();
            let (heard, when) = hears.join().unwrap();
            assert_eq!(heard, (vec!["a".to_owned(), "b".to_owned()], at));
            assert!(when.saturating_duration_since(committed) < SOON, "too late");
        });
    }
    let began = Instant::now();
    assert_eq!(watch.next(Duration::from_millis(50)).unwrap(), Heard::Nothing);
    assert!(began.elapsed() >= Duration::from_millis(50));
}

pub fn a_watch_from_the_past_hears_what_was(place: &impl Place) {
    let backend = place.open();
    let from = done(&backend, vec![], vec![put("a", 1)]);
    done(&backend, vec![], vec![put("b", 1), put("c", 1)]);
    let last = done(&backend, vec![], vec![put("b", 2)]);
    let mut watch = backend.watch(from).unwrap();
    assert_eq!(heard(watch.as_mut()), (vec!["c".to_owned(), "b".to_owned()], last));
    assert_eq!(watch.next(Duration::ZERO).unwrap(), Heard::Nothing);
    // A revision that was never: the store is another.
    let mut lost = backend.watch(last + 100).unwrap();
    assert_eq!(lost.next(PATIENCE).unwrap(), Heard::Compacted { revision: last });
    let next = done(&backend, vec![], vec![put("d", 1)]);
    assert_eq!(heard(lost.as_mut()), (vec!["d".to_owned()], next), "it goes on from there");
}

/// An inventory with one device of 32 terminations, and as many /31 and client addresses.
pub fn stock(backend: &dyn Backend) {
    change::change(backend, |r| devices::put(r, &device("ams-1", &["198.51.100.0/27"]), NOW)).unwrap();
    let (inside, clients) = (["169.254.10.0/26"], ["203.0.113.0/27"]);
    change::change(backend, |r| pools::put(r, &pool("inside", Purpose::Overlay, &inside), NOW)).unwrap();
    change::change(backend, |r| pools::put(r, &pool("clients", Purpose::Client, &clients), NOW)).unwrap();
    let lo = InterfaceName::new("lo").unwrap();
    change::change(backend, |r| interfaces::bootstrap(r, (&code("ams-1"), &lo), 32, NOW)).unwrap();
}

/// What host `h` and a number asks for its tunnel `t` and a number.
pub fn ask(host: usize, tunnel: usize) -> sessions::Request {
    sessions::Request {
        host: HostName::new(&format!("h{host}")).unwrap(),
        name: TunnelName::new(&format!("t{tunnel}")).unwrap(),
        kind: crate::model::Kind::Unicast,
        device: code("ams-1"),
        termination: None,
        underlay: Underlay { bound: [192, 0, 2, u8::try_from(host).unwrap()].into(), public: None },
        publish: BTreeSet::new(),
        subscribe: BTreeSet::new(),
    }
}

/// No two sessions have anything in common, and nothing is leased without a use.
pub fn check(registry: &Registry) {
    assert_eq!(registry.dangling().next(), None);
    pools::audit(registry).unwrap();
    let all: Vec<_> = registry.sessions.values().map(|session| &session.value).collect();
    let once = |of: fn(&crate::model::Session) -> String| {
        assert_eq!(
            all.iter().map(|session| of(session)).collect::<BTreeSet<_>>().len(),
            all.len(),
            "{all:?}"
        );
    };
    once(|session| session.termination.to_string());
    once(|session| session.overlay.to_string());
    once(|session| session.client.to_string());
    assert_eq!(registry.leases.len(), registry.terminations.len() + 2 * all.len(), "one was lost");
}

pub fn who_decides_at_once_never_doubles(place: &impl Place) {
    stock(&place.open());
    std::thread::scope(|scope| {
        for host in 0..8 {
            scope.spawn(move || {
                let backend = place.open();
                for tunnel in 0..4 {
                    change::change(&backend, |r| sessions::request(r, &ask(host, tunnel), NOW)).unwrap();
                }
            });
        }
    });
    let backend = place.open();
    let registry = change::read(&backend).unwrap();
    assert_eq!(registry.sessions.len(), 32);
    check(&registry);
    let full = change::change(&backend, |r| sessions::request(r, &ask(9, 0), NOW)).unwrap_err();
    assert!(full.to_string().contains("no termination that is free"), "{full}");
    let ended = SessionKey { host: HostName::new("h3").unwrap(), name: TunnelName::new("t1").unwrap() };
    change::change(&backend, |r| sessions::confirm_gone(r, &ended, true, NOW)).unwrap();
    change::change(&backend, |r| sessions::request(r, &ask(9, 0), NOW)).unwrap();
    check(&change::read(&backend).unwrap());
}

pub fn a_document_comes_in_once(place: &impl Place) {
    let backend = place.open();
    stock(&backend);
    let mut document = transfer::export(&change::checked(&backend).unwrap());
    let more = (0..200).map(|n| {
        let device = device(&format!("d{n}"), &[]);
        (device.code.to_string(), serde_json::to_value(device).unwrap())
    });
    document.rows["device"].as_object_mut().unwrap().extend(more);
    assert_eq!(change::import(&backend, &document, false).unwrap(), 200);
    assert_eq!(change::import(&backend, &document, false).unwrap(), 0);
    assert_eq!(transfer::export(&change::checked(&backend).unwrap()), document);
}

pub fn rows_of_a_later_form_are_refused(place: &impl Place) {
    let backend = place.open();
    stock(&backend);
    let later: form::Step = |kind, value| {
        let mut value = value.clone();
        value["zone"] = "eu".into();
        (kind == Kind::Device).then_some(value)
    };
    let (before, after) = change::migrate_by(&backend, &[later]).unwrap();
    assert_eq!((before.form, after.form, after.min_reader), (1, 2, 2));
    let refused = change::read(&backend).unwrap_err().to_string();
    assert!(refused.contains("rows of form 2, and this greyhound knows up to 1"), "{refused}");
    let refused = change::change(&backend, |r| devices::put(r, &device("ams-2", &[]), NOW)).unwrap_err();
    assert!(matches!(refused, Error::TooNew(_)), "{refused}");
}
