//! What is known of one tunnel: whether its peer is there, and where it should lead. Pure.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::{Subject, WORRIED};
use crate::model::{Method, Moving, Probing, TunnelName};
use crate::probe::book::Pace;
use crate::probe::choice::{Chooser, Decision, Rules};
use crate::probe::liveness::{self, Liveness};

/// How long an answer is waited for. A path with a longer round trip is as good as none.
const TIMEOUT: Duration = Duration::from_secs(1);
/// The pace of probes to a peer that never answered one: it may begin to.
const SILENT: Duration = Duration::from_secs(10);

/// What is known of one tunnel.
#[derive(Debug)]
pub(super) struct Course {
    pub subject: Subject,
    pub liveness: Liveness,
    /// Its peer has answered STAMP.
    pub stamp: bool,
    pub chooser: Chooser,
    pub decision: Option<Decision>,
}

impl Course {
    pub(super) fn new(now: Duration, probing: &Probing, name: &TunnelName, subject: Subject) -> Self {
        let mut chooser = Chooser::new(rules(probing), spread(name), subject.current, now);
        if subject.held {
            chooser.hold();
        }
        let liveness = Liveness::new(liveness_pace(probing, Method::Icmp), now);
        Self { liveness, stamp: false, chooser, decision: None, subject }
    }

    pub(super) fn become_of(&mut self, now: Duration, subject: Subject) {
        if subject.held {
            self.chooser.hold()
        } else {
            self.chooser.unhold()
        }
        if subject.current != self.subject.current {
            self.moved(now, subject.current);
        }
        self.subject = subject;
    }

    pub(super) fn moved(&mut self, now: Duration, to: Ipv4Addr) {
        self.chooser.moved(now, to);
        self.liveness.moved(now);
        self.subject.current = to;
    }

    /// When its peer's answer is overdue.
    pub(super) fn doubt_at(&self) -> Option<Duration> {
        let pace = self.liveness.pace();
        Some(self.liveness.next()?.saturating_sub(pace.detection()) + pace.interval() * 3 / 2)
    }

    /// A peer that answers STAMP is asked so; ICMP, which its kernel answers, is for when its daemon is away.
    pub(super) fn inner_paces(&self, now: Duration) -> BTreeMap<Method, Pace> {
        let interval = self.liveness.pace().interval();
        let (icmp, stamp) = match self.liveness.state() {
            liveness::State::Silent => (SILENT, SILENT),
            _ if !self.stamp => (interval, interval),
            _ if self.liveness.in_doubt(now) => (interval / 2, interval),
            _ => (WORRIED.max(interval), interval),
        };
        [(Method::Icmp, pace(icmp)), (Method::Stamp, pace(stamp))].into()
    }
}

/// As declared, else what suits the method.
pub(super) fn liveness_pace(probing: &Probing, method: Method) -> liveness::Pace {
    let usual = liveness::Pace::usual(method);
    let interval = probing.liveness.interval.unwrap_or(usual.interval());
    let multiplier = probing.liveness.multiplier.unwrap_or(usual.multiplier());
    // What was declared was checked.
    liveness::Pace::new(interval, multiplier).unwrap_or(usual)
}

fn rules(probing: &Probing) -> Rules {
    let Moving { margin, percent, hold, hold_down } = probing.moving;
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
