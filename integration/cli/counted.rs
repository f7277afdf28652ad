//! What the daemon made of paper has counted and gathered: something of everything that metrics are made of.

use std::time::Duration;

use greyhound::api::dto::{LatencyView, MethodView, NotBelievedView, ReflectorView, TerminationView};
use greyhound::api::metrics::{Asked, Gauges, Shared, Stock};
use greyhound::model::{EventKind, Tally, TunnelName};

pub fn tally() -> Tally {
    let mut tally = Tally::default();
    let ams = TunnelName::new("ams").unwrap();
    tally.turns.add(Duration::from_millis(7));
    tally.halted = 1;
    tally.stepped("add", "link");
    tally.failed("route", "EEXIST");
    tally.told(EventKind::Repair, Some(&ams));
    tally.moved(&ams);
    tally
}

pub fn gauges(latency: LatencyView) -> Gauges {
    Gauges {
        began_ms: 1_000,
        keeping: true,
        asked: Asked { dumps: 5, reads: 2, changes: 3 },
        measured: Some(measured(latency)),
        pools: vec![stock("loopbacks", "host", None), stock("ams-1", "device ams-1", Some(4))],
        shared: Some(Shared { up: Some(true), owed: 0 }),
    }
}

fn stock(name: &str, scope: &str, low_water: Option<u64>) -> Stock {
    Stock {
        name: name.to_owned(),
        scope: scope.to_owned(),
        purpose: "termination".to_owned(),
        tier: "primary".to_owned(),
        excluded: 0,
        active: 1,
        resting: 0,
        foreign: 0,
        free: 7,
        available: 7,
        low_water,
        quota: Some(8),
    }
}

/// The same by a method, and with a reflector.
fn measured(latency: LatencyView) -> LatencyView {
    let terminations = latency.terminations.into_iter().map(|row| TerminationView {
        latency_ms: Some(18.25),
        methods: vec![icmp()],
        ..row
    });
    LatencyView {
        terminations: terminations.collect(),
        reflector: Some(ReflectorView { answered: 9, ..ReflectorView::default() }),
        ..latency
    }
}

fn icmp() -> MethodView {
    MethodView {
        method: "icmp".to_owned(),
        state: "reachable".to_owned(),
        why: None,
        sent: 20,
        answered: 19,
        loss: 0.05,
        loss_forward: None,
        loss_backward: None,
        min_ms: None,
        median_ms: None,
        mean_ms: None,
        p95_ms: None,
        jitter_ms: Some(0.5),
        last_ms: None,
        smoothed_ms: Some(12.5),
        probed_ago_ms: None,
        stepped: 0,
        not_believed: NotBelievedView::default(),
        series_ms: vec![],
    }
}
