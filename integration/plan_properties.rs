//! From any state of the kernel to any declaration: every step is taken, then the plan is empty, and
//! what is not ours is as it was.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use greyhound::model::{
    Address, Gre, Kind, Link, LinkKind, LinkName, Local, Observed, Owned, Path, Route, RouteKind, Scope, Tos,
    Ttl, Tunnel, TunnelName, Tuple, marks,
};
use greyhound::plan::{Declared, Plan, desire, plan};
use proptest::prelude::*;
use proptest::sample::subsequence;

use crate::fake_kernel;

const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// What an operator may declare of one tunnel; which tuple it gets is drawn apart, each one once.
#[derive(Clone, Debug)]
struct Sketch {
    multicast: bool,
    ttl: u8,
    mtu: Option<u32>,
    client: bool,
    route: bool,
    vrf: bool,
}

type Declaration = BTreeMap<TunnelName, (Tunnel, Ipv4Addr)>;

fn sketch() -> impl Strategy<Value = Sketch> {
    (
        any::<bool>(),
        1..3_u8,
        proptest::option::of(1000..1003_u32),
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(multicast, ttl, mtu, client, route, vrf)| Sketch {
            multicast,
            ttl,
            mtu,
            client,
            route,
            vrf,
        })
}

fn declaration() -> impl Strategy<Value = Declaration> {
    let names = subsequence(NAMES.to_vec(), 0..=NAMES.len());
    let tuples = Just((0..8_usize).collect::<Vec<_>>()).prop_shuffle();
    (names, tuples, prop::collection::vec(sketch(), NAMES.len())).prop_map(|(names, tuples, sketches)| {
        let drawn = names.iter().zip(tuples).zip(sketches);
        drawn.map(|((name, tuple), sketch)| declare(name, tuple, &sketch)).collect()
    })
}

fn declare(name: &str, tuple: usize, sketch: &Sketch) -> (TunnelName, (Tunnel, Ipv4Addr)) {
    let name = TunnelName::new(name).unwrap();
    let nth = u8::try_from(NAMES.iter().position(|n| *n == name.as_str()).unwrap()).unwrap();
    let tuple = tuple_of(tuple);
    let tunnel = Tunnel {
        name: name.clone(),
        kind: if sketch.multicast { Kind::Multicast } else { Kind::Unicast },
        local: Local::Auto { pool: None },
        remotes: vec![tuple.remote],
        overlay: format!("169.254.10.{}/31", 2 * nth).parse().unwrap(),
        routes: sketch.route.then(|| format!("10.{nth}.0.0/16").parse().unwrap()).into_iter().collect(),
        groups: Vec::new(),
        ttl: Ttl::Fixed(sketch.ttl),
        tos: Tos::Fixed(0),
        key: tuple.key,
        mtu: sketch.mtu,
        pmtudisc: true,
        ignore_df: false,
        vrf: sketch.vrf.then(|| LinkName::new("red").unwrap()),
        metric: 0,
        client: sketch.client.then(|| Ipv4Addr::new(203, 0, 113, nth)),
        enable: true,
    };
    (name, (tunnel, tuple.local))
}

fn tuple_of(n: usize) -> Tuple {
    let n = u8::try_from(n).unwrap();
    let key = (n >= 4).then_some(u32::from(n & 1));
    Tuple { local: [198, 51, 100, n & 1].into(), remote: [192, 0, 2, 1 + (n & 2)].into(), key }
}

/// What others do to a kernel: each changes what is ours, or puts something of their own in the way.
#[derive(Clone, Debug)]
enum Mischief {
    DeleteLink(usize),
    SetDown(usize),
    Rename(usize),
    Regroup(usize),
    Retarget(usize, usize),
    /// Something that greyhound never sets, and the kernel cannot change in place.
    Bind(usize),
    DropAddress(usize),
    DropRoute(usize),
    DropRules,
    ForeignName(usize),
    ForeignTuple(usize),
}

fn mischief() -> impl Strategy<Value = Mischief> {
    let n = 0..8_usize;
    prop_oneof![
        n.clone().prop_map(Mischief::DeleteLink),
        n.clone().prop_map(Mischief::SetDown),
        n.clone().prop_map(Mischief::Rename),
        n.clone().prop_map(Mischief::Regroup),
        (n.clone(), n.clone()).prop_map(|(a, b)| Mischief::Retarget(a, b)),
        n.clone().prop_map(Mischief::Bind),
        n.clone().prop_map(Mischief::DropAddress),
        n.clone().prop_map(Mischief::DropRoute),
        Just(Mischief::DropRules),
        n.clone().prop_map(Mischief::ForeignName),
        n.prop_map(Mischief::ForeignTuple),
    ]
}

fn nth_ours(kernel: &Observed, n: usize) -> Option<u32> {
    let ours: Vec<u32> =
        kernel.links.values().filter(|l| l.group == marks::LINK_GROUP).map(|l| l.index).collect();
    ours.get(n % ours.len().max(1)).copied()
}

