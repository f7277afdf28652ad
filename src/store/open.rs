//! Finding, making and checking the file. It is never made anew on top of one that is damaged.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;

use super::error::{Error, PATIENCE, failed, file};
use super::journal;
use super::schema::{self, APPLICATION_ID, STEPS};

const NAME: &str = "state.db";
const NEW: &str = "state.db.new";
/// Every SQLite file begins with it (sqlite.org/fileformat.html, 1.3).
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

pub(super) struct Opened {
    pub conn: Connection,
    pub path: PathBuf,
    pub notice: Option<String>,
}

/// Opens the file of this directory, and makes both if they are not there.
pub(super) fn open(dir: &Path) -> Result<Opened, Error> {
    DirBuilder::new().recursive(true).mode(0o750).create(dir).map_err(file(dir, "make the directory"))?;
    let path = dir.join(NAME);
    if !exists(&path)? {
        create(dir, &path)?;
    }
    check_header(&path)?;
    let (mut conn, notice) = journal::connect(&path).map_err(failed(&path, "open the state"))?;
    schema::version(&conn, "main", &path, STEPS)?;
    check_pages(&conn, "main", &path)?;
    schema::migrate(&mut conn, &path, STEPS)?;
    Ok(Opened { conn, path, notice })
}

/// A copy of it in memory, upgraded if need be; an empty one if there is no file. The disk stays as it is.
pub(super) fn copy(dir: &Path) -> Result<Opened, Error> {
    let path = dir.join(NAME);
    let copying = "read the state";
    let mut conn = Connection::open_in_memory().map_err(failed(&path, copying))?;
    if exists(&path)? {
        check_header(&path)?;
        conn.busy_timeout(Duration::from_secs(PATIENCE)).map_err(failed(&path, copying))?;
        let attached = conn.execute("ATTACH ?1 AS disk", [path.to_string_lossy()]);
        attached.map_err(failed(&path, copying))?;
        let version = schema::version(&conn, "disk", &path, STEPS)?;
        check_pages(&conn, "disk", &path)?;
        copy_tables(&conn, version).map_err(failed(&path, copying))?;
    } else {
        check_log(&path)?;
    }
    schema::migrate(&mut conn, &path, STEPS)?;
    conn.pragma_update(None, "foreign_keys", true).map_err(failed(&path, copying))?;
    Ok(Opened { conn, path, notice: None })
}

fn exists(path: &Path) -> Result<bool, Error> {
    path.try_exists().map_err(file(path, "look for"))
}

/// The file comes into being whole: an empty or half-made one under its name is damage, never a beginning.
fn create(dir: &Path, path: &Path) -> Result<(), Error> {
    let lock = File::open(dir).map_err(file(dir, "open the directory"))?;
    lock.lock().map_err(file(dir, "lock the directory"))?;
    if exists(path)? {
        return Ok(());
    }
    check_log(path)?;
    let new = dir.join(NEW);
    for left in ["", "-journal", "-wal", "-shm"].map(|suffix| dir.join(format!("{NEW}{suffix}"))) {
        match fs::remove_file(&left) {
            Err(source) if source.kind() != ErrorKind::NotFound => {
                return Err(file(&left, "remove the unfinished")(source));
            }
            _ => {}
        }
    }
    OpenOptions::new().write(true).create_new(true).mode(0o640).open(&new).map_err(file(&new, "make"))?;
    let mut conn = Connection::open(&new).map_err(failed(&new, "open the new state"))?;
    schema::migrate(&mut conn, &new, STEPS)?;
    conn.close().map_err(|(_, source)| failed(&new, "close the new state")(source))?;
    journal::choose(&new).map_err(failed(&new, "choose the journal"))?;
    fs::rename(&new, path).map_err(file(path, "put in place"))?;
    lock.sync_all().map_err(file(dir, "sync the directory"))
}

/// A log without its file means that the file was lost.
fn check_log(path: &Path) -> Result<(), Error> {
    if exists(&path.with_extension("db-wal"))? {
        return Err(Error::Damaged {
            path: path.to_owned(),
            what: "it is missing, but its -wal is there".into(),
        });
    }
    Ok(())
}

/// Looks before SQLite does, which would write to any file that it takes for its own.
fn check_header(path: &Path) -> Result<(), Error> {
    let damaged = |what: &str| Error::Damaged { path: path.to_owned(), what: what.to_owned() };
    let mut header = Vec::new();
    let opened = File::open(path).map_err(file(path, "open"))?;
    opened.take(100).read_to_end(&mut header).map_err(file(path, "read"))?;
    if header.is_empty() {
        return Err(damaged("it is empty"));
    }
    if !header.starts_with(MAGIC) {
        return Err(Error::Foreign { path: path.to_owned() });
    }
    match header.get(68..72) {
        None => Err(damaged("it is cut off")),
        Some(id) if id == APPLICATION_ID.to_be_bytes() => Ok(()),
        Some(_) => Err(Error::Foreign { path: path.to_owned() }),
    }
}

fn check_pages(conn: &Connection, schema: &'static str, path: &Path) -> Result<(), Error> {
    let found = conn.pragma_query_value(Some(schema), "quick_check", |row| row.get::<_, String>(0));
    let found = found.map_err(failed(path, "check the state"))?;
    if found == "ok" {
        return Ok(());
    }
    // One finding says enough; the line before it only names the database.
    let what = found.lines().find(|line| !line.starts_with("***")).unwrap_or(&found);
    Err(Error::Damaged { path: path.to_owned(), what: what.to_owned() })
}

/// In one transaction: all tables are of the same moment.
fn copy_tables(conn: &Connection, version: usize) -> rusqlite::Result<()> {
    let tx = conn.unchecked_transaction()?;
    schema::run(&tx, &STEPS[..version], version)?;
    let mut tables =
        tx.prepare("SELECT name FROM disk.sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'")?;
    let names = tables.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
    drop(tables);
    tx.execute("DELETE FROM main.meta", [])?;
    for name in names {
        tx.execute(&format!("INSERT INTO main.\"{name}\" SELECT * FROM disk.\"{name}\""), [])?;
    }
    tx.commit()?;
    conn.execute("DETACH disk", []).map(drop)
}

#[cfg(test)]
mod tests;
