//! The control messages beside a datagram (cmsg(3)) as bytes. Pure.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::refusal::Cause;

/// Bytes of a header, and the alignment of headers and data (`CMSG_ALIGN`, linux/socket.h).
const HEADER: usize = size_of::<libc::cmsghdr>();
const ALIGN: usize = size_of::<usize>();

/// Bytes of `struct in_pktinfo` (ip(7)).
const PKTINFO: usize = size_of::<libc::in_pktinfo>();

/// Room for one `IP_PKTINFO` message.
pub const SEND: usize = (HEADER + PKTINFO).next_multiple_of(ALIGN);

/// `SO_EE_ORIGIN_ICMP` (linux/errqueue.h).
const ORIGIN_ICMP: u8 = 2;

/// What the kernel says of a datagram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Control {
    /// When it left or came, since 1970.
    pub stamp: Option<Duration>,
    pub arrival: Option<Arrival>,
    pub ttl: Option<u8>,
    pub complaint: Option<Complaint>,
}

/// Where a datagram came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The ifindex that it came in by.
    pub link: u32,
    /// The address of this host that it is for.
    pub local: Ipv4Addr,
    /// The destination in its header.
    pub to: Ipv4Addr,
}

/// An ICMP error about a datagram that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Complaint {
    pub cause: Cause,
    pub who: Ipv4Addr,
}

/// The `IP_PKTINFO` message by which a packet leaves from a source and by a link.
pub fn route(source: Option<Ipv4Addr>, link: Option<u32>) -> [u8; SEND] {
    let mut bytes = [0; SEND];
    let message = HEADER + PKTINFO;
    bytes[..size_of::<usize>()].copy_from_slice(&message.to_ne_bytes());
    bytes[HEADER - 8..HEADER - 4].copy_from_slice(&libc::IPPROTO_IP.to_ne_bytes());
    bytes[HEADER - 4..HEADER].copy_from_slice(&libc::IP_PKTINFO.to_ne_bytes());
    bytes[HEADER..HEADER + 4].copy_from_slice(&link.unwrap_or(0).to_ne_bytes());
    bytes[HEADER + 4..HEADER + 8].copy_from_slice(&source.unwrap_or(Ipv4Addr::UNSPECIFIED).octets());
    bytes
}

/// Reads all messages. What is malformed or unknown is passed over.
pub fn read(mut bytes: &[u8]) -> Control {
    let mut control = Control::default();
    while let Some((level, kind, data, rest)) = next(bytes) {
        match (level, kind) {
            (libc::SOL_SOCKET, libc::SCM_TIMESTAMPING) => control.stamp = stamp(data),
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => control.arrival = arrival(data),
            (libc::IPPROTO_IP, libc::IP_TTL) => {
                control.ttl = int(data).and_then(|ttl| u8::try_from(ttl).ok());
            }
            (libc::IPPROTO_IP, libc::IP_RECVERR) => control.complaint = complaint(data),
            _ => {}
        }
        bytes = rest;
    }
    control
}

/// The first message: level, type, data, and what follows.
fn next(bytes: &[u8]) -> Option<(i32, i32, &[u8], &[u8])> {
    let length = usize::from_ne_bytes(*bytes.first_chunk()?);
    let header = bytes.get(..HEADER)?;
    let (level, kind) = (int(header.get(HEADER - 8..)?)?, int(header.get(HEADER - 4..)?)?);
    let data = bytes.get(HEADER..length)?;
    let end = length.checked_next_multiple_of(ALIGN)?.min(bytes.len());
    Some((level, kind, data, bytes.get(end..)?))
}

fn int(bytes: &[u8]) -> Option<i32> {
    Some(i32::from_ne_bytes(*bytes.first_chunk()?))
}

fn address(bytes: &[u8]) -> Option<Ipv4Addr> {
    Some(Ipv4Addr::from(*bytes.first_chunk::<4>()?))
}

/// The first of three timespecs: the software one (`struct scm_timestamping`, linux/errqueue.h).
fn stamp(data: &[u8]) -> Option<Duration> {
    let seconds = u64::try_from(i64::from_ne_bytes(*data.first_chunk()?)).ok()?;
    let nanos = u32::try_from(i64::from_ne_bytes(*data.get(8..)?.first_chunk()?)).ok()?;
    // All zero: there is none.
    (seconds > 0 && nanos < 1_000_000_000).then(|| Duration::new(seconds, nanos))
}

fn arrival(data: &[u8]) -> Option<Arrival> {
    let link = u32::try_from(int(data)?).ok()?;
    Some(Arrival { link, local: address(data.get(4..)?)?, to: address(data.get(8..)?)? })
}

/// `struct sock_extended_err`, and behind it the address of who complains.
fn complaint(data: &[u8]) -> Option<Complaint> {
    let (origin, kind, code) = (*data.get(4)?, *data.get(5)?, *data.get(6)?);
    // A `struct sockaddr_in` has the address behind family and port.
    let who = address(data.get(16 + 4..)?)?;
    (origin == ORIGIN_ICMP).then_some(Complaint { cause: Cause::new(kind, code), who })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(level: i32, kind: i32, data: &[u8]) -> Vec<u8> {
        let mut bytes = (HEADER + data.len()).to_ne_bytes().to_vec();
        bytes.extend(level.to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(data);
        bytes.resize(bytes.len().next_multiple_of(ALIGN), 0);
        bytes
    }

    #[test]
    fn a_source_and_a_link_are_said_as_they_are_read() {
        let source = Ipv4Addr::new(198, 51, 100, 8);
        let arrival = Arrival { link: 7, local: source, to: Ipv4Addr::UNSPECIFIED };
        let expected = Control { arrival: Some(arrival), ..Control::default() };
        assert_eq!(read(&route(Some(source), Some(7))), expected);
    }

    #[test]
    fn all_messages_are_read_and_unknown_ones_passed_over() {
        let mut bytes = message(1, 99, &[1, 2, 3]);
        let spec: Vec<u8> = [5_i64, 6].iter().flat_map(|part| part.to_ne_bytes()).collect();
        bytes.extend(message(libc::SOL_SOCKET, libc::SCM_TIMESTAMPING, &[&spec[..], &[0; 32]].concat()));
        bytes.extend(message(libc::IPPROTO_IP, libc::IP_TTL, &61_i32.to_ne_bytes()));
        let mut error = vec![111, 0, 0, 0, ORIGIN_ICMP, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        error.extend([2, 0, 0, 0, 192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
        bytes.extend(message(libc::IPPROTO_IP, libc::IP_RECVERR, &error));
        let control = read(&bytes);
        assert_eq!(control.stamp, Some(Duration::new(5, 6)));
        assert_eq!(control.ttl, Some(61));
        let complaint = control.complaint.unwrap();
        assert_eq!(complaint.cause.said_by(complaint.who), "port unreachable, says 192.0.2.1");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            read(&bytes);
        }

        #[test]
        fn any_data_is_read_without_harm(kind in 0..12_i32, data in prop::collection::vec(any::<u8>(), 0..60)) {
            read(&message(libc::IPPROTO_IP, kind, &data));
            read(&message(libc::SOL_SOCKET, libc::SCM_TIMESTAMPING, &data));
        }
    }
}
