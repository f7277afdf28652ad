use super::super::claims::tests::{claim, name};
use super::*;

fn state() -> (tempfile::TempDir, State) {
    let dir = tempfile::tempdir().unwrap();
    let state = State::open(dir.path()).unwrap();
    (dir, state)
}

#[test]
fn an_error_of_the_caller_undoes_the_whole_change() {
    let (_dir, mut state) = state();
    let changed = state.change(|tx| {
        tx.claim_loopback([10, 0, 0, 1].into())?;
        Err::<(), _>(Error::Spoilt { path: PathBuf::new() })
    });
    assert!(changed.is_err());
    assert_eq!(state.owned().unwrap(), Owned::default());
}

#[test]
fn after_a_failure_nothing_is_kept_even_if_it_is_swallowed() {
    let (_dir, mut state) = state();
    let changed = state.change(|tx| {
        tx.claim_loopback([10, 0, 0, 1].into())?;
        assert!(tx.claim_loopback([0, 0, 0, 0].into()).is_err(), "the schema refuses it");
        assert!(matches!(tx.claim_loopback([10, 0, 0, 2].into()), Err(Error::Spoilt { .. })));
        Ok::<_, Error>(())
    });
    assert!(matches!(changed, Err(Error::Spoilt { .. })));
    assert_eq!(state.owned().unwrap(), Owned::default());
}

#[test]
fn a_full_disk_is_a_clear_sentence_and_keeps_what_was() {
    let (_dir, mut state) = state();
    state.change(|tx| tx.claim(&name("first"), &claim(1))).unwrap();
    let before = state.owned().unwrap();
    state.conn.pragma_update(None, "max_page_count", 1).unwrap();
    let filled = state.change(|tx| (2..2000).try_for_each(|n| tx.claim(&name(&format!("t{n}")), &claim(n))));
    let text = filled.unwrap_err().to_string();
    assert!(text.contains("no space is left") && text.contains("state.db"), "{text}");
    assert_eq!(state.owned().unwrap(), before);
}

#[test]
fn a_read_only_file_is_a_clear_sentence() {
    let (_dir, mut state) = state();
    state.conn.pragma_update(None, "query_only", true).unwrap();
    let text = state.change(|tx| tx.claim_loopback([10, 0, 0, 1].into())).unwrap_err().to_string();
    assert!(text.contains("state.db is read-only"), "{text}");
}

#[test]
fn another_process_that_keeps_the_lock_is_a_clear_sentence() {
    let (dir, mut state) = state();
    let mut other = State::open(dir.path()).unwrap();
    other.conn.busy_timeout(std::time::Duration::ZERO).unwrap();
    state
        .change(|_| {
            let text = other.change(|_| Ok::<_, Error>(())).unwrap_err().to_string();
            assert!(text.contains("have kept") && text.contains("locked"), "{text}");
            assert!(other.owned().is_ok(), "readers do not wait for the writer");
            Ok::<_, Error>(())
        })
        .unwrap();
}

#[test]
fn a_row_that_greyhound_never_wrote_is_damage() {
    let (_dir, state) = state();
    state.conn.execute("INSERT INTO claim VALUES ('Not A Name')", []).unwrap();
    assert!(matches!(state.owned(), Err(Error::File(crate::sqlite::Error::Damaged { .. }))));
}
