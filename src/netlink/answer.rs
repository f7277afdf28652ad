//! Answers taken apart: messages of a datagram, errors, and the kernel's own words. Pure.

use netlink_packet_core::{
    ErrorBuffer, NLM_F_ACK_TLVS, NLM_F_CAPPED, NLMSG_DONE, NetlinkBuffer, NlasIterator,
};

use super::error::{Error, Refusal};
use super::socket::NLMSG_ALIGN;

/// `NLMSGERR_ATTR_MSG` (linux/netlink.h).
const NLMSGERR_ATTR_MSG: u16 = 1;
/// `struct nlmsghdr` (linux/netlink.h), in bytes.
const HEADER: usize = 16;

/// One message of an answer.
pub(super) struct Answer<'a> {
    /// `nlmsg_type`.
    pub kind: u16,
    /// `nlmsg_flags`.
    pub flags: u16,
    /// `nlmsg_seq`: that of the request.
    pub sequence: u32,
    /// What follows the netlink header.
    pub payload: &'a [u8],
}

/// The messages of one datagram.
pub(super) fn answers<'a>(
    name: &'static str,
    mut bytes: &'a [u8],
) -> impl Iterator<Item = Result<Answer<'a>, Error>> + use<'a> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let header = match NetlinkBuffer::new_checked(bytes).map_err(Error::decode(name)) {
            Ok(header) => header,
            Err(error) => {
                bytes = &[];
                return Some(Err(error));
            }
        };
        let length = header.length() as usize;
        let answer = Answer {
            kind: header.message_type(),
            flags: header.flags(),
            sequence: header.sequence_number(),
            payload: bytes.get(HEADER..length).unwrap_or_default(),
        };
        bytes = bytes.get(length.next_multiple_of(NLMSG_ALIGN)..).unwrap_or_default();
        Some(Ok(answer))
    })
}

/// Which request of a batch is answered, the first of which has number `first`. An answer to an
/// earlier batch is out of every batch's range.
pub(super) fn place(answer: &Answer, first: u32) -> usize {
    answer.sequence.wrapping_sub(first) as usize
}

/// What an `NLMSG_ERROR` or `NLMSG_DONE` says: its errno, negative or 0, and attributes behind it.
pub(super) fn verdict(name: &'static str, answer: &Answer) -> Result<Result<(), Refusal>, Error> {
    if answer.kind == NLMSG_DONE && answer.payload.is_empty() {
        return Ok(Ok(()));
    }
    let buffer = ErrorBuffer::new_checked(answer.payload).map_err(Error::decode(name))?;
    let Some(code) = buffer.code() else { return Ok(Ok(())) };
    let behind = answer.payload.get(size_of_val(&code.get())..).unwrap_or_default();
    let message = (answer.flags & NLM_F_ACK_TLVS != 0).then(|| attributes(answer, behind)).and_then(message);
    Ok(Err(Refusal { errno: code.get().saturating_abs(), message }))
}

/// The attributes of an extended ACK: behind the header of the request, or behind all of the
/// request where the kernel did not cap it; in a dump's end at once.
fn attributes<'a>(answer: &Answer, behind: &'a [u8]) -> &'a [u8] {
    let request = match (answer.kind, answer.flags & NLM_F_CAPPED) {
        (NLMSG_DONE, _) => 0,
        (_, 0) => NetlinkBuffer::new_checked(behind).map_or(HEADER, |header| header.length() as usize),
        _ => HEADER,
    };
    behind.get(request.next_multiple_of(NLMSG_ALIGN)..).unwrap_or_default()
}

fn message(attributes: &[u8]) -> Option<String> {
    let attribute =
        NlasIterator::new(attributes).filter_map(Result::ok).find(|nla| nla.kind() == NLMSGERR_ATTR_MSG)?;
    let text = String::from_utf8_lossy(attribute.value());
    Some(text.trim_end_matches('\0').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::captured;

    fn only<T>(hex: &str, test: impl FnOnce(&Answer) -> T) -> T {
        let bytes = captured::bytes(hex);
        let mut all = answers("test", &bytes);
        let result = test(&all.next().unwrap().unwrap());
        assert!(all.next().is_none());
        result
    }

    fn refusal(hex: &str) -> Refusal {
        only(hex, |answer| verdict("test", answer)).unwrap().unwrap_err()
    }

    #[test]
    fn the_kernels_words_are_behind_the_request() {
        let expected = Refusal { errno: 95, message: Some("Unknown device type".into()) };
        assert_eq!(refusal(captured::REFUSED_CAPPED), expected);
        assert_eq!(refusal(captured::REFUSED_WHOLE), expected);
    }

    #[test]
    fn the_end_of_a_dump_can_be_a_refusal() {
        let message = Some("ipv4: FIB table does not exist".into());
        assert_eq!(refusal(captured::DUMP_REFUSED), Refusal { errno: 2, message });
    }

    #[test]
    fn an_ack_is_no_refusal() {
        only(captured::ACK, |answer| {
            assert_eq!(verdict("test", answer).unwrap(), Ok(()));
            assert_eq!((answer.kind, answer.sequence), (netlink_packet_core::NLMSG_ERROR, 7));
        });
    }

    #[test]
    fn a_datagram_can_have_several_messages() {
        let bytes = captured::bytes(&format!("{}{}", captured::ACK, captured::REFUSED_CAPPED));
        let kinds: Vec<_> = answers("test", &bytes).map(|answer| answer.unwrap().kind).collect();
        assert_eq!(kinds, [2, 2]);
    }

    #[test]
    fn a_message_that_is_cut_off_is_an_error() {
        let bytes = captured::bytes(captured::ACK);
        let mut all = answers("test", &bytes[..20]);
        assert!(all.next().unwrap().is_err());
        assert!(all.next().is_none());
    }

    #[test]
    fn a_late_answer_fits_no_later_batch() {
        only(captured::ACK, |answer| {
            assert_eq!(place(answer, 7), 0);
            assert_eq!(place(answer, 5), 2);
            assert!(place(answer, 8) > 1_000_000);
            assert_eq!(place(answer, u32::MAX), 8, "over the top of the numbers");
        });
    }
}
