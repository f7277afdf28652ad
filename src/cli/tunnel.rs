//! `greyhound tunnel`: the tunnels, as declared and as they are.

use std::net::Ipv4Addr;

use anyhow::bail;

use super::context::Context;
use super::output::or_dash;
use super::source::Source;
use super::{Ended, output, status, units};
use crate::api::client::{self, Client};
use crate::api::dto::{CountersView, ProbeView, TunnelView};
use crate::model::{Timestamp, TunnelName};
use crate::reconcile::{self, view};

#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Every tunnel in a table.
    List,
    /// One tunnel, whole.
    Show {
        /// The tunnel's name.
        name: String,
    },
    /// Move a tunnel to another of its remotes, in place. It may be moved again by what is measured: see hold.
    Move {
        /// The tunnel's name.
        #[arg(value_parser = name)]
        name: TunnelName,
        /// One of its remotes.
        #[arg(long, value_name = "ADDRESS")]
        to: Ipv4Addr,
    },
    /// From now on, move a tunnel by hand only.
    Hold {
        /// The tunnel's name.
        #[arg(value_parser = name)]
        name: TunnelName,
    },
    /// From now on, move a tunnel by what is measured, too.
    Unhold {
        /// The tunnel's name.
        #[arg(value_parser = name)]
        name: TunnelName,
    },
}

pub fn run(context: &Context, verb: &Verb) -> anyhow::Result<Ended> {
    let asked = |ask: &dyn Fn(&Client) -> Result<TunnelView, client::Error>| {
        let client = context.daemon()?;
        context.agree(&client)?;
        print(context, &ask(&client)?)
    };
    match verb {
        Verb::List | Verb::Show { .. } => look(context, verb),
        Verb::Move { name, to } => asked(&|client| client.move_tunnel(name, *to)),
        Verb::Hold { name } => asked(&|client| client.hold(name, true)),
        Verb::Unhold { name } => asked(&|client| client.hold(name, false)),
    }
}

fn name(text: &str) -> Result<TunnelName, String> {
    TunnelName::new(text).map_err(|error| error.to_string())
}

fn look(context: &Context, verb: &Verb) -> anyhow::Result<Ended> {
    let source = context.source()?;
    if matches!(source, Source::BadDeclaration) {
        return Ok(Ended::BadDeclaration);
    }
    match verb {
        Verb::Show { name } => show(context, source, name),
        _ => list(context, source),
    }
}

fn list(context: &Context, source: Source) -> anyhow::Result<Ended> {
    let tunnels = all(context, source)?;
    if context.json {
        output::json(&tunnels)?;
    } else {
        output::text(&status::tunnels(&tunnels, reconcile::now()))?;
    }
    Ok(status::ended(&tunnels))
}

fn show(context: &Context, source: Source, name: &str) -> anyhow::Result<Ended> {
    let tunnel = match source {
        Source::Daemon(client) => of_daemon(&client, name)?,
        other => find(all(context, other)?, name)?,
    };
    print(context, &tunnel)
}

fn print(context: &Context, tunnel: &TunnelView) -> anyhow::Result<Ended> {
    if context.json {
        output::json(tunnel)?;
    } else {
        output::text(&text(tunnel, reconcile::now()))?;
    }
    Ok(status::ended(std::slice::from_ref(tunnel)))
}

fn all(context: &Context, source: Source) -> anyhow::Result<Vec<TunnelView>> {
    Ok(match source {
        Source::Daemon(client) => client.tunnels()?,
        Source::Here(config) => status::here(context, &config)?.tunnels,
        Source::BadDeclaration => Vec::new(),
    })
}

/// What is no name at all is no tunnel's either, and not worth a question.
fn of_daemon(client: &Client, name: &str) -> anyhow::Result<TunnelView> {
    match TunnelName::new(name) {
        Ok(name) => Ok(client.tunnel(&name)?),
        Err(_) => bail!("there is no tunnel {name:?}"),
    }
}

