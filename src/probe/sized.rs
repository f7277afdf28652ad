//! Echo requests of any size, and what ICMP says of those and of GRE packets, as bytes. Pure.
//!
//! Which sizes are asked for is here too: the largest packet of a path is between one that passed and one that did not.

use std::net::Ipv4Addr;

use super::checksum::checksum;
use super::icmp::{ECHO_REPLY, UNREACHABLE};
use super::refusal::Cause;

/// Bytes of the headers of IPv4 and of an echo request (RFC 791, RFC 792).
pub const HEADERS: u32 = 20 + 8;

/// Bytes of the smallest packet that is sent: as ping(8) sends it. Every link carries 576 (RFC 791).
pub const SMALL: u32 = HEADERS + 56;

/// So many sizes are tried at once: the range between two sizes becomes a sixteenth of it.
const STEPS: u32 = 15;

/// The most sizes that are tried at once: with what somebody said, and one byte more.
pub const MOST_SIZES: u32 = STEPS + 2;

/// The codes of who could be reached and does not take GRE: no such protocol, no such port (nor tunnel, to Linux), or
/// forbidden (RFC 792; RFC 1812, 5.2.7.1).
const REFUSING: [u8; 5] = [2, 3, 9, 10, 13];

/// The code of "fragmentation needed" (RFC 1191).
const TOO_BIG: u8 = 4;

const ECHO: u8 = 8;
const PROTOCOL_ICMP: u8 = 1;
const PROTOCOL_GRE: u8 = 47;

/// What a raw socket heard that concerns us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Somebody answers an echo request.
    Reply { from: Ipv4Addr, ident: u16, sequence: u16 },
    /// An echo request is too big for the next link, which carries `mtu` bytes.
    TooBig { from: Ipv4Addr, to: Ipv4Addr, ident: u16, mtu: u32 },
    /// A GRE packet between these outer addresses, ours first, is not taken.
    Gre { from: Ipv4Addr, pair: (Ipv4Addr, Ipv4Addr), cause: Cause },
}

/// An echo request that makes a packet of `size` bytes; [`SMALL`] or more.
pub fn request(ident: u16, sequence: u16, size: u32) -> Vec<u8> {
    let length = size.max(SMALL) - HEADERS + 8;
    let mut bytes = vec![0; length as usize];
    let words = [ident.to_be_bytes(), sequence.to_be_bytes()].concat();
    bytes.iter_mut().zip([ECHO, 0, 0, 0].iter().chain(&words)).for_each(|(to, from)| *to = *from);
    let sum = checksum(&bytes);
    bytes.iter_mut().skip(2).zip(sum.to_be_bytes()).for_each(|(to, from)| *to = from);
    bytes
}

/// Reads what a raw socket received, IPv4 header and all. `None`: nothing that concerns us.
pub fn read(packet: &[u8]) -> Option<Heard> {
    let (from, _, protocol, message) = split(packet)?;
    if protocol != PROTOCOL_ICMP {
        return None;
    }
    let (kind, code) = (*message.first()?, *message.get(1)?);
    match kind {
        ECHO_REPLY => Some(Heard::Reply { from, ident: word(message, 4)?, sequence: word(message, 6)? }),
        UNREACHABLE => {
            let (source, to, protocol, quoted) = split(message.get(8..)?)?;
            match protocol {
                PROTOCOL_GRE if REFUSING.contains(&code) => {
                    Some(Heard::Gre { from, pair: (source, to), cause: Cause::new(kind, code) })
                }
                PROTOCOL_ICMP if code == TOO_BIG => {
                    Some(Heard::TooBig { from, to, ident: word(quoted, 4)?, mtu: word(message, 6)?.into() })
                }
                _ => None,
            }
        }
        _ => None,
    }
}

/// The sizes to try between one that passed and one that did not; none when the largest is known. `told`: what
/// somebody said that a link carries.
pub fn between(passed: u32, not: u32, told: Option<u32>) -> Vec<u32> {
    let span = not.saturating_sub(passed);
    let step =
        |n: u32| passed + u32::try_from(u64::from(span) * u64::from(n) / u64::from(STEPS + 1)).unwrap_or(0);
    let told = told.into_iter().flat_map(|mtu| [mtu, mtu.saturating_add(1)]);
    let mut sizes: Vec<u32> = (1..=STEPS).map(step).chain(told).collect();
    sizes.retain(|size| (passed + 1..not).contains(size));
    sizes.sort_unstable();
    sizes.dedup();
    sizes
}

