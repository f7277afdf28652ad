//! The daemon made of paper: what it answers, and what it shows.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use greyhound::api::dto::{
    BestView, CountersView, EventView, FilterView, LatencyView, LeaseView, OutcomeView, PlanView, PoolView,
    PoolsView, ProbeView, RepairView, SessionView, StatusView, StepsView, TerminationView, TunnelState,
    TunnelView,
};
use greyhound::api::{Answer, Command, Failure, Request, Snapshot};
use greyhound::model::TunnelName;
use tokio::sync::{mpsc, watch};

use super::counted;

/// Does as it is told; a declaration that says `wrong` is.
pub async fn paper(
    mut asked: mpsc::Receiver<Request>,
    publish: watch::Sender<Arc<Snapshot>>,
    kept: Vec<EventView>,
    file: PathBuf,
) {
    while let Some(Request { command, by: _, reply }) = asked.recv().await {
        let wrong = std::fs::read_to_string(&file).is_ok_and(|text| text.contains("wrong"));
        let answer = match command {
            Command::Reload | Command::Apply if wrong => Err(mistake()),
            Command::Reload => Ok(Answer::Outcome(outcome("Reloaded on paper."))),
            Command::Counters | Command::Metrics => Ok(Answer::Counters),
            Command::Latency => Ok(Answer::Latency(latency())),
            Command::Move { tunnel, to } => {
                Ok(Answer::Tunnel(Box::new(TunnelView { remote: Some(to), ..named(&tunnel) })))
            }
            Command::Hold { tunnel, held } => {
                Ok(Answer::Tunnel(Box::new(TunnelView { probe: Some(probe(held)), ..named(&tunnel) })))
            }
            Command::Apply => Ok(Answer::Outcome(outcome("Applied on paper."))),
            Command::Flush { orphans } => {
                Ok(Answer::Outcome(outcome(&format!("Flushed on paper, orphans: {orphans}."))))
            }
            Command::Connect(ask) if ask.kind == "unicast" => {
                Ok(Answer::Session(Box::new(session("unicast", "requested", 0))))
            }
            Command::Connect(_) => Err(Failure::Nothing {
                sentence: "no termination can be had".to_owned(),
                reasons: vec!["ams-1: it is full on paper".to_owned()],
            }),
            Command::Disconnect { tunnel } if !has(&publish.borrow(), tunnel.as_str()) => {
                Err(Failure::Nothing {
                    sentence: format!("there is no session host-1/{tunnel} in the inventory"),
                    reasons: vec![],
                })
            }
            Command::Disconnect { tunnel } => {
                let mut seen = Snapshot::clone(&publish.borrow());
                seen.status.sessions.retain(|session| session.tunnel != tunnel.as_str());
                publish.send_replace(Arc::new(seen));
                Ok(Answer::Session(Box::new(session(tunnel.as_str(), "ending", 0))))
            }
            Command::Plan => Ok(Answer::Plan(plan("Planned on paper."))),
            Command::Events { since, limit } => Ok(Answer::Events(select(&kept, since, limit))),
        };
        let _ = reply.send(answer);
    }
}

fn has(seen: &Snapshot, tunnel: &str) -> bool {
    seen.status.sessions.iter().any(|session| session.tunnel == tunnel)
}

fn mistake() -> Failure {
    Failure::Declaration {
        sentence: "the declaration is wrong: what was in force stays".to_owned(),
        problems: vec![serde_json::json!({ "line": 4, "message": "a mistake" })],
        text: Some("error: a mistake\n --> line 4\n".to_owned()),
    }
}

fn select(kept: &[EventView], since: Option<u64>, limit: usize) -> Vec<EventView> {
    match since {
        Some(since) => kept.iter().filter(|event| event.seq > since).take(limit).cloned().collect(),
        None => kept.iter().skip(kept.len().saturating_sub(limit)).cloned().collect(),
    }
}

pub fn event(seq: u64, at_ms: u64) -> EventView {
    let text = format!("happening {seq} was put right");
    EventView { seq, at_ms, kind: "repair".to_owned(), tunnel: Some("ams".to_owned()), text }
}

fn plan(summary: &str) -> PlanView {
    PlanView { summary: summary.to_owned(), ..PlanView::default() }
}

fn outcome(summary: &str) -> OutcomeView {
    OutcomeView { summary: summary.to_owned(), done: 1, failed: vec![], elapsed_ms: 2, left: plan("") }
}

