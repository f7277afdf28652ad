//! One target asked by one method: what is under way, what comes of it, and which replies are believed. Pure.
//!
//! Each probe ends in exactly one sample: answered, refused, or lost when its time is over. What comes for a probe
//! that has ended is counted, and changes nothing. For that the last few that ended are remembered.

use std::collections::VecDeque;
use std::time::Duration;

use super::cookie::{KEYED_BITS, Key};
use super::icmp::Echo;
use super::moment::{Moment, Stamps, round_trip, without};
use super::ntp::Timestamp;
use super::stamp::{ErrorEstimate, Reply, Request};
use crate::model::{Answer, Method, Oddities, Outcome, Sample, Target};

/// So many probes that have ended are remembered, to tell a duplicated reply from a late one.
const REMEMBERED: usize = 5;

/// A target as one method asks it.
#[derive(Debug)]
pub struct Session {
    pub target: Target,
    pub method: Method,
    /// How long a probe waits for its answer.
    pub timeout: Duration,
    pub oddities: Oddities,
    /// The sequence number of the next probe.
    next: u32,
    /// The probes before that one, the newest last.
    flights: VecDeque<Flight>,
}

/// A probe, under way or remembered.
#[derive(Debug)]
struct Flight {
    began: Moment,
    /// What a STAMP packet bears.
    timestamp: Timestamp,
    /// The kernel's timestamp of its departure.
    left: Option<Duration>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting,
    Answered,
    GivenUp,
}

/// Why a reply is not believed; each is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Oddity {
    Forged,
    Late,
    Duplicated,
    Foreign,
}

impl Oddity {
    /// Counts this one.
    pub fn count(self, oddities: &mut Oddities) {
        let Oddities { forged, late, duplicated, foreign } = oddities;
        *match self {
            Self::Forged => forged,
            Self::Late => late,
            Self::Duplicated => duplicated,
            Self::Foreign => foreign,
        } += 1;
    }
}

/// What came of a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It ends its probe.
    Ended(Sample),
    /// It is not believed, and counted.
    Odd(Oddity),
}

/// A reply that came from the target.
#[derive(Clone, Copy, Debug)]
pub enum Returned<'a> {
    Echo(&'a Echo),
    Stamp(&'a Reply),
}

/// What is sent for a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    Echo { sequence: u32, cookie: u64 },
    Stamp(Request),
}

impl Question {
    pub fn sequence(&self) -> u32 {
        match self {
            Self::Echo { sequence, .. } => *sequence,
            Self::Stamp(request) => request.sequence,
        }
    }
}

impl Session {
    /// `start` is the first sequence number: any random one, so that a reflector that counts can be told from one
    /// that copies.
    pub fn new(target: Target, method: Method, timeout: Duration, start: u32) -> Self {
        let (oddities, flights) = (Oddities::default(), VecDeque::new());
        Self { target, method, timeout, oddities, next: start, flights }
    }

    /// A probe begins. `number` is the session's own in the cookie of an echo.
    pub fn send(&mut self, key: &Key, number: u32, now: Moment) -> Question {
        let sequence = self.next;
        let to = self.target.address;
        // An echo bears none.
        let timestamp = match self.method {
            Method::Icmp => Timestamp::default(),
            Method::Stamp => key.stamp(to, sequence, Timestamp::ntp(now.wall)),
        };
        self.next = self.next.wrapping_add(1);
        self.forget();
        self.flights.push_back(Flight { began: now, timestamp, left: None, state: State::Waiting });
        match self.method {
            Method::Icmp => Question::Echo { sequence, cookie: key.echo(to, number, sequence) },
            Method::Stamp => {
                let error = ErrorEstimate::unsynchronised(KEYED_BITS);
                Question::Stamp(Request { sequence, timestamp, error, session: 0 })
            }
        }
    }

    /// The kernel says when a probe left.
    pub fn left(&mut self, sequence: u32, at: Duration) {
        if let Some(flight) = self.flight(sequence) {
            flight.left.get_or_insert(at);
        }
    }

    /// A reply from the target. `came`: the kernel's timestamp of its arrival; `number`: as in [`Self::send`].
    pub fn receive(
        &mut self,
        key: &Key,
        number: u32,
        now: Moment,
        returned: Returned<'_>,
        came: Option<Duration>,
    ) -> Verdict {
        let verdict = self.judge(key, number, now, returned, came);
        if let Verdict::Odd(oddity) = verdict {
            oddity.count(&mut self.oddities);
        }
        verdict
    }