/// Source, destination, protocol and payload of an IPv4 packet.
fn split(packet: &[u8]) -> Option<(Ipv4Addr, Ipv4Addr, u8, &[u8])> {
    let fixed = packet.first_chunk::<20>()?;
    let length = usize::from(fixed[0] & 0x0f) * 4;
    let address = |at: usize| Some(Ipv4Addr::from(*packet.get(at..)?.first_chunk::<4>()?));
    (fixed[0] >> 4 == 4 && length >= 20).then_some(())?;
    Some((address(12)?, address(16)?, fixed[9], packet.get(length..)?))
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HERE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
    const ROUTER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 254);
    const THERE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);

    fn packet(from: Ipv4Addr, to: Ipv4Addr, protocol: u8, payload: &[u8]) -> Vec<u8> {
        let mut header = [0; 20];
        (header[0], header[9]) = (0x45, protocol);
        header[12..16].copy_from_slice(&from.octets());
        header[16..20].copy_from_slice(&to.octets());
        [&header, payload].concat()
    }

    fn error(code: u8, mtu: u16, quoted: &[u8]) -> Vec<u8> {
        let [high, low] = mtu.to_be_bytes();
        packet(ROUTER, HERE, PROTOCOL_ICMP, &[&[UNREACHABLE, code, 0, 0, 0, 0, high, low], quoted].concat())
    }

    #[test]
    fn a_request_is_as_long_as_asked_for_and_sound() {
        for size in [SMALL, 576, 1500] {
            let request = request(7, 9, size);
            assert_eq!(request.len() as u32 + 20, size);
            assert_eq!(checksum(&request), 0);
        }
    }

    #[test]
    fn replies_and_complaints_are_told_apart() {
        let mut reply = request(7, 9, SMALL);
        reply[0] = ECHO_REPLY;
        let heard = read(&packet(THERE, HERE, PROTOCOL_ICMP, &reply));
        assert_eq!(heard, Some(Heard::Reply { from: THERE, ident: 7, sequence: 9 }));

        let sent = packet(HERE, THERE, PROTOCOL_ICMP, &request(7, 9, SMALL)[..8]);
        let heard = read(&error(TOO_BIG, 1400, &sent));
        assert_eq!(heard, Some(Heard::TooBig { from: ROUTER, to: THERE, ident: 7, mtu: 1400 }));
        assert_eq!(read(&error(3, 0, &sent)), None, "the engine hears of refused echoes");

        let gre = packet(HERE, THERE, PROTOCOL_GRE, &[0; 8]);
        let heard = read(&error(3, 0, &gre));
        let cause = Cause::new(UNREACHABLE, 3);
        assert_eq!(heard, Some(Heard::Gre { from: ROUTER, pair: (HERE, THERE), cause }));
        assert_eq!(read(&error(TOO_BIG, 1400, &gre)), None, "it is not the protocol that is refused");
        assert_eq!(read(&error(1, 0, &gre)), None, "the host cannot be reached by any");
    }

    #[test]
    fn what_was_told_is_tried_itself() {
        let sizes = between(SMALL, 1500, Some(1400));
        assert!(sizes.contains(&1400) && sizes.contains(&1401), "{sizes:?}");
        assert!(!between(SMALL, 1500, Some(68)).contains(&68));
    }

    proptest! {
        #[test]
        fn the_largest_is_found_in_a_few_rounds(largest in SMALL..1500, told in prop::option::of(0_u32..2000)) {
            let (mut passed, mut not) = (SMALL, 1500);
            for _ in 0..3 {
                for size in between(passed, not, told) {
                    if size <= largest { passed = passed.max(size) } else { not = not.min(size) }
                }
            }
            prop_assert_eq!(passed, largest);
            prop_assert!(between(passed, not, told).is_empty());
        }

        #[test]
        fn any_bytes_are_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            read(&bytes);
        }
    }
}
