//! Why a probe cannot arrive, in a phrase. Pure.

use std::fmt;
use std::net::Ipv4Addr;

use super::icmp::{TIME_EXCEEDED, UNREACHABLE};

/// What an ICMP error says: its type and code (RFC 792; RFC 1122, 3.2.2.1; RFC 1812, 5.2.7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cause {
    kind: u8,
    code: u8,
}

impl Cause {
    pub fn new(kind: u8, code: u8) -> Self {
        Self { kind, code }
    }

    /// The phrase for who reads of it: the cause, and who says so.
    pub fn said_by(self, who: Ipv4Addr) -> String {
        format!("{self}, says {who}")
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.kind, self.code) {
            (UNREACHABLE, 0 | 6 | 11) => f.write_str("network unreachable"),
            (UNREACHABLE, 1 | 7 | 8 | 12) => f.write_str("host unreachable"),
            (UNREACHABLE, 2) => f.write_str("protocol unreachable"),
            (UNREACHABLE, 3) => f.write_str("port unreachable"),
            (UNREACHABLE, 4) => f.write_str("fragmentation needed"),
            (UNREACHABLE, 9 | 10 | 13) => f.write_str("administratively prohibited"),
            (TIME_EXCEEDED, 0) => f.write_str("time to live exceeded"),
            (kind, code) => write!(f, "ICMP error {kind}/{code}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_a_phrase_with_its_witness() {
        let router = Ipv4Addr::new(192, 0, 2, 254);
        assert_eq!(Cause::new(3, 3).said_by(router), "port unreachable, says 192.0.2.254");
        assert_eq!(Cause::new(3, 13).to_string(), "administratively prohibited");
        assert_eq!(Cause::new(11, 0).to_string(), "time to live exceeded");
        assert_eq!(Cause::new(12, 9).to_string(), "ICMP error 12/9");
    }
}
