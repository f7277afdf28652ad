//! The state as one file, and back.

use std::path::{Path, PathBuf};

use super::Error;
use super::open::NAME;
use super::schema::SORT;
use crate::sqlite::{copy, open};

/// Is there a state in this directory?
pub fn exists(dir: &Path) -> Result<bool, Error> {
    Ok(open::exists(&dir.join(NAME))?)
}

/// Its schema's version, once every page was looked at.
pub fn check(dir: &Path) -> Result<usize, Error> {
    let path = dir.join(NAME);
    Ok(copy::sound(&path, SORT)?.1)
}

/// Writes the state of this moment into a file, also while a daemon runs. `replace`: a file that is there goes.
pub fn backup(dir: &Path, file: &Path, replace: bool) -> Result<(), Error> {
    Ok(copy::write(&dir.join(NAME), file, SORT, replace)?)
}

/// Puts such a file in the place of the state, which nobody else may have open. Where what was there is kept now, if
/// something was; `time` is a part of its name.
pub fn restore(dir: &Path, file: &Path, time: &str) -> Result<Option<PathBuf>, Error> {
    super::open::make_directory(dir)?;
    Ok(copy::replace(&dir.join(NAME), file, SORT, &format!(".before-restore-{time}"))?)
}
