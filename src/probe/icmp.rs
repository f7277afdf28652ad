//! ICMP echo (RFC 792) as bytes: the request, and what a raw socket receives. Pure.
//!
//! ```text
//! type 8 | code 0 | checksum | identifier | sequence, low half   RFC 792
//! session | sequence | cookie | 40 zero bytes                    ours, and echoed as it is
//! ```

use std::net::Ipv4Addr;

use super::checksum::checksum;
use super::refusal::Cause;

/// Bytes of a request: 8 of header and the 56 of payload that ping(8) and fping(8) send, so that a slow link
/// takes as long over it.
pub const LENGTH: usize = 64;

/// Types of ICMP messages (RFC 792).
pub(super) const ECHO_REPLY: u8 = 0;
pub(super) const UNREACHABLE: u8 = 3;
const ECHO: u8 = 8;
pub(super) const TIME_EXCEEDED: u8 = 11;

/// `IPPROTO_ICMP`.
const PROTOCOL: u8 = 1;

/// What a probe carries to its target and back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Echo {
    /// One for all probes of a process: others ping from the same host.
    pub ident: u16,
    /// Which session it belongs to: the sender's own number.
    pub session: u32,
    pub sequence: u32,
    /// What nobody can know who has not seen the request.
    pub cookie: u64,
}

/// What an ICMP error quotes of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quoted {
    /// Where the probe went.
    pub to: Ipv4Addr,
    pub ident: u16,
    /// The low half of the sequence number.
    pub low: u16,
    /// The whole, from who quotes more than the 8 bytes that RFC 792 demands.
    pub echo: Option<Echo>,
}

/// A message that concerns echo requests of somebody on this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    Reply {
        from: Ipv4Addr,
        ident: u16,
        /// `None`: not in our form, so none of ours.
        echo: Option<Echo>,
    },
    Error {
        from: Ipv4Addr,
        cause: Cause,
        quoted: Quoted,
    },
}

/// The request as it goes to a raw socket, which puts the IPv4 header before it.
pub fn request(echo: &Echo) -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    let [_, _, high, low] = echo.sequence.to_be_bytes();
    bytes[0] = ECHO;
    bytes[4..6].copy_from_slice(&echo.ident.to_be_bytes());
    bytes[6..8].copy_from_slice(&[high, low]);
    bytes[8..12].copy_from_slice(&echo.session.to_be_bytes());
    bytes[12..16].copy_from_slice(&echo.sequence.to_be_bytes());
    bytes[16..24].copy_from_slice(&echo.cookie.to_be_bytes());
    let sum = checksum(&bytes);
    bytes[2..4].copy_from_slice(&sum.to_be_bytes());
    bytes
}

/// A request of ours at the end of a packet, with all headers that the kernel put before it.
pub fn sent(packet: &[u8]) -> Option<Echo> {
    let message = packet.last_chunk::<LENGTH>()?;
    (message[0] == ECHO && message[1] == 0).then(|| echo(message)).flatten()
}

/// Reads what a raw socket received, IPv4 header and all. `None`: malformed, or nothing that concerns an echo.
pub fn parse(packet: &[u8]) -> Option<Heard> {
    let (header, message) = Header::split(packet)?;
    let (kind, code) = (*message.first()?, *message.get(1)?);
    let concerns = header.protocol == PROTOCOL && header.first && checksum(message) == 0;
    if !concerns || message.len() < 8 {
        return None;
    }
    match (kind, code) {
        (ECHO_REPLY, 0) => {
            let echo = (message.len() == LENGTH).then(|| echo(message)).flatten();
            Some(Heard::Reply { from: header.from, ident: word(message, 4)?, echo })
        }
        (UNREACHABLE | TIME_EXCEEDED, _) => {
            let quoted = quoted(message.get(8..)?)?;
            Some(Heard::Error { from: header.from, cause: Cause::new(kind, code), quoted })
        }
        _ => None,
    }
}

/// What of an IPv4 header (RFC 791) matters here.
struct Header {
    from: Ipv4Addr,
    to: Ipv4Addr,
    protocol: u8,
    /// No fragment but the first has a header of ICMP.
    first: bool,
}

impl Header {
    /// The header and what follows it.
    fn split(packet: &[u8]) -> Option<(Self, &[u8])> {
        let fixed = packet.first_chunk::<20>()?;
        let length = usize::from(fixed[0] & 0x0f) * 4;
        if fixed[0] >> 4 != 4 || length < 20 {
            return None;
        }
        let address = |at: usize| Some(Ipv4Addr::from(*packet.get(at..)?.first_chunk::<4>()?));
        let header = Self {
            from: address(12)?,
            to: address(16)?,
            protocol: fixed[9],
            first: u16::from_be_bytes([fixed[6], fixed[7]]) & 0x1fff == 0,
        };
        Some((header, packet.get(length..)?))
    }
}

fn quoted(packet: &[u8]) -> Option<Quoted> {
    let (header, message) = Header::split(packet)?;
    let ours = header.protocol == PROTOCOL && header.first && message.first_chunk::<2>()? == &[ECHO, 0];
    let quoted =
        Quoted { to: header.to, ident: word(message, 4)?, low: word(message, 6)?, echo: echo(message) };
    ours.then_some(quoted)
}

