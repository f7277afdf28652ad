//! A copy of a file at one moment, also while others write to it; and a copy put in its place.

use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::error::{Error, PATIENCE, failed, file};
use super::open::{self, beside, check_header, check_pages, exists};
use super::schema::{self, Sort};

/// A copy is for who may read the original.
const MODE: u32 = 0o600;

/// Writes a copy into a new file, whole or not at all. `replace`: one that is there goes, once the new one is whole.
pub fn write(from: &Path, to: &Path, sort: Sort<'_>, replace: bool) -> Result<(), Error> {
    if !replace && exists(to)? {
        return Err(Error::Taken { path: to.to_owned() });
    }
    // Who has it open would go on with a file without a name, and the next one with a log of another file.
    if exists(&beside(to, "-wal"))? {
        return Err(Error::Used { path: to.to_owned() });
    }
    let part = beside(to, ".part");
    let written = copy(from, &part, sort, MODE).and_then(|_| name(&part, to, replace));
    if written.is_err() {
        let _ = fs::remove_file(&part);
    }
    written.and_then(|()| sync_directory(to))
}

/// Gives the whole copy its name.
fn name(part: &Path, to: &Path, replace: bool) -> Result<(), Error> {
    if !replace {
        // Not every file system has hard links; so the name is taken first, and no other file by it is replaced.
        match OpenOptions::new().write(true).create_new(true).mode(MODE).open(to) {
            Err(source) if source.kind() == ErrorKind::AlreadyExists => {
                return Err(Error::Taken { path: to.to_owned() });
            }
            taken => drop(taken.map_err(file(to, "make"))?),
        }
    }
    fs::rename(part, to).map_err(file(to, "name the copy"))
}

/// Puts a copy of `from` in the place of `path`, upgraded if it is older. What was there is kept under another name, which
/// ends with `suffix`; `None`: nothing was there. Nobody else may have it open.
pub fn replace(path: &Path, from: &Path, sort: Sort<'_>, suffix: &str) -> Result<Option<PathBuf>, Error> {
    let new = beside(path, ".restored");
    open::give(&copy(from, &new, sort, sort.mode)?, &new)?;
    // As it will be opened: with its log, and with the newest tables.
    super::journal::choose(&new).map_err(failed(&new, "choose the journal"))?;
    let (conn, _) = open::open(&new, sort)?;
    conn.close().map_err(|(_, source)| failed(&new, "close the copy")(source))?;
    let aside = beside(path, suffix);
    let kept = set_aside(path, &aside)?;
    fs::rename(&new, path).map_err(file(path, "put in place"))?;
    sync_directory(path)?;
    Ok(kept.then_some(aside))
}

/// The file gets another name, and keeps its own until the new one takes it: there is no moment without a file, in which
/// one would be begun anew. A log is there only beside one that nobody closed.
fn set_aside(path: &Path, aside: &Path) -> Result<bool, Error> {
    let mut any = false;
    for part in ["", "-wal", "-shm", "-journal"] {
        let (there, aside) = (beside(path, part), beside(aside, part));
        let kept = if part.is_empty() { fs::hard_link(there, aside) } else { fs::rename(there, aside) };
        match kept {
            Ok(()) => any = true,
            Err(source) if source.kind() == ErrorKind::NotFound => {}
            Err(source) => return Err(file(path, "set aside")(source)),
        }
    }
    Ok(any)
}

/// A whole and sound copy, on disk.
fn copy(from: &Path, to: &Path, sort: Sort<'_>, mode: u32) -> Result<File, Error> {
    check_header(from, sort)?;
    // Whatever an earlier one left.
    for part in ["", "-wal", "-shm", "-journal"] {
        match fs::remove_file(beside(to, part)) {
            Err(source) if source.kind() != ErrorKind::NotFound => {
                return Err(file(to, "remove the unfinished")(source));
            }
            _ => {}
        }
    }
    let made = OpenOptions::new().write(true).create_new(true).mode(mode).open(to);
    let made = made.map_err(file(to, "make"))?;
    let (conn, _) = sound(from, sort)?;
    conn.execute("VACUUM INTO ?1", [to.to_string_lossy()]).map_err(failed(from, "copy"))?;
    made.sync_all().map_err(file(to, "sync"))?;
    Ok(made)
}

/// The file, opened to be read, once every page was looked at, and its schema's version.
pub fn sound(path: &Path, sort: Sort<'_>) -> Result<(Connection, usize), Error> {
    check_header(path, sort)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags).map_err(failed(path, "open"))?;
    conn.busy_timeout(Duration::from_secs(PATIENCE)).map_err(failed(path, "open"))?;
    let version = schema::version(&conn, "main", path, sort.steps)?;
    check_pages(&conn, "main", path)?;
    Ok((conn, version))
}

