//! What is wrong with this host, and what mends it: facts are gathered, and judged.
//!
//! | file | what is in it |
//! |---|---|
//! | [`code`] | what findings are called, and how bad they are (pure) |
//! | [`table`] | every finding that there can be: its severity, meaning and cure (pure) |
//! | [`facts`] | what was observed, and of what was not, why (pure) |
//! | [`report`] | findings, what was examined, what could not be (pure) |
//! | [`render`] | a report as text (pure) |
//! | `machine` | the kernel, capabilities, the clock (pure) |
//! | `kept` | the declaration, the store, the inventory (pure) |
//! | `daemon` | the daemon: its release, its loop (pure) |
//! | `tunnels` | the tunnels' states, orphans (pure) |
//! | `routing` | routes, rules, forwarding (pure) |
//! | `strict` | reverse path filters, of the links below tunnels and of tunnels' own (pure) |
//! | `addresses` | addresses for terminations in foreign hands (pure) |
//! | `settings` | commands that put a setting of the kernel right (pure) |
//! | `ways` | what probes found on the way to each other end (pure) |
//! | `managers`, `networkd`, `network_manager`, `ini` | other programs that manage networks, and their files (pure) |
//! | [`look`] | gathers the facts; changes nothing, and ends in time |
//!
//! What was not observed is never a finding: the report says that it could not be examined, and why.

mod addresses;
pub mod code;
mod daemon;
pub mod facts;
mod ini;
mod kept;
pub mod look;
mod machine;
mod managers;
mod network_manager;
mod networkd;
pub mod render;
pub mod report;
mod routing;
mod settings;
mod strict;
pub mod table;
mod tunnels;
mod ways;

pub use code::{Code, Severity};
pub use report::Report;
pub use table::TABLE;

use facts::Facts;

/// Judges all that was observed, by all topics.
pub fn judge(facts: &Facts) -> Report {
    let mut report = Report::default();
    for judge in [
        machine::judge,
        kept::judge,
        daemon::judge,
        tunnels::judge,
        routing::judge,
        strict::judge,
        addresses::judge,
        ways::judge,
        managers::judge,
    ] {
        judge(facts, &mut report);
    }
    report.finish(|_| true)
}

#[cfg(test)]
mod tests;
