//! The loop's side of the inventory: what of it is known here, and what this host owes it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use super::clerk::Clerk;
use super::inbox::{News, Outbox};
use super::keeper::{Aim, Keeper};
use super::lookout::{Lookout, Place};
use super::publisher::sentence;
use crate::api::metrics::{Shared, Stock};
use crate::config::Config;
use crate::model::{
    DeviceCode, EventKind, HostRole, Link, Local, Role, Routes, Session, SessionKey, SessionState,
    TunnelName, Underlay, marks,
};
use crate::probe::survey::Place as Offerer;
use crate::reconcile::part::{self, Kept, Me, Whole};
use crate::reconcile::{Look, view};
use crate::registry::duties::{self, Duty};
use crate::registry::{Registry, sessions};
use crate::store::State;

/// This host's part of an inventory.
#[derive(Debug)]
pub struct Part {
    pub me: Me,
    /// As it was seen last, perhaps by an earlier run.
    pub registry: Registry,
    /// Why it is not known what the inventory says now.
    pub away: Option<String>,
    /// It is there, and is not the one that was seen.
    went_back: bool,
    /// What is in the store.
    kept: Option<Kept>,
    /// Sessions whose tunnel cannot be built, and why.
    pub aside: BTreeMap<SessionKey, String>,
    /// What cannot be written now, and why.
    owed: BTreeMap<String, String>,
    /// The terminations that are worth probing, and who offers them.
    pub offered: BTreeMap<Ipv4Addr, Offerer>,
    /// Addresses of this host's own ranges that were given to sessions, and when.
    pub promised: BTreeMap<Ipv4Addr, Duration>,
    /// What was left of the inventory's pools when somebody last asked for metrics.
    stock: Vec<Stock>,
    place: Place,
    pub clerk: Clerk,
    lookout: Lookout,
}

/// What concerns the inventory and this host, and is no part of it yet.
const NOT_YET: &str = "it was not read yet";

impl Part {
    /// Begins to watch the declared inventory; `None`: this host has no part in any. `number` tells it from those before.
    pub fn start(
        declared: &Config,
        state: &State,
        number: u64,
        outbox: &Outbox,
        before: Option<&Self>,
    ) -> anyhow::Result<Option<Self>> {
        let (Some(me), Some(path)) = (part::me(&declared.role)?, declared.inventory.clone()) else {
            return Ok(None);
        };
        let (kept, registry) = part::kept(state)?.unzip();
        // Perhaps more was seen than could be kept.
        let same = before.filter(|before| before.me == me && before.place.path == path);
        let registry = same.map(|before| before.registry.clone()).or(registry);
        let of_this = kept.as_ref().filter(|kept| kept.place == path);
        // Only an edge box makes one: to a host an empty one would say that its sessions have ended.
        let known = of_this.is_some() || matches!(me, Me::Host(_));
        let floor = of_this.map_or(0, |kept| kept.revision);
        let registry = registry.unwrap_or_default();
        let offered = offered(&me, &registry);
        let everybody = needs_everybody(declared);
        let place = Place { path: path.clone(), me: me.clone(), everybody, known, floor, number };
        Ok(Some(Self {
            me,
            registry,
            away: Some(NOT_YET.to_owned()),
            went_back: false,
            kept,
            aside: BTreeMap::new(),
            owed: BTreeMap::new(),
            offered,
            promised: BTreeMap::new(),
            stock: Vec::new(),
            lookout: Lookout::start(place.clone(), outbox.clone())?,
            clerk: Clerk::start(path, number, outbox.clone())?,
            place,
        }))
    }

    /// What an operator should know.
    pub fn notes(&self) -> impl Iterator<Item = String> {
        let away = self.away.iter().filter(|why| *why != NOT_YET);
        let away = away.map(|why| {
            format!("the inventory is away, and what was seen of it last is kept: {why}; what needs it waits")
        });
        let aside = self.aside.iter().map(|(key, why)| format!("session {key} is not built: {why}"));
        let owed = self.owed.iter().map(|(what, why)| format!("{what}: {why}"));
        away.chain(aside).chain(owed)
    }

    /// What was left of the inventory's pools when this was last asked, or a little later.
    pub fn stock(&self) -> &[Stock] {
        self.lookout.take_stock();
        &self.stock
    }

    /// How this host stands with the inventory.
    pub fn shared(&self) -> Shared {
        let known = self.away.as_deref() != Some(NOT_YET);
        Shared { up: known.then_some(self.away.is_none()), owed: self.owed.len() as u64 }
    }

    /// Is this still the part that is declared?
    fn is_of(&self, declared: &Config) -> bool {
        let same = part::me(&declared.role).is_ok_and(|me| me.as_ref() == Some(&self.me));
        same && declared.inventory.as_ref() == Some(&self.place.path)
            && self.place.everybody == needs_everybody(declared)
            && self.away.is_none()
    }
}

