//! `greyhound connect`: begin a session, and see its tunnel come up.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::context::Context;
use super::output::{one_line, or_dash, rows, table};
use super::shelf::word;
use super::{Ended, output};
use crate::api::client::{Client, Error};
use crate::api::dto::{BestView, ConnectAsk, SessionView, StepsView};
use crate::model::{DeviceCode, Kind, TunnelName};

/// The status of a refusal that lists why nothing can be had.
pub const NOTHING: u16 = 409;
/// Each look waits so long at most.
pub const LOOK: Duration = Duration::from_secs(5);

#[derive(Debug, clap::Args)]
pub struct Args {
    /// unicast or multicast.
    #[arg(value_parser = word(&[Kind::Unicast, Kind::Multicast]))]
    kind: Kind,
    /// What the tunnel is to be called [default: the kind, and a number where that is taken].
    #[arg(long)]
    name: Option<TunnelName>,
    /// Only on this device [default: the nearest].
    #[arg(long, value_name = "CODE")]
    device: Option<DeviceCode>,
    /// Only to this termination [default: the nearest].
    #[arg(long, value_name = "ADDRESS")]
    termination: Option<Ipv4Addr>,
    /// Groups that this host sends to.
    #[arg(long, value_name = "GROUP", num_args = 1..)]
    publish: Vec<Ipv4Addr>,
    /// Groups that this host wants.
    #[arg(long, value_name = "GROUP", num_args = 1..)]
    subscribe: Vec<Ipv4Addr>,
    /// End as soon as the addresses are leased; both ends build the tunnel after that.
    #[arg(long)]
    no_wait: bool,
    /// Wait so long at most. The session stays in any case: disconnect ends it.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
}

/// A session, and how long each step took, in milliseconds.
#[derive(Serialize)]
struct Connected<'a> {
    session: &'a SessionView,
    took_ms: &'a BTreeMap<&'static str, f64>,
}

/// Was it seen?
type Seen = fn(StepsView) -> bool;

/// The steps, in the order in which they are told when they are seen at once.
const STEPS: [(&str, Seen); 3] = [
    ("edge ready", |steps| steps.edge_ready),
    ("link up", |steps| steps.link_up),
    ("reply received", |steps| steps.answered),
];

pub fn run(context: &Context, args: &Args) -> anyhow::Result<Ended> {
    let client = context.daemon()?;
    context.agree(&client)?;
    let began = Instant::now();
    let session = match client.connect_session(&args.ask()) {
        Ok(session) => session,
        Err(Error::Refused { status: NOTHING, view }) => {
            if context.json {
                output::json(&view)?;
            } else {
                anstream::eprintln!("greyhound: {}", view.error);
                anstream::eprint!("{}", view.text.unwrap_or_default());
            }
            return Ok(Ended::Silent);
        }
        Err(error) => return Err(error.into()),
    };
    if !context.json {
        output::text(&format!("{}\n", headline(&session)))?;
    }
    let mut steps = Steps { began, took_ms: BTreeMap::new(), quiet: context.json };
    steps.seen("leased")?;
    let patience = Duration::from_secs(if args.no_wait { 0 } else { args.timeout });
    let (session, ended) = follow(&client, session, &mut steps, patience)?;
    if context.json {
        output::json(&Connected { session: &session, took_ms: &steps.took_ms })?;
    }
    if ended == Ended::Partly && !args.no_wait {
        let name = &session.tunnel;
        let why = session.reasons.iter().map(|why| format!("\n  {}", one_line(why))).collect::<String>();
        anstream::eprintln!(
            "greyhound: not all of it was seen within {} s; the session stays, and greyhound disconnect {name} ends it{why}",
            args.timeout
        );
        return Ok(Ended::Partly);
    }
    Ok(Ended::Whole)
}

impl Args {
    fn ask(&self) -> ConnectAsk {
        ConnectAsk {
            kind: self.kind.to_string(),
            name: self.name.as_ref().map(ToString::to_string),
            device: self.device.as_ref().map(ToString::to_string),
            termination: self.termination,
            publish: self.publish.clone(),
            subscribe: self.subscribe.clone(),
        }
    }
}

/// Until all steps were seen. Who stops waiting leaves the session as it is.
fn follow(
    client: &Client,
    mut session: SessionView,
    steps: &mut Steps,
    patience: Duration,
) -> anyhow::Result<(SessionView, Ended)> {
    loop {
        for (step, done) in STEPS {
            if done(session.steps) {
                steps.seen(step)?;
            }
        }
        if steps.took_ms.len() > STEPS.len() {
            return Ok((session, Ended::Whole));
        }
        let left = patience.saturating_sub(steps.began.elapsed());
        if left.is_zero() {
            return Ok((session, Ended::Partly));
        }
        match client.session_after(&session, left.min(LOOK))? {
            Some(now) => session = now,
            // The daemon hears of it a moment after it was leased.
            None if steps.took_ms.len() <= 1 => std::thread::sleep(Duration::from_millis(10)),
            None => anyhow::bail!("session {} was ended meanwhile", session.session),
        }
    }
}

/// Steps that were seen, and when.
pub struct Steps {
    pub began: Instant,
    pub took_ms: BTreeMap<&'static str, f64>,
    pub quiet: bool,
}

impl Steps {
    /// A step was seen; the first time it is told.
    pub fn seen(&mut self, step: &'static str) -> anyhow::Result<()> {
        if self.took_ms.contains_key(step) {
            return Ok(());
        }
        let ms = self.began.elapsed().as_secs_f64() * 1000.0;
        self.took_ms.insert(step, (ms * 10.0).round() / 10.0);
        if !self.quiet { self.tell(step) } else { Ok(()) }
    }

    /// Tells of a step that was seen.
    pub fn tell(&self, step: &'static str) -> anyhow::Result<()> {
        let ms = self.took_ms.get(step).copied().unwrap_or_default();
        output::text(&format!("  {step:<15} {ms:>8.0} ms\n"))
    }
}

fn headline(session: &SessionView) -> String {
    let SessionView { tunnel, kind, device, termination, overlay, client, bound, public, .. } = session;
    let public = public.map_or_else(String::new, |public| format!(" (seen as {public})"));
    format!(
        "{tunnel}: {kind} to {termination} of {device}, from {bound}{public}; inside {overlay}, client {client}"
    )
}

/// Sessions under the table of tunnels: the termination in use, and the best one where that is another.
pub fn sessions(sessions: &[SessionView]) -> String {
    if sessions.is_empty() {
        return String::new();
    }
    let mut table = table(&[
        "session",
        "device",
        "termination",
        "state",
        "latency",
        "best",
        "its latency",
        "why not there",
    ]);
    for session in sessions {
        let best = session.best.as_ref();
        let at = |best: &BestView| format!("{} {}", best.device, best.termination);
        table.add_row([
            session.session.clone(),
            session.device.clone(),
            session.termination.to_string(),
            session.state.clone(),
            or_dash(session.latency_ms.map(ms)),
            best.map_or_else(|| or_dash(session.latency_ms.map(|_| "in use")), at),
            or_dash(best.map(|best| ms(best.latency_ms))),
            or_dash(best.map(|best| one_line(&best.why))),
        ]);
    }
    format!("\n{}", rows(&table, ""))
}

fn ms(ms: f64) -> String {
    format!("{ms:.1} ms")
}
