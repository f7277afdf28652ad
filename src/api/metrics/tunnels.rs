//! Tunnels and sessions into samples. What was not observed gives none.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::catalogue::Metric;
use super::sheet::{Labels, Sheet, labels};
use crate::api::dto::{CountersView, ProbeView, SessionView, TunnelState, TunnelView};
use crate::api::handle::Snapshot;
use crate::model::{TunnelName, TunnelTally};

/// Every tunnel that is shown, each with series of its own.
pub fn add(sheet: &mut Sheet, seen: &Snapshot, now_ms: u64) {
    let sessions: BTreeMap<&str, &SessionView> =
        seen.status.sessions.iter().map(|session| (session.tunnel.as_str(), session)).collect();
    let devices = devices(seen);
    for tunnel in &seen.status.tunnels {
        let tally = TunnelName::new(&tunnel.name).ok().and_then(|name| seen.tally.tunnels.get(&name));
        let tally = tally.copied().unwrap_or_default();
        let (device, termination) = place(tunnel, sessions.get(tunnel.name.as_str()).copied(), &devices);
        let kind = tunnel.kind.as_deref().unwrap_or_default();
        add_tunnel(sheet, tunnel, tally, [&tunnel.name, kind, &device, &termination], now_ms);
    }
    let mut counted: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for session in &seen.status.sessions {
        *counted.entry((&session.kind, &session.state)).or_default() += 1;
    }
    for ((kind, state), count) in counted {
        sheet.add(Metric::Sessions, &labels([kind, state]), count);
    }
}

fn add_tunnel(sheet: &mut Sheet, tunnel: &TunnelView, tally: TunnelTally, about: [&str; 4], now_ms: u64) {
    let of = labels(about);
    let [name, kind, device, termination] = about;
    sheet.add(Metric::TunnelUp, &of, tunnel.state == TunnelState::Up);
    sheet.add(Metric::TunnelState, &labels([name, kind, device, termination, tunnel.state.word()]), 1);
    sheet.add_known(Metric::TunnelAnswers, &of, tunnel.probe.as_ref().and_then(answers));
    sheet.add_known(Metric::TunnelUptime, &of, uptime(tunnel, tally, now_ms));
    let inside = tunnel.probe.as_ref().filter(|probe| answers(probe) == Some(true));
    sheet.add_known(Metric::TunnelRtt, &of, inside.and_then(|probe| probe.inside_ms).map(seconds));
    if let Some(counters) = tunnel.counters {
        add_counters(sheet, &of, counters);
    }
    let TunnelTally { repairs, moves, answering_since: _ } = tally;
    sheet.add(Metric::Moves, &of, moves);
    sheet.add(Metric::Repairs, &of, repairs);
}

fn add_counters(sheet: &mut Sheet, of: &Labels, counters: CountersView) {
    let CountersView { rx_bytes, rx_packets, rx_errors, tx_bytes, tx_packets, tx_errors } = counters;
    for (metric, count) in [
        (Metric::ReceiveBytes, rx_bytes),
        (Metric::ReceivePackets, rx_packets),
        (Metric::ReceiveErrors, rx_errors),
        (Metric::TransmitBytes, tx_bytes),
        (Metric::TransmitPackets, tx_packets),
        (Metric::TransmitErrors, tx_errors),
    ] {
        sheet.add(metric, of, count);
    }
}

/// Does the other end answer through the tunnel? `None`: that is not known, or it never did.
fn answers(probe: &ProbeView) -> Option<bool> {
    match probe.liveness.as_str() {
        "up" => Some(true),
        "down" => Some(false),
        _ => None,
    }
}

/// Seconds since the tunnel was observed up; `None`: it is not, or that is not known.
fn uptime(tunnel: &TunnelView, tally: TunnelTally, now_ms: u64) -> Option<f64> {
    if tunnel.state != TunnelState::Up {
        return None;
    }
    let made_ms = tunnel.up_since?.saturating_mul(1000);
    let liveness = tunnel.probe.as_ref().map(|probe| probe.liveness.as_str());
    let since_ms = match liveness {
        Some("up") => tally.answering_since?.max(made_ms),
        // Who never answered is not asked: the link is all there is to see.
        Some("silent") | None => made_ms,
        Some(_) => return None,
    };
    Some(seconds(now_ms.saturating_sub(since_ms) as f64))
}

/// The devices that tunnels of this host lead to, by termination, as `greyhound latency` calls them.
fn devices(seen: &Snapshot) -> BTreeMap<Ipv4Addr, &str> {
    let rows = seen.gauges.measured.iter().flat_map(|measured| &measured.terminations);
    rows.filter(|row| row.in_use).map(|row| (row.termination, row.device.as_str())).collect()
}

/// Device and termination in use: those of its session, else where the link leads. A declared tunnel's endpoints count
/// as one device that has its name, as everywhere.
fn place(
    tunnel: &TunnelView,
    session: Option<&SessionView>,
    devices: &BTreeMap<Ipv4Addr, &str>,
) -> (String, String) {
    match (session, tunnel.remote) {
        (Some(session), _) => (session.device.clone(), session.termination.to_string()),
        (None, Some(remote)) => {
            let alone = devices.get(&remote).copied().unwrap_or(&tunnel.name);
            (alone.to_owned(), remote.to_string())
        }
        (None, None) => (String::new(), String::new()),
    }
}

/// Of milliseconds.
pub fn seconds(ms: f64) -> f64 {
    ms / 1e3
}
