//! `greyhound apply`: make the kernel as declared, and read it back.

use super::context::Context;
use super::source::Source;
use super::{Ended, output};
use crate::api::client::{self, Client};
use crate::api::dto::OutcomeView;
use crate::filter::Filter;
use crate::netlink::Netlink;
use crate::reconcile::{self, Goal, Lock, Reins, Turn, view};

#[derive(Debug, clap::Args)]
pub struct Args {}

pub fn run(context: &Context, _args: &Args) -> anyhow::Result<Ended> {
    match context.source()? {
        Source::Daemon(client) => answered(context, &client, client.apply()),
        Source::Here(config) => {
            act(context, Goal { config: &config, flush: false, orphans: false }, Lock::take()?)
        }
        Source::BadDeclaration => Ok(Ended::BadDeclaration),
    }
}

/// Runs a turn in this process, and shows what it did.
pub fn act(context: &Context, goal: Goal<'_>, _lock: Lock) -> anyhow::Result<Ended> {
    reconcile::may_change()?;
    let mut state = context.state(goal.config)?;
    let mut kernel = Netlink::open()?;
    let mut filter = Filter::default();
    let mut turn = Turn { goal, kernel: &mut kernel, state: &mut state, filter: &mut filter };
    let outcome = turn
        .run(reconcile::now(), Reins { admit: &mut |_| true, progress: &mut || {} })
        .map_err(reconcile::Error::from)?;
    show(context, &view::outcome(&outcome))
}

/// Shows what the daemon did, or the mistakes that it found in the declaration.
pub fn answered(
    context: &Context,
    client: &Client,
    answer: Result<OutcomeView, client::Error>,
) -> anyhow::Result<Ended> {
    match answer {
        Ok(outcome) => show(context, &outcome),
        Err(client::Error::Refused { status: client::WRONG_DECLARATION, view }) => {
            if context.json {
                let file = client.status()?.config;
                output::json(
                    &serde_json::json!({ "file": file, "error": view.error, "problems": view.problems }),
                )?;
            } else {
                anstream::eprintln!("{}", view.text.as_deref().unwrap_or_default().trim_end());
                anstream::eprintln!("{}", view.error);
            }
            Ok(Ended::BadDeclaration)
        }
        Err(error) => Err(error.into()),
    }
}

fn show(context: &Context, outcome: &OutcomeView) -> anyhow::Result<Ended> {
    if context.json {
        output::json(outcome)?;
    } else {
        for step in &outcome.failed {
            let (action, text) = (&step.action, &step.text);
            let error = step.error.as_deref().unwrap_or("no reason given");
            anstream::eprintln!("failed: {action} {text}: {error}");
        }
        output::text(&format!("{}{} ({} ms)\n", outcome.left.text, outcome.summary, outcome.elapsed_ms))?;
    }
    Ok(if outcome.is_whole() { Ended::Whole } else { Ended::Partly })
}
