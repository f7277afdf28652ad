//! What Prometheus is told: a snapshot of the daemon as metrics. Pure, but for `page` and `listener`.
//!
//! | file | what is in it |
//! |---|---|
//! | `catalogue` | every metric: name, type, labels, meaning; `docs/metrics.md` says the same |
//! | `sheet` | samples, by metric |
//! | `gauges` | what is gathered for metrics alone |
//! | `tunnels`, `terminations`, `pools`, `daemon` | a snapshot into samples |
//! | `text` | the sheet as Prometheus and OpenMetrics write it, and as JSON |
//! | `page` | the answer to a request |
//! | `listener` | the page over TCP, where that is declared |

mod catalogue;
mod daemon;
mod gauges;
pub(super) mod listener;
pub(super) mod page;
mod pools;
mod sheet;
mod terminations;
#[cfg(test)]
mod tests;
mod text;
mod tunnels;

pub use catalogue::{About, Metric, Type};
pub use gauges::{Asked, Gauges, Shared, Stock};
pub use text::Format;

use super::handle::Snapshot;
use sheet::Sheet;

/// The snapshot as text. `now_ms`: milliseconds since 1970-01-01T00:00:00Z.
pub fn exposition(seen: &Snapshot, now_ms: u64, format: Format) -> String {
    text::write(sheet(seen, now_ms), format)
}

/// The snapshot as samples.
fn sheet(seen: &Snapshot, now_ms: u64) -> Sheet {
    let mut sheet = Sheet::default();
    daemon::add(&mut sheet, seen);
    if seen.ready {
        tunnels::add(&mut sheet, seen, now_ms);
        pools::add(&mut sheet, seen);
    }
    if let Some(measured) = &seen.gauges.measured {
        terminations::add(&mut sheet, measured);
    }
    sheet
}
