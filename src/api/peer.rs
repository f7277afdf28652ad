//! Who is at the other end of a connection, and what they may do. The kernel says who; the file's mode decides nothing.

use std::io;
use std::os::fd::AsFd;

use nix::unistd::{Group, geteuid};
use tokio::net::UnixStream;

use crate::sys;

/// What the kernel shows for a group that has no number in this user namespace: it may be anybody's.
const NO_GROUP: u32 = 65534;

/// A process as it was when it connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    pub uid: u32,
    pub pid: Option<i32>,
    /// The primary group and all others.
    pub groups: Vec<u32>,
}

/// Who may do what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Its members may change things, as root may.
    pub group: Option<u32>,
    pub readers: Readers,
}

/// Who may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readers {
    /// Those who may change things.
    Group,
    /// Everybody on this host.
    All,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    Nothing,
    Read,
    /// And read.
    Change,
}

impl Peer {
    pub(super) fn of(stream: &UnixStream) -> io::Result<Self> {
        let primary = stream.peer_cred()?;
        let mut groups = sys::peer_groups(stream.as_fd())?;
        groups.push(primary.gid());
        Ok(Self { uid: primary.uid(), pid: primary.pid(), groups })
    }
}

impl Access {
    /// Who runs as the daemon's own user can do by himself what it does.
    pub fn right(&self, peer: &Peer) -> Right {
        let own = geteuid().as_raw();
        let Self { group, readers } = *self;
        let member = |group: u32| group != NO_GROUP && peer.groups.contains(&group);
        match readers {
            _ if peer.uid == 0 || peer.uid == own || group.is_some_and(member) => Right::Change,
            Readers::All => Right::Read,
            Readers::Group => Right::Nothing,
        }
    }
}

/// The number of a group; none when this host has no such group.
pub fn group_id(name: &str) -> io::Result<Option<u32>> {
    Ok(Group::from_name(name)?.map(|group| group.gid.as_raw()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: u32 = 990;

    #[test]
    fn root_and_the_group_may_change_and_others_at_most_read() {
        let table = [
            // uid, groups, the group, reading is for: so they may
            (0, &[0][..], None, Readers::Group, Right::Change),
            (0, &[1000], Some(OURS), Readers::Group, Right::Change),
            (1000, &[OURS], Some(OURS), Readers::Group, Right::Change),
            (1000, &[7, OURS, 1000], Some(OURS), Readers::All, Right::Change),
            (1000, &[0], Some(OURS), Readers::Group, Right::Nothing),
            (1000, &[0], None, Readers::Group, Right::Nothing),
            (1000, &[7, 1000], Some(OURS), Readers::All, Right::Read),
            (1000, &[7, 1000], None, Readers::All, Right::Read),
            (1000, &[NO_GROUP], Some(NO_GROUP), Readers::Group, Right::Nothing),
        ];
        for (uid, groups, group, readers, right) in table {
            let peer = Peer { uid, pid: None, groups: groups.to_vec() };
            assert_eq!(Access { group, readers }.right(&peer), right, "{peer:?} {group:?} {readers:?}");
        }
    }

    #[test]
    fn a_group_that_is_not_there_has_no_number() {
        assert_eq!(group_id("no-such-group-here").unwrap(), None);
        assert_eq!(group_id("root").unwrap(), Some(0));
    }
}
