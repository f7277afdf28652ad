//! The declaration's file, for the verbs and the daemon alike.

use std::fs::File;
use std::io::{Read as _, Result};
use std::path::Path;

use crate::config::LARGEST_FILE;

/// More than `config` takes, so that it can say how long a file is that is too long; less than would fill the memory.
const MOST: u64 = 2 * LARGEST_FILE as u64;

/// The bytes of a declaration, for [`crate::config::parse_bytes`].
pub fn read_declaration(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MOST).read_to_end(&mut bytes)?;
    Ok(bytes)
}
