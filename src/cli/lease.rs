//! `greyhound lease`: addresses leased from pools.

use super::context::Context;
use super::source::Source;
use super::{Ended, output};
use crate::api::dto::LeaseView;
use crate::reconcile::view;

#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Every lease, active and resting.
    List,
}

pub fn run(context: &Context, verb: &Verb) -> anyhow::Result<Ended> {
    let Verb::List = verb;
    let leases = match context.source()? {
        Source::Daemon(client) => client.leases()?,
        Source::Here(config) => context.copy(&config)?.leases()?.iter().map(view::lease).collect(),
        Source::BadDeclaration => return Ok(Ended::BadDeclaration),
    };
    if context.json {
        output::json(&leases)?;
    } else {
        output::text(&text(leases))?;
    }
    Ok(Ended::Whole)
}

fn text(leases: Vec<LeaseView>) -> String {
    let mut table = output::table(&["prefix", "pool", "holder", "state", "since"]);
    for lease in leases {
        let since = view::time(lease.since);
        table.add_row([lease.prefix, lease.pool, lease.holder, lease.state, since]);
    }
    output::rows(&table, "No address is leased.")
}
