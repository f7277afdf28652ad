//! When paths are asked for again, and what is told of them.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use ipnetwork::Ipv4Network;

use super::fake::{Deed, How, Kernel, Wanted};
use super::{Mirror, Place};
use crate::model::{Observed, Path};
use crate::netlink::reread::reread;

#[test]
fn paths_are_in_doubt_only_after_what_can_change_them() {
    let route = |destination: &str, table| Wanted {
        table,
        destination: destination.parse().unwrap(),
        metric: 0,
        place: Some(0),
        prefsrc: None,
        protocol: 4,
    };
    let underlay = [
        Deed::Make(0),
        Deed::Up(0),
        Deed::Make(1),
        Deed::Up(1),
        Deed::Address(0, "10.1.0.1/24".parse().unwrap()),
        Deed::Rule(5, 254),
        Deed::Route(route("10.9.0.0/24", 254), How::Add),
    ];
    let cases = [
        (Deed::Route(route("10.9.0.1/32", 254), How::Add), true),
        (Deed::Route(route("10.8.0.0/24", 254), How::Add), false),
        (Deed::Route(route("10.9.0.1/32", 77), How::Add), false),
        (Deed::Unroute(route("10.9.0.0/24", 254)), true),
        (Deed::Mtu(0, 1400), true),
        (Deed::Address(0, "10.1.0.2/24".parse().unwrap()), true),
        (Deed::Address(1, "10.1.1.1/24".parse().unwrap()), false),
        (Deed::Rule(6, 77), true),
        (Deed::Make(2), false),
    ];
    for (deed, doubted) in cases {
        let mut kernel = Kernel::default();
        underlay.iter().for_each(|deed| kernel.does(deed));
        kernel.events.clear();
        let remotes = BTreeSet::from([[10, 9, 0, 1].into()]);
        let mut mirror = Mirror::new(kernel.observed(&remotes), remotes.clone());
        kernel.does(&deed);
        kernel.events.drain(..).for_each(|event| event.fold(&mut mirror));
        assert_eq!(mirror.needs().paths == remotes, doubted, "{deed:?}");
    }
}

#[test]
fn a_path_is_in_doubt_when_its_source_goes_from_another_link() {
    let address = |last| Ipv4Network::new([10, 1, 0, last].into(), 24).unwrap();
    let mut kernel = Kernel::default();
    let route = Wanted {
        table: 254,
        destination: "10.9.0.0/24".parse().unwrap(),
        metric: 0,
        place: Some(0),
        prefsrc: Some(address(2).ip()),
        protocol: 4,
    };
    let mut does = vec![Deed::Make(0), Deed::Up(0), Deed::Make(1), Deed::Rule(5, 254)];
    does.extend([Deed::Address(0, address(1)), Deed::Address(1, address(2)), Deed::Route(route, How::Add)]);
    does.iter().for_each(|deed| kernel.does(deed));
    kernel.events.clear();
    let remotes = BTreeSet::from([[10, 9, 0, 1].into()]);
    let mut mirror = Mirror::new(kernel.observed(&remotes), remotes.clone());
    assert_eq!(mirror.observed().paths.len(), 1);
    kernel.does(&Deed::Unaddress(1, address(2)));
    kernel.events.drain(..).for_each(|event| event.fold(&mut mirror));
    reread(&mut kernel, &mut mirror).unwrap();
    assert_eq!(*mirror.observed(), kernel.observed(&remotes));
    assert!(mirror.observed().paths.is_empty());
}

#[test]
fn a_path_that_changes_is_told() {
    let remote = Ipv4Addr::new(10, 9, 0, 1);
    let mut mirror = Mirror::new(Observed::default(), BTreeSet::new());
    mirror.want_paths(&[remote].into());
    assert_eq!(mirror.needs().paths, [remote].into());
    let path = Path { link: 1, gateway: None, source: None, mtu: 1500, strict_rp: false };
    let narrow = Path { mtu: 1400, ..path.clone() };
    let mut told = |found: Option<Path>| {
        let found = found.into_iter().map(|path| (remote, path)).collect();
        mirror.replace_paths(&[remote].into(), &found);
        assert!(!mirror.is_stale());
        mirror.take_causes().of(&Place::Path(remote)).join("; ")
    };
    assert_eq!(told(Some(path)), "there is a way to 10.9.0.1");
    assert_eq!(told(Some(narrow)), "the way to 10.9.0.1: mtu 1500 -> 1400");
    assert_eq!(told(None), "there is no way to 10.9.0.1");
}
