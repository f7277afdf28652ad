//! What the loop knows, made known: events into store, log and streams; the snapshot that the API reads.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::{broadcast, watch};

use super::part::Part;
use super::session_view;
use crate::api::dto::{
    CountersView, EventView, FilterView, PlanView, PoolsView, ProbeView, RepairView, StatusView,
};
use crate::api::metrics::Gauges;
use crate::api::{Listener, Snapshot};
use crate::config::Config;
use crate::model::{Counters, Event, EventKind, Tally, TunnelName};
use crate::reconcile::{self, Look, locals, view};
use crate::registry::offers::Measured;
use crate::store::{self, State};

/// The ends that the loop holds.
#[derive(Debug)]
pub struct Publisher {
    /// The declaration's name, as it is shown.
    pub config_name: String,
    pub snapshot: watch::Sender<Arc<Snapshot>>,
    pub events: broadcast::Sender<EventView>,
    /// What was counted since the daemon began.
    pub tally: Tally,
    /// Metrics by TCP.
    pub listener: Listener,
}

/// What there is to show.
pub struct Shown<'a> {
    pub config: &'a Config,
    pub look: &'a Look,
    /// By ifindex.
    pub counters: &'a BTreeMap<u32, Counters>,
    /// By tunnel.
    pub probes: BTreeMap<String, ProbeView>,
    /// What an operator should know beyond the plan's own notes.
    pub notes: &'a [String],
    /// Of an inventory: this host's part, and how far its terminations are.
    pub part: Option<(&'a Part, &'a Measured)>,
    /// What was gathered for metrics last.
    pub gauges: &'a Arc<Gauges>,
}

impl Publisher {
    /// Logs the events, keeps them, and sends them to all who follow. One that cannot be kept has no number, and
    /// stands in the log only.
    pub fn record(&mut self, state: &mut State, events: &[Event]) {
        if events.is_empty() {
            return;
        }
        for event in events {
            log(event);
            self.tally.told(event.kind, event.tunnel.as_ref());
        }
        match state.change::<_, store::Error>(|change| change.record(events)) {
            // Nobody may be following.
            Ok(first) => {
                (first..).zip(events).for_each(|(seq, event)| drop(self.events.send(event_view(seq, event))))
            }
            Err(error) => tracing::error!("events cannot be kept: {}", sentence(error)),
        }
    }

    /// Why there is nothing to show yet.
    pub fn show_trouble(&self, notes: Vec<String>, gauges: &Arc<Gauges>) {
        let mut snapshot = nothing(&self.config_name);
        snapshot.status.notes = notes;
        (snapshot.tally, snapshot.gauges) = (self.tally.clone(), Arc::clone(gauges));
        self.snapshot.send_replace(Arc::new(snapshot));
    }

    /// Puts what is shown into the snapshot.
    pub fn show(&self, shown: Shown<'_>, state: &State) -> Result<(), store::Error> {
        let Shown { config, look, counters, mut probes, notes, part, gauges } = shown;
        let book = state.book()?;
        let foreign = locals::foreign(&look.observed, &config.tunnels, &look.owned);
        let mut status = view::status(&self.config_name, config, look, &book);
        status.notes.extend(notes.iter().cloned());
        fill(&mut status, state, counters)?;
        for tunnel in &mut status.tunnels {
            tunnel.probe = probes.remove(&tunnel.name);
            let down = tunnel.probe.as_ref().and_then(|probe| probe.liveness_why.clone());
            tunnel.reasons.extend(down);
        }
        if let Some((part, measured)) = part {
            status.sessions = session_view::all(part, measured, &status.tunnels);
        }
        let snapshot = Snapshot {
            ready: true,
            status,
            leases: book.leases().map(view::lease).collect(),
            pools: view::pools(config, &book, &foreign, reconcile::now()),
            plan: view::plan(look),
            tally: self.tally.clone(),
            gauges: Arc::clone(gauges),
        };
        self.snapshot.send_replace(Arc::new(snapshot));
        Ok(())
    }
}

/// What nobody has seen yet.
pub fn nothing(config_name: &str) -> Snapshot {
    Snapshot {
        ready: false,
        status: StatusView {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            config: config_name.to_owned(),
            tunnels: Vec::new(),
            sessions: Vec::new(),
            orphans: Vec::new(),
            notes: Vec::new(),
            filter: FilterView::default(),
        },
        leases: Vec::new(),
        pools: PoolsView::default(),
        plan: PlanView::default(),
        tally: Tally::default(),
        gauges: Arc::default(),
    }
}

/// An error and what caused it.
pub fn sentence(error: impl std::error::Error + Send + Sync + 'static) -> String {
    format!("{:#}", anyhow::Error::new(error))
}

pub fn event_view(seq: u64, event: &Event) -> EventView {
    let Event { at_ms, kind, tunnel, text } = event;
    let tunnel = tunnel.as_ref().map(ToString::to_string);
    EventView { seq, at_ms: *at_ms, kind: kind.to_string(), tunnel, text: text.clone() }
}

/// What the kernel and the store know of tunnels beyond the plan.
fn fill(
    status: &mut StatusView,
    state: &State,
    counters: &BTreeMap<u32, Counters>,
) -> Result<(), store::Error> {
    let (made, repairs) = (state.made_at()?, state.repairs()?);
    let texts = |tunnel: &TunnelName| tunnel.to_string();
    let made: BTreeMap<String, u64> = made.iter().map(|(tunnel, at)| (texts(tunnel), *at)).collect();
    let repairs: BTreeMap<String, &Event> =
        repairs.iter().map(|(tunnel, event)| (texts(tunnel), event)).collect();
    for tunnel in &mut status.tunnels {
        tunnel.counters = tunnel.ifindex.and_then(|index| counters.get(&index)).map(counters_view);
        tunnel.up_since = made.get(&tunnel.name).copied().filter(|_| tunnel.ifindex.is_some());
        tunnel.last_repair = repairs
            .get(&tunnel.name)
            .map(|event| RepairView { at_ms: event.at_ms, cause: event.text.clone() });
    }
    Ok(())
}

fn counters_view(counters: &Counters) -> CountersView {
    let Counters { rx_packets, tx_packets, rx_bytes, tx_bytes, rx_errors, tx_errors } = *counters;
    CountersView { rx_bytes, rx_packets, rx_errors, tx_bytes, tx_packets, tx_errors }
}

/// The links that are shown, whose counters are worth reading.
pub fn links(look: &Look) -> BTreeSet<u32> {
    let ours = |index: &u32| {
        look.observed.links.get(index).is_some_and(|link| TunnelName::of_link(&link.name).is_some())
    };
    look.observed.links.keys().copied().filter(ours).collect()
}

fn log(event: &Event) {
    let Event { at_ms: _, kind, tunnel, text } = event;
    let tunnel = tunnel.as_ref().map_or("-", TunnelName::as_str);
    match kind {
        EventKind::Fail | EventKind::Damp | EventKind::Refuse | EventKind::Hold | EventKind::Resync => {
            tracing::warn!(kind = kind.name(), tunnel, "{text}");
        }
        EventKind::Start
        | EventKind::Stop
        | EventKind::Reload
        | EventKind::Apply
        | EventKind::Repair
        | EventKind::Adopt
        | EventKind::Flush
        | EventKind::Move
        | EventKind::Live
        | EventKind::Session => tracing::info!(kind = kind.name(), tunnel, "{text}"),
    }
}
