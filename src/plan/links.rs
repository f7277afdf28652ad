//! What becomes of each link, and in which order: no two of ours may want one tuple at one moment.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Desired, DesiredLink, Link, LinkKind, Observed, TunnelName, Tuple};

use super::difference::differences;
use super::ownership::{Ownership, Ownerships};
use super::{Difference, PlannedStep, Step};

/// What becomes of the link of one declared tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is as declared.
    Keep {
        index: u32,
    },
    /// In place.
    Change {
        index: u32,
        differences: Vec<Difference>,
    },
    /// The kernel cannot change it in place.
    Recreate {
        index: u32,
        differences: Vec<Difference>,
    },
    Create,
    /// Not possible now; what is there stays as it is.
    Refused {
        reason: String,
    },
}

/// Every link of ours, sorted by what becomes of it.
pub struct LinkPlan {
    pub fates: BTreeMap<TunnelName, Fate>,
    /// Ours, and no longer declared: ifindex and tunnel.
    pub removed: BTreeMap<u32, TunnelName>,
}

/// Decides every link's fate.
pub fn decide(desired: &Desired, observed: &Observed, owners: &Ownerships<'_>) -> LinkPlan {
    let removed = owners
        .tunnels()
        .filter(|(tunnel, _)| !desired.tunnels.contains_key(*tunnel) && !desired.held.contains_key(*tunnel))
        .map(|(tunnel, link)| (link.index, tunnel.clone()))
        .collect();
    let fates = desired
        .tunnels
        .iter()
        .map(|(tunnel, want)| (tunnel.clone(), fate(owners.link_of(tunnel), &want.link, observed)))
        .collect();
    let mut plan = LinkPlan { fates, removed };
    while plan.refuse_blocked(desired, owners) {}
    plan
}

fn fate(link: Option<&Link>, want: &DesiredLink, observed: &Observed) -> Fate {
    let Some(link) = link else { return Fate::Create };
    let (index, differences) = (link.index, differences(link, want, observed));
    match link.gre() {
        _ if differences.is_empty() => Fate::Keep { index },
        Some(gre) if gre.exotic => Fate::Recreate { index, differences },
        _ => Fate::Change { index, differences },
    }
}

impl LinkPlan {
    /// Refuses tunnels whose name or tuple somebody holds who does not let go in this plan. True if
    /// one was refused: it may block another.
    fn refuse_blocked(&mut self, desired: &Desired, owners: &Ownerships<'_>) -> bool {
        let mut refused = BTreeMap::new();
        for (tunnel, fate) in &self.fates {
            let own = match fate {
                Fate::Keep { .. } | Fate::Refused { .. } => continue,
                Fate::Change { index, .. } | Fate::Recreate { index, .. } => Some(*index),
                Fate::Create => None,
            };
            let Some(want) = desired.tunnels.get(tunnel).map(|tunnel| &tunnel.link) else { continue };
            if let Some(reason) = self.blocked(own, want, desired, owners) {
                refused.insert(tunnel.clone(), Fate::Refused { reason });
            }
        }
        let any = !refused.is_empty();
        self.fates.extend(refused);
        any
    }

    fn blocked(
        &self,
        own: Option<u32>,
        want: &DesiredLink,
        desired: &Desired,
        owners: &Ownerships<'_>,
    ) -> Option<String> {
        let other = |link: &&Link| Some(link.index) != own && !self.removed.contains_key(&link.index);
        if let Some(holder) = owners.named(want.name.as_str()).filter(other) {
            return Some(format!("the name {} is held by {}", want.name, describe(holder, owners)));
        }
        let tuple = want.gre.tuple();
        let holder = owners.with_tuple(&tuple).filter(other)?;
        if self.lets_go(holder.index, &tuple, desired, owners) {
            return None;
        }
        Some(format!("the tuple {tuple} is held by {}", describe(holder, owners)))
    }

