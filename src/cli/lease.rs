//! `greyhound lease`: addresses leased from pools; of the inventory, also what is used elsewhere.

use std::net::Ipv4Addr;

use ipnetwork::Ipv4Network;
use serde::Serialize;

use super::context::Context;
use super::inventory::still_leased;
use super::shelf::{self, word};
use super::source::Source;
use super::{Ended, output};
use crate::api::dto::LeaseView;
use crate::model::{DeviceCode, HolderName, Lease, PoolName, Purpose, Used};
use crate::reconcile::{self, view};
use crate::registry::leases::{self, Taking};
use crate::registry::{Registry, pools};

#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Every lease: the host's own, active and resting, and those of the inventory.
    List,
    /// Every lease that has this address, and addresses that are used elsewhere.
    Show {
        /// An address.
        address: Ipv4Addr,
    },
    /// Take addresses from the inventory for a holder of yours, all or none. Asked again, it has what it has.
    Add(Asked),
    /// Never give this prefix of the inventory out: it is used elsewhere.
    Set {
        /// An address or a prefix, a /20 or longer.
        prefix: Ipv4Network,
        /// What it is used for.
        #[arg(long, value_name = "NOTE")]
        used: String,
    },
    /// Give a lease of the inventory back, or forget that a prefix is used elsewhere.
    Remove {
        /// The prefix, as lease list shows it.
        prefix: Ipv4Network,
    },
}

#[derive(Clone, Debug, clap::Args)]
pub struct Asked {
    /// Who: 1 to 64 printable characters, such as host/web1.
    holder: HolderName,
    /// termination, overlay or client.
    #[arg(long, value_parser = word(&Purpose::ALL))]
    purpose: Purpose,
    /// From this device's pools first [default: from general ones alone].
    #[arg(long, value_name = "CODE")]
    device: Option<DeviceCode>,
    /// From this pool alone.
    #[arg(long)]
    pool: Option<PoolName>,
    /// This very address.
    #[arg(long)]
    address: Option<Ipv4Addr>,
    /// How many it shall have in all.
    #[arg(long, default_value_t = 1)]
    count: usize,
    /// Reserves may be drawn from, too.
    #[arg(long)]
    allow_reserve: bool,
}

/// A lease and of whose pool it is.
#[derive(Serialize)]
struct Scoped {
    scope: String,
    #[serde(flatten)]
    lease: LeaseView,
}

pub fn run(context: &Context, verb: &Verb) -> anyhow::Result<Ended> {
    let now = reconcile::now();
    match verb {
        Verb::List => list(context, |_| true),
        Verb::Show { address } => list(context, |prefix| prefix.contains(*address)),
        Verb::Add(asked) => {
            let taking = asked.taking();
            context.change_inventory(|registry| leases::take(registry, &taking, now), |leases| told(leases))
        }
        Verb::Set { prefix, used } => {
            let used = [Used { prefix: network(*prefix), note: used.clone() }];
            context.change_inventory(
                |registry| pools::import_used(registry, &used),
                |leased| format!("{} is never given out.\n{}", used[0].prefix, still_leased(leased)),
            )
        }
        Verb::Remove { prefix } => remove(context, network(*prefix), now),
    }
}

fn remove(context: &Context, prefix: Ipv4Network, now: u64) -> anyhow::Result<Ended> {
    let decide = |registry: &Registry| {
        if registry.used.contains_key(&prefix.to_string()) {
            return pools::forget_used(registry, prefix).map(|decision| decision.without_value());
        }
        leases::give_back(registry, prefix, now).map(|decision| decision.without_value())
    };
    context.change_inventory(decide, |()| format!("{prefix} is free."))
}

impl Asked {
    fn taking(&self) -> Taking {
        let Self { holder, purpose, device, pool, address, count, allow_reserve } = self.clone();
        Taking { holder, purpose, device, pool, pinned: address, count, reserve: allow_reserve }
    }
}

fn list(context: &Context, wanted: impl Fn(&Ipv4Network) -> bool) -> anyhow::Result<Ended> {
    let own = match context.source()? {
        Source::Daemon(client) => client.leases()?,
        Source::Here(config) => context.copy(&config)?.leases()?.iter().map(view::lease).collect(),
        Source::BadDeclaration => return Ok(Ended::BadDeclaration),
    };
    let own = own.into_iter().map(|lease| Scoped { scope: "host".to_owned(), lease });
    let mut leases: Vec<_> = own.collect();
    let shelf = context.shelf_if_declared()?;
    if let Some(inventory) = &shelf {
        leases.extend(shared(&shelf::registry(inventory)?));
    }
    leases.retain(|lease| lease.lease.prefix.parse().is_ok_and(|prefix| wanted(&prefix)));
    context.tell(&leases, || text(&leases, shelf.is_some()))
}

/// Of the inventory, by address.
fn shared(registry: &Registry) -> Vec<Scoped> {
    let mut leases: Vec<_> = registry.leases.values().map(|lease| &lease.value).collect();
    leases.sort();
    let scope = |lease: &Lease| registry.pools.get(lease.pool.as_str()).map(|pool| pool.value.scope());
    let leases = leases
        .into_iter()
        .map(|lease| Scoped { scope: scope(lease).unwrap_or_default(), lease: view::lease(lease) });
    let used = registry.used.values().map(|used| &used.value);
    let used = used.map(|Used { prefix, note }| {
        let lease = LeaseView {
            prefix: prefix.to_string(),
            pool: "-".to_owned(),
            holder: shelf::shown(note),
            purpose: "-".to_owned(),
            state: "used elsewhere".to_owned(),
            since: 0,
        };
        Scoped { scope: "general".to_owned(), lease }
    });
    leases.chain(used).collect()
}

/// `shares`: there is an inventory, so it is said whose each one is.
fn text(leases: &[Scoped], shares: bool) -> String {
    let mut headings = vec!["prefix", "pool", "holder", "state", "since"];
    if shares {
        headings.insert(1, "scope");
    }
    let mut table = output::table(&headings);
    for Scoped { scope, lease } in leases {
        let LeaseView { prefix, pool, holder, state, since, .. } = lease;
        let since = if *since == 0 { "-".to_owned() } else { view::time(*since) };
        let mut row = vec![prefix.clone(), pool.clone(), holder.clone(), state.clone(), since];
        if shares {
            row.insert(1, scope.clone());
        }
        table.add_row(row);
    }
    output::rows(&table, "No address is leased.")
}

fn told(leases: &[Lease]) -> String {
    let line =
        |lease: &Lease| format!("{} of pool {} is leased to {}.\n", lease.prefix, lease.pool, lease.holder);
    leases.iter().map(line).collect()
}

fn network(prefix: Ipv4Network) -> Ipv4Network {
    Ipv4Network::new(prefix.network(), prefix.prefix()).unwrap_or(prefix)
}
