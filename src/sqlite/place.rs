//! On what sort of file system a file is.

use std::io;
use std::path::Path;

use nix::sys::statfs::statfs;

use super::error::{Error, file};

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

/// The network file system that this directory is on, if it is one.
pub fn network(directory: &Path) -> Result<Option<&'static str>, Error> {
    let found = statfs(directory).map_err(io::Error::from);
    let magic = found.map_err(file(directory, "look at the file system of"))?.filesystem_type().0;
    Ok(kind(magic))
}

fn kind(magic: i64) -> Option<&'static str> {
    // Some kernels' numbers are 32 bits with a sign.
    NETWORK.iter().find(|(known, _)| *known == magic & 0xffff_ffff).map(|(_, kind)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_systems_of_several_hosts_are_known() {
        assert_eq!(kind(0x6969), Some("nfs"));
        assert_eq!(kind(0xff53_4d42_u32.cast_signed().into()), Some("cifs"));
        assert_eq!(kind(0xef53), None, "ext4");
        assert_eq!(kind(0x0102_1994), None, "tmpfs");
    }
}
