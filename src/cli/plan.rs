//! `greyhound plan`: the kernel difference, before it happens.

use super::context::{Context, Declaration, with_sessions};
use super::source::Source;
use super::{Ended, output};
use crate::api::dto::PlanView;
use crate::config::Config;
use crate::reconcile::view;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Exit with 5 when there is something to do.
    #[arg(long)]
    exit_code: bool,

    /// What the file asks for as it is now, also while a daemon runs that has not read it yet. Needs root.
    #[arg(long)]
    offline: bool,
}

pub fn run(context: &Context, args: &Args) -> anyhow::Result<Ended> {
    let source = match args.offline {
        false => context.source()?,
        true => match context.declaration()? {
            Declaration::Good(config) => Source::Here(Box::new(with_sessions(*config)?)),
            Declaration::Bad => Source::BadDeclaration,
        },
    };
    let plan = match source {
        Source::Daemon(client) => client.plan()?,
        Source::Here(config) => here(context, &config)?,
        Source::BadDeclaration => return Ok(Ended::BadDeclaration),
    };
    if context.json {
        output::json(&plan)?;
    } else {
        output::text(&format!("{}{}\n", plan.text, plan.summary))?;
    }
    Ok(ended(&plan, args.exit_code))
}

fn here(context: &Context, config: &Config) -> anyhow::Result<PlanView> {
    Ok(view::plan(&context.look(config, &mut context.copy(config)?)?))
}

fn ended(plan: &PlanView, exit_code: bool) -> Ended {
    match (plan.steps.is_empty(), plan.held.is_empty() && plan.refused.is_empty()) {
        (false, _) if exit_code => Ended::ToDo,
        (_, false) => Ended::Partly,
        (_, true) => Ended::Whole,
    }
}
