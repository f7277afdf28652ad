//! The daemon itself into samples: what it keeps, its turns, its errors, its events.

use super::catalogue::Metric;
use super::gauges::Asked;
use super::sheet::{Sheet, labels};
use super::tunnels::seconds;
use crate::api::dto::FilterView;
use crate::api::handle::Snapshot;
use crate::model::{EventKind, Tally};

pub fn add(sheet: &mut Sheet, seen: &Snapshot) {
    let alone = labels([]);
    sheet.add(Metric::BuildInfo, &labels([&seen.status.version]), 1);
    sheet.add(Metric::Ready, &alone, seen.ready);
    if seen.gauges.began_ms > 0 {
        sheet.add(Metric::StartTime, &alone, seconds(seen.gauges.began_ms as f64));
        sheet.add(Metric::Keeping, &alone, seen.gauges.keeping);
    }
    if seen.ready {
        sheet.add(Metric::Declared, &alone, seen.status.tunnels.len() as u64);
        sheet.add(Metric::Orphans, &alone, seen.status.orphans.len() as u64);
    }
    if seen.ready && seen.status.filter.enabled {
        add_filter(sheet, &seen.status.filter);
    }
    let Tally { turns, halted, steps, errors, overruns, events, tunnels: _ } = &seen.tally;
    sheet.add(Metric::TurnDuration, &alone, turns);
    sheet.add(Metric::TurnsFailed, &alone, *halted);
    for ((action, object), count) in steps {
        sheet.add(Metric::Steps, &labels([action, object]), *count);
    }
    for ((request, error), count) in errors {
        sheet.add(Metric::NetlinkErrors, &labels([request, error]), *count);
    }
    let Asked { dumps, reads, changes } = seen.gauges.asked;
    for (request, count) in [("dump", dumps), ("read", reads), ("change", changes)] {
        sheet.add(Metric::NetlinkRequests, &labels([request]), count);
    }
    sheet.add(Metric::NetlinkOverruns, &alone, *overruns);
    // Also those that never happened: what appears with its first event would not be seen to grow.
    for kind in EventKind::ALL {
        sheet.add(Metric::Events, &labels([kind.name()]), events.get(&kind).copied().unwrap_or(0));
    }
}

fn add_filter(sheet: &mut Sheet, filter: &FilterView) {
    let FilterView { enabled: _, pairs, dropped, repairs, trouble } = filter;
    let alone = labels([]);
    sheet.add(Metric::FilterUp, &alone, trouble.is_none());
    sheet.add(Metric::FilterPairs, &alone, *pairs as u64);
    sheet.add_known(Metric::FilterDropped, &alone, *dropped);
    sheet.add(Metric::FilterRepairs, &alone, *repairs);
}
