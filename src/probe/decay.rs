//! A penalty that grows with every flap and halves with time, as in RFC 2439 (route flap damping). Pure.

use std::time::Duration;

/// How a penalty grows, and what it does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Damping {
    /// Added by each flap.
    pub per_flap: f64,
    /// What reaches this is suppressed …
    pub suppress: f64,
    /// … until it is below this.
    pub reuse: f64,
    /// The time in which a penalty halves.
    pub half_life: Duration,
    /// A penalty never grows over this. It bounds a suppression: half-life × log2(cap / reuse).
    pub cap: f64,
}

/// The figures that routers come with: suppressed by the third flap in a row, for an hour at most.
impl Default for Damping {
    fn default() -> Self {
        let half_life = Duration::from_secs(900);
        Self { per_flap: 1000.0, suppress: 2000.0, reuse: 750.0, half_life, cap: 12000.0 }
    }
}

/// One penalty.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Decay {
    value: f64,
    at: Duration,
    suppressed: bool,
}

impl Decay {
    pub fn value(&self, damping: &Damping, now: Duration) -> f64 {
        let half_lives = now.saturating_sub(self.at).as_secs_f64() / damping.half_life.as_secs_f64();
        self.value * 0.5f64.powf(half_lives)
    }

    /// One flap at `now`.
    pub fn flap(&mut self, damping: &Damping, now: Duration) {
        let value = (self.value(damping, now) + damping.per_flap).min(damping.cap);
        let suppressed = self.until(damping, now).is_some() || value >= damping.suppress;
        *self = Self { value, at: now, suppressed };
    }

    /// Until when it is suppressed; `None`: it is not.
    pub fn until(&self, damping: &Damping, now: Duration) -> Option<Duration> {
        let half_lives = (self.value / damping.reuse).log2().max(0.0);
        let until = self.at + damping.half_life.mul_f64(half_lives);
        (self.suppressed && now < until).then_some(until)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAMPING: fn() -> Damping = Damping::default;

    fn flapped(seconds: &[u64]) -> Decay {
        let mut decay = Decay::default();
        seconds.iter().for_each(|second| decay.flap(&DAMPING(), Duration::from_secs(*second)));
        decay
    }

    #[test]
    fn a_penalty_halves_with_each_half_life() {
        let decay = flapped(&[0]);
        for (minutes, value) in [(0, 1000.0), (15, 500.0), (30, 250.0), (60, 62.5)] {
            assert_eq!(decay.value(&DAMPING(), Duration::from_secs(60 * minutes)), value);
        }
    }

    #[test]
    fn the_third_flap_in_a_row_suppresses_until_reuse() {
        assert_eq!(flapped(&[0, 60]).until(&DAMPING(), Duration::from_secs(60)), None);
        let third = flapped(&[0, 60, 120]);
        let until = third.until(&DAMPING(), Duration::from_secs(120)).unwrap();
        assert!((third.value(&DAMPING(), until) - 750.0).abs() < 0.01);
        assert_eq!((until.as_secs() - 120) / 60, 29);
        assert_eq!(third.until(&DAMPING(), until), None);
    }

    #[test]
    fn a_suppressed_one_is_not_used_again_before_it_is_below_reuse() {
        let again = flapped(&[0, 60, 120, 1500]);
        assert!(again.value(&DAMPING(), Duration::from_secs(1500)) < 2000.0);
        assert!(again.until(&DAMPING(), Duration::from_secs(1500)).is_some());
    }

    proptest! {
        #[test]
        fn no_suppression_is_longer_than_an_hour(flaps in prop::collection::vec(0u64..5000, 1..100)) {
            let mut flaps = flaps;
            flaps.sort_unstable();
            let last = Duration::from_secs(*flaps.last().unwrap());
            let longest = Duration::from_secs(3601);
            prop_assert!(flapped(&flaps).until(&DAMPING(), last).is_none_or(|until| until - last <= longest));
        }
    }
}
