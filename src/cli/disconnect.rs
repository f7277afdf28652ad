//! `greyhound disconnect`: end sessions, and see their addresses given back.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::bail;
use serde::Serialize;

use super::connect::{LOOK, NOTHING, Steps};
use super::context::Context;
use super::{Ended, output};
use crate::api::client::{Client, Error};
use crate::api::dto::SessionView;
use crate::model::TunnelName;

/// A session is shown so soon after it has begun.
const SHOWN: Duration = Duration::from_secs(2);
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
    let sessions = client.sessions()?;
    let names = if sessions.is_empty() { "none".to_owned() } else { names(&sessions) };
    let wanted = wanted(&sessions, args)?;
    let patience = Duration::from_secs(if args.no_wait { 0 } else { args.timeout });
    let began = Instant::now();
    // All are ended before any is waited for: one whose edge is away holds up no other.
    let mut ending = Vec::new();
    for (name, shown) in wanted {
        let session = match client.disconnect_session(&name) {
            Err(Error::Refused { status: NOTHING, view }) => bail!("{}; this host has {names}", view.error),
            session => session?,
        };
        let mut steps = Steps { began, took_ms: BTreeMap::new(), quiet: true };
        steps.seen("ended")?;
        ending.push((session, shown, steps));
    }
    let mut ended = Vec::new();
    for (session, shown, steps) in ending {
        ended.push(follow(context, &client, session, shown, steps, patience)?);
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

fn names(sessions: &[SessionView]) -> String {
    sessions.iter().map(|session| session.tunnel.as_str()).collect::<Vec<_>>().join(", ")
}

/// The sessions that are meant, by their tunnels, and whether they are shown yet. One that has just begun need not be.
fn wanted(sessions: &[SessionView], args: &Args) -> anyhow::Result<Vec<(TunnelName, bool)>> {
    let meant: Vec<&SessionView> = match &args.which {
        None if !args.all && sessions.len() > 1 => {
            bail!("this host has {} sessions: name one of {}, or --all", sessions.len(), names(sessions))
        }
        None => sessions.iter().collect(),
        Some(which) => {
            let is_kind = sessions.iter().any(|session| session.kind == *which);
            sessions
                .iter()
                .filter(|session| session.tunnel == *which || (is_kind && session.kind == *which))
                .collect()
        }
    };
    match (&args.which, meant.is_empty()) {
        (Some(which), true) => Ok(vec![(TunnelName::new(which)?, false)]),
        _ => meant.iter().map(|session| Ok((TunnelName::new(&session.tunnel)?, true))).collect(),
    }
}

/// Until its tunnel is down here and its edge has given its addresses back.
fn follow(
    context: &Context,
    client: &Client,
    mut session: SessionView,
    mut shown: bool,
    mut steps: Steps,
    patience: Duration,
) -> anyhow::Result<Disconnected> {
    steps.quiet = context.json;
    if !context.json {
        output::text(&format!("{}: {} of {}\n", session.tunnel, session.termination, session.device))?;
        steps.tell("ended")?;
    }
    let left = |steps: &Steps, most: Duration| most.saturating_sub(steps.began.elapsed());
    let is_there =
        || -> anyhow::Result<bool> { Ok(client.tunnels()?.iter().any(|there| there.name == session.tunnel)) };
    let mut down = !is_there()?;
    while !down && !left(&steps, patience).is_zero() {
        std::thread::sleep(GLANCE);
        down = !is_there()?;
    }
    if down {
        steps.seen("tunnel down")?;
    }
    let gone = loop {
        let wait = left(&steps, patience);
        if wait.is_zero() {
            break false;
        }
        match client.session_after(&session, wait.min(LOOK))? {
            Some(now) => (session, shown) = (now, true),
            // One that has just begun is shown a moment later.
            None if !shown && !left(&steps, patience.min(SHOWN)).is_zero() => std::thread::sleep(GLANCE),
            None => break true,
        }
    };
    if gone {
        steps.seen("addresses free")?;
    }
    Ok(Disconnected { session, gone, took_ms: steps.took_ms })
}
