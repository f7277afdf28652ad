//! The program `nft`: it changes nftables in one transaction, and lists our table.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::{Error, TABLE, listed, ruleset::Table};
use crate::command::{self, Bounds};

/// Where distributions have it. PATH is searched after these: they cannot be changed by who sets it.
const PLACES: [&str; 3] = ["/usr/sbin/nft", "/sbin/nft", "/usr/local/sbin/nft"];
/// How long it may take, and how much longer for each pair: 10,000 of them took it 0.4 s to take in and 0.5 s to list.
const PATIENCE: Duration = Duration::from_secs(5);
const EACH: Duration = Duration::from_millis(1);
/// The most that is read of a listing, in bytes: a pair is listed in fewer than 64.
const LARGEST: u64 = 64 << 20;

/// Where it is; `None`: it is not installed.
pub fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH");
    let searched = path.iter().flat_map(std::env::split_paths).map(|directory| directory.join("nft"));
    PLACES.into_iter().map(PathBuf::from).chain(searched).find(|place| place.is_file())
}

/// Does all that the script says, or nothing. `pairs`: so many are in the table.
pub fn change(script: &str, pairs: usize) -> Result<(), Error> {
    run(&["-f", "-"], script, pairs).map(drop)
}

/// Our table as it is listed. `pairs`: so many should be in it.
pub fn list(pairs: usize) -> Result<Table, Error> {
    let text = run(&["-j", "list", "table", "ip", TABLE], "", pairs)?;
    listed::read(&text).map_err(Error::Listing)
}

fn run(words: &[&str], input: &str, pairs: usize) -> Result<String, Error> {
    let program = find().ok_or(Error::Absent)?;
    let patience = PATIENCE + EACH * u32::try_from(pairs).unwrap_or(u32::MAX);
    let bounds = Bounds { patience, largest: LARGEST };
    let ended = command::run(Command::new(program).args(words).env_clear(), input, bounds)?;
    match ended.status.success() {
        true => Ok(String::from_utf8_lossy(&ended.stdout).into_owned()),
        false => Err(Error::Refused(command::complaint(&ended.stderr).to_owned())),
    }
}
