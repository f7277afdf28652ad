//! What the kernel says, also when it is lost, interrupted, a refusal, about others, or much.

use super::netlink_kit::{
    address, address_of, apply_all, apply_on, create, delete_numbered, desired, inside, ip, ip_batch,
    links_of_ip, numbered, observe, route, rule, says, tuple,
};
use crate::support::needs::{DUMMY, VRF};
use crate::support::scenario::{Scenario, scenario};
use crate::support::{Result, World};
use greyhound::model::marks::{FWMARK, LINK_GROUP, TABLE};
use greyhound::model::{Address, DesiredLink, LinkKind, Scope, Tuple};
use greyhound::netlink::{Error, Netlink};
use greyhound::plan::Step;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub const SCENARIOS: &[Scenario] = &[
    scenario!(lost_answers_are_an_explicit_error).needs(&[DUMMY]),
    scenario!(an_interrupted_dump_is_never_a_result).exclusive(),
    scenario!(the_kernels_own_words_reach_the_error),
    scenario!(what_the_kernel_has_of_others_is_told_apart).needs(&[DUMMY, VRF]),
    scenario!(the_way_to_each_remote_is_looked_up_with_our_mark).needs(&[DUMMY]),
    scenario!(a_thousand_tunnels_are_made_changed_and_deleted).exclusive(),
];

fn lost_answers_are_an_explicit_error(world: &World) -> Result<()> {
    inside(world, || {
        let mut netlink = Netlink::with_receive_buffer(1).unwrap();
        ip_batch((0..64).map(|number| format!("link add gh-t{number} type dummy")));
        let observed = observe(&mut Netlink::open().unwrap());
        // The kernel has 64 refusals to tell, and nowhere to put them.
        let mut steps: Vec<_> = (0..64).map(|number| Step::CreateLink(numbered(number))).collect();
        steps.push(Step::AddRule(rule(4703, TABLE)));
        let results = apply_on(&mut netlink, steps, &observed);
        says(&results[0], &["it is not known whether this was done", "the receive buffer overran"]);
        says(&results[64], &["rule 4703", "not tried", "the receive buffer overran"]);
        assert!(!ip("rule").contains("4703"));
        // The next request is not confused by what was left of the last one.
        let observed = observe(&mut netlink);
        for result in apply_on(&mut netlink, [Step::AddRule(rule(4703, TABLE))], &observed) {
            result.unwrap();
        }
    })
}

fn an_interrupted_dump_is_never_a_result(world: &World) -> Result<()> {
    inside(world, || {
        let steady = |number: u32| {
            let [_, _, high, low] = number.to_be_bytes();
            format!("addr add 10.77.{high}.{low}/32 dev lo")
        };
        ip_batch((0..3000).map(steady));
        let _churn = Churn::start();
        let mut netlink = Netlink::open().unwrap();
        let (mut whole, mut interrupted) = (0, 0);
        while whole + interrupted < 100 && interrupted < 3 {
            match netlink.observe(&BTreeSet::new()) {
                Ok(observed) => {
                    whole += 1;
                    let steady = observed.addresses.iter().filter(|address| address.label == "lo").count();
                    assert_eq!(steady, 3001, "a partial dump");
                }
                Err(Error::Interrupted { tries, .. }) => {
                    interrupted += 1;
                    assert!(tries > 1);
                }
                Err(error) => panic!("{error}"),
            }
        }
        println!("observations under churn: {whole} whole, {interrupted} given up as interrupted");
        assert!(interrupted > 0, "there was no churn to speak of");
    })
}

