//! What can go wrong with the store, and what to do about it.

use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::alloc::Refused;
use crate::model::{HolderName, TunnelName, Tuple};
use crate::sqlite;

/// Why something was not done with the store.
#[derive(Debug, Error)]
pub enum Error {
    /// Something is wrong with its file, `state.db`.
    #[error(transparent)]
    File(#[from] sqlite::Error),
    /// Something else was asked of a transaction after it had failed.
    #[error("the change of {path} failed half-way, and nothing of it was kept")]
    Spoilt { path: PathBuf },
    /// Nothing was written: the transaction can go on.
    #[error("no lease for {holder}")]
    Refused { holder: HolderName, source: Refused },
    /// Nothing was written: the transaction can go on.
    #[error("tunnel {tunnel} cannot have {tuple}: tunnel {holder} has it")]
    Clash { tunnel: TunnelName, tuple: Tuple, holder: String },
}

/// What an SQLite error means for this file.
pub(super) fn failed(path: &Path, doing: &'static str) -> impl FnOnce(rusqlite::Error) -> Error {
    let failed = sqlite::failed(path, doing);
    move |source| failed(source).into()
}
