//! What must be read again before the mirror is the truth.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use super::Mirror;
use crate::model::{Address, Link, Route};

#[derive(Debug, Default)]
pub(super) struct Stale {
    /// Nobody knows what: events were lost.
    pub everything: bool,
    /// Links whose own attributes are in doubt.
    pub links: BTreeSet<u32>,
    /// Links that are in doubt with their addresses and routes.
    pub closures: BTreeSet<u32>,
    /// Addresses that went: the kernel drops routes that prefer them as a source without a word,
    /// on whatever link (`fib_sync_down_addr`, net/ipv4/fib_semantics.c).
    pub sources: BTreeSet<Ipv4Addr>,
    /// All routes that are looked at.
    pub routes: bool,
    pub rules: bool,
    pub paths: BTreeSet<Ipv4Addr>,
}

impl Stale {
    pub fn is_empty(&self) -> bool {
        let Self { everything, links, closures, sources, routes, rules, paths } = self;
        let objects = links.is_empty()
            && closures.is_empty()
            && sources.is_empty()
            && !routes
            && !rules
            && paths.is_empty();
        objects && !everything
    }
}

/// What has to be read, object by object.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::netlink) struct Needs {
    pub everything: bool,
    pub links: BTreeSet<u32>,
    /// For each of these links also its addresses, and its routes in these tables. Routes are only
    /// ever lost in silence, so the tables are those that routes of the link were seen in.
    pub closures: BTreeMap<u32, BTreeSet<u32>>,
    pub routes: bool,
    pub rules: bool,
    pub paths: BTreeSet<Ipv4Addr>,
}

impl Mirror {
    pub(in crate::netlink) fn needs(&mut self) -> Needs {
        self.settle_sources();
        let Stale { everything, links, closures, sources: _, routes, rules, paths } = &self.stale;
        let tables = |link: &u32| self.by_link.keys(*link).map(|key| key.0).collect();
        Needs {
            everything: *everything,
            links: links.union(closures).copied().collect(),
            closures: closures.iter().map(|link| (*link, tables(link))).collect(),
            routes: *routes,
            rules: *rules,
            paths: paths.clone(),
        }
    }

    /// The link itself was read, or is not there.
    pub(in crate::netlink) fn link_read(&mut self, index: u32, link: Option<Link>) {
        match link {
            Some(link) => self.link(link),
            None => self.link_gone(index),
        }
        self.stale.links.remove(&index);
    }

    /// All addresses of the link were read, and its routes in these tables.
    pub(in crate::netlink) fn closure_read(
        &mut self,
        link: u32,
        addresses: &BTreeSet<Address>,
        tables: &BTreeSet<u32>,
        routes: &BTreeSet<Route>,
    ) {
        // It can have gone meanwhile: what was read of it then is nothing.
        if self.observed.links.contains_key(&link) {
            self.addresses_read(link, addresses);
            self.link_routes_read(link, tables, routes);
        }
        self.stale.closures.remove(&link);
    }

    /// All routes that are looked at were read.
    pub(in crate::netlink) fn routes_read(&mut self, mut routes: BTreeSet<Route>) {
        routes.retain(|route| route.link.is_none_or(|link| self.observed.links.contains_key(&link)));
        self.replace_routes(&routes);
    }

    /// The routes that the lost addresses may have taken with them.
    fn settle_sources(&mut self) {
        let sources = std::mem::take(&mut self.stale.sources);
        if sources.is_empty() {
            return;
        }
        for route in &self.observed.routes {
            if route.prefsrc.is_none_or(|source| !sources.contains(&source)) {
                continue;
            }
            match route.link {
                Some(link) => drop(self.stale.closures.insert(link)),
                None => self.stale.routes = true,
            }
        }
    }
}
