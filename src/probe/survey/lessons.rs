//! What tunnels learnt that is worth keeping over a restart. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Learnt, TunnelName};

/// By tunnel, with those of whom it is not kept yet. Failures are timed since the process began.
#[derive(Debug, Default)]
pub(super) struct Lessons {
    known: BTreeMap<TunnelName, Learnt>,
    fresh: BTreeSet<TunnelName>,
}

impl Lessons {
    /// What was kept over a restart.
    pub(super) fn new(known: BTreeMap<TunnelName, Learnt>) -> Self {
        Self { known, fresh: BTreeSet::new() }
    }

    pub(super) fn of(&self, tunnel: &TunnelName) -> Learnt {
        self.known.get(tunnel).cloned().unwrap_or_default()
    }

    /// This is all that it has learnt until now.
    pub(super) fn learn(&mut self, tunnel: &TunnelName, learnt: Learnt) {
        if self.of(tunnel) != learnt {
            self.known.insert(tunnel.clone(), learnt);
            self.fresh.insert(tunnel.clone());
        }
    }

    /// What is new since this was last asked.
    pub(super) fn take(&mut self) -> BTreeMap<TunnelName, Learnt> {
        let fresh = std::mem::take(&mut self.fresh);
        fresh.into_iter().map(|tunnel| (tunnel.clone(), self.of(&tunnel))).collect()
    }

    /// What was taken could not be kept.
    pub(super) fn give_back(&mut self, tunnels: impl Iterator<Item = TunnelName>) {
        self.fresh.extend(tunnels);
    }

    /// Only these are declared.
    pub(super) fn retain(&mut self, declared: impl Fn(&TunnelName) -> bool) {
        self.known.retain(|tunnel, _| declared(tunnel));
        self.fresh.retain(declared);
    }
}
