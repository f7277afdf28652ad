//! Finding, making and checking the file, and copying it into memory.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;

use super::error::{Error, failed};
use super::schema::SORT;
use crate::sqlite::{self, open as file, schema};

/// The file of the directory.
pub const NAME: &str = "state.db";

pub(super) struct Opened {
    pub conn: Connection,
    pub path: PathBuf,
    pub notice: Option<String>,
}

/// Opens the file of this directory, and makes both if they are not there.
pub(super) fn open(dir: &Path) -> Result<Opened, Error> {
    make_directory(dir)?;
    let path = dir.join(NAME);
    let (conn, notice) = file::open(&path, SORT)?;
    Ok(Opened { conn, path, notice })
}

/// For us alone, and the group.
pub(super) fn make_directory(dir: &Path) -> Result<(), Error> {
    let made = DirBuilder::new().recursive(true).mode(0o750).create(dir);
    Ok(made.map_err(sqlite::file(dir, "make the directory"))?)
}

/// A copy of it in memory, upgraded if need be; an empty one if there is no file. The disk stays as it is.
pub(super) fn copy(dir: &Path) -> Result<Opened, Error> {
    let path = dir.join(NAME);
    let copying = "read the state";
    let mut conn = Connection::open_in_memory().map_err(failed(&path, copying))?;
    if file::exists(&path)? {
        file::check_header(&path, SORT)?;
        conn.busy_timeout(Duration::from_secs(sqlite::PATIENCE)).map_err(failed(&path, copying))?;
        let attached = conn.execute("ATTACH ?1 AS disk", [path.to_string_lossy()]);
        attached.map_err(failed(&path, copying))?;
        let version = schema::version(&conn, "disk", &path, SORT.steps)?;
        file::check_pages(&conn, "disk", &path)?;
        copy_tables(&conn, version).map_err(failed(&path, copying))?;
    } else {
        file::check_log(&path)?;
    }
    schema::migrate(&mut conn, &path, SORT)?;
    conn.pragma_update(None, "foreign_keys", true).map_err(failed(&path, copying))?;
    Ok(Opened { conn, path, notice: None })
}

/// In one transaction: all tables are of the same moment.
fn copy_tables(conn: &Connection, version: usize) -> rusqlite::Result<()> {
    let tx = conn.unchecked_transaction()?;
    schema::run(&tx, SORT, 0..version)?;
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
