//! Word to the service manager (sd_notify(3)), where one listens.

use std::time::Duration;

use sd_notify::NotifyState;

/// Tells the manager how it goes, and feeds its watchdog.
#[derive(Debug)]
pub struct Notify {
    /// How often the watchdog is fed: twice within its time.
    interval: Option<Duration>,
    fed: Duration,
}

impl Notify {
    pub fn new() -> Self {
        Self { interval: sd_notify::watchdog_enabled().map(|time| time / 2), fed: Duration::ZERO }
    }

    pub fn ready(&self, status: &str) {
        tell(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    /// Followed by [`Self::ready`] when the reload has ended, whichever way.
    pub fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => tell(&[NotifyState::Reloading, now]),
            Err(error) => tracing::warn!("the monotonic clock cannot be read: {error}"),
        }
    }

    pub fn stopping(&self) {
        tell(&[NotifyState::Stopping]);
    }

    /// Feeds the watchdog when it is time to. Only the loop calls it: when the loop hangs, nobody does.
    pub fn feed(&mut self, up: Duration) {
        if self.feed_at().is_some_and(|at| at <= up) {
            self.fed = up;
            tell(&[NotifyState::Watchdog]);
        }
    }

    /// When the watchdog is to be fed next.
    pub fn feed_at(&self) -> Option<Duration> {
        self.interval.map(|interval| self.fed + interval)
    }
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!("the service manager cannot be told: {error}");
    }
}
