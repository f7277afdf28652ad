//! By which figures a tunnel moves.

use std::time::Duration;

use crate::probe::decay::Damping;
use crate::probe::rank::WITHIN;

/// All that is configurable about moving.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rules {
    /// A better one is better by this …
    pub margin: Duration,
    /// … and by so many percent of the latency in use, 0 to 99 …
    pub percent: u32,
    /// … for so long without a break.
    pub hold: Duration,
    /// So long after an endpoint was last dead, and after it came to one, a tunnel does not move for being better.
    pub hold_down: Duration,
    /// Where no liveness tells, another has to be alive for so long while the endpoint in use is dead: perhaps it was
    /// our own upstream, and both come back. Longer than a round of probes. With liveness, 1.5 of its intervals.
    pub settle: Duration,
    /// An endpoint where the tunnel failed while probes were answered is not used for so long, twice as long each
    /// time, unless there is nothing else.
    pub failed: Duration,
    pub damping: Damping,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            margin: WITHIN,
            percent: 20,
            hold: Duration::from_secs(30),
            hold_down: Duration::from_secs(60),
            settle: Duration::from_secs(2),
            failed: Duration::from_secs(1800),
            damping: Damping::default(),
        }
    }
}

impl Rules {
    /// The same rules with waits that are longer by up to a quarter: `spread` is 0 to 1000, and differs between
    /// tunnels, so that many do not come back at once. What is done at once stays so.
    pub fn spread(self, spread: u32) -> Self {
        let longer = |wait: Duration| wait + wait / 4 * spread.min(1000) / 1000;
        let Self { margin, percent, hold, hold_down, settle, failed, damping } = self;
        Self {
            margin,
            percent,
            hold: longer(hold),
            hold_down: longer(hold_down),
            settle: longer(settle),
            failed: longer(failed),
            damping,
        }
    }

    /// What another's latency may be at most, to be better than `latency`; `None`: nothing is.
    pub fn needed(&self, latency: Duration) -> Option<Duration> {
        let margin = self.margin.max(latency * self.percent / 100);
        latency.checked_sub(margin).filter(|needed| !needed.is_zero())
    }
}
