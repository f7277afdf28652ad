//! What makes a reply believable: numbers that only who saw the request can know. Pure, once it has its key.

use std::hash::{BuildHasher, RandomState};
use std::net::Ipv4Addr;

use super::ntp::Timestamp;

/// The low bits of a STAMP timestamp that are a cookie. They blur it by 2^-16 s, which its Error Estimate says.
pub const KEYED_BITS: u8 = 16;

const KEYED: u64 = (1 << KEYED_BITS) - 1;

/// The secret of one engine: a keyed hash, from the system's randomness, and new at every start.
#[derive(Clone, Debug, Default)]
pub struct Key(RandomState);

/// For what a number is made. None can be taken for another.
#[derive(Hash)]
enum Use {
    Echo { to: Ipv4Addr, session: u32, sequence: u32 },
    Stamp { to: Ipv4Addr, sequence: u32, time: u64 },
    Random(u64),
}

impl Key {
    /// A key that nobody can guess.
    pub fn new() -> Self {
        Self::default()
    }

    /// The cookie of an echo.
    pub fn echo(&self, to: Ipv4Addr, session: u32, sequence: u32) -> u64 {
        self.0.hash_one(Use::Echo { to, session, sequence })
    }

    /// A timestamp whose low bits are a cookie.
    pub fn stamp(&self, to: Ipv4Addr, sequence: u32, timestamp: Timestamp) -> Timestamp {
        let time = timestamp.0 & !KEYED;
        Timestamp(time | (self.0.hash_one(Use::Stamp { to, sequence, time }) & KEYED))
    }

    /// A number for each counter, and no way from one to another.
    pub fn random(&self, counter: u64) -> u64 {
        self.0.hash_one(Use::Random(counter))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TO: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

    #[test]
    fn a_cookie_is_the_same_again_and_another_for_anything_else() {
        let key = Key::new();
        let cookie = key.echo(TO, 1, 2);
        assert_eq!(key.echo(TO, 1, 2), cookie);
        let others = [key.echo(TO, 2, 2), key.echo(TO, 1, 3), key.echo(Ipv4Addr::LOCALHOST, 1, 2)];
        assert!(!others.contains(&cookie));
        assert_ne!(Key::new().echo(TO, 1, 2), cookie, "another key");
    }

    proptest! {
        #[test]
        fn a_keyed_timestamp_is_near_the_true_one_and_keyed_once(time: u64, sequence: u32) {
            let key = Key::new();
            let stamp = key.stamp(TO, sequence, Timestamp(time));
            prop_assert_eq!(stamp.0 >> KEYED_BITS, time >> KEYED_BITS);
            prop_assert_eq!(key.stamp(TO, sequence, stamp), stamp, "so it can be checked by making it again");
        }
    }
}
