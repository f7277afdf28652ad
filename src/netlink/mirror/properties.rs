//! Whatever happens, and whenever it is heard and read: a mirror that has heard all and says that it
//! is not stale equals the kernel.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use ipnetwork::Ipv4Network;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::Config;

use super::Mirror;
use super::fake::{Deed, How, Kernel, Place, Wanted};
use crate::model::marks::{ROUTE_PROTOCOL, TABLE};
use crate::netlink::reread::{refresh, reread};

#[derive(Clone, Debug)]
enum Turn {
    Does(Deed),
    /// So many events are heard.
    Hears(usize),
    /// Read while these happen.
    Rereads(Vec<Deed>),
    Refreshes(Vec<Deed>),
    Wants(BTreeSet<Ipv4Addr>),
    LosesAll,
}

/// A kernel that somebody mirrors.
struct Mirrored {
    kernel: Kernel,
    mirror: Mirror,
}

impl Mirrored {
    fn new(before: &[Deed]) -> Self {
        let mut kernel = Kernel::default();
        before.iter().for_each(|deed| kernel.does(deed));
        kernel.events.clear();
        let remotes = BTreeSet::from(REMOTES);
        Self { mirror: Mirror::new(kernel.observed(&remotes), remotes), kernel }
    }

    fn takes(&mut self, turn: Turn) {
        let Self { kernel, mirror } = self;
        match turn {
            Turn::Does(deed) => kernel.does(&deed),
            Turn::Hears(count) => {
                let count = count.min(kernel.events.len());
                kernel.events.drain(..count).for_each(|event| event.fold(mirror));
            }
            Turn::Rereads(meanwhile) => {
                kernel.meanwhile = meanwhile.into();
                reread(kernel, mirror).unwrap();
                assert!(!mirror.is_stale(), "stale after a reread");
            }
            Turn::Refreshes(meanwhile) => {
                kernel.meanwhile = meanwhile.into();
                refresh(kernel, mirror).unwrap();
                assert!(!mirror.is_stale(), "stale after a refresh");
            }
            Turn::Wants(remotes) => mirror.want_paths(&remotes),
            Turn::LosesAll => {
                kernel.events.clear();
                mirror.doubt_everything();
            }
        }
    }

    /// Panics where it says that it is true, and is not.
    fn check(&self) {
        if self.kernel.events.is_empty() && !self.mirror.is_stale() {
            assert_eq!(*self.mirror.observed(), self.kernel.observed(self.mirror.remotes()));
        }
    }
}

proptest! {
    #![proptest_config(Config { cases: 3000, failure_persistence: None, ..Config::default() })]

    #[test]
    fn what_is_not_stale_is_true(before in vec(deed(), 0..30), turns in vec(turn(), 0..40)) {
        let mut mirrored = Mirrored::new(&before);
        for turn in turns {
            let (seen, revision) = (mirrored.mirror.observed().clone(), mirrored.mirror.revision());
            mirrored.takes(turn);
            mirrored.check();
            prop_assert!(seen == *mirrored.mirror.observed() || revision != mirrored.mirror.revision());
        }
        mirrored.takes(Turn::Hears(usize::MAX));
        mirrored.takes(Turn::Rereads(vec![]));
        prop_assert!(mirrored.kernel.events.is_empty());
        mirrored.check();
    }
}

const REMOTES: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 9, 0, 1), Ipv4Addr::new(10, 9, 1, 1)];

fn turn() -> impl Strategy<Value = Turn> {
    let meanwhile = || vec(deed(), 0..4);
    prop_oneof![
        10 => deed().prop_map(Turn::Does),
        4 => (0..8_usize).prop_map(Turn::Hears),
        2 => Just(Turn::Hears(usize::MAX)),
        4 => meanwhile().prop_map(Turn::Rereads),
        1 => meanwhile().prop_map(Turn::Refreshes),
        1 => proptest::sample::subsequence(REMOTES.to_vec(), 0..=2)
            .prop_map(|remotes| Turn::Wants(remotes.into_iter().collect())),
        1 => Just(Turn::LosesAll),
    ]
}

fn deed() -> impl Strategy<Value = Deed> {
    let how = select(vec![How::Add, How::Replace, How::Append, How::Prepend]);
    let table = || select(vec![TABLE, 254, 900]);
    let number = || (0..3_u32, table());
    prop_oneof![
        3 => place().prop_map(Deed::Make),
        1 => place().prop_map(Deed::Unmake),
        4 => place().prop_map(Deed::Up),
        1 => place().prop_map(Deed::Down),
        1 => (place(), 1300..1302_u32).prop_map(|(place, mtu)| Deed::Mtu(place, mtu)),
        1 => (place(), 0..2_u32).prop_map(|(place, group)| Deed::Group(place, group)),
        4 => (place(), address()).prop_map(|(place, address)| Deed::Address(place, address)),
        2 => (place(), address()).prop_map(|(place, address)| Deed::Unaddress(place, address)),
        8 => (wanted(), how).prop_map(|(wanted, how)| Deed::Route(wanted, how)),
        3 => wanted().prop_map(Deed::Unroute),
        2 => number().prop_map(|(priority, table)| Deed::Rule(priority, table)),
        1 => number().prop_map(|(priority, table)| Deed::Unrule(priority, table)),
    ]
}

fn place() -> impl Strategy<Value = Place> {
    0..3_u8
}

fn address() -> impl Strategy<Value = Ipv4Network> {
    (1..4_u8).prop_map(|last| Ipv4Network::new([10, 1, 0, last].into(), 24).unwrap())
}

/// Few values of each, so that they meet.
fn wanted() -> impl Strategy<Value = Wanted> {
    let destinations = ["0.0.0.0/0", "10.9.0.0/24", "10.9.0.1/32"].map(|it| it.parse().unwrap());
    (
        select(vec![TABLE, 254, 900]),
        select(destinations.to_vec()),
        select(vec![0, 5]),
        prop::option::weighted(0.9, place()),
        prop::option::weighted(0.3, address().prop_map(|address| address.ip())),
        select(vec![ROUTE_PROTOCOL, 4]),
    )
        .prop_map(|(table, destination, metric, place, prefsrc, protocol)| Wanted {
            table,
            destination,
            metric,
            place,
            prefsrc,
            protocol,
        })
}
