//! Sessions that somebody asks for: what they are to be bound to is found out here, the rest is the clerk's.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use ipnetwork::Ipv4Network;

use super::clerk::Reply;
use super::keeper::Keeper;
use super::part::Part;
use super::publisher::sentence;
use crate::alloc::{self, Ask, Foreign, Taken};
use crate::api::Failure;
use crate::api::dto::ConnectAsk;
use crate::model::{
    DeviceCode, HolderName, HostName, HostRole, Kind, LeaseState, Path, Purpose, Role, Routes, SessionKey,
    Tier, TunnelName, Underlay, sysctl,
};
use crate::probe::survey::Place as Offerer;
use crate::reconcile::part::Me;
use crate::reconcile::{locals, now};
use crate::registry::booking::Booking;

/// An address that was given to a session is not given to another until that session is seen, or so long.
const PROMISED: Duration = Duration::from_secs(60);

impl Keeper {
    /// Begins a session. The answer is the clerk's.
    pub fn connect(&mut self, ask: &ConnectAsk, reply: Reply) {
        match (self.booking(ask), &self.part) {
            (Ok(booking), Some(part)) => part.clerk.begin(booking, reply),
            (Ok(_), None) => {}
            // Who does not wait any more need not hear it.
            (Err(failure), _) => drop(reply.send(Err(failure))),
        }
    }

    /// Ends a session of this host. The answer is the clerk's.
    pub fn disconnect(&mut self, tunnel: &TunnelName, reply: Reply) {
        match self.client() {
            Ok((host, _, part)) => {
                part.clerk.end(SessionKey { host: host.clone(), name: tunnel.clone() }, reply);
            }
            Err(failure) => drop(reply.send(Err(failure))),
        }
    }

    /// This host as a client of an inventory that is at hand.
    fn client(&self) -> Result<(&HostName, &HostRole, &Part), Failure> {
        let wrong = |sentence: &str| Err(Failure::Wrong(sentence.to_owned()));
        let Some(part) = &self.part else {
            return wrong(
                "no inventory is declared: write an [inventory] section with the path of its file, and reload",
            );
        };
        let (Me::Host(name), Role::Host(host)) = (&part.me, &self.declared.role) else {
            return wrong("this is an edge box: hosts connect to it; greyhound session add does it by hand");
        };
        match &part.away {
            Some(why) => Err(Failure::Busy(format!("the inventory is away: {why}"))),
            None => Ok((name, host, part)),
        }
    }

    fn booking(&mut self, ask: &ConnectAsk) -> Result<Booking, Failure> {
        let (name, host, _) = self.client()?;
        let (name, host) = (name.clone(), host.clone());
        if self.flushed {
            let sentence = "flushed: nothing is kept until apply, reload or a restart";
            return Err(Failure::Wrong(sentence.to_owned()));
        }
        let wrong = |error: &dyn std::fmt::Display| Failure::Wrong(error.to_string());
        let ConnectAsk { kind, name: tunnel, device, termination, publish, subscribe } = ask;
        let kind = match kind.as_str() {
            "unicast" => Kind::Unicast,
            "multicast" => Kind::Multicast,
            other => return Err(Failure::Wrong(format!("kind cannot be {other:?}: unicast or multicast"))),
        };
        let tunnel = tunnel.as_deref().map(TunnelName::new).transpose().map_err(|error| wrong(&error))?;
        let device = device.as_deref().map(DeviceCode::new).transpose().map_err(|error| wrong(&error))?;
        let mut booking = Booking {
            host: name,
            name: tunnel,
            kind,
            device,
            termination: *termination,
            publish: publish.iter().copied().collect(),
            subscribe: subscribe.iter().copied().collect(),
            underlay: Underlay { bound: Ipv4Addr::UNSPECIFIED, public: host.public },
            near: host.near,
            measured: self.prober.survey.measured(self.clock.up()),
            names: self.declared.tunnels.keys().cloned().collect(),
        };
        let path = self.path(&booking)?;
        booking.underlay.bound = self.bound(&booking, &host, &path)?;
        Ok(booking)
    }

