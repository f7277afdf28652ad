//! What was decided, with the figures it stood on; each reads as one sentence.

use std::fmt;
use std::net::Ipv4Addr;
use std::time::Duration;

use serde::Serialize;

use crate::probe::figures::{Span, as_ms};
use crate::probe::score::Latency;

/// An endpoint, and its latency if it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Endpoint {
    pub address: Ipv4Addr,
    #[serde(rename = "latency_ms")]
    pub latency: Option<Latency>,
}

/// What a tunnel does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// The endpoint in use.
    pub current: Endpoint,
    #[serde(flatten)]
    pub verdict: Verdict,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "verdict")]
pub enum Verdict {
    Stay { why: Stay },
    Move { to: Endpoint, why: Why },
}

/// Why a tunnel stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "reason")]
pub enum Stay {
    /// Somebody said `hold`.
    Held {
        dead: Option<String>,
    },
    Best,
    /// The endpoint in use works, and has no latency to compare others with.
    Unmeasured,
    /// Another is lower, but not low enough.
    TooClose {
        other: Endpoint,
        needed_ms: Option<Latency>,
    },
    /// Another is better, and waits.
    Waiting {
        other: Endpoint,
        wait: Wait,
        #[serde(rename = "left_ms", serialize_with = "as_ms")]
        left: Duration,
    },
    /// The endpoint in use is dead, and no other is known to be alive since.
    NobodyElse {
        dead: String,
    },
    /// The endpoint in use is dead, and another waits: it has only just come back, and this one may, too; or it was
    /// tried lately.
    Settling {
        dead: String,
        other: Endpoint,
        #[serde(rename = "left_ms", serialize_with = "as_ms")]
        left: Duration,
    },
}

/// What a better endpoint waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Wait {
    /// To have been better for long enough.
    Hold,
    /// It was dead.
    HoldDown,
    /// It died too often.
    Flapping,
    /// The tunnel failed at it.
    Failed,
    /// The tunnel has moved, or was made.
    Moved,
}

/// Why an endpoint is not moved to for being better, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shunned {
    pub wait: Wait,
    pub left: Duration,
}

/// Why a tunnel moves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "reason")]
pub enum Why {
    /// It has been better for so long.
    Better {
        #[serde(rename = "for_ms", serialize_with = "as_ms")]
        span: Duration,
    },
    /// The endpoint in use is dead.
    Dead { dead: String },
}

impl Decision {
    /// Where to move; `None`: it stays.
    pub fn to(&self) -> Option<Ipv4Addr> {
        match &self.verdict {
            Verdict::Stay { .. } => None,
            Verdict::Move { to, .. } => Some(to.address),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.latency {
            Some(latency) => write!(f, "{} ({latency})", self.address),
            None => write!(f, "{}", self.address),
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { current, verdict } = self;
        match verdict {
            Verdict::Stay { why } => write!(f, "stays at {current}: {why}"),
            Verdict::Move { to, why } => write!(f, "moves from {current} to {to}: {why}"),
        }
    }
}

impl fmt::Display for Stay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held { dead: None } => f.pad("it is held"),
            Self::Held { dead: Some(dead) } => write!(f, "it is held, though its endpoint is dead ({dead})"),
            Self::Best => f.pad("no other is lower"),
            Self::Unmeasured => f.pad("it is not known to be dead, and has no latency to compare"),
            Self::TooClose { other, needed_ms: Some(needed) } => {
                write!(f, "{other} is lower, but not down to {needed}")
            }
            Self::TooClose { other, needed_ms: None } => write!(f, "{other} is lower, but not by enough"),
            Self::Waiting { other, wait, left } => write!(f, "{other} is better, {wait} {}", Span(*left)),
            Self::NobodyElse { dead } => write!(f, "it is dead ({dead}), and no other is known to be alive"),
            Self::Settling { dead, other, left } => {
                let left = Span(*left);
                write!(f, "it is dead ({dead}), and {other} has to settle for another {left}")
            }
        }
    }
}

/// To be followed by how long.
impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Hold => "and has to stay so for another",
            Self::HoldDown => "but was dead, and waits for another",
            Self::Flapping => "but died too often, and waits for another",
            Self::Failed => "but this tunnel failed there, and it waits for another",
            Self::Moved => "but this tunnel has just come here, and stays for another",
        })
    }
}

impl fmt::Display for Shunned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { wait, left } = self;
        let why = match wait {
            Wait::Hold | Wait::Moved => "better only lately",
            Wait::HoldDown => "dead only lately",
            Wait::Flapping => "died too often",
            Wait::Failed => "this tunnel failed there",
        };
        write!(f, "{why}: not moved to for being better for another {}", Span(*left))
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Better { span } => write!(f, "it has been better for {}", Span(*span)),
            Self::Dead { dead } => write!(f, "the old one is dead ({dead})"),
        }
    }
}
