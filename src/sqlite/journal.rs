//! The write-ahead log: readers and a writer at once, and one sync a transaction.
//! It needs shared memory between processes, which network and 9p file systems do not have: a file made there
//! has a rollback journal, and keeps it. Only whoever makes a file chooses, while nobody else has it.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::error::PATIENCE;

/// Gives a new file the log, if it can be had.
pub fn choose(path: &Path) -> rusqlite::Result<()> {
    let conn = open(path)?;
    let chosen = conn.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())).and_then(|()| read(&conn));
    match chosen {
        Err(source) if unsupported(&source) => {
            drop(conn);
            roll_back(path).map(drop)
        }
        chosen => chosen.and_then(|()| conn.close().map_err(|(_, source)| source)),
    }
}

/// Opens a file with the journal that it has. One with a log that came to a place without shared memory is
/// given a rollback journal. The text is for the operator: it says what is not as it should be.
pub fn connect(path: &Path) -> rusqlite::Result<(Connection, Option<String>)> {
    let conn = match open(path).and_then(|conn| read(&conn).map(|()| conn)) {
        Err(source) if unsupported(&source) => roll_back(path)?,
        conn => conn?,
    };
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update(None, "foreign_keys", true)?;
    conn.pragma_update(None, "trusted_schema", false)?;
    let mode = conn.pragma_query_value(None, "journal_mode", |row| row.get::<_, String>(0))?;
    Ok((conn, (mode != "wal").then(|| notice(path))))
}

/// Reads nothing of the file yet. Without CREATE: a file that vanishes is an error, not an empty state.
fn open(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(Duration::from_secs(PATIENCE))?;
    Ok(conn)
}

/// Without shared memory the log cannot even be left, unless the file is ours alone for that moment:
/// locked before anything is read of it.
fn roll_back(path: &Path) -> rusqlite::Result<Connection> {
    let conn = open(path)?;
    conn.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    conn.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(()))?;
    conn.pragma_update(None, "locking_mode", "NORMAL")?;
    read(&conn)?;
    Ok(conn)
}

fn read(conn: &Connection) -> rusqlite::Result<()> {
    conn.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
}

/// 9p answers the mapping of shared memory with EIO, others refuse to open it.
fn unsupported(source: &rusqlite::Error) -> bool {
    matches!(source.sqlite_error_code(), Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen))
}

fn notice(path: &Path) -> String {
    let path = path.display();
    format!(
        "{path} has a rollback journal, which is slow, because its file system has, or had, no shared memory \
         (9p, NFS): keep it in a directory on a local disk; moved there, it is made fast again by \
         sqlite3 {path} 'PRAGMA journal_mode = WAL'"
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// What a place without shared memory comes to: the log's index cannot be had. SQLite follows no links.
    fn without_shared_memory() -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        symlink("nowhere", dir.path().join("file-shm")).unwrap();
        let path = dir.path().join("file");
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE t (x INTEGER) STRICT").unwrap();
        (dir, path)
    }

    #[test]
    fn a_new_file_gets_the_log() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE t (x INTEGER) STRICT").unwrap();
        choose(&path).unwrap();
        let (conn, notice) = connect(&path).unwrap();
        conn.execute("INSERT INTO t VALUES (1)", []).unwrap();
        assert_eq!(notice, None);
    }

    #[test]
    fn where_there_is_no_shared_memory_the_journal_is_rolled_back() {
        let (_dir, path) = without_shared_memory();
        choose(&path).unwrap();
        for _ in 0..2 {
            let (conn, notice) = connect(&path).unwrap();
            conn.execute("INSERT INTO t VALUES (1)", []).unwrap();
            assert!(notice.unwrap().contains("keep it in a directory on a local disk"));
        }
    }
}
