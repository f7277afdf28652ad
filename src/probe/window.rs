//! The last samples of one target and method, and what they come to. Pure.

mod rtt;

use std::collections::VecDeque;
use std::time::Duration;

pub use rtt::Rtt;
use serde::Serialize;

use crate::model::{Answer, Outcome, Sample, Timing};

/// How much a window remembers, and when it gives a target up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Older samples are forgotten.
    pub age: Duration,
    /// So many samples at most, 40 bytes each; a power of two, because the buffer doubles as it grows.
    pub count: usize,
    /// So many probes in a row without an answer, and the target is unreachable; 1 or more.
    pub lost_in_a_row: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { age: Duration::from_secs(300), count: 256, lost_in_a_row: 3 }
    }
}

/// The samples of one target and method in the order in which they were sent, whenever they came to their end.
#[derive(Clone, Debug)]
pub struct Window {
    limits: Limits,
    kept: VecDeque<Kept>,
    /// What was said of the newest refused probe.
    refusal: String,
}

/// A sample in few bytes: nanoseconds, of the daemon's clock or of a round trip.
#[derive(Clone, Copy, Debug)]
struct Kept {
    sent: u64,
    sequence: u32,
    end: End,
}

#[derive(Clone, Copy, Debug)]
enum End {
    Answered { rtt: u64, reflected: Option<u32>, timing: Timing },
    Lost,
    Refused,
}

/// What a window comes to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Probes that came to their end.
    pub sent: usize,
    pub answered: usize,
    /// `None`: the reflector does not count what it receives.
    pub directions: Option<Directions>,
    /// `None`: nothing was answered.
    pub rtt: Option<Rtt>,
    /// When the newest probe was sent.
    #[serde(skip)]
    pub probed_at: Option<Duration>,
    /// When the newest answered probe was sent.
    #[serde(skip)]
    pub answered_at: Option<Duration>,
    /// When the first probe was sent since which every one was answered; `None`: the newest was not.
    #[serde(skip)]
    pub answering_since: Option<Duration>,
    pub state: State,
    /// Answers that the kernel's clock did not time, as while somebody set it.
    pub stepped: usize,
}

/// Where probes were lost, among those that a stateful reflector can tell about: between its answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Directions {
    pub sent: u64,
    /// Lost on the way there.
    pub forward: u64,
    /// Lost on the way back.
    pub backward: u64,
}

/// Is the target there?
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "state")]
pub enum State {
    Reachable,
    /// Every probe since `since` was lost, too many of them or one with a reason: `why`, in a phrase.
    Unreachable {
        why: String,
        /// When the second of them was sent (the first, if there is one only): what was answered later was
        /// certainly asked after this target was gone.
        #[serde(skip)]
        since: Duration,
    },
    /// Never answered, and asked too few times to say more.
    Unknown,
}

impl Window {
    pub fn new(limits: Limits) -> Self {
        Self { limits, kept: VecDeque::new(), refusal: String::new() }
    }

    /// Other limits from now on.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Takes a probe that came to its end; in any order, a second end of the same probe does not count.
    pub fn take(&mut self, sample: Sample) {
        let Sample { sent, sequence, outcome } = sample;
        let sent = nanos(sent);
        let mut at = self.kept.partition_point(|kept| (kept.sent, kept.sequence) < (sent, sequence));
        if self.kept.get(at).is_some_and(|kept| (kept.sent, kept.sequence) == (sent, sequence)) {
            return;
        }
        let newest = self.kept.back().map_or(sent, |kept| kept.sent.max(sent));
        if sent < newest.saturating_sub(nanos(self.limits.age)) {
            return;
        }
        if self.kept.len() >= self.limits.count {
            if at == 0 {
                return;
            }
            self.kept.pop_front();
            at -= 1;
        }
        let end = match outcome {
            Outcome::Answered(Answer { rtt, timing, reflected }) => {
                End::Answered { rtt: nanos(rtt), reflected, timing }
            }
            Outcome::Lost => End::Lost,
            Outcome::Refused(why) => {
                self.refusal = why;
                End::Refused
            }
        };
        self.kept.insert(at, Kept { sent, sequence, end });
    }

