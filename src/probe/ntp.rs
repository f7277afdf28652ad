//! The timestamps that STAMP packets carry (RFC 8762, 4.2.1). Pure.

use std::time::Duration;

/// Seconds from 1900, where NTP's era 0 begins, to 1970 (RFC 5905, 6).
const ERA: u64 = 2_208_988_800;

/// 64 bits in one of two formats, seconds in the high half; the packet's Error Estimate says which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Timestamp(pub u64);

/// What the bits mean: the Z bit of the Error Estimate (RFC 8186, 2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// NTP: the low half counts 2^-32 s (RFC 5905, 6).
    Ntp,
    /// Truncated PTPv2: the low half counts nanoseconds (RFC 8186, 2.2).
    Ptp,
}

impl Timestamp {
    /// The NTP timestamp of a time since 1970. The era is left out, as in every NTP timestamp.
    pub fn ntp(wall: Duration) -> Self {
        let seconds = wall.as_secs().wrapping_add(ERA);
        // At most 32 bits: fewer than 10^9 nanoseconds.
        let fraction = (u64::from(wall.subsec_nanos()) << 32) / 1_000_000_000;
        Self((seconds << 32) | fraction)
    }

    /// From an earlier timestamp to this one. `None`: not earlier, or not valid in its format.
    pub fn since(self, earlier: Self, format: Format) -> Option<Duration> {
        let nanos = match format {
            // Differences survive the end of an era, as RFC 5905, 6 has it.
            Format::Ntp => (i128::from(self.0.wrapping_sub(earlier.0).cast_signed()) * 1_000_000_000) >> 32,
            Format::Ptp => {
                let seconds = i128::from(self.seconds().wrapping_sub(earlier.seconds()).cast_signed());
                seconds * 1_000_000_000 + i128::from(self.nanos()?) - i128::from(earlier.nanos()?)
            }
        };
        u64::try_from(nanos).ok().map(Duration::from_nanos)
    }

    fn seconds(self) -> u32 {
        u32::try_from(self.0 >> 32).unwrap_or(u32::MAX)
    }

    fn nanos(self) -> Option<u64> {
        Some(self.0 & 0xffff_ffff).filter(|nanos| *nanos < 1_000_000_000)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_beginning_of_1970_is_far_into_era_0() {
        assert_eq!(Timestamp::ntp(Duration::ZERO), Timestamp(0x83aa_7e80_0000_0000));
        assert_eq!(Timestamp::ntp(Duration::from_millis(500)), Timestamp(0x83aa_7e80_8000_0000));
    }

    #[test]
    fn a_difference_survives_the_end_of_the_era_in_2036() {
        let end = Duration::from_secs((1 << 32) - ERA);
        let (before, after) = (end - Duration::from_secs(1), end + Duration::from_secs(2));
        let since = Timestamp::ntp(after).since(Timestamp::ntp(before), Format::Ntp);
        assert_eq!(since, Some(Duration::from_secs(3)));
    }

    #[test]
    fn what_runs_backwards_has_no_duration() {
        for format in [Format::Ntp, Format::Ptp] {
            assert_eq!(Timestamp(5 << 32).since(Timestamp(6 << 32), format), None);
        }
    }

    #[test]
    fn nanoseconds_count_in_the_truncated_format() {
        let (earlier, later) = (Timestamp((7 << 32) | 999_999_999), Timestamp((8 << 32) | 1));
        assert_eq!(later.since(earlier, Format::Ptp), Some(Duration::from_nanos(2)));
        assert_eq!(Timestamp(u64::MAX).since(earlier, Format::Ptp), None, "no second has so many");
    }

    proptest! {
        #[test]
        fn differences_are_right_to_the_nanosecond(start in 0_u64..1 << 62, nanos in 0_u64..1 << 60) {
            let start = Duration::from_nanos(start);
            let span = Duration::from_nanos(nanos);
            let (before, after) = (Timestamp::ntp(start), Timestamp::ntp(start + span));
            let measured = after.since(before, Format::Ntp).unwrap();
            prop_assert!(measured.abs_diff(span) <= Duration::from_nanos(1), "{measured:?}");
        }

        #[test]
        fn any_bits_are_compared_without_harm(a: u64, b: u64) {
            let _ = (Timestamp(a).since(Timestamp(b), Format::Ntp), Timestamp(a).since(Timestamp(b), Format::Ptp));
        }
    }
}
