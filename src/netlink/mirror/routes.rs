//! Routes that come and go: those of our protocol, and all of our table.

use std::collections::{BTreeMap, BTreeSet};

use ipnetwork::Ipv4Network;

use super::Mirror;
use crate::model::marks::{ROUTE_PROTOCOL, TABLE};
use crate::model::{Route, RouteKind, Scope};

/// Table, destination, metric, TOS: see [`Route::key`].
pub(super) type Key = (u32, Ipv4Network, u32, u8);

/// How a route came, as the flags of its event say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::netlink) enum Arrival {
    /// Nothing had its key (`NLM_F_EXCL`).
    Alone,
    /// In the place of another one with its key (`NLM_F_REPLACE`).
    Replaces,
    /// Beside another one with its key.
    Beside,
}

/// A route that is not looked at, came or gone.
#[derive(Clone, Copy, Debug)]
pub(in crate::netlink) struct Foreign {
    pub table: u32,
    pub destination: Ipv4Network,
    pub replaces: bool,
}

/// The keys of the routes by each link; those without one under 0, which no link has.
#[derive(Debug, Default)]
pub(super) struct ByLink(BTreeMap<u32, BTreeSet<Key>>);

impl ByLink {
    pub fn of(routes: &BTreeSet<Route>) -> Self {
        let mut index = Self::default();
        routes.iter().for_each(|route| index.insert(route));
        index
    }

    pub fn keys(&self, link: u32) -> impl Iterator<Item = &Key> {
        self.0.get(&link).into_iter().flatten()
    }

    fn insert(&mut self, route: &Route) {
        self.0.entry(route.link.unwrap_or(0)).or_default().insert(route.key());
    }

    fn remove(&mut self, route: &Route) {
        let link = route.link.unwrap_or(0);
        if let Some(keys) = self.0.get_mut(&link) {
            keys.remove(&route.key());
            if keys.is_empty() {
                self.0.remove(&link);
            }
        }
    }
}

/// Does greyhound look at routes of this protocol in this table?
pub(in crate::netlink) fn is_looked_at(protocol: u8, table: u32) -> bool {
    protocol == ROUTE_PROTOCOL || table == TABLE
}

impl Mirror {
    /// A route that greyhound looks at has come.
    pub(in crate::netlink) fn route(&mut self, route: Route, arrival: Arrival) {
        self.doubt_paths_to(route.table, route.destination);
        // An old event of a link that a newer look found gone.
        if route.link.is_some_and(|link| !self.observed.links.contains_key(&link)) {
            return;
        }
        let before: Vec<Route> = self.same_key(&route.key()).cloned().collect();
        match arrival {
            Arrival::Alone => before.iter().filter(|other| **other != route).for_each(|other| {
                self.remove_route(other);
            }),
            Arrival::Replaces => self.replaced(&before, &route),
            Arrival::Beside => {}
        }
        if !before.contains(&route) {
            self.tell_route(&route, "added");
            self.by_link.insert(&route);
            self.observed.routes.insert(route);
        }
    }

    /// A route that greyhound looks at was deleted.
    pub fn route_gone(&mut self, route: &Route) {
        self.doubt_paths_to(route.table, route.destination);
        if self.observed.routes.contains(route) {
            self.tell_route(route, "deleted");
            self.remove_route(route);
        }
    }

    /// Any other route has come or gone: it can change a path, or take the place of one of ours.
    pub(in crate::netlink) fn foreign_route(&mut self, route: Foreign) {
        let Foreign { table, destination, replaces } = route;
        self.doubt_paths_to(table, destination);
        if replaces {
            let here = self.observed.routes.range(floor((table, destination, 0, 0))..).next();
            self.stale.routes |= here.is_some_and(|it| (it.table, it.destination) == (table, destination));
        }
    }

    /// All routes by this link in these tables, as they were read.
    pub(super) fn link_routes_read(&mut self, link: u32, tables: &BTreeSet<u32>, now: &BTreeSet<Route>) {
        let mut before = self.routes_of(link);
        before.retain(|route| tables.contains(&route.table));
        self.routes_become(&before, now);
    }

    /// All routes that are looked at, as they were read.
    pub(super) fn replace_routes(&mut self, now: &BTreeSet<Route>) {
        let before: Vec<Route> = self.observed.routes.difference(now).cloned().collect();
        self.routes_become(&before, now);
        self.stale.routes = false;
    }

    pub(super) fn routes_of(&self, link: u32) -> Vec<Route> {
        let same = self.by_link.keys(link).flat_map(|key| self.same_key(key));
        same.filter(|route| route.link.unwrap_or(0) == link).cloned().collect()
    }

    pub(super) fn remove_route(&mut self, route: &Route) {
        if self.observed.routes.remove(route) {
            self.revision += 1;
        }
        let others = self.same_key(&route.key()).any(|other| other.link == route.link);
        if !others {
            self.by_link.remove(route);
        }
    }

    /// A route over several links, whose parts can be lost without a word, is in doubt.
    pub(super) fn doubt_unlinked(&mut self) {
        let mut unlinked = self.by_link.keys(0).flat_map(|key| self.same_key(key));
        let any = unlinked.any(|route| route.link.is_none() && route.kind == RouteKind::Unicast);
        drop(unlinked);
        self.stale.routes |= any;
    }

    /// Which one went is only known where there was one, and no other can be there unseen. Where
    /// there was none, it was a foreign one.
    fn replaced(&mut self, before: &[Route], route: &Route) {
        match before {
            [] => {}
            [only] if route.table == TABLE => {
                if only != route {
                    self.tell_route(only, "replaced");
                    self.remove_route(only);
                }
            }
            _ => self.stale.routes = true,
        }
    }

    fn routes_become(&mut self, before: &[Route], now: &BTreeSet<Route>) {
        for route in before.iter().filter(|route| !now.contains(route)) {
            self.doubt_paths_to(route.table, route.destination);
            self.tell_route(route, "deleted");
            self.remove_route(route);
        }
        let new: Vec<Route> = now.difference(&self.observed.routes).cloned().collect();
        new.into_iter().for_each(|route| self.route(route, Arrival::Beside));
    }

    fn same_key(&self, key: &Key) -> impl Iterator<Item = &Route> + use<'_> {
        let key = *key;
        self.observed.routes.range(floor(key)..).take_while(move |route| route.key() == key)
    }

    fn tell_route(&mut self, route: &Route, verb: &str) {
        let Route { table, destination, .. } = route;
        self.tell(route.link, |_| match *table {
            TABLE => format!("route {destination} {verb}"),
            other => format!("route {destination} of table {other} {verb}"),
        });
    }
}

/// The least route of this key.
fn floor((table, destination, metric, tos): Key) -> Route {
    Route {
        table,
        destination,
        metric,
        tos,
        link: None,
        gateway: None,
        prefsrc: None,
        protocol: 0,
        scope: Scope::Global,
        kind: RouteKind::Unicast,
    }
}
