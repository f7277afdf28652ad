//! What goes into a book, and what comes out of it. Pure.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use crate::model::{Method, Oddities, Sample, Target};
use crate::probe::session::Question;
use crate::probe::stamp;

/// How a target is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    pub methods: BTreeMap<Method, Pace>,
    /// Where the target's reflector listens (UDP).
    pub port: u16,
    /// So many probes by each method, and then no more; `None`: for ever.
    pub count: Option<u32>,
}

impl Ask {
    /// All of these methods at one pace, at the usual port, for ever.
    pub fn of(methods: &[Method], pace: Pace) -> Self {
        Self {
            methods: methods.iter().map(|method| (*method, pace)).collect(),
            port: stamp::PORT,
            count: None,
        }
    }
}

/// How often, and how long an answer is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Between probes; each wait is up to a tenth shorter or longer, so that targets do not fall into step.
    pub interval: Duration,
    pub timeout: Duration,
}

/// A probe that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub target: Target,
    pub method: Method,
    pub sample: Sample,
}

/// A probe to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// The number of its session.
    pub number: u32,
    pub question: Question,
    pub to: SocketAddrV4,
    pub source: Option<Ipv4Addr>,
    pub link: Option<u32>,
    pub vrf: Option<u32>,
}

/// What was counted and not believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Of everybody, those who were not asked too.
    pub all: Oddities,
    /// Of each target that there was anything to count of.
    pub each: BTreeMap<(Target, Method), Oddities>,
}
