//! Addresses, routes and rules: one message each.

use std::collections::BTreeSet;

use nix::errno::Errno;

use super::apply::{Results, Run};
use super::batch::Small;
use super::error::{Error, Operation, Refusal, StepError};
use super::socket::Request;
use super::{holder, message, observe};
use crate::model::{Address, LinkName, Route};

/// What is there where steps were refused with `EEXIST`; or why that could not be looked up.
struct There {
    addresses: Result<BTreeSet<Address>, Error>,
    /// Those of the refused keys.
    routes: Result<BTreeSet<Route>, Error>,
}

impl Run<'_> {
    /// Adds and deletes. What is gone already counts as deleted; what is there already is never
    /// taken for added, but named.
    pub fn small(&mut self, steps: &[Small]) -> Result<Results, Error> {
        let prepared: Vec<_> = steps.iter().map(|step| self.request(*step)).collect();
        let requests = prepared.iter().filter_map(|request| request.as_ref().ok().cloned()).collect();
        let mut answers =
            self.transport.change("batch of addresses, routes and rules", requests)?.into_iter();
        let mut results = Vec::with_capacity(steps.len());
        let mut refused = Vec::new();
        for (place, (step, request)) in steps.iter().zip(prepared).enumerate() {
            let answer = request.map(|_| answers.next().unwrap_or(Ok(())));
            if let Ok(Err(refusal)) = &answer {
                refused.push((place, *step, refusal.clone()));
            }
            results.push(answer.map(|_| ()));
        }
        let there = self.there(&refused);
        for (place, step, refusal) in refused {
            if let Some(result) = results.get_mut(place) {
                *result = self.refused(step, &refusal, &there);
            }
        }
        Ok(results)
    }

    /// Errors when the step's link was neither observed nor made.
    fn request(&self, step: Small) -> Result<Request, StepError> {
        Ok(match step {
            Small::DeleteRule(rule) => message::delete_rule(rule),
            Small::DeleteRoute(route) => message::delete_route(route),
            Small::DeleteAddress(address) => message::delete_address(address),
            Small::AddAddress(address) => message::add_address(&self.on_link(step, address)?),
            Small::AddRoute(route) => message::add_route(&self.by_link(step, route)?),
            Small::AddRule(rule) => message::add_rule(rule),
        })
    }

    /// One fresh look for all that were refused because something is there already.
    fn there(&mut self, refused: &[(usize, Small, Refusal)]) -> There {
        let taken =
            || refused.iter().filter(|(_, _, refusal)| refusal.is(Errno::EEXIST)).map(|(_, step, _)| *step);
        let mut there = There { addresses: Ok(BTreeSet::new()), routes: Ok(BTreeSet::new()) };
        if taken().any(|step| matches!(step, Small::AddAddress(_))) {
            there.addresses = observe::addresses(self.transport);
        }
        let keys: BTreeSet<_> = taken().filter_map(|step| added_route(step).map(Route::key)).collect();
        let tables: BTreeSet<u32> = keys.iter().map(|(table, ..)| *table).collect();
        for table in tables {
            let found =
                observe::routes(self.transport, None, Some(table), |route| keys.contains(&route.key()));
            there.routes = there.routes.and_then(|mut routes| {
                routes.extend(found?);
                Ok(routes)
            });
        }
        there
    }

    fn refused(&self, step: Small, refusal: &Refusal, there: &There) -> Result<(), StepError> {
        let operation = operation(step);
        if operation.is_gone(refusal) {
            return Ok(());
        }
        let object = step.object(self.observed);
        let holder = if refusal.is(Errno::EEXIST) { self.holder(step, there) } else { None };
        Err(match holder {
            Some(sentence) => StepError { object, errno: Some(refusal.errno), sentence },
            None => StepError::refused(&object, operation, refusal),
        })
    }

    /// Who is there already.
    fn holder(&self, step: Small, there: &There) -> Option<String> {
        match (step, there) {
            (Small::AddAddress(address), There { addresses: Ok(addresses), .. }) => {
                holder::of_address(&self.on_link(step, address).ok()?, addresses)
            }
            (Small::AddRoute(route), There { routes: Ok(routes), .. }) => {
                holder::of_route(&self.by_link(step, route).ok()?, routes, &self.observed.links)
            }
            (Small::AddAddress(_), There { addresses: Err(error), .. })
            | (Small::AddRoute(_), There { routes: Err(error), .. }) => Some(holder::unseen(error)),
            (Small::AddRule(_), _) => Some("an equal rule is there already".to_owned()),
            (Small::DeleteRule(_) | Small::DeleteRoute(_) | Small::DeleteAddress(_), _) => None,
        }
    }

    fn on_link(&self, step: Small, address: &Address<LinkName>) -> Result<Address, StepError> {
        let Address { link, address, scope, label, protocol } = address.clone();
        Ok(Address { link: self.index_of(step, &link)?, address, scope, label, protocol })
    }

    fn by_link(&self, step: Small, route: &Route<LinkName>) -> Result<Route, StepError> {
        let Route { table, destination, metric, tos, link, gateway, prefsrc, protocol, scope, kind } =
            route.clone();
        let link = link.map(|name| self.index_of(step, &name)).transpose()?;
        Ok(Route { table, destination, metric, tos, link, gateway, prefsrc, protocol, scope, kind })
    }

    fn index_of(&self, step: Small, name: &LinkName) -> Result<u32, StepError> {
        let missing = || StepError::new(&step.object(self.observed), format!("its link {name} is not there"));
        self.links.get(name.as_str()).copied().ok_or_else(missing)
    }
}

fn added_route(step: Small<'_>) -> Option<&Route<LinkName>> {
    match step {
        Small::AddRoute(route) => Some(route),
        _ => None,
    }
}

fn operation(step: Small) -> Operation {
    match step {
        Small::DeleteRule(_) => Operation::DeleteRule,
        Small::DeleteRoute(_) => Operation::DeleteRoute,
        Small::DeleteAddress(_) => Operation::DeleteAddress,
        Small::AddAddress(_) => Operation::AddAddress,
        Small::AddRoute(_) => Operation::AddRoute,
        Small::AddRule(_) => Operation::AddRule,
    }
}
