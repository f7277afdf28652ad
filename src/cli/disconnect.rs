//! `greyhound disconnect`: end sessions, and see their addresses given back.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::bail;
use serde::Serialize;

use super::connect::Steps;
use super::context::Context;
use super::{Ended, output};
use crate::api::client::Client;
use crate::api::dto::SessionView;
use crate::model::TunnelName;

/// Each look waits so long at most.
const LOOK: Duration = Duration::from_secs(5);
/// Between looks whether the tunnel is down: it takes about as long.
const GLANCE: Duration = Duration::from_millis(10);

#[derive(Debug, clap::Args)]
pub struct Args {
    /// A session by its tunnel's name, or unicast or multicast for all of that kind [default: the only one].
    #[arg(value_name = "NAME|unicast|multicast")]
    which: Option<String>,
    /// Every session of this host.
    #[arg(long, conflicts_with = "which")]
    all: bool,
    /// End as soon as the sessions are ended; the edge gives their addresses back after that.
    #[arg(long)]
    no_wait: bool,
    /// Wait so long at most for the edge.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
}

/// What became of one.
#[derive(Serialize)]
struct Disconnected {
    session: SessionView,
    /// Its edge has given its addresses back.
    gone: bool,
    took_ms: BTreeMap<&'static str, f64>,
}

pub fn run(context: &Context, args: &Args) -> anyhow::Result<Ended> {
    let client = context.daemon()?;
    context.agree(&client)?;
    let wanted = wanted(client.sessions()?, args)?;
    let patience = Duration::from_secs(if args.no_wait { 0 } else { args.timeout });
    let mut ended = Vec::new();
    for session in wanted {
        ended.push(end(context, &client, &session, patience)?);
    }
    let partly = !args.no_wait && ended.iter().any(|session| !session.gone);
    if partly && !context.json {
        anstream::eprintln!(
            "greyhound: the edge has not confirmed within {} s that its end is gone: the addresses are free when it does",
            args.timeout
        );
    }
    if context.json {
        output::json(&ended)?;
    } else if ended.is_empty() {
        output::text("This host has no session.\n")?;
    }
    Ok(if partly { Ended::Partly } else { Ended::Whole })
}

/// The sessions that are meant.
fn wanted(mut sessions: Vec<SessionView>, args: &Args) -> anyhow::Result<Vec<SessionView>> {
    let names = |sessions: &[SessionView]| {
        let names: Vec<_> = sessions.iter().map(|session| session.tunnel.as_str()).collect();
        names.join(", ")
    };
    let Some(which) = &args.which else {
        if !args.all && sessions.len() > 1 {
            bail!("this host has {} sessions: name one of {}, or --all", sessions.len(), names(&sessions));
        }
        return Ok(sessions);
    };
    if let Some(at) = sessions.iter().position(|session| session.tunnel == *which && session.kind != *which) {
        return Ok(vec![sessions.swap_remove(at)]);
    }
    let of_kind = matches!(which.as_str(), "unicast" | "multicast");
    let all = names(&sessions);
    sessions.retain(|session| session.tunnel == *which || (of_kind && session.kind == *which));
    match (sessions.is_empty(), all.as_str()) {
        (false, _) => Ok(sessions),
        (true, "") => bail!("there is no session {which:?}: this host has none"),
        (true, all) => bail!("there is no session {which:?}: this host has {all}"),
    }
}

fn end(
    context: &Context,
    client: &Client,
    session: &SessionView,
    patience: Duration,
) -> anyhow::Result<Disconnected> {
    let mut steps = Steps { began: Instant::now(), took_ms: BTreeMap::new(), quiet: context.json };
    let mut session = client.disconnect_session(&TunnelName::new(&session.tunnel)?)?;
    if !context.json {
        output::text(&format!("{}: {} of {}\n", session.tunnel, session.termination, session.device))?;
    }
    steps.seen("ended")?;
    let tunnel = TunnelName::new(&session.tunnel)?;
    let left = |steps: &Steps| patience.saturating_sub(steps.began.elapsed());
    while !left(&steps).is_zero() && client.tunnels()?.iter().any(|there| there.name == tunnel.as_str()) {
        std::thread::sleep(GLANCE);
    }
    if !client.tunnels()?.iter().any(|there| there.name == tunnel.as_str()) {
        steps.seen("tunnel down")?;
    }
    let gone = loop {
        let left = left(&steps);
        if left.is_zero() {
            break false;
        }
        match client.session_after(&session, left.min(LOOK))? {
            Some(now) => session = now,
            None => break true,
        }
    };
    if gone {
        steps.seen("addresses free")?;
    }
    Ok(Disconnected { session, gone, took_ms: steps.took_ms })
}
