//! What tunnels must be to each other and to the pools, seen from outside: names, local
//! addresses, tuples.
//!
//! Disabled tunnels count as well: enabling one must never be what breaks a file.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::at::{At, Span};
use super::check_pools::Pools;
use super::diagnostics::{Problem, Sink};
use super::draft::{Draft, Source};
use super::nearest;
use crate::model::{PoolName, Purpose, TunnelName, Tuple};

pub fn check(drafts: &[Draft], pools: &Pools<'_>, sink: &mut Sink) {
    check_names(drafts, sink);
    for draft in drafts {
        check_local(draft, pools, sink);
        check_remotes(draft, pools, sink);
        check_inner_pools(draft, pools, sink);
    }
    check_leases(drafts, pools, sink);
    check_tuples(drafts, pools, sink);
}

fn check_names(drafts: &[Draft], sink: &mut Sink) {
    let mut names: BTreeMap<&TunnelName, &Span> = BTreeMap::new();
    for name in drafts.iter().filter_map(|draft| draft.name.as_ref()) {
        if let Some(first) = names.get(&name.value) {
            let message = format!("there are two tunnels named `{}`", name.value);
            let problem = Problem::new(&name.span, message, "give one of them another name");
            sink.push(problem.also(first, "the first"));
        } else {
            names.insert(&name.value, &name.span);
        }
    }
}

fn check_local(draft: &Draft, pools: &Pools<'_>, sink: &mut Sink) {
    let Some(local) = &draft.local else { return };
    match (local.value, &draft.pool) {
        (Source::Auto, Some(name)) => check_named_pool(name, pools, sink),
        (Source::Auto, None) if !pools.may_lease() => {
            let message = "there is no primary termination pool that `local` could be leased from";
            let help = "add a [[pool]] with purpose = \"termination\", name a reserve pool with \
                        `pool`, or write an address of this host";
            sink.push(Problem::new(&local.span, message, help));
        }
        (Source::Auto, None) => {}
        (Source::Address(address), _) => check_address(&local.with(address), pools, sink),
    }
}

fn check_named_pool(name: &At<PoolName>, pools: &Pools<'_>, sink: &mut Sink) {
    let Some(pool) = pools.get(&name.value) else {
        // A pool without a readable name may be the one that is meant.
        if pools.drafts.iter().all(|pool| pool.name.is_some()) {
            let fitting = |pool: &&super::check_pool::Draft| pool.purpose == Some(Purpose::Termination);
            let names: Vec<&str> = pools
                .drafts
                .iter()
                .filter(fitting)
                .filter_map(|pool| Some(pool.name.as_ref()?.value.as_str()))
                .collect();
            let help = match nearest::nearest(name.value.as_str(), &names) {
                Some(near) => format!("did you mean {near:?}?"),
                None if names.is_empty() => "add a [[pool]] with purpose = \"termination\"".into(),
                None => format!("write one of the termination pools: {}", nearest::list(&names)),
            };
            sink.push(Problem::new(&name.span, format!("there is no pool `{}`", name.value), help));
        }
        return;
    };
    if let Some(purpose) = pool.purpose.filter(|purpose| *purpose != Purpose::Termination) {
        let message = format!("pool `{}` is for {purpose} addresses", name.value);
        let help = "name a pool with purpose = \"termination\", or leave `pool` out";
        let problem = Problem::new(&name.span, message, help);
        sink.push(also_named(problem, pool));
    }
}

fn check_address(local: &At<Ipv4Addr>, pools: &Pools<'_>, sink: &mut Sink) {
    let Some(pool) = pools.of(local.value) else { return };
    let purpose = pool.purpose.unwrap_or(Purpose::Termination);
    if purpose != Purpose::Termination {
        let message =
            format!("`local` {} belongs to {}, which is for {purpose} addresses", local.value, pool.title());
        let help =
            "write \"auto\", an address of a termination pool, or an address of this host that is in no pool";
        sink.push(also_named(Problem::new(&local.span, message, help), pool));
    } else if let Some(excluded) = pool.exclude.iter().find(|range| range.value.contains(local.value)) {
        let message = format!("{} excludes `local` {}", pool.title(), local.value);
        let help = "write \"auto\" or an address that is not excluded; a host's own address belongs in no range of a pool";
        sink.push(Problem::new(&local.span, message, help).also(&excluded.span, "excluded here"));
    }
}

/// What a pool gives out is put on this host, and a remote is of another.
fn check_remotes(draft: &Draft, pools: &Pools<'_>, sink: &mut Sink) {
    for remote in &draft.remotes {
        let pool = pools.of(remote.value).filter(|pool| pool.purpose == Some(Purpose::Termination));
        let excluded = |pool: &&super::check_pool::Draft| {
            pool.exclude.iter().any(|range| range.value.contains(remote.value))
        };
        let Some(pool) = pool.filter(|pool| !excluded(pool)) else { continue };
        let message =
            format!("the remote {} is in {}, whose addresses are this host's", remote.value, pool.title());
        let help = format!("write another `remote`, or `exclude = [\"{}\"]` in the pool", remote.value);
        sink.push(also_named(Problem::new(&remote.span, message, help), pool));
    }
}

