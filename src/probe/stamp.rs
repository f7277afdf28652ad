//! STAMP (RFC 8762) as bytes: the packets of Session-Sender and Session-Reflector. Pure.
//!
//! ```text
//! sender     sequence 4 | timestamp 8 | error estimate 2 | session identifier 2 | zero 28
//! reflector  sequence 4 | timestamp 8 | error estimate 2 | session identifier 2 | received 8
//!            sender's: sequence 4 | timestamp 8 | error estimate 2 | zero 2 | TTL 1 | zero 3
//! ```
//! What follows are extensions (RFC 8972), which are not needed to read the rest.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::ntp::{Format, Timestamp};

/// Bytes of either packet, unauthenticated and without extensions (RFC 8762, 4.2.1 and 4.3.1).
pub const LENGTH: usize = Mode::Unauthenticated.length();

/// `IPPROTO_UDP`.
const UDP: u8 = 17;

/// The port that reflectors listen on (RFC 8762, 4.1).
pub const PORT: u16 = 862;

/// How packets are protected (RFC 8762, 4.2 and 4.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    #[default]
    Unauthenticated,
}

impl Mode {
    /// Bytes of the shortest packet.
    pub const fn length(self) -> usize {
        match self {
            Self::Unauthenticated => 44,
        }
    }
}

/// How good a timestamp is: |S|Z|Scale 6|Multiplier 8| (RFC 4656, 4.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorEstimate(pub u16);

impl ErrorEstimate {
    /// NTP format, a clock that nobody vouches for, an error of 2^(`scale` - 32) s; `scale` at most 63.
    pub const fn unsynchronised(scale: u8) -> Self {
        // A multiplier of 0 would be no valid estimate (RFC 4656, 4.1.2).
        Self(((scale as u16 & 0x3f) << 8) | 1)
    }

    /// The format of the timestamps beside it: the Z bit (RFC 8186, 2.3).
    pub fn format(self) -> Format {
        if self.0 & 0x4000 == 0 { Format::Ntp } else { Format::Ptp }
    }
}

/// What a Session-Sender sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    pub sequence: u32,
    pub timestamp: Timestamp,
    pub error: ErrorEstimate,
    /// STAMP Session Identifier (RFC 8972, 3); 0 where it is not in use.
    pub session: u16,
}

/// What a Session-Reflector sends back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The reflector's own when it is stateful, else the sender's.
    pub sequence: u32,
    /// When the reply left.
    pub timestamp: Timestamp,
    pub error: ErrorEstimate,
    pub session: u16,
    /// When the request came.
    pub received: Timestamp,
    pub sender_sequence: u32,
    pub sender_timestamp: Timestamp,
    pub sender_error: ErrorEstimate,
    /// What was left of the request's TTL when it came.
    pub sender_ttl: u8,
}

impl Request {
    pub fn encode(&self) -> [u8; LENGTH] {
        let mut bytes = [0; LENGTH];
        bytes[0..4].copy_from_slice(&self.sequence.to_be_bytes());
        bytes[4..12].copy_from_slice(&self.timestamp.0.to_be_bytes());
        bytes[12..14].copy_from_slice(&self.error.0.to_be_bytes());
        bytes[14..16].copy_from_slice(&self.session.to_be_bytes());
        bytes
    }

    /// `None`: too short. Bytes that must be zero are not looked at (RFC 8762, 4.2.1), nor is what follows.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.first_chunk::<LENGTH>()?;
        Some(Self {
            sequence: u32::from_be_bytes(*bytes[0..].first_chunk()?),
            timestamp: Timestamp(u64::from_be_bytes(*bytes[4..].first_chunk()?)),
            error: ErrorEstimate(u16::from_be_bytes(*bytes[12..].first_chunk()?)),
            session: u16::from_be_bytes(*bytes[14..].first_chunk()?),
        })
    }

    /// A request of ours at the end of a packet, behind all headers that the kernel put before it, and where
    /// it goes.
    pub fn sent(packet: &[u8]) -> Option<(Ipv4Addr, Self)> {
        let (headers, request) = packet.split_last_chunk::<LENGTH>()?;
        // IPv4 without options (RFC 791), then UDP (RFC 768).
        let (ipv4, _) = headers.last_chunk::<28>()?.split_first_chunk::<20>()?;
        let to = Ipv4Addr::from(*ipv4.last_chunk::<4>()?);
        (ipv4[0] == 0x45 && ipv4[9] == UDP).then_some((to, Self::decode(request)?))
    }
}

impl Reply {
    pub fn encode(&self) -> [u8; LENGTH] {
        // It begins as a request does.
        let Self { sequence, timestamp, error, session, .. } = *self;
        let mut bytes = Request { sequence, timestamp, error, session }.encode();
        bytes[16..24].copy_from_slice(&self.received.0.to_be_bytes());
        bytes[24..28].copy_from_slice(&self.sender_sequence.to_be_bytes());
        bytes[28..36].copy_from_slice(&self.sender_timestamp.0.to_be_bytes());
        bytes[36..38].copy_from_slice(&self.sender_error.0.to_be_bytes());
        bytes[40] = self.sender_ttl;
        bytes
    }

