//! The tables of a file, and the way from older ones.

use std::fs::File;
use std::ops::Range;
use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::error::{Error, failed};

/// One step from a schema version to the next.
#[derive(Debug)]
pub struct Step {
    pub sql: &'static str,
    /// The first greyhound that knows the tables as they are after it.
    pub since: &'static str,
}

/// What sort of file it is.
#[derive(Clone, Copy, Debug)]
pub struct Sort<'a> {
    /// `application_id` in its header.
    pub application_id: i32,
    /// Step n leads from version n to n + 1. Steps are only ever added: files of every age are out there.
    pub steps: &'a [Step],
    /// Of the file when it is made, less the umask.
    pub mode: u32,
    /// What else is done to a new one before it is put in its place.
    pub finish: fn(&File, &Path) -> Result<(), Error>,
}

/// Brings the tables to the newest version in one transaction; a file from the future is refused.
pub fn migrate(conn: &mut Connection, path: &Path, sort: Sort<'_>) -> Result<(), Error> {
    let steps = sort.steps;
    if version(conn, "main", path, steps)? == steps.len() {
        return Ok(());
    }
    let upgrade = failed(path, "upgrade the tables");
    let tx = match conn.transaction_with_behavior(TransactionBehavior::Immediate) {
        Ok(tx) => tx,
        Err(source) => return Err(upgrade(source)),
    };
    // Another process may have done it meanwhile.
    let found = version(&tx, "main", path, steps)?;
    run(&tx, sort, found..steps.len()).and_then(|()| tx.commit()).map_err(upgrade)
}

/// The version of an attached database; more than is known is an error that says what is needed.
pub fn version(conn: &Connection, schema: &'static str, path: &Path, steps: &[Step]) -> Result<usize, Error> {
    let found = conn.pragma_query_value(Some(schema), "user_version", |row| row.get::<_, i64>(0));
    let found = found.map_err(failed(path, "read the schema version"))?;
    let found = usize::try_from(found)
        .map_err(|_| Error::Damaged { path: path.to_owned(), what: format!("schema version {found}") })?;
    if found <= steps.len() {
        return Ok(found);
    }
    let needs = format!("SELECT value FROM {schema}.meta WHERE name = 'needs'");
    // Only to say more: what the future keeps in it is not for us to insist on.
    let needs = conn.query_row(&needs, [], |row| row.get(0)).unwrap_or_else(|_| "of that schema".to_owned());
    Err(Error::Newer { path: path.to_owned(), found, known: steps.len(), needs })
}

/// Runs these steps and marks the file with the version that they lead to.
pub fn run(conn: &Connection, sort: Sort<'_>, steps: Range<usize>) -> rusqlite::Result<()> {
    let version = steps.end;
    for step in &sort.steps[steps] {
        conn.execute_batch(step.sql)?;
        let needs = "INSERT INTO meta VALUES ('needs', ?1) ON CONFLICT DO UPDATE SET value = excluded.value";
        conn.execute(needs, [step.since])?;
    }
    conn.pragma_update(None, "application_id", sort.application_id)?;
    conn.pragma_update(None, "user_version", i64::try_from(version).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEXT: Step = Step { sql: "ALTER TABLE loopback ADD COLUMN note TEXT;", since: "0.2.0" };
    const BROKEN: Step = Step { sql: "DROP TABLE loopback; SELECT no_such_thing;", since: "0.3.0" };

    fn steps(more: impl IntoIterator<Item = Step>) -> Vec<Step> {
        let known = STEPS.iter().map(|step| Step { ..*step });
        known.chain(more).collect()
    }

    /// As the store's files were once.
    const STEPS: &[Step] = &[Step {
        sql: "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
              CREATE TABLE loopback (address INTEGER PRIMARY KEY) STRICT;",
        since: "0.1.0",
    }];

    fn sort(steps: &[Step]) -> Sort<'_> {
        Sort { application_id: 7, steps, mode: 0o640, finish: |_, _| Ok(()) }
    }

    fn old() -> Connection {
        let mut conn = Connection::open_in_memory().unwrap();
        migrate(&mut conn, Path::new("old"), sort(STEPS)).unwrap();
        conn.execute("INSERT INTO loopback VALUES (7)", []).unwrap();
        conn
    }

    #[test]
    fn an_older_file_is_upgraded_and_keeps_its_rows() {
        let mut conn = old();
        migrate(&mut conn, Path::new("old"), sort(&steps([NEXT]))).unwrap();
        let row =
            conn.query_row("SELECT address, note FROM loopback", [], |row| Ok((row.get(0)?, row.get(1)?)));
        assert_eq!(row.unwrap(), (7, None::<String>));
    }

    #[test]
    fn an_upgrade_that_fails_changes_nothing() {
        let mut conn = old();
        assert!(migrate(&mut conn, Path::new("old"), sort(&steps([NEXT, BROKEN]))).is_err());
        assert_eq!(version(&conn, "main", Path::new("old"), STEPS).unwrap(), STEPS.len());
        migrate(&mut conn, Path::new("old"), sort(&steps([NEXT]))).unwrap();
    }

    #[test]
    fn a_newer_file_is_refused_and_says_what_it_needs() {
        let mut conn = old();
        migrate(&mut conn, Path::new("old"), sort(&steps([NEXT]))).unwrap();
        let text = migrate(&mut conn, Path::new("state.db"), sort(STEPS)).unwrap_err().to_string();
        assert_eq!(
            text,
            "state.db has schema 2, and this greyhound knows up to 1: use greyhound 0.2.0 or later"
        );
    }
}