fn find(tunnels: Vec<TunnelView>, name: &str) -> anyhow::Result<TunnelView> {
    let names: Vec<_> = tunnels.iter().map(|tunnel| tunnel.name.clone()).collect();
    match tunnels.into_iter().find(|tunnel| tunnel.name == name) {
        Some(tunnel) => Ok(tunnel),
        None => bail!("there is no tunnel {name}; there are: {}", names.join(", ")),
    }
}

fn text(tunnel: &TunnelView, now: Timestamp) -> String {
    let list = |values: &[String]| if values.is_empty() { "-".to_owned() } else { values.join(" ") };
    let remotes: Vec<_> = tunnel.remotes.iter().map(ToString::to_string).collect();
    let [received, sent] = counted(tunnel.counters.as_ref());
    let rows = [
        ("name", tunnel.name.clone()),
        ("kind", or_dash(tunnel.kind.as_ref())),
        ("state", tunnel.state.word().to_owned()),
        ("link", tunnel.link.clone()),
        ("ifindex", or_dash(tunnel.ifindex)),
        ("local", or_dash(tunnel.local)),
        ("pool", or_dash(tunnel.pool.as_ref())),
        ("remote", or_dash(tunnel.remote)),
        ("candidates", list(&remotes)),
        ("key", or_dash(tunnel.key)),
        ("overlay", or_dash(tunnel.overlay.as_ref())),
        ("peer", or_dash(tunnel.peer)),
        ("mtu", or_dash(tunnel.mtu)),
        ("overhead", format!("{} bytes", tunnel.overhead)),
        ("vrf", or_dash(tunnel.vrf.as_ref())),
        ("client", or_dash(tunnel.client)),
        ("routes", list(&tunnel.routes)),
        ("groups", list(&tunnel.groups)),
        ("uptime", or_dash(tunnel.up_since.map(|since| uptime(since, now)))),
        ("received", received),
        ("sent", sent),
        ("latency", latency(tunnel.probe.as_ref())),
        ("liveness", liveness(tunnel.probe.as_ref())),
        ("decision", decision(tunnel.probe.as_ref())),
        ("last repair", or_dash(tunnel.last_repair.as_ref().map(|last| status::repair(last, now)))),
    ];
    let rows = rows.iter().map(|(what, value)| format!("{what:<11} {value}\n"));
    let reasons = tunnel.reasons.iter().map(|reason| format!("! {}\n", output::one_line(reason)));
    rows.chain(reasons).collect()
}

fn uptime(since: Timestamp, now: Timestamp) -> String {
    format!("{} (since {})", units::span(now.saturating_sub(since)), view::time(since))
}

fn latency(probe: Option<&ProbeView>) -> String {
    let Some(probe) = probe else { return "-".to_owned() };
    let figure = probe.latency_ms.map(|ms| format!("{ms:.3} ms"));
    figure.or_else(|| probe.latency_why.clone()).unwrap_or_else(|| "-".to_owned())
}

fn liveness(probe: Option<&ProbeView>) -> String {
    let Some(ProbeView { liveness, liveness_why, inside_ms, .. }) = probe else { return "-".to_owned() };
    let why = liveness_why.iter().map(|why| format!(": {why}"));
    let inside = inside_ms.iter().map(|ms| format!(", {ms:.3} ms through the tunnel"));
    std::iter::once(liveness.clone()).chain(why).chain(inside).collect()
}

fn decision(probe: Option<&ProbeView>) -> String {
    let held = probe.is_some_and(|probe| probe.held).then(|| "moved by hand only; ".to_owned());
    held.unwrap_or_default() + &or_dash(probe.and_then(|probe| probe.decision.as_ref()))
}

/// Both directions, to the last byte.
fn counted(counters: Option<&CountersView>) -> [String; 2] {
    let Some(counters) = counters else { return ["-".to_owned(), "-".to_owned()] };
    let CountersView { rx_bytes, rx_packets, rx_errors, tx_bytes, tx_packets, tx_errors } = counters;
    [
        format!("{rx_packets} packets, {rx_bytes} bytes, {rx_errors} errors"),
        format!("{tx_packets} packets, {tx_bytes} bytes, {tx_errors} errors"),
    ]
}
