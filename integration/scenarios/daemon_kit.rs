//! What the daemon's scenarios share: a daemon under the witness's eyes, and what it tells.

use crate::support::{Daemon, Greyhound, Result, World, bail, ensure, eventually};
use crate::witness::store::{Event, Store};
use crate::witness::{Witness, foreign};
use anyhow::Context as _;
use std::time::Duration;

/// Within this time the daemon has put right what it can.
pub const SOON: Duration = Duration::from_secs(5);

/// The witness of a daemon, from now on.
pub fn watched(greyhound: &Greyhound, daemon: &Daemon) -> Result<Witness> {
    let mut witness = Witness::new(greyhound);
    witness.watch(daemon);
    witness.mark()?;
    Ok(witness)
}

/// All that the witness asserts is so, within [`SOON`].
pub fn holds_soon(witness: &mut Witness) -> Result<()> {
    eventually(SOON, || witness.holds())
}

/// The number of the last event.
pub fn last(greyhound: &Greyhound) -> Result<u64> {
    Ok(since(greyhound, 0)?.last().map_or(0, |event| event.seq))
}

/// The events after this one.
pub fn since(greyhound: &Greyhound, seq: u64) -> Result<Vec<Event>> {
    let events = Store::read(greyhound.state_dir())?.events.into_iter();
    Ok(events.filter(|event| event.seq > seq).collect())
}

/// An event of this kind after that one, with these words: within [`SOON`].
pub fn told(greyhound: &Greyhound, seq: u64, kind: &str, words: &str) -> Result<Event> {
    eventually(SOON, || {
        let events = since(greyhound, seq)?;
        let found = events.iter().find(|event| event.kind == kind && event.text.contains(words));
        match found {
            Some(event) => Ok(event.clone()),
            None => bail!("no {kind} with {words:?} in {events:#?}"),
        }
    })
}

/// A tunnel of `status -j`.
pub fn status(greyhound: &Greyhound, name: &str) -> Result<serde_json::Value> {
    shown(&greyhound.json(0, "status")?, name)
}

/// The same, of what was printed.
pub fn shown(status: &serde_json::Value, name: &str) -> Result<serde_json::Value> {
    let tunnels = status["tunnels"].as_array().context("no list of tunnels")?;
    let found = tunnels.iter().find(|tunnel| tunnel["name"] == name);
    Ok(found.with_context(|| format!("no {name} in {status}"))?.clone())
}

/// greyhound on a host that has dummy links, and its daemon.
pub fn kept(world: &World, declaration: &str) -> Result<(Greyhound, Daemon)> {
    let host = super::repairs::host_with_underlay(world)?;
    foreign::populate(&host)?;
    let greyhound = Greyhound::new(world, &host, declaration)?;
    let daemon = Daemon::start(&greyhound)?;
    ensure!(greyhound.json(0, "plan")?["steps"] == serde_json::json!([]), "not as declared at the start");
    Ok((greyhound, daemon))
}
