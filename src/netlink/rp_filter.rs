//! The reverse-path filter of the links that paths leave by, from `/proc`: rtnetlink's crates have no netconf.
//!
//! `/proc/sys/net` is that of the calling thread's network namespace. Where it cannot be read, nothing is strict.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::Ipv4Addr;

use crate::model::{Link, Path};

/// `net.ipv4.conf.*.rp_filter` (Documentation/networking/ip-sysctl.rst): 0 off, 1 strict, 2 loose. The larger of the
/// link's and that of `all` holds.
const STRICT: u8 = 1;

/// Sets `strict_rp` of every path. Each link is read once.
pub(super) fn mark(paths: &mut BTreeMap<Ipv4Addr, Path>, links: &BTreeMap<u32, Link>) {
    let used: BTreeSet<u32> = paths.values().map(|path| path.link).collect();
    let all = value("all");
    let is_strict = |index: &u32| {
        let own = links.get(index).map_or(0, |link| value(&link.name));
        all.max(own) == STRICT
    };
    let strict: BTreeSet<u32> = used.into_iter().filter(is_strict).collect();
    for path in paths.values_mut() {
        path.strict_rp = strict.contains(&path.link);
    }
}

fn value(link: &str) -> u8 {
    let text = fs::read_to_string(format!("/proc/sys/net/ipv4/conf/{link}/rp_filter"));
    text.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}
