use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use super::super::backend::Heard;
use super::super::suite::{Place, suite};
use super::*;
use crate::registry::{RowName, Write};

struct Directory(TempDir);

impl Directory {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("shared/inventory.db")
    }
}

impl Place for Directory {
    type Backend = Sqlite;

    fn open(&self) -> Sqlite {
        Sqlite::open(&self.file()).unwrap()
    }
}

suite!(Directory::new());

fn put(n: u32) -> Transaction {
    let write = Write::Put(RowName::new(Kind::Device, format!("d{n}")), json!({}));
    Transaction { conditions: vec![], writes: vec![write] }
}

#[test]
fn the_group_shares_what_is_made() {
    let place = Directory::new();
    let inventory = place.open();
    inventory.commit(&put(1)).unwrap();
    drop(inventory.queue().unwrap());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    let directory = place.file().parent().unwrap().to_owned();
    assert_eq!(mode(&directory), 0o2770);
    for name in ["inventory.db", "inventory.db-wal", "inventory.db-shm", "inventory.db-queue"] {
        assert_eq!(mode(&directory.join(name)), 0o660, "{name}");
    }
}

#[test]
fn a_file_of_another_sort_is_refused() {
    let place = Directory::new();
    drop(place.open());
    let error = crate::store::State::open(place.file().parent().unwrap());
    drop(error.unwrap());
    let state = place.file().with_file_name("state.db");
    let refused = Sqlite::open(&state).unwrap_err().to_string();
    assert!(refused.contains("state.db is not greyhound's"), "{refused}");
    assert!(matches!(Sqlite::open(Path::new("inventory.db")), Err(Error::NoFile { .. })));
}

#[test]
fn the_schema_itself_refuses_a_doubled_row() {
    let place = Directory::new();
    let inventory = place.open();
    inventory.commit(&put(1)).unwrap();
    let doubled = inventory.conn.execute("INSERT INTO rows VALUES ('device', 'd1', '{}', 2)", []);
    assert!(doubled.unwrap_err().to_string().contains("UNIQUE constraint failed: rows.kind, rows.key"));
}

#[test]
fn who_has_missed_too_much_reads_everything_again() {
    let place = Directory::new();
    let inventory = place.open();
    inventory.commit(&put(1)).unwrap();
    let mut watch = inventory.watch(1).unwrap();
    let ahead = rows::KEPT + 5;
    inventory.conn.execute("UPDATE clock SET revision = ?1", [ahead.cast_signed()]).unwrap();
    inventory.commit(&put(2)).unwrap();
    assert_eq!(watch.next(Duration::from_secs(1)).unwrap(), Heard::Compacted { revision: ahead + 1 });
    let count = |table| {
        inventory
            .conn
            .query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, i64>(0))
            .unwrap()
    };
    assert_eq!((count("changes"), count("rows")), (1, 2), "changes are bounded, and rows stay");
}

#[test]
fn every_commit_is_synced_before_it_counts() {
    let place = Directory::new();
    let pragma = |name| place.open().conn.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(pragma("synchronous"), 2);
    assert!(pragma("busy_timeout") > 1000);
}
