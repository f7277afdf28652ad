//! So many packets a second, and no more: a bucket of tokens. Pure.

use std::time::Duration;

/// Tokens that fill up with time.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Packets a second; at least 1.
    rate: u32,
    /// The most that may be saved up.
    burst: u32,
    /// In billionths of a packet, so that nothing is lost to rounding.
    saved: u64,
    counted: Duration,
}

/// A packet in the unit of `saved`.
const PACKET: u64 = 1_000_000_000;

impl Budget {
    /// A full bucket.
    pub fn new(rate: u32, burst: u32, now: Duration) -> Self {
        let burst = burst.max(1);
        Self { rate: rate.max(1), burst, saved: u64::from(burst) * PACKET, counted: now }
    }

    /// Whether one packet may go now; then it is paid for.
    pub fn take(&mut self, now: Duration) -> bool {
        let elapsed = u64::try_from(now.saturating_sub(self.counted).as_nanos()).unwrap_or(u64::MAX);
        let full = u64::from(self.burst) * PACKET;
        self.saved = self.saved.saturating_add(elapsed.saturating_mul(u64::from(self.rate))).min(full);
        self.counted = self.counted.max(now);
        let enough = self.saved >= PACKET;
        if enough {
            self.saved -= PACKET;
        }
        enough
    }

    /// When the next packet may go, if it may not now.
    pub fn next(&self) -> Duration {
        let missing = PACKET.saturating_sub(self.saved);
        self.counted + Duration::from_nanos(missing.div_ceil(u64::from(self.rate)))
    }

    /// Whether as much is saved as can be, at that time: a bucket made anew would be no different.
    pub fn is_full(&self, now: Duration) -> bool {
        let elapsed = u64::try_from(now.saturating_sub(self.counted).as_nanos()).unwrap_or(u64::MAX);
        let saved = self.saved.saturating_add(elapsed.saturating_mul(u64::from(self.rate)));
        saved >= u64::from(self.burst) * PACKET
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_burst_and_then_one_at_a_time() {
        let mut budget = Budget::new(100, 3, Duration::ZERO);
        assert_eq!((0..5).filter(|_| budget.take(Duration::ZERO)).count(), 3);
        assert_eq!(budget.next(), MS * 10);
        assert!(!budget.take(MS * 9));
        assert!(budget.take(MS * 10) && !budget.take(MS * 10));
        assert!(!budget.is_full(MS * 30) && budget.is_full(MS * 40));
    }

    proptest! {
        #[test]
        fn never_more_than_rate_and_burst(
            rate in 1_u32..10_000, burst in 1_u32..100, steps in prop::collection::vec(0_u32..100, 1..300),
        ) {
            let (mut budget, mut now, mut sent) = (Budget::new(rate, burst, Duration::ZERO), Duration::ZERO, 0);
            for step in steps {
                now += MS * step;
                sent += (0..50).filter(|_| budget.take(now)).count();
            }
            let most = f64::from(burst) + now.as_secs_f64() * f64::from(rate) + 1e-6;
            prop_assert!(sent as f64 <= most, "{} > {}", sent, most);
        }

        #[test]
        fn who_waits_as_long_as_told_gets_one(rate in 1_u32..100_000, burst in 1_u32..10) {
            let mut budget = Budget::new(rate, burst, Duration::ZERO);
            while budget.take(Duration::ZERO) {}
            let next = budget.next();
            prop_assert!(budget.take(next));
        }
    }
}
