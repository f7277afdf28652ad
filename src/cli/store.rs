//! `greyhound store`: the state of this host as one file, and back.

use std::path::PathBuf;

use anyhow::Context as _;
use serde_json::json;

use super::context::{Context, Declaration, with_sessions};
use super::units::stamp;
use super::{Ended, output};
use crate::api::dto::PlanView;
use crate::config::Config;
use crate::reconcile::{self, Lock, view};
use crate::sqlite;
use crate::store::{self, State};

#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Write this host's claims, leases and events into a file, for its owner alone; also while a daemon runs.
    ///
    /// The inventory is another file: see greyhound inventory export.
    Backup {
        /// The file. One that is there stays, unless --force says otherwise.
        file: PathBuf,
        /// Replace a file that is there.
        #[arg(long)]
        force: bool,
    },
    /// Look at every page of the state's file, and at its schema.
    Check,
    /// Put a backup in the place of the state while no daemon runs, as root; show what a daemon would then change.
    ///
    /// What was there is kept beside it. The kernel is not touched: declared tunnels that are there as declared
    /// are taken over with their addresses; marked ones that are not declared are orphans and stay. The inventory
    /// is another file: see greyhound inventory import.
    Restore {
        /// A file of greyhound store backup; an older one is upgraded.
        file: PathBuf,
    },
}

pub fn run(context: &Context, verb: &Verb) -> anyhow::Result<Ended> {
    let config = match context.declaration()? {
        Declaration::Good(config) => config,
        Declaration::Bad => return Ok(Ended::BadDeclaration),
    };
    match verb {
        Verb::Backup { file, force } => {
            let directory = &config.daemon.state_dir;
            store::backup(directory, file, *force)?;
            let bytes = std::fs::metadata(file)?.len();
            context.tell(&json!({ "file": file, "bytes": bytes }), || {
                format!("The state in {} is in {} ({bytes} bytes).", directory.display(), file.display())
            })
        }
        Verb::Check => {
            let directory = &config.daemon.state_dir;
            let schema = store::check(directory)?;
            context.tell(&json!({ "state_dir": directory, "schema": schema }), || {
                format!("The state in {} is sound; its schema is {schema}.", directory.display())
            })
        }
        Verb::Restore { file } => restore(context, *config, file.clone()),
    }
}

fn restore(context: &Context, config: Config, file: PathBuf) -> anyhow::Result<Ended> {
    let lock = Lock::take().context("a state is restored only while no daemon runs")?;
    let directory = config.daemon.state_dir.clone();
    // One that another network namespace uses is not ours to replace. One that is damaged is replaced.
    match State::open_copy(&directory) {
        Ok(there) => drop(reconcile::at_home(&there, &directory)?),
        Err(store::Error::File(sqlite::Error::Damaged { .. } | sqlite::Error::Foreign { .. })) => {}
        Err(error) => return Err(error.into()),
    }
    let kept = store::restore(&directory, &file, &stamp(reconcile::now()))?;
    let next = next(context, config);
    drop(lock);
    if context.json {
        let (leases, plan, trouble) = match next {
            Ok((leases, plan)) => (Some(leases), Some(plan), None),
            Err(error) => (None, None, Some(format!("{error:#}"))),
        };
        let told = json!({ "file": file, "kept": kept, "leases": leases, "plan": plan, "trouble": trouble });
        output::json(&told)?;
        return Ok(Ended::Whole);
    }
    let kept = kept.map_or_else(String::new, |kept| format!(" What was there is {}.", kept.display()));
    let restored = format!("{} is the state now.{kept}\nThe kernel was not touched.", file.display());
    output::text(&match next {
        Ok((leases, plan)) => format!(
            "{restored} It has {leases} lease(s); greyhound daemon, or greyhound apply, would do this:\n{}{}\n",
            plan.text, plan.summary
        ),
        Err(error) => format!("{restored} What would be done next cannot be shown: {error:#}\n"),
    })?;
    Ok(Ended::Whole)
}

/// How many leases the new state has, and what would be done by it.
fn next(context: &Context, config: Config) -> anyhow::Result<(usize, PlanView)> {
    let leases = context.state(&config)?.leases()?.len();
    let config = with_sessions(config)?;
    Ok((leases, view::plan(&context.look(&config, &mut context.copy(&config)?)?)))
}
