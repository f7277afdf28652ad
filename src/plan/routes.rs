//! Routes into our links, and the rules that lead to their table.

use std::collections::{BTreeMap, BTreeSet};

use ipnetwork::Ipv4Network;

use crate::model::{Desired, LinkName, Observed, Route, RouteKind, Rule, TunnelName, marks};

use super::links::{Fate, LinkPlan};
use super::ownership::{Ownership, Ownerships};
use super::{PlannedStep, Step};

type Key = (u32, Ipv4Network, u32, u8);

/// Route and rule changes, apart by when they come in the plan.
#[derive(Default)]
pub struct RouteSteps {
    pub delete: Vec<PlannedStep>,
    pub add: Vec<PlannedStep>,
    pub rule_add: Vec<PlannedStep>,
    pub rule_delete: Vec<PlannedStep>,
    /// With our protocol number, but through a link that is not ours.
    pub orphans: Vec<Route>,
    /// Routes of a tunnel that somebody else's route of the same key keeps out.
    pub blocked: Vec<(TunnelName, String)>,
    pub notes: Vec<String>,
}

/// Works out every route and rule change.
pub fn plan(desired: &Desired, observed: &Observed, links: &LinkPlan, owners: &Ownerships<'_>) -> RouteSteps {
    let mut steps = RouteSteps::default();
    let present = Present::new(observed, links, owners);
    let mut wanted: BTreeMap<Key, &Route<LinkName>> = BTreeMap::new();
    for (tunnel, want) in &desired.tunnels {
        if matches!(links.fates.get(tunnel), Some(Fate::Refused { .. }) | None) {
            continue;
        }
        for route in &want.routes {
            wanted.insert(route.key(), route);
            add_route(tunnel, route, &present, &mut steps);
        }
    }
    for route in observed.routes.iter().filter(|route| route.protocol == marks::ROUTE_PROTOCOL) {
        let same = |want: &&&Route<LinkName>| present.same(route, want);
        if wanted.get(&route.key()).filter(same).is_none() {
            present.delete_route(route, &mut steps);
        }
    }
    rules(desired, observed, &mut steps);
    steps
}

/// The routes that will still be there when routes are added.
struct Present<'a> {
    observed: &'a Observed,
    links: &'a LinkPlan,
    owners: &'a Ownerships<'a>,
    by_key: BTreeMap<Key, &'a Route>,
    /// Links that stay as they are, whose routes stay with them: held and refused tunnels.
    untouched: BTreeSet<u32>,
}

impl<'a> Present<'a> {
    fn new(observed: &'a Observed, links: &'a LinkPlan, owners: &'a Ownerships<'a>) -> Self {
        let kept = |index: &u32| {
            let fate = owners.tunnel_of(*index).and_then(|tunnel| links.fates.get(tunnel));
            matches!(fate, Some(Fate::Keep { .. }))
        };
        let untouched = links.staying(owners).map(|link| link.index).filter(|index| !kept(index)).collect();
        let by_key = observed.routes.iter().map(|route| (route.key(), route)).collect();
        Self { observed, links, owners, by_key, untouched }
    }

    /// Is it as wanted? Through a link that is made anew it is not there any more.
    fn same(&self, route: &Route, want: &Route<LinkName>) -> bool {
        let link = route.link.and_then(|index| self.owners.tunnel_of(index)).map(TunnelName::link);
        let lost = route.link.is_some_and(|index| self.goes(index));
        !lost && link.is_some() && route.named(link) == *want
    }

    /// The kernel drops a link's routes with the link.
    fn goes(&self, index: u32) -> bool {
        let fate = self.owners.tunnel_of(index).and_then(|tunnel| self.links.fates.get(tunnel));
        self.links.removed.contains_key(&index) || matches!(fate, Some(Fate::Recreate { .. }))
    }

