//! The effective latency: the one figure that terminations are compared by, everywhere. Pure.
//!
//! For each method: smoothed round trip + [`PER_JITTER`] × jitter + [`LOST_TENTH`] × (share lost / 10 %)². The
//! lower of the methods that are fresh is the termination's.

use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::figures::{Span, as_ms, ms};
use super::window::{State, Summary};
use crate::model::Method;

/// What jitter costs: twice itself, because who plays what arrives has to wait for the late ones, and
/// differences of consecutive round trips are as often one way as the other.
pub const PER_JITTER: u32 = 2;

/// What it costs to lose one probe in ten. Squared, because a few lost ones are chance and no reason to move,
/// while a path that loses every second one (750 ms) is no path: 1 % costs 0.3 ms, 5 % 7.5 ms, 20 % 120 ms.
pub const LOST_TENTH: Duration = Duration::from_millis(30);

/// One lost probe of a window is not counted: of the first ten, it would be one tenth.
const FORGIVEN: usize = 1;

/// A method whose last answer is older has nothing to say about now; three rounds of the slowest usual pace.
pub const FRESH: Duration = Duration::from_secs(30);

/// An effective latency. Kept in whole microseconds, so that what is shown is what was compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Latency(Duration);

impl Latency {
    pub fn new(span: Duration) -> Self {
        Self(Duration::from_micros(u64::try_from(span.as_micros()).unwrap_or(u64::MAX)))
    }

    pub fn span(self) -> Duration {
        self.0
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Span(self.0).fmt(f)
    }
}

/// In milliseconds.
impl Serialize for Latency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(ms(self.0))
    }
}

/// An effective latency and what it is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Score {
    pub effective: Latency,
    /// Who measured it.
    pub method: Method,
    #[serde(serialize_with = "as_ms")]
    pub smoothed: Duration,
    /// Added for jitter.
    #[serde(serialize_with = "as_ms")]
    pub for_jitter: Duration,
    /// Added for loss.
    #[serde(serialize_with = "as_ms")]
    pub for_loss: Duration,
}

/// Where a termination stands: its figure, or why it has none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "standing")]
pub enum Standing {
    Measured(Score),
    /// The last answer is too old to say anything about now.
    Stale {
        #[serde(rename = "ago_ms", serialize_with = "as_ms")]
        ago: Duration,
    },
    /// Not asked often enough yet.
    Unknown,
    /// By every method.
    Unreachable {
        why: String,
        /// What was answered to a probe of this time or later was asked after this one was gone.
        #[serde(skip)]
        since: Duration,
    },
}

/// A termination as all its methods see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Health {
    #[serde(flatten)]
    pub standing: Standing,
    /// When the newest probe that was answered was sent, by any method.
    #[serde(skip)]
    pub answered_at: Option<Duration>,
    /// When the first probe was sent since which that method had every one answered.
    #[serde(skip)]
    pub answering_since: Option<Duration>,
}

impl Health {
    /// Judges a termination by what each method says of it; `fresh` is usually [`FRESH`].
    pub fn new(now: Duration, fresh: Duration, methods: &[(Method, Summary)]) -> Self {
        let newest = methods.iter().map(|(_, summary)| summary).max_by_key(|summary| summary.answered_at);
        let reachable = || methods.iter().filter(|(_, summary)| summary.state == State::Reachable);
        let scores = reachable().filter_map(|(method, summary)| score(now, fresh, *method, summary));
        let standing = match scores.min_by_key(|score| (score.effective, score.method)) {
            Some(score) => Standing::Measured(score),
            None => match reachable().filter_map(|(_, summary)| summary.answered_at).max() {
                Some(at) => Standing::Stale { ago: now.saturating_sub(at) },
                None => unreachable(methods).unwrap_or(Standing::Unknown),
            },
        };
        Self {
            standing,
            answered_at: newest.and_then(|summary| summary.answered_at),
            answering_since: newest.and_then(|summary| summary.answering_since),
        }
    }

    /// Since when it is known to be alive, if all that counts happened at `gone` or later.
    pub fn alive_since(&self, gone: Duration) -> Option<Duration> {
        self.answering_since.filter(|_| self.answered_at >= Some(gone)).map(|since| since.max(gone))
    }

    /// `None` is never better than any figure: who does not answer has no latency, not one of 0.
    pub fn latency(&self) -> Option<Latency> {
        match &self.standing {
            Standing::Measured(score) => Some(score.effective),
            Standing::Stale { .. } | Standing::Unknown | Standing::Unreachable { .. } => None,
        }
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Measured(score) => score.effective.fmt(f),
            Self::Stale { ago } => write!(f, "stale: the last answer is {} old", Span(*ago)),
            Self::Unknown => f.pad("not known yet"),
            Self::Unreachable { why, since: _ } => write!(f, "unreachable: {why}"),
        }
    }
}

