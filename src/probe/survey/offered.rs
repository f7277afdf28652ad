//! Terminations that devices offer, whether a tunnel leads there or not: they are measured before one does. Pure.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::Survey;
use super::course::Course;
use crate::model::{Target, TunnelName};
use crate::probe::liveness;
use crate::probe::rank::Entry;
use crate::probe::score::{Health, Latency};

/// Who offers a termination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub device: String,
    pub interface: String,
}

/// All that is offered.
#[derive(Debug, Default)]
pub(super) struct Offered {
    /// Where probes leave from; `None`: from where the route says.
    source: Option<Ipv4Addr>,
    places: BTreeMap<Ipv4Addr, Place>,
}

impl Offered {
    pub(super) fn targets(&self) -> impl Iterator<Item = Target> {
        self.places.keys().map(|address| self.to(*address))
    }

    pub(super) fn entry(&self, address: Ipv4Addr, health: Health) -> Entry {
        let Place { device, interface } = self
            .places
            .get(&address)
            .cloned()
            .unwrap_or_else(|| Place { device: "-".to_owned(), interface: "-".to_owned() });
        Entry { device, interface, address, declared: 0, health }
    }

    /// The same under the name of who offers it, if somebody does.
    pub(super) fn placed(&self, entry: &Entry) -> Entry {
        match self.places.contains_key(&entry.address) {
            true => self.entry(entry.address, entry.health.clone()),
            false => entry.clone(),
        }
    }

    fn to(&self, address: Ipv4Addr) -> Target {
        Target { source: self.source, ..Target::to(address) }
    }
}

impl Survey {
    /// From now on these are offered, and asked from there, but for those that a tunnel leads to: they are asked from the
    /// tunnel's address. In force with the next [`Survey::set`].
    pub fn set_offered(&mut self, source: Option<Ipv4Addr>, places: BTreeMap<Ipv4Addr, Place>) {
        self.offered = Offered { source, places };
    }

    /// The effective latency of each offered termination that has one at `now`.
    pub fn measured(&self, now: Duration) -> BTreeMap<Ipv4Addr, Duration> {
        let measured = self.offered.targets().filter_map(|target| {
            let course = self.course_to(target.address);
            let target = course.map_or(target.clone(), |course| course.subject.to(target.address));
            Some((target.address, self.health(now, &target).latency().map(Latency::span)?))
        });
        measured.collect()
    }

    /// Does the other end no longer answer through the tunnel?
    pub fn is_down(&self, tunnel: &TunnelName) -> bool {
        let course = self.courses.get(tunnel);
        course.is_some_and(|course| matches!(course.liveness.state(), liveness::State::Down(_)))
    }

    /// A tunnel that leads there, or may.
    pub(super) fn course_to(&self, address: Ipv4Addr) -> Option<&Course> {
        self.courses.values().find(|course| course.subject.candidates.contains(&address))
    }
}
