//! `greyhound tunnel`: the tunnels, as declared and as they are.

use anyhow::bail;

use super::context::Context;
use super::output::or_dash;
use super::source::Source;
use super::{Ended, output, status, units};
use crate::api::client::Client;
use crate::api::dto::{CountersView, TunnelView};
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
}

pub fn run(context: &Context, verb: &Verb) -> anyhow::Result<Ended> {
    let source = context.source()?;
    if matches!(source, Source::BadDeclaration) {
        return Ok(Ended::BadDeclaration);
    }
    match verb {
        Verb::List => list(context, source),
        Verb::Show { name } => show(context, source, name),
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
    if context.json {
        output::json(&tunnel)?;
    } else {
        output::text(&text(&tunnel, reconcile::now()))?;
    }
    Ok(status::ended(std::slice::from_ref(&tunnel)))
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
        ("state", status::state(tunnel.state).to_owned()),
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
        ("last repair", or_dash(tunnel.last_repair.as_ref().map(|last| status::repair(last, now)))),
    ];
    let rows = rows.iter().map(|(what, value)| format!("{what:<11} {value}\n"));
    let reasons = tunnel.reasons.iter().map(|reason| format!("! {}\n", output::one_line(reason)));
    rows.chain(reasons).collect()
}

fn uptime(since: Timestamp, now: Timestamp) -> String {
    format!("{} (since {})", units::span(now.saturating_sub(since)), view::time(since))
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
