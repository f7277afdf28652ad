//! A kernel that is made up: what the real one does with links, addresses, routes and rules, with
//! the same events, and the same silence.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::Ipv4Addr;

use ipnetwork::Ipv4Network;

use super::{Arrival, Foreign, Mirror, is_looked_at};
use crate::model::{Address, Link, LinkKind, Observed, Path, Route, RouteKind, Rule, Scope};
use crate::netlink::error::Error;
use crate::netlink::reread::Source;

/// Links go by a place, and have another ifindex each time that they are made.
pub type Place = u8;

#[derive(Clone, Debug)]
pub enum Deed {
    Make(Place),
    Unmake(Place),
    Up(Place),
    Down(Place),
    Mtu(Place, u32),
    Group(Place, u32),
    Address(Place, Ipv4Network),
    Unaddress(Place, Ipv4Network),
    Route(Wanted, How),
    Unroute(Wanted),
    Rule(u32, u32),
    Unrule(u32, u32),
}

/// A route; without a place it is a blackhole.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    pub table: u32,
    pub destination: Ipv4Network,
    pub metric: u32,
    pub place: Option<Place>,
    pub prefsrc: Option<Ipv4Addr>,
    pub protocol: u8,
}

#[derive(Clone, Copy, Debug)]
pub enum How {
    Add,
    Replace,
    Append,
    Prepend,
}

#[derive(Debug)]
pub enum Event {
    Link(Link),
    LinkGone(u32),
    Address(Address),
    AddressGone(Address),
    Route(Route, Arrival),
    RouteGone(Route),
    Foreign(Foreign),
    Rule(Rule),
    RuleGone(Rule),
}

impl Event {
    pub fn fold(self, mirror: &mut Mirror) {
        match self {
            Self::Link(link) => mirror.link(link),
            Self::LinkGone(index) => mirror.link_gone(index),
            Self::Address(address) => mirror.address(address),
            Self::AddressGone(address) => mirror.address_gone(&address),
            Self::Route(route, arrival) => mirror.route(route, arrival),
            Self::RouteGone(route) => mirror.route_gone(&route),
            Self::Foreign(foreign) => mirror.foreign_route(foreign),
            Self::Rule(rule) => mirror.rule(rule),
            Self::RuleGone(rule) => mirror.rule_gone(&rule),
        }
    }
}

#[derive(Debug, Default)]
pub struct Kernel {
    links: BTreeMap<u32, Link>,
    made: u32,
    addresses: BTreeSet<Address>,
    /// Also those that nobody looks at; of one key in the order in which they are tried.
    routes: Vec<Route>,
    /// Equal ones can be there several times.
    rules: Vec<Rule>,
    pub events: VecDeque<Event>,
    /// What happens between one read and the next.
    pub meanwhile: VecDeque<Deed>,
}

impl Kernel {
    pub fn observed(&self, remotes: &BTreeSet<Ipv4Addr>) -> Observed {
        Observed {
            links: self.links.clone(),
            addresses: self.addresses.clone(),
            routes: self.looked_at().cloned().collect(),
            rules: self.rules.iter().cloned().collect(),
            paths: self.ways(remotes, &self.links),
        }
    }

    /// What cannot be done is not done.
    pub fn does(&mut self, deed: &Deed) {
        match *deed {
            Deed::Make(place) => self.make(place),
            Deed::Unmake(place) => self.unmake(place),
            Deed::Up(place) => self.change(place, |link| link.up = true),
            Deed::Down(place) => self.down(place),
            Deed::Mtu(place, mtu) => self.change(place, |link| link.mtu = mtu),
            // On a link that is down this would make no event.
            Deed::Group(place, group) => {
                self.change(place, |link| link.group = if link.up { group } else { link.group });
            }
            Deed::Address(place, address) => self.address(place, address),
            Deed::Unaddress(place, address) => {
                self.unaddress(place, address);
            }
            Deed::Route(wanted, how) => {
                self.route(wanted, how);
            }
            Deed::Unroute(wanted) => {
                self.unroute(wanted);
            }
            Deed::Rule(priority, table) => {
                self.rules.push(rule(priority, table));
                self.events.push_back(Event::Rule(rule(priority, table)));
            }
            Deed::Unrule(priority, table) => self.unrule(&rule(priority, table)),
        }
    }

    fn index(&self, place: Place) -> Option<u32> {
        self.links.values().find(|link| link.name == name(place)).map(|link| link.index)
    }

