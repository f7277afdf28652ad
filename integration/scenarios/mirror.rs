//! The mirror equals a fresh look at the kernel after whatever happens to it, and reads little for that.

use super::mirror_deeds::{DEEDS, SETUP};
use super::netlink_kit::{create, inside, ip, ip_batch, ip_json};
use crate::support::needs::{DUMMY, VRF};
use crate::support::scenario::{Scenario, scenario};
use crate::support::{Result, World};
use greyhound::model::{Counters, Observed};
use greyhound::netlink::mirror::Place;
use greyhound::netlink::{Drained, Mirror, Netlink, Watch};
use serde_json::Value;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::process::Command;

pub const SCENARIOS: &[Scenario] = &[
    scenario!(after_each_deed_it_equals_a_fresh_look).needs(&[DUMMY, VRF]),
    scenario!(old_events_after_a_newer_look_set_nothing_back).needs(&[DUMMY, VRF]),
    scenario!(what_happened_is_told_by_the_links_name),
    scenario!(a_lost_event_is_known_and_a_full_look_mends_it),
    scenario!(one_deleted_link_of_many_makes_no_dump),
    scenario!(foreign_routes_by_the_thousand_make_no_request).needs(&[DUMMY]),
    scenario!(counters_are_those_that_ip_shows),
];

/// A mirror, and what keeps it true.
struct Kept {
    netlink: Netlink,
    watch: Watch,
    mirror: Mirror,
}

impl Kept {
    fn open() -> Self {
        Self::hearing_with(Watch::open().unwrap())
    }

    fn hearing_with(watch: Watch) -> Self {
        let mut netlink = Netlink::open().unwrap();
        let remotes: BTreeSet<Ipv4Addr> =
            [[10, 9, 0, 1], [10, 9, 0, 2], [203, 0, 113, 9]].map(Ipv4Addr::from).into();
        let mirror = Mirror::new(netlink.observe(&remotes).unwrap(), remotes);
        Self { netlink, watch, mirror }
    }

    fn drain(&mut self) -> Drained {
        self.watch.drain(&mut self.mirror).unwrap()
    }

    fn catch_up(&mut self) -> Drained {
        let drained = self.drain();
        self.netlink.reread(&mut self.mirror).unwrap();
        assert!(!self.mirror.is_stale());
        drained
    }

    /// Panics with what differs.
    fn is_true(&mut self, after: &str) {
        let fresh = self.netlink.observe(self.mirror.remotes()).unwrap();
        let Observed { links, addresses, routes, rules, paths } = self.mirror.observed();
        assert_eq!(*links, fresh.links, "links after `{after}`");
        assert_eq!(*addresses, fresh.addresses, "addresses after `{after}`");
        assert_eq!(*routes, fresh.routes, "routes after `{after}`");
        assert_eq!(*rules, fresh.rules, "rules after `{after}`");
        assert_eq!(*paths, fresh.paths, "paths after `{after}`");
    }
}

fn after_each_deed_it_equals_a_fresh_look(world: &World) -> Result<()> {
    with_deeds(world, |kept, ip| {
        for deed in DEEDS {
            let revision = kept.mirror.revision();
            let before = kept.mirror.observed().clone();
            ip(deed);
            let drained = kept.catch_up();
            assert!(!drained.lost, "lost by `{deed}`");
            kept.is_true(deed);
            let changed = *kept.mirror.observed() != before;
            assert!(!changed || kept.mirror.revision() != revision, "`{deed}` changed it in silence");
        }
    })
}

fn old_events_after_a_newer_look_set_nothing_back(world: &World) -> Result<()> {
    with_deeds(world, |kept, ip| {
        for (number, deeds) in DEEDS.chunks(5).enumerate() {
            deeds.iter().for_each(|deed| ip(deed));
            if number % 2 == 0 {
                kept.netlink.refresh(&mut kept.mirror).unwrap();
            }
            kept.catch_up();
            kept.is_true(&deeds.join("` … `"));
        }
    })
}

/// Where every deed can be done, by the function that is handed over.
fn with_deeds(world: &World, show: impl FnOnce(&mut Kept, &dyn Fn(&str)) + Send) -> Result<()> {
    let hosts = world.hosts(&["here", "elsewhere"])?;
    let (here, elsewhere) = (hosts[0].namespace(), hosts[1].namespace());
    hosts[0].within(|| {
        SETUP.iter().for_each(|deed| drop(ip(deed)));
        let done = |deed: &str| drop(ip(&deed.replace("ELSEWHERE", elsewhere).replace("HERE", here)));
        show(&mut Kept::open(), &done);
        Ok(())
    })
}

fn what_happened_is_told_by_the_links_name(world: &World) -> Result<()> {
    inside(world, || {
        ip("link add gh-ams type gre local 10.0.0.1 remote 10.9.0.1 ttl 64");
        ip("link set gh-ams up");
        ip("addr add 169.254.10.0/31 dev gh-ams scope link");
        let mut kept = Kept::open();
        let mut told = |deed: &str, link: Option<&str>| {
            ip(deed);
            kept.catch_up();
            let place = link.map_or(Place::Elsewhere, |link| Place::Link(link.to_owned()));
            kept.mirror.take_causes().of(&place).join("; ")
        };
        let ams = Some("gh-ams");
        assert_eq!(
            told("route add 10.20.0.0/16 dev gh-ams table 4700 proto 147", ams),
            "route 10.20.0.0/16 added"
        );
        assert_eq!(told("link set gh-ams mtu 1300", ams), "mtu of gh-ams 1476 -> 1300");
        let said = told("addr del 169.254.10.0/31 dev gh-ams", ams);
        assert_eq!(said, "address 169.254.10.0/31 deleted from gh-ams; route 10.20.0.0/16 deleted");
        assert_eq!(told("rule add lookup 4700 prio 4703 proto 147", None), "rule 4703 lookup 4700 added");
        assert_eq!(told("link del gh-ams", ams), "link gh-ams deleted");
    })
}

