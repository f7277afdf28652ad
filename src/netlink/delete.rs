//! Links deleted: a few one by one, many by a scratch group.
//!
//! One by one each costs the kernel a wait for all its readers (about 25 ms); a group costs that
//! once. But a group takes every member with it, whoever put it there. So a group that no link is
//! in is looked for, our links are moved into it, it is read back, and only when exactly these are
//! in it is it deleted.

use std::collections::{BTreeMap, BTreeSet};

use super::apply::{Results, Run};
use super::error::{Error, Operation, Refusal, StepError};
use super::socket::{BATCH, Request};
use super::{message_link, observe};
use crate::model::Link;
use crate::model::marks::SCRATCH_GROUP;

/// The most deletions between two looks at all links.
pub(super) const ROUND: usize = 500;

/// From so many on a scratch group is worth its dumps.
const SCRATCH_FROM: usize = 8;

/// Members of one scratch group: the kernel deletes them in one call and holds its lock meanwhile.
const MEMBERS: usize = 50;

impl Run<'_> {
    /// Deletes the links that are still what was observed, and makes sure that they are gone: the
    /// kernel answers 0 also for some that stay, such as gre0. A link that went by itself is deleted.
    pub fn delete(&mut self, links: &[(u32, &str)]) -> Result<Results, Error> {
        let indexes: Vec<u32> = links.iter().map(|(index, _)| *index).collect();
        let mut refusals = BTreeMap::new();
        let mut results = Vec::new();
        if links.len() < SCRATCH_FROM {
            results.extend(self.still_observed(&indexes)?);
            let present = present(&indexes, &results);
            self.delete_each(&present, &mut refusals)?;
        } else {
            let now = observe::links(self.transport)?;
            results.extend(indexes.iter().map(|index| self.compare(*index, now.get(index).cloned())));
            let used = now.values().map(|link| link.group).collect();
            let present = present(&indexes, &results);
            self.delete_by_group(&present, &used, &mut refusals)?;
        }
        let left = self.left(&indexes)?;
        Ok(links
            .iter()
            .zip(results)
            .map(|(link, result)| self.verdict(*link, result, &left, &refusals))
            .collect())
    }

    /// Those that are in a group of exactly themselves go with it, the others one by one.
    /// `used`: groups that have members already.
    fn delete_by_group(
        &mut self,
        indexes: &[u32],
        used: &BTreeSet<u32>,
        refusals: &mut BTreeMap<u32, Refusal>,
    ) -> Result<(), Error> {
        let free = (SCRATCH_GROUP..=u32::MAX).filter(|group| !used.contains(group));
        let groups: BTreeMap<u32, &[u32]> = free.zip(indexes.chunks(MEMBERS)).collect();
        for (group, members) in &groups {
            let requests = members.iter().map(|index| message_link::set_group(*index, *group)).collect();
            self.transport.change("moving of links into a scratch group", requests)?;
        }
        let now = observe::links(self.transport)?;
        let (exact, mixed): (Vec<_>, Vec<_>) =
            groups.into_iter().partition(|(group, members)| is_exactly(*group, members, &now));
        let mut single: Vec<u32> = mixed.iter().flat_map(|(_, members)| members.iter().copied()).collect();
        for (group, members) in exact {
            let answers = self
                .transport
                .change("deletion of a scratch group", vec![message_link::delete_group(group)])?;
            if answers.iter().any(Result::is_err) {
                single.extend(members);
            }
        }
        self.delete_each(&single, refusals)
    }

    fn delete_each(&mut self, indexes: &[u32], refusals: &mut BTreeMap<u32, Refusal>) -> Result<(), Error> {
        for batch in indexes.chunks(BATCH) {
            let requests: Vec<Request> =
                batch.iter().map(|index| message_link::delete_link(*index)).collect();
            let answers = self.transport.change("deletion of links", requests)?;
            let refused =
                batch.iter().zip(answers).filter_map(|(index, answer)| Some((*index, answer.err()?)));
            refusals.extend(refused);
        }
        Ok(())
    }

    /// Which of these ifindexes still have a link.
    fn left(&mut self, indexes: &[u32]) -> Result<BTreeSet<u32>, Error> {
        let wanted: Vec<_> = indexes.iter().map(|index| observe::Which::Index(*index)).collect();
        let found = observe::look(self.transport, &wanted)?;
        Ok(found.into_iter().flatten().map(|link| link.index).collect())
    }

    fn verdict(
        &mut self,
        (index, name): (u32, &str),
        before: Result<Link, StepError>,
        left: &BTreeSet<u32>,
        refusals: &BTreeMap<u32, Refusal>,
    ) -> Result<(), StepError> {
        if !left.contains(&index) {
            self.links.remove(name);
            return Ok(());
        }
        before?;
        match refusals.get(&index) {
            Some(refusal) => Err(StepError::refused(name, Operation::DeleteLink, refusal)),
            None => Err(StepError::new(name, "the kernel says that it was deleted, and it is still there")),
        }
    }
}

/// The ifindexes of those that were found as they were observed.
fn present(indexes: &[u32], found: &[Result<Link, StepError>]) -> Vec<u32> {
    indexes.iter().zip(found).filter(|(_, found)| found.is_ok()).map(|(index, _)| *index).collect()
}

fn is_exactly(group: u32, members: &[u32], links: &BTreeMap<u32, Link>) -> bool {
    let inside: BTreeSet<u32> =
        links.values().filter(|link| link.group == group).map(|link| link.index).collect();
    inside == members.iter().copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::LinkKind;

    #[test]
    fn a_group_with_a_stranger_or_without_a_member_is_not_ours_to_delete() {
        let link = |index, group| {
            let kind = LinkKind::Other("dummy".into());
            let name = format!("l{index}");
            let (up, multicast, master, addrgen_none) = (true, false, None, true);
            (index, Link { index, name, kind, mtu: 1476, group, up, multicast, master, addrgen_none })
        };
        let links = BTreeMap::from([link(1, 9), link(2, 9), link(3, 0)]);
        assert!(is_exactly(9, &[2, 1], &links));
        assert!(!is_exactly(9, &[1], &links), "2 is a stranger");
        assert!(!is_exactly(9, &[1, 2, 3], &links), "3 did not join");
        assert!(!is_exactly(8, &[1, 2], &links));
    }
}
