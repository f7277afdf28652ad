//! What round trips come to.

use std::time::Duration;

use serde::Serialize;

use crate::probe::figures::as_ms;

/// Round trips of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Rtt {
    #[serde(serialize_with = "as_ms")]
    pub min: Duration,
    /// The mean of the two in the middle when their number is even.
    #[serde(serialize_with = "as_ms")]
    pub median: Duration,
    #[serde(serialize_with = "as_ms")]
    pub mean: Duration,
    /// The smallest that 95 % of them do not exceed.
    #[serde(serialize_with = "as_ms")]
    pub p95: Duration,
    /// The mean absolute difference of consecutive round trips: RFC 3550 A.8 without its running average,
    /// because a window forgets by itself.
    #[serde(serialize_with = "as_ms")]
    pub jitter: Duration,
    #[serde(serialize_with = "as_ms")]
    pub last: Duration,
    /// SRTT of RFC 6298 section 2, with its 1/8 for each new round trip.
    #[serde(serialize_with = "as_ms")]
    pub smoothed: Duration,
}

impl Rtt {
    /// Of round trips in nanoseconds, in the order of their probes; `None`: there are none.
    pub fn new(rtts: &[u64]) -> Option<Self> {
        let (first, last) = (*rtts.first()?, *rtts.last()?);
        let mut sorted = rtts.to_vec();
        sorted.sort_unstable();
        let middle = sorted.len() / 2;
        let median =
            if sorted.len() % 2 == 1 { sorted[middle] } else { sorted[middle - 1].midpoint(sorted[middle]) };
        let smoothed = rtts.iter().fold(first, |smoothed, rtt| smoothed - smoothed / 8 + rtt / 8);
        let differences = rtts.windows(2).map(|pair| pair[0].abs_diff(pair[1]));
        Some(Self {
            min: Duration::from_nanos(sorted[0]),
            median: Duration::from_nanos(median),
            mean: mean(rtts.iter().copied()),
            p95: Duration::from_nanos(sorted[(sorted.len() * 95).div_ceil(100) - 1]),
            jitter: mean(differences),
            last: Duration::from_nanos(last),
            smoothed: Duration::from_nanos(smoothed),
        })
    }
}

fn mean(values: impl ExactSizeIterator<Item = u64>) -> Duration {
    let count = values.len().max(1) as u128;
    let sum: u128 = values.map(u128::from).sum();
    Duration::from_nanos(u64::try_from(sum / count).unwrap_or(u64::MAX))
}
