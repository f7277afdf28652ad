//! The reverse-path filter of the links that paths leave by, from `/proc`: rtnetlink's crates have no netconf.
//!
//! `/proc/sys/net` is that of the calling thread's network namespace. Where it cannot be read, nothing is strict.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::Ipv4Addr;

use crate::model::{Link, Path, sysctl};

/// Sets `strict_rp` of every path. Each link is read once.
pub(super) fn mark(paths: &mut BTreeMap<Ipv4Addr, Path>, links: &BTreeMap<u32, Link>) {
    let used: BTreeSet<u32> = paths.values().map(|path| path.link).collect();
    let name = |index: &u32| links.get(index).map_or("all", |link| link.name.as_str());
    let is_strict = |index: &u32| sysctl::is_strict(name(index), value);
    let strict: BTreeSet<u32> = used.into_iter().filter(is_strict).collect();
    for path in paths.values_mut() {
        path.strict_rp = strict.contains(&path.link);
    }
}

fn value(setting: &str) -> Option<u8> {
    fs::read_to_string(format!("/proc/sys/{setting}")).ok()?.trim().parse().ok()
}
