//! A copy of what the kernel says is, kept true by events and by reads of single objects. Pure.
//!
//! | file | what is in it |
//! |---|---|
//! | `links`, `addresses`, `routes`, `rules`, `paths` | what each sort of event changes, and what it puts in doubt |
//! | `stale` | what must be read again |
//! | `causes` | what happened, in sentences, for whoever repairs it |
//!
//! Events are absolute: each says what its object is after it, or that it is gone. So old events
//! that are folded after a newer look set the copy back only until the newest of them is folded.
//! What the kernel changes without an event is announced by another one; that one marks stale.
//! Three things nothing announces, and only a full observation finds them: nearly every change of a
//! link that is down, routes that go with a nexthop object, and which of two routes went that
//! differ only in what is not looked at.

mod addresses;
mod causes;
#[cfg(test)]
mod fake;
mod links;
#[cfg(test)]
mod path_tests;
mod paths;
#[cfg(test)]
mod properties;
mod routes;
mod rules;
mod stale;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

pub use causes::{Causes, Place};

use crate::model::{LOOPBACK, Observed};
use paths::Underlay;
use routes::ByLink;
pub(super) use routes::{Arrival, Foreign, is_looked_at};
pub(super) use stale::Needs;
use stale::Stale;

/// What the kernel says is, as far as has been heard, and what has to be read again to be sure.
#[derive(Debug)]
pub struct Mirror {
    observed: Observed,
    /// Whose paths are wanted; those without a way to them are not in `observed`.
    remotes: BTreeSet<Ipv4Addr>,
    by_link: ByLink,
    underlay: Underlay,
    stale: Stale,
    causes: Causes,
    revision: u64,
}

impl Mirror {
    /// A full observation, and the remotes whose paths were asked for with it.
    pub fn new(observed: Observed, remotes: BTreeSet<Ipv4Addr>) -> Self {
        let mut mirror = Self {
            observed,
            remotes,
            by_link: ByLink::default(),
            underlay: Underlay::default(),
            stale: Stale::default(),
            causes: Causes::default(),
            revision: 1,
        };
        mirror.index();
        mirror
    }

    pub fn observed(&self) -> &Observed {
        &self.observed
    }

    pub fn remotes(&self) -> &BTreeSet<Ipv4Addr> {
        &self.remotes
    }

    /// A new full observation, with paths to [`Self::remotes`]. What it shows that no event has
    /// told counts as changed, with its causes. Nothing is stale after it.
    pub fn replace(&mut self, observed: Observed) {
        self.replace_links(&observed);
        self.replace_addresses(&observed.addresses);
        self.replace_routes(&observed.routes);
        self.replace_rules(&observed.rules);
        let remotes = self.remotes.clone();
        self.replace_paths(&remotes, &observed.paths);
        self.observed = observed;
        self.stale = Stale::default();
        self.index();
    }

    /// From now on the paths to these are wanted; new ones are stale until they are read.
    pub fn want_paths(&mut self, remotes: &BTreeSet<Ipv4Addr>) {
        if self.remotes == *remotes {
            return;
        }
        self.stale.paths.extend(remotes.difference(&self.remotes));
        self.stale.paths.retain(|remote| remotes.contains(remote));
        self.observed.paths.retain(|remote, _| remotes.contains(remote));
        self.remotes.clone_from(remotes);
        self.underlay = Underlay::of(&self.observed);
        self.revision += 1;
    }

    /// Events were lost: only a full observation is the truth again.
    pub(super) fn doubt_everything(&mut self) {
        self.stale.everything = true;
    }

    /// Reads this link, its addresses and its routes again the next time, whatever events say.
    pub(super) fn doubt(&mut self, link: u32) {
        self.stale.closures.insert(link);
    }

    /// Has anything to be read again before this is the truth?
    pub fn is_stale(&self) -> bool {
        !self.stale.is_empty()
    }

    /// Grows with every change of what greyhound looks at; never 0. Who has planned on this one
    /// need not plan again while it stays.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// What has happened since this was asked last.
    pub fn take_causes(&mut self) -> Causes {
        std::mem::take(&mut self.causes)
    }

    fn index(&mut self) {
        self.by_link = ByLink::of(&self.observed.routes);
        self.underlay = Underlay::of(&self.observed);
    }

    /// Records a change of something on this link, or on none.
    fn tell(&mut self, link: Option<u32>, sentence: impl FnOnce(&str) -> String) {
        let link = link.and_then(|index| self.observed.links.get(&index));
        let name = link.map_or("no link", |link| &link.name);
        // Tunnels stand on addresses of the loopback link.
        let ours = link.is_none_or(|link| links::is_ours(link) || link.name == LOOPBACK);
        let place = link.map_or(Place::Elsewhere, |link| Place::Link(link.name.clone()));
        self.causes.add(place, ours, sentence(name));
        self.revision += 1;
    }
}
