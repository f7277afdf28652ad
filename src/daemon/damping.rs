//! How often one object is put right. Pure: the time is an argument, in monotonic durations.
//!
//! Ten repairs of one object within ten seconds, and its next one waits: one second, then twice as long
//! each time, sixty at most. An object that was left alone for a minute starts anew. Changes that
//! failed are tried again by the same growing waits, spread so that many do not come back at once.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::model::TunnelName;

/// Repairs of one object within [`WINDOW`] before the next one waits.
const BURST: usize = 10;
const WINDOW: Duration = Duration::from_secs(10);
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Without a repair for so long, an object starts anew.
const CALM: Duration = Duration::from_secs(60);

/// What is repaired as one: a tunnel with all that belongs to it, or what serves all tunnels.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Object {
    Tunnel(TunnelName),
    /// Loopback addresses and rules.
    Shared,
}

impl From<Option<&TunnelName>> for Object {
    fn from(tunnel: Option<&TunnelName>) -> Self {
        tunnel.map_or(Self::Shared, |tunnel| Self::Tunnel(tunnel.clone()))
    }
}

impl Object {
    /// `None`: what serves all.
    pub fn tunnel(&self) -> Option<&TunnelName> {
        match self {
            Self::Tunnel(tunnel) => Some(tunnel),
            Self::Shared => None,
        }
    }
}

/// The history of repairs, per object.
#[derive(Clone, Debug, Default)]
pub struct Damping {
    objects: BTreeMap<Object, History>,
}

#[derive(Clone, Debug, Default)]
struct History {
    /// The last repairs, [`BURST`] at most.
    repairs: VecDeque<Duration>,
    /// Of repairs that were undone too often.
    damped: Backoff,
    /// Of changes that failed.
    failed: Backoff,
}

/// Waits that grow.
#[derive(Clone, Copy, Debug, Default)]
struct Backoff {
    wait: Option<Duration>,
    until: Duration,
}

impl Damping {
    /// When the object may be repaired: `None` is now.
    pub fn waits(&self, object: &Object, now: Duration) -> Option<Duration> {
        self.objects.get(object).map(History::until).filter(|until| *until > now)
    }

    /// The object was repaired at `now`. Returns how long its next repair waits, if it does.
    pub fn repaired(&mut self, object: Object, now: Duration) -> Option<Duration> {
        let history = self.objects.entry(object).or_default();
        history.forget_if_calm(now);
        history.repairs.push_back(now);
        if history.repairs.len() < BURST {
            return None;
        }
        let oldest = history.repairs.pop_front().unwrap_or(now);
        let damped = history.damped.wait.is_some() || now.saturating_sub(oldest) <= WINDOW;
        damped.then(|| history.damped.hold(now, Duration::ZERO))
    }

    /// A change of the object failed at `now`; `spread` (0 to 1000) is a random number that moves the
    /// next try by up to a quarter of the wait.
    pub fn failed(&mut self, object: Object, now: Duration, spread: u32) -> Duration {
        let history = self.objects.entry(object).or_default();
        history.forget_if_calm(now);
        let quarter = history.failed.next_wait() / 4;
        history.failed.hold(now, quarter * spread.min(1000) / 1000)
    }

    /// The object is as it should be: failures are forgotten, and what was undone before is not.
    pub fn succeeded(&mut self, object: &Object) {
        if let Some(history) = self.objects.get_mut(object) {
            history.failed = Backoff::default();
        }
    }

    /// The earliest time after `now` at which something that waits may be repaired.
    pub fn next(&self, now: Duration) -> Option<Duration> {
        self.objects.values().map(History::until).filter(|until| *until > now).min()
    }

    /// Has a wait ended after `since`, and by `now`?
    pub fn ended(&self, since: Duration, now: Duration) -> bool {
        self.objects.values().map(History::until).any(|until| since < until && until <= now)
    }

    /// Forgets objects that do not exist any more.
    pub fn retain(&mut self, exists: impl Fn(&Object) -> bool) {
        self.objects.retain(|object, _| exists(object));
    }
}

