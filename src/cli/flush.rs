//! `greyhound flush`: take away what greyhound made, and nothing else.

use std::path::PathBuf;

use anyhow::Context as _;

use super::Ended;
use super::apply::{act, answered};
use super::context::{Context, Declaration};
use super::source::Source;
use crate::config::Config;
use crate::reconcile::{Goal, Lock};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Also what is marked as greyhound's, but neither claimed nor declared.
    #[arg(long)]
    orphans: bool,

    /// Only while no daemon runs; as root.
    #[arg(long)]
    offline: bool,

    /// By the state in DIR alone: without a declaration, and only while no daemon runs.
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
}

pub fn run(context: &Context, args: &Args) -> anyhow::Result<Ended> {
    let source = match &args.state_dir {
        Some(directory) => Source::Here(Box::new(without_declaration(directory.clone()))),
        None if args.offline => match context.declaration()? {
            Declaration::Good(config) => Source::Here(config),
            Declaration::Bad => Source::BadDeclaration,
        },
        None => context.source()?,
    };
    match source {
        Source::Daemon(client) => answered(context, &client, client.flush(args.orphans)),
        Source::Here(config) => {
            let lock = Lock::take().context("flush without the daemon works only while none runs")?;
            act(context, Goal { config: &config, flush: true, orphans: args.orphans }, lock)
        }
        Source::BadDeclaration => {
            anstream::eprintln!("flush needs no declaration with --state-dir DIR");
            Ok(Ended::BadDeclaration)
        }
    }
}

fn without_declaration(state_dir: PathBuf) -> Config {
    let mut config = Config::default();
    config.daemon.state_dir = state_dir;
    config
}