    /// The way to the termination that is the likeliest.
    fn path(&mut self, booking: &Booking) -> Result<Path, Failure> {
        let offered = self.part.iter().flat_map(|part| &part.offered);
        let asked = |by: &Offerer| booking.device.as_ref().is_none_or(|code| code.as_str() == by.device);
        let wanted: Vec<Ipv4Addr> =
            offered.filter(|(_, by)| asked(by)).map(|(address, _)| *address).collect();
        let measured = wanted.iter().filter_map(|address| Some((*booking.measured.get(address)?, *address)));
        let nearest = measured.min().map(|(_, address)| address);
        let any = self.part.as_ref().and_then(|part| part.offered.keys().next().copied());
        let any = wanted.first().copied().or(any);
        let Some(termination) = booking.termination.or(nearest).or(any) else {
            let sentence = "no termination can be had: no device of the inventory is activated and has room";
            return Err(Failure::Nothing { sentence: sentence.to_owned(), reasons: Vec::new() });
        };
        let path = self.kernel.path(termination).map_err(|error| Failure::Failed(sentence(error)))?;
        let none = || Failure::Failed(format!("this host has no route to {termination}"));
        let path = path.ok_or_else(none)?;
        if path.strict_rp && self.covers(termination, &path) {
            let link = self.last.as_ref().and_then(|look| look.observed.links.get(&path.link));
            let link = link.map_or("the link", |link| link.name.as_str());
            let setting = sysctl::of_link(link, "rp_filter");
            return Err(Failure::Wrong(format!(
                "strict rp_filter on {link} would drop what comes from {termination}, because that is routed into \
                 tunnels: set {setting} to 2"
            )));
        }
        Ok(path)
    }

    /// Would what leaves for this termination without our mark go into a tunnel? This host's own networks come before a
    /// default route.
    fn covers(&self, termination: Ipv4Addr, path: &Path) -> bool {
        let (Some(part), Role::Host(host)) = (&self.part, &self.declared.role) else { return false };
        let is_default = |prefix: &Ipv4Network| prefix.prefix() == 0 && path.gateway.is_none();
        let listed = match &host.routes {
            Routes::Listed(listed) => listed.clone(),
            Routes::Inventory => {
                part.registry.devices.values().flat_map(|device| device.value.prefixes.clone()).collect()
            }
        };
        let into = self.config.tunnels.values().flat_map(|tunnel| &tunnel.routes).chain(&listed);
        into.into_iter().any(|prefix| prefix.contains(termination) && !is_default(prefix))
    }

    /// What the tunnel is to be bound to: what is declared, an address of this host's own, or what the route says.
    fn bound(&mut self, booking: &Booking, host: &HostRole, path: &Path) -> Result<Ipv4Addr, Failure> {
        let own =
            |pool: &crate::model::Pool| pool.purpose == Purpose::Termination && pool.tier == Tier::Primary;
        match host.local {
            Some(address) => Ok(address),
            None if self.declared.pools.iter().any(own) => self.own(booking),
            None => path.source.ok_or_else(|| {
                let sentence =
                    "the route to the termination has no source: write local into the [host] section";
                Failure::Failed(sentence.to_owned())
            }),
        }
    }

    /// The next address of this host's own ranges. It is leased when the session's tunnel is built.
    fn own(&mut self, booking: &Booking) -> Result<Ipv4Addr, Failure> {
        let failed = |error: &dyn std::fmt::Display| Failure::Failed(error.to_string());
        // Asked again by a name that is there, it is answered with what is there.
        let key = booking.name.clone().map(|name| SessionKey { host: booking.host.clone(), name });
        let there = key.zip(self.part.as_ref()).and_then(|(key, part)| part.registry.session(&key).ok());
        if let Some(there) = there {
            return Ok(there.underlay.bound);
        }
        let book = self.state.book().map_err(|error| failed(&error))?;
        let mut foreign = match &self.last {
            Some(look) => locals::foreign(&look.observed, &self.config.tunnels, &look.owned),
            None => Foreign::new(),
        };
        let up = self.clock.up();
        let Some(part) = &mut self.part else { return Err(failed(&"no inventory is declared")) };
        let bound: BTreeSet<Ipv4Addr> =
            part.registry.sessions_from(&booking.host).map(|session| session.underlay.bound).collect();
        part.promised.retain(|address, at| up < *at + PROMISED && !bound.contains(address));
        for address in bound.iter().chain(part.promised.keys()) {
            foreign.entry(*address).or_insert_with(|| "a session of this host is bound to it".to_owned());
        }
        // Who had a name before may have the address again that it had then.
        let nobody = || HolderName::new("connect").expect("it is a name");
        let holder = booking.name.as_ref().map_or_else(nobody, TunnelName::holder);
        let ask = Ask::new(holder, Purpose::Termination);
        let taken = Taken { book: &book, foreign: &foreign, rest: self.declared.daemon.rest.as_secs() };
        let chosen = alloc::choose(&self.declared.pools, taken, &ask, now());
        let address = match chosen {
            Ok(chosen) => chosen.first().map(|choice| choice.prefix.ip()),
            // A tunnel comes before the probes.
            Err(refused) => {
                let probes = book.of(&HolderName::probe()).find(|lease| lease.state == LeaseState::Active);
                let theirs = probes.map(|lease| lease.prefix.ip()).filter(|own| !foreign.contains_key(own));
                Some(theirs.ok_or_else(|| Failure::Nothing {
                    sentence: format!("no address of this host's own: {refused}"),
                    reasons: Vec::new(),
                })?)
            }
        };
        let address = address.ok_or_else(|| failed(&"no address was chosen"))?;
        part.promised.insert(address, up);
        Ok(address)
    }
}
