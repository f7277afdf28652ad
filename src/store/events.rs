//! What happened, kept over restarts.

use std::collections::BTreeMap;

use rusqlite::{Connection, Row, params};

use super::{Change, Error, State};
use crate::model::{Event, EventKind, Timestamp, TunnelName};
use crate::sqlite::invalid;

/// So many events are kept; older ones go.
pub const KEPT: u64 = 10_000;

impl Change<'_> {
    /// Appends events, in their order; the number of the first. The oldest go beyond [`KEPT`].
    pub fn record(&mut self, events: &[Event]) -> Result<u64, Error> {
        self.run("record events", |conn| {
            let sql = "INSERT INTO event (at_ms, kind, tunnel, text) VALUES (?1, ?2, ?3, ?4)";
            let mut insert = conn.prepare_cached(sql)?;
            for Event { at_ms, kind, tunnel, text } in events {
                let tunnel = tunnel.as_ref().map(TunnelName::as_str);
                insert.execute(params![at_ms.cast_signed(), kind.name(), tunnel, text])?;
            }
            let last = conn.last_insert_rowid().cast_unsigned();
            let kept = "DELETE FROM event WHERE seq <= ?1";
            conn.prepare_cached(kept)?.execute([last.saturating_sub(KEPT).cast_signed()])?;
            Ok((last + 1).saturating_sub(events.len() as u64))
        })
    }

    /// The link of this tunnel was made at that time.
    pub fn made(&mut self, tunnel: &TunnelName, at: Timestamp) -> Result<(), Error> {
        self.run("note when a link was made", |conn| {
            let sql = "INSERT INTO made VALUES (?1, ?2) ON CONFLICT DO UPDATE SET at = excluded.at";
            conn.prepare_cached(sql)?.execute(params![tunnel.as_str(), at.cast_signed()]).map(drop)
        })
    }

    /// The link of this tunnel is gone.
    pub fn unmade(&mut self, tunnel: &TunnelName) -> Result<(), Error> {
        self.run("forget when a link was made", |conn| {
            let sql = "DELETE FROM made WHERE tunnel = ?1";
            conn.prepare_cached(sql)?.execute([tunnel.as_str()]).map(drop)
        })
    }
}

impl State {
    /// Events after number `since`, the oldest first, `limit` at most; each with its number.
    pub fn events(&self, since: u64, limit: u64) -> Result<Vec<(u64, Event)>, Error> {
        self.read("read the events", |conn| {
            let sql = "SELECT seq, at_ms, kind, tunnel, text FROM event WHERE seq > ?1 ORDER BY seq LIMIT ?2";
            conn.prepare_cached(sql)?.query_map([since.cast_signed(), limit.cast_signed()], event)?.collect()
        })
    }

    /// The number of the newest event; 0: there has been none.
    pub fn last_event(&self) -> Result<u64, Error> {
        self.read("read the events", |conn| {
            conn.query_row("SELECT ifnull(max(seq), 0) FROM event", [], |row| row.get::<_, i64>(0))
        })
        .map(i64::cast_unsigned)
    }

    /// The last repair of each tunnel that is still among the events.
    pub fn repairs(&self) -> Result<BTreeMap<TunnelName, Event>, Error> {
        self.read("read the repairs", |conn| {
            let sql = "SELECT seq, at_ms, kind, tunnel, text FROM event WHERE seq IN
                       (SELECT max(seq) FROM event WHERE kind = 'repair' AND tunnel IS NOT NULL GROUP BY tunnel)";
            let mut repairs = BTreeMap::new();
            for repair in conn.prepare_cached(sql)?.query_map([], event)? {
                let (_, repair) = repair?;
                if let Some(tunnel) = repair.tunnel.clone() {
                    repairs.insert(tunnel, repair);
                }
            }
            Ok(repairs)
        })
    }

    /// When the link of each tunnel was made, where that is known.
    pub fn made_at(&self) -> Result<BTreeMap<TunnelName, Timestamp>, Error> {
        self.read("read when links were made", read_made)
    }
}

fn read_made(conn: &Connection) -> rusqlite::Result<BTreeMap<TunnelName, Timestamp>> {
    let sql = "SELECT tunnel, at FROM made";
    let mut made = BTreeMap::new();
    let row = |row: &Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?));
    for row in conn.prepare_cached(sql)?.query_map([], row)? {
        let (tunnel, at) = row?;
        made.insert(TunnelName::new(&tunnel).map_err(invalid(0))?, at.cast_unsigned());
    }
    Ok(made)
}

fn event(row: &Row<'_>) -> rusqlite::Result<(u64, Event)> {
    let kind = row.get::<_, String>(2)?;
    let known = EventKind::of_name(&kind);
    let tunnel = row.get::<_, Option<String>>(3)?;
    let tunnel = tunnel.map(|name| TunnelName::new(&name)).transpose();
    let event = Event {
        at_ms: row.get::<_, i64>(1)?.cast_unsigned(),
        kind: known.ok_or_else(|| invalid(2)(format!("no such kind of event: {kind}")))?,
        tunnel: tunnel.map_err(invalid(3))?,
        text: row.get(4)?,
    };
    Ok((row.get::<_, i64>(0)?.cast_unsigned(), event))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(text: &str, tunnel: Option<&str>) -> Event {
        let tunnel = tunnel.map(|name| TunnelName::new(name).unwrap());
        Event { at_ms: 7, kind: EventKind::Repair, tunnel, text: text.to_owned() }
    }

    fn record(state: &mut State, events: &[Event]) -> u64 {
        state.change::<_, Error>(|change| change.record(events)).unwrap()
    }

    #[test]
    fn events_are_numbered_and_outlive_the_process() {
        let dir = tempfile::tempdir().unwrap();
        let mut state = State::open(dir.path()).unwrap();
        assert_eq!(record(&mut state, &[event("a", None), event("b", Some("ams"))]), 1);
        drop(state);
        let mut state = State::open(dir.path()).unwrap();
        assert_eq!(record(&mut state, &[event("c", Some("ams"))]), 3);
        assert_eq!(state.last_event().unwrap(), 3);
        let texts = |since| state.events(since, 10).unwrap().into_iter().map(|(seq, e)| (seq, e.text));
        assert_eq!(texts(1).collect::<Vec<_>>(), [(2, "b".to_owned()), (3, "c".to_owned())]);
        let repairs = state.repairs().unwrap();
        assert_eq!(repairs.values().map(|event| event.text.as_str()).collect::<Vec<_>>(), ["c"]);
    }

    #[test]
    fn only_the_last_ten_thousand_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let mut state = State::open(dir.path()).unwrap();
        let many: Vec<Event> = (0..KEPT + 500).map(|n| event(&n.to_string(), None)).collect();
        record(&mut state, &many);
        let kept = state.events(0, u64::MAX >> 1).unwrap();
        assert_eq!(kept.len() as u64, KEPT);
        assert_eq!(kept.last().unwrap().0, KEPT + 500);
    }

    #[test]
    fn every_kind_has_its_name() {
        for kind in EventKind::ALL {
            assert_eq!(EventKind::of_name(kind.name()), Some(kind));
        }
    }
}
