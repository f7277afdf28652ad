//! What can go wrong with a file, and what to do about it.

use std::error::Error as StdError;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;
use rusqlite::types::Type;
use thiserror::Error;

/// Why something was not done with a file. Each says what was being done, to which file, and what helps; the paths are
/// those of the file and of what is beside it.
#[derive(Debug, Error)]
pub enum Error {
    /// Another error of the file system.
    #[error("cannot {doing} {path}")]
    File { doing: &'static str, path: PathBuf, source: io::Error },
    #[error("cannot {doing} {path}: permission denied; run as root, or declare another place for it")]
    Denied { doing: &'static str, path: PathBuf },
    #[error(
        "{path} is not greyhound's, or its header is destroyed: nothing was changed. \
         Move it away, restore it from a copy, or declare another place for it"
    )]
    Foreign { path: PathBuf },
    #[error(
        "{path} is damaged ({what}): nothing was changed. Restore it from a copy; or move it, its -wal and \
         its -shm away, and it starts anew, with nothing in it"
    )]
    Damaged { path: PathBuf, what: String },
    #[error(
        "{path} has schema {found}, and this greyhound knows up to {known}: use greyhound {needs} or later"
    )]
    Newer { path: PathBuf, found: usize, known: usize, needs: String },
    #[error(
        "cannot {doing}: other processes have kept {path} locked for {seconds} s; find them with fuser {path}"
    )]
    Busy { doing: &'static str, path: PathBuf, seconds: u64 },
    #[error("cannot {doing}: no space is left for {path}; nothing was changed")]
    Full { doing: &'static str, path: PathBuf },
    #[error("cannot {doing}: {path} is read-only, by its mode or its file system; nothing was changed")]
    ReadOnly { doing: &'static str, path: PathBuf },
    #[error("{path} is there already: take another name, or --force to replace it")]
    Taken { path: PathBuf },
    #[error("{path} is a data base in use, or one that nobody closed: its -wal is there; take another name")]
    Used { path: PathBuf },
    /// Another error of SQLite.
    #[error("cannot {doing} in {path}")]
    Query { doing: &'static str, path: PathBuf, source: rusqlite::Error },
}

/// How long a process waits for the others, in seconds. A transaction takes milliseconds, but the waiting is not
/// fair: one of many can be passed by for long on a slow machine.
pub const PATIENCE: u64 = 30;

/// What an SQLite error means for this file.
pub fn failed(path: &Path, doing: &'static str) -> impl FnOnce(rusqlite::Error) -> Error {
    let path = path.to_owned();
    move |source| match (source.sqlite_error_code(), &source) {
        (Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked), _) => {
            Error::Busy { doing, path, seconds: PATIENCE }
        }
        (Some(ErrorCode::DiskFull), _) => Error::Full { doing, path },
        (Some(ErrorCode::ReadOnly), _) => Error::ReadOnly { doing, path },
        (Some(ErrorCode::NotADatabase), _) => Error::Foreign { path },
        (Some(ErrorCode::DatabaseCorrupt), _) | (_, rusqlite::Error::FromSqlConversionFailure(..)) => {
            Error::Damaged { path, what: source.to_string() }
        }
        _ => Error::Query { doing, path, source },
    }
}

/// What an error of the file system means for this file.
pub fn file(path: &Path, doing: &'static str) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| match source.kind() {
        io::ErrorKind::StorageFull => Error::Full { doing, path },
        io::ErrorKind::PermissionDenied => Error::Denied { doing, path },
        io::ErrorKind::ReadOnlyFilesystem => Error::ReadOnly { doing, path },
        _ => Error::File { doing, path, source },
    }
}

/// A value that greyhound would never have written.
pub fn invalid<E: Into<Box<dyn StdError + Send + Sync>>>(column: usize) -> impl FnOnce(E) -> rusqlite::Error {
    move |source| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, source.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_not_is_told_what_to_do() {
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        let error = file(Path::new("/var/lib/greyhound"), "make the directory")(denied);
        let says = "cannot make the directory /var/lib/greyhound: permission denied; \
                    run as root, or declare another place for it";
        assert_eq!(error.to_string(), says);
    }
}
