//! `Witness`: asked at any moment whether the invariants hold.

use super::stream::Stream;
use super::verdict::Verdict;
use super::view::View;
use super::watch::{self, Watch};
use super::{Snapshot, damped, kept, once, orphans, unchanged};
use crate::support::daemon::Signs;
use crate::support::{Daemon, Greyhound, Receiver, Result, Sender};
use std::collections::BTreeSet;

pub struct Witness {
    greyhound: Greyhound,
    excused: BTreeSet<String>,
    streams: Vec<Stream>,
    /// Watched since the mark; the last one runs.
    daemons: Vec<Signs>,
    mark: Option<Mark>,
}

/// What was at a moment.
struct Mark {
    foreign: Snapshot,
    /// On our own links.
    strangers: BTreeSet<String>,
    watch: Option<Watch>,
}

impl Witness {
    pub fn new(greyhound: &Greyhound) -> Self {
        let greyhound = greyhound.clone();
        Self { greyhound, excused: BTreeSet::new(), streams: Vec::new(), daemons: Vec::new(), mark: None }
    }

    /// Asks nothing of these tunnels: they are known to be held or refused.
    pub fn excuse(mut self, tunnels: &[&str]) -> Self {
        self.excused = tunnels.iter().map(|name| (*name).to_owned()).collect();
        self
    }

    /// This daemon runs from now on, in the place of the one before it.
    pub fn watch(&mut self, daemon: &Daemon) {
        self.daemons.push(daemon.signs());
    }

    /// This stream concerns no fault: it is to lose none until `holds` ends it.
    pub fn carry(&mut self, name: &str, sender: Sender, receiver: Receiver) {
        self.streams.push(Stream::new(name, sender, receiver));
    }

    /// What is compared with an earlier moment is compared with this one from now on.
    pub fn mark(&mut self) -> Result<()> {
        let view = self.view()?;
        self.daemons.drain(..self.daemons.len().saturating_sub(1));
        let watch =
            self.daemons.last().map(|signs| Watch::start(&self.greyhound, &view, signs)).transpose()?;
        let (foreign, strangers) = (unchanged::foreign(&view.kernel, &view.devices), kept::strangers(&view));
        self.mark = Some(Mark { foreign, strangers, watch });
        self.streams.clear();
        Ok(())
    }

    /// An error with a line for each violation: of I1, I3 and I4 as it is now, of I8 in all events; of I2, I5, I6 and
    /// I7 since the mark, where there is one, a stream or a daemon. It ends the streams. It may be asked again.
    pub fn holds(&mut self) -> Result<()> {
        let view = self.view()?;
        let mut verdict = Verdict::default();
        kept::check(&view, &mut verdict);
        if let Some(Mark { foreign, strangers, .. }) = &self.mark {
            unchanged::check(&view, foreign, strangers, &mut verdict);
        }
        once::check(&view, &mut verdict);
        orphans::check(&view, &mut verdict);
        self.streams.iter_mut().try_for_each(|stream| stream.check(&mut verdict))?;
        let since = self.mark.as_ref().and_then(|mark| mark.watch.as_ref());
        watch::check(&self.greyhound, &view, &self.daemons, since, &mut verdict)?;
        damped::beyond(&view.store.events).iter().for_each(|line| verdict.violated("I8", line));
        verdict.result()
    }

    fn view(&self) -> Result<View> {
        let mut view = View::take(&self.greyhound.host, self.greyhound.file())?;
        view.excused.clone_from(&self.excused);
        if let Some(mark) = &self.mark {
            view.strangers.clone_from(&mark.strangers);
        }
        Ok(view)
    }
}