    /// What the samples that are young enough at `now` come to.
    pub fn summary(&self, now: Duration) -> Summary {
        let kept: Vec<Kept> = self.young(now).copied().collect();
        let rtts: Vec<u64> = kept.iter().filter_map(Kept::rtt).collect();
        let answering = kept.iter().rev().take_while(|kept| kept.rtt().is_some()).last();
        let answered_at = kept.iter().rfind(|kept| kept.rtt().is_some()).map(|kept| kept.sent);
        Summary {
            sent: kept.len(),
            answered: rtts.len(),
            directions: directions(&kept),
            rtt: Rtt::new(&rtts),
            probed_at: kept.last().map(|kept| Duration::from_nanos(kept.sent)),
            answered_at: answered_at.map(Duration::from_nanos),
            answering_since: answering.map(|kept| Duration::from_nanos(kept.sent)),
            state: self.state(&kept),
            stepped: kept.iter().filter(|kept| kept.is_stepped()).count(),
        }
    }

    /// The newest `count` round trips, the oldest first; `None` is a probe without an answer.
    pub fn series(&self, now: Duration, count: usize) -> Vec<Option<Duration>> {
        let young: Vec<_> = self.young(now).map(|kept| kept.rtt().map(Duration::from_nanos)).collect();
        young[young.len().saturating_sub(count)..].to_vec()
    }

    fn young(&self, now: Duration) -> impl Iterator<Item = &Kept> {
        let oldest = nanos(now.saturating_sub(self.limits.age));
        self.kept.iter().skip_while(move |kept| kept.sent < oldest)
    }

    fn state(&self, kept: &[Kept]) -> State {
        let answered = kept.iter().rposition(|kept| kept.rtt().is_some());
        let run = &kept[answered.map_or(0, |at| at + 1)..];
        let refused = run.iter().any(|kept| matches!(kept.end, End::Refused));
        let why = match (refused, answered) {
            (true, _) => self.refusal.clone(),
            (false, _) if !run.is_empty() && run.len() >= self.limits.lost_in_a_row => {
                format!("{} probes in a row lost", run.len())
            }
            (false, Some(_)) => return State::Reachable,
            (false, None) => return State::Unknown,
        };
        let since = run.get(1).or(run.first()).map_or(0, |kept| kept.sent);
        State::Unreachable { why, since: Duration::from_nanos(since) }
    }
}

impl Kept {
    fn rtt(&self) -> Option<u64> {
        match self.end {
            End::Answered { rtt, .. } => Some(rtt),
            End::Lost | End::Refused => None,
        }
    }

    fn is_stepped(&self) -> bool {
        matches!(self.end, End::Answered { timing: Timing::Monotonic, .. })
    }

    fn reflected(&self) -> Option<u32> {
        if let End::Answered { reflected, .. } = self.end { reflected } else { None }
    }
}

impl Summary {
    /// The share of probes without an answer, 0 to 1; 0 when none was sent.
    pub fn loss(&self) -> f64 {
        share(self.sent - self.answered, self.sent)
    }

    /// The share of probes that were lost on the way there; `None` where nobody can say.
    pub fn loss_forward(&self) -> Option<f64> {
        self.directions.map(|Directions { sent, forward, .. }| share(forward as usize, sent as usize))
    }

    /// The share of probes whose answer was lost on the way back; `None` where nobody can say.
    pub fn loss_backward(&self) -> Option<f64> {
        self.directions.map(|Directions { sent, backward, .. }| share(backward as usize, sent as usize))
    }
}

fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// From each answer to the next: what the reflector did not count was lost on the way there, the rest on the
/// way back. Where its number went back (it was restarted) or further than we sent, that stretch says nothing.
fn directions(kept: &[Kept]) -> Option<Directions> {
    let numbered: Vec<(usize, u32)> =
        kept.iter().enumerate().filter_map(|(at, kept)| Some((at, kept.reflected()?))).collect();
    let mut all = Directions { sent: 0, forward: 0, backward: 0 };
    for pair in numbered.windows(2) {
        let (from, to) = (pair[0], pair[1]);
        let sent = (to.0 - from.0) as u64;
        let received = u64::from(to.1.wrapping_sub(from.1));
        if received <= sent {
            let answered = kept[from.0 + 1..=to.0].iter().filter(|kept| kept.rtt().is_some()).count() as u64;
            let forward = (sent - received).min(sent - answered);
            all.sent += sent;
            all.forward += forward;
            all.backward += sent - answered - forward;
        }
    }
    (all.sent > 0).then_some(all)
}

#[cfg(test)]
mod tests;
