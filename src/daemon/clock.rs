//! The two clocks: one that never jumps, one that people read.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A moment on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Since the daemon began; waits are measured by it.
    pub up: Duration,
    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub wall_ms: u64,
}

impl Moment {
    /// So many milliseconds after 1970 the daemon began, if nobody has set the clock since.
    pub fn began_ms(self) -> i64 {
        let signed = |ms: u128| i64::try_from(ms).unwrap_or(i64::MAX);
        signed(self.wall_ms.into()).saturating_sub(signed(self.up.as_millis()))
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Clock {
    begun: Instant,
}

impl Clock {
    pub fn start() -> Self {
        Self { begun: Instant::now() }
    }

    /// When the daemon began.
    pub fn begun(&self) -> Instant {
        self.begun
    }

    pub fn up(&self) -> Duration {
        self.begun.elapsed()
    }

    pub fn moment(&self) -> Moment {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Moment { up: self.up(), wall_ms: u64::try_from(wall.as_millis()).unwrap_or(u64::MAX) }
    }
}
