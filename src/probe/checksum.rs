//! The internet checksum (RFC 1071). Pure.

/// The checksum of these bytes. Over bytes that carry their right checksum it is 0.
pub(super) fn checksum(bytes: &[u8]) -> u16 {
    let (words, rest) = bytes.as_chunks::<2>();
    let words = words.iter().map(|word| u64::from(u16::from_be_bytes(*word)));
    // An odd last byte counts as the high one of a word (RFC 1071, 4.1).
    let sum: u64 = words.sum::<u64>() + rest.first().map_or(0, |byte| u64::from(*byte) << 8);
    !fold(sum)
}

fn fold(mut sum: u64) -> u16 {
    loop {
        match u16::try_from(sum) {
            Ok(sum) => return sum,
            Err(_) => sum = (sum & 0xffff) + (sum >> 16),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_example_of_rfc_1071() {
        assert_eq!(checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
    }

    #[test]
    fn nothing_sums_to_nothing() {
        assert_eq!(checksum(&[]), 0xffff);
        assert_eq!(checksum(&[0xff]), 0x00ff, "padded with a zero byte");
    }

    proptest! {
        #[test]
        fn bytes_with_their_checksum_check_out(mut bytes in prop::collection::vec(any::<u8>(), 2..300)) {
            bytes[..2].fill(0);
            let sum = checksum(&bytes);
            bytes[..2].copy_from_slice(&sum.to_be_bytes());
            prop_assert_eq!(checksum(&bytes), 0);
        }
    }
}
