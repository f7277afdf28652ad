use std::fs::{self, OpenOptions};
use std::os::unix::fs::PermissionsExt;

use super::super::State;
use super::*;

fn made() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let mut state = State::open(dir.path()).unwrap();
    state.change(|tx| tx.claim_loopback([10, 0, 0, 1].into())).unwrap();
    let path = dir.path().join(NAME);
    (dir, path)
}

/// Neither way of opening takes the file, and neither touches it.
fn refused(dir: &Path) -> String {
    let content = fs::read(dir.join(NAME)).ok();
    let copied = State::open_copy(dir).unwrap_err().to_string();
    let opened = State::open(dir).unwrap_err().to_string();
    assert_eq!(fs::read(dir.join(NAME)).ok(), content, "changed a file that it refused");
    assert_eq!(copied, opened);
    opened
}

#[test]
fn what_is_not_there_is_made_for_us_alone() {
    let above = tempfile::tempdir().unwrap();
    let dir = above.path().join("var/greyhound");
    let state = State::open(&dir).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&dir) & !0o750, mode(&dir.join(NAME)) & !0o640), (0, 0));
    assert_eq!(state.notice(), None, "the log works on a local file system");
    assert!(!dir.join("state.db.new").exists());
}

#[test]
fn what_was_written_is_there_when_opened_again() {
    let (dir, _) = made();
    assert_eq!(State::open(dir.path()).unwrap().loopback().unwrap().len(), 1);
}

#[test]
fn every_commit_is_synced_before_it_counts() {
    let (dir, _) = made();
    let conn = open(dir.path()).unwrap().conn;
    let pragma = |name| conn.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!((pragma("synchronous"), pragma("foreign_keys")), (2, 1));
    let mode = conn.pragma_query_value(None, "journal_mode", |row| row.get::<_, String>(0)).unwrap();
    assert_eq!(mode, "wal");
}

#[test]
fn an_unfinished_beginning_is_begun_again() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("state.db.new"), "half").unwrap();
    fs::write(dir.path().join("state.db.new-journal"), "half").unwrap();
    State::open(dir.path()).unwrap();
    assert!(!dir.path().join("state.db.new-journal").exists());
}

#[test]
fn an_empty_file_is_damage_and_not_a_beginning() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(NAME), "").unwrap();
    assert!(refused(dir.path()).contains("state.db is damaged (it is empty): nothing was changed"));
}

#[test]
fn a_file_of_somebody_else_is_refused_untouched() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(NAME);
    fs::write(
        &path,
        "a letter, and not a data base; long enough to have a header of a hundred bytes and more than that",
    )
    .unwrap();
    assert!(refused(dir.path()).contains("is not greyhound's"));
    fs::remove_file(&path).unwrap();
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
    assert!(refused(dir.path()).contains("is not greyhound's"));
}

#[test]
fn a_truncated_file_is_refused() {
    for keep in [50, 4096, 10_000] {
        let (dir, path) = made();
        OpenOptions::new().write(true).open(&path).unwrap().set_len(keep).unwrap();
        let text = refused(dir.path());
        assert!(text.contains("state.db is damaged"), "{keep}: {text}");
    }
}

#[test]
fn a_corrupted_file_is_refused() {
    let (dir, path) = made();
    let mut content = fs::read(&path).unwrap();
    content[4096..].fill(0xa5);
    fs::write(&path, content).unwrap();
    assert!(refused(dir.path()).contains("state.db is damaged"));
}

#[test]
fn a_lost_file_whose_log_is_left_is_not_begun_anew() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("state.db-wal"), "frames").unwrap();
    assert!(refused(dir.path()).contains("it is missing, but its -wal is there"));
    assert!(!dir.path().join(NAME).exists());
}

#[test]
fn a_newer_file_is_refused() {
    let (dir, path) = made();
    let conn = Connection::open(path).unwrap();
    conn.execute_batch("PRAGMA user_version = 99; UPDATE meta SET value = '7.0.0'").unwrap();
    drop(conn);
    assert!(refused(dir.path()).contains("schema 99, and this greyhound knows up to 4: use greyhound 7.0.0"));
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let blocked = dir.path().join("file");
    fs::write(&blocked, "").unwrap();
    let error = State::open(&blocked.join("state")).unwrap_err();
    assert!(error.to_string().contains("cannot make the directory"), "{error}");
}

#[test]
fn a_file_that_came_to_a_place_without_shared_memory_goes_on_without_the_log() {
    let (dir, _) = made();
    let _ = fs::remove_file(dir.path().join("state.db-shm"));
    // The log's index cannot be had: SQLite follows no links.
    std::os::unix::fs::symlink("nowhere", dir.path().join("state.db-shm")).unwrap();
    let mut state = State::open(dir.path()).unwrap();
    assert!(state.notice().unwrap().contains("keep it in a directory on a local disk"));
    state.change(|tx| tx.claim_loopback([10, 0, 0, 3].into())).unwrap();
    let mut second = State::open(dir.path()).unwrap();
    second.change(|tx| tx.claim_loopback([10, 0, 0, 2].into())).unwrap();
    assert_eq!(state.loopback().unwrap().len(), 3);
    assert_eq!(State::open_copy(dir.path()).unwrap().loopback().unwrap().len(), 3);
}

#[test]
fn a_copy_of_nothing_is_empty_and_makes_nothing() {
    let above = tempfile::tempdir().unwrap();
    let dir = above.path().join("absent");
    let mut copy = State::open_copy(&dir).unwrap();
    copy.change(|tx| tx.claim_loopback([10, 0, 0, 1].into())).unwrap();
    assert!(!dir.exists());
}

#[test]
fn changes_of_a_copy_stay_in_it() {
    let (dir, _) = made();
    let mut copy = State::open_copy(dir.path()).unwrap();
    copy.change(|tx| tx.claim_loopback([10, 0, 0, 2].into())).unwrap();
    assert_eq!(copy.loopback().unwrap().len(), 2);
    assert_eq!(State::open(dir.path()).unwrap().loopback().unwrap().len(), 1);
}
