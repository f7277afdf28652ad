//! What metrics are made of: counted where it happens, gathered when somebody asks.

use std::sync::Arc;
use std::time::Duration;

use super::keeper::Keeper;
use super::measured;
use super::part::Part;
use super::publisher::sentence;
use crate::api::metrics::{Asked, Gauges, Stock};
use crate::model::{Observed, Tally};
use crate::netlink::Requests;
use crate::plan::{PlannedStep, render};
use crate::reconcile::{self, Done, Error, Outcome, locals, view};
use crate::store;

/// It is gathered again when it is older than this.
const FRESH: Duration = Duration::from_secs(1);

impl Keeper {
    /// Reads the counters, gathers what else metrics are made of, and shows all of it.
    pub fn gauge(&mut self) {
        let now = self.clock.up();
        let fresh = self.gauged_at.is_some_and(|at| now.saturating_sub(at) < FRESH);
        if !fresh {
            self.gauged_at = Some(now);
            self.gauges = Arc::new(self.gather());
        }
        if !self.count() && !fresh {
            self.show();
        }
    }

    fn gather(&mut self) -> Gauges {
        let (census, reflected) = (self.prober.census(), self.prober.reflected());
        let at = self.clock.moment();
        let measured = measured::latency(&self.prober.survey, &census, reflected, (at.up, at.wall_ms), 0);
        let mut pools = self.own_pools().unwrap_or_else(|error| {
            tracing::error!("the state cannot be read: {}", sentence(error));
            Vec::new()
        });
        pools.extend(self.part.iter().flat_map(Part::stock).cloned());
        let Requests { dumps, reads, changes } = self.kernel.requests();
        // Once: by a clock that is set it would seem to begin again and again.
        let began_ms = match self.gauges.began_ms {
            0 => u64::try_from(at.began_ms()).unwrap_or(0),
            known => known,
        };
        Gauges {
            began_ms,
            keeping: self.last.is_some() && self.trouble.is_none() && !self.flushed,
            asked: Asked { dumps, reads, changes },
            measured: Some(measured),
            pools,
            shared: self.part.as_ref().map(Part::shared),
        }
    }

    fn own_pools(&self) -> Result<Vec<Stock>, store::Error> {
        let Some(look) = &self.last else { return Ok(Vec::new()) };
        let foreign = locals::foreign(&look.observed, &self.config.tunnels, &look.owned);
        Ok(view::stocks(&self.config, &self.state.book()?, &foreign, reconcile::now()))
    }
}

/// A turn was carried through.
pub fn count_turn(tally: &mut Tally, outcome: &Outcome) {
    let Outcome { done, adopted: _, failed, filtered, elapsed, last: _ } = outcome;
    tally.turns.add(*elapsed);
    count_done(tally, done);
    (0..*filtered).for_each(|_| tally.stepped("change", "filter"));
    for (planned, error) in failed {
        tally.failed(words(planned).1, error.word());
    }
}

/// A turn ended before its time, or could not begin.
pub fn count_trouble(tally: &mut Tally, done: &[Done], error: &Error) {
    tally.halted += 1;
    count_done(tally, done);
    if let Error::Netlink(error) = error {
        tally.failed("look", error.word());
    }
}

fn count_done(tally: &mut Tally, done: &[Done]) {
    for Done { planned, text: _ } in done {
        let (action, object) = words(planned);
        tally.stepped(action, object);
    }
}

/// Action and object of a step, as plans have them.
fn words(planned: &PlannedStep) -> (&'static str, &'static str) {
    // The third is the step as text, for which the links' names are wanted.
    let (action, object, _) = render::describe(&planned.step, &Observed::default());
    (action.name(), object)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink;
    use crate::plan::Step;

    #[test]
    fn a_turn_that_ends_before_its_time_counts_what_it_did_and_why_it_ended() {
        let step = Step::DeleteLink { index: 7, name: "gh-ams".to_owned() };
        let done = Done { planned: PlannedStep { tunnel: None, step }, text: String::new() };
        let error = netlink::Error::Interrupted { request: "dump of the links", tries: 3 };
        let mut tally = Tally::default();
        count_trouble(&mut tally, &[done], &Error::Netlink(error));
        count_trouble(&mut tally, &[], &Error::Capability);
        assert_eq!((tally.halted, tally.turns.count()), (2, 0));
        assert_eq!(tally.steps, [(("delete", "link"), 1)].into());
        assert_eq!(tally.errors, [(("look", "interrupted".to_owned()), 1)].into());
    }
}
