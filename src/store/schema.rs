//! The tables, and the way from older ones.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::error::{Error, failed};

/// `application_id` of the file: "grhy" in ASCII.
pub(super) const APPLICATION_ID: i32 = 0x6772_6879;

/// One step from a schema version to the next.
pub(super) struct Step {
    pub sql: &'static str,
    /// The first greyhound that knows the tables as they are after it.
    pub since: &'static str,
}

/// Step n leads from version n to n + 1. Steps are only ever added: files of every age are out there.
pub(super) const STEPS: &[Step] = &[
    Step { sql: include_str!("schema.sql"), since: "0.1.0" },
    Step { sql: include_str!("schema2.sql"), since: "0.1.0" },
    Step { sql: include_str!("schema3.sql"), since: "0.1.0" },
    Step { sql: include_str!("schema4.sql"), since: "0.1.0" },
];

/// Brings the tables to the newest version in one transaction; a file from the future is refused.
pub(super) fn migrate(conn: &mut Connection, path: &Path, steps: &[Step]) -> Result<(), Error> {
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
    run(&tx, &steps[found..], steps.len()).and_then(|()| tx.commit()).map_err(upgrade)
}

/// The version of an attached database; more than is known is an error that says what is needed.
pub(super) fn version(
    conn: &Connection,
    schema: &'static str,
    path: &Path,
    steps: &[Step],
) -> Result<usize, Error> {
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

/// Runs the steps and marks the file with the version that they lead to.
pub(super) fn run(conn: &Connection, steps: &[Step], version: usize) -> rusqlite::Result<()> {
    for step in steps {
        conn.execute_batch(step.sql)?;
        let needs = "INSERT INTO meta VALUES ('needs', ?1) ON CONFLICT DO UPDATE SET value = excluded.value";
        conn.execute(needs, [step.since])?;
    }
    conn.pragma_update(None, "application_id", APPLICATION_ID)?;
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

    fn old() -> Connection {
        let mut conn = Connection::open_in_memory().unwrap();
        migrate(&mut conn, Path::new("old"), STEPS).unwrap();
        conn.execute("INSERT INTO loopback VALUES (7)", []).unwrap();
        conn
    }

    #[test]
    fn an_older_file_is_upgraded_and_keeps_its_rows() {
        let mut conn = old();
        migrate(&mut conn, Path::new("old"), &steps([NEXT])).unwrap();
        let row =
            conn.query_row("SELECT address, note FROM loopback", [], |row| Ok((row.get(0)?, row.get(1)?)));
        assert_eq!(row.unwrap(), (7, None::<String>));
    }

    #[test]
    fn an_upgrade_that_fails_changes_nothing() {
        let mut conn = old();
        assert!(migrate(&mut conn, Path::new("old"), &steps([NEXT, BROKEN])).is_err());
        assert_eq!(version(&conn, "main", Path::new("old"), STEPS).unwrap(), STEPS.len());
        migrate(&mut conn, Path::new("old"), &steps([NEXT])).unwrap();
    }

    #[test]
    fn a_newer_file_is_refused_and_says_what_it_needs() {
        let mut conn = old();
        migrate(&mut conn, Path::new("old"), &steps([NEXT])).unwrap();
        let text = migrate(&mut conn, Path::new("state.db"), STEPS).unwrap_err().to_string();
        assert_eq!(
            text,
            "state.db has schema 5, and this greyhound knows up to 4: use greyhound 0.2.0 or later"
        );
    }
}
