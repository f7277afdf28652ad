//! nftables asked in few bytes: has anything been changed, is a table there, what has a counter counted. Changing it
//! and listing it whole is `nft`'s.

use netlink_packet_core::{NLM_F_REQUEST, NLMSG_ERROR, NlasIterator};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER};
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, setsockopt, sockopt};
use nix::sys::time::{TimeVal, TimeValLike};

use super::answer::{Answer, answers, verdict};
use super::error::Error;
use super::socket::{DATAGRAM, NLMSG_ALIGN};

/// `NFNL_SUBSYS_NFTABLES` (linux/netfilter/nfnetlink.h), the upper byte of a message's type.
const SUBSYSTEM: u16 = 10 << 8;
/// `enum nf_tables_msg_types` (linux/netfilter/nf_tables.h).
const NFT_MSG_GETTABLE: u16 = 1;
const NFT_MSG_GETGEN: u16 = 16;
const NFT_MSG_GETOBJ: u16 = 19;
/// `NFPROTO_UNSPEC`, `NFPROTO_IPV4` (linux/netfilter.h).
const UNSPEC: u8 = 0;
const IPV4: u8 = 2;
/// Attributes (linux/netfilter/nf_tables.h).
const NFTA_GEN_ID: u16 = 1;
const NFTA_TABLE_NAME: u16 = 1;
const NFTA_TABLE_FLAGS: u16 = 2;
const NFTA_TABLE_USERDATA: u16 = 6;
const NFTA_OBJ_TABLE: u16 = 1;
const NFTA_OBJ_NAME: u16 = 2;
const NFTA_OBJ_TYPE: u16 = 3;
const NFTA_OBJ_DATA: u16 = 4;
const NFTA_COUNTER_BYTES: u16 = 1;
const NFTA_COUNTER_PACKETS: u16 = 2;
/// `NFT_OBJECT_COUNTER` (linux/netfilter/nf_tables.h).
const COUNTER: u32 = 1;
/// `NFTNL_UDATA_TABLE_COMMENT` (libnftnl/udata.h): a type, a length, a text that ends with a zero byte.
const COMMENT: u8 = 0;
/// `struct nlmsghdr` and `struct nfgenmsg` (linux/netlink.h, linux/netfilter/nfnetlink.h), in bytes.
const HEADER: usize = 16;
const FAMILY_HEADER: usize = 4;
/// How long one answer may take, in seconds.
const PATIENCE: i64 = 5;

/// nftables of the network namespace in which it was opened.
pub struct Netfilter {
    socket: Socket,
    sequence: u32,
    buffer: Vec<u8>,
}

/// A table of family ip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    pub comment: Option<String>,
    /// Its chains are not in force (`NFT_TABLE_F_DORMANT`), or it belongs to a process (`NFT_TABLE_F_OWNER`).
    pub flagged: bool,
}

/// What a counter has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    pub packets: u64,
    pub bytes: u64,
}

impl Netfilter {
    /// Errors when this kernel has no nftables.
    pub fn open() -> Result<Self, Error> {
        let open = || {
            let mut socket = Socket::new(NETLINK_NETFILTER)?;
            socket.bind_auto()?;
            socket.connect(&SocketAddr::new(0, 0))?;
            setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::seconds(PATIENCE))?;
            Ok(socket)
        };
        Ok(Self { socket: open().map_err(Error::Open)?, sequence: 0, buffer: vec![0; DATAGRAM] })
    }

    /// Grows by one with every transaction of anybody, and is never 0.
    pub fn generation(&mut self) -> Result<u32, Error> {
        let name = "request for the generation of nftables";
        let found = self.ask(name, NFT_MSG_GETGEN, UNSPEC, &[], |payload| word(payload, NFTA_GEN_ID))?;
        found.flatten().ok_or_else(|| Error::Decode { request: name, reason: "it has no number".to_owned() })
    }

    /// The table of this name; `None`: there is none.
    pub fn table(&mut self, table: &str) -> Result<Option<Table>, Error> {
        let asked = attribute(NFTA_TABLE_NAME, &text(table));
        self.ask("request for a table of nftables", NFT_MSG_GETTABLE, IPV4, &asked, |payload| Table {
            comment: value(payload, NFTA_TABLE_USERDATA).and_then(|data| comment(&data)),
            flagged: word(payload, NFTA_TABLE_FLAGS).is_some_and(|flags| flags != 0),
        })
    }

    /// The counter of this name in that table; `None`: there is none.
    pub fn counter(&mut self, table: &str, counter: &str) -> Result<Option<Count>, Error> {
        let asked = [
            attribute(NFTA_OBJ_TABLE, &text(table)),
            attribute(NFTA_OBJ_NAME, &text(counter)),
            attribute(NFTA_OBJ_TYPE, &COUNTER.to_be_bytes()),
        ];
        let found = self.ask(
            "request for a counter of nftables",
            NFT_MSG_GETOBJ,
            IPV4,
            &asked.concat(),
            |payload| {
                let data = value(payload, NFTA_OBJ_DATA)?;
                let packets = long(&data, NFTA_COUNTER_PACKETS)?;
                Some(Count { packets, bytes: long(&data, NFTA_COUNTER_BYTES)? })
            },
        )?;
        Ok(found.flatten())
    }

    /// One request and its answer: what `fold` makes of the attributes; `None`: there is no such thing.
    fn ask<T>(
        &mut self,
        name: &'static str,
        kind: u16,
        family: u8,
        attributes: &[u8],
        fold: impl FnOnce(&[u8]) -> T,
    ) -> Result<Option<T>, Error> {
        self.sequence = self.sequence.wrapping_add(1);
        let message = message(SUBSYSTEM | kind, self.sequence, family, attributes);
        self.socket.send(&message, 0).map_err(|source| Error::Send { request: name, source })?;
        loop {
            let length = self.receive(name)?;
            for answer in answers(name, self.buffer.get(..length).unwrap_or_default()) {
                let answer = answer?;
                if answer.sequence == self.sequence {
                    return answered(name, &answer, fold);
                }
            }
        }
    }

    fn receive(&mut self, name: &'static str) -> Result<usize, Error> {
        loop {
            let received = self.socket.recv(&mut &mut self.buffer[..], MsgFlags::empty().bits());
            let error = match received {
                Ok(length) => return Ok(length),
                Err(error) => error,
            };
            match error.raw_os_error().map(Errno::from_raw) {
                Some(Errno::EINTR) => {}
                Some(Errno::EAGAIN) => {
                    return Err(Error::Deadline { request: name, seconds: PATIENCE.unsigned_abs() });
                }
                _ => return Err(Error::Receive { request: name, source: error }),
            }
        }
    }
}

