//! `EEXIST` names nobody: who holds the name, the tuple, the address, the key. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::error::Error;
use crate::model::{Address, DesiredLink, Link, LinkKind, Route};

/// Which link stands in the way of this one; `own`: the ifindex that the link itself has already.
pub(super) fn of_link(wanted: &DesiredLink, own: Option<u32>, links: &BTreeMap<u32, Link>) -> Option<String> {
    let others = || links.values().filter(|link| Some(link.index) != own);
    if let Some(holder) = others().find(|link| link.name == wanted.name.as_str()) {
        return Some(name_held_by(holder));
    }
    let tuple = wanted.gre.tuple();
    let holders = || others().filter(|link| link.gre().is_some_and(|gre| gre.tuple() == tuple));
    // A bound device or an encapsulation makes two of the same tuple different to the kernel.
    let plain = holders().find(|link| link.gre().is_some_and(|gre| !gre.exotic));
    let holder = plain.or_else(|| holders().next())?;
    Some(format!("the tuple {tuple} is held by link {} ({})", holder.index, holder.name))
}

pub(super) fn name_held_by(holder: &Link) -> String {
    format!("the name is held by link {} ({})", holder.index, kind(holder))
}

/// For when the look failed.
pub(super) fn unseen(error: &Error) -> String {
    format!("something that it needs is held, and by whom could not be looked up: {}", error.in_full())
}

/// For a tuple that the kernel knows and no visible link has.
pub(super) fn elsewhere(wanted: &DesiredLink) -> String {
    let tuple = wanted.gre.tuple();
    format!(
        "a tunnel {tuple} exists, but no link here has it: its link was moved to another network namespace"
    )
}

pub(super) fn of_address(wanted: &Address, addresses: &BTreeSet<Address>) -> Option<String> {
    let holder = addresses.iter().find(|held| held.link == wanted.link && held.address == wanted.address)?;
    Some(format!(
        "the link has this address already, with label {:?}, scope {} and protocol {}",
        holder.label, holder.scope, holder.protocol
    ))
}

pub(super) fn of_route(
    wanted: &Route,
    routes: &BTreeSet<Route>,
    links: &BTreeMap<u32, Link>,
) -> Option<String> {
    let holder = routes.iter().find(|held| held.key() == wanted.key())?;
    let device = match holder.link.and_then(|index| links.get(&index)) {
        Some(link) => link.name.as_str(),
        None => "no single link",
    };
    Some(format!(
        "table {} has a route of this destination, metric and TOS already: by {device}, protocol {}; remove it, or \
         give the tunnel another metric",
        holder.table, holder.protocol
    ))
}

fn kind(link: &Link) -> &str {
    match &link.kind {
        LinkKind::Gre(_) => "gre",
        LinkKind::Gretap(_) => "gretap",
        LinkKind::Vrf { .. } => "vrf",
        LinkKind::Other(kind) if kind.is_empty() => "a device",
        LinkKind::Other(kind) => kind,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Gre, LinkName, Tuple};

    fn tuple(remote: u8, key: Option<u32>) -> Tuple {
        Tuple { local: [10, 0, 0, 1].into(), remote: [10, 9, 0, remote].into(), key }
    }

    fn link(index: u32, name: &str, kind: LinkKind) -> (u32, Link) {
        let link = Link {
            index,
            name: name.into(),
            kind,
            mtu: 1476,
            group: 0,
            up: true,
            multicast: false,
            master: None,
            addrgen_none: true,
        };
        (index, link)
    }

    fn wanted(name: &str, tuple: Tuple) -> DesiredLink {
        DesiredLink {
            name: LinkName::new(name).unwrap(),
            gre: Gre::new(tuple),
            mtu: 1476,
            multicast: false,
            vrf: None,
        }
    }

    #[test]
    fn name_and_tuple_are_told_apart() {
        let exotic = Gre { exotic: true, ..Gre::new(tuple(1, None)) };
        let links = BTreeMap::from([
            link(2, "gh-a", LinkKind::Other("dummy".into())),
            link(3, "bound", LinkKind::Gre(exotic)),
            link(4, "foo", LinkKind::Gre(Gre::new(tuple(1, None)))),
            link(5, "tap", LinkKind::Gretap(Gre::new(tuple(2, None)))),
            link(6, "zero", LinkKind::Gre(Gre::new(tuple(3, Some(0))))),
        ]);
        let holder = |name, tuple| of_link(&wanted(name, tuple), None, &links);
        assert_eq!(holder("gh-a", tuple(1, None)).unwrap(), "the name is held by link 2 (dummy)");
        let held = "the tuple local 10.0.0.1 remote 10.9.0.1 is held by link 4 (foo)";
        assert_eq!(holder("gh-b", tuple(1, None)).unwrap(), held);
        assert_eq!(holder("gh-b", tuple(2, None)), None, "gretap has tuples of its own");
        assert_eq!(holder("gh-b", tuple(3, None)), None, "no key is not key 0");
        assert_eq!(
            of_link(&wanted("zero", tuple(3, Some(0))), Some(6), &links),
            None,
            "it is in nobody's way"
        );
    }
}
