//! What a STAMP Session-Reflector (RFC 8762, 4.3) answers, to whom, and to whom not. Pure.
//!
//! An answer is as long as its request, to the byte: nothing is gained by asking in another's name.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use ipnetwork::Ipv4Network;
use serde::Serialize;

use super::budget::Budget;
use super::ntp::Timestamp;
use super::recent::Recent;
use super::stamp::{ErrorEstimate, LENGTH, Reply, Request};

/// Source ports below this belong to services (RFC 6335, 6), which would take an answer for a question: that of
/// reflectors (862) is one of them.
const SERVICES: u16 = 1024;

/// The error of the kernel's software timestamps: 2^-20 s, about a microsecond.
const ERROR: ErrorEstimate = ErrorEstimate::unsynchronised(12);

/// The most a source may have saved up: this many packets, or a tenth of a second's when that is more. Who asks for
/// many terminations at once sends them in one go.
const BURST: u32 = 64;

/// Who is answered, and how much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The addresses of this host at which requests are answered; `None`: at any.
    pub addresses: Option<BTreeSet<Ipv4Addr>>,
    /// Sources that are answered. None at all when empty.
    pub allow: Vec<Ipv4Network>,
    /// Packets a second for each source.
    pub rate: u32,
    /// So many sessions are counted at once, and so many sources: the most recent ones.
    pub table: usize,
    /// Ifindexes of tunnels: what comes in through one is answered through it.
    pub tunnels: BTreeSet<u32>,
    /// Ifindexes of VRFs that are listened in beside the default one.
    pub vrfs: BTreeSet<u32>,
}

impl Default for Settings {
    /// Nobody is answered. 100 packets a second are ten times what one sender asks at its fastest.
    fn default() -> Self {
        let (addresses, tunnels, vrfs) = (None, BTreeSet::new(), BTreeSet::new());
        Self { addresses, allow: Vec::new(), rate: 100, table: 16_384, tunnels, vrfs }
    }
}

/// What came of all requests so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reflected {
    pub answered: u64,
    /// Too short, or longer than any packet.
    pub malformed: u64,
    /// From a source that is not allowed.
    pub forbidden: u64,
    /// From the port of a service or of a reflector, or itself an answer.
    pub echoing: u64,
    /// More than a source may send.
    pub limited: u64,
    /// At an address that is not answered at.
    pub elsewhere: u64,
    /// Answers that the kernel did not send.
    pub unsent: u64,
}

/// A request as it came.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    pub from: SocketAddrV4,
    /// The destination in its header.
    pub to: Ipv4Addr,
    /// The address of this host that it is for.
    pub local: Ipv4Addr,
    /// The ifindex that it came in by.
    pub link: u32,
    pub ttl: u8,
    /// When, since 1970.
    pub came: Duration,
    pub bytes: &'a [u8],
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    Malformed,
    Forbidden,
    Echoing,
    Limited,
    Elsewhere,
}

/// How an answer leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leave {
    pub source: Ipv4Addr,
    pub link: Option<u32>,
}

/// A session as RFC 8762, 3 has it: both addresses and the sender's port; ours is always the same.
type Session = (SocketAddrV4, Ipv4Addr);

/// The reflector's memory.
#[derive(Debug)]
pub struct Reflect {
    settings: Settings,
    port: u16,
    /// How many requests of each session were answered.
    sessions: Recent<Session, u32>,
    sources: Recent<Ipv4Addr, Budget>,
    counts: Reflected,
}

impl Reflect {
    /// `port`: our own.
    pub fn new(port: u16, settings: Settings) -> Self {
        let table = settings.table;
        let counts = Reflected::default();
        Self { settings, port, sessions: Recent::new(table), sources: Recent::new(table), counts }
    }

    /// Other settings from now on. Sessions go on, and sources keep what they have saved up at the old rate.
    pub fn set(&mut self, settings: Settings) {
        if settings.rate != self.settings.rate {
            self.sources = Recent::new(settings.table);
        }
        self.sessions.limit(settings.table);
        self.sources.limit(settings.table);
        self.settings = settings;
    }

    pub fn counts(&self) -> Reflected {
        self.counts
    }

    /// An answer that could not be sent.
    pub fn unsent(&mut self) {
        self.counts.answered = self.counts.answered.saturating_sub(1);
        self.counts.unsent += 1;
    }

