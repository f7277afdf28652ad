//! A turn as the data that greyhound shows.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use super::{Look, Outcome};
use crate::alloc::{self, Book, Explanation, Foreign, Next, PartState, PoolExplanation, Sizes, Taken};
use crate::api::dto::{
    FilterView, LeaseView, OutcomeView, PartView, PlanView, PoolView, PoolsView, StatusView, StepView,
    TunnelState, TunnelView,
};
use crate::api::metrics::Stock;
use crate::config::Config;
use crate::filter::Seen;
use crate::filter::ruleset::Line;
use crate::model::{
    DesiredTunnel, HolderName, Lease, LeaseState, Link, Observed, Pool, Timestamp, Tunnel, TunnelName, gre,
    tunnel::peer_of,
};
use crate::plan::ownership::Ownerships;
use crate::plan::{PlannedStep, Step, render};

/// A plan, with its text for people.
pub fn plan(look: &Look) -> PlanView {
    let made = &look.plan;
    let steps = made.steps.iter().map(|planned| step(planned, &look.observed));
    let filter: String = look.filter.lines.iter().map(|line| format!("{line}\n")).collect();
    PlanView {
        summary: render::summary(made, look.filter.lines.iter().map(|line| line.action)),
        steps: steps.chain(look.filter.lines.iter().map(|line| filter_step(line, None))).collect(),
        held: made.held.iter().map(|(tunnel, reason)| (tunnel.to_string(), reason.clone())).collect(),
        refused: made.refused.iter().map(|(tunnel, why)| (tunnel.to_string(), why.clone())).collect(),
        adopted: made.adopted.iter().map(ToString::to_string).collect(),
        orphans: render::orphans(&made.orphans, &look.observed),
        notes: made.notes.clone(),
        text: filter + &render::text(made, &look.observed),
    }
}

/// What a turn did.
pub fn outcome(outcome: &Outcome) -> OutcomeView {
    let Outcome { done, adopted: _, failed, filtered, elapsed, last } = outcome;
    let left = plan(last);
    let failed = failed
        .iter()
        .map(|(planned, error)| StepView { error: Some(error.to_string()), ..step(planned, &last.observed) });
    let unfiltered = last.filter.lines.iter().map(|line| filter_step(line, last.filter.trouble.as_ref()));
    let failed: Vec<_> = failed.chain(unfiltered).collect();
    let done = done.len() + filtered;
    let whole = left.steps.is_empty() && left.held.is_empty() && left.refused.is_empty();
    let summary = match (done, failed.len()) {
        (0, 0) => left.summary.clone(),
        (_, 0) if whole => format!("{done} change(s) made and read back."),
        (_, 0) => format!("{done} change(s) made. {}", left.summary),
        (_, failed) => format!("{done} change(s) made, {failed} failed. {}", left.summary),
    };
    let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
    OutcomeView { summary, done, failed, elapsed_ms, left }
}

/// Every tunnel at a glance: the declared ones, and those that are claimed still.
pub fn status(config_name: &str, config: &Config, look: &Look, book: &Book) -> StatusView {
    StatusView {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        config: config_name.to_owned(),
        tunnels: tunnels(config, look, book),
        sessions: Vec::new(),
        orphans: render::orphans(&look.plan.orphans, &look.observed),
        notes: look.plan.notes.clone(),
        filter: filter(&look.filter),
    }
}

/// The filter at a glance.
pub fn filter(seen: &Seen) -> FilterView {
    let Seen { wanted, lines: _, dropped, repairs, trouble } = seen;
    FilterView {
        enabled: wanted.is_some(),
        pairs: wanted.as_ref().map_or(0, |wanted| wanted.pairs.len()),
        dropped: *dropped,
        repairs: *repairs,
        trouble: trouble.clone(),
    }
}

fn filter_step(line: &Line, error: Option<&String>) -> StepView {
    let Line { action, text } = line;
    StepView {
        action: action.name().to_owned(),
        object: "filter".to_owned(),
        tunnel: None,
        text: text.clone(),
        error: error.cloned(),
    }
}

/// How addresses are chosen, and the state of every pool.
pub fn pools(config: &Config, book: &Book, foreign: &Foreign, now: Timestamp) -> PoolsView {
    let taken = Taken { book, foreign, rest: config.daemon.rest.as_secs() };
    let Explanation { rule, pools, strays } = alloc::explain(&config.pools, taken, now);
    PoolsView {
        rule: rule.into_iter().map(str::to_owned).collect(),
        pools: pools.iter().map(pool).collect(),
        strays: strays.iter().map(lease).collect(),
    }
}