    /// `None`: too short. Bytes that must be zero are not looked at (RFC 8762, 4.3.1), nor is what follows.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.first_chunk::<LENGTH>()?;
        let Request { sequence, timestamp, error, session } = Request::decode(bytes)?;
        Some(Self {
            sequence,
            timestamp,
            error,
            session,
            received: Timestamp(u64::from_be_bytes(*bytes[16..].first_chunk()?)),
            sender_sequence: u32::from_be_bytes(*bytes[24..].first_chunk()?),
            sender_timestamp: Timestamp(u64::from_be_bytes(*bytes[28..].first_chunk()?)),
            sender_error: ErrorEstimate(u16::from_be_bytes(*bytes[36..].first_chunk()?)),
            sender_ttl: bytes[40],
        })
    }

    /// How long the reflector had the packet. `None`: its timestamps do not say.
    pub fn processing(&self) -> Option<Duration> {
        self.timestamp.since(self.received, self.error.format())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const REQUEST: Request = Request {
        sequence: 0x0102_0304,
        timestamp: Timestamp(0x1112_1314_1516_1718),
        error: ErrorEstimate::unsynchronised(16),
        session: 0x2122,
    };

    const REPLY: Reply = Reply {
        sequence: 0x0102_0304,
        timestamp: Timestamp(0x1112_1314_1516_1718),
        error: ErrorEstimate(0x8001),
        session: 0x2122,
        received: Timestamp(0x3132_3334_3536_3738),
        sender_sequence: 0x4142_4344,
        sender_timestamp: Timestamp(0x5152_5354_5556_5758),
        sender_error: ErrorEstimate(0x1001),
        sender_ttl: 0x61,
    };

    #[test]
    fn a_request_byte_by_byte() {
        let golden = [1, 2, 3, 4, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x10, 0x01, 0x21, 0x22];
        let bytes = REQUEST.encode();
        assert_eq!(bytes[..16], golden);
        assert_eq!(bytes[16..], [0; 28]);
    }

    #[test]
    fn a_reply_byte_by_byte() {
        let golden = [
            0x01, 0x02, 0x03, 0x04, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x80, 0x01, 0x21, 0x22,
            0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38, 0x41, 0x42, 0x43, 0x44, 0x51, 0x52, 0x53, 0x54,
            0x55, 0x56, 0x57, 0x58, 0x10, 0x01, 0x00, 0x00, 0x61, 0x00, 0x00, 0x00,
        ];
        assert_eq!(REPLY.encode(), golden);
    }

    #[test]
    fn the_reflectors_own_time_is_read_in_its_format() {
        let ntp = Reply {
            error: ErrorEstimate(0x0001),
            received: Timestamp(1 << 32),
            timestamp: Timestamp((1 << 32) | 0x4000_0000),
            ..REPLY
        };
        assert_eq!(ntp.processing(), Some(Duration::from_millis(250)));
        let ptp = Reply { error: ErrorEstimate(0x4001), timestamp: Timestamp((1 << 32) | 5), ..ntp };
        assert_eq!(ptp.processing(), Some(Duration::from_nanos(5)));
        assert_eq!(Reply { received: Timestamp(2 << 32), ..ntp }.processing(), None);
    }

    #[test]
    fn a_request_is_found_behind_any_headers() {
        let mut packet = vec![0xff; 14 + 20 + 4];
        packet.extend([0x45, 0, 0, 72, 0, 0, 0, 0, 64, UDP, 0, 0, 192, 0, 2, 9, 192, 0, 2, 1]);
        packet.extend([0xff; 8]);
        packet.extend(REQUEST.encode());
        assert_eq!(Request::sent(&packet), Some((Ipv4Addr::new(192, 0, 2, 1), REQUEST)));
        assert_eq!(Request::sent(&packet[1..]), Request::sent(&packet));
        assert_eq!(Request::sent(&packet[..packet.len() - 1]), None);
    }

    #[test]
    fn extensions_do_not_disturb() {
        let extended = [&REPLY.encode()[..], &[0x80, 1, 0, 4, 0, 0, 0, 0]].concat();
        assert_eq!(Reply::decode(&extended), Some(REPLY));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_harm_and_none_too_short(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            let whole = bytes.len() >= LENGTH;
            prop_assert_eq!(Request::decode(&bytes).is_some(), whole);
            prop_assert!(Request::sent(&bytes).is_none() || bytes.len() >= LENGTH + 28);
            let reply = Reply::decode(&bytes);
            prop_assert_eq!(reply.is_some(), whole);
            let _ = reply.and_then(|reply| reply.processing());
        }

        #[test]
        fn what_is_written_is_read(sequence: u32, timestamp: u64, error: u16, session: u16, ttl: u8) {
            let request = Request {
                sequence,
                timestamp: Timestamp(timestamp),
                error: ErrorEstimate(error),
                session,
            };
            prop_assert_eq!(Request::decode(&request.encode()), Some(request));
            let reply = Reply { sequence, sender_timestamp: Timestamp(timestamp), sender_ttl: ttl, ..REPLY };
            prop_assert_eq!(Reply::decode(&reply.encode()), Some(reply));
        }
    }
}
