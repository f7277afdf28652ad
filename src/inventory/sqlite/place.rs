//! The directory and the file: who may use them, and where they may be.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::Path;

use nix::unistd::Group;
use rusqlite::Connection;

use super::super::error::Error;
use crate::sqlite::{self, Sort, Step, open as file};

/// Who shares the file, if there is such a group.
const GROUP: &str = "greyhound";
/// The group may make files there (a log, for one), and they are the group's.
const DIRECTORY: u32 = 0o2770;
const FILE: u32 = 0o660;

/// "grhi" in ASCII.
pub(super) const SORT: Sort<'static> = Sort {
    application_id: 0x6772_6869,
    steps: &[Step { sql: include_str!("schema.sql"), since: "0.1.0" }],
    mode: FILE,
    // Its log and that one's index get the same.
    finish: |file, path| share(file, path, FILE),
};

/// Opens the file, and makes it and its directory if they are not there.
pub(super) fn open(path: &Path) -> Result<Connection, Error> {
    let no_file = || Error::NoFile { path: path.to_owned() };
    path.file_name().ok_or_else(no_file)?;
    let directory = path.parent().filter(|parent| parent.is_absolute()).ok_or_else(no_file)?;
    if !file::exists(directory)? {
        make(directory)?;
    }
    refuse_network(directory)?;
    let (conn, notice) = file::open(path, SORT)?;
    // The notice says that there is no log: who writes would lock out who reads.
    if notice.is_some() {
        return Err(Error::NoLog { path: path.to_owned() });
    }
    Ok(conn)
}

/// Opens the file to read it as it is: nothing is made, and nothing upgraded.
pub(super) fn open_as_it_is(path: &Path) -> Result<Connection, Error> {
    refuse_network(path.parent().ok_or_else(|| Error::NoFile { path: path.to_owned() })?)?;
    Ok(file::open_as_it_is(path, SORT)?)
}

/// A file beside it that the group shares; one that another made meanwhile is as good.
pub(super) fn shared(path: &Path) -> Result<File, sqlite::Error> {
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(file) => share(&file, path, FILE).map(|()| file),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            File::open(path).map_err(sqlite::file(path, "open"))
        }
        Err(error) => Err(sqlite::file(path, "make")(error)),
    }
}

fn make(directory: &Path) -> Result<(), Error> {
    let made = DirBuilder::new().recursive(true).create(directory);
    made.map_err(sqlite::file(directory, "make the directory"))?;
    let made = File::open(directory).map_err(sqlite::file(directory, "open the directory"))?;
    Ok(share(&made, directory, DIRECTORY)?)
}

/// The umask says nothing here, and the group's bit comes after the group: changing that takes it away. By what is open:
/// the group may put a link in its place.
fn share(made: &File, path: &Path, mode: u32) -> Result<(), sqlite::Error> {
    let trouble = || sqlite::file(path, "share");
    let group = Group::from_name(GROUP).map_err(io::Error::from).map_err(trouble())?;
    let there = made.metadata().map_err(trouble())?.gid();
    // A sandbox may refuse the call even to who changes nothing.
    if let Some(group) = group.filter(|group| group.gid.as_raw() != there) {
        match fchown(made, None, Some(group.gid.as_raw())) {
            // Who is neither root nor a member shares with whom he can.
            Err(error) if error.kind() != io::ErrorKind::PermissionDenied => return Err(trouble()(error)),
            _ => {}
        }
    }
    made.set_permissions(Permissions::from_mode(mode)).map_err(trouble())
}

fn refuse_network(directory: &Path) -> Result<(), Error> {
    match sqlite::network(directory)? {
        Some(kind) => Err(Error::Network { path: directory.to_owned(), kind }),
        None => Ok(()),
    }
}