impl Backoff {
    fn next_wait(&self) -> Duration {
        self.wait.map_or(FIRST_WAIT, |wait| (wait * 2).min(LONGEST_WAIT))
    }

    fn hold(&mut self, now: Duration, spread: Duration) -> Duration {
        let wait = self.next_wait();
        self.wait = Some(wait);
        self.until = now + wait + spread;
        wait
    }
}

impl History {
    fn until(&self) -> Duration {
        self.damped.until.max(self.failed.until)
    }

    fn forget_if_calm(&mut self, now: Duration) {
        let last = self.repairs.back().copied().unwrap_or(Duration::ZERO).max(self.until());
        if now.saturating_sub(last) >= CALM {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    /// Somebody undoes every repair at once: how often is it repaired, and when?
    fn fight(seconds: u64) -> Vec<Duration> {
        let (mut damping, mut repairs) = (Damping::default(), Vec::new());
        for ms in (0..seconds * 1000).step_by(50) {
            let now = CALM + MS(ms);
            if damping.waits(&Object::Shared, now).is_none() {
                damping.repaired(Object::Shared, now);
                repairs.push(MS(ms));
            }
        }
        repairs
    }

    #[test]
    fn who_undoes_every_repair_gets_ten_and_then_ever_fewer() {
        let repairs = fight(600);
        assert_eq!(repairs.iter().filter(|at| **at < MS(500)).count(), 10);
        let waits: Vec<u64> = repairs.windows(2).skip(9).map(|pair| (pair[1] - pair[0]).as_secs()).collect();
        assert_eq!(waits[..7], [1, 2, 4, 8, 16, 32, 60]);
        assert!(waits[7..].iter().all(|wait| *wait == 60), "{waits:?}");
    }

    #[test]
    fn slow_drift_is_always_repaired_at_once() {
        let mut damping = Damping::default();
        for second in 0..600 {
            let now = CALM + Duration::from_secs(2 * second);
            assert_eq!(damping.waits(&Object::Shared, now), None);
            assert_eq!(damping.repaired(Object::Shared, now), None);
        }
    }

    #[test]
    fn a_calm_minute_starts_anew() {
        let mut damping = Damping::default();
        (0..10).for_each(|n| {
            damping.repaired(Object::Shared, MS(n));
        });
        assert!(damping.waits(&Object::Shared, MS(10)).is_some());
        assert_eq!(damping.repaired(Object::Shared, CALM * 3), None);
        assert_eq!(damping.waits(&Object::Shared, CALM * 3), None);
    }

    #[test]
    fn failures_wait_longer_each_time_and_success_forgets_them() {
        let mut damping = Damping::default();
        let mut now = CALM;
        for wait in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert_eq!(damping.failed(Object::Shared, now, 1000), Duration::from_secs(wait));
            now = damping.next(now).unwrap();
        }
        damping.succeeded(&Object::Shared);
        assert_eq!(damping.next(now), None);
        assert_eq!(damping.failed(Object::Shared, now, 0), FIRST_WAIT);
    }

    #[test]
    fn a_failure_after_a_repair_is_forgotten_as_well() {
        let mut damping = Damping::default();
        damping.repaired(Object::Shared, CALM);
        damping.failed(Object::Shared, CALM, 0);
        damping.succeeded(&Object::Shared);
        assert_eq!(damping.waits(&Object::Shared, CALM), None);
        assert_eq!(damping.failed(Object::Shared, CALM, 0), FIRST_WAIT);
    }

    #[test]
    fn one_object_does_not_hold_up_another() {
        let mut damping = Damping::default();
        let ams = Object::Tunnel(TunnelName::new("ams").unwrap());
        damping.failed(ams.clone(), MS(0), 0);
        assert!(damping.waits(&ams, MS(1)).is_some());
        assert_eq!(damping.waits(&Object::Shared, MS(1)), None);
    }
}