/// What is left of this host's own pools.
pub fn stocks(config: &Config, book: &Book, foreign: &Foreign, now: Timestamp) -> Vec<Stock> {
    let taken = Taken { book, foreign, rest: config.daemon.rest.as_secs() };
    let own = |pool: &Pool| {
        stock(&alloc::explain_pool(pool, pool.purpose.unit(), taken, now), "host".to_owned(), None)
    };
    config.pools.iter().map(own).collect()
}

/// What is left of a pool.
pub fn stock(pool: &PoolExplanation, scope: String, low_water: Option<u64>) -> Stock {
    let PoolExplanation { name, purpose, tier, sizes, quota, available, .. } = pool;
    let Sizes { total: _, excluded, active, resting, foreign, free } = *sizes;
    Stock {
        name: name.to_string(),
        scope,
        purpose: purpose.to_string(),
        tier: tier.to_string(),
        excluded,
        active,
        resting,
        foreign,
        free,
        available: *available,
        low_water,
        quota: *quota,
    }
}

/// One pool, part by part.
pub fn pool(pool: &PoolExplanation) -> PoolView {
    let PoolExplanation { name, purpose, tier, unit: _, sizes, leases: _, quota, available: _, next, ranges } =
        pool;
    let parts = ranges.iter().flat_map(|range| &range.parts);
    let parts = parts.map(|part| PartView { range: part.range.to_string(), state: part_text(&part.state) });
    PoolView {
        name: name.to_string(),
        purpose: purpose.to_string(),
        tier: tier.to_string(),
        total: sizes.total,
        excluded: sizes.excluded,
        active: sizes.active,
        resting: sizes.resting,
        foreign: sizes.foreign,
        free: sizes.free,
        quota: *quota,
        next: next_text(next),
        parts: parts.collect(),
    }
}

fn next_text(next: &Next) -> String {
    match next {
        Next::Prefix { prefix, why } => format!("{prefix} ({why})"),
        Next::QuotaReached => "none: the quota is reached".to_owned(),
        Next::Nothing { rested_at: None } => "none: all are taken".to_owned(),
        Next::Nothing { rested_at: Some(at) } => format!("none before {}", time(*at)),
    }
}

fn part_text(state: &PartState) -> String {
    match state {
        PartState::Free => "free".to_owned(),
        PartState::Excluded => "excluded".to_owned(),
        PartState::Foreign { what } => format!("foreign: {what}"),
        PartState::Active { holder, since } => format!("leased to {holder} since {}", time(*since)),
        PartState::InUse { holder } => format!("still in use by {holder}"),
        PartState::Resting { holder, until } => format!("resting after {holder} until {}", time(*until)),
        PartState::Rested { holder, since } => {
            format!("free; {holder} had it, rested since {}", time(*since))
        }
    }
}

/// 9999-12-31T23:59:59Z: RFC 3339 has no year of five digits.
const LATEST: Timestamp = 253_402_300_799;

/// A time as a person reads it: UTC, to the second (RFC 3339); "after 9999" for what that cannot say.
pub fn time(timestamp: Timestamp) -> String {
    if timestamp > LATEST {
        return "after 9999".to_owned();
    }
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(timestamp)).to_string()
}

pub fn lease(lease: &Lease) -> LeaseView {
    let Lease { prefix, pool, holder, purpose, state, since } = lease;
    LeaseView {
        prefix: prefix.to_string(),
        pool: pool.to_string(),
        holder: holder.to_string(),
        purpose: purpose.to_string(),
        state: state.to_string(),
        since: *since,
    }
}

fn step(planned: &PlannedStep, observed: &Observed) -> StepView {
    let (action, object, text) = render::describe(&planned.step, observed);
    StepView {
        action: action.name().to_owned(),
        object: object.to_owned(),
        tunnel: planned.tunnel.as_ref().map(ToString::to_string),
        text,
        error: None,
    }
}

/// Is the tunnel in the kernel as it should be: its link, its addresses, its routes and the rules?
pub fn is_up(tunnel: &Tunnel, look: &Look) -> bool {
    let link = look.observed.link(tunnel.name.link().as_str());
    let desired = look.desired.tunnels.get(&tunnel.name);
    let touched = !pending(&tunnel.name, desired, look).is_empty();
    desired.is_some() && state(tunnel, link, look, touched) == TunnelState::Up
}

fn tunnels(config: &Config, look: &Look, book: &Book) -> Vec<TunnelView> {
    let owners = Ownerships::new(&look.desired, &look.observed, &look.owned);
    let pools = pool_names(book);
    let declared = config.tunnels.values().map(|tunnel| {
        let link = owners.link_of(&tunnel.name);
        let desired = look.desired.tunnels.get(&tunnel.name);
        let pending = pending(&tunnel.name, desired, look);
        let state = state(tunnel, link, look, !pending.is_empty());
        let mut view = declared_view(tunnel, desired, link, state);
        view.pool = pools.get(&tunnel.name.holder()).cloned();
        view.reasons = reasons(&tunnel.name, look, &pending);
        view
    });
    let leaving = owners.tunnels().filter(|(name, _)| !config.tunnels.contains_key(*name));
    declared.chain(leaving.map(|(name, link)| leaving_view(name, link))).collect()
}

