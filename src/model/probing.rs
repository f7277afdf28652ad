//! How terminations are probed, when tunnels move, and who is answered; as declared.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use ipnetwork::Ipv4Network;

use super::Method;

/// The port of STAMP, and of TWAMP before it (RFC 8762, 4.1).
pub const STAMP_PORT: u16 = 862;

/// How terminations are probed, and by how much another must be better.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probing {
    /// Never empty.
    pub methods: BTreeSet<Method>,
    /// Between two probes of one termination by one method: 100 ms to 1 h.
    pub interval: Duration,
    /// Where the terminations' reflectors listen.
    pub port: u16,
    /// The most probes a second, all targets together.
    pub packets: u32,
    pub moving: Moving,
    pub liveness: Liveliness,
}

/// When a tunnel moves to an endpoint that is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moving {
    /// It is better by this …
    pub margin: Duration,
    /// … and by so many percent of the latency in use (0 to 99) …
    pub percent: u32,
    /// … for so long.
    pub hold: Duration,
    /// So long after a move, or after an endpoint was dead, nobody moves for being better.
    pub hold_down: Duration,
}

/// How the other end of a tunnel is asked, through the tunnel; `None`: what suits how it answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Liveliness {
    /// 100 ms to 60 s.
    pub interval: Option<Duration>,
    /// 3 to 20.
    pub multiplier: Option<u32>,
}

impl Default for Probing {
    fn default() -> Self {
        Self {
            methods: [Method::Icmp, Method::Stamp].into(),
            interval: Duration::from_secs(10),
            port: STAMP_PORT,
            packets: 2_000,
            moving: Moving::default(),
            liveness: Liveliness::default(),
        }
    }
}

impl Default for Moving {
    fn default() -> Self {
        Self {
            margin: Duration::from_millis(5),
            percent: 20,
            hold: Duration::from_secs(30),
            hold_down: Duration::from_secs(60),
        }
    }
}

/// Who is answered by this host's STAMP reflector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reflecting {
    pub port: u16,
    /// Sources that are answered.
    pub allow: Vec<Ipv4Network>,
    /// The most answers a second to one source.
    pub packets: u32,
}

impl Reflecting {
    /// Is this source answered?
    pub fn allows(&self, source: Ipv4Addr) -> bool {
        self.allow.iter().any(|prefix| prefix.contains(source))
    }
}