    fn delete_route(&self, route: &Route, steps: &mut RouteSteps) {
        let Some(index) = route.link else { return steps.orphans.push(route.clone()) };
        let tunnel = match self.owners.of(index) {
            Ownership::Ours(tunnel) | Ownership::Adopted(tunnel) => tunnel,
            Ownership::Orphan | Ownership::Foreign => return steps.orphans.push(route.clone()),
        };
        if !self.goes(index) && !self.untouched.contains(&index) {
            let step = Step::DeleteRoute(route.clone());
            steps.delete.push(PlannedStep { tunnel: Some(tunnel.clone()), step });
        }
    }

    /// Who has the key of a wanted route and keeps it: not one of our own, which is deleted first.
    fn holder(&self, want: &Route<LinkName>) -> Option<&Route> {
        let route = *self.by_key.get(&want.key())?;
        let index = route.link;
        let ours = route.protocol == marks::ROUTE_PROTOCOL
            && index.is_some_and(|index| self.owners.tunnel_of(index).is_some())
            && index.is_some_and(|index| !self.untouched.contains(&index));
        (!ours).then_some(route)
    }
}

fn add_route(tunnel: &TunnelName, want: &Route<LinkName>, present: &Present<'_>, steps: &mut RouteSteps) {
    if present.by_key.get(&want.key()).is_some_and(|route| present.same(route, want)) {
        return;
    }
    if let Some(holder) = present.holder(want) {
        steps.blocked.push((tunnel.clone(), describe(holder, present.observed)));
        return;
    }
    let step = Step::AddRoute(want.clone());
    steps.add.push(PlannedStep { tunnel: Some(tunnel.clone()), step });
}

fn describe(holder: &Route, observed: &Observed) -> String {
    let Route { table, destination, metric, link, protocol, kind, .. } = holder;
    let via = link.and_then(|index| observed.links.get(&index)).map_or("no link", |link| link.name.as_str());
    let kind = match kind {
        RouteKind::Unicast => "a route",
        RouteKind::Other(_) => "an unreachable, blackhole or other special route",
    };
    format!(
        "{destination} metric {metric} in table {table} has {kind} by {via}, proto {protocol}, that is not \
         this tunnel's: remove it, or give the tunnel another metric"
    )
}

/// A rule counts as there whatever its protocol: the kernel refuses a second one that is equal but for that.
fn rules(desired: &Desired, observed: &Observed, steps: &mut RouteSteps) {
    let same = |a: &Rule, b: &Rule| Rule { protocol: b.protocol, ..a.clone() } == *b;
    let planned = |step| PlannedStep { tunnel: None, step };
    for want in &desired.rules {
        if !observed.rules.iter().any(|rule| same(rule, want)) {
            steps.rule_add.push(planned(Step::AddRule(want.clone())));
        }
    }
    let (ours, others): (Vec<&Rule>, Vec<&Rule>) = observed
        .rules
        .iter()
        .filter(|rule| rule.protocol == marks::ROUTE_PROTOCOL)
        .partition(|rule| is_ours(rule));
    for rule in ours.into_iter().rev() {
        if !desired.rules.iter().any(|want| same(rule, want)) {
            steps.rule_delete.push(planned(Step::DeleteRule(rule.clone())));
        }
    }
    steps.notes.extend(others.into_iter().map(foreign_rule));
}

/// Our protocol number alone makes no rule ours: anybody may write it. Nor could an exotic one be deleted, for what
/// makes it exotic is not known here.
fn is_ours(rule: &Rule) -> bool {
    let place = (marks::RULE_UNDERLAY..=marks::RULE_DEFAULT).contains(&rule.priority);
    place && [marks::TABLE_MAIN, marks::TABLE].contains(&rule.table) && !rule.exotic
}

fn foreign_rule(rule: &Rule) -> String {
    let Rule { priority, protocol, .. } = rule;
    format!(
        "a rule of priority {priority} has protocol {protocol}, but is none that greyhound makes: left alone"
    )
}
