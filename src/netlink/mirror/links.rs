//! Links that come, change and go.

use super::{Mirror, Place};
use crate::model::marks::{LINK_GROUP, LINK_PREFIX};
use crate::model::{Address, Gre, Link, LinkKind, Observed};

/// A layer-3 GRE link with a mark of ours.
pub(super) fn is_ours(link: &Link) -> bool {
    link.gre().is_some() && (link.group == LINK_GROUP || link.name.starts_with(LINK_PREFIX))
}

impl Mirror {
    /// A link as it is now.
    pub fn link(&mut self, link: Link) {
        let index = link.index;
        let before = self.observed.links.get(&index).cloned();
        self.doubt_link(before.as_ref(), &link);
        if before.as_ref() == Some(&link) {
            return;
        }
        match &before {
            Some(before) => self.changed_link(before, &link),
            None => {
                self.revision += 1;
                self.causes.add(
                    Place::Link(link.name.clone()),
                    is_ours(&link),
                    format!("link {} created", link.name),
                );
            }
        }
        self.observed.links.insert(index, link);
    }

    /// The link is no longer in this namespace; the kernel announces neither all its addresses nor
    /// all its routes.
    pub fn link_gone(&mut self, index: u32) {
        self.stale.links.remove(&index);
        self.stale.closures.remove(&index);
        let Some(link) = self.observed.links.get(&index) else { return };
        let ours = is_ours(link);
        self.causes.link_gone(&link.name, ours);
        self.revision += 1;
        self.doubt_unlinked();
        // Also where no path leaves by it: with one nexthop less, others are chosen.
        if !ours || self.underlay.links.contains(&index) {
            self.doubt_paths();
        }
        let addresses: Vec<Address> = self.on_link(index).cloned().collect();
        for address in addresses {
            self.observed.addresses.remove(&address);
        }
        for route in self.routes_of(index) {
            self.remove_route(&route);
        }
        self.observed.links.remove(&index);
    }

    pub(super) fn replace_links(&mut self, observed: &Observed) {
        let gone: Vec<u32> =
            self.observed.links.keys().filter(|index| !observed.links.contains_key(index)).copied().collect();
        gone.into_iter().for_each(|index| self.link_gone(index));
        for link in observed.links.values() {
            if self.observed.links.get(&link.index) != Some(link) {
                self.link(link.clone());
            }
        }
    }

    /// What the kernel may have done without a word.
    fn doubt_link(&mut self, before: Option<&Link>, link: &Link) {
        let index = link.index;
        let changed = before.is_some_and(|before| before != link);
        // IPv6 comes and goes with the MTU after the event was written, and what is set on a link
        // that is down makes no event; one that is up says all.
        let resized = before.is_some_and(|before| before.mtu != link.mtu);
        if resized || changed && !link.up {
            self.stale.links.insert(index);
        } else if link.up {
            self.stale.links.remove(&index);
        }
        if !link.up {
            if self.by_link.keys(index).next().is_some() {
                self.stale.closures.insert(index);
            }
            self.doubt_unlinked();
        }
        if self.underlay.links.contains(&index) || changed && !is_ours(link) {
            self.doubt_paths();
        }
    }

    fn changed_link(&mut self, before: &Link, link: &Link) {
        self.revision += 1;
        let ours = is_ours(before) || is_ours(link);
        for sentence in differences(before, link) {
            self.causes.add(Place::Link(before.name.clone()), ours, sentence);
        }
    }
}

/// Each thing that differs, in a sentence.
fn differences(before: &Link, link: &Link) -> Vec<String> {
    let Link { index: _, name, kind, mtu, group, up, multicast, master, addrgen_none } = link;
    let old = before.name.as_str();
    let mut said = Vec::new();
    if before.up != *up {
        said.push(format!("link {old} set {}", if *up { "up" } else { "down" }));
    }
    if before.name != *name {
        said.push(format!("link {old} renamed {name}"));
    }
    let mut differs = |what: &str, before: String, now: String| {
        if before != now {
            said.push(format!("{what} of {old} {before} -> {now}"));
        }
    };
    let index = |master: Option<u32>| master.map_or("none".to_owned(), |index| format!("link {index}"));
    differs("mtu", before.mtu.to_string(), mtu.to_string());
    differs("group", before.group.to_string(), group.to_string());
    differs("master", index(before.master), index(*master));
    differs("multicast", before.multicast.to_string(), multicast.to_string());
    differs("addrgenmode none", before.addrgen_none.to_string(), addrgen_none.to_string());
    match (&before.kind, kind) {
        (LinkKind::Gre(before), LinkKind::Gre(gre)) => differences_of_gre(before, gre, &mut differs),
        (before, now) if before != now => differs("kind", format!("{before:?}"), format!("{now:?}")),
        _ => {}
    }
    said
}

fn differences_of_gre(before: &Gre, gre: &Gre, differs: &mut impl FnMut(&str, String, String)) {
    let Gre { local, remote, ikey, okey, iflags, oflags, ttl, tos, pmtudisc, ignore_df, fwmark, exotic } =
        gre;
    let key = |key: Option<u32>| key.map_or("none".to_owned(), |key| key.to_string());
    differs("local", before.local.to_string(), local.to_string());
    differs("remote", before.remote.to_string(), remote.to_string());
    differs("ikey", key(before.ikey), key(*ikey));
    differs("okey", key(before.okey), key(*okey));
    differs("input flags", format!("{:#x}", before.iflags), format!("{iflags:#x}"));
    differs("output flags", format!("{:#x}", before.oflags), format!("{oflags:#x}"));
    differs("ttl", before.ttl.to_string(), ttl.to_string());
    differs("tos", before.tos.to_string(), tos.to_string());
    differs("pmtudisc", before.pmtudisc.to_string(), pmtudisc.to_string());
    differs("ignore-df", before.ignore_df.to_string(), ignore_df.to_string());
    differs("fwmark", format!("{:#x}", before.fwmark), format!("{fwmark:#x}"));
    differs("other parameters", before.exotic.to_string(), exotic.to_string());
}
