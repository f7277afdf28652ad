//! Watches the inventory on a thread of its own, and passes on what of it concerns this host.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use thiserror::Error;

use super::inbox::{News, Outbox};
use crate::inventory::{self, Backend, Heard, Sqlite};
use crate::reconcile::part::{self, Kept, Me};
use crate::registry::{Registry, Revision, form};

/// Without news it looks whether it is still wanted.
const PATIENCE: Duration = Duration::from_secs(10);
/// Waits before an inventory that is away is tried again: from, to.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// It is not the one that was seen.
#[derive(Debug, Error)]
#[error(
    "{path} is at revision {revision}, and was at {floor}: it was replaced by an older one, or by another; nothing is \
     changed by it until greyhound reload says that it is the right one"
)]
struct WentBack {
    path: PathBuf,
    revision: Revision,
    floor: Revision,
}

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
    /// All clients are needed: this host routes to them.
    pub everybody: bool,
    /// It was seen before: one that is gone is not made anew.
    pub known: bool,
    /// An inventory that is before this revision is not the one that was seen.
    pub floor: Revision,
    /// News of another place than this is stale.
    pub number: u64,
}

impl Lookout {
    /// Starts the thread. Its news reach the loop by `outbox`, the first at once.
    pub fn start(mut place: Place, outbox: Outbox) -> std::io::Result<Self> {
        let unwanted = Arc::new(AtomicBool::new(false));
        let theirs = Arc::clone(&unwanted);
        let watch = move || {
            let mut wait = Duration::ZERO;
            while !theirs.load(Ordering::Acquire) {
                let before = place.floor;
                let Err(error) = watch(&mut place, &theirs, &outbox) else { return };
                let seen = place.floor > before;
                wait = if seen { RETRY.0 } else { (wait * 2).clamp(RETRY.0, RETRY.1) };
                let back = error.is::<WentBack>();
                outbox.tell(place.number, News::Away { why: format!("{error:#}"), back });
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
fn watch(place: &mut Place, unwanted: &AtomicBool, outbox: &Outbox) -> anyhow::Result<()> {
    let backend = if place.known { Sqlite::reopen(&place.path)? } else { Sqlite::open(&place.path)? };
    look(place, &backend, outbox)?;
    let mut ear = backend.watch(place.floor)?;
    loop {
        let heard = ear.next(PATIENCE)?;
        if unwanted.load(Ordering::Acquire) {
            return Ok(());
        }
        let concerns = match heard {
            Heard::Nothing => false,
            Heard::Changed { revision: _, rows } => rows
                .iter()
                .any(|changed| changed.revision > place.floor && part::KINDS.contains(&changed.row.kind)),
            Heard::Compacted { .. } => true,
        };
        if !backend.is_there() {
            return Err(inventory::Error::Gone { path: place.path.clone() }.into());
        }
        if concerns {
            look(place, &backend, outbox)?;
        }
    }
}

/// Reads it now, and passes on what concerns this host. From now on it was seen at this revision.
fn look(place: &mut Place, backend: &dyn Backend, outbox: &Outbox) -> anyhow::Result<()> {
    let snapshot = backend.read(&part::KINDS)?;
    form::check(&snapshot, form::STEPS)?;
    let revision = snapshot.revision;
    if revision < place.floor {
        return Err(WentBack { path: place.path.clone(), revision, floor: place.floor }.into());
    }
    let registry = Registry::new(&snapshot).context("the inventory cannot be understood")?;
    let document = part::excerpt(&snapshot, &registry, &place.me, place.everybody);
    let kept = Kept { place: place.path.clone(), revision, document };
    outbox.tell(place.number, News::Seen { registry: Box::new(registry), kept: Box::new(kept) });
    (place.known, place.floor) = (true, revision);
    Ok(())
}
