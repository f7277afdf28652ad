//! One store for one network namespace: claims and leases of one mean nothing in another.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::Error;
use crate::store::{self, State};

/// Under which name the store keeps it.
const NAME: &str = "namespace";

/// Makes this network namespace the store's, unless it belongs to another one that is still there.
///
/// # Errors
/// When it does, or when the store cannot be used. What cannot be found out about namespaces stops nobody.
pub fn take_home(state: &mut State, directory: &Path) -> Result<(), Error> {
    let Some(here) = here() else { return Ok(()) };
    if at_home(state, directory)? {
        return Ok(());
    }
    let trouble = |source| Error::State { directory: directory.to_owned(), source: Box::new(source) };
    state.change::<_, store::Error>(|change| change.note(NAME, &here)).map_err(trouble)
}

/// Is this network namespace the store's already? Changes nothing.
///
/// # Errors
/// When it belongs to another one that is still there, or when the store cannot be read.
pub fn at_home(state: &State, directory: &Path) -> Result<bool, Error> {
    let Some(here) = here() else { return Ok(true) };
    let trouble = |source| Error::State { directory: directory.to_owned(), source: Box::new(source) };
    let there = state.note(NAME).map_err(trouble)?;
    if there.as_deref() == Some(here.as_str()) {
        return Ok(true);
    }
    match there.and_then(|there| inode_of(&there, &here)).filter(|inode| lives(*inode)) {
        Some(inode) => Err(Error::Home { directory: directory.to_owned(), inode }),
        None => Ok(false),
    }
}

/// `BOOT INODE` of this process's network namespace (namespaces(7)).
fn here() -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let inode = fs::metadata("/proc/self/ns/net").ok()?.ino();
    Some(format!("{} {inode}", boot.trim()))
}

/// The inode, when it is of the same boot as `here`.
fn inode_of(there: &str, here: &str) -> Option<u64> {
    let (boot, inode) = there.split_once(' ')?;
    let same = here.split_once(' ').is_some_and(|(now, _)| now == boot);
    inode.parse().ok().filter(|_| same)
}

/// Is a process in it, or has it a name of ip-netns(8)?
fn lives(inode: u64) -> bool {
    let entries =
        |directory: &str| fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    let of_process = |process: PathBuf| process.join("ns/net");
    let mut places = entries("/proc").map(of_process).chain(entries("/run/netns"));
    places.any(|place| fs::metadata(place).is_ok_and(|found| found.ino() == inode))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_of_another_boot_is_gone() {
        assert_eq!(inode_of("b1 4026531840", "b1 4026532000"), Some(4_026_531_840));
        assert_eq!(inode_of("b1 4026531840", "b2 4026532000"), None);
        assert_eq!(inode_of("nonsense", "b1 7"), None);
    }

    #[test]
    fn our_own_namespace_lives() {
        let here = here().unwrap();
        assert!(lives(inode_of(&here, &here).unwrap()));
        assert!(!lives(1));
    }

    #[test]
    fn a_store_stays_with_its_namespace() {
        let directory = tempfile::tempdir().unwrap();
        let mut state = State::open(directory.path()).unwrap();
        take_home(&mut state, directory.path()).unwrap();
        take_home(&mut state, directory.path()).unwrap();
        // One that is gone leaves its store to the next.
        let boot = here().unwrap().split_once(' ').unwrap().0.to_owned();
        state.change::<_, store::Error>(|change| change.note(NAME, &format!("{boot} 1"))).unwrap();
        take_home(&mut state, directory.path()).unwrap();
        assert_eq!(state.note(NAME).unwrap(), here());
    }
}
