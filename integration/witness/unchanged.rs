//! I2: everything that is not ours is exactly as it was.

use super::verdict::Verdict;
use super::view::{self, View};
use super::{Kind, Object, Snapshot};
use std::collections::BTreeSet;

/// `strangers` are addresses that somebody else put on links of ours; they go only with their link.
pub fn check(view: &View, foreign: &Snapshot, strangers: &BTreeSet<String>, verdict: &mut Verdict) {
    let now = self::foreign(&view.kernel, &view.devices);
    foreign.difference(&now).iter().for_each(|line| verdict.violated("I2", line));
    let link_stays = |name: &str| name.rsplit(' ').next().is_some_and(|device| view.devices.contains(device));
    for name in strangers.iter().filter(|name| link_stays(name) && view.kernel.get(name).is_none()) {
        verdict.violated("I2", format!("gone: {name}"));
    }
}

/// What is not ours: neither our links and what is on or leads to them, nor labelled addresses, nor our protocol.
pub fn foreign(all: &Snapshot, devices: &BTreeSet<String>) -> Snapshot {
    let labelled = all.of(Kind::Address).filter(|address| view::is_labelled(address));
    let leased: BTreeSet<String> = labelled.map(|address| address.field("local")).collect();
    // The kernel makes a local route of each address.
    let of_lease = |object: &Object| object.field("type") == "local" && leased.contains(&object.field("dst"));
    let ours = |object: &Object| {
        devices.contains(&object.device)
            || object.field("protocol") == view::PROTOCOL
            || object.kind == Kind::Address && view::is_labelled(object)
            || object.kind == Kind::Route && of_lease(object)
    };
    all.clone().keep(|object| !ours(object))
}
