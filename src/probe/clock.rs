//! The two clocks of a [`Moment`], read. Shell.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::moment::Moment;

/// Readings of both clocks further apart than this are taken again: the processor was taken away in between.
const READING: Duration = Duration::from_micros(20);

/// Both clocks.
pub(super) struct Clock {
    pub begun: Instant,
}

impl Clock {
    pub fn up(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Both at one instant, as nearly as they can be read.
    pub fn moment(&self) -> Moment {
        let mut up = self.up();
        for _ in 0..3 {
            let wall = wall();
            let after = self.up();
            if after.saturating_sub(up) <= READING {
                return Moment { up, wall };
            }
            up = after;
        }
        Moment { up, wall: wall() }
    }
}

/// The time of day, since 1970.
fn wall() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
