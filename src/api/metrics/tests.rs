//! Metrics of a snapshot made of paper: what is said of what was seen, and of what was not.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use super::catalogue::{About, Metric, Type};
use super::{Format, Gauges, exposition};
use crate::api::Snapshot;
use crate::api::dto::{
    CountersView, FilterView, LatencyView, ProbeView, TerminationView, TunnelState, TunnelView,
};
use crate::api::tests::{probe, session, snapshot, tunnel};
use crate::model::{EventKind, Tally, TunnelName};

/// 100 s after what the paper says began at second 1.
const NOW_MS: u64 = 101_000;

fn of(tunnels: Vec<TunnelView>) -> Snapshot {
    let mut seen = snapshot();
    seen.status.tunnels = tunnels;
    seen
}

/// The samples of a metric, as text.
fn samples(seen: &Snapshot, metric: &str) -> Vec<String> {
    let text = exposition(seen, NOW_MS, Format::Text);
    let of = |line: &&str| line.strip_prefix(metric).is_some_and(|rest| rest.starts_with(['{', ' ']));
    text.lines().filter(of).map(str::to_owned).collect()
}

fn value(seen: &Snapshot, metric: &str) -> Option<f64> {
    let found = samples(seen, metric);
    assert!(found.len() < 2, "{found:?}");
    found.first().map(|line| line.rsplit(' ').next().unwrap().parse().unwrap())
}

fn lively(liveness: &str) -> TunnelView {
    let probe = ProbeView { liveness: liveness.to_owned(), ..probe(false) };
    TunnelView { probe: Some(probe), up_since: Some(1), ..tunnel("ams") }
}

#[test]
fn every_tunnel_has_series_of_its_own() {
    let counters = |bytes| Some(CountersView { rx_bytes: bytes, ..CountersView::default() });
    let mut seen = of(vec![
        TunnelView { counters: counters(7), ..tunnel("ams") },
        TunnelView { counters: counters(9), kind: Some("multicast".to_owned()), ..tunnel("unicast") },
    ]);
    seen.status.sessions = vec![session("ready", 3)];
    let found = samples(&seen, "greyhound_tunnel_receive_bytes_total");
    let ams = "{tunnel=\"ams\",kind=\"unicast\",device=\"ams\",termination=\"192.0.2.2\"} 7";
    let theirs = "{tunnel=\"unicast\",kind=\"multicast\",device=\"ams-1\",termination=\"198.51.100.8\"} 9";
    assert_eq!(found, [ams, theirs].map(|rest| format!("greyhound_tunnel_receive_bytes_total{rest}")));
}

#[test]
fn a_filter_that_is_declared_is_shown() {
    let mut seen = of(vec![]);
    assert_eq!(value(&seen, "greyhound_filter_up"), None, "none is declared");
    seen.status.filter = FilterView { enabled: true, pairs: 3, dropped: Some(7), repairs: 1, trouble: None };
    let shown = |seen: &Snapshot| {
        ["up", "pairs", "dropped_packets_total", "repairs_total"]
            .map(|name| value(seen, &format!("greyhound_filter_{name}")))
    };
    assert_eq!(shown(&seen), [Some(1.0), Some(3.0), Some(7.0), Some(1.0)]);
    seen.status.filter =
        FilterView { dropped: None, trouble: Some("no nft".to_owned()), ..seen.status.filter };
    assert_eq!(shown(&seen), [Some(0.0), Some(3.0), None, Some(1.0)]);
}

#[test]
fn what_was_not_observed_gives_no_sample() {
    let unseen = TunnelView { state: TunnelState::Missing, remote: None, ..tunnel("ams") };
    let seen = of(vec![unseen]);
    assert_eq!(value(&seen, "greyhound_tunnel_up"), Some(0.0));
    let silent = [
        "greyhound_tunnel_answers",
        "greyhound_tunnel_uptime_seconds",
        "greyhound_tunnel_receive_bytes_total",
        "greyhound_tunnel_rtt_seconds",
        "greyhound_inventory_up",
        "greyhound_start_time_seconds",
    ];
    for metric in silent {
        assert_eq!(value(&seen, metric), None, "{metric}");
    }
    let state = samples(&seen, "greyhound_tunnel_state");
    assert!(state[0].contains("device=\"\",termination=\"\",state=\"missing\""), "{state:?}");
}

#[test]
fn up_is_what_the_status_says_and_answering_what_probes_say() {
    for (liveness, answers) in [("up", Some(1.0)), ("down", Some(0.0)), ("silent", None), ("unknown", None)] {
        let seen = of(vec![lively(liveness)]);
        assert_eq!(value(&seen, "greyhound_tunnel_up"), Some(1.0), "{liveness}");
        assert_eq!(value(&seen, "greyhound_tunnel_answers"), answers, "{liveness}");
    }
}

