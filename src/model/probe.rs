//! What is probed, and what came of each probe. Times are since the daemon began, by a clock that no one sets.

use std::fmt;
use std::net::Ipv4Addr;
use std::time::Duration;

use serde::Serialize;

/// How a termination is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Hash)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// ICMP echo (RFC 792).
    Icmp,
    /// STAMP over UDP, unauthenticated (RFC 8762).
    Stamp,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Icmp => "icmp",
            Self::Stamp => "stamp",
        })
    }
}

/// Who is asked, and which way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Target {
    pub address: Ipv4Addr,
    /// The address that probes leave from; `None`: the one that the route to the target prefers.
    pub source: Option<Ipv4Addr>,
    /// The ifindex of the tunnel that probes go through; `None`: the underlay.
    pub link: Option<u32>,
    /// The ifindex of the VRF that this tunnel is in; `None`: none.
    pub vrf: Option<u32>,
}

impl Target {
    /// In the underlay, from the address that the route prefers.
    pub fn to(address: Ipv4Addr) -> Self {
        Self { address, source: None, link: None, vrf: None }
    }
}

/// One probe that has come to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    pub sent: Duration,
    /// The sender's; consecutive for one target and method, from a random start.
    pub sequence: u32,
    pub outcome: Outcome,
}

/// What became of a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Answered(Answer),
    /// No answer within its time.
    Lost,
    /// It could not be sent, or somebody says that it cannot arrive: who and why, in a phrase.
    Refused(String),
}

/// A reply that was matched and believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Round trip, the reflector's own time taken out where it is known.
    pub rtt: Duration,
    pub timing: Timing,
    /// The sequence number of a stateful reflector, which counts what it received; `None`: it does not count.
    pub reflected: Option<u32>,
}

/// Which clock measured a round trip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timing {
    /// The kernel's timestamps of both packets.
    Kernel,
    /// Ours around the system calls: the kernel's were missing, or did not fit between them, as when the clock was set.
    Monotonic,
}

/// Replies that were counted and not believed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Oddities {
    /// From the right address with a wrong cookie, sequence or timestamp.
    pub forged: u64,
    /// Of a probe that was given up.
    pub late: u64,
    /// Of a probe that was answered.
    pub duplicated: u64,
    /// From an address that was not asked, or not a reply at all.
    pub foreign: u64,
}
