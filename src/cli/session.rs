//! `greyhound session`: the agreements of client hosts and devices, as they are in the inventory.

use std::net::Ipv4Addr;

use super::Ended;
use super::context::Context;
use super::output::{or_dash, rows, table};
use super::shelf::{self, joined, lines, word};
use crate::model::{DeviceCode, HostName, Kind, Session, SessionKey, SessionState, Underlay};
use crate::reconcile::{self, view};
use crate::registry::Registry;
use crate::registry::sessions::{self, Request};

#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Every session of the inventory.
    List {
        /// Only of this device.
        #[arg(long, value_name = "CODE")]
        device: Option<DeviceCode>,
        /// Only of this client host.
        #[arg(long)]
        host: Option<HostName>,
    },
    /// One session, whole.
    Show {
        /// HOST/NAME: the client host, and its tunnel's name.
        #[arg(value_name = "HOST/NAME")]
        key: SessionKey,
    },
    /// Take a termination, a /31 and a client address for a client host: all of them or none.
    Add(Box<Asked>),
    /// Say of an end that it is ready, or that the session ends.
    Set {
        /// HOST/NAME: the client host, and its tunnel's name.
        #[arg(value_name = "HOST/NAME")]
        key: SessionKey,
        /// edge-ready, ready or ending.
        #[arg(long, value_parser = word(&[SessionState::EdgeReady, SessionState::Ready, SessionState::Ending]))]
        state: SessionState,
    },
    /// End a session. Its addresses are free when its edge has taken the tunnel down.
    Remove {
        /// HOST/NAME: the client host, and its tunnel's name.
        #[arg(value_name = "HOST/NAME")]
        key: SessionKey,
        /// You know that the edge has no such tunnel any more: its addresses are free at once.
        #[arg(long)]
        gone: bool,
    },
}

#[derive(Clone, Debug, clap::Args)]
pub struct Asked {
    /// HOST/NAME: the client host, and its tunnel's name.
    #[arg(value_name = "HOST/NAME")]
    key: SessionKey,
    /// The device.
    #[arg(long, value_name = "CODE")]
    device: DeviceCode,
    /// unicast or multicast.
    #[arg(long, value_parser = word(&[Kind::Unicast, Kind::Multicast]))]
    kind: Kind,
    /// The address that the client's tunnel is bound to.
    #[arg(long, value_name = "ADDRESS")]
    bound: Ipv4Addr,
    /// The client's address as the world sees it, behind a 1:1 NAT.
    #[arg(long, value_name = "ADDRESS")]
    public: Option<Ipv4Addr>,
    /// One of the device's terminations [default: the lowest that is free for this client].
    #[arg(long, value_name = "ADDRESS")]
    termination: Option<Ipv4Addr>,
    /// Groups that the client sends to.
    #[arg(long, value_name = "GROUP", num_args = 1..)]
    publish: Vec<Ipv4Addr>,
    /// Groups that the client wants.
    #[arg(long, value_name = "GROUP", num_args = 1..)]
    subscribe: Vec<Ipv4Addr>,
}

pub fn run(context: &Context, verb: &Verb) -> anyhow::Result<Ended> {
    let now = reconcile::now();
    match verb {
        Verb::List { device, host } => context.with_inventory(|inventory| {
            let registry = shelf::registry(inventory)?;
            let all = registry.sessions.values().map(|session| &session.value);
            let wanted = all.filter(|session| {
                device.as_ref().is_none_or(|device| session.device == *device)
                    && host.as_ref().is_none_or(|host| session.host == *host)
            });
            let wanted: Vec<_> = wanted.collect();
            context.tell(&wanted, || text(&wanted))
        }),
        Verb::Show { key } => context.with_inventory(|inventory| {
            let registry = shelf::registry(inventory)?;
            let session = registry.session(key)?;
            context.tell(session, || whole(session))
        }),
        Verb::Add(asked) => {
            let request = asked.request();
            context.change_inventory(|registry| sessions::request(registry, &request, now), whole)
        }
        Verb::Set { key, state } => {
            let decide = |registry: &Registry| match state {
                SessionState::EdgeReady => sessions::edge_ready(registry, registry.session(key)?, now),
                SessionState::Ready => sessions::host_ready(registry, registry.session(key)?, now),
                _ => sessions::end(registry, key, now),
            };
            context.change_inventory(decide, |session| format!("Session {key} is {}.", session.state))
        }
        Verb::Remove { key, gone: false } => context.change_inventory(
            |registry| sessions::end(registry, key, now),
            |_| format!("Session {key} ends: its addresses are free when its edge has taken it down."),
        ),
        Verb::Remove { key, gone: true } => context.change_inventory(
            |registry| match registry.session(key) {
                Ok(_) => sessions::confirm_gone(registry, key, true, now),
                Err(absent) => Err(absent),
            },
            |_| format!("Session {key} is gone, and its addresses are free."),
        ),
    }
}

impl Asked {
    fn request(&self) -> Request {
        let Self { key, device, kind, bound, public, termination, publish, subscribe } = self.clone();
        Request {
            host: key.host,
            name: key.name,
            kind,
            device,
            termination,
            underlay: Underlay { bound, public },
            publish: publish.into_iter().collect(),
            subscribe: subscribe.into_iter().collect(),
        }
    }
}

/// Sessions as a table.
pub fn text(sessions: &[&Session]) -> String {
    let mut table = table(&[
        "session",
        "kind",
        "device",
        "termination",
        "overlay",
        "client",
        "bound",
        "public",
        "state",
        "since",
    ]);
    for session in sessions {
        table.add_row([
            session.key().to_string(),
            session.kind.to_string(),
            session.device.to_string(),
            session.termination.to_string(),
            session.overlay.to_string(),
            session.client.to_string(),
            session.underlay.bound.to_string(),
            or_dash(session.underlay.public),
            session.state.to_string(),
            view::time(session.since),
        ]);
    }
    rows(&table, "No session.")
}

fn whole(session: &Session) -> String {
    lines(&[
        ("session", session.key().to_string()),
        ("kind", session.kind.to_string()),
        ("device", session.device.to_string()),
        ("state", format!("{} since {}", session.state, view::time(session.since))),
        ("termination", session.termination.to_string()),
        ("overlay", format!("edge {}, client {}", session.edge_overlay(), session.client_overlay())),
        ("client", session.client.to_string()),
        ("bound", session.underlay.bound.to_string()),
        ("public", or_dash(session.underlay.public)),
        ("publish", joined(&session.publish)),
        ("subscribe", joined(&session.subscribe)),
        ("tunnel on the edge", session.edge_tunnel().link().to_string()),
    ])
}
