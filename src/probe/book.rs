//! All targets of an engine: who is asked next, and what comes of it. Pure: the engine brings the time and the
//! packets. Whose a reply is, is in `replies`.

mod replies;
mod words;

use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use super::budget::Budget;
use super::cookie::Key;
use super::moment::Moment;
use super::session::Session;
use super::wheel::{TICK, Wheel};
use crate::model::{Method, Oddities, Sample, Target};
pub use words::{Ask, Census, Outgoing, Pace, Report};

/// All targets of an engine.
#[derive(Debug)]
pub struct Book {
    key: Key,
    /// Random numbers taken so far.
    drawn: u64,
    ident: u16,
    /// By number.
    entries: Vec<Option<Entry>>,
    /// By number: probes under way. Most are answered long before their time is over, and then nobody has to look at
    /// the entry, which is cold by that time.
    under_way: Vec<u32>,
    free: Vec<u32>,
    numbers: BTreeMap<(Target, Method), u32>,
    /// The numbers of all who are asked there.
    places: BTreeMap<(Ipv4Addr, Method), Vec<u32>>,
    wheel: Wheel<Due>,
    /// Whose round it is, and who waits for the budget.
    ready: VecDeque<u32>,
    /// The same of those who are asked through tunnels: they come first, or a full budget would call tunnels dead.
    urgent: VecDeque<u32>,
    budget: Budget,
    /// Of sessions that have ended, and of who was not asked.
    others: Oddities,
    reports: Vec<Report>,
}

#[derive(Debug)]
struct Entry {
    session: Session,
    interval: Duration,
    port: u16,
    /// When the next probe is due.
    round: Duration,
    /// Whether it waits for the budget already.
    ready: bool,
    /// Probes that are still to be sent; `None`: without end.
    left: Option<u32>,
}

#[derive(Clone, Copy, Debug)]
enum Due {
    Round(u32),
    Expiry(u32),
}

/// Rounds begin together at multiples of this part of their interval: waking up costs as much as asking several
/// targets, and beside the tenth that each wait is varied by this is little.
const GRAIN: u32 = 25;

/// New targets are asked for the first time at least this far apart, on average, within one interval.
const SPREAD: Duration = Duration::from_millis(1);

impl Book {
    pub fn new(key: Key, budget: Budget, now: Duration) -> Self {
        let ident = u16::try_from(key.random(0) & 0xffff).unwrap_or_default();
        Self {
            key,
            drawn: 0,
            ident,
            entries: Vec::new(),
            under_way: Vec::new(),
            free: Vec::new(),
            numbers: BTreeMap::new(),
            places: BTreeMap::new(),
            wheel: Wheel::new(now),
            ready: VecDeque::new(),
            urgent: VecDeque::new(),
            budget,
            others: Oddities::default(),
            reports: Vec::new(),
        }
    }

    /// The identifier of all echoes.
    pub fn ident(&self) -> u16 {
        self.ident
    }

    /// From now on these are asked, and no others. Who stays keeps what is under way; of who goes nothing more is
    /// reported.
    pub fn ask(&mut self, now: Duration, targets: &BTreeMap<Target, Ask>) {
        let asked = |(target, method): &(Target, Method)| {
            targets.get(target).is_some_and(|ask| ask.methods.contains_key(method))
        };
        let gone: Vec<_> = self.numbers.keys().filter(|key| !asked(key)).cloned().collect();
        gone.into_iter().for_each(|key| self.remove(&key));
        let wanted = targets.values().map(|ask| ask.methods.len()).sum::<usize>();
        let new = u32::try_from(wanted.saturating_sub(self.numbers.len())).unwrap_or(u32::MAX);
        let spread = SPREAD.saturating_mul(new);
        for (target, ask) in targets {
            for (method, pace) in &ask.methods {
                let key = (target.clone(), *method);
                match self.numbers.get(&key).copied() {
                    Some(number) => self.change(now, number, *pace, ask.port),
                    None => self.add(now, key, *pace, ask, spread),
                }
            }
        }
    }

