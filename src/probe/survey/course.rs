//! What is known of one tunnel: whether its peer is there, and where it should lead. Pure.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::{Subject, URGENT, WORRIED};
use crate::model::{Learnt, Method, Moving, Probing, TunnelName};
use crate::probe::book::Pace;
use crate::probe::choice::{Chooser, Decision, Rules};
use crate::probe::liveness::{self, Liveness};

/// How long an answer is waited for. A path with a longer round trip is as good as none.
const TIMEOUT: Duration = Duration::from_secs(1);
/// The pace of probes to a peer that never answered one: it may begin to.
const SILENT: Duration = Duration::from_secs(10);

/// A peer that answers ICMP, and STAMP for so long no more, answers no STAMP.
const UNSTAMPED: Duration = Duration::from_secs(10);
/// Better for the hold time, and for so many rounds: with fewer of them chance is not told from difference.
const ROUNDS: u32 = 30;

/// What is known of one tunnel.
#[derive(Debug)]
pub(super) struct Course {
    pub subject: Subject,
    pub liveness: Liveness,
    /// The peer that answered, through whatever link and endpoint.
    peer: Option<Ipv4Addr>,
    /// When its peer answered STAMP last, as long as it is taken to.
    stamped: Option<Duration>,
    pub chooser: Chooser,
    pub decision: Option<Decision>,
}

impl Course {
    /// `learnt` before it was known here.
    pub(super) fn new(
        now: Duration,
        probing: &Probing,
        name: &TunnelName,
        subject: Subject,
        learnt: Learnt,
    ) -> Self {
        let Learnt { peer, failures } = learnt;
        let mut chooser = Chooser::new(rules(probing), spread(name), subject.current, now);
        if subject.held {
            chooser.hold();
        }
        chooser.remember(failures);
        let liveness = Liveness::new(liveness_pace(probing, Method::Icmp), now);
        let mut course = Self { liveness, peer, stamped: None, chooser, decision: None, subject };
        course.made(now);
        course
    }

    /// The tunnel is probed and moved by other figures from now on.
    pub(super) fn set_probing(&mut self, probing: &Probing, name: &TunnelName) {
        self.chooser.set_rules(rules(probing), spread(name));
        self.set_pace(probing);
    }

    /// The tunnel is otherwise from now on.
    pub(super) fn become_of(&mut self, now: Duration, probing: &Probing, subject: Subject) {
        if subject.held {
            self.chooser.hold()
        } else {
            self.chooser.unhold()
        }
        let (inside, current) = (self.subject.inside, self.subject.current);
        self.subject = subject;
        if self.subject.inside != inside {
            self.made(now);
        }
        if self.subject.current != current {
            self.moved(now, probing, self.subject.current);
        }
    }

    /// How the new end answers is not known.
    pub(super) fn moved(&mut self, now: Duration, probing: &Probing, to: Ipv4Addr) {
        self.chooser.moved(now, to);
        self.stamped = None;
        self.set_pace(probing);
        self.liveness.moved(now);
        self.subject.current = to;
    }

    /// Its link is a new one. Another peer than the one that answered may answer nothing.
    fn made(&mut self, now: Duration) {
        let peer = self.subject.inside.map(|inside| inside.peer);
        self.liveness.made(now, peer.is_some() && peer == self.peer);
    }

    /// All that is worth keeping over a restart.
    pub(super) fn learnt(&self) -> Learnt {
        Learnt { peer: self.peer, failures: self.chooser.failures() }
    }

    /// Its peer answered a probe that was sent at `sent`.
    pub(super) fn answered(&mut self, probing: &Probing, method: Method, sent: Duration) {
        self.peer = self.subject.inside.map(|inside| inside.peer).or(self.peer);
        let before = self.stamped;
        self.stamped = match method {
            Method::Stamp => before.max(Some(sent)),
            Method::Icmp => before.filter(|last| sent < *last + UNSTAMPED),
        };
        if before.is_some() != self.stamped.is_some() {
            self.set_pace(probing);
        }
    }

    fn set_pace(&mut self, probing: &Probing) {
        let method = if self.stamped.is_some() { Method::Stamp } else { Method::Icmp };
        self.liveness.set_pace(liveness_pace(probing, method));
    }

    /// A peer that answers STAMP is asked so; ICMP, which its kernel answers, is for when its daemon is away.
    pub(super) fn inner_paces(&self, now: Duration) -> BTreeMap<Method, Pace> {
        let interval = self.liveness.pace().interval();
        let (icmp, stamp) = match self.liveness.state() {
            liveness::State::Silent => (SILENT, SILENT),
            // Who has just begun waits for the first answer; a peer that answers none is silent soon.
            liveness::State::Unknown if self.stamped.is_none() => {
                (interval.min(URGENT), interval.min(URGENT))
            }
            _ if self.stamped.is_none() => (interval, interval),
            _ if self.liveness.in_doubt(now) => (interval / 2, interval),
            _ => (WORRIED.max(interval), interval),
        };
        [(Method::Icmp, pace(icmp)), (Method::Stamp, pace(stamp))].into()
    }
}

/// As declared, else what suits the method.
fn liveness_pace(probing: &Probing, method: Method) -> liveness::Pace {
    let usual = liveness::Pace::usual(method);
    let interval = probing.liveness.interval.unwrap_or(usual.interval());
    let multiplier = probing.liveness.multiplier.unwrap_or(usual.multiplier());
    // What was declared was checked.
    liveness::Pace::new(interval, multiplier).unwrap_or(usual)
}

fn rules(probing: &Probing) -> Rules {
    let Moving { margin, percent, hold, hold_down } = probing.moving;
    let hold = hold.max(probing.interval * ROUNDS);
    Rules { margin, percent, hold, hold_down, ..Rules::default() }
}

pub(super) fn pace(interval: Duration) -> Pace {
    Pace { interval, timeout: TIMEOUT }
}

/// 0 to 1000, the same for a name every time (FNV-1a).
fn spread(name: &TunnelName) -> u32 {
    let hash = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    name.as_str().bytes().fold(0x811c_9dc5, hash) % 1001
}
