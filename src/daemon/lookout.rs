//! Watches the inventory on a thread of its own, and passes on what of it concerns this host.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, bail};

use super::inbox::{News, Outbox};
use crate::inventory::{Backend, Error, Heard, Sqlite};
use crate::reconcile::part::{self, Kept, Me};
use crate::registry::{Registry, Revision, form};

/// Without news it looks whether it is still wanted.
const PATIENCE: Duration = Duration::from_secs(10);
/// Waits before an inventory that is away is tried again: from, to.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// The watching thread. It ends some time after this is dropped.
#[derive(Debug)]
pub struct Lookout {
    unwanted: Arc<AtomicBool>,
}

/// What it watches.
#[derive(Clone, Debug)]
pub struct Place {
    pub path: PathBuf,
    pub me: Me,
    /// It was seen before: one that is gone is not made anew.
    pub known: bool,
    /// An inventory that is before this revision is not the one that was seen.
    pub floor: Revision,
    /// News of another place than this is stale.
    pub number: u64,
}

impl Lookout {
    /// Starts the thread. Its news reach the loop by `outbox`, the first at once.
    pub fn start(place: Place, outbox: Outbox) -> std::io::Result<Self> {
        let unwanted = Arc::new(AtomicBool::new(false));
        let theirs = Arc::clone(&unwanted);
        let watch = move || {
            let mut wait = Duration::ZERO;
            loop {
                let mut seen = false;
                let Err(error) = watch(&place, &theirs, &outbox, &mut seen) else { return };
                wait = if seen { RETRY.0 } else { (wait * 2).clamp(RETRY.0, RETRY.1) };
                outbox.tell(place.number, News::Away(format!("{error:#}")));
                thread::sleep(wait);
            }
        };
        thread::Builder::new().name("inventory".to_owned()).spawn(watch)?;
        Ok(Self { unwanted })
    }
}

impl Drop for Lookout {
    fn drop(&mut self) {
        self.unwanted.store(true, Ordering::Release);
    }
}

/// Reads, and reads again with every change, until it is not wanted any more.
fn watch(place: &Place, unwanted: &AtomicBool, outbox: &Outbox, seen: &mut bool) -> anyhow::Result<()> {
    let backend = if place.known { Sqlite::reopen(&place.path)? } else { Sqlite::open(&place.path)? };
    let mut floor = place.floor;
    let mut revision = look(place, &backend, floor, outbox)?;
    *seen = true;
    let mut ear = backend.watch(revision)?;
    loop {
        let heard = ear.next(PATIENCE)?;
        if unwanted.load(Ordering::Acquire) {
            return Ok(());
        }
        let concerns = match heard {
            Heard::Nothing => false,
            Heard::Changed { revision: _, rows } => rows
                .iter()
                .any(|changed| changed.revision > revision && part::KINDS.contains(&changed.row.kind)),
            Heard::Compacted { .. } => true,
        };
        if !backend.is_there() {
            return Err(Error::Gone { path: place.path.clone() }.into());
        }
        if concerns {
            floor = floor.max(revision);
            revision = look(place, &backend, floor, outbox)?;
        }
    }
}

/// Reads it now, and passes on what concerns this host. The revision that was read.
fn look(place: &Place, backend: &dyn Backend, floor: Revision, outbox: &Outbox) -> anyhow::Result<Revision> {
    let snapshot = backend.read(&part::KINDS)?;
    form::check(&snapshot, form::STEPS)?;
    let revision = snapshot.revision;
    if revision < floor {
        bail!(
            "{} is at revision {revision}, and was at {floor}: it was replaced by an older one, or by another; nothing \
             is changed by it until greyhound reload says that it is the right one",
            place.path.display()
        );
    }
    let registry = Registry::new(&snapshot).context("the inventory cannot be understood")?;
    let document = part::excerpt(&snapshot, &registry, &place.me);
    let kept = Kept { place: place.path.clone(), revision, document };
    outbox.tell(place.number, News::Seen { registry: Box::new(registry), kept: Box::new(kept) });
    Ok(revision)
}
