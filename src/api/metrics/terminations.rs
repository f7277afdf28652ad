//! What was measured into samples: terminations, replies that were not believed, the reflector.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::catalogue::Metric;
use super::sheet::{Sheet, labels};
use super::tunnels::seconds;
use crate::api::dto::{LatencyView, MethodView, NotBelievedView, ReflectorView, TerminationView};

/// What tells one row of the table from another.
type Key<'a> = (&'a str, &'a str, Ipv4Addr, Option<Ipv4Addr>);

pub fn add(sheet: &mut Sheet, measured: &LatencyView) {
    let LatencyView { at_ms: _, terminations, not_believed, reflector } = measured;
    // Two tunnels may lead to one termination from one address, by their keys: it is measured once.
    let mut rows: BTreeMap<Key<'_>, (bool, &TerminationView)> = BTreeMap::new();
    for row in terminations {
        let key = (row.device.as_str(), row.interface.as_str(), row.termination, row.source);
        rows.entry(key).or_insert((false, row)).0 |= row.in_use;
    }
    for ((device, interface, termination, source), (in_use, row)) in rows {
        let source = source.map(|source| source.to_string()).unwrap_or_default();
        let about = [device, interface, &termination.to_string(), &source];
        let of = labels(about);
        sheet.add(Metric::InUse, &of, in_use);
        sheet.add_known(Metric::Score, &of, row.latency_ms.map(seconds));
        row.methods.iter().for_each(|method| add_method(sheet, about, method));
    }
    add_not_believed(sheet, *not_believed);
    if let Some(reflector) = reflector {
        add_reflector(sheet, *reflector);
    }
}

fn add_method(sheet: &mut Sheet, about: [&str; 4], view: &MethodView) {
    let [device, interface, termination, source] = about;
    let of = labels([device, interface, termination, source, &view.method]);
    sheet.add_known(Metric::Rtt, &of, view.smoothed_ms.map(seconds));
    sheet.add_known(Metric::Jitter, &of, view.jitter_ms.map(seconds));
    sheet.add_known(Metric::Loss, &of, (view.sent > 0).then_some(view.loss));
    let reachable = match view.state.as_str() {
        "reachable" => Some(true),
        "unreachable" => Some(false),
        _ => None,
    };
    sheet.add_known(Metric::Reachable, &of, reachable);
}

fn add_not_believed(sheet: &mut Sheet, not_believed: NotBelievedView) {
    let NotBelievedView { forged, late, duplicated, foreign } = not_believed;
    for (reason, count) in
        [("forged", forged), ("late", late), ("duplicated", duplicated), ("foreign", foreign)]
    {
        sheet.add(Metric::NotBelieved, &labels([reason]), count);
    }
}

fn add_reflector(sheet: &mut Sheet, reflector: ReflectorView) {
    let ReflectorView { answered, malformed, forbidden, echoing, limited, elsewhere, unsent } = reflector;
    for (result, count) in [
        ("answered", answered),
        ("malformed", malformed),
        ("forbidden", forbidden),
        ("echoing", echoing),
        ("limited", limited),
        ("elsewhere", elsewhere),
        ("unsent", unsent),
    ] {
        sheet.add(Metric::Reflected, &labels([result]), count);
    }
}