/// A thread that adds and removes an address all the time, until the guard is dropped.
struct Churn {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Churn {
    fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut netlink = Netlink::open().unwrap();
        let observed = observe(&mut netlink);
        let add = Step::AddAddress(address("lo", "10.78.0.1/32", Scope::Global, "lo:churn"));
        let delete = Step::DeleteAddress(Address {
            address: "10.78.0.1/32".parse().unwrap(),
            label: "lo:churn".into(),
            ..address_of(&observed, "lo")
        });
        let thread = std::thread::spawn({
            let stop = stop.clone();
            move || {
                while !stop.load(Ordering::Relaxed) {
                    for result in apply_on(&mut netlink, [add.clone(), delete.clone()], &observed) {
                        result.unwrap();
                    }
                }
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Churn {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(std::thread::panicking() || matches!(ended, Some(Ok(()))), "the churn failed");
    }
}

fn the_kernels_own_words_reach_the_error(world: &World) -> Result<()> {
    inside(world, || {
        let mut netlink = Netlink::open().unwrap();
        apply_all(&mut netlink, [Step::CreateLink(desired("gh-x", tuple(1, 1, None)))]);
        let observed = observe(&mut netlink);
        let step = Step::AddRoute(route("10.20.0.0/16", Some("203.0.113.200"), 0, TABLE));
        let results = apply_on(&mut netlink, [step], &observed);
        says(&results[0], &["the kernel says: Invalid prefsrc address (EINVAL)"]);
        assert_eq!(results[0].as_ref().unwrap_err().errno, Some(22));
    })
}

fn what_the_kernel_has_of_others_is_told_apart(world: &World) -> Result<()> {
    inside(world, || {
        ip("link add vrf-in type vrf table 900");
        ip("link add tap type gretap local 10.0.0.1 remote 10.9.0.1 key 5");
        ip("link add ers type erspan local 10.0.0.1 remote 10.9.0.2 seq key 9 erspan_ver 1 erspan 5");
        ip("link add ext type gre external");
        ip("link add dum type dummy");
        ip("link add bound type gre local 10.0.0.1 remote 10.9.0.3 dev dum");
        ip("link set bound master vrf-in");
        ip("rule add from 192.0.2.0/24 lookup 4700 prio 5000");
        ip("rule add fwmark 1/0xff tos 8 lookup 4700 prio 5001");
        ip("rule add iif dum prohibit prio 5002");
        let mut netlink = Netlink::open().unwrap();
        let observed = observe(&mut netlink);
        let kind = |name: &str| observed.link(name).unwrap().kind.clone();
        assert_eq!(kind("vrf-in"), LinkKind::Vrf { table: 900 });
        assert_eq!(kind("dum"), LinkKind::Other("dummy".into()));
        assert_eq!(kind("lo"), LinkKind::Other(String::new()));
        assert!(
            matches!(kind("tap"), LinkKind::Gretap(gre) if gre.tuple() == tuple(1, 1, Some(5)) && !gre.exotic)
        );
        assert!(matches!(kind("ers"), LinkKind::Gretap(gre) if gre.tuple() == tuple(1, 2, Some(9))));
        assert!(matches!(kind("ext"), LinkKind::Gre(gre) if gre.exotic));
        assert!(
            matches!(kind("bound"), LinkKind::Gre(gre) if gre.exotic && gre.tuple() == tuple(1, 3, None))
        );
        assert_eq!(observed.link("bound").unwrap().master, observed.link("vrf-in").map(|vrf| vrf.index));
        for priority in 5000..=5002 {
            assert!(observed.rules.iter().any(|rule| rule.priority == priority && rule.exotic), "{priority}");
        }
    })
}

fn the_way_to_each_remote_is_looked_up_with_our_mark(world: &World) -> Result<()> {
    inside(world, || {
        ip("link add dum type dummy");
        ip("link set dum mtu 1480");
        ip("link set dum up");
        ip("addr add 192.0.2.1/24 dev dum");
        ip("route add 198.51.100.0/24 via 192.0.2.2 src 192.0.2.1");
        ip("route add 203.0.113.0/24 via 192.0.2.3 mtu 1400");
        ip("route add unreachable 10.66.0.0/16");
        ip("route add blackhole 10.67.0.0/16");
        ip("rule add fwmark 0x47 lookup main prio 10");
        // Without the mark this default would win.
        ip("route add default dev dum table 77");
        ip("rule add lookup 77 prio 20");
        ip("link add narrow mtu 1300 type dummy");
        ip("link set narrow up");
        ip("addr add 192.0.3.1/24 dev narrow");
        ip("route add 10.68.0.0/16 nexthop via 192.0.2.4 dev dum nexthop via 192.0.3.2 dev narrow");
        ip("nexthop add id 1 via 192.0.2.5 dev dum");
        ip("route add 10.69.0.0/16 nhid 1 mtu 1390");
        ip("nexthop add id 2 via 192.0.2.6 dev dum");
        ip("route add 10.70.0.0/16 nhid 2");
        ip("link set lo up");
        let mut netlink = Netlink::open().unwrap();
        let remotes = ["192.0.2.9", "198.51.100.9", "203.0.113.9", "10.66.0.1", "10.67.0.1", "10.68.0.1"];
        let more = ["10.69.0.1", "10.70.0.1", "192.0.2.1", "192.0.2.255", "239.1.1.1"];
        let remotes: BTreeSet<Ipv4Addr> =
            remotes.iter().chain(&more).map(|remote| remote.parse().unwrap()).collect();
        let observed = netlink.observe(&remotes).unwrap();
        let dum = observed.link("dum").unwrap().index;
        let path = |remote: &str| {
            let path = observed.paths.get(&remote.parse::<Ipv4Addr>().unwrap())?;
            assert_eq!(path.link, dum);
            Some((
                path.gateway.map(|gateway| gateway.to_string()),
                path.source.unwrap().to_string(),
                path.mtu,
            ))
        };
        let source = || "192.0.2.1".to_owned();
        assert_eq!(path("192.0.2.9"), Some((None, source(), 1480)));
        assert_eq!(path("198.51.100.9"), Some((Some("192.0.2.2".into()), source(), 1480)));
        assert_eq!(path("203.0.113.9"), Some((Some("192.0.2.3".into()), source(), 1400)));
        assert_eq!(path("10.69.0.1"), Some((Some("192.0.2.5".into()), source(), 1390)));
        assert_eq!(path("10.70.0.1"), Some((Some("192.0.2.6".into()), source(), 1480)));
        let several = &observed.paths[&"10.68.0.1".parse::<Ipv4Addr>().unwrap()];
        assert_eq!(several.mtu, 1300, "the least of all links");
        for absent in ["10.66.0.1", "10.67.0.1"] {
            assert_eq!(path(absent), None, "{absent}");
        }
    })
}

fn a_thousand_tunnels_are_made_changed_and_deleted(world: &World) -> Result<()> {
    inside(world, || {
        let peer = by_ip_batch();
        let mut netlink = Netlink::open().unwrap();
        let (created, results) = timed(|| create(&mut netlink, 0..1000));
        assert!(results.iter().all(Result::is_ok));
        let (seen, observed) = timed(|| observe(&mut netlink));
        let index = |name: &str| observed.link(name).unwrap().index;
        for number in 0..1000 {
            let link = observed.link(&format!("gh-t{number}")).unwrap();
            assert_eq!(link.gre(), Some(&numbered(number).gre));
            assert!(link.up && link.addrgen_none);
        }
        let change = |number| {
            let link = DesiredLink { mtu: 1300, ..numbered(number) };
            Step::ChangeLink { index: index(link.name.as_str()), link, differences: vec![] }
        };
        let (changed, results) = timed(|| apply_on(&mut netlink, (0..1000).map(change), &observed));
        assert!(results.iter().all(Result::is_ok));
        let delete = |number| delete_numbered(&observed, number);
        let (deleted, results) = timed(|| apply_on(&mut netlink, (0..1000).map(delete), &observed));
        assert!(results.iter().all(Result::is_ok));
        assert!(links_of_ip().keys().all(|name| !name.starts_with("gh-t")));
        println!(
            "1,000 tunnels with an address each: created in {created:.2?} (`ip -batch`: {peer:.2?}), \
         observed in {seen:.2?}, changed in {changed:.2?}, deleted in {deleted:.2?}"
        );
    })
}

/// The same tunnels by iproute2: how long their creation takes. They are deleted again.
fn by_ip_batch() -> Duration {
    let lines = |number: u16| {
        let DesiredLink { name, gre, .. } = numbered(number);
        let Tuple { local, remote, .. } = gre.tuple();
        let [high, low] = (2 * number).to_be_bytes();
        format!(
            "link add {name} mtu 1476 group {LINK_GROUP} \
             type gre local {local} remote {remote} ttl 64 fwmark {FWMARK}\n\
             link set {name} up\n\
             addr add 169.254.{high}.{low}/31 dev {name} scope link"
        )
    };
    let (took, ()) = timed(|| ip_batch((0..1000).map(lines)));
    ip(&format!("link del group {LINK_GROUP}"));
    took
}

fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let started = Instant::now();
    let done = work();
    (started.elapsed(), done)
}
