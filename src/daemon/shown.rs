//! What the loop knows, gathered to be shown.

use std::collections::BTreeSet;
use std::time::Duration;

use super::keeper::Keeper;
use super::measured::probes;
use super::part::Part;
use super::publisher::{Shown, links, sentence};

/// Counters are read again when they are older than this.
const FRESH: Duration = Duration::from_millis(200);

impl Keeper {
    /// Reads the counters, and shows them: true, unless they are fresh. Nobody else does: a turn costs no dump for what
    /// nobody asks.
    pub fn count(&mut self) -> bool {
        let now = self.clock.up();
        let fresh = self.counted_at.is_some_and(|at| now.saturating_sub(at) < FRESH);
        let Some(look) = self.last.as_ref().filter(|_| !fresh) else { return false };
        self.counted_at = Some(now);
        let dropped = look.filter.wanted.is_some().then(|| self.filter.dropped());
        match self.kernel.counters(&links(look)) {
            Ok(counters) => self.counters = counters,
            Err(error) => {
                tracing::warn!("counters cannot be read: {error}");
                self.publisher.tally.failed("counters", error.word());
            }
        }
        if let (Some(look), Some(dropped)) = (&mut self.last, dropped) {
            look.filter.dropped = dropped;
        }
        self.show();
        true
    }

    /// Shows what is known.
    pub fn show(&mut self) {
        let summary = self.summary();
        self.notify.status(&summary);
        let mut notes: Vec<String> = self.trouble.iter().cloned().collect();
        let Some(look) = &self.last else {
            return self.publisher.show_trouble(notes, &self.gauges);
        };
        if self.flushed {
            notes.push("flushed: nothing is kept until apply, reload or a restart".to_owned());
        }
        notes.extend(self.prober.notes());
        notes.extend(self.part.iter().flat_map(Part::notes));
        notes.extend(self.publisher.listener.trouble());
        let probes = probes(&self.prober.survey, self.clock.up());
        let counters = &self.counters;
        let measured = self.prober.survey.measured(self.clock.up());
        let part = self.part.as_ref().map(|part| (part, &measured));
        let (gauges, notes) = (&self.gauges, &notes[..]);
        let shown = Shown { config: &self.config, look, counters, probes, notes, part, gauges };
        if let Err(error) = self.publisher.show(shown, &self.state) {
            tracing::error!("the state cannot be read: {}", sentence(error));
        }
    }

    /// For the service manager.
    pub fn summary(&self) -> String {
        let tunnels = self.config.tunnels.len();
        let waiting = self.last.as_ref().map_or(0, |look| {
            let waiting: BTreeSet<_> = look.plan.held.keys().chain(look.plan.refused.keys()).collect();
            waiting.len()
        });
        match (&self.trouble, waiting) {
            (Some(trouble), _) => format!("nothing can be kept now: {trouble}"),
            (None, _) if self.flushed => "flushed: nothing is kept".to_owned(),
            (None, 0) => format!("{tunnels} tunnel(s) kept"),
            (None, waiting) => format!("{tunnels} tunnel(s) kept, {waiting} of them cannot be as declared"),
        }
    }
}