fn play(kernel: &mut Observed, mischief: &Mischief) {
    match mischief {
        Mischief::DeleteLink(n) => with_link(kernel, *n, |kernel, index| {
            kernel.links.remove(&index);
            kernel.addresses.retain(|address| address.link != index);
            kernel.routes.retain(|route| route.link != Some(index));
        }),
        Mischief::SetDown(n) => with_link(kernel, *n, |kernel, index| {
            kernel.links.get_mut(&index).unwrap().up = false;
            kernel.routes.retain(|route| route.link != Some(index));
        }),
        Mischief::Rename(n) => with_link(kernel, *n, |kernel, index| {
            kernel.links.get_mut(&index).unwrap().name = format!("renamed{index}");
        }),
        Mischief::Regroup(n) => with_link(kernel, *n, |kernel, index| {
            kernel.links.get_mut(&index).unwrap().group = 0;
        }),
        Mischief::Retarget(n, tuple) => {
            let tuple = tuple_of(*tuple);
            let free = kernel.links.values().all(|l| l.gre().map(Gre::tuple) != Some(tuple));
            with_link(kernel, *n, |kernel, index| {
                let link = kernel.links.get_mut(&index).unwrap();
                if free {
                    link.kind = LinkKind::Gre(Gre::new(tuple))
                }
            });
        }
        Mischief::Bind(n) => with_link(kernel, *n, |kernel, index| {
            if let LinkKind::Gre(gre) = &mut kernel.links.get_mut(&index).unwrap().kind {
                gre.exotic = true;
            }
        }),
        Mischief::DropAddress(n) => {
            drop_nth(&mut kernel.addresses, *n, |a| a.protocol == marks::ADDRESS_PROTOCOL)
        }
        Mischief::DropRoute(n) => drop_nth(&mut kernel.routes, *n, |r| r.protocol == marks::ROUTE_PROTOCOL),
        Mischief::DropRules => kernel.rules.clear(),
        Mischief::ForeignName(n) => {
            let name = TunnelName::new(NAMES[n % NAMES.len()]).unwrap().link();
            foreign(kernel, name.as_str(), LinkKind::Other("dummy".to_owned()));
        }
        Mischief::ForeignTuple(n) => {
            foreign(
                kernel,
                &format!("theirs{n}"),
                LinkKind::Gre(Gre { fwmark: 0, ..Gre::new(tuple_of(*n)) }),
            );
        }
    }
}

fn with_link(kernel: &mut Observed, n: usize, act: impl FnOnce(&mut Observed, u32)) {
    if let Some(index) = nth_ours(kernel, n) {
        act(kernel, index);
    }
}

fn drop_nth<T: Ord + Clone>(set: &mut BTreeSet<T>, n: usize, ours: impl Fn(&T) -> bool) {
    let all: Vec<T> = set.iter().filter(|value| ours(value)).cloned().collect();
    if let Some(value) = all.get(n % all.len().max(1)) {
        set.remove(value);
    }
}

fn foreign(kernel: &mut Observed, name: &str, kind: LinkKind) {
    let clash = |link: &Link| {
        link.name == name || (matches!(kind, LinkKind::Gre(_)) && link.kind_tuple() == tuple(&kind))
    };
    if kernel.links.values().any(clash) {
        return;
    }
    let index = kernel.links.keys().next_back().map_or(1, |last| last + 1);
    kernel.links.insert(index, plain(index, name, kind));
    kernel.addresses.insert(Address {
        link: index,
        address: format!("10.99.{index}.1/24").parse().unwrap(),
        scope: Scope::Global,
        label: name.to_owned(),
        protocol: 0,
    });
    kernel.routes.insert(Route {
        table: marks::TABLE,
        destination: format!("10.98.{index}.0/24").parse().unwrap(),
        metric: 0,
        tos: 0,
        link: Some(index),
        gateway: None,
        prefsrc: None,
        protocol: 4,
        scope: Scope::Link,
        kind: RouteKind::Unicast,
    });
}

trait KindTuple {
    fn kind_tuple(&self) -> Option<Tuple>;
}

impl KindTuple for Link {
    fn kind_tuple(&self) -> Option<Tuple> {
        tuple(&self.kind)
    }
}

fn tuple(kind: &LinkKind) -> Option<Tuple> {
    match kind {
        LinkKind::Gre(gre) => Some(gre.tuple()),
        LinkKind::Gretap(_) | LinkKind::Vrf { .. } | LinkKind::Other(_) => None,
    }
}

fn plain(index: u32, name: &str, kind: LinkKind) -> Link {
    Link {
        index,
        name: name.to_owned(),
        kind,
        mtu: 1476,
        group: 0,
        up: true,
        multicast: false,
        master: None,
        addrgen_none: false,
    }
}

fn host() -> Observed {
    let mut kernel = Observed::default();
    for (index, name, kind) in [
        (1, "lo", LinkKind::Other(String::new())),
        (2, "eth0", LinkKind::Other("veth".to_owned())),
        (3, "red", LinkKind::Vrf { table: 10 }),
    ] {
        kernel.links.insert(index, plain(index, name, kind));
    }
    for remote in [1, 3] {
        let path = Path { link: 2, gateway: None, source: None, mtu: 1500, strict_rp: false };
        kernel.paths.insert([192, 0, 2, remote].into(), path);
    }
    kernel
}

