//! Is the other end of a tunnel there? Asked through the tunnel, because GRE may be blocked where ICMP and UDP
//! pass. Pure: a machine that is told what came of probes and what time it is.
//!
//! The detection time is that of BFD (RFC 5880 6.8.4), from the last answer on, and half an interval more: so
//! the last of its probes has time to come back, and it still ends within (multiplier + 1) × interval.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::figures::{Span, as_ms, as_ms_or_null};
use crate::model::{Method, Outcome, Sample};

/// How often the peer is asked, and how many answers may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    interval: Duration,
    multiplier: u32,
}

/// It would be more load than a probe is worth, or call a peer dead for one lost packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a liveness of {} x {multiplier} is out of range: 100 ms to 1 min, times 3 to 20", Span(*interval))]
pub struct OutOfRange {
    interval: Duration,
    multiplier: u32,
}

impl Pace {
    /// From 100 ms × 3 to 1 min × 20.
    pub fn new(interval: Duration, multiplier: u32) -> Result<Self, OutOfRange> {
        let range = Duration::from_millis(100)..=Duration::from_secs(60);
        if range.contains(&interval) && (3..=20).contains(&multiplier) {
            Ok(Self { interval, multiplier })
        } else {
            Err(OutOfRange { interval, multiplier })
        }
    }

    /// 300 ms × 3 to a peer that answers STAMP; 1 s × 5 by ICMP, which routers answer when they have time.
    pub fn usual(method: Method) -> Self {
        match method {
            Method::Stamp => Self { interval: Duration::from_millis(300), multiplier: 3 },
            Method::Icmp => Self { interval: Duration::from_secs(1), multiplier: 5 },
        }
    }

    pub fn interval(&self) -> Duration {
        self.interval
    }

    pub fn multiplier(&self) -> u32 {
        self.multiplier
    }

    /// So long after its last answer a peer is down.
    pub fn detection(&self) -> Duration {
        self.interval * self.multiplier + self.interval / 2
    }
}

/// What is known of the peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "liveness")]
pub enum State {
    /// Asked for the first time, or for the first time since a move.
    Unknown,
    /// It never answered, here or elsewhere: this peer answers no overlay probe, and is not called dead for it.
    Silent,
    Up,
    Down(Cause),
}

/// Why a peer is down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cause {
    /// The time without an answer after which it was called down.
    #[serde(rename = "silent_ms", serialize_with = "as_ms")]
    pub silent: Duration,
    /// It answered before the move, and never since.
    pub after_move: bool,
    /// What was said of the newest probe, if somebody said something.
    pub refused: Option<String>,
    /// The last answer came so long after its probe.
    #[serde(rename = "last_rtt_ms", serialize_with = "as_ms_or_null")]
    pub last_rtt: Option<Duration>,
    /// What was answered to a probe of this time or later was asked after the tunnel was gone.
    #[serde(skip)]
    pub gone: Duration,
    /// Of the pace at which it was asked.
    #[serde(skip)]
    pub interval: Duration,
}

/// The state became another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    pub from: State,
    pub to: State,
}

/// The machine of one tunnel.
#[derive(Clone, Debug)]
pub struct Liveness {
    pace: Pace,
    state: State,
    /// When the tunnel began to use the endpoint that it uses: earlier probes say nothing of it.
    begun: Duration,
    moved: bool,
    /// The peer answered once, wherever.
    answers: bool,
    /// When the newest answer came.
    heard: Option<Duration>,
    last_rtt: Option<Duration>,
    refused: Option<String>,
}

impl Liveness {
    /// A tunnel that is there since `now`, or that is found at `now`.
    pub fn new(pace: Pace, now: Duration) -> Self {
        Self {
            pace,
            state: State::Unknown,
            begun: now,
            moved: false,
            answers: false,
            heard: None,
            last_rtt: None,
            refused: None,
        }
    }

    pub fn state(&self) -> &State {
        &self.state
    }

    pub fn pace(&self) -> Pace {
        self.pace
    }

    /// Another pace, as when the peer is found to answer STAMP; the state stays.
    pub fn set_pace(&mut self, pace: Pace) {
        self.pace = pace;
    }

    /// The tunnel was moved to another endpoint at `now`: a fresh verdict.
    pub fn moved(&mut self, now: Duration) {
        *self = Self { moved: true, answers: self.answers, ..Self::new(self.pace, now) };
    }

    /// Its link was made anew at `now`, or is one that was there before: a fresh verdict on a peer that is known to
    /// answer, or is not.
    pub fn made(&mut self, now: Duration, answers: bool) {
        *self = Self { answers, ..Self::new(self.pace, now) };
    }

    /// When an answer will be overdue; `None`: none is expected.
    pub fn doubt_at(&self) -> Option<Duration> {
        let waiting = matches!(self.state, State::Unknown | State::Up) && self.answers;
        waiting.then(|| self.heard.unwrap_or(self.begun) + self.pace.interval * 3 / 2)
    }

    /// A probe through the tunnel came to its end.
    pub fn take(&mut self, sample: &Sample) -> Option<Change> {
        let Sample { sent, sequence: _, outcome } = sample;
        if *sent < self.begun {
            return None;
        }
        match outcome {
            Outcome::Answered(answer) => {
                self.answers = true;
                let heard = *sent + answer.rtt;
                if self.heard.is_none_or(|last| last < heard) {
                    self.heard = Some(heard);
                    self.last_rtt = Some(answer.rtt);
                    self.refused = None;
                }
                self.change(State::Up)
            }
            Outcome::Lost => None,
            Outcome::Refused(why) => {
                self.refused = Some(why.clone());
                None
            }
        }
    }

    /// The time is `now`; call it at [`next`](Self::next) or later.
    pub fn tick(&mut self, now: Duration) -> Option<Change> {
        if now < self.next()? {
            return None;
        }
        if !self.answers {
            return self.change(State::Silent);
        }
        let from = self.heard.unwrap_or(self.begun);
        self.change(State::Down(Cause {
            silent: now.saturating_sub(from),
            after_move: self.moved && self.heard.is_none(),
            refused: self.refused.clone(),
            last_rtt: self.last_rtt,
            gone: from + self.pace.interval,
            interval: self.pace.interval,
        }))
    }

    /// When time alone changes the state; `None`: never, only an answer does.
    pub fn next(&self) -> Option<Duration> {
        match self.state {
            State::Unknown | State::Up => Some(self.heard.unwrap_or(self.begun) + self.pace.detection()),
            State::Silent | State::Down(_) => None,
        }
    }

    /// An answer is overdue at `now`: the time to ask all candidates at once, so that a choice can be made of
    /// living ones when the tunnel is called down.
    pub fn in_doubt(&self, now: Duration) -> bool {
        self.doubt_at().is_some_and(|at| at <= now)
    }

    fn change(&mut self, to: State) -> Option<Change> {
        if self.state == to {
            return None;
        }
        let from = std::mem::replace(&mut self.state, to.clone());
        Some(Change { from, to })
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.pad("not known yet"),
            Self::Silent => f.pad("peer answers no overlay probe"),
            Self::Up => f.pad("up"),
            Self::Down(cause) => write!(f, "down: {cause}"),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { silent, after_move, refused, last_rtt: _, gone: _, interval: _ } = self;
        write!(f, "no answer through the tunnel for {}", Span(*silent))?;
        if *after_move {
            write!(f, ", none since the move")?;
        }
        refused.iter().try_for_each(|why| write!(f, "; {why}"))
    }
}

#[cfg(test)]
mod tests;
