//! Watches the inventory on a thread of its own, and passes on what of it concerns this host.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use thiserror::Error;

use super::inbox::{News, Outbox};
use crate::api::metrics::Stock;
use crate::inventory::{self, Backend, Heard, Sqlite, change};
use crate::reconcile::part::{self, Kept, Me};
use crate::reconcile::{self, view};
use crate::registry::supply::Supply;
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
    /// Somebody wants to know what is left of the pools.
    asked: Arc<AtomicBool>,
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
        let asked = Arc::new(AtomicBool::new(false));
        let (theirs, wanted) = (Arc::clone(&unwanted), Arc::clone(&asked));
        let watch = move || {
            let mut wait = Duration::ZERO;
            while !theirs.load(Ordering::Acquire) {
                let before = place.floor;
                let Err(error) = watch(&mut place, &theirs, &wanted, &outbox) else { return };
                let seen = place.floor > before;
                wait = if seen { RETRY.0 } else { (wait * 2).clamp(RETRY.0, RETRY.1) };
                let back = error.is::<WentBack>();
                outbox.tell(place.number, News::Away { why: format!("{error:#}"), back });
                thread::sleep(wait);
            }
        };
        thread::Builder::new().name("inventory".to_owned()).spawn(watch)?;
        Ok(Self { unwanted, asked })
    }

    /// Has what is left of the inventory's pools told with its next look, where it has changed.
    pub fn take_stock(&self) {
        self.asked.store(true, Ordering::Release);
    }
}

impl Drop for Lookout {
    fn drop(&mut self) {
        self.unwanted.store(true, Ordering::Release);
    }
}

/// Reads, and reads again with every change, until it is not wanted any more.
fn watch(
    place: &mut Place,
    unwanted: &AtomicBool,
    asked: &AtomicBool,
    outbox: &Outbox,
) -> anyhow::Result<()> {
    let backend = if place.known { Sqlite::reopen(&place.path)? } else { Sqlite::open(&place.path)? };
    look(place, &backend, outbox)?;
    let mut ear = backend.watch(place.floor)?;
    // The pools: when they were counted, and at which revision; the newest that was heard of.
    let (mut counted, mut newest): (Option<(Instant, Revision)>, _) = (None, place.floor);
    loop {
        let heard = ear.next(PATIENCE)?;
        if unwanted.load(Ordering::Acquire) {
            return Ok(());
        }
        let concerns = match heard {
            Heard::Nothing => false,
            Heard::Changed { revision, rows } => {
                newest = revision;
                rows.iter()
                    .any(|changed| changed.revision > place.floor && part::KINDS.contains(&changed.row.kind))
            }
            Heard::Compacted { revision } => {
                newest = revision;
                true
            }
        };
        if !backend.is_there() {
            return Err(inventory::Error::Gone { path: place.path.clone() }.into());
        }
        if concerns {
            look(place, &backend, outbox)?;
        }
        let due = counted.is_none_or(|(at, revision)| at.elapsed() >= PATIENCE && revision < newest);
        if due && asked.swap(false, Ordering::AcqRel) {
            counted = Some((Instant::now(), newest));
            outbox.tell(place.number, News::Stock(stock(&backend)));
        }
    }
}

/// What is left of all pools now. Who cannot read them says so, and goes on: no tunnel hangs on it.
fn stock(backend: &dyn Backend) -> Vec<Stock> {
    let registry = match change::read(backend) {
        Ok(registry) => registry,
        Err(error) => {
            tracing::warn!("the inventory's pools cannot be read: {error}");
            return Vec::new();
        }
    };
    let (supply, now) = (Supply::new(&registry), reconcile::now());
    let pools = registry.pools.values().map(|pool| &pool.value);
    pools.map(|pool| view::stock(&supply.explain(pool, now), pool.scope(), Some(pool.low_water))).collect()
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
