//! What can go wrong with the inventory, and what to do about it.

use std::path::PathBuf;

use thiserror::Error;

use crate::registry::form::TooNew;
use crate::registry::transfer::Unfit;
use crate::registry::{LARGEST, Refused, RowName};
use crate::sqlite;

/// Why something was not done with the inventory.
#[derive(Debug, Error)]
pub enum Error {
    /// Something is wrong with its file.
    #[error(transparent)]
    File(#[from] sqlite::Error),
    #[error(
        "{path} is on a network file system ({kind}): SQLite's write-ahead log does not work there; keep the inventory \
         on a local disk, or in etcd"
    )]
    Network { path: PathBuf, kind: &'static str },
    #[error("{path} cannot have a write-ahead log there, which an inventory needs: keep it on a local disk")]
    NoLog { path: PathBuf },
    #[error("{path} is no path of a file: name one, such as /var/lib/greyhound-inventory/inventory.db")]
    NoFile { path: PathBuf },
    /// One that is empty would say that nothing is there.
    #[error("{path} is not there, and is not made here: an empty one would say that there is no session")]
    Gone { path: PathBuf },
    /// Another error of watching.
    #[error("cannot watch {path}")]
    Watch { path: PathBuf, source: nix::Error },
    #[error(
        "a transaction has at most {LARGEST} conditions and as many writes, and not {conditions} and {writes}"
    )]
    TooLarge { conditions: usize, writes: usize },
    #[error(transparent)]
    TooNew(#[from] TooNew),
    /// Nothing was written.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// Nothing was written.
    #[error("the document was not brought in")]
    Unfit(#[source] Unfit),
    #[error("others changed {row} {attempts} times in a row while this was decided: try again")]
    Contended { row: RowName, attempts: u32 },
}
