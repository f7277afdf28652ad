//! The kernel as the loop sees it: a mirror that events keep true.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, BorrowedFd};

use crate::model::{Counters, Observed, Path};
use crate::netlink::mirror::Causes;
use crate::netlink::{Error, Mirror, Netlink, Requests, StepError, Watch};
use crate::plan::PlannedStep;
use crate::reconcile::Kernel;

/// A kernel that changes as fast as it is read is looked at so often at once; the rest is for the next turn.
const LOOKS: usize = 10;

/// The kernel's side of the loop.
pub struct Mirrored {
    netlink: Netlink,
    watch: Watch,
    mirror: Mirror,
    /// Everything is to be read anew.
    doubtful: bool,
    losses: u64,
    /// What was heard up to the first change of ours.
    found: Option<Causes>,
}

impl Mirrored {
    /// Nothing is read yet. What happens from now on is heard.
    pub fn open() -> Result<Self, Error> {
        let watch = Watch::open()?;
        let mirror = Mirror::new(Observed::default(), BTreeSet::new());
        Ok(Self { netlink: Netlink::open()?, watch, mirror, doubtful: true, losses: 0, found: None })
    }

    /// Readable when the kernel has said something.
    pub fn events(&self) -> BorrowedFd<'_> {
        self.watch.as_fd()
    }

    /// Takes in what the kernel has said, and reads again what that left in doubt.
    pub fn hear(&mut self) -> Result<(), Error> {
        for _ in 0..LOOKS {
            if self.watch.drain(&mut self.mirror)?.lost {
                self.losses += 1;
                self.doubtful = true;
            }
            if !self.doubtful && !self.mirror.is_stale() {
                return Ok(());
            }
            if self.doubtful {
                self.netlink.refresh(&mut self.mirror)?;
                self.doubtful = false;
            } else {
                self.netlink.reread(&mut self.mirror)?;
            }
        }
        Ok(())
    }

    /// Everything is read anew the next time: some changes make no event.
    pub fn doubt(&mut self) {
        self.doubtful = true;
    }

    /// How often events were lost since this was asked last.
    pub fn take_losses(&mut self) -> u64 {
        std::mem::take(&mut self.losses)
    }

    /// What has happened since this was asked last: up to our first change, and from then on. Among the latter are our
    /// own changes.
    pub fn take_causes(&mut self) -> (Causes, Causes) {
        let heard = self.mirror.take_causes();
        match self.found.take() {
            Some(found) => (found, heard),
            None => (heard, Causes::default()),
        }
    }

    /// Grows with every change that greyhound looks at.
    pub fn revision(&self) -> u64 {
        self.mirror.revision()
    }

    /// What was asked of the kernel so far.
    pub fn requests(&self) -> Requests {
        self.netlink.requests()
    }

    /// The way to one address, as it is now; `None`: there is none.
    pub fn path(&mut self, to: Ipv4Addr) -> Result<Option<Path>, Error> {
        self.netlink.path(to, &self.mirror.observed().links)
    }

    /// What these links have carried, by ifindex.
    pub fn counters(&mut self, links: &BTreeSet<u32>) -> Result<BTreeMap<u32, Counters>, Error> {
        self.netlink.counters(links)
    }
}

impl Kernel for Mirrored {
    fn observe(&mut self, remotes: &BTreeSet<Ipv4Addr>) -> Result<Observed, Error> {
        self.mirror.want_paths(remotes);
        self.hear()?;
        Ok(self.mirror.observed().clone())
    }

    fn apply(
        &mut self,
        steps: &[PlannedStep],
        observed: &Observed,
        progress: &mut dyn FnMut(),
    ) -> Vec<Result<(), StepError>> {
        if self.found.is_none() {
            self.found = Some(self.mirror.take_causes());
        }
        self.netlink.apply(steps, observed, progress)
    }
}
