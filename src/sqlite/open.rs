//! Finding, making and checking a file. It is never made anew on top of one that is damaged.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::geteuid;
use rusqlite::{Connection, OpenFlags};

use super::error::{Error, PATIENCE, failed, file};
use super::journal;
use super::schema::{self, Sort};

/// Every SQLite file begins with it (sqlite.org/fileformat.html, 1.3).
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// Opens the file, and makes it if it is not there; the directory is. The text is for the operator, as of
/// [`journal::connect`].
pub fn open(path: &Path, sort: Sort<'_>) -> Result<(Connection, Option<String>), Error> {
    if !exists(path)? {
        create(path, sort)?;
    }
    check_header(path, sort)?;
    let (mut conn, notice) = journal::connect(path).map_err(failed(path, "open"))?;
    schema::version(&conn, "main", path, sort.steps)?;
    check_pages(&conn, "main", path)?;
    schema::migrate(&mut conn, path, sort)?;
    Ok((conn, notice))
}

/// Opens the file to read it, as it is: nothing is made, and nothing upgraded.
pub fn open_as_it_is(path: &Path, sort: Sort<'_>) -> Result<Connection, Error> {
    check_header(path, sort)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags).map_err(failed(path, "open"))?;
    conn.busy_timeout(Duration::from_secs(PATIENCE)).map_err(failed(path, "open"))?;
    schema::version(&conn, "main", path, sort.steps)?;
    check_pages(&conn, "main", path)?;
    Ok(conn)
}

/// Is there such a file?
pub fn exists(path: &Path) -> Result<bool, Error> {
    path.try_exists().map_err(file(path, "look for"))
}

/// The file comes into being whole: an empty or half-made one under its name is damage, never a beginning.
fn create(path: &Path, sort: Sort<'_>) -> Result<(), Error> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let lock = File::open(dir).map_err(file(dir, "open the directory"))?;
    lock.lock().map_err(file(dir, "lock the directory"))?;
    if exists(path)? {
        return Ok(());
    }
    check_log(path)?;
    let new = beside(path, ".new");
    for left in ["", "-journal", "-wal", "-shm"].map(|suffix| beside(&new, suffix)) {
        match fs::remove_file(&left) {
            Err(source) if source.kind() != ErrorKind::NotFound => {
                return Err(file(&left, "remove the unfinished")(source));
            }
            _ => {}
        }
    }
    let made = OpenOptions::new().write(true).create_new(true).mode(sort.mode).open(&new);
    let made = made.map_err(file(&new, "make"))?;
    give(&made, &new)?;
    let mut conn = Connection::open(&new).map_err(failed(&new, "open the new file"))?;
    schema::migrate(&mut conn, &new, sort)?;
    conn.close().map_err(|(_, source)| failed(&new, "close the new file")(source))?;
    journal::choose(&new).map_err(failed(&new, "choose the journal"))?;
    (sort.finish)(&made, &new)?;
    fs::rename(&new, path).map_err(file(path, "put in place"))?;
    lock.sync_all().map_err(file(dir, "sync the directory"))
}

/// What root makes is the directory's owner's: the service runs as another user. SQLite gives the log and its index to
/// the file's owner in the same way. By the open file: whoever may write to the directory may put a link in its place.
pub fn give(made: &File, path: &Path) -> Result<(), Error> {
    if !geteuid().is_root() {
        return Ok(());
    }
    let dir = path.parent().unwrap_or(Path::new("."));
    let given = fs::metadata(dir).and_then(|owner| fchown(made, Some(owner.uid()), Some(owner.gid())));
    given.map_err(file(path, "give to the directory's owner"))
}

/// A path whose name is longer by this.
pub fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// A log without its file means that the file was lost.
pub fn check_log(path: &Path) -> Result<(), Error> {
    if exists(&beside(path, "-wal"))? {
        return Err(Error::Damaged {
            path: path.to_owned(),
            what: "it is missing, but its -wal is there".into(),
        });
    }
    Ok(())
}

/// Looks before SQLite does, which would write to any file that it takes for its own.
pub fn check_header(path: &Path, sort: Sort<'_>) -> Result<(), Error> {
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
        Some(id) if id == sort.application_id.to_be_bytes() => Ok(()),
        Some(_) => Err(Error::Foreign { path: path.to_owned() }),
    }
}

/// Looks at every page.
pub fn check_pages(conn: &Connection, schema: &'static str, path: &Path) -> Result<(), Error> {
    let found = conn.pragma_query_value(Some(schema), "quick_check", |row| row.get::<_, String>(0));
    let found = found.map_err(failed(path, "check"))?;
    if found == "ok" {
        return Ok(());
    }
    // One finding says enough; the line before it only names the database.
    let what = found.lines().find(|line| !line.starts_with("***")).unwrap_or(&found);
    Err(Error::Damaged { path: path.to_owned(), what: what.to_owned() })
}