fn needs_everybody(declared: &Config) -> bool {
    matches!(&declared.role, Role::Host(HostRole { routes: Routes::Inventory, .. }))
}

impl Keeper {
    /// Takes in word of the inventory, and does what follows from it.
    pub fn hear_inventory(&mut self) {
        let (mut seen, mut changed, mut newest) = (false, false, None);
        while let Some((number, news)) = self.inbox.news() {
            let Some(part) = self.part.as_mut().filter(|part| part.place.number == number) else { continue };
            match news {
                News::Seen { registry, kept } => {
                    let back = part.away.take().is_some_and(|why| why != NOT_YET);
                    part.went_back = false;
                    part.registry = *registry;
                    let offered = offered(&part.me, &part.registry);
                    changed |= std::mem::replace(&mut part.offered, offered) != part.offered;
                    part.owed.clear();
                    seen = true;
                    newest = Some(*kept);
                    if back {
                        self.record(EventKind::Session, "the inventory is back".to_owned());
                    }
                }
                News::Away { why, back } => {
                    // By what it says now, nothing is owed.
                    part.clerk.owe(&[]);
                    part.went_back = back;
                    if part.away.as_ref() != Some(&why) {
                        part.away = Some(why.clone());
                        self.record(EventKind::Session, format!("the inventory is away: {why}"));
                        self.show();
                    }
                }
                News::Stock(stock) => part.stock = stock,
                News::Unbooked(address) => {
                    part.promised.remove(&address);
                }
                News::Done(said) | News::Asked(said) => self.record(EventKind::Session, said),
                News::Owed { what, why } => {
                    if part.owed.insert(what.clone(), why.clone()).as_ref() != Some(&why) {
                        self.record(EventKind::Fail, format!("{what}: {why}"));
                        self.show();
                    }
                }
            }
        }
        newest.into_iter().for_each(|kept| self.keep_part(kept));
        changed |= seen && self.compose();
        if changed && !self.flushed {
            // What went wrong is told by the turn.
            let _ = self.turn(Aim::Keep, |_| ());
        } else if seen {
            self.unpaid = true;
            self.show();
        }
    }

    /// What concerns this host outlives the process; what it is at alone is written only with it.
    fn keep_part(&mut self, kept: Kept) {
        let Some(part) = &mut self.part else { return };
        let same = part.kept.as_ref().is_some_and(|before| {
            before.place == kept.place && before.document == kept.document && before.revision > 0
        });
        if same {
            return;
        }
        match part::keep(&mut self.state, &kept) {
            Ok(()) => part.kept = Some(kept),
            Err(error) => {
                tracing::error!("what was seen of the inventory cannot be kept: {}", sentence(error))
            }
        }
    }

    /// A declaration was taken over: another inventory, or another part in it, is another watch.
    pub fn take_part(&mut self) {
        if self.part.as_ref().is_some_and(|part| part.is_of(&self.declared)) {
            return;
        }
        self.parts += 1;
        // A person has asked for it as it is now.
        let went_back = self.part.as_ref().filter(|part| part.went_back);
        let accepted = went_back.and_then(|part| part.kept.clone());
        let accepted = accepted.map(|kept| part::keep(&mut self.state, &Kept { revision: 0, ..kept }));
        if let Some(Err(error)) = accepted {
            tracing::error!("what was seen of the inventory cannot be kept: {}", sentence(error));
        }
        match Part::start(&self.declared, &self.state, self.parts, &self.outbox, self.part.as_ref()) {
            Ok(part) => self.part = part,
            Err(error) => tracing::error!("the inventory cannot be watched: {error:#}"),
        }
    }

    /// The declaration together with what the inventory asks for. True: it is another than before.
    pub fn compose(&mut self) -> bool {
        let config = match &mut self.part {
            None => self.declared.clone(),
            Some(part) => {
                let survey = &self.prober.survey;
                let down = self.config.tunnels.keys().filter(|name| survey.is_down(name)).cloned();
                let Whole { config, aside } =
                    part::whole(&self.declared, &part.registry, &part.me, &down.collect());
                part.aside = aside;
                config
            }
        };
        if config == self.config {
            return false;
        }
        self.chronicle.redeclared(&changed(&self.config, &config));
        self.config = config;
        true
    }

    /// Has the clerk write what is owed, by what was read back last, when that or the inventory has changed.
    pub fn pay(&mut self) {
        if !std::mem::take(&mut self.unpaid) {
            return;
        }
        // What was read before a turn that failed says nothing of what is now.
        if self.trouble.is_some() {
            return;
        }
        let Some(part) = self.part.as_mut().filter(|part| part.away.is_none()) else { return };
        let Some(look) = self.last.as_ref().filter(|_| !self.flushed) else { return };
        let owed = owed(part, &self.declared, &self.config, look);
        self.unpaid = !part.clerk.owe(&owed);
    }
}

