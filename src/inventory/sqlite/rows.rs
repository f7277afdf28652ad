//! Reading and committing.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _, Transaction as Tx, TransactionBehavior, params};

use super::super::backend::{Changed, Committed, Heard};
use super::super::error::Error;
use crate::registry::{Condition, Kind, Revision, Row, RowName, Snapshot, Transaction, Write};
use crate::sqlite::{failed, invalid};

/// Rows that changed are remembered for so many revisions; who has missed more reads everything again.
pub(super) const KEPT: Revision = 10_000;

/// All rows of these kinds at one moment.
pub(super) fn read(conn: &Connection, path: &Path, kinds: &[Kind]) -> Result<Snapshot, Error> {
    let tx = conn.unchecked_transaction();
    let snapshot = tx.and_then(|tx| {
        let mut rows = Vec::new();
        for kind in kinds {
            rows_of(&tx, *kind, &mut rows)?;
        }
        Ok(Snapshot { revision: clock(&tx)?.0, rows })
    });
    Ok(snapshot.map_err(failed(path, "read the inventory"))?)
}

/// Does it, or nothing.
pub(super) fn commit(conn: &Connection, path: &Path, transaction: &Transaction) -> Result<Committed, Error> {
    let (conditions, writes) = (transaction.conditions.len(), transaction.writes.len());
    if !transaction.fits() {
        return Err(Error::TooLarge { conditions, writes });
    }
    let committed = if transaction.is_empty() {
        clock(conn).map(|(revision, _)| Committed::Done(revision))
    } else {
        carry_out(conn, transaction)
    };
    Ok(committed.map_err(failed(path, "change the inventory"))?)
}

/// What was changed after this revision.
pub(super) fn since(conn: &Connection, path: &Path, from: Revision) -> Result<Heard, Error> {
    let tx = conn.unchecked_transaction();
    let heard = tx.and_then(|tx| {
        let (revision, compacted) = clock(&tx)?;
        // A clock that is behind is another file's, as of a copy that was put in its place.
        if from < compacted || from > revision {
            return Ok(Heard::Compacted { revision });
        }
        if from == revision {
            return Ok(Heard::Nothing);
        }
        let sql = "SELECT kind, key, revision FROM changes WHERE revision > ?1 ORDER BY revision, kind, key";
        let mut changes = tx.prepare_cached(sql)?;
        let changes = changes.query_map([from.cast_signed()], |row| {
            Ok((row.get::<_, String>(0)?, row.get(1)?, row.get::<_, i64>(2)?.cast_unsigned()))
        })?;
        let mut rows = Vec::new();
        for change in changes {
            let (kind, key, revision): (String, String, Revision) = change?;
            let kind = Kind::of_name(&kind);
            rows.extend(kind.map(|kind| Changed { row: RowName::new(kind, key), revision }));
        }
        Ok(Heard::Changed { revision, rows })
    });
    Ok(heard.map_err(failed(path, "read what has changed"))?)
}

fn carry_out(conn: &Connection, transaction: &Transaction) -> rusqlite::Result<Committed> {
    let tx = Tx::new_unchecked(conn, TransactionBehavior::Immediate)?;
    for Condition { row, at } in &transaction.conditions {
        if revision_of(&tx, row)? != *at {
            return Ok(Committed::Conflict(row.clone()));
        }
    }
    let revision = clock(&tx)?.0 + 1;
    for write in &transaction.writes {
        carry_out_one(&tx, write, revision)?;
    }
    let oldest = revision.saturating_sub(KEPT).cast_signed();
    tx.prepare_cached("DELETE FROM changes WHERE revision <= ?1")?.execute([oldest])?;
    let sql = "UPDATE clock SET revision = ?1, compacted = ?2";
    tx.prepare_cached(sql)?.execute([revision.cast_signed(), oldest])?;
    tx.commit()?;
    Ok(Committed::Done(revision))
}

fn carry_out_one(tx: &Connection, write: &Write, revision: Revision) -> rusqlite::Result<()> {
    let RowName { kind, key } = write.row();
    match write {
        Write::Put(_, value) => {
            let sql = "INSERT INTO rows VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE
                       SET value = excluded.value, revision = excluded.revision";
            let row = params![kind.name(), key, value.to_string(), revision.cast_signed()];
            tx.prepare_cached(sql)?.execute(row)?;
        }
        Write::Delete(_) => {
            tx.prepare_cached("DELETE FROM rows WHERE kind = ?1 AND key = ?2")?
                .execute([kind.name(), key])?;
        }
    }
    let sql =
        "INSERT INTO changes VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET revision = excluded.revision";
    tx.prepare_cached(sql)?.execute(params![kind.name(), key, revision.cast_signed()]).map(drop)
}

fn revision_of(tx: &Connection, RowName { kind, key }: &RowName) -> rusqlite::Result<Option<Revision>> {
    let sql = "SELECT revision FROM rows WHERE kind = ?1 AND key = ?2";
    let found =
        tx.prepare_cached(sql)?.query_row([kind.name(), key], |row| row.get::<_, i64>(0)).optional()?;
    Ok(found.map(i64::cast_unsigned))
}

fn rows_of(tx: &Connection, kind: Kind, rows: &mut Vec<Row>) -> rusqlite::Result<()> {
    let mut found =
        tx.prepare_cached("SELECT key, value, revision FROM rows WHERE kind = ?1 ORDER BY key")?;
    let found = found.query_map([kind.name()], |row| {
        let text = row.get::<_, String>(1)?;
        Ok(Row {
            name: RowName::new(kind, row.get::<_, String>(0)?),
            value: serde_json::from_str(&text).map_err(invalid(1))?,
            revision: row.get::<_, i64>(2)?.cast_unsigned(),
        })
    })?;
    for row in found {
        rows.push(row?);
    }
    Ok(())
}

/// The last revision, and the one up to which changes are forgotten.
fn clock(conn: &Connection) -> rusqlite::Result<(Revision, Revision)> {
    conn.prepare_cached("SELECT revision, compacted FROM clock")?.query_row([], |row| {
        Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get::<_, i64>(1)?.cast_unsigned()))
    })
}
