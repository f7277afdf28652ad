//! `greyhound pool`: pools of addresses, how full they are, what comes next and why. The host's own are declared; those
//! of the inventory are changed by `pool_change`.

use anyhow::bail;
use serde::Serialize;

use super::context::Context;
use super::output::{or_dash, rows, table};
use super::shelf;
use super::source::Source;
use super::{Ended, pool_change};
use crate::api::dto::{LeaseView, PoolView, PoolsView};
use crate::config::Config;
use crate::model::SharedPool;
use crate::netlink::Netlink;
use crate::reconcile::{self, locals, view};
use crate::registry::Registry;
use crate::registry::supply::Supply;

#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Every pool and how full it is: the host's own, and those of the inventory.
    List,
    /// How addresses are chosen, what comes next and why, and the state of every address.
    Explain {
        /// Only this pool.
        name: Option<String>,
    },
    #[command(flatten)]
    Change(pool_change::Verb),
}

/// A pool and whose it is.
#[derive(Serialize)]
struct Scoped {
    /// `host`, `general`, or `device CODE`.
    scope: String,
    #[serde(flatten)]
    pool: PoolView,
    /// Of the inventory's alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    shared: Option<Shared>,
}

/// What a pool of the inventory has besides.
#[derive(Serialize)]
struct Shared {
    /// Prefix length of what is carved from it.
    carve: Option<u8>,
    carved_from: Option<String>,
    /// The devices that may draw from it though it is a reserve.
    allowed: Vec<String>,
    low_water: u64,
    /// How many more it needs, when it has run low.
    needed: Option<u64>,
}

/// All that `explain` says.
#[derive(Serialize)]
struct Explained {
    rule: Vec<String>,
    pools: Vec<Scoped>,
    strays: Vec<LeaseView>,
}

pub fn run(context: &Context, verb: &Verb) -> anyhow::Result<Ended> {
    if let Verb::Change(verb) = verb {
        return pool_change::run(context, verb);
    }
    let PoolsView { rule, pools, strays } = match context.source()? {
        Source::Daemon(client) => client.pools()?,
        Source::Here(config) => here(context, &config)?,
        Source::BadDeclaration => return Ok(Ended::BadDeclaration),
    };
    let own = pools.into_iter().map(|pool| Scoped { scope: "host".to_owned(), pool, shared: None });
    let mut pools: Vec<_> = own.collect();
    let shelf = context.shelf_if_declared()?;
    let shares = shelf.is_some();
    if let Some(inventory) = &shelf {
        pools.extend(shared(&shelf::registry(inventory)?));
    }
    if let Verb::Explain { name: Some(name) } = verb {
        pools.retain(|scoped| scoped.pool.name == *name);
        if pools.is_empty() {
            bail!("there is no pool {name}; greyhound pool list shows all");
        }
    }
    match verb {
        Verb::Explain { .. } => {
            let explained = Explained { rule, pools, strays };
            context.tell(&explained, || explain(&explained))
        }
        _ => context.tell(&pools, || list(&pools, shares)),
    }
}

fn shared(registry: &Registry) -> impl Iterator<Item = Scoped> {
    let supply = Supply::new(registry);
    registry.pools.values().map(move |pool| {
        let pool = &pool.value;
        let SharedPool { pool: own, device: _, carve, allowed, low_water, carved_from } = pool;
        let need = registry.needs.get(own.name.as_str());
        let shared = Shared {
            carve: *carve,
            carved_from: carved_from.as_ref().map(ToString::to_string),
            allowed: allowed.iter().map(ToString::to_string).collect(),
            low_water: *low_water,
            needed: need.map(|need| need.value.needed),
        };
        let view = view::pool(&supply.explain(pool, reconcile::now()));
        Scoped { scope: pool.scope(), pool: view, shared: Some(shared) }
    })
}

fn here(context: &Context, config: &Config) -> anyhow::Result<PoolsView> {
    let state = context.copy(config)?;
    let observed = Netlink::open()?.observe(&Default::default())?;
    let foreign = locals::foreign(&observed, &config.tunnels, &state.owned()?);
    Ok(view::pools(config, &state.book()?, &foreign, reconcile::now()))
}

/// `shares`: there is an inventory, so it is said whose each one is.
fn list(pools: &[Scoped], shares: bool) -> String {
    let mut headings = vec![
        "pool", "purpose", "tier", "total", "active", "resting", "foreign", "excluded", "free", "quota",
        "next",
    ];
    if shares {
        headings.insert(1, "scope");
    }
    let mut table = table(&headings);
    for Scoped { scope, pool, shared: _ } in pools {
        let mut row = vec![
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
        ];
        if shares {
            row.insert(1, scope.clone());
        }
        table.add_row(row);
    }
    let needs = pools.iter().filter_map(|scoped| {
        let needed = scoped.shared.as_ref()?.needed?;
        Some(format!("! pool {} runs low: {needed} more are needed\n", scoped.pool.name))
    });
    rows(&table, "No pool is declared.") + &needs.collect::<String>()
}

fn explain(explained: &Explained) -> String {
    let mut lines = vec!["How an address is chosen:".to_owned()];
    for (number, sentence) in explained.rule.iter().enumerate() {
        lines.push(format!("  {}. {sentence}", number + 1));
    }
    for Scoped { scope, pool, shared } in &explained.pools {
        let PoolView { name, free, total, next, .. } = pool;
        lines.push(format!("\n{name}: {free} of {total} address(es) free; next: {next}"));
        lines.extend(shared.iter().map(|shared| format!("  {}", about(scope, &pool.tier, shared))));
        lines.extend(pool.parts.iter().map(|part| format!("  {:<31} {}", part.range, part.state)));
    }
    for stray in &explained.strays {
        let (prefix, holder) = (&stray.prefix, &stray.holder);
        lines.push(format!(
            "! {prefix} of {holder} is in no declared pool any more; it stays while it is used"
        ));
    }
    lines.join("\n") + "\n"
}

/// One sentence about a pool of the inventory.
fn about(scope: &str, tier: &str, shared: &Shared) -> String {
    let Shared { carve, carved_from, allowed, low_water, needed } = shared;
    let mut about = format!("of the inventory, {scope}, {tier}");
    if tier == "reserve" {
        about += &format!(
            ": open to {}",
            if allowed.is_empty() { "nobody".to_owned() } else { allowed.join(", ") }
        );
    }
    about += &carve.map(|unit| format!("; a block, of which /{unit}s are carved")).unwrap_or_default();
    about += &carved_from.as_ref().map(|block| format!("; carved from {block}")).unwrap_or_default();
    about += &format!("; low water {low_water}");
    about + &needed.map(|needed| format!(": {needed} more are needed")).unwrap_or_default()
}
