//! Everything that a host's kernel holds: links, addresses, routes of all tables and rules, IPv4 and IPv6.

use super::object::{Kind, Object, listed};
use crate::support::Host;
use anyhow::{Result, bail};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Links belong to no family, and come first.
const LISTINGS: [(Kind, &str); 4] = [
    (Kind::Link, "link show"),
    (Kind::Address, "address show"),
    (Kind::Route, "route show table all"),
    (Kind::Rule, "rule show"),
];

#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot(BTreeMap<String, Object>);

impl Snapshot {
    pub fn take(host: &Host) -> Result<Self> {
        let mut objects = BTreeMap::new();
        for (family, kinds) in [("-4", &LISTINGS[..]), ("-6", &LISTINGS[1..])] {
            let lines: Vec<_> = kinds.iter().map(|(_, line)| *line).collect();
            for ((kind, _), listing) in kinds.iter().zip(host.json_batch(family, &lines)?) {
                listed(*kind, &listing).into_iter().for_each(|object| insert(&mut objects, object));
            }
        }
        Ok(Self(objects))
    }

    /// Only the objects that somebody owns, or does not own.
    pub fn keep(mut self, owned: impl Fn(&Object) -> bool) -> Self {
        self.0.retain(|_, object| owned(object));
        self
    }

    pub fn get(&self, identity: &str) -> Option<&Object> {
        self.0.get(identity)
    }

    pub fn of(&self, kind: Kind) -> impl Iterator<Item = &Object> {
        self.0.values().filter(move |object| object.kind == kind)
    }

    pub fn objects(&self) -> impl Iterator<Item = &Object> {
        self.0.values()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The same for equal snapshots, in one run of the scenarios.
    pub fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for (identity, object) in &self.0 {
            (identity, object.value.to_string()).hash(&mut hasher);
        }
        hasher.finish()
    }

    /// A line for each object that is gone, new or changed since then.
    pub fn difference(&self, now: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        for (identity, before) in &self.0 {
            match now.0.get(identity) {
                None => lines.push(format!("gone: {identity}")),
                Some(after) if before == after => {}
                Some(after) => {
                    lines.push(format!("changed: {identity}: {}", before.changes(after).join(", ")))
                }
            }
        }
        let new = now.0.keys().filter(|identity| !self.0.contains_key(*identity));
        lines.extend(new.map(|identity| format!("new: {identity}")));
        lines
    }

    /// An error that names every difference.
    pub fn expect_unchanged(&self, now: &Self) -> Result<()> {
        let lines = self.difference(now);
        if !lines.is_empty() {
            bail!("{} objects differ:\n{}", lines.len(), lines.join("\n"));
        }
        Ok(())
    }
}

/// Objects that look alike are told apart by their place in the kernel's order.
fn insert(objects: &mut BTreeMap<String, Object>, object: Object) {
    let mut identity = object.identity.clone();
    let mut copy = 1;
    while objects.contains_key(&identity) {
        copy += 1;
        identity = format!("{} ({copy})", object.identity);
    }
    objects.insert(identity, object);
}