    fn add(&mut self, now: Duration, key: (Target, Method), pace: Pace, ask: &Ask, spread: Duration) {
        let start = u32::try_from(self.random() >> 32).unwrap_or_default();
        let round = now + self.part_of(spread.min(pace.interval));
        let session = Session::new(key.0.clone(), key.1, pace.timeout, start);
        let Ask { port, count, .. } = *ask;
        let entry = Entry { session, interval: pace.interval, port, round, ready: false, left: count };
        let number = self.free.pop().unwrap_or_else(|| {
            self.entries.push(None);
            self.under_way.push(0);
            u32::try_from(self.entries.len() - 1).unwrap_or(u32::MAX)
        });
        let Some(place) = self.entries.get_mut(number as usize) else { return };
        *place = Some(entry);
        self.places.entry((key.0.address, key.1)).or_default().push(number);
        self.numbers.insert(key, number);
        self.wheel.insert(round, Due::Round(number));
    }

    fn change(&mut self, now: Duration, number: u32, pace: Pace, port: u16) {
        let soonest = now + self.part_of(pace.interval);
        let Some(entry) = self.entry(number) else { return };
        entry.session.timeout = pace.timeout;
        entry.port = port;
        let changed = std::mem::replace(&mut entry.interval, pace.interval) != pace.interval;
        if changed && soonest < entry.round {
            entry.round = soonest;
            self.wheel.insert(soonest, Due::Round(number));
        }
    }

    fn remove(&mut self, key: &(Target, Method)) {
        let Some(number) = self.numbers.remove(key) else { return };
        if let Some(entry) = self.entries.get_mut(number as usize).and_then(Option::take) {
            self.others = sum(self.others, entry.session.oddities);
        }
        if let Some(count) = self.under_way.get_mut(number as usize) {
            *count = 0;
        }
        let place = (key.0.address, key.1);
        if let Some(numbers) = self.places.get_mut(&place) {
            numbers.retain(|other| *other != number);
            if numbers.is_empty() {
                self.places.remove(&place);
            }
        }
        self.ready.retain(|other| *other != number);
        self.urgent.retain(|other| *other != number);
        self.free.push(number);
    }

    /// Time goes on: rounds come, probes are lost.
    pub fn turn(&mut self, now: Duration) {
        let mut due = Vec::new();
        self.wheel.expire(now, |thing| due.push(thing));
        for thing in due {
            match thing {
                Due::Round(number) => self.round(now, number),
                Due::Expiry(number) => self.expire(now, number),
            }
        }
    }

    fn round(&mut self, now: Duration, number: u32) {
        let Some(interval) = self.entry(number).map(|entry| entry.interval) else { return };
        let wait = interval * 9 / 10 + self.part_of(interval / 5);
        let Some(entry) = self.entry(number) else { return };
        // Of a round that was brought forward, or of who had the number before; or it has had all its probes.
        if entry.round > now || entry.left == Some(0) {
            return;
        }
        let next = aligned((entry.round + wait).max(now), interval);
        entry.round = next;
        // Who still waits for the budget is asked once for both rounds.
        let waits = std::mem::replace(&mut entry.ready, true);
        let inside = entry.session.target.link.is_some();
        if !waits {
            let queue = if inside { &mut self.urgent } else { &mut self.ready };
            queue.push_back(number);
        }
        self.wheel.insert(next, Due::Round(number));
    }

    fn expire(&mut self, now: Duration, number: u32) {
        if self.under_way.get(number as usize).is_none_or(|count| *count == 0) {
            return;
        }
        while let Some(sample) = self.entry(number).and_then(|entry| entry.session.expire(now)) {
            self.report(number, sample);
        }
    }

