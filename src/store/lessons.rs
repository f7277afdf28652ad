//! What each tunnel learnt of its ends: kept over restarts, beside its choice.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use rusqlite::{Connection, Row, params};

use super::{Change, Error};
use crate::model::{Failure, Learnt, TunnelName};
use crate::sqlite::invalid;

impl Change<'_> {
    /// What every tunnel had learnt, at `now_ms` since 1970. Failures of the future are of a clock that has been set
    /// back: they are taken to be of now, and kept as such, so that none is of the future for ever.
    pub fn lessons(&mut self, now_ms: i64) -> Result<BTreeMap<TunnelName, Learnt>, Error> {
        self.run("read what tunnels have learnt", |conn| {
            conn.execute("UPDATE failure SET at_ms = ?1 WHERE at_ms > ?1", [now_ms])?;
            read(conn)
        })
    }

    /// In the place of what this tunnel had learnt before; where it leads is not touched.
    pub fn learn(&mut self, tunnel: &TunnelName, learnt: &Learnt) -> Result<(), Error> {
        let Learnt { peer, failures } = learnt;
        self.run("keep what a tunnel learnt", |conn| {
            let sql = "INSERT INTO choice (tunnel, peer) VALUES (?1, ?2)
                       ON CONFLICT DO UPDATE SET peer = excluded.peer";
            conn.prepare_cached(sql)?.execute(params![tunnel.as_str(), peer.map(u32::from)])?;
            conn.prepare_cached("DELETE FROM failure WHERE tunnel = ?1")?.execute([tunnel.as_str()])?;
            let mut insert = conn.prepare_cached("INSERT INTO failure VALUES (?1, ?2, ?3, ?4)")?;
            failures.iter().try_for_each(|(remote, Failure { at_ms, times })| {
                insert.execute(params![tunnel.as_str(), u32::from(*remote), at_ms, times]).map(drop)
            })
        })
    }
}

fn read(conn: &Connection) -> rusqlite::Result<BTreeMap<TunnelName, Learnt>> {
    let mut lessons: BTreeMap<TunnelName, Learnt> = BTreeMap::new();
    let mut peers = conn.prepare_cached("SELECT tunnel, peer FROM choice WHERE peer IS NOT NULL")?;
    for row in peers.query_map([], |row| Ok((name(row)?, address(row)?)))? {
        let (tunnel, peer) = row?;
        lessons.entry(tunnel).or_default().peer = Some(peer);
    }
    let mut failures = conn.prepare_cached("SELECT tunnel, remote, at_ms, times FROM failure")?;
    let failure =
        |row: &Row<'_>| Ok((name(row)?, address(row)?, Failure { at_ms: row.get(2)?, times: row.get(3)? }));
    for row in failures.query_map([], failure)? {
        let (tunnel, remote, failure) = row?;
        lessons.entry(tunnel).or_default().failures.insert(remote, failure);
    }
    Ok(lessons)
}

fn name(row: &Row<'_>) -> rusqlite::Result<TunnelName> {
    TunnelName::new(&row.get::<_, String>(0)?).map_err(invalid(0))
}

fn address(row: &Row<'_>) -> rusqlite::Result<Ipv4Addr> {
    row.get::<_, u32>(1).map(Ipv4Addr::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Chosen;
    use crate::store::State;

    fn ams() -> TunnelName {
        TunnelName::new("ams").unwrap()
    }

    fn learnt(failures: &[(u8, i64)]) -> Learnt {
        let failure = |(last, at_ms): &(u8, i64)| {
            (Ipv4Addr::new(192, 0, 2, *last), Failure { at_ms: *at_ms, times: 2 })
        };
        Learnt { peer: Some([169, 254, 10, 1].into()), failures: failures.iter().map(failure).collect() }
    }

    fn lessons(state: &mut State, now_ms: i64) -> BTreeMap<TunnelName, Learnt> {
        state.change::<_, Error>(|change| change.lessons(now_ms)).unwrap()
    }

    #[test]
    fn what_was_learnt_last_stays_over_a_restart_beside_the_choice() {
        let dir = tempfile::tempdir().unwrap();
        let chosen = Chosen { remote: Some([192, 0, 2, 1].into()), held: true };
        let mut state = State::open(dir.path()).unwrap();
        for lesson in [learnt(&[(1, 50), (2, 60)]), learnt(&[(2, 70)])] {
            state
                .change::<_, Error>(|change| {
                    change.learn(&ams(), &lesson)?;
                    change.choose(&ams(), chosen)
                })
                .unwrap();
        }
        drop(state);
        let mut state = State::open(dir.path()).unwrap();
        assert_eq!(lessons(&mut state, 100), [(ams(), learnt(&[(2, 70)]))].into());
        assert_eq!(state.choices().unwrap(), [(ams(), chosen)].into());
        state.change::<_, Error>(|change| change.forget_choice(&ams())).unwrap();
        assert!(lessons(&mut state, 100).is_empty());
    }

    #[test]
    fn a_failure_of_the_future_is_of_now_from_now_on() {
        let dir = tempfile::tempdir().unwrap();
        let mut state = State::open(dir.path()).unwrap();
        state.change::<_, Error>(|change| change.learn(&ams(), &learnt(&[(1, 5_000), (2, 1_000)]))).unwrap();
        let seen = [(ams(), learnt(&[(1, 2_000), (2, 1_000)]))].into();
        assert_eq!(lessons(&mut state, 2_000), seen);
        assert_eq!(lessons(&mut state, 9_000), seen, "its age grows");
    }
}
