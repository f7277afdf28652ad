//! `greyhound pool`: pools of addresses, how full they are, what comes next and why.

use anyhow::bail;

use super::context::Context;
use super::output::{or_dash, rows, table};
use super::source::Source;
use super::{Ended, output};
use crate::api::dto::{PoolView, PoolsView};
use crate::config::Config;
use crate::netlink::Netlink;
use crate::reconcile::{self, locals, view};

#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Every pool and how full it is.
    List,
    /// How addresses are chosen, what comes next and why, and the state of every address.
    Explain {
        /// Only this pool.
        name: Option<String>,
    },
}

pub fn run(context: &Context, verb: &Verb) -> anyhow::Result<Ended> {
    let mut pools = match context.source()? {
        Source::Daemon(client) => client.pools()?,
        Source::Here(config) => here(context, &config)?,
        Source::BadDeclaration => return Ok(Ended::BadDeclaration),
    };
    match verb {
        Verb::List if context.json => output::json(&pools.pools)?,
        Verb::List => output::text(&list(&pools.pools))?,
        Verb::Explain { name } => {
            if let Some(name) = name {
                pools.pools.retain(|pool| pool.name == *name);
            }
            match (pools.pools.is_empty(), name) {
                (true, Some(name)) => bail!("there is no pool {name}; greyhound pool list shows all"),
                _ if context.json => output::json(&pools)?,
                _ => output::text(&explained(&pools))?,
            }
        }
    }
    Ok(Ended::Whole)
}

fn here(context: &Context, config: &Config) -> anyhow::Result<PoolsView> {
    let state = context.copy(config)?;
    let observed = Netlink::open()?.observe(&Default::default())?;
    let foreign = locals::foreign(&observed, &config.tunnels, &state.owned()?);
    Ok(view::pools(config, &state.book()?, &foreign, reconcile::now()))
}

fn list(pools: &[PoolView]) -> String {
    let headings = [
        "pool", "purpose", "tier", "total", "active", "resting", "foreign", "excluded", "free", "quota",
        "next",
    ];
    let mut table = table(&headings);
    for pool in pools {
        table.add_row([
            pool.name.clone(),
            pool.purpose.clone(),
            pool.tier.clone(),
            pool.total.to_string(),
            pool.active.to_string(),
            pool.resting.to_string(),
            pool.foreign.to_string(),
            pool.excluded.to_string(),
            pool.free.to_string(),
            or_dash(pool.quota),
            pool.next.clone(),
        ]);
    }
    rows(&table, "No pool is declared.")
}

fn explained(pools: &PoolsView) -> String {
    let mut lines = vec!["How an address is chosen:".to_owned()];
    for (number, sentence) in pools.rule.iter().enumerate() {
        lines.push(format!("  {}. {sentence}", number + 1));
    }
    for pool in &pools.pools {
        let PoolView { name, free, total, next, .. } = pool;
        lines.push(format!("\n{name}: {free} of {total} address(es) free; next: {next}"));
        lines.extend(pool.parts.iter().map(|part| format!("  {:<31} {}", part.range, part.state)));
    }
    for stray in &pools.strays {
        let (prefix, holder) = (&stray.prefix, &stray.holder);
        lines.push(format!(
            "! {prefix} of {holder} is in no declared pool any more; it stays while it is used"
        ));
    }
    lines.join("\n") + "\n"
}