    fn make(&mut self, place: Place) {
        if self.index(place).is_some() {
            return;
        }
        self.made += 1;
        let index = self.made;
        let link = Link {
            index,
            name: name(place),
            kind: LinkKind::Other("dummy".into()),
            mtu: 1500,
            group: 0,
            up: false,
            multicast: false,
            master: None,
            addrgen_none: true,
        };
        self.links.insert(index, link.clone());
        self.events.push_back(Event::Link(link));
    }

    fn unmake(&mut self, place: Place) {
        let Some(index) = self.index(place) else { return };
        self.down(place);
        let here: Vec<_> = self.addresses.iter().filter(|it| it.link == index).cloned().collect();
        here.iter().for_each(|address| {
            self.unaddress(place, address.address);
        });
        self.links.remove(&index);
        self.events.push_back(Event::LinkGone(index));
    }

    fn change(&mut self, place: Place, change: impl FnOnce(&mut Link)) {
        let index = self.index(place);
        if let Some(link) = index.and_then(|index| self.links.get_mut(&index)) {
            change(link);
            self.events.push_back(Event::Link(link.clone()));
        }
    }

    fn down(&mut self, place: Place) {
        let index = self.index(place);
        self.routes.retain(|route| route.link.is_none() || route.link != index);
        self.change(place, |link| link.up = false);
    }

    fn address(&mut self, place: Place, address: Ipv4Network) {
        let Some(link) = self.index(place) else { return };
        let address = Address { link, address, scope: Scope::Global, label: name(place), protocol: 0 };
        if self.addresses.insert(address.clone()) {
            self.events.push_back(Event::Address(address));
        }
    }

    /// With the last address of a link all its routes go, with each those that prefer it: in silence.
    fn unaddress(&mut self, place: Place, address: Ipv4Network) -> Option<()> {
        let link = self.index(place)?;
        let gone = self.addresses.iter().find(|it| (it.link, it.address) == (link, address))?.clone();
        self.addresses.remove(&gone);
        let source = gone.address.ip();
        if !self.addresses.iter().any(|other| other.address.ip() == source) {
            self.routes.retain(|route| route.prefsrc != Some(source));
        }
        if !self.addresses.iter().any(|other| other.link == link) {
            self.routes.retain(|route| route.link != Some(link));
        }
        self.events.push_back(Event::AddressGone(gone));
        Some(())
    }

    /// As `fib_table_insert` (net/ipv4/fib_trie.c) does it.
    fn route(&mut self, wanted: Wanted, how: How) -> Option<()> {
        let route = self.wished(wanted)?;
        let same: Vec<usize> =
            (0..self.routes.len()).filter(|at| self.routes[*at].key() == route.key()).collect();
        let twin = same.iter().any(|at| self.routes[*at] == route);
        let arrival = match (same.as_slice(), how) {
            ([], _) => {
                self.routes.push(route.clone());
                Arrival::Alone
            }
            (_, How::Add) => return None,
            _ if twin => return None,
            ([first, ..], How::Replace) => {
                self.routes[*first] = route.clone();
                Arrival::Replaces
            }
            ([first, ..], How::Prepend) => {
                self.routes.insert(*first, route.clone());
                Arrival::Beside
            }
            (_, How::Append) => {
                self.routes.push(route.clone());
                Arrival::Beside
            }
        };
        self.events.push_back(if is_looked_at(route.protocol, route.table) {
            Event::Route(route, arrival)
        } else {
            foreign(&route, arrival == Arrival::Replaces)
        });
        Some(())
    }

    fn unroute(&mut self, wanted: Wanted) -> Option<()> {
        let route = self.wished(wanted)?;
        let at = self.routes.iter().position(|other| *other == route)?;
        self.routes.remove(at);
        let looked_at = is_looked_at(route.protocol, route.table);
        self.events.push_back(if looked_at { Event::RouteGone(route) } else { foreign(&route, false) });
        Some(())
    }

    /// Nothing where the kernel would refuse it.
    fn wished(&self, wanted: Wanted) -> Option<Route> {
        let Wanted { table, destination, metric, place, prefsrc, protocol } = wanted;
        let link = place.map(|place| self.index(place).filter(|index| self.links[index].up).ok_or(()));
        if prefsrc.is_some_and(|source| !self.addresses.iter().any(|it| it.address.ip() == source)) {
            return None;
        }
        let link = link.transpose().ok()?;
        let kind = if link.is_some() { RouteKind::Unicast } else { RouteKind::Other(6) };
        let (scope, prefsrc) = (Scope::Link, prefsrc.filter(|_| link.is_some()));
        Some(Route {
            table,
            destination,
            metric,
            tos: 0,
            link,
            gateway: None,
            prefsrc,
            protocol,
            scope,
            kind,
        })
    }

