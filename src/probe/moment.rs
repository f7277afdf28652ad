//! A moment on two clocks, and the round trip between two of them. Pure.

use std::time::Duration;

use crate::model::Timing;

/// So much may the clocks of two readings differ before somebody has set one: they are not read at the same
/// instant, and a processor may be taken away in between.
const READING: Duration = Duration::from_micros(200);

/// One moment on the clock that no one sets and on the one that the kernel stamps packets with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// Since the process began.
    pub up: Duration,
    /// Since 1970.
    pub wall: Duration,
}

impl Moment {
    /// The time of day when `up` was zero, if nobody has set the clock since. Both clocks are slewed alike
    /// (adjtimex(2)), so only a step changes it.
    fn origin(self) -> i128 {
        nanos(self.wall) - nanos(self.up)
    }

    /// Has nobody set the clock since then?
    pub fn steady_since(self, earlier: Self) -> bool {
        (self.origin() - earlier.origin()).unsigned_abs() <= READING.as_nanos()
    }
}

fn nanos(time: Duration) -> i128 {
    i128::try_from(time.as_nanos()).unwrap_or(i128::MAX)
}

/// The kernel's timestamps of a packet and of its answer, since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamps {
    pub left: Option<Duration>,
    pub came: Option<Duration>,
}

/// The round trip of a probe whose sending began at one moment, and whose answer was in our hands at another.
///
/// The kernel's stamps are of the time of day, which can be set at any time. They count when both lie where the
/// clocks say they must, between `began` and `ended`, and when nobody has set the clock between the two.
pub fn round_trip(began: Moment, ended: Moment, stamps: Stamps) -> (Duration, Timing) {
    let outer = ended.up.saturating_sub(began.up);
    let inner = stamps.left.zip(stamps.came).and_then(|(left, came)| {
        let inside = left + READING >= began.wall && came <= ended.wall + READING;
        let trip = came.checked_sub(left)?;
        (ended.steady_since(began) && inside && trip <= outer).then_some(trip)
    });
    inner.map_or((outer, Timing::Monotonic), |trip| (trip, Timing::Kernel))
}

/// A round trip without the time that the reflector had the packet. What it says about that is taken out only
/// where it is possible.
pub fn without(trip: Duration, processing: Option<Duration>) -> Duration {
    processing.and_then(|processing| trip.checked_sub(processing)).unwrap_or(trip)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const DAY: Duration = Duration::from_secs(1_700_000_000);

    fn at(ms: u32) -> Moment {
        Moment { up: MS * ms, wall: DAY + MS * ms }
    }

    fn stamps(left: u32, came: u32) -> Stamps {
        Stamps { left: Some(DAY + MS * left), came: Some(DAY + MS * came) }
    }

    #[test]
    fn the_kernels_stamps_are_believed_inside_their_bracket() {
        assert_eq!(round_trip(at(10), at(100), stamps(12, 92)), (MS * 80, Timing::Kernel));
    }

    #[test]
    fn without_both_stamps_it_is_our_own_clock() {
        for stamps in [
            Stamps { left: None, ..stamps(12, 92) },
            Stamps { came: None, ..stamps(12, 92) },
            Stamps::default(),
        ] {
            assert_eq!(round_trip(at(10), at(100), stamps), (MS * 90, Timing::Monotonic));
        }
    }

    #[test]
    fn a_clock_that_was_set_is_noticed_whenever_it_was() {
        let ours = (MS * 90, Timing::Monotonic);
        for step in [1, 5, 50, 3_600_000] {
            // Forwards and backwards, between the two stamps.
            let later = Moment { wall: at(100).wall + MS * step, ..at(100) };
            assert_eq!(round_trip(at(10), later, stamps(12, 92 + step)), ours, "{step} ms forwards");
            let earlier = Moment { wall: at(100).wall - MS * step, ..at(100) };
            let came = Some(DAY + MS * 92 - MS * step);
            let back = Stamps { came, ..stamps(12, 0) };
            assert_eq!(round_trip(at(10), earlier, back), ours, "{step} ms backwards");
            // After the answer came, and before it was read.
            assert_eq!(round_trip(at(10), later, stamps(12, 92)), ours);
        }
    }

    #[test]
    fn stamps_from_elsewhere_are_not_believed() {
        for stamps in [stamps(5, 92), stamps(12, 105), stamps(92, 12)] {
            assert_eq!(round_trip(at(10), at(100), stamps).1, Timing::Monotonic);
        }
    }

    #[test]
    fn the_reflectors_time_is_taken_out_where_that_is_possible() {
        assert_eq!(without(MS * 80, Some(MS * 30)), MS * 50);
        assert_eq!(without(MS * 80, Some(MS * 80)), Duration::ZERO);
        assert_eq!(without(MS * 80, Some(MS * 81)), MS * 80, "longer than the trip");
        assert_eq!(without(MS * 80, None), MS * 80);
    }

    proptest! {
        #[test]
        fn no_trip_is_longer_than_its_bracket(began: u32, took: u32, left: u64, came: u64, step in -1_000_i64..1_000) {
            let up = Duration::from_micros(began.into());
            let began = Moment { up, wall: DAY + up };
            let up = up + Duration::from_micros(took.into());
            let wall = DAY + up;
            let step_by = Duration::from_millis(step.unsigned_abs());
            let ended = Moment { up, wall: if step < 0 { wall - step_by } else { wall + step_by } };
            let stamps = Stamps { left: Some(Duration::from_micros(left >> 8)), came: Some(Duration::from_micros(came >> 8)) };
            let (trip, timing) = round_trip(began, ended, stamps);
            prop_assert!(trip <= Duration::from_micros(took.into()));
            prop_assert!(step == 0 || timing == Timing::Monotonic);
        }
    }
}