fn a_lost_event_is_known_and_a_full_look_mends_it(world: &World) -> Result<()> {
    inside(world, || {
        let mut kept = Kept::hearing_with(Watch::with_receive_buffer(4096).unwrap());
        ip_batch((0..2000).map(|n| format!("address add 10.77.{}.{}/32 dev lo", n / 250, n % 250 + 1)));
        assert!(kept.drain().lost);
        assert!(kept.mirror.is_stale());
        kept.netlink.refresh(&mut kept.mirror).unwrap();
        assert!(!kept.mirror.is_stale());
        kept.is_true("refresh");
        ip_batch((0..2000).map(|n| format!("address del 10.77.{}.{}/32 dev lo", n / 250, n % 250 + 1)));
        assert!(kept.catch_up().lost);
        kept.is_true("a reread after a loss");
    })
}

fn one_deleted_link_of_many_makes_no_dump(world: &World) -> Result<()> {
    inside(world, || {
        let mut kept = Kept::open();
        create(&mut kept.netlink, 0..200).into_iter().for_each(|result| result.unwrap());
        ip_batch((0..200).map(|n| format!("route add 10.60.{n}.0/24 dev gh-t{n} table 4700 proto 147")));
        kept.catch_up();
        kept.is_true("200 links");

        let before = kept.netlink.requests();
        ip("link del gh-t7");
        kept.catch_up();
        let after = kept.netlink.requests();
        assert_eq!(after.dumps, before.dumps);
        assert!(after.reads - before.reads < 10, "{before:?} {after:?}");
        assert!(kept.mirror.observed().link("gh-t7").is_none());
        kept.is_true("link del gh-t7");
    })
}

fn foreign_routes_by_the_thousand_make_no_request(world: &World) -> Result<()> {
    inside(world, || {
        ip("link add u0 type dummy");
        ip("link set u0 up");
        let mut kept = Kept::open();
        let before = (kept.netlink.requests(), kept.mirror.revision());
        for (verb, with) in [("add", ""), ("replace", "mtu 1400"), ("del", "")] {
            let routes = (0..1000).map(|n| (n / 250, n % 250));
            ip_batch(
                routes
                    .map(|(a, b)| format!("route {verb} 10.{a}.{b}.0/24 dev u0 table 100 proto 186 {with}")),
            );
            assert!(kept.catch_up().events >= 1000);
        }
        assert_eq!((kept.netlink.requests(), kept.mirror.revision()), before);
        kept.is_true("routes of others");
    })
}

fn counters_are_those_that_ip_shows(world: &World) -> Result<()> {
    inside(world, || {
        ip_batch(
            [
                "address add 10.0.0.1/32 dev lo",
                "address add 10.0.0.2/32 dev lo",
                "link add gh-a type gre local 10.0.0.1 remote 10.0.0.2 ttl 64",
                "link add gh-b type gre local 10.0.0.2 remote 10.0.0.1 ttl 64",
                // Otherwise IPv6 says something now and then.
                "link set gh-a addrgenmode none",
                "link set gh-b addrgenmode none",
                "link set gh-a up",
                "link set gh-b up",
            ]
            .into_iter()
            .map(str::to_owned),
        );
        // Nobody answers: what was sent by one link and taken in by the other is enough.
        Command::new("ping").args(["-q", "-c3", "-i0.2", "-W1", "-Igh-a", "10.3.0.1"]).output().unwrap();
        let mut kept = Kept::open();
        let links = &kept.mirror.observed().links;
        let wanted: BTreeSet<u32> =
            links.values().filter(|link| link.name != "lo").map(|it| it.index).collect();
        let counted = kept.netlink.counters(&wanted).unwrap();
        assert_eq!(counted.keys().copied().collect::<BTreeSet<_>>(), wanted);
        let (mut sent, mut taken) = (0, 0);
        for shown in ip_json("-s link show").iter().filter(|link| link["ifname"] != "lo") {
            let index = u32::try_from(shown["ifindex"].as_u64().unwrap()).unwrap();
            let counters = counted[&index];
            assert_eq!(counters, as_ip_shows(&shown["stats64"]), "{}", shown["ifname"]);
            sent += counters.tx_packets;
            taken += counters.rx_packets;
        }
        assert!(sent >= 3 && taken >= 3, "{sent} sent, {taken} taken in");
        assert!(kept.netlink.counters(&[999_999].into()).unwrap().is_empty());
    })
}

fn as_ip_shows(stats: &Value) -> Counters {
    let number = |way: &str, what: &str| stats[way][what].as_u64().unwrap();
    Counters {
        rx_packets: number("rx", "packets"),
        tx_packets: number("tx", "packets"),
        rx_bytes: number("rx", "bytes"),
        tx_bytes: number("tx", "bytes"),
        rx_errors: number("rx", "errors"),
        tx_errors: number("tx", "errors"),
    }
}
