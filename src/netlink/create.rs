//! Links made: down, made quiet for IPv6, up.
//!
//! The order is for speed. IPv6 on a tunnel that carries IPv4 is most of what its creation costs:
//! 2,000 links that came up at once took two to three times as long. The address mode that keeps
//! IPv6 quiet can only be set on a link that exists, and only counts before it comes up.

use nix::errno::Errno;

use super::apply::{Results, Run};
use super::error::{Error, Operation, Refusal, StepError};
use super::observe::Which;
use super::{holder, message_link, observe};
use crate::model::{DesiredLink, LinkKind};

/// How often other ifindexes are chosen for links whose chosen one was taken meanwhile.
const INDEX_TRIES: usize = 4;

/// One link on its way.
struct Creation<'a> {
    link: &'a DesiredLink,
    /// The VRF's ifindex.
    vrf: Option<u32>,
    /// The ifindex chosen last.
    index: u32,
    state: State,
}

enum State {
    Waiting,
    Made,
    Failed(StepError),
}

impl Run<'_> {
    /// Makes the links. `EEXIST` says neither what is held nor by whom: that is looked up, and
    /// only when it was the ifindex is another one tried.
    pub fn create(&mut self, links: &[&DesiredLink]) -> Result<Results, Error> {
        let mut creations: Vec<_> = links.iter().map(|link| self.creation(link)).collect();
        for _ in 0..INDEX_TRIES {
            self.create_waiting(&mut creations)?;
        }
        self.bring_up(&mut creations)?;
        Ok(creations.into_iter().map(Creation::result).collect())
    }

    /// The ifindex of the VRF that the link is to be in. Errors when there is no such VRF.
    pub fn vrf_index(&self, link: &DesiredLink) -> Result<Option<u32>, StepError> {
        let Some(vrf) = &link.vrf else { return Ok(None) };
        let found = self.observed.links.values().find(|found| found.name == vrf.as_str());
        match found.map(|found| &found.kind) {
            Some(LinkKind::Vrf { .. }) => Ok(found.map(|found| found.index)),
            Some(_) => Err(StepError::new(link.name.as_str(), format!("{vrf} is not a VRF"))),
            None => Err(StepError::new(link.name.as_str(), format!("there is no VRF {vrf}"))),
        }
    }

    fn creation<'a>(&mut self, link: &'a DesiredLink) -> Creation<'a> {
        // A link of this name that was observed is not the one that addresses and routes are for.
        self.links.remove(link.name.as_str());
        match self.vrf_index(link) {
            Ok(vrf) => Creation { link, vrf, index: 0, state: State::Waiting },
            Err(error) => Creation { link, vrf: None, index: 0, state: State::Failed(error) },
        }
    }

    /// One try for all that wait. Those whose ifindex was taken wait on.
    fn create_waiting(&mut self, creations: &mut [Creation]) -> Result<(), Error> {
        let mut waiting: Vec<_> =
            creations.iter_mut().filter(|creation| matches!(creation.state, State::Waiting)).collect();
        for creation in &mut waiting {
            creation.index = self.indexes.choose(|index| self.observed.links.contains_key(&index));
        }
        let requests = waiting
            .iter()
            .map(|creation| message_link::create_link(creation.link, creation.index, creation.vrf))
            .collect();
        let answers = self.transport.change("creation of links", requests)?;
        let mut clashes = Vec::new();
        for (creation, answer) in waiting.into_iter().zip(answers) {
            let name = creation.link.name.as_str();
            match answer {
                Ok(()) => {
                    creation.state = State::Made;
                    self.links.insert(name.to_owned(), creation.index);
                }
                Err(refusal) if is_clash(&refusal) => clashes.push(creation),
                Err(refusal) => {
                    let error = StepError::refused(name, Operation::CreateLink, &refusal);
                    creation.state = State::Failed(error);
                }
            }
        }
        self.look_into(clashes);
        Ok(())
    }

    /// Looks who is in the way of each. A look that fails is said, and fails nothing else.
    fn look_into(&mut self, clashes: Vec<&mut Creation>) {
        if clashes.is_empty() {
            return;
        }
        let now = observe::links(self.transport);
        if let Ok(now) = &now {
            self.indexes.start_above(now.keys().next_back().copied().unwrap_or(0));
        }
        for creation in clashes {
            let link = creation.link;
            let holder = match &now {
                Ok(now) => match holder::of_link(link, None, now) {
                    None if now.contains_key(&creation.index) => continue,
                    None => self.hidden_holder(link),
                    some => some,
                },
                Err(error) => Some(holder::unseen(error)),
            };
            let sentence = holder.unwrap_or_else(|| holder::elsewhere(link));
            creation.state = State::Failed(exists(link, sentence));
        }
    }

    /// The kernel finds a link by its alternative names, too, and a dump is not read for them.
    fn hidden_holder(&mut self, link: &DesiredLink) -> Option<String> {
        match observe::look(self.transport, &[Which::Name(link.name.to_string())]) {
            Ok(named) => named.into_iter().flatten().next().map(|held| holder::name_held_by(&held)),
            Err(error) => Some(holder::unseen(&error)),
        }
    }

    /// Only links that were made here a moment ago are spoken to.
    fn bring_up(&mut self, creations: &mut [Creation]) -> Result<(), Error> {
        let mut made: Vec<_> =
            creations.iter_mut().filter(|creation| matches!(creation.state, State::Made)).collect();
        let each = |creation: &&mut Creation| {
            [message_link::no_ipv6_addresses(creation.index), message_link::up(creation.index)]
        };
        let requests: Vec<_> = made.iter().flat_map(each).collect();
        let answers = self.transport.change("bringing up of links", requests)?;
        for (creation, answers) in made.iter_mut().zip(answers.chunks(2)) {
            if let Some(refusal) = first_refusal(answers) {
                let name = creation.link.name.as_str();
                creation.state = State::Failed(StepError::refused(name, Operation::CreateLink, refusal));
            }
        }
        Ok(())
    }
}

impl Creation<'_> {
    fn result(self) -> Result<(), StepError> {
        match self.state {
            State::Made => Ok(()),
            State::Failed(error) => Err(error),
            State::Waiting => {
                let sentence = format!("no free ifindex in {INDEX_TRIES} tries");
                Err(StepError::new(self.link.name.as_str(), sentence))
            }
        }
    }
}

/// The first refusal that matters. `EAFNOSUPPORT` is the answer to
/// [`message_link::no_ipv6_addresses`] where the kernel or the link has no IPv6: it is not in the
/// kernel, it is switched off, or the MTU is below 1280.
pub(super) fn first_refusal(answers: &[Result<(), Refusal>]) -> Option<&Refusal> {
    answers.iter().filter_map(|answer| answer.as_ref().err()).find(|refusal| !refusal.is(Errno::EAFNOSUPPORT))
}

pub(super) fn exists(link: &DesiredLink, sentence: String) -> StepError {
    StepError { object: link.name.to_string(), errno: Some(Errno::EEXIST as i32), sentence }
}

/// `EBUSY`: the ifindex was taken between the kernel's two looks at it (`register_netdevice`, net/core/dev.c).
fn is_clash(refusal: &Refusal) -> bool {
    refusal.is(Errno::EEXIST) || refusal.is(Errno::EBUSY)
}
