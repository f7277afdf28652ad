//! Decide by what is there, commit, and when somebody was faster decide again.

use std::time::Duration;

use super::backend::{Backend, Committed};
use super::error::Error;
use crate::registry::form::{self, Form};
use crate::registry::transfer::{self, Document};
use crate::registry::{Decision, Kind, Refused, Registry, RowName, Snapshot, Transaction};

/// So often a change is tried. With a queue the first try succeeds; without one, each time somebody else's did.
const ATTEMPTS: u32 = 200;
/// After a conflict it waits up to this long, and up to twice as long after the next, ten times at most.
const PAUSE: Duration = Duration::from_millis(2);

/// Everything, typed; an error if its rows are for a later greyhound.
pub fn read(backend: &dyn Backend) -> Result<Registry, Error> {
    Ok(Registry::new(&checked(backend)?)?)
}

/// All rows, which this greyhound can read.
pub fn checked(backend: &dyn Backend) -> Result<Snapshot, Error> {
    let snapshot = backend.read(&Kind::ALL)?;
    form::check(&snapshot, form::STEPS)?;
    Ok(snapshot)
}

/// Decides and carries the decision out. `decide` may be asked again with what is there by then.
pub fn change<T>(
    backend: &dyn Backend,
    mut decide: impl FnMut(&Registry) -> Result<Decision<T>, Refused>,
) -> Result<T, Error> {
    attempt(backend, |snapshot| {
        let Decision { transaction, value } = decide(&Registry::new(snapshot)?)?;
        if !transaction.fits() {
            let (conditions, writes) = (transaction.conditions.len(), transaction.writes.len());
            return Err(Refused::TooLarge { conditions, writes }.into());
        }
        Ok((transaction, value))
    })
}

/// Brings a document in; how many rows were written. One that needs several transactions and is cut short is brought
/// in again: what is there already is passed over.
pub fn import(backend: &dyn Backend, document: &Document, replace: bool) -> Result<usize, Error> {
    let mut written = 0;
    loop {
        let (count, more) = attempt(backend, |snapshot| {
            let mut parts = transfer::import(snapshot, document, replace).map_err(Error::Unfit)?.into_iter();
            let first = parts.next().unwrap_or_default();
            let rows = first.writes.iter().filter(|write| write.row().kind != Kind::Fence).count();
            Ok((first, (rows, parts.next().is_some())))
        })?;
        written += count;
        if !more {
            return Ok(written);
        }
    }
}

/// Brings the rows to the newest form that this greyhound knows: older ones are kept out from then on.
pub fn migrate(backend: &dyn Backend) -> Result<(Form, Form), Error> {
    migrate_by(backend, form::STEPS)
}

/// The same, by these steps.
pub(super) fn migrate_by(backend: &dyn Backend, steps: &[form::Step]) -> Result<(Form, Form), Error> {
    let said = |backend: &dyn Backend| Ok::<_, Error>(form::check(&backend.read(&Kind::ALL)?, steps)?);
    let before = said(backend)?;
    while attempt_any(backend, |snapshot| {
        let next = form::next(snapshot, steps)?;
        let more = next.is_some();
        Ok((next.unwrap_or_default(), more))
    })? {}
    Ok((before, said(backend)?))
}

fn attempt<T>(
    backend: &dyn Backend,
    mut decide: impl FnMut(&Snapshot) -> Result<(Transaction, T), Error>,
) -> Result<T, Error> {
    attempt_any(backend, |snapshot| {
        form::check(snapshot, form::STEPS)?;
        decide(snapshot)
    })
}

/// Whatever the form of the rows.
fn attempt_any<T>(
    backend: &dyn Backend,
    mut decide: impl FnMut(&Snapshot) -> Result<(Transaction, T), Error>,
) -> Result<T, Error> {
    let _place = backend.queue()?;
    let mut last = None;
    for attempt in 0..ATTEMPTS {
        let (transaction, value) = decide(&backend.read(&Kind::ALL)?)?;
        match backend.commit(&transaction)? {
            Committed::Done(_) => return Ok(value),
            Committed::Conflict(row) => last = Some(row),
        }
        std::thread::sleep(PAUSE * rand(attempt));
    }
    let row = last.unwrap_or_else(|| RowName::new(Kind::Meta, "form"));
    Err(Error::Contended { row, attempts: ATTEMPTS })
}

/// 1 to twice the attempt's number, different for each process.
fn rand(attempt: u32) -> u32 {
    let seed = std::process::id().wrapping_mul(2_654_435_761).wrapping_add(attempt.wrapping_mul(40_503));
    1 + (seed >> 8) % (2 * attempt.clamp(1, 10))
}