fn sync_directory(path: &Path) -> Result<(), Error> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let synced = File::open(directory).and_then(|directory| directory.sync_all());
    synced.map_err(file(directory, "sync the directory"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use super::*;
    use crate::sqlite::Step;

    const STEPS: &[Step] = &[
        Step {
            sql: "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
                  CREATE TABLE word (it TEXT PRIMARY KEY) STRICT;",
            since: "0.1.0",
        },
        Step { sql: "ALTER TABLE word ADD COLUMN note TEXT;", since: "0.2.0" },
    ];

    fn sort(steps: &[Step]) -> Sort<'_> {
        Sort { application_id: 7, steps, mode: 0o640, finish: |_, _| Ok(()) }
    }

    fn words(path: &Path) -> Vec<String> {
        let conn = Connection::open(path).unwrap();
        let mut read = conn.prepare("SELECT it FROM word ORDER BY it").unwrap();
        read.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    }

    fn add(conn: &Connection, word: &str) {
        conn.execute("INSERT INTO word (it) VALUES (?1)", [word]).unwrap();
    }

    #[test]
    fn a_copy_has_what_was_committed_and_is_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (original, to) = (dir.path().join("a.db"), dir.path().join("b.db"));
        let (conn, _) = open::open(&original, sort(STEPS)).unwrap();
        add(&conn, "committed");
        conn.execute_batch("BEGIN IMMEDIATE; INSERT INTO word (it) VALUES ('not yet')").unwrap();
        write(&original, &to, sort(STEPS), false).unwrap();
        assert_eq!(words(&to), ["committed"]);
        assert_eq!(fs::metadata(&to).unwrap().permissions().mode() & 0o777, MODE);
        assert!(!beside(&to, ".part").exists());
        conn.execute_batch("COMMIT").unwrap();
        let taken = write(&original, &to, sort(STEPS), false).unwrap_err().to_string();
        assert!(taken.contains("b.db is there already"), "{taken}");
        write(&original, &to, sort(STEPS), true).unwrap();
        assert_eq!(words(&to), ["committed", "not yet"]);
    }

    #[test]
    fn a_copy_put_in_place_is_upgraded_and_what_was_there_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let (path, from) = (dir.path().join("a.db"), dir.path().join("old.db"));
        add(&open::open(&from, sort(&STEPS[..1])).unwrap().0, "older");
        add(&open::open(&path, sort(STEPS)).unwrap().0, "later");
        let kept = replace(&path, &from, sort(STEPS), ".before").unwrap().unwrap();
        let (conn, notice) = open::open(&path, sort(STEPS)).unwrap();
        assert_eq!((words(&path), notice), (vec!["older".to_owned()], None));
        assert_eq!(schema::version(&conn, "main", &path, STEPS).unwrap(), 2);
        assert_eq!(words(&kept), ["later"]);
        assert_eq!(words(&from), ["older"], "the copy itself stays as it is");
    }

    #[test]
    fn what_root_puts_in_place_is_the_directorys_owners() {
        let dir = tempfile::tempdir().unwrap();
        let (path, from) = (dir.path().join("state/a.db"), dir.path().join("b.db"));
        fs::create_dir(dir.path().join("state")).unwrap();
        let owner = if nix::unistd::geteuid().is_root() { 990 } else { nix::unistd::geteuid().as_raw() };
        std::os::unix::fs::chown(dir.path().join("state"), Some(owner), None).unwrap();
        drop(open::open(&from, sort(STEPS)).unwrap());
        assert_eq!(replace(&path, &from, sort(STEPS), ".before").unwrap(), None);
        assert_eq!(fs::metadata(&path).unwrap().uid(), owner);
    }

    #[test]
    fn a_data_base_in_use_is_not_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let (path, to) = (dir.path().join("a.db"), dir.path().join("b.db"));
        drop(open::open(&path, sort(STEPS)).unwrap());
        let (conn, _) = open::open(&to, sort(STEPS)).unwrap();
        add(&conn, "theirs");
        assert!(matches!(write(&path, &to, sort(STEPS), true), Err(Error::Used { .. })));
        assert!(matches!(write(&to, &to, sort(STEPS), true), Err(Error::Used { .. })));
        assert_eq!(words(&to), ["theirs"]);
        assert!(!beside(&to, ".part").exists());
    }

    #[test]
    fn what_is_no_copy_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (path, from) = (dir.path().join("a.db"), dir.path().join("new.db"));
        add(&open::open(&path, sort(STEPS)).unwrap().0, "here");
        add(&open::open(&from, sort(STEPS)).unwrap().0, "newer");
        let refused = replace(&path, &from, sort(&STEPS[..1]), ".before").unwrap_err();
        assert!(matches!(refused, Error::Newer { .. }), "{refused}");
        fs::write(&from, "a letter, and no data base, though it is longer than the hundred bytes that a header has: so it is refused for what it says").unwrap();
        assert!(matches!(replace(&path, &from, sort(STEPS), ".before"), Err(Error::Foreign { .. })));
        fs::write(&from, "").unwrap();
        assert!(matches!(replace(&path, &from, sort(STEPS), ".before"), Err(Error::Damaged { .. })));
        assert_eq!(words(&path), ["here"]);
        assert!(!dir.path().join("a.db.before").exists());
    }

    #[test]
    fn a_damaged_original_is_set_aside_whole() {
        let dir = tempfile::tempdir().unwrap();
        let (path, from) = (dir.path().join("a.db"), dir.path().join("copy.db"));
        add(&open::open(&from, sort(STEPS)).unwrap().0, "good");
        fs::write(&path, "damaged").unwrap();
        fs::write(beside(&path, "-wal"), "damaged, too").unwrap();
        let kept = replace(&path, &from, sort(STEPS), ".before").unwrap().unwrap();
        assert_eq!(fs::read_to_string(beside(&kept, "-wal")).unwrap(), "damaged, too");
        assert_eq!(words(&path), ["good"]);
    }
}
