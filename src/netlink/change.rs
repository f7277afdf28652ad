//! Links changed in place, and links made anew where that cannot be.

use nix::errno::Errno;

use super::apply::{Results, Run};
use super::create::{exists, first_refusal};
use super::error::{Error, Operation, Refusal, StepError};
use super::observe::Which;
use super::socket::Request;
use super::{holder, message_link, observe};
use crate::model::{DesiredLink, Gre, Link};

/// A change that may be made: the link is still the one that was observed.
struct Change<'a> {
    desired: &'a DesiredLink,
    now: Link,
    /// The VRF's ifindex; 0 leaves one; `None` stays.
    vrf: Option<u32>,
}

impl Run<'_> {
    /// Changes the links: every GRE attribute, MTU, group, flags, name and VRF, and up.
    pub fn change(&mut self, links: &[(u32, &DesiredLink)]) -> Result<Results, Error> {
        let indexes: Vec<u32> = links.iter().map(|(index, _)| *index).collect();
        let found = self.still_observed(&indexes)?;
        let changes: Vec<_> =
            links.iter().zip(found).map(|((_, desired), found)| self.may_change(desired, found?)).collect();
        let requests = changes.iter().flatten().flat_map(Change::requests).collect();
        let mut answers = self.transport.change("change of links", requests)?.into_iter();
        let mut results = Vec::with_capacity(links.len());
        for change in changes {
            results.push(match change {
                Err(error) => Err(error),
                Ok(change) => {
                    let answers: Vec<_> = answers.by_ref().take(change.requests().len()).collect();
                    self.changed(&change, &answers)?
                }
            });
        }
        Ok(results)
    }

    /// Deletes and makes again. The ifindex is another one.
    pub fn recreate(&mut self, links: &[(u32, &DesiredLink)]) -> Result<Results, Error> {
        let observed = self.observed;
        let deletions: Vec<(u32, &str)> = links
            .iter()
            .map(|(index, link)| {
                let before = observed.links.get(index).map(|before| before.name.as_str());
                (*index, before.unwrap_or(link.name.as_str()))
            })
            .collect();
        let deleted = self.delete(&deletions)?;
        let gone = links.iter().zip(&deleted).filter(|(_, deleted)| deleted.is_ok());
        let creations: Vec<&DesiredLink> = gone.map(|((_, link), _)| *link).collect();
        let mut created = self.create(&creations)?.into_iter();
        let result = |deleted: Result<(), StepError>| deleted.and_then(|()| created.next().unwrap_or(Ok(())));
        Ok(deleted.into_iter().map(result).collect())
    }

    /// Looks at each link again: as it is now, or why it is not what was observed any more.
    /// What remains is the time between this look and the message that follows it.
    pub fn still_observed(&mut self, indexes: &[u32]) -> Result<Vec<Result<Link, StepError>>, Error> {
        let wanted: Vec<Which> = indexes.iter().map(|index| Which::Index(*index)).collect();
        let found = observe::look(self.transport, &wanted)?;
        Ok(indexes.iter().zip(found).map(|(index, found)| self.compare(*index, found)).collect())
    }

    /// `found`: what has the ifindex now. Same name and same kind: the link that was observed.
    pub fn compare(&self, index: u32, found: Option<Link>) -> Result<Link, StepError> {
        let Some(before) = self.observed.links.get(&index) else {
            return Err(StepError::new(&format!("link {index}"), "it was not observed"));
        };
        let Some(now) = found else {
            return Err(StepError {
                object: before.name.clone(),
                errno: Some(Errno::ENODEV as i32),
                sentence: format!("link {index} has gone meanwhile"),
            });
        };
        let same_kind = std::mem::discriminant(&now.kind) == std::mem::discriminant(&before.kind);
        if now.name == before.name && same_kind {
            return Ok(now);
        }
        let sentence = format!("link {index} has become {} meanwhile, and is left alone", now.name);
        Err(StepError::new(&before.name, sentence))
    }

    fn may_change<'a>(&self, desired: &'a DesiredLink, now: Link) -> Result<Change<'a>, StepError> {
        let vrf = self.vrf_index(desired)?;
        let vrf = if vrf == now.master { None } else { Some(vrf.unwrap_or(0)) };
        Ok(Change { desired, now, vrf })
    }

    fn changed(
        &mut self,
        change: &Change,
        answers: &[Result<(), Refusal>],
    ) -> Result<Result<(), StepError>, Error> {
        let name = change.desired.name.as_str();
        let mut refusal = first_refusal(answers);
        let retried;
        if refusal.is_some_and(|refusal| refusal.is(Errno::EBUSY)) && change.is_rename() {
            retried = self.rename_down(change)?;
            refusal = first_refusal(&retried);
        }
        let Some(refusal) = refusal else {
            self.links.insert(name.to_owned(), change.now.index);
            return Ok(Ok(()));
        };
        if !refusal.is(Errno::EEXIST) {
            return Ok(Err(StepError::refused(name, Operation::ChangeLink, refusal)));
        }
        let holder = match observe::links(self.transport) {
            Ok(links) => holder::of_link(change.desired, Some(change.now.index), &links),
            Err(error) => Some(holder::unseen(&error)),
        };
        let sentence = holder.unwrap_or_else(|| holder::elsewhere(change.desired));
        Ok(Err(exists(change.desired, sentence)))
    }

    /// Kernels before 6.2 rename only links that are down. The last message brings the link up
    /// again also when the one before it was refused.
    fn rename_down(&mut self, change: &Change) -> Result<Vec<Result<(), Refusal>>, Error> {
        let index = change.now.index;
        let whole = message_link::change_link(change.desired, index, change.vrf, true);
        let requests = vec![message_link::down(index), whole, message_link::up(index)];
        self.transport.change("renaming of a link", requests)
    }
}

impl Change<'_> {
    fn is_rename(&self) -> bool {
        self.now.name != self.desired.name.as_str()
    }

    fn requests(&self) -> Vec<Request> {
        let index = self.now.index;
        let mut requests = Vec::new();
        if self.now.gre().is_some_and(|gre| gre.ignore_df) && self.desired.gre.pmtudisc {
            // The kernel compares the new pmtudisc with the old ignore-df (`ipgre_netlink_parms`,
            // net/ipv4/ip_gre.c), so the old one has to go first.
            let gre = Gre { pmtudisc: false, ignore_df: false, ..self.desired.gre.clone() };
            let between = DesiredLink { gre, ..self.desired.clone() };
            requests.push(message_link::change_link(&between, index, None, false));
        }
        requests.push(message_link::change_link(self.desired, index, self.vrf, self.is_rename()));
        // Always: a link whose MTU grows to 1280 gets IPv6 with it. What IPv6 has put on a link
        // that is up already stays until it goes down.
        requests.push(message_link::no_ipv6_addresses(index));
        requests
    }
}
