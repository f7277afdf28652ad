//! The directory and the file: who may use them, and where they may be.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use nix::sys::statfs::statfs;
use nix::unistd::{Group, chown};
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
    finish: |path| share(path, FILE),
};

/// File systems whose processes are on several hosts, which a write-ahead log's shared memory is not (linux/magic.h and
/// the kernel's file systems).
const NETWORK: [(i64, &str); 11] = [
    (0x6969, "nfs"),
    (0x517b, "smb"),
    (0xff53_4d42, "cifs"),
    (0xfe53_4d42, "smb2"),
    (0x0102_1997, "9p"),
    (0x5346_414f, "afs"),
    (0x7375_7245, "coda"),
    (0x00c3_6400, "ceph"),
    (0x0bd0_0bd0, "lustre"),
    (0x0116_1970, "gfs2"),
    (0x7461_636f, "ocfs2"),
];

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

/// A file beside it that the group shares; one that another made meanwhile is as good.
pub(super) fn shared(path: &Path) -> Result<File, sqlite::Error> {
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(file) => share(path, FILE).map(|()| file),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            File::open(path).map_err(sqlite::file(path, "open"))
        }
        Err(error) => Err(sqlite::file(path, "make")(error)),
    }
}

fn make(directory: &Path) -> Result<(), Error> {
    let made = DirBuilder::new().recursive(true).create(directory);
    made.map_err(sqlite::file(directory, "make the directory"))?;
    Ok(share(directory, DIRECTORY)?)
}

/// The umask says nothing here, and the group's bit comes after the group: changing that takes it away.
fn share(path: &Path, mode: u32) -> Result<(), sqlite::Error> {
    let trouble = || sqlite::file(path, "share");
    let group = Group::from_name(GROUP).map_err(io::Error::from).map_err(trouble())?;
    let there = std::fs::metadata(path).map_err(trouble())?.gid();
    // A sandbox may refuse the call even to who changes nothing.
    if let Some(group) = group.filter(|group| group.gid.as_raw() != there) {
        match chown(path, None, Some(group.gid)) {
            // Who is neither root nor a member shares with whom he can.
            Ok(()) | Err(nix::Error::EPERM) => {}
            Err(error) => return Err(trouble()(error.into())),
        }
    }
    std::fs::set_permissions(path, Permissions::from_mode(mode)).map_err(trouble())
}

fn refuse_network(directory: &Path) -> Result<(), Error> {
    let found = statfs(directory).map_err(io::Error::from);
    let magic = found.map_err(sqlite::file(directory, "look at the file system of"))?.filesystem_type().0;
    match network(magic) {
        Some(kind) => Err(Error::Network { path: directory.to_owned(), kind }),
        None => Ok(()),
    }
}

fn network(magic: i64) -> Option<&'static str> {
    // Some kernels' numbers are 32 bits with a sign.
    NETWORK.iter().find(|(known, _)| *known == magic & 0xffff_ffff).map(|(_, kind)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_systems_of_several_hosts_are_known() {
        assert_eq!(network(0x6969), Some("nfs"));
        assert_eq!(network(0xff53_4d42_u32.cast_signed().into()), Some("cifs"));
        assert_eq!(network(0xef53), None, "ext4");
        assert_eq!(network(0x0102_1994), None, "tmpfs");
    }
}
