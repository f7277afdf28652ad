//! What a tunnel remembers of one candidate.

use std::time::Duration;

use super::decision::Wait;
use super::rules::Rules;
use crate::model::Failure;
use crate::probe::decay::Decay;

#[derive(Clone, Copy, Debug, Default)]
pub struct History {
    /// It was there, and its hold-down was over.
    steady: bool,
    /// When it was last seen dead.
    dead_at: Option<Duration>,
    flaps: Decay,
    /// Its tunnel failed, whatever its probes said; of the same clock as all times here.
    pub failure: Option<Failure>,
    /// Since when it has been better than the endpoint in use by all margins.
    pub better_since: Option<Duration>,
}

impl History {
    pub fn saw_alive(&mut self, rules: &Rules, now: Duration) {
        self.steady |= self.hold_down(rules, now).is_none();
    }

    /// It is dead at `now`. That is a flap when the tunnel was driven away by it, or when it was steady before: one
    /// that comes and goes within its hold-down is in hold-down all the time.
    pub fn saw_dead(&mut self, rules: &Rules, now: Duration, drives_away: bool) {
        if self.steady || drives_away {
            self.flaps.flap(&rules.damping, now);
        }
        self.steady = false;
        self.dead_at = Some(now);
    }

    /// The tunnel failed at it, once more.
    pub fn failed(&mut self, now: Duration) {
        let times = self.failure.map_or(1, |failure| failure.times.saturating_add(1));
        self.failure = Some(Failure { at_ms: whole_ms(now), times });
    }

    /// The tunnel works at it.
    pub fn works(&mut self) {
        self.failure = None;
    }

    /// Why it is not moved to for being better, and until when.
    pub fn shunned(&self, rules: &Rules, now: Duration) -> Option<(Wait, Duration)> {
        let failed = self.failure.map(|failure| doubling(failure, rules.failed));
        let failed = failed.filter(|until| now < *until).map(|until| (Wait::Failed, until));
        let flaps = || self.flaps.until(&rules.damping, now).map(|until| (Wait::Flapping, until));
        let hold_down = || self.hold_down(rules, now).map(|until| (Wait::HoldDown, until));
        failed.or_else(flaps).or_else(hold_down)
    }

    /// How willingly it is fled to when the endpoint in use is dead, 0 the most; or from when on. Where endpoints
    /// take turns at dying, they are slowed down by `since`, when the tunnel came to where it is.
    pub fn refuge(&self, rules: &Rules, now: Duration, since: Duration) -> Result<u8, Duration> {
        let (willing, from) = match self.shunned(rules, now) {
            None => (0, None),
            Some((Wait::Failed, _)) => {
                let retry = |failure| doubling(failure, rules.hold_down).min(after(failure, rules.failed));
                (3, self.failure.map(retry))
            }
            Some((Wait::Flapping, _)) => (2, Some(since + rules.hold)),
            Some(_) => (1, None),
        };
        from.filter(|from| now < *from).map_or(Ok(willing), Err)
    }

    fn hold_down(&self, rules: &Rules, now: Duration) -> Option<Duration> {
        self.dead_at.map(|at| at + rules.hold_down).filter(|until| now < *until)
    }
}

/// `wait` for the first, and twice as long for each that follows, 32 times as long at most.
fn doubling(failure: Failure, wait: Duration) -> Duration {
    after(failure, wait * (1 << failure.times.saturating_sub(1).min(5)))
}

/// It may have been before the clock began: what is over by then is over at its beginning.
fn after(failure: Failure, wait: Duration) -> Duration {
    let at_ms = failure.at_ms.saturating_add(whole_ms(wait));
    Duration::from_millis(u64::try_from(at_ms).unwrap_or(0))
}

fn whole_ms(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