    /// Does this plan move the link to another tuple?
    fn lets_go(&self, index: u32, tuple: &Tuple, desired: &Desired, owners: &Ownerships<'_>) -> bool {
        let Some(tunnel) = owners.tunnel_of(index) else { return false };
        let moves = matches!(self.fates.get(tunnel), Some(Fate::Change { .. } | Fate::Recreate { .. }));
        moves && desired.tunnels.get(tunnel).is_some_and(|want| want.link.gre.tuple() != *tuple)
    }

    /// The links that stay as they are: kept, refused, or of a held tunnel.
    pub fn staying<'a>(&'a self, owners: &'a Ownerships<'_>) -> impl Iterator<Item = &'a Link> {
        owners.tunnels().filter_map(|(tunnel, link)| match self.fates.get(tunnel) {
            Some(Fate::Change { .. } | Fate::Recreate { .. } | Fate::Create) => None,
            Some(Fate::Keep { .. } | Fate::Refused { .. }) => Some(link),
            None => (!self.removed.contains_key(&link.index)).then_some(link),
        })
    }

    /// Deletes, then changes in an order in which every tuple is free when it is wanted, then creates.
    pub fn steps(&self, desired: &Desired, owners: &Ownerships<'_>, observed: &Observed) -> Vec<PlannedStep> {
        let name = |index: &u32| observed.links.get(index).map_or_else(String::new, |l| l.name.clone());
        let mut steps: Vec<_> = self
            .removed
            .iter()
            .map(|(index, tunnel)| planned(tunnel, Step::DeleteLink { index: *index, name: name(index) }))
            .collect();
        steps.extend(self.changes(desired, owners));
        for (tunnel, want) in &desired.tunnels {
            if self.fates.get(tunnel) == Some(&Fate::Create) {
                steps.push(planned(tunnel, Step::CreateLink(want.link.clone())));
            }
        }
        steps
    }

    fn changes(&self, desired: &Desired, owners: &Ownerships<'_>) -> Vec<PlannedStep> {
        let mut pending: BTreeMap<&TunnelName, Step> = BTreeMap::new();
        for (tunnel, want) in &desired.tunnels {
            let link = want.link.clone();
            let step = match self.fates.get(tunnel).cloned() {
                Some(Fate::Change { index, differences }) => Step::ChangeLink { index, link, differences },
                Some(Fate::Recreate { index, differences }) => {
                    Step::RecreateLink { index, link, differences }
                }
                Some(Fate::Keep { .. } | Fate::Create | Fate::Refused { .. }) | None => continue,
            };
            pending.insert(tunnel, step);
        }
        let held = |tunnel: &TunnelName| Some(owners.link_of(tunnel)?.gre()?.tuple());
        let held = pending.keys().filter_map(|tunnel| Some((*tunnel, held(tunnel)?))).collect();
        order(pending, held, owners)
    }
}

/// Takes pending changes in the order of their names as their tuples come free. Where some wait for
/// each other in a ring, the first that can be changed in place is parked: changed to a tuple that nobody wants, and
/// later changed again. If none can be, the first of all is deleted, and later created.
fn order<'a>(
    mut pending: BTreeMap<&'a TunnelName, Step>,
    mut held: BTreeMap<&'a TunnelName, Tuple>,
    owners: &Ownerships<'_>,
) -> Vec<PlannedStep> {
    let mut steps = Vec::new();
    while let Some(first) = pending.keys().next().copied() {
        let holders: BTreeMap<Tuple, &TunnelName> = held.iter().map(|(tunnel, t)| (*t, *tunnel)).collect();
        let free = |(tunnel, step): &(&&TunnelName, &Step)| {
            wanted(step).is_none_or(|tuple| holders.get(&tuple).is_none_or(|holder| holder == *tunnel))
        };
        let ready: Vec<&TunnelName> = pending.iter().filter(free).map(|(tunnel, _)| *tunnel).collect();
        for tunnel in &ready {
            held.remove(tunnel);
            steps.extend(pending.remove(tunnel).map(|step| planned(tunnel, step)));
        }
        if ready.is_empty() {
            let parked = ring(first, &holders, &pending).into_iter().find_map(|tunnel| {
                let step = park(pending.get(tunnel)?, &held, &pending)?;
                Some((tunnel, step))
            });
            let (tunnel, step) = match parked {
                Some((tunnel, step)) => (tunnel, Some(step)),
                None => (first, take_apart(first, &mut pending, owners)),
            };
            held.remove(tunnel);
            steps.extend(step.map(|step| planned(tunnel, step)));
        }
    }
    steps
}