fn think(declaration: &Declaration, kernel: &Observed, owned: &Owned) -> (greyhound::model::Desired, Plan) {
    let tunnels = declaration.iter().map(|(name, (tunnel, _))| (name.clone(), tunnel.clone())).collect();
    let locals = declaration.iter().map(|(name, (_, local))| (name.clone(), Ok(*local))).collect();
    let loopback = LinkName::new("lo").unwrap();
    let choices = BTreeMap::new();
    let declared = Declared {
        tunnels: &tunnels,
        locals: &locals,
        probe: None,
        offered: &BTreeSet::new(),
        choices: &choices,
        loopback: &loopback,
    };
    let desired = desire(&declared, kernel);
    let plan = plan(&desired, kernel, owned);
    (desired, plan)
}

/// Plans, claims, does, and settles; every step must be taken.
fn turn(declaration: &Declaration, kernel: &mut Observed, owned: &mut Owned) -> Result<Plan, TestCaseError> {
    let (desired, plan) = think(declaration, kernel, owned);
    crate::claim(&desired, &plan, owned);
    for planned in &plan.steps {
        let done = fake_kernel::apply(kernel, &planned.step);
        prop_assert_eq!(done, Ok(()), "{:?} of {:#?}", planned, plan.steps);
    }
    crate::settle(&desired, kernel, owned);
    Ok(plan)
}

fn foreign_objects(kernel: &Observed) -> (Vec<Link>, Vec<Address>, Vec<Route>) {
    let foreign = |index: u32| {
        kernel.links.get(&index).is_some_and(|l| l.name.starts_with("their") || l.name == "eth0")
    };
    (
        kernel.links.values().filter(|link| foreign(link.index)).cloned().collect(),
        kernel.addresses.iter().filter(|address| foreign(address.link)).cloned().collect(),
        kernel.routes.iter().filter(|route| route.link.is_some_and(foreign)).cloned().collect(),
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn from_anything_to_anything_and_the_next_plan_is_empty(
        first in declaration(),
        second in declaration(),
        mischief in prop::collection::vec(mischief(), 0..6),
    ) {
        let (mut kernel, mut owned) = (host(), Owned::default());
        let plan = turn(&first, &mut kernel, &mut owned)?;
        prop_assert!(plan.refused.is_empty() && plan.held.is_empty());
        mischief.iter().for_each(|mischief| play(&mut kernel, mischief));
        let before = foreign_objects(&kernel);

        // One turn, unless one link of ours was renamed and then given the tuple of another: what it is
        // comes out when the other has gone.
        turn(&second, &mut kernel, &mut owned)?;
        turn(&second, &mut kernel, &mut owned)?;

        let (_, again) = think(&second, &kernel, &owned);
        prop_assert!(again.steps.is_empty(), "the second plan is not empty: {:#?}", again.steps);
        prop_assert_eq!(foreign_objects(&kernel), before);
    }

    /// Tunnels that take each other's tuples round, some of which have to be made anew.
    #[test]
    fn a_ring_is_broken_in_one_turn(
        names in subsequence(NAMES.to_vec(), 2..=NAMES.len()),
        bound in prop::collection::vec(0..8_usize, 0..8),
        sketch in sketch(),
    ) {
        let ring = |shift: usize| -> Declaration {
            let tuple = |nth: usize| (nth + shift) % names.len();
            names.iter().enumerate().map(|(nth, name)| declare(name, tuple(nth), &sketch)).collect()
        };
        let (mut kernel, mut owned) = (host(), Owned::default());
        turn(&ring(0), &mut kernel, &mut owned)?;
        bound.iter().for_each(|n| play(&mut kernel, &Mischief::Bind(*n)));
        turn(&ring(1), &mut kernel, &mut owned)?;
        let (_, again) = think(&ring(1), &kernel, &owned);
        prop_assert!(again.steps.is_empty() && again.refused.is_empty(), "{:#?}", again);
    }

    #[test]
    fn nothing_declared_leaves_nothing_of_ours(first in declaration(), mischief in prop::collection::vec(mischief(), 0..4)) {
        let (mut kernel, mut owned) = (host(), Owned::default());
        turn(&first, &mut kernel, &mut owned)?;
        mischief.iter().for_each(|mischief| play(&mut kernel, mischief));
        turn(&Declaration::new(), &mut kernel, &mut owned)?;
        prop_assert!(kernel.rules.is_empty());
        let left = |link: &&Link| link.group == marks::LINK_GROUP && link.name.starts_with(marks::LINK_PREFIX);
        let orphans: Vec<_> = kernel.links.values().filter(left).map(|link| link.index).collect();
        let (_, plan) = think(&Declaration::new(), &kernel, &owned);
        let known: Vec<_> = plan.orphans.links.iter().map(|link| link.index).collect();
        prop_assert_eq!(orphans, known);
    }
}
