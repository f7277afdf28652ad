//! What a tunnel remembers of one candidate.

use std::time::Duration;

use super::decision::Wait;
use super::rules::Rules;
use crate::probe::decay::Decay;

#[derive(Clone, Copy, Debug, Default)]
pub struct History {
    /// It was there, and its hold-down was over.
    steady: bool,
    /// When it was last seen dead.
    dead_at: Option<Duration>,
    flaps: Decay,
    failure: Option<Failure>,
    /// Since when it has been better than the endpoint in use by all margins.
    pub better_since: Option<Duration>,
}

/// Its tunnel failed, whatever its probes said.
#[derive(Clone, Copy, Debug)]
struct Failure {
    at: Duration,
    /// In a row, 1 or more.
    times: u32,
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
        let times = self.failure.map_or(1, |failure| failure.times + 1);
        self.failure = Some(Failure { at: now, times });
    }

    /// The tunnel works at it.
    pub fn works(&mut self) {
        self.failure = None;
    }

    /// Why it is not moved to for being better, and until when.
    pub fn shunned(&self, rules: &Rules, now: Duration) -> Option<(Wait, Duration)> {
        let failed = self.failure.map(|failure| failure.until(rules.failed));
        let failed = failed.filter(|until| now < *until).map(|until| (Wait::Failed, until));
        let flaps = || self.flaps.until(&rules.damping, now).map(|until| (Wait::Flapping, until));
        let hold_down = || self.hold_down(rules, now).map(|until| (Wait::HoldDown, until));
        failed.or_else(flaps).or_else(hold_down)
    }

    /// How willingly it is fled to when the endpoint in use is dead, 0 the most; or from when on. Where endpoints
    /// take turns at dying, they are slowed down by `since`, when
    /// the tunnel came to where it is.
    pub fn refuge(&self, rules: &Rules, now: Duration, since: Duration) -> Result<u8, Duration> {
        let (willing, from) = match self.shunned(rules, now) {
            None => (0, None),
            Some((Wait::Failed, _)) => {
                let retry = |failure: Failure| failure.until(rules.hold_down).min(failure.at + rules.failed);
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

impl Failure {
    /// `wait` for the first, and twice as long for each that follows, 32 times as long at most.
    fn until(self, wait: Duration) -> Duration {
        self.at + wait * (1 << (self.times - 1).min(5))
    }
}