/// Those that wait for each other, from `first` on. Each tuple is held by one and wanted by one: who waits for
/// somebody in a ring is in that ring.
fn ring<'a>(
    first: &'a TunnelName,
    holders: &BTreeMap<Tuple, &'a TunnelName>,
    pending: &BTreeMap<&'a TunnelName, Step>,
) -> Vec<&'a TunnelName> {
    let next = |tunnel: &&'a TunnelName| {
        let holder = holders.get(&wanted(pending.get(*tunnel)?)?).copied();
        holder.filter(|holder| *holder != first)
    };
    std::iter::successors(Some(first), next).take(pending.len()).collect()
}

/// Deletes now what was to be made anew, and leaves its creation for when its tuple is free.
fn take_apart(
    tunnel: &TunnelName,
    pending: &mut BTreeMap<&TunnelName, Step>,
    owners: &Ownerships<'_>,
) -> Option<Step> {
    let step = pending.get_mut(tunnel)?;
    let Step::RecreateLink { index, link, differences: _ } = step else { return None };
    let index = *index;
    *step = Step::CreateLink(link.clone());
    let name = owners.link_of(tunnel).map_or_else(String::new, |link| link.name.clone());
    Some(Step::DeleteLink { index, name })
}

fn wanted(step: &Step) -> Option<Tuple> {
    match step {
        Step::ChangeLink { link, .. } | Step::RecreateLink { link, .. } | Step::CreateLink(link) => {
            Some(link.gre.tuple())
        }
        _ => None,
    }
}

/// The same link with a key that makes its tuple one that nobody holds or wants; `None` for what is no change in place.
fn park(
    step: &Step,
    held: &BTreeMap<&TunnelName, Tuple>,
    pending: &BTreeMap<&TunnelName, Step>,
) -> Option<Step> {
    let Step::ChangeLink { index, link, differences } = step else { return None };
    let taken: BTreeSet<Tuple> = held.values().copied().chain(pending.values().filter_map(wanted)).collect();
    let tuple = link.gre.tuple();
    let free = |key: &u32| !taken.contains(&Tuple { key: Some(*key), ..tuple });
    let key = (0..=u32::MAX).rev().find(free);
    let mut link = link.clone();
    (link.gre.ikey, link.gre.okey) = (key, key);
    Some(Step::ChangeLink { index: *index, link, differences: differences.clone() })
}

fn planned(tunnel: &TunnelName, step: Step) -> PlannedStep {
    PlannedStep { tunnel: Some(tunnel.clone()), step }
}

fn describe(link: &Link, owners: &Ownerships<'_>) -> String {
    let Link { index, name, .. } = link;
    let what = match &link.kind {
        LinkKind::Gre(gre) => format!("gre, {}", gre.tuple()),
        LinkKind::Gretap(_) => "gretap".to_owned(),
        LinkKind::Vrf { .. } => "vrf".to_owned(),
        LinkKind::Other(kind) if kind.is_empty() => "no kind".to_owned(),
        LinkKind::Other(kind) => kind.clone(),
    };
    match owners.of(*index) {
        Ownership::Ours(tunnel) | Ownership::Adopted(tunnel) => {
            format!("{name} (ifindex {index}) of tunnel {tunnel}")
        }
        Ownership::Orphan => format!(
            "{name} (ifindex {index}, {what}), which is marked as greyhound's but claimed by no tunnel: \
             if it is a leftover, ip link delete {name} takes it away"
        ),
        Ownership::Foreign => format!(
            "{name} (ifindex {index}, {what}), which is not greyhound's: remove it, or declare another tunnel"
        ),
    }
}