    fn judge(
        &mut self,
        key: &Key,
        number: u32,
        now: Moment,
        returned: Returned<'_>,
        came: Option<Duration>,
    ) -> Verdict {
        let to = self.target.address;
        let (sequence, genuine) = match returned {
            Returned::Echo(echo) => (echo.sequence, echo.cookie == key.echo(to, number, echo.sequence)),
            Returned::Stamp(reply) => {
                let (sequence, timestamp) = (reply.sender_sequence, reply.sender_timestamp);
                (sequence, timestamp == key.stamp(to, sequence, timestamp))
            }
        };
        if !genuine {
            return Verdict::Odd(Oddity::Forged);
        }
        let Some(flight) = self.flight(sequence) else { return Verdict::Odd(Oddity::Late) };
        if let Returned::Stamp(reply) = returned
            && reply.sender_timestamp != flight.timestamp
        {
            return Verdict::Odd(Oddity::Forged);
        }
        match flight.state {
            State::Answered => return Verdict::Odd(Oddity::Duplicated),
            State::GivenUp => return Verdict::Odd(Oddity::Late),
            State::Waiting => flight.state = State::Answered,
        }
        let (trip, timing) = round_trip(flight.began, now, Stamps { left: flight.left, came });
        let (rtt, reflected) = match returned {
            Returned::Echo(_) => (trip, None),
            Returned::Stamp(reply) => {
                let counted = (reply.sequence != sequence).then_some(reply.sequence);
                (without(trip, reply.processing()), counted)
            }
        };
        let outcome = Outcome::Answered(Answer { rtt, timing, reflected });
        Verdict::Ended(Sample { sent: flight.began.up, sequence, outcome })
    }

    /// Somebody says that a probe cannot arrive. `None`: there is no such probe under way.
    pub fn refuse(&mut self, sequence: u32, why: String) -> Option<Sample> {
        let flight = self.flight(sequence).filter(|flight| flight.state == State::Waiting)?;
        flight.state = State::GivenUp;
        Some(Sample { sent: flight.began.up, sequence, outcome: Outcome::Refused(why) })
    }

    /// Whether this timestamp is of the probe with this number, under way or remembered.
    pub fn bears(&self, sequence: u32, timestamp: Timestamp) -> bool {
        self.numbered().any(|(number, flight)| number == sequence && flight.timestamp == timestamp)
    }

    /// The oldest probe under way whose number has this low half.
    pub fn waiting_with(&self, low: u16) -> Option<u32> {
        self.waiting().map(|(sequence, _)| sequence).find(|sequence| sequence & 0xffff == u32::from(low))
    }

    /// The oldest probe under way.
    pub fn oldest_waiting(&self) -> Option<u32> {
        self.waiting().map(|(sequence, _)| sequence).next()
    }

    /// The oldest probe whose time is over, as lost. Called until there is none.
    pub fn expire(&mut self, now: Duration) -> Option<Sample> {
        let (sequence, began) = self.waiting().next().map(|(sequence, flight)| (sequence, flight.began))?;
        if began.up + self.timeout > now {
            return None;
        }
        if let Some(flight) = self.flight(sequence) {
            flight.state = State::GivenUp;
        }
        Some(Sample { sent: began.up, sequence, outcome: Outcome::Lost })
    }

    fn waiting(&self) -> impl Iterator<Item = (u32, &Flight)> {
        self.numbered().filter(|(_, flight)| flight.state == State::Waiting)
    }

    fn numbered(&self) -> impl Iterator<Item = (u32, &Flight)> {
        let under_way = u32::try_from(self.flights.len()).unwrap_or(u32::MAX);
        let first = self.next.wrapping_sub(under_way);
        (0..).map(move |place| first.wrapping_add(place)).zip(&self.flights)
    }

    fn flight(&mut self, sequence: u32) -> Option<&mut Flight> {
        let back = usize::try_from(self.next.wrapping_sub(sequence)).ok()?;
        let place = self.flights.len().checked_sub(back)?;
        self.flights.get_mut(place)
    }

    /// Makes room: the oldest of those that have ended go, one under way never does.
    fn forget(&mut self) {
        while self.flights.len() > REMEMBERED
            && self.flights.front().is_some_and(|flight| flight.state != State::Waiting)
        {
            self.flights.pop_front();
        }
    }
}

#[cfg(test)]
mod tests;