/// A session that is called as its kind is; so many of its steps were seen.
fn session(kind: &str, state: &str, steps: usize) -> SessionView {
    SessionView {
        session: format!("host-1/{kind}"),
        tunnel: kind.to_owned(),
        kind: kind.to_owned(),
        device: "ams-1".to_owned(),
        termination: [198, 51, 100, 8].into(),
        overlay: "169.254.10.0/31".to_owned(),
        client: [203, 0, 113, 7].into(),
        bound: [192, 0, 2, 10].into(),
        public: None,
        publish: vec![],
        subscribe: vec![],
        state: state.to_owned(),
        since: 1,
        steps: StepsView { edge_ready: steps > 0, link_up: steps > 1, answered: steps > 2 },
        reasons: vec![],
        latency_ms: Some(1.5),
        best: Some(BestView {
            device: "fra-1".to_owned(),
            termination: [203, 0, 113, 8].into(),
            latency_ms: 1.2,
            why: "session host-2/unicast has it".to_owned(),
        }),
    }
}

pub fn snapshot(file: &Path, state: TunnelState) -> Snapshot {
    let status = StatusView {
        version: "0".to_owned(),
        config: file.display().to_string(),
        tunnels: vec![tunnel(state)],
        sessions: vec![session("unicast", "ready", 3), session("multicast", "edge-ready", 1)],
        orphans: vec![],
        notes: vec![],
        filter: FilterView::default(),
    };
    let lease = LeaseView {
        prefix: "198.51.100.8/32".to_owned(),
        pool: "loopbacks".to_owned(),
        holder: "tunnel/ams".to_owned(),
        purpose: "termination".to_owned(),
        state: "active".to_owned(),
        since: 1,
    };
    let pools = PoolsView { rule: vec!["Lowest first.".to_owned()], pools: vec![pool()], strays: vec![] };
    let (tally, gauges) = (counted::tally(), Arc::new(counted::gauges(latency())));
    let plan = plan("As last seen.");
    Snapshot { ready: true, status, leases: vec![lease], pools, plan, tally, gauges }
}

fn pool() -> PoolView {
    PoolView {
        name: "loopbacks".to_owned(),
        purpose: "termination".to_owned(),
        tier: "primary".to_owned(),
        total: 8,
        excluded: 0,
        active: 1,
        resting: 0,
        foreign: 0,
        free: 7,
        quota: None,
        next: "198.51.100.9".to_owned(),
        parts: vec![],
    }
}

fn named(name: &TunnelName) -> TunnelView {
    TunnelView { name: name.to_string(), ..tunnel(TunnelState::Up) }
}

fn tunnel(state: TunnelState) -> TunnelView {
    let counters = CountersView {
        rx_bytes: 1536,
        rx_packets: 12,
        rx_errors: 0,
        tx_bytes: 20_480,
        tx_packets: 34,
        tx_errors: 0,
    };
    TunnelView {
        name: "ams".to_owned(),
        kind: Some("unicast".to_owned()),
        state,
        reasons: vec![],
        link: "gh-ams".to_owned(),
        ifindex: Some(7),
        local: Some([198, 51, 100, 8].into()),
        pool: Some("loopbacks".to_owned()),
        remote: Some([192, 0, 2, 1].into()),
        remotes: vec![[192, 0, 2, 1].into()],
        key: None,
        overlay: Some("169.254.10.0/31".to_owned()),
        peer: None,
        mtu: Some(1476),
        overhead: 24,
        vrf: None,
        client: None,
        routes: vec![],
        groups: vec![],
        counters: Some(counters),
        up_since: Some(1),
        last_repair: Some(RepairView { at_ms: 2000, cause: "the link was deleted".to_owned() }),
        probe: None,
    }
}

fn latency() -> LatencyView {
    let termination = TerminationView {
        device: "ams".to_owned(),
        interface: "-".to_owned(),
        termination: [192, 0, 2, 1].into(),
        source: None,
        in_use: true,
        latency_ms: None,
        result: "nobody knows".to_owned(),
        shunned: None,
        methods: vec![],
    };
    LatencyView {
        at_ms: 7,
        terminations: vec![termination],
        not_believed: Default::default(),
        reflector: None,
    }
}

fn probe(held: bool) -> ProbeView {
    ProbeView {
        liveness: "up".to_owned(),
        liveness_why: None,
        inside_ms: Some(1.5),
        latency_ms: Some(1.5),
        latency_why: None,
        decision: None,
        decided: None,
        held,
    }
}
