//! The only room that speaks netlink: observe (dumps), watch (events), apply (batches), errors.
//!
//! | file | what is in it |
//! |---|---|
//! | [`error`] | what can go wrong, and what an errno means |
//! | `socket` | the transport: batches, dumps, deadlines, lost and interrupted answers |
//! | `answer` | answers taken apart: errors, and the kernel's own words (pure) |
//! | `observe` | dumps and lookups: what is asked of the kernel |
//! | `watch` | the kernel's events, as they come |
//! | `event` | events into the mirror, decoded as little as can be (pure) |
//! | [`mirror`] | a copy of the kernel's state that events keep true (pure) |
//! | `reread` | what is stale in the mirror, read again |
//! | `counters` | what links have carried |
//! | [`netfilter`] | nftables: has it been changed, is our table there, what was dropped |
//! | `rp_filter` | which links drop what comes in by another way than it would leave |
//! | `fold_link`, `fold` | messages into the model's types (pure) |
//! | `apply` | a plan carried out; failures are data |
//! | `batch` | a plan's steps cut into batches (pure) |
//! | `small` | addresses, routes and rules: one message each |
//! | `create`, `change`, `delete` | the three things that happen to links |
//! | `message_link`, `message` | steps into messages (pure) |
//! | `holder` | who is behind an `EEXIST` (pure) |
//! | `indexes` | which ifindex the next link gets (pure) |
//!
//! Calls block until the kernel has answered, each wait with a deadline. The kernel works inside
//! the call: whoever serves others gives the [`Netlink`] a thread of its own.

mod answer;
mod apply;
mod batch;
#[cfg(test)]
mod captured;
mod change;
mod counters;
mod create;
mod delete;
pub mod error;
mod event;
mod fold;
mod fold_link;
mod holder;
mod indexes;
mod message;
mod message_link;
pub mod mirror;
pub mod netfilter;
mod observe;
mod reread;
mod rp_filter;
mod small;
mod socket;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

pub use error::{Error, Refusal, StepError};
pub use mirror::Mirror;
pub use netfilter::Netfilter;
pub use socket::Requests;
pub use watch::{Drained, Watch};

use crate::model::{Counters, Link, Observed, Path};
use crate::plan::PlannedStep;
use indexes::Indexes;
use socket::Transport;

/// Room for the errors of a full batch many times over, and for some hundred dumped links, in bytes.
const RECEIVE_BUFFER: usize = 1 << 20;

/// The kernel of one network namespace: that of the thread which opened it, wherever it goes later.
pub struct Netlink {
    transport: Transport,
    indexes: Indexes,
}

impl Netlink {
    /// Errors when the process may not have a netlink socket.
    pub fn open() -> Result<Self, Error> {
        Self::with_receive_buffer(RECEIVE_BUFFER)
    }

    /// `bytes`: the socket's receive buffer. A smaller one loses answers sooner
    /// ([`Error::Overrun`]), a larger one holds more of the kernel's memory.
    pub fn with_receive_buffer(bytes: usize) -> Result<Self, Error> {
        Ok(Self { transport: Transport::open(bytes)?, indexes: Indexes::default() })
    }

    /// What the kernel says is, and its way to each of `remotes`. A dump that was interrupted on
    /// every try is an error, never a result.
    pub fn observe(&mut self, remotes: &BTreeSet<Ipv4Addr>) -> Result<Observed, Error> {
        observe::observe(&mut self.transport, remotes)
    }

    /// The way to one address, with the mark that outer packets carry; `None`: there is none. `links`: as they are.
    pub fn path(&mut self, to: Ipv4Addr, links: &BTreeMap<u32, Link>) -> Result<Option<Path>, Error> {
        Ok(observe::paths(&mut self.transport, &[to].into(), links)?.remove(&to))
    }

    /// A full observation into the mirror: after a loss, and now and then for what makes no event.
    pub fn refresh(&mut self, mirror: &mut Mirror) -> Result<(), Error> {
        reread::refresh(&mut self.transport, mirror)
    }

    /// Reads again what is stale in the mirror; all of it where that is cheaper. After an error
    /// what was not read is still stale.
    pub fn reread(&mut self, mirror: &mut Mirror) -> Result<(), Error> {
        reread::reread(&mut self.transport, mirror)
    }

    /// What these links have carried, by ifindex. A link that is not there is left out.
    pub fn counters(&mut self, links: &BTreeSet<u32>) -> Result<BTreeMap<u32, Counters>, Error> {
        counters::counters(&mut self.transport, links)
    }

    /// What was asked of the kernel so far.
    pub fn requests(&self) -> Requests {
        self.transport.requests
    }

    /// Does the steps in their order; one result for each. A step that fails holds up only those
    /// that need its link. When an answer is lost, what was under way is unknown, the rest is not
    /// tried, and the caller observes again.
    ///
    /// `observed`: what the steps were planned on. Links are changed and deleted only while they
    /// are what it says; addresses and routes go only to links that it names or that were made here.
    ///
    /// `progress`: called after each batch that the kernel has answered for.
    pub fn apply(
        &mut self,
        steps: &[PlannedStep],
        observed: &Observed,
        progress: &mut dyn FnMut(),
    ) -> Vec<Result<(), StepError>> {
        apply::apply(&mut self.transport, &mut self.indexes, steps, observed, progress)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_of_its_own_can_have_it() {
        fn may_move<T: Send>() {}
        may_move::<Netlink>();
    }
}
