//! What the daemon has counted since it began: turns and how long they took, steps, errors, events, moves, repairs.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{EventKind, TunnelName};

/// Counted where it happens; read by whoever shows it. All of it begins at zero with the daemon.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How long turns took that were carried through.
    pub turns: Spread,
    /// Turns that could not be carried through.
    pub halted: u64,
    /// Steps taken without an error, by action and object.
    pub steps: BTreeMap<(&'static str, &'static str), u64>,
    /// What the kernel refused or did not answer, by what was asked and by the error's name.
    pub errors: BTreeMap<(&'static str, String), u64>,
    /// How often events of the kernel were lost.
    pub overruns: u64,
    pub events: BTreeMap<EventKind, u64>,
    /// Of tunnels that have something to count.
    pub tunnels: BTreeMap<TunnelName, TunnelTally>,
}

/// What was counted of one tunnel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TunnelTally {
    /// It was put right after somebody changed it.
    pub repairs: u64,
    /// It was moved to another endpoint.
    pub moves: u64,
    /// Since when its peer answers through it, in milliseconds since 1970-01-01T00:00:00Z; `None`: it does not, or that
    /// is not known.
    pub answering_since: Option<u64>,
}

/// Times by how long they were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spread {
    /// How many were at most as long as the bound of this place, and longer than the one before; the last has no bound.
    counts: [u64; Spread::BOUNDS_MS.len() + 1],
    sum: Duration,
}

impl Tally {
    /// An event was told.
    pub fn told(&mut self, kind: EventKind, tunnel: Option<&TunnelName>) {
        *self.events.entry(kind).or_default() += 1;
        if let (EventKind::Repair, Some(tunnel)) = (kind, tunnel) {
            self.of(tunnel).repairs += 1;
        }
    }

    /// A step was taken.
    pub fn stepped(&mut self, action: &'static str, object: &'static str) {
        *self.steps.entry((action, object)).or_default() += 1;
    }

    /// The kernel refused, or did not answer.
    pub fn failed(&mut self, request: &'static str, error: impl Into<String>) {
        *self.errors.entry((request, error.into())).or_default() += 1;
    }

    /// A tunnel was moved.
    pub fn moved(&mut self, tunnel: &TunnelName) {
        self.of(tunnel).moves += 1;
    }

    /// From now on its peer answers through it, or does not (`None`).
    pub fn answers(&mut self, tunnel: &TunnelName, since_ms: Option<u64>) {
        self.of(tunnel).answering_since = since_ms;
    }

    /// Of tunnels that are gone nothing is kept.
    pub fn keep(&mut self, stays: impl Fn(&TunnelName) -> bool) {
        self.tunnels.retain(|tunnel, _| stays(tunnel));
    }

    fn of(&mut self, tunnel: &TunnelName) -> &mut TunnelTally {
        self.tunnels.entry(tunnel.clone()).or_default()
    }
}

impl Spread {
    /// From a turn that finds nothing to do to one that makes thousands of tunnels, in milliseconds.
    pub const BOUNDS_MS: [u64; 12] = [1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000, 30_000, 60_000, 120_000];

    pub fn add(&mut self, time: Duration) {
        let place = Self::BOUNDS_MS.iter().position(|bound| time <= Duration::from_millis(*bound));
        self.counts[place.unwrap_or(Self::BOUNDS_MS.len())] += 1;
        self.sum += time;
    }

    pub fn sum(&self) -> Duration {
        self.sum
    }

    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Each bound with how many were at most as long and longer than the bound before; `None`: longer than all bounds.
    pub fn places(&self) -> impl Iterator<Item = (Option<Duration>, u64)> {
        let bounds = Self::BOUNDS_MS.into_iter().map(Duration::from_millis).map(Some).chain([None]);
        bounds.zip(self.counts)
    }
}

impl Default for Spread {
    fn default() -> Self {
        Self { counts: [0; Self::BOUNDS_MS.len() + 1], sum: Duration::ZERO }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_counted_once_where_it_belongs() {
        let mut spread = Spread::default();
        let ms = Duration::from_millis;
        [ms(0), ms(1), ms(2), ms(3), ms(200), ms(500_000)].into_iter().for_each(|time| spread.add(time));
        let found: Vec<_> = spread.places().filter(|(_, count)| *count > 0).collect();
        assert_eq!(found, [(Some(ms(1)), 2), (Some(ms(3)), 2), (Some(ms(300)), 1), (None, 1)]);
        assert_eq!((spread.count(), spread.sum()), (6, ms(500_206)));
    }

    #[test]
    fn repairs_are_counted_by_tunnel_and_forgotten_with_it() {
        let mut tally = Tally::default();
        let name = |name| TunnelName::new(name).unwrap();
        for (kind, tunnel) in [
            (EventKind::Repair, Some(name("ams"))),
            (EventKind::Repair, Some(name("ams"))),
            (EventKind::Repair, None),
            (EventKind::Apply, Some(name("fra"))),
        ] {
            tally.told(kind, tunnel.as_ref());
        }
        tally.moved(&name("lon"));
        assert_eq!(tally.events[&EventKind::Repair], 3);
        assert_eq!(tally.tunnels[&name("ams")].repairs, 2);
        assert!(!tally.tunnels.contains_key(&name("fra")), "nothing of it was counted");
        tally.keep(|tunnel| tunnel.as_str() == "lon");
        assert_eq!(tally.tunnels.len(), 1);
    }
}
