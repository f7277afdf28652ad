//! The underlay's ways to the remotes, and which events can change them.
//!
//! No event names a path. One changes only when a route to its remote comes or goes in a table that
//! a rule names; when its link changes, or the addresses there; when its source goes; or with a rule.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use ipnetwork::Ipv4Network;

use super::{Mirror, Place};
use crate::model::{Observed, Path};

/// What the paths stand on.
#[derive(Debug, Default)]
pub(super) struct Underlay {
    /// Links that they leave by.
    pub links: BTreeSet<u32>,
    sources: BTreeSet<Ipv4Addr>,
    /// Tables that rules name.
    tables: BTreeSet<u32>,
}

impl Underlay {
    pub fn of(observed: &Observed) -> Self {
        Self {
            links: observed.paths.values().map(|path| path.link).collect(),
            sources: observed.paths.values().filter_map(|path| path.source).collect(),
            tables: observed.rules.iter().map(|rule| rule.table).collect(),
        }
    }
}

impl Mirror {
    /// What the kernel answered for each that was asked about; those without an answer have no way.
    pub(in crate::netlink) fn replace_paths(
        &mut self,
        asked: &BTreeSet<Ipv4Addr>,
        found: &BTreeMap<Ipv4Addr, Path>,
    ) {
        for remote in asked.intersection(&self.remotes.clone()) {
            let (before, now) = (self.observed.paths.get(remote), found.get(remote));
            if before != now {
                let sentence = change_of(*remote, before, now);
                self.causes.add(Place::Path(*remote), true, sentence);
                self.revision += 1;
            }
            match now {
                Some(path) => drop(self.observed.paths.insert(*remote, path.clone())),
                None => drop(self.observed.paths.remove(remote)),
            }
            self.stale.paths.remove(remote);
        }
        self.underlay = Underlay::of(&self.observed);
    }

    pub(super) fn doubt_paths(&mut self) {
        if self.stale.paths.len() < self.remotes.len() {
            self.stale.paths.clone_from(&self.remotes);
        }
    }

    /// An address came to a link, or went: it can be a source, and where the underlay has none of
    /// its own the kernel takes one from any link (`inet_select_addr`, net/ipv4/devinet.c).
    pub(super) fn doubt_paths_for(&mut self, link: u32, address: Ipv4Addr) {
        let numbered = |link: &u32| self.on_link(*link).next().is_some();
        let Underlay { links, sources, tables: _ } = &self.underlay;
        if links.contains(&link) || sources.contains(&address) || !links.iter().all(numbered) {
            self.doubt_paths();
        }
    }

    /// A route to this destination came or went.
    pub(super) fn doubt_paths_to(&mut self, table: u32, destination: Ipv4Network) {
        if self.underlay.tables.contains(&table) {
            let covered = self.remotes.range(destination.network()..=destination.broadcast());
            self.stale.paths.extend(covered);
        }
    }
}

fn change_of(remote: Ipv4Addr, before: Option<&Path>, now: Option<&Path>) -> String {
    let (before, now) = match (before, now) {
        (Some(before), Some(now)) => (before, now),
        (None, _) => return format!("there is a way to {remote}"),
        (_, None) => return format!("there is no way to {remote}"),
    };
    let Path { link, gateway, source, mtu, strict_rp } = now;
    let address = |address: Option<Ipv4Addr>| address.map_or("none".to_owned(), |it| it.to_string());
    let mut said = Vec::new();
    if before.link != *link {
        said.push(format!("link {} -> {link}", before.link));
    }
    if before.gateway != *gateway {
        said.push(format!("gateway {} -> {}", address(before.gateway), address(*gateway)));
    }
    if before.source != *source {
        said.push(format!("source {} -> {}", address(before.source), address(*source)));
    }
    if before.mtu != *mtu {
        said.push(format!("mtu {} -> {mtu}", before.mtu));
    }
    if before.strict_rp != *strict_rp {
        said.push(format!("strict rp_filter {} -> {strict_rp}", before.strict_rp));
    }
    format!("the way to {remote}: {}", said.join(", "))
}