fn answered<T>(
    name: &'static str,
    answer: &Answer<'_>,
    fold: impl FnOnce(&[u8]) -> T,
) -> Result<Option<T>, Error> {
    if answer.kind != NLMSG_ERROR {
        return Ok(Some(fold(answer.payload.get(FAMILY_HEADER..).unwrap_or_default())));
    }
    match verdict(name, answer)? {
        Err(refusal) if !refusal.is(Errno::ENOENT) => Err(Error::Refused { request: name, refusal }),
        _ => Ok(None),
    }
}

fn message(kind: u16, sequence: u32, family: u8, attributes: &[u8]) -> Vec<u8> {
    let length = HEADER + FAMILY_HEADER + attributes.len();
    let mut bytes = Vec::with_capacity(length);
    bytes.extend(u32::try_from(length).unwrap_or(u32::MAX).to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(NLM_F_REQUEST.to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    // The sender: the kernel fills it in.
    bytes.extend(0_u32.to_ne_bytes());
    // Version and resource are 0.
    bytes.extend([family, 0, 0, 0]);
    bytes.extend(attributes);
    bytes
}

/// An attribute, padded. The kernel's `struct nlattr` is four bytes long, and counts itself.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = 4 + value.len();
    let mut bytes = u16::try_from(length).unwrap_or(u16::MAX).to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(length.next_multiple_of(NLMSG_ALIGN), 0);
    bytes
}

fn text(text: &str) -> Vec<u8> {
    [text.as_bytes(), &[0]].concat()
}

fn value(attributes: &[u8], kind: u16) -> Option<Vec<u8>> {
    let mut all = NlasIterator::new(attributes).map_while(Result::ok);
    all.find(|attribute| attribute.kind() == kind).map(|found| found.value().to_vec())
}

fn word(attributes: &[u8], kind: u16) -> Option<u32> {
    value(attributes, kind)?.try_into().ok().map(u32::from_be_bytes)
}

fn long(attributes: &[u8], kind: u16) -> Option<u64> {
    value(attributes, kind)?.try_into().ok().map(u64::from_be_bytes)
}

fn comment(userdata: &[u8]) -> Option<String> {
    let [COMMENT, length, rest @ ..] = userdata else { return None };
    let text = rest.get(..usize::from(*length))?.split(|byte| *byte == 0).next()?;
    String::from_utf8(text.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_found_again() {
        let counted = [
            attribute(NFTA_COUNTER_BYTES, &9_u64.to_be_bytes()),
            attribute(NFTA_COUNTER_PACKETS, &7_u64.to_be_bytes()),
        ];
        let all = [attribute(NFTA_OBJ_NAME, b"abc\0x"), attribute(NFTA_OBJ_DATA, &counted.concat())].concat();
        assert_eq!(value(&all, NFTA_OBJ_NAME), Some(b"abc\0x".to_vec()));
        assert_eq!(long(&value(&all, NFTA_OBJ_DATA).unwrap(), NFTA_COUNTER_PACKETS), Some(7));
        assert_eq!(word(&all, NFTA_OBJ_TYPE), None);
    }

    #[test]
    fn a_comment_is_read_as_far_as_it_is_one() {
        assert_eq!(comment(b"\x00\x04abc\0"), Some("abc".to_owned()));
        assert_eq!(comment(b"\x01\x04abc\0"), None, "of another sort");
        assert_eq!(comment(b"\x00\x09abc\0"), None, "cut off");
        assert_eq!(comment(b""), None);
    }

    #[test]
    fn a_message_has_its_length_and_its_number() {
        let bytes =
            message(SUBSYSTEM | NFT_MSG_GETTABLE, 7, IPV4, &attribute(NFTA_TABLE_NAME, &text("greyhound")));
        let all: Vec<_> = answers("test", &bytes).map(|answer| answer.unwrap()).collect();
        assert_eq!((all.len(), all[0].kind, all[0].sequence), (1, 0x0a01, 7));
        assert_eq!(value(&all[0].payload[FAMILY_HEADER..], NFTA_TABLE_NAME), Some(b"greyhound\0".to_vec()));
    }
}
