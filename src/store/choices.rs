//! Which of its declared remotes each tunnel uses, and whether it may be moved: kept over restarts.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use rusqlite::{Row, params};

use super::{Change, Error, State};
use crate::model::{Chosen, TunnelName};
use crate::sqlite::invalid;

impl State {
    /// By tunnel, declared or not.
    pub fn choices(&self) -> Result<BTreeMap<TunnelName, Chosen>, Error> {
        self.read("read the choices", |conn| {
            let sql = "SELECT tunnel, remote, held FROM choice";
            conn.prepare_cached(sql)?.query_map([], chosen)?.collect()
        })
    }
}

impl Change<'_> {
    /// In the place of the last choice of this tunnel.
    pub fn choose(&mut self, tunnel: &TunnelName, chosen: Chosen) -> Result<(), Error> {
        let Chosen { remote, held } = chosen;
        self.run("keep a choice", |conn| {
            let sql = "INSERT INTO choice (tunnel, remote, held) VALUES (?1, ?2, ?3)
                       ON CONFLICT DO UPDATE SET remote = excluded.remote, held = excluded.held";
            conn.prepare_cached(sql)?.execute(params![tunnel.as_str(), remote.map(u32::from), held]).map(drop)
        })
    }

    /// This tunnel is not declared any more; what it learnt goes, too.
    pub fn forget_choice(&mut self, tunnel: &TunnelName) -> Result<(), Error> {
        self.run("forget a choice", |conn| {
            conn.prepare_cached("DELETE FROM choice WHERE tunnel = ?1")?.execute([tunnel.as_str()]).map(drop)
        })
    }
}

fn chosen(row: &Row<'_>) -> rusqlite::Result<(TunnelName, Chosen)> {
    let tunnel = TunnelName::new(&row.get::<_, String>(0)?).map_err(invalid(0))?;
    let remote = row.get::<_, Option<u32>>(1)?.map(Ipv4Addr::from);
    Ok((tunnel, Chosen { remote, held: row.get(2)? }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_choice_stays_over_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let ams = TunnelName::new("ams").unwrap();
        let mut state = State::open(dir.path()).unwrap();
        let choices = [
            Chosen { remote: Some([192, 0, 2, 1].into()), held: false },
            Chosen { remote: Some([255, 0, 2, 2].into()), held: true },
        ];
        for chosen in choices {
            state.change::<_, Error>(|change| change.choose(&ams, chosen)).unwrap();
        }
        drop(state);
        let mut state = State::open(dir.path()).unwrap();
        assert_eq!(state.choices().unwrap(), [(ams.clone(), choices[1])].into());
        state.change::<_, Error>(|change| change.forget_choice(&ams)).unwrap();
        assert!(state.choices().unwrap().is_empty());
    }
}
