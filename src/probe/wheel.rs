//! A timer wheel: what is to happen when, for thousands of things, at a cost that does not grow with them. Pure.

use std::time::Duration;

/// One slot of the wheel, and how late something may be: short beside the shortest round (100 ms), and long enough
/// that thousands of targets are asked in few system calls.
pub const TICK: Duration = Duration::from_millis(5);

/// Slots of the wheel: 5 s in one turn, so that most rounds and timeouts are passed over once.
const SLOTS: usize = 1024;

/// Things of which each is due at some time.
#[derive(Debug)]
pub struct Wheel<T> {
    slots: Vec<Vec<(u64, T)>>,
    /// The first tick that was not taken out yet.
    tick: u64,
    length: usize,
}

impl<T> Wheel<T> {
    pub fn new(now: Duration) -> Self {
        let slots = std::iter::repeat_with(Vec::new).take(SLOTS).collect();
        Self { slots, tick: tick(now), length: 0 }
    }

    /// Something is due then; at once when that is past.
    pub fn insert(&mut self, due: Duration, thing: T) {
        // Never before it is due: a tick is over when its last moment is.
        let due = (tick(due) + 1).max(self.tick);
        self.length += 1;
        if let Some(slot) = self.slots.get_mut(place(due)) {
            slot.push((due, thing));
        }
    }

    /// Takes out all that is due, the earlier first.
    pub fn expire(&mut self, now: Duration, mut each: impl FnMut(T)) {
        let until = tick(now);
        // After a long silence one turn passes over every slot.
        let from = self.tick.max((until + 1).saturating_sub(SLOTS as u64));
        for at in from..=until {
            let Some(slot) = self.slots.get_mut(place(at)) else { continue };
            let before = slot.len();
            slot.extract_if(.., |(due, _)| *due <= until).for_each(|(_, thing)| each(thing));
            self.length -= before - slot.len();
        }
        self.tick = self.tick.max(until + 1);
    }

    /// When to look again: at the next slot with anything in it, which may be due only turns later.
    /// `None`: nothing is due ever.
    pub fn next(&self) -> Option<Duration> {
        if self.length == 0 {
            return None;
        }
        let ahead = (self.tick..).take(SLOTS);
        let full = |at: &u64| self.slots.get(place(*at)).is_some_and(|slot| !slot.is_empty());
        ahead.into_iter().find(full).map(begin)
    }

    pub fn len(&self) -> usize {
        self.length
    }

    pub fn is_empty(&self) -> bool {
        self.length == 0
    }
}

fn tick(time: Duration) -> u64 {
    u64::try_from(time.as_nanos() / TICK.as_nanos()).unwrap_or(u64::MAX / 2)
}

/// When a tick begins.
fn begin(tick: u64) -> Duration {
    let nanos = u64::try_from(TICK.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(tick.saturating_mul(nanos))
}

fn place(tick: u64) -> usize {
    usize::try_from(tick % SLOTS as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn expired(wheel: &mut Wheel<u32>, now: Duration) -> Vec<u32> {
        let mut things = Vec::new();
        wheel.expire(now, |thing| things.push(thing));
        things
    }

    #[test]
    fn things_come_out_in_time_and_in_order() {
        let mut wheel = Wheel::new(Duration::ZERO);
        for (due, thing) in [(300, 3), (100, 1), (200, 2), (60_000, 4)] {
            wheel.insert(MS * due, thing);
        }
        assert_eq!(wheel.next(), Some(MS * 105));
        assert!(expired(&mut wheel, MS * 99).is_empty());
        assert_eq!(expired(&mut wheel, MS * 250), [1, 2]);
        assert_eq!(expired(&mut wheel, MS * 59_999), [3]);
        assert_eq!(expired(&mut wheel, MS * 60_005), [4]);
        assert_eq!((wheel.next(), wheel.is_empty()), (None, true));
    }

    #[test]
    fn what_is_past_is_due_at_once() {
        let mut wheel = Wheel::new(MS * 5_000);
        wheel.insert(MS * 10, 1);
        assert_eq!(expired(&mut wheel, MS * 5_000), [1]);
    }

    #[test]
    fn a_long_silence_loses_nothing() {
        let mut wheel = Wheel::new(Duration::ZERO);
        (0..10_000).for_each(|n| wheel.insert(MS * n, n));
        let mut all = expired(&mut wheel, Duration::from_secs(86_400 * 365));
        all.sort_unstable();
        assert!(all.into_iter().eq(0..10_000));
    }

    proptest! {
        #[test]
        fn nothing_early_nothing_late_nothing_lost(
            dues in prop::collection::vec(0_u32..20_000, 1..100),
            step in 1_u32..5_000,
        ) {
            let mut wheel = Wheel::new(Duration::ZERO);
            dues.iter().for_each(|due| wheel.insert(MS * *due, *due));
            let (mut now, mut out) = (0, 0);
            while out < dues.len() {
                prop_assert!(now < 30_000);
                let (before, after) = (now, now + step);
                // Whoever sleeps as long as he is told to is woken in time for each.
                prop_assert!(wheel.next().is_some());
                for due in expired(&mut wheel, MS * after) {
                    prop_assert!(due <= after && due + 6 > before, "{} in {}..{}", due, before, after);
                    out += 1;
                }
                now = after;
            }
            prop_assert!(wheel.is_empty());
        }
    }
}