    /// Answers one request into `reply`, whose timestamp is left for [`depart`] to set.
    pub fn answer(
        &mut self,
        now: Duration,
        asked: &Asked<'_>,
        reply: &mut Vec<u8>,
    ) -> Result<Leave, Silence> {
        let answered = self.judge(now, asked);
        let Reflected { answered: done, malformed, forbidden, echoing, limited, elsewhere, .. } =
            &mut self.counts;
        *match answered {
            Ok(_) => done,
            Err(Silence::Malformed) => malformed,
            Err(Silence::Forbidden) => forbidden,
            Err(Silence::Echoing) => echoing,
            Err(Silence::Limited) => limited,
            Err(Silence::Elsewhere) => elsewhere,
        } += 1;
        let request = answered?;
        let sequence = self.sessions.with(
            (asked.from, asked.local),
            || 0,
            |count| std::mem::replace(count, count.wrapping_add(1)),
        );
        write(asked, &request, sequence, reply);
        let link = self.settings.tunnels.contains(&asked.link).then_some(asked.link);
        Ok(Leave { source: asked.local, link })
    }

    fn judge(&mut self, now: Duration, asked: &Asked<'_>) -> Result<Request, Silence> {
        let Settings { addresses, allow, rate, .. } = &self.settings;
        let (source, rate) = (*asked.from.ip(), *rate);
        // Not to a group, and not to all of a network: many would answer.
        let ours = asked.to == asked.local
            && addresses.as_ref().is_none_or(|addresses| addresses.contains(&asked.local));
        if !ours {
            return Err(Silence::Elsewhere);
        }
        if !allow.iter().any(|network| network.contains(source)) {
            return Err(Silence::Forbidden);
        }
        let request = Request::decode(asked.bytes).ok_or(Silence::Malformed)?;
        let port = asked.from.port();
        if port < SERVICES || port == self.port || is_reply(asked.bytes) {
            return Err(Silence::Echoing);
        }
        let fresh = || Budget::new(rate, (rate / 10).max(rate.min(BURST)), now);
        let paid = self.sources.with(source, fresh, |budget| budget.take(now));
        if paid { Ok(request) } else { Err(Silence::Limited) }
    }
}

/// Whether this is what a reflector sends. Both packets are equally long, but a sender fills 28 bytes with zeros (RFC
/// 8762, 4.2.1) where a reply has times, a TTL, and zeros between them.
fn is_reply(bytes: &[u8]) -> bool {
    Reply::decode(bytes).is_some_and(|reply| {
        let times = reply.received.0 != 0 && reply.sender_timestamp.0 != 0 && reply.sender_ttl != 0;
        times && bytes.get(38..40) == Some(&[0; 2]) && bytes.get(41..44) == Some(&[0; 3])
    })
}

fn write(asked: &Asked<'_>, request: &Request, sequence: u32, reply: &mut Vec<u8>) {
    let received = Timestamp::ntp(asked.came);
    let head = Reply {
        sequence,
        timestamp: received,
        error: ERROR,
        session: request.session,
        received,
        sender_sequence: request.sequence,
        sender_timestamp: request.timestamp,
        sender_error: request.error,
        sender_ttl: asked.ttl,
    };
    reply.clear();
    reply.extend(head.encode());
    reply.extend(asked.bytes.get(LENGTH..).unwrap_or_default());
    if let Some(extensions) = reply.get_mut(LENGTH..) {
        mark(extensions);
    }
}

/// Marks the extensions of a reply (RFC 8972, 4): |flags 1|type 1|length 2|value|. The values come back as they came.
fn mark(mut extensions: &mut [u8]) {
    /// Flags: not understood; longer than what is left.
    const UNKNOWN: u8 = 0x80;
    const MALFORMED: u8 = 0x40;
    /// Extra Padding (RFC 8972, 4.1): the one that asks for nothing but to come back.
    const PADDING: u8 = 1;
    while let Some((head, rest)) = extensions.split_first_chunk_mut::<4>() {
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        head[0] = if head[1] == PADDING { 0 } else { UNKNOWN };
        match rest.split_at_mut_checked(length) {
            Some((_, next)) => extensions = next,
            None => {
                head[0] |= MALFORMED;
                return;
            }
        }
    }
}

/// Sets the time at which a reply leaves, as late as its sender can.
pub fn depart(reply: &mut [u8], wall: Duration) {
    if let Some(timestamp) = reply.get_mut(4..12) {
        timestamp.copy_from_slice(&Timestamp::ntp(wall).0.to_be_bytes());
    }
}

#[cfg(test)]
mod tests;