#[test]
fn uptime_begins_with_the_first_answer_or_with_the_link_where_nobody_answers() {
    let tally = |since| {
        let mut tally = Tally::default();
        tally.answers(&TunnelName::new("ams").unwrap(), since);
        tally
    };
    let uptime = |liveness, since| {
        let seen = Snapshot { tally: tally(since), ..of(vec![lively(liveness)]) };
        value(&seen, "greyhound_tunnel_uptime_seconds")
    };
    assert_eq!(uptime("up", Some(91_000)), Some(10.0));
    assert_eq!(uptime("up", None), None, "nobody saw it begin");
    assert_eq!(uptime("silent", None), Some(100.0));
    assert_eq!((uptime("down", Some(91_000)), uptime("unknown", None)), (None, None));
    // A link that was made anew is not older than it is.
    let anew = Snapshot { tally: tally(Some(500)), ..of(vec![lively("up")]) };
    assert_eq!(value(&anew, "greyhound_tunnel_uptime_seconds"), Some(100.0));
    let alone = of(vec![TunnelView { probe: None, ..lively("up") }]);
    assert_eq!(value(&alone, "greyhound_tunnel_uptime_seconds"), Some(100.0));
    let drifted = of(vec![TunnelView { state: TunnelState::Drifted, ..lively("silent") }]);
    assert_eq!(value(&drifted, "greyhound_tunnel_uptime_seconds"), None);
}

fn row(in_use: bool) -> TerminationView {
    TerminationView {
        device: "fra".to_owned(),
        interface: "lo".to_owned(),
        termination: [192, 0, 2, 2].into(),
        source: None,
        in_use,
        latency_ms: Some(12.5),
        result: String::new(),
        shunned: None,
        methods: vec![],
    }
}

#[test]
fn a_termination_that_two_tunnels_lead_to_is_told_once() {
    let measured = LatencyView {
        at_ms: 1,
        terminations: vec![row(false), row(true)],
        not_believed: Default::default(),
        reflector: None,
    };
    let gauges = Arc::new(Gauges { measured: Some(measured), ..Gauges::default() });
    let seen = Snapshot { gauges, ..of(vec![tunnel("ams")]) };
    assert_eq!(value(&seen, "greyhound_termination_in_use"), Some(1.0));
    assert_eq!(value(&seen, "greyhound_termination_score_seconds"), Some(0.0125));
    let up = samples(&seen, "greyhound_tunnel_up");
    assert!(up[0].contains("device=\"fra\""), "as the table of terminations calls it: {up:?}");
}

#[test]
fn before_the_kernel_was_seen_only_that_is_said() {
    let seen = Snapshot { ready: false, ..of(vec![tunnel("ams")]) };
    assert_eq!(value(&seen, "greyhound_ready"), Some(0.0));
    assert_eq!(value(&seen, "greyhound_tunnels"), None);
    assert!(samples(&seen, "greyhound_tunnel_up").is_empty());
}

#[test]
fn events_that_never_happened_are_zero_so_that_the_first_is_seen_to_grow() {
    let found = samples(&snapshot(), "greyhound_events_total");
    assert_eq!(found.len(), EventKind::ALL.len());
    assert!(found.iter().all(|line| line.ends_with(" 0")), "{found:?}");
}

#[test]
fn both_text_formats_are_as_their_readers_want_them() {
    let seen = of(vec![tunnel("ams")]);
    let (text, open) =
        (exposition(&seen, NOW_MS, Format::Text), exposition(&seen, NOW_MS, Format::OpenMetrics));
    assert!(
        text.contains(
            "# TYPE greyhound_netlink_overruns_total counter\ngreyhound_netlink_overruns_total 0\n"
        )
    );
    assert!(open.contains("# TYPE greyhound_netlink_overruns counter\ngreyhound_netlink_overruns_total 0\n"));
    assert!(!text.contains("# EOF") && open.ends_with("# EOF\n"));
    let bare = |text: &str| text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect();
    let (text, open): (Vec<String>, Vec<String>) = (bare(&text), bare(&open));
    assert_eq!(text, open);
}

#[test]
fn who_names_a_format_gets_it() {
    let prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                      text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    for (accept, format) in [
        (prometheus, Format::OpenMetrics),
        ("text/plain;version=0.0.4, */*", Format::Text),
        ("application/json", Format::Json),
        ("*/*", Format::Text),
        ("", Format::Text),
    ] {
        assert_eq!(Format::accepted(accept), format, "{accept}");
    }
}

#[test]
fn the_catalogue_is_in_order() {
    let names: BTreeSet<String> = Metric::ALL.iter().map(|metric| metric.name()).collect();
    assert_eq!(names.len(), Metric::ALL.len(), "each name once");
    for (place, metric) in Metric::ALL.iter().enumerate() {
        let About { stem, kind, labels, help } = metric.about();
        assert_eq!(*metric as usize, place);
        assert!(
            stem.starts_with("greyhound_") && (*kind != Type::Counter || !stem.ends_with("_total")),
            "{stem}"
        );
        // Neither format escapes them the same way.
        assert!(!help.contains(['\\', '"', '\n']) && help.ends_with('.'), "{stem}: {help}");
        assert!(
            labels.iter().all(|label| label.chars().all(|c| c.is_ascii_lowercase() || c == '_')),
            "{stem}"
        );
    }
}

#[test]
#[ignore = "a measurement: cargo test --release --lib ten_thousand_tunnels -- --ignored --nocapture"]
fn the_cost_of_ten_thousand_tunnels() {
    let tunnels = (0..10_000).map(|n| TunnelView {
        remote: Some(std::net::Ipv4Addr::from(0xc633_6400 + n)),
        counters: Some(CountersView { rx_bytes: u64::from(n) << 20, ..CountersView::default() }),
        name: format!("t{n}"),
        ..lively("up")
    });
    let seen = of(tunnels.collect());
    for format in [Format::Text, Format::OpenMetrics] {
        let begun = Instant::now();
        let text = exposition(&seen, NOW_MS, format);
        println!("{format:?}: {} lines, {} bytes, {:?}", text.lines().count(), text.len(), begun.elapsed());
    }
}