/// Our payload, of a message whose type was looked at.
fn echo(message: &[u8]) -> Option<Echo> {
    let number = |at: usize| Some(u32::from_be_bytes(*message.get(at..)?.first_chunk()?));
    let (session, sequence) = (number(8)?, number(12)?);
    let cookie = u64::from_be_bytes(*message.get(16..)?.first_chunk()?);
    let echo = Echo { ident: word(message, 4)?, session, sequence, cookie };
    (u32::from(word(message, 6)?) == sequence & 0xffff).then_some(echo)
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ECHO_OF_TEST: Echo =
        Echo { ident: 0x4748, session: 7, sequence: 0x0102_0304, cookie: 0x1122_3344_5566_7788 };

    /// An IPv4 packet from 192.0.2.1 to 192.0.2.9 around a message.
    fn packet(message: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, PROTOCOL, 0, 0, 192, 0, 2, 1, 192, 0, 2, 9];
        packet.extend(message);
        packet
    }

    fn with_checksum(mut message: Vec<u8>) -> Vec<u8> {
        message[2..4].fill(0);
        let sum = checksum(&message);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        message
    }

    /// What a target makes of a request.
    fn reply() -> Vec<u8> {
        let mut message = request(&ECHO_OF_TEST).to_vec();
        message[0] = ECHO_REPLY;
        packet(&with_checksum(message))
    }

    fn error(kind: u8, code: u8, quote: &[u8]) -> Vec<u8> {
        let mut message = vec![kind, code, 0, 0, 0, 0, 0, 0];
        message.extend(packet(quote));
        packet(&with_checksum(message))
    }

    #[test]
    fn a_request_byte_by_byte() {
        let bytes = request(&ECHO_OF_TEST);
        let golden = [
            8, 0, 0x98, 0x51, 0x47, 0x48, 3, 4, 0, 0, 0, 7, 1, 2, 3, 4, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66,
            0x77, 0x88,
        ];
        assert_eq!(bytes[..24], golden);
        assert_eq!(bytes[24..], [0; 40]);
    }

    #[test]
    fn a_reply_brings_back_what_was_sent() {
        let from = Ipv4Addr::new(192, 0, 2, 1);
        assert_eq!(
            parse(&reply()),
            Some(Heard::Reply { from, ident: ECHO_OF_TEST.ident, echo: Some(ECHO_OF_TEST) })
        );
    }

    #[test]
    fn a_reply_to_somebody_elses_ping_is_told_apart() {
        let message = with_checksum(vec![0, 0, 0, 0, 9, 9, 0, 1]);
        let from = Ipv4Addr::new(192, 0, 2, 1);
        assert_eq!(parse(&packet(&message)), Some(Heard::Reply { from, ident: 0x0909, echo: None }));
    }

    #[test]
    fn an_error_quotes_a_probe_in_whole_or_in_eight_bytes() {
        let request = request(&ECHO_OF_TEST);
        for (length, echo) in [(LENGTH, Some(ECHO_OF_TEST)), (8, None)] {
            let Some(Heard::Error { cause, quoted, .. }) = parse(&error(3, 1, &request[..length])) else {
                panic!("no error with {length} bytes quoted");
            };
            let to = Ipv4Addr::new(192, 0, 2, 9);
            assert_eq!(cause.to_string(), "host unreachable");
            assert_eq!(quoted, Quoted { to, ident: ECHO_OF_TEST.ident, low: 0x0304, echo });
        }
        assert_eq!(parse(&error(3, 1, &request[..7])), None);
        assert_eq!(parse(&error(5, 1, &request)), None, "a redirect");
    }

    #[test]
    fn what_is_damaged_is_nothing() {
        for at in 20..reply().len() {
            let mut packet = reply();
            packet[at] ^= 0x10;
            assert_eq!(parse(&packet), None, "byte {at}");
        }
    }

    #[test]
    fn a_request_is_found_behind_any_headers() {
        let request = request(&ECHO_OF_TEST);
        let headers = [0xff; 90];
        assert_eq!(sent(&[&headers[..], &request].concat()), Some(ECHO_OF_TEST));
        assert_eq!(sent(&request[1..]), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = sent(&bytes);
            if let Some(Heard::Reply { .. } | Heard::Error { .. }) = parse(&bytes) {
                prop_assert_eq!(bytes[0] >> 4, 4);
            }
        }

        #[test]
        fn no_part_of_a_reply_is_one_of_ours(length in 0_usize..84) {
            let heard = parse(&reply()[..length]);
            prop_assert!(matches!(heard, None | Some(Heard::Reply { echo: None, .. })), "{:?}", heard);
        }

        #[test]
        fn what_is_sent_is_read(ident: u16, session: u32, sequence: u32, cookie: u64) {
            let echo = Echo { ident, session, sequence, cookie };
            prop_assert_eq!(sent(&request(&echo)), Some(echo));
        }
    }
}
