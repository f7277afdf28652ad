//! A plan's steps cut into batches of what can be sent together, in their order. Pure.

use super::delete::ROUND;
use super::socket::BATCH;
use crate::model::{Address, DesiredLink, LinkName, Observed, Route, Rule};
use crate::plan::{PlannedStep, Step};

/// Steps of one sort that follow one another.
pub(super) enum Batch<'a> {
    Small(Vec<Small<'a>>),
    Create(Vec<&'a DesiredLink>),
    /// With the ifindex.
    Change(Vec<(u32, &'a DesiredLink)>),
    Delete(Vec<(u32, &'a str)>),
    Recreate(Vec<(u32, &'a DesiredLink)>),
}

/// A step that is one message. These go together in any mixture.
#[derive(Clone, Copy)]
pub(super) enum Small<'a> {
    DeleteRule(&'a Rule),
    DeleteRoute(&'a Route),
    DeleteAddress(&'a Address),
    AddAddress(&'a Address<LinkName>),
    AddRoute(&'a Route<LinkName>),
    AddRule(&'a Rule),
}

/// Every step is in one batch, and the batches are in the steps' order.
pub(super) fn batches(steps: &[PlannedStep]) -> Vec<Batch<'_>> {
    let mut batches: Vec<Batch> = Vec::new();
    for planned in steps {
        let next = alone(&planned.step);
        let rest = match batches.last_mut() {
            Some(last) => last.join(next),
            None => Some(next),
        };
        batches.extend(rest);
    }
    batches
}

fn alone(step: &Step) -> Batch<'_> {
    match step {
        Step::DeleteRule(rule) => Batch::Small(vec![Small::DeleteRule(rule)]),
        Step::DeleteRoute(route) => Batch::Small(vec![Small::DeleteRoute(route)]),
        Step::DeleteAddress(address) => Batch::Small(vec![Small::DeleteAddress(address)]),
        Step::AddAddress(address) => Batch::Small(vec![Small::AddAddress(address)]),
        Step::AddRoute(route) => Batch::Small(vec![Small::AddRoute(route)]),
        Step::AddRule(rule) => Batch::Small(vec![Small::AddRule(rule)]),
        Step::CreateLink(link) => Batch::Create(vec![link]),
        Step::ChangeLink { index, link, differences: _ } => Batch::Change(vec![(*index, link)]),
        Step::DeleteLink { index, name } => Batch::Delete(vec![(*index, name)]),
        Step::RecreateLink { index, link, differences: _ } => Batch::Recreate(vec![(*index, link)]),
    }
}

impl<'a> Batch<'a> {
    /// Takes the other in, or gives it back when it is of another sort or there is no room.
    fn join(&mut self, other: Self) -> Option<Self> {
        match (self, other) {
            (Self::Small(all), Self::Small(more)) if all.len() < BATCH => all.extend(more),
            (Self::Create(all), Self::Create(more)) if all.len() < BATCH => all.extend(more),
            (Self::Change(all), Self::Change(more)) if all.len() < BATCH => all.extend(more),
            (Self::Delete(all), Self::Delete(more)) if all.len() < ROUND => all.extend(more),
            (Self::Recreate(all), Self::Recreate(more)) if all.len() < BATCH => all.extend(more),
            (_, other) => return Some(other),
        }
        None
    }

    /// What each step is about, in iproute2's words.
    pub fn objects(&self, observed: &Observed) -> Vec<String> {
        match self {
            Self::Small(steps) => steps.iter().map(|step| step.object(observed)).collect(),
            Self::Create(links) => links.iter().map(|link| link.name.to_string()).collect(),
            Self::Change(links) | Self::Recreate(links) => {
                links.iter().map(|(_, link)| link.name.to_string()).collect()
            }
            Self::Delete(links) => links.iter().map(|(_, name)| (*name).to_owned()).collect(),
        }
    }
}

impl Small<'_> {
    pub fn object(self, observed: &Observed) -> String {
        let named = |index: u32| match observed.links.get(&index) {
            Some(link) => link.name.clone(),
            None => format!("link {index}"),
        };
        match self {
            Self::DeleteAddress(address) => format!("{} dev {}", address.address, named(address.link)),
            Self::AddAddress(address) => format!("{} dev {}", address.address, address.link),
            Self::DeleteRoute(route) => route_object(route, route.link.map(named)),
            Self::AddRoute(route) => route_object(route, route.link.as_ref().map(LinkName::to_string)),
            Self::DeleteRule(rule) | Self::AddRule(rule) => {
                format!("rule {} lookup {}", rule.priority, rule.table)
            }
        }
    }
}

fn route_object<L>(route: &Route<L>, device: Option<String>) -> String {
    let device = device.map_or(String::new(), |name| format!(" dev {name}"));
    format!("{}{device} table {}", route.destination, route.table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Gre, Tuple};

    fn step(step: Step) -> PlannedStep {
        PlannedStep { tunnel: None, step }
    }

    fn delete(index: u32) -> PlannedStep {
        step(Step::DeleteLink { index, name: format!("gh-{index}") })
    }

    fn create(number: usize) -> PlannedStep {
        let tuple = Tuple { local: [10, 0, 0, 1].into(), remote: [10, 0, 0, 2].into(), key: None };
        let name = LinkName::new(&format!("gh-{number}")).unwrap();
        step(Step::CreateLink(DesiredLink {
            name,
            gre: Gre::new(tuple),
            mtu: 1476,
            multicast: false,
            vrf: None,
        }))
    }

    fn shape(steps: &[PlannedStep]) -> Vec<(char, usize)> {
        batches(steps)
            .iter()
            .map(|batch| match batch {
                Batch::Small(steps) => ('s', steps.len()),
                Batch::Create(links) => ('c', links.len()),
                Batch::Change(links) => ('h', links.len()),
                Batch::Delete(links) => ('d', links.len()),
                Batch::Recreate(links) => ('r', links.len()),
            })
            .collect()
    }

    #[test]
    fn consecutive_steps_of_a_sort_go_together_and_the_order_stays() {
        let rule = || {
            let rule = Rule {
                priority: 1,
                invert: false,
                fwmark: None,
                table: 2,
                suppress_prefixlength: None,
                protocol: 3,
                exotic: false,
            };
            step(Step::AddRule(rule))
        };
        let steps = [delete(1), delete(2), create(1), create(2), rule(), create(3)];
        assert_eq!(shape(&steps), [('d', 2), ('c', 2), ('s', 1), ('c', 1)]);
    }

    #[test]
    fn a_batch_is_bounded() {
        let creations: Vec<_> = (0..150).map(create).collect();
        assert_eq!(shape(&creations), [('c', 64), ('c', 64), ('c', 22)]);
    }
}