    /// The next probe, if one is due and the budget allows it. It counts as sent from this moment.
    pub fn question(&mut self, now: Moment) -> Option<Outgoing> {
        let queue = if self.urgent.is_empty() { &mut self.ready } else { &mut self.urgent };
        let number = *queue.front()?;
        if !self.budget.take(now.up) {
            return None;
        }
        queue.pop_front();
        let entry = self.entries.get_mut(number as usize)?.as_mut()?;
        entry.ready = false;
        entry.left = entry.left.map(|left| left.saturating_sub(1));
        let question = entry.session.send(&self.key, number, now);
        let Target { address, source, link, vrf } = entry.session.target;
        let to = SocketAddrV4::new(address, entry.port);
        if let Some(count) = self.under_way.get_mut(number as usize) {
            *count += 1;
        }
        self.wheel.insert(now.up + entry.session.timeout, Due::Expiry(number));
        Some(Outgoing { number, question, to, source, link, vrf })
    }

    /// When to come again at the latest. `None`: whenever there is somebody to ask.
    pub fn next(&self) -> Option<Duration> {
        let paid = (!self.ready.is_empty() || !self.urgent.is_empty()).then(|| self.budget.next());
        self.wheel.next().into_iter().chain(paid).min()
    }

    /// A probe that this host had no room for: as if it had not been begun, for it says nothing of its target.
    pub fn unsent(&mut self, number: u32, sequence: u32) {
        let Some(entry) = self.entry(number) else { return };
        // Nothing is reported.
        if entry.session.refuse(sequence, String::new()).is_some() {
            entry.left = entry.left.map(|left| left.saturating_add(1));
            self.landed(number);
        }
    }

    /// A probe that could not be sent.
    pub fn refused(&mut self, number: u32, sequence: u32, why: String) {
        if let Some(sample) = self.entry(number).and_then(|entry| entry.session.refuse(sequence, why)) {
            self.report(number, sample);
        }
    }

    /// What has ended since the last call.
    pub fn reports(&mut self) -> Vec<Report> {
        std::mem::take(&mut self.reports)
    }

    pub fn census(&self) -> Census {
        let mut census = Census { all: self.others, each: BTreeMap::new() };
        for session in self.entries.iter().flatten().map(|entry| &entry.session) {
            if session.oddities != Oddities::default() {
                census.all = sum(census.all, session.oddities);
                census.each.insert((session.target.clone(), session.method), session.oddities);
            }
        }
        census
    }

    fn report(&mut self, number: u32, sample: Sample) {
        self.landed(number);
        let Some(session) = self.session(number) else { return };
        let report = Report { target: session.target.clone(), method: session.method, sample };
        self.reports.push(report);
    }

    /// A probe has ended.
    fn landed(&mut self, number: u32) {
        if let Some(count) = self.under_way.get_mut(number as usize) {
            *count = count.saturating_sub(1);
        }
    }

    fn session(&self, number: u32) -> Option<&Session> {
        self.entries.get(number as usize)?.as_ref().map(|entry| &entry.session)
    }

    fn entry(&mut self, number: u32) -> Option<&mut Entry> {
        self.entries.get_mut(number as usize)?.as_mut()
    }

    fn random(&mut self) -> u64 {
        self.drawn += 1;
        self.key.random(self.drawn)
    }

    /// A random part of a duration.
    fn part_of(&mut self, whole: Duration) -> Duration {
        let nanos = (u128::from(self.random()) * whole.as_nanos()) >> 64;
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// The first beginning of rounds from a time on.
fn aligned(time: Duration, interval: Duration) -> Duration {
    let grain = (interval / GRAIN).max(TICK).as_nanos();
    let nanos = time.as_nanos().next_multiple_of(grain);
    // A tick is over when its last moment is; the end of one is the beginning of the next.
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)).saturating_sub(Duration::from_nanos(1))
}

fn sum(a: Oddities, b: Oddities) -> Oddities {
    let Oddities { forged, late, duplicated, foreign } = b;
    Oddities {
        forged: a.forged + forged,
        late: a.late + late,
        duplicated: a.duplicated + duplicated,
        foreign: a.foreign + foreign,
    }
}

#[cfg(test)]
mod tests;
