//! A plan carried out, batch by batch. Decides nothing; failures are data, one for each step.

use std::collections::BTreeMap;

use super::batch::{Batch, batches};
use super::error::{Error, StepError};
use super::indexes::Indexes;
use super::socket::Transport;
use crate::model::Observed;
use crate::plan::PlannedStep;

/// One result for each step of a batch, in order.
pub(super) type Results = Vec<Result<(), StepError>>;

/// One result for each step, in order.
pub(super) fn apply(
    transport: &mut Transport,
    indexes: &mut Indexes,
    steps: &[PlannedStep],
    observed: &Observed,
    progress: &mut dyn FnMut(),
) -> Results {
    let mut run = Run::new(transport, indexes, observed);
    let mut results = Vec::with_capacity(steps.len());
    let mut lost = None;
    for batch in batches(steps) {
        let objects = batch.objects(observed);
        if let Some(error) = &lost {
            results.extend(objects.iter().map(|object| Err(StepError::untried(object, error))));
            continue;
        }
        match run.batch(&batch) {
            Ok(batch) => results.extend(batch),
            Err(error) => {
                results.extend(objects.iter().map(|object| Err(StepError::unknown(object, &error))));
                lost = Some(error);
            }
        }
        progress();
    }
    results
}

/// One application of a plan. An [`Error`] from any of its functions: an answer was lost, and of
/// the batch under way nothing is known.
pub(super) struct Run<'a> {
    pub transport: &'a mut Transport,
    pub observed: &'a Observed,
    /// Ifindexes by name: of the links that were observed and not deleted since, and of those made.
    pub links: BTreeMap<String, u32>,
    pub indexes: &'a mut Indexes,
}

impl<'a> Run<'a> {
    fn new(transport: &'a mut Transport, indexes: &'a mut Indexes, observed: &'a Observed) -> Self {
        let links = observed.links.values().map(|link| (link.name.clone(), link.index)).collect();
        indexes.start_above(observed.links.keys().next_back().copied().unwrap_or(0));
        Self { transport, observed, links, indexes }
    }

    fn batch(&mut self, batch: &Batch) -> Result<Results, Error> {
        match batch {
            Batch::Small(steps) => self.small(steps),
            Batch::Create(links) => self.create(links),
            Batch::Change(links) => self.change(links),
            Batch::Delete(links) => self.delete(links),
            Batch::Recreate(links) => self.recreate(links),
        }
    }
}
