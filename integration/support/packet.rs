//! What scenarios ask about a packet: IPv4, and inside it UDP, ICMP or GRE with another such packet.

use std::fmt;
use std::net::Ipv4Addr;

pub const ICMP: u8 = 1;
pub const IGMP: u8 = 2;
pub const UDP: u8 = 17;
pub const GRE: u8 = 47;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    pub source: Ipv4Addr,
    pub destination: Ipv4Addr,
    pub protocol: u8,
    pub ttl: u8,
    pub tos: u8,
    pub dont_fragment: bool,
    /// Of the whole packet, as its header states it.
    pub length: u16,
    /// Source and destination, when it is UDP.
    pub ports: Option<(u16, u16)>,
    pub gre: Option<Gre>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gre {
    pub key: Option<u32>,
    /// Absent when it is not IPv4.
    pub inner: Option<Box<Packet>>,
}

impl Packet {
    /// The packet in these bytes; `None` when they hold no whole IPv4 header.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let first = *bytes.first()?;
        let header = usize::from(first & 0x0f) * 4;
        if first >> 4 != 4 || header < 20 || bytes.len() < header {
            return None;
        }
        let protocol = bytes[9];
        let payload = &bytes[header..];
        Some(Self {
            source: address(&bytes[12..16]),
            destination: address(&bytes[16..20]),
            protocol,
            ttl: bytes[8],
            tos: bytes[1],
            dont_fragment: bytes[6] & 0x40 != 0,
            length: u16::from_be_bytes([bytes[2], bytes[3]]),
            ports: if protocol == UDP { ports(payload) } else { None },
            gre: if protocol == GRE { Gre::decode(payload) } else { None },
        })
    }

    /// What it carries through GRE, when it does.
    pub fn inner(&self) -> Option<&Packet> {
        self.gre.as_ref()?.inner.as_deref()
    }
}

impl Gre {
    /// Version 0, with the optional checksum, key and sequence number (RFC 2890).
    fn decode(bytes: &[u8]) -> Option<Self> {
        const CHECKSUM: u8 = 0x80;
        const KEY: u8 = 0x20;
        const SEQUENCE: u8 = 0x10;
        let flags = *bytes.first()?;
        let ethertype = u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?]);
        let mut at = 4 + if flags & CHECKSUM != 0 { 4 } else { 0 };
        let mut key = None;
        if flags & KEY != 0 {
            key = Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
            at += 4;
        }
        at += if flags & SEQUENCE != 0 { 4 } else { 0 };
        let inner = if ethertype == 0x0800 { Packet::decode(bytes.get(at..)?).map(Box::new) } else { None };
        Some(Self { key, inner })
    }
}

fn ports(udp: &[u8]) -> Option<(u16, u16)> {
    Some((
        u16::from_be_bytes([*udp.first()?, *udp.get(1)?]),
        u16::from_be_bytes([*udp.get(2)?, *udp.get(3)?]),
    ))
}

fn address(bytes: &[u8]) -> Ipv4Addr {
    Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3])
}

impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} > {}", self.source, self.destination)?;
        match (self.protocol, self.ports) {
            (UDP, Some((from, to))) => write!(f, " udp {from} > {to}")?,
            (ICMP, _) => write!(f, " icmp")?,
            (IGMP, _) => write!(f, " igmp")?,
            (GRE, _) => write!(f, " gre")?,
            (other, _) => write!(f, " protocol {other}")?,
        }
        write!(f, " ttl {} length {}", self.ttl, self.length)?;
        match self.inner() {
            Some(inner) => write!(f, " [{inner}]"),
            None => Ok(()),
        }
    }
}
