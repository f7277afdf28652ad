//! The store and the inventory, looked at as they are. Shell.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::super::facts::{Inventory, Newest, Seen, Stock, Store};
use super::sentence;
use crate::inventory::{self, Sqlite, change};
use crate::registry::{Registry, pools};
use crate::sqlite::{self, Error as File};
use crate::store::{self, State};
use crate::{model, reconcile};

/// A copy in memory is looked at: the file stays as it is.
pub fn store(directory: &Path) -> Seen<Store> {
    let directory = directory.to_owned();
    let state = match State::open_copy(&directory) {
        Ok(_) if !directory.join(store::FILE).exists() => return Ok(Store::Absent { directory }),
        Ok(state) => state,
        // Who may not read all of it, or not take part in its locking, knows nothing of it.
        Err(error) if denied(&error) => return Err(sentence(error)),
        Err(error) => {
            let mend = mend(&error);
            return Ok(Store::Broken { directory, error: sentence(error), mend });
        }
    };
    if let Err(error) = reconcile::at_home(&state, &directory) {
        let mend = "in [daemon] of the declaration: another state_dir for this network namespace".to_owned();
        return Ok(Store::Broken { directory, error: sentence(error), mend });
    }
    let newest = newest(&state).map_err(sentence)?;
    Ok(Store::Fine { network: sqlite::network(&directory).map_err(sentence)?, directory, newest })
}

fn denied(error: &store::Error) -> bool {
    let certain =
        |file: &File| matches!(file, File::Damaged { .. } | File::Foreign { .. } | File::Newer { .. });
    let root = nix::unistd::geteuid().is_root();
    match error {
        store::Error::File(File::Denied { .. }) => true,
        store::Error::File(file) => !root && !certain(file),
        _ => false,
    }
}

fn mend(error: &store::Error) -> String {
    match error {
        store::Error::File(File::Newer { needs, .. }) => format!("install greyhound {needs} or later"),
        store::Error::File(File::Full { path, .. }) => format!("df {}", path.display()),
        store::Error::File(File::Busy { path, .. }) => format!("fuser -v {}", path.display()),
        store::Error::File(File::Damaged { path, .. } | File::Foreign { path }) => {
            let path = path.display();
            format!("restore {path} from a copy; or mkdir {path}.old && mv {path}* {path}.old")
        }
        _ => "greyhound status".to_owned(),
    }
}

fn newest(state: &State) -> Result<Option<Newest>, store::Error> {
    let last = state.last_event()?;
    let events = state.events(last.saturating_sub(1), 1)?.into_iter();
    let event = events.map(|(seq, event)| Newest { what: format!("event {seq}"), at_ms: event.at_ms });
    let lease = |lease: model::Lease| Newest {
        what: format!("the lease of {}", lease.prefix),
        at_ms: lease.since.saturating_mul(1000),
    };
    let leases = state.leases()?.into_iter().map(lease);
    Ok(event.chain(leases).max_by_key(|newest| newest.at_ms))
}

/// One that is not there is not made.
pub fn inventory(path: Option<PathBuf>) -> Seen<Inventory> {
    let Some(path) = path else { return Ok(Inventory::Undeclared) };
    match path.try_exists() {
        Ok(true) => {}
        Ok(false) => return Ok(Inventory::Absent { path }),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            return Err(format!("{}: {error}", path.display()));
        }
        Err(error) => return Ok(Inventory::Broken { path, error: sentence(error) }),
    }
    let read = Sqlite::open_as_it_is(&path).and_then(|inventory| change::read(&inventory));
    match read {
        Ok(registry) => {
            Ok(Inventory::Read { path, problems: pools::problems(&registry), stock: stock(&registry) })
        }
        Err(inventory::Error::File(error @ File::Denied { .. })) => Err(sentence(error)),
        Err(error) => Ok(Inventory::Broken { path, error: sentence(error) }),
    }
}

fn stock(registry: &Registry) -> Stock {
    let pools = registry.pools.values().map(|pool| &pool.value);
    let leased =
        |pool: &&model::SharedPool| pool.pool.purpose == model::Purpose::Termination && pool.carve.is_none();
    Stock {
        pools: pools.filter(leased).cloned().collect(),
        offered: registry.terminations.values().map(|offered| offered.value.clone()).collect(),
        used: registry.used.values().map(|used| used.value.prefix).collect(),
    }
}