/// What this host owes the inventory now.
fn owed(part: &Part, declared: &Config, config: &Config, look: &Look) -> Vec<Duty> {
    let Part { me, registry, aside, .. } = part;
    let is_built =
        |name: &TunnelName| config.tunnels.get(name).is_some_and(|tunnel| view::is_up(tunnel, look));
    match (me, &declared.role) {
        (Me::Edge(code), Role::Edge(edge)) => {
            let sessions = registry.sessions_of(code).filter(|session| !aside.contains_key(&session.key()));
            let sessions: Vec<&Session> = sessions.collect();
            let keys = |wanted: &dyn Fn(&Session) -> bool| -> BTreeSet<SessionKey> {
                sessions.iter().filter(|session| wanted(session)).map(|session| session.key()).collect()
            };
            let links = look.observed.by_name();
            let leads = |session: &Session, name: &TunnelName| {
                has(&links, name, session.termination, session.underlay.seen())
            };
            let built = keys(&|session| {
                let name = session.edge_tunnel();
                leads(session, &name) && is_built(&name)
            });
            let gone = keys(&|session| session.state == SessionState::Ending && is_gone(session, look));
            duties::of_edge(registry, edge, &built, &gone)
        }
        (Me::Host(name), Role::Host(host)) => {
            let sessions = registry.sessions_from(name).filter(|session| !aside.contains_key(&session.key()));
            let sessions: Vec<&Session> = sessions.collect();
            let links = look.observed.by_name();
            let leads =
                |session: &Session| has(&links, &session.name, session.underlay.bound, session.termination);
            let built = sessions.iter().filter(|session| leads(session) && is_built(&session.name));
            let built = built.map(|session| session.key()).collect();
            let underlays =
                sessions.iter().map(|session| (session.key(), underlay(session, host, config, look)));
            duties::of_host(registry, name, &built, &underlays.collect())
        }
        (Me::Edge(_) | Me::Host(_), _) => Vec::new(),
    }
}

/// What a client measures: the terminations of activated devices that have room, and those that it has.
fn offered(me: &Me, registry: &Registry) -> BTreeMap<Ipv4Addr, Offerer> {
    let Me::Host(host) = me else { return BTreeMap::new() };
    let had: BTreeSet<Ipv4Addr> = registry.sessions_from(host).map(|session| session.termination).collect();
    let mut room: BTreeMap<&DeviceCode, bool> = BTreeMap::new();
    let terminations = registry.terminations.values().map(|termination| &termination.value);
    let wanted = terminations.filter_map(|termination| {
        let device = registry.device(&termination.device).ok()?;
        let has_room =
            room.entry(&device.code).or_insert_with(|| sessions::check_device(registry, device).is_ok());
        let (device, interface) = (device.code.to_string(), termination.interface.to_string());
        (*has_room || had.contains(&termination.address))
            .then_some((termination.address, Offerer { device, interface }))
    });
    wanted.collect()
}

/// Does the tunnel's link have these two ends?
fn has(links: &BTreeMap<&str, &Link>, tunnel: &TunnelName, local: Ipv4Addr, remote: Ipv4Addr) -> bool {
    let gre = links.get(tunnel.link().as_str()).and_then(|link| link.gre());
    gre.is_some_and(|gre| gre.local == local && gre.remote == remote)
}

/// Is nothing left of the edge's end: neither the link of its name, nor another with its two addresses?
fn is_gone(session: &Session, look: &Look) -> bool {
    let name = session.edge_tunnel().link();
    let (local, remote) = (session.termination, session.underlay.seen());
    look.observed.links.values().all(|link| {
        link.name != name.as_str()
            && !link.gre().is_some_and(|gre| gre.local == local && gre.remote == remote)
    })
}

/// What a session of this host should be bound to now. Where that is not known, it stays.
fn underlay(session: &Session, host: &HostRole, config: &Config, look: &Look) -> Underlay {
    let leased =
        config.tunnels.get(&session.name).is_some_and(|tunnel| matches!(tunnel.local, Local::Leased { .. }));
    // A way through a tunnel of ours is none.
    let ours = |link: u32| look.observed.links.get(&link).is_some_and(|link| link.group == marks::LINK_GROUP);
    let path = look.observed.paths.get(&session.termination).filter(|path| !ours(path.link));
    let by_route = || path.and_then(|path| path.source);
    let bound = match host.local {
        Some(address) => address,
        None if leased => session.underlay.bound,
        None => by_route().unwrap_or(session.underlay.bound),
    };
    Underlay { bound, public: host.public }
}

/// Tunnels that are new, gone, or otherwise.
pub fn changed(before: &Config, now: &Config) -> BTreeSet<TunnelName> {
    let names = before.tunnels.keys().chain(now.tunnels.keys());
    names.filter(|name| before.tunnels.get(*name) != now.tunnels.get(*name)).cloned().collect()
}