    fn unrule(&mut self, rule: &Rule) {
        if let Some(at) = self.rules.iter().position(|other| other == rule) {
            self.rules.remove(at);
            self.events.push_back(Event::RuleGone(rule.clone()));
        }
    }

    fn looked_at(&self) -> impl Iterator<Item = &Route> {
        self.routes.iter().filter(|route| is_looked_at(route.protocol, route.table))
    }

    fn ways(&self, remotes: &BTreeSet<Ipv4Addr>, links: &BTreeMap<u32, Link>) -> BTreeMap<Ipv4Addr, Path> {
        remotes.iter().filter_map(|remote| Some((*remote, self.way(*remote, links)?))).collect()
    }

    /// `links`: what the asker knows of them.
    fn way(&self, remote: Ipv4Addr, links: &BTreeMap<u32, Link>) -> Option<Path> {
        let mut tables: Vec<_> = self.rules.iter().map(|rule| (rule.priority, rule.table)).collect();
        tables.sort_unstable();
        let route = tables.into_iter().find_map(|(_, table)| {
            let fits = |route: &&Route| route.table == table && route.destination.contains(remote);
            let best = |route: &&Route| (32 - route.destination.prefix(), route.metric);
            self.routes.iter().filter(fits).min_by_key(best)
        })?;
        let link = links.get(&route.link?)?;
        let on = |link: Option<u32>| {
            let here = self.addresses.iter().filter(move |it| link.is_none_or(|link| it.link == link));
            here.map(|address| address.address.ip()).next()
        };
        let source = route.prefsrc.or(on(route.link)).or(on(None));
        Some(Path { link: link.index, gateway: None, source, mtu: link.mtu, strict_rp: false })
    }

    /// Time passes while somebody reads.
    fn read<T>(&mut self, read: T) -> Result<T, Error> {
        if let Some(deed) = self.meanwhile.pop_front() {
            self.does(&deed);
        }
        Ok(read)
    }
}

impl Source for Kernel {
    fn everything(&mut self, remotes: &BTreeSet<Ipv4Addr>) -> Result<Observed, Error> {
        let links = self.read(self.links.clone())?;
        let mut addresses = self.read(self.addresses.clone())?;
        let mut routes = self.routes()?;
        let rules = self.rules()?;
        let paths = self.paths(remotes, &links)?;
        addresses.retain(|address| links.contains_key(&address.link));
        routes.retain(|route| route.link.is_none_or(|link| links.contains_key(&link)));
        Ok(Observed { links, addresses, routes, rules, paths })
    }

    fn links(&mut self, indexes: &BTreeSet<u32>) -> Result<BTreeMap<u32, Link>, Error> {
        let found = indexes.iter().filter_map(|index| Some((*index, self.links.get(index)?.clone())));
        let found = found.collect();
        self.read(found)
    }

    fn addresses_of(&mut self, link: u32) -> Result<BTreeSet<Address>, Error> {
        let here = self.addresses.iter().filter(|address| address.link == link).cloned().collect();
        self.read(here)
    }

    fn routes_of(&mut self, link: u32, table: u32) -> Result<BTreeSet<Route>, Error> {
        let here = self.looked_at().filter(|it| (it.link, it.table) == (Some(link), table));
        let here = here.cloned().collect();
        self.read(here)
    }

    fn routes(&mut self) -> Result<BTreeSet<Route>, Error> {
        let all = self.looked_at().cloned().collect();
        self.read(all)
    }

    fn rules(&mut self) -> Result<BTreeSet<Rule>, Error> {
        let all = self.rules.iter().cloned().collect();
        self.read(all)
    }

    fn paths(
        &mut self,
        remotes: &BTreeSet<Ipv4Addr>,
        links: &BTreeMap<u32, Link>,
    ) -> Result<BTreeMap<Ipv4Addr, Path>, Error> {
        let found = self.ways(remotes, links);
        self.read(found)
    }
}

fn name(place: Place) -> String {
    format!("gh-{place}")
}

fn foreign(route: &Route, replaces: bool) -> Event {
    Event::Foreign(Foreign { table: route.table, destination: route.destination, replaces })
}

fn rule(priority: u32, table: u32) -> Rule {
    Rule {
        priority,
        invert: false,
        fwmark: None,
        table,
        suppress_prefixlength: None,
        protocol: 0,
        exotic: false,
    }
}
