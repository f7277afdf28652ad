//! Word to the service manager (sd_notify(3)), where one listens.

use std::time::Duration;

use sd_notify::NotifyState;

/// Tells the manager how it goes, and feeds its watchdog.
#[derive(Debug)]
pub struct Notify {
    /// How often the watchdog is fed: twice within its time.
    interval: Option<Duration>,
    feed_at: Duration,
    status: String,
    ready: bool,
}

impl Notify {
    pub fn new() -> Self {
        let interval = sd_notify::watchdog_enabled().map(|time| time / 2);
        Self { interval, feed_at: Duration::ZERO, status: String::new(), ready: false }
    }

    /// How often the watchdog is fed; `None`: nobody watches.
    pub fn interval(&self) -> Option<Duration> {
        self.interval
    }

    pub fn ready(&mut self, status: &str) {
        self.ready = true;
        status.clone_into(&mut self.status);
        tell(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    /// How it goes, where that is not what was said last.
    pub fn status(&mut self, status: &str) {
        if self.status != status {
            status.clone_into(&mut self.status);
            tell(&[NotifyState::Status(status)]);
        }
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

    /// Feeds the watchdog when it is time to, if the main thread is `alive`, too; before [`Self::ready`], the start may
    /// take that much longer. Only the loop calls it, when it has got on: when either of the two hangs, nobody feeds.
    pub fn feed(&mut self, up: Duration, alive: impl FnOnce() -> bool) {
        let Some(interval) = self.interval.filter(|_| self.feed_at <= up) else { return };
        if alive() {
            self.feed_at = up + interval;
            tell(&[NotifyState::Watchdog]);
            if !self.ready {
                // The watchdog's own time.
                let micros = u32::try_from((interval * 2).as_micros()).unwrap_or(u32::MAX);
                tell(&[NotifyState::ExtendTimeoutUsec(micros)]);
            }
        } else {
            self.feed_at = up + interval / 8;
        }
    }

    /// When the watchdog is to be fed next.
    pub fn feed_at(&self) -> Option<Duration> {
        self.interval.map(|_| self.feed_at)
    }
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!("the service manager cannot be told: {error}");
    }
}