fn score(now: Duration, fresh: Duration, method: Method, summary: &Summary) -> Option<Score> {
    let (rtt, answered_at) = (summary.rtt?, summary.answered_at?);
    if now.saturating_sub(answered_at) > fresh {
        return None;
    }
    let lost = (summary.sent - summary.answered).saturating_sub(FORGIVEN);
    let for_jitter = rtt.jitter * PER_JITTER;
    let tenths = 10.0 * lost as f64 / summary.sent as f64;
    let for_loss = LOST_TENTH.mul_f64(tenths * tenths);
    let effective = Latency::new(rtt.smoothed + for_jitter + for_loss);
    Some(Score { effective, method, smoothed: rtt.smoothed, for_jitter, for_loss })
}

/// By every method, and gone by all of them from the latest `since` on.
fn unreachable(methods: &[(Method, Summary)]) -> Option<Standing> {
    let mut whys = Vec::new();
    let mut last = None;
    for (method, summary) in methods {
        let State::Unreachable { why, since } = &summary.state else { return None };
        whys.push(format!("{method}: {why}"));
        last = last.max(Some(*since));
    }
    last.map(|since| Standing::Unreachable { why: whys.join("; "), since })
}

#[cfg(test)]
mod tests {
    use super::super::window::{Limits, Window};
    use super::*;
    use crate::model::{Answer, Outcome, Sample, Timing};

    /// A probe a second; a digit is an answer after so many times 10 ms, `x` lost.
    fn health(icmp: &str, stamp: &str, now: u64) -> Health {
        let summary = |story: &str| {
            let mut window = Window::new(Limits::default());
            for (n, letter) in story.chars().enumerate() {
                let outcome = letter.to_digit(10).map_or(Outcome::Lost, |tens| {
                    let rtt = Duration::from_millis(u64::from(tens) * 10);
                    Outcome::Answered(Answer { rtt, timing: Timing::Kernel, reflected: None })
                });
                window.take(Sample { sent: Duration::from_secs(n as u64), sequence: n as u32, outcome });
            }
            window.summary(Duration::from_secs(now))
        };
        let methods = [(Method::Icmp, summary(icmp)), (Method::Stamp, summary(stamp))];
        Health::new(Duration::from_secs(now), FRESH, &methods)
    }

    #[test]
    fn a_termination_stands_by_the_lower_of_its_fresh_methods() {
        let table = [
            ("", "", 0, "not known yet"),
            ("444", "333", 3, "30.0 ms"),
            ("333", "444", 3, "30.0 ms"),
            ("3333", "1xxx", 4, "30.0 ms"),
            ("222", "", 3, "20.0 ms"),
            // Mean difference 10 ms, smoothed 21.9 ms.
            ("23232", "9", 5, "41.9 ms"),
            // One lost is not counted, and of three of ten two.
            ("22222x2222", "", 10, "20.0 ms"),
            ("22x22x2x22", "", 10, "140.0 ms"),
            ("222", "", 40, "stale: the last answer is 38 s old"),
            ("xx", "xx", 2, "not known yet"),
            ("xx", "xxx", 3, "not known yet"),
            ("xxxx", "xxx", 4, "unreachable: icmp: 4 probes in a row lost; stamp: 3 probes in a row lost"),
        ];
        for (icmp, stamp, now, expected) in table {
            assert_eq!(health(icmp, stamp, now).standing.to_string(), expected, "{icmp} {stamp}");
        }
    }

    #[test]
    fn who_does_not_answer_has_no_latency() {
        for (icmp, stamp, now) in [("xxx", "xxx", 3), ("", "", 0), ("0", "xxx", 60)] {
            assert_eq!(health(icmp, stamp, now).latency(), None);
        }
    }

    #[test]
    fn a_termination_is_gone_when_its_last_method_is() {
        let Standing::Unreachable { since, .. } = health("1xxxx", "111xxx", 6).standing else {
            panic!("it is reachable")
        };
        assert_eq!(since, Duration::from_secs(4));
        assert_eq!(health("1xxxx", "111xxx", 6).answered_at, Some(Duration::from_secs(2)));
    }

    #[test]
    fn what_is_shown_is_what_is_compared() {
        let (a, b) = (Duration::from_nanos(5_000_900), Duration::from_nanos(5_000_100));
        assert_eq!(Latency::new(a), Latency::new(b));
    }
}
