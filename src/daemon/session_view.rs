//! Sessions as they are shown.

use std::collections::BTreeMap;

use super::part::Part;
use crate::api::dto::{BestView, ProbeView, SessionView, StepsView, TunnelState, TunnelView};
use crate::model::{Session, SessionState, TunnelName};
use crate::probe::figures::ms;
use crate::reconcile::part::Me;
use crate::registry::offers::{self, Measured, Nearer, Offer};

/// The sessions of this host, or with this device.
pub fn all(part: &Part, measured: &Measured, tunnels: &[TunnelView]) -> Vec<SessionView> {
    let Part { me, registry, aside, .. } = part;
    let by_name: BTreeMap<&str, &TunnelView> =
        tunnels.iter().map(|tunnel| (tunnel.name.as_str(), tunnel)).collect();
    let view = |session: &Session, name: TunnelName| {
        let mut view = SessionView { tunnel: name.to_string(), ..bare(session) };
        if let Some(why) = aside.get(&session.key()) {
            view.reasons.push(why.clone());
        } else if let Some(tunnel) = by_name.get(name.as_str()) {
            view.steps.link_up = tunnel.state == TunnelState::Up;
            view.steps.answered = view.steps.link_up && tunnel.probe.as_ref().is_some_and(answers);
            view.reasons.clone_from(&tunnel.reasons);
        }
        view
    };
    match me {
        Me::Edge(code) => {
            registry.sessions_of(code).map(|session| view(session, session.edge_tunnel())).collect()
        }
        Me::Host(name) => {
            let ours = registry.sessions_from(name).map(|session| SessionView {
                latency_ms: measured.get(&session.termination).copied().map(ms),
                best: offers::nearer(registry, session, measured).map(best),
                ..view(session, session.name.clone())
            });
            ours.collect()
        }
    }
}

/// What the inventory alone says of it, on its host.
pub fn bare(session: &Session) -> SessionView {
    let Session {
        host: _,
        name,
        device,
        kind,
        termination,
        overlay,
        client,
        underlay,
        publish,
        subscribe,
        state,
        since,
    } = session;
    SessionView {
        session: session.key().to_string(),
        tunnel: name.to_string(),
        kind: kind.to_string(),
        device: device.to_string(),
        termination: *termination,
        overlay: overlay.to_string(),
        client: *client,
        bound: underlay.bound,
        public: underlay.public,
        publish: publish.iter().copied().collect(),
        subscribe: subscribe.iter().copied().collect(),
        state: state.to_string(),
        since: *since,
        steps: StepsView {
            edge_ready: matches!(state, SessionState::EdgeReady | SessionState::Ready),
            ..StepsView::default()
        },
        reasons: Vec::new(),
        latency_ms: None,
        best: None,
    }
}

fn answers(probe: &ProbeView) -> bool {
    probe.liveness == "up"
}

fn best(nearer: Nearer) -> BestView {
    let Nearer { offer: Offer { device, termination, latency }, why } = nearer;
    BestView { device: device.to_string(), termination, latency_ms: ms(latency), why }
}