/// Reserved addresses are for what the pool's purpose says. Of an overlay that goes for the peer's address
/// as well, and for all that its prefix leads to.
fn check_inner_pools(draft: &Draft, pools: &Pools<'_>, sink: &mut Sink) {
    if let Some(client) = &draft.client {
        let problem = strange(client.value, &client.span, "`client` ", Purpose::Client, pools);
        problem.into_iter().for_each(|problem| sink.push(problem));
    }
    let Some(overlay) = &draft.overlay else { return };
    let ours = strange(overlay.value.ip(), &overlay.span, "`overlay` ", Purpose::Overlay, pools);
    let whose = format!("in `overlay` {}, ", overlay.value);
    let others = || {
        let mut all = overlay.value.iter();
        all.find_map(|address| strange(address, &overlay.span, &whose, Purpose::Overlay, pools))
    };
    ours.or_else(others).into_iter().for_each(|problem| sink.push(problem));
}

/// The address is in a pool of another purpose.
fn strange(
    address: Ipv4Addr,
    span: &Span,
    whose: &str,
    wanted: Purpose,
    pools: &Pools<'_>,
) -> Option<Problem> {
    let pool = pools.of(address)?;
    let purpose = pool.purpose.filter(|purpose| *purpose != wanted)?;
    let title = pool.title();
    let message = format!("{whose}{address} belongs to {title}, which is for {purpose} addresses");
    let help = format!("write an address of a pool for {wanted} addresses, or of no pool");
    Some(also_named(Problem::new(span, message, help), pool))
}

/// A leased address has one holder; and a pool's quota must allow the leases that are fixed.
fn check_leases(drafts: &[Draft], pools: &Pools<'_>, sink: &mut Sink) {
    let mut holders: BTreeMap<Ipv4Addr, (&Draft, Span)> = BTreeMap::new();
    let mut taken: BTreeMap<&PoolName, u64> = BTreeMap::new();
    for draft in drafts {
        let Some(local) = draft.address() else { continue };
        let Some(name) = leased_from(local.value, pools) else { continue };
        if let Some((holder, span)) = holders.get(&local.value) {
            let message = format!("`local` {} is taken by {}", local.value, holder.title());
            let help = "write \"auto\" or another address: an address of a pool is leased to one tunnel only";
            sink.push(Problem::new(&local.span, message, help).also(span, "taken here"));
            continue;
        }
        holders.insert(local.value, (draft, local.span));
        *taken.entry(name).or_default() += 1;
    }
    for (name, taken) in taken {
        let quota = pools.get(name).and_then(|pool| pool.quota.as_ref());
        if let Some(quota) = quota.filter(|quota| quota.value < taken) {
            let message = format!(
                "{taken} tunnels take a fixed address of pool `{name}`, and its quota is {}",
                quota.value
            );
            let help = format!("write quota = {taken} or more, or leave it out");
            sink.push(Problem::new(&quota.span, message, help));
        }
    }
}

/// The kernel refuses a second link with the same tuple. Any candidate may become the remote, so all
/// of them count. Leased addresses need no look here: they are distinct from each other (one holder
/// each) and from every host's address (which is in no pool), so no two tuples with them are equal.
fn check_tuples(drafts: &[Draft], pools: &Pools<'_>, sink: &mut Sink) {
    let mut holders: BTreeMap<Tuple, (&Draft, &Span)> = BTreeMap::new();
    for draft in drafts {
        let (Some(local), Some(key)) = (draft.address(), draft.key) else { continue };
        if leased_from(local.value, pools).is_some() {
            continue;
        }
        for remote in &draft.remotes {
            let tuple = Tuple { local: local.value, remote: remote.value, key };
            match holders.get(&tuple) {
                Some((holder, span)) if !std::ptr::eq(*holder, draft) => {
                    let certain = holder.remotes.len() == 1 && draft.remotes.len() == 1;
                    let verb = if certain { "has" } else { "may come to have" };
                    let message = format!("{} {verb} {tuple}, too", holder.title());
                    let help = "give one of them another `local`, another `remote` or a `key` of its own: \
                                the kernel refuses two equal tunnels";
                    sink.push(Problem::new(&remote.span, message, help).also(span, "the same remote"));
                }
                // Twice within a tunnel: check_tunnel has said so.
                Some(_) => {}
                None => {
                    holders.insert(tuple, (draft, &remote.span));
                }
            }
        }
    }
}

/// The termination pool that a fixed address is leased from.
pub fn leased_from<'d>(address: Ipv4Addr, pools: &Pools<'d>) -> Option<&'d PoolName> {
    let pool = pools.of(address).filter(|pool| pool.purpose == Some(Purpose::Termination))?;
    pool.name.as_ref().map(|name| &name.value)
}

fn also_named(problem: Problem, pool: &super::check_pool::Draft) -> Problem {
    match &pool.name {
        Some(name) => problem.also(&name.span, "this pool"),
        None => problem,
    }
}