/// The steps that a tunnel needs: its own, its address on the loopback link, and the rules, which serve all.
fn pending<'a>(name: &TunnelName, desired: Option<&DesiredTunnel>, look: &'a Look) -> Vec<&'a PlannedStep> {
    let local = desired.map(|desired| desired.link.gre.local);
    let needs = |planned: &&PlannedStep| match (&planned.tunnel, &planned.step) {
        (Some(tunnel), _) => tunnel == name,
        (None, Step::AddAddress(address)) => Some(address.address.ip()) == local,
        (None, Step::AddRule(_)) => desired.is_some(),
        (None, _) => false,
    };
    look.plan.steps.iter().filter(needs).collect()
}

fn pool_names(book: &Book) -> BTreeMap<HolderName, String> {
    let active = book.leases().filter(|lease| lease.state == LeaseState::Active);
    active.map(|lease| (lease.holder.clone(), lease.pool.to_string())).collect()
}

fn state(tunnel: &Tunnel, link: Option<&Link>, look: &Look, touched: bool) -> TunnelState {
    match link {
        _ if look.plan.refused.contains_key(&tunnel.name) => TunnelState::Refused,
        _ if look.plan.held.contains_key(&tunnel.name) => TunnelState::Held,
        Some(_) if !tunnel.enable => TunnelState::Leaving,
        None if !tunnel.enable => TunnelState::Disabled,
        None => TunnelState::Missing,
        Some(_) if touched => TunnelState::Drifted,
        Some(_) => TunnelState::Up,
    }
}

fn reasons(name: &TunnelName, look: &Look, pending: &[&PlannedStep]) -> Vec<String> {
    let held = look.plan.held.get(name).cloned();
    let refused = look.plan.refused.get(name).cloned().unwrap_or_default();
    let drift = pending.iter().map(|planned| {
        let (action, _, text) = render::describe(&planned.step, &look.observed);
        format!("{} {text}", action.symbol())
    });
    held.into_iter().chain(refused).chain(drift).collect()
}

fn declared_view(
    tunnel: &Tunnel,
    desired: Option<&DesiredTunnel>,
    link: Option<&Link>,
    state: TunnelState,
) -> TunnelView {
    let gre = link.and_then(Link::gre).or(desired.map(|desired| &desired.link.gre));
    TunnelView {
        name: tunnel.name.to_string(),
        kind: Some(tunnel.kind.to_string()),
        state,
        reasons: Vec::new(),
        link: link.map_or_else(|| tunnel.name.link().to_string(), |link| link.name.clone()),
        ifindex: link.map(|link| link.index),
        local: gre.map(|gre| gre.local),
        pool: None,
        remote: gre.map(|gre| gre.remote),
        remotes: tunnel.remotes.clone(),
        key: tunnel.key,
        overlay: Some(tunnel.overlay.to_string()),
        peer: Some(peer_of(tunnel.overlay)),
        mtu: link.map(|link| link.mtu).or(desired.map(|desired| desired.link.mtu)),
        overhead: gre::overhead(tunnel.key),
        vrf: tunnel.vrf.as_ref().map(ToString::to_string),
        client: tunnel.client,
        routes: tunnel.routes.iter().map(ToString::to_string).collect(),
        groups: tunnel.groups.iter().map(ToString::to_string).collect(),
        counters: None,
        up_since: None,
        last_repair: None,
        probe: None,
    }
}

fn leaving_view(name: &TunnelName, link: &Link) -> TunnelView {
    let gre = link.gre();
    let key = gre.and_then(|gre| gre.ikey);
    TunnelView {
        name: name.to_string(),
        kind: None,
        state: TunnelState::Leaving,
        reasons: vec!["it is no longer declared: the next apply removes it".to_owned()],
        link: link.name.clone(),
        ifindex: Some(link.index),
        local: gre.map(|gre| gre.local),
        pool: None,
        remote: gre.map(|gre| gre.remote),
        remotes: Vec::new(),
        key,
        overlay: None,
        peer: None,
        mtu: Some(link.mtu),
        overhead: gre::overhead(key),
        vrf: None,
        client: None,
        routes: Vec::new(),
        groups: Vec::new(),
        counters: None,
        up_since: None,
        last_repair: None,
        probe: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_can_be_shown() {
        let shown = [0, LATEST, LATEST + 1, Timestamp::MAX].map(time);
        assert_eq!(shown, ["1970-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "after 9999", "after 9999"]);
    }
}
