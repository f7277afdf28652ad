//! What somebody else has: in the way of a tunnel, nearly in its way, or just there.

use super::tunnels::{AMS, FRA};
use crate::support::greyhound::{POOL, tunnel, unicast};
use crate::support::needs::{DUMMY, VRF};
use crate::support::scenario::{Scenario, scenario};
use crate::support::{Greyhound, Host, Result, World, ensure};
use crate::witness::{Snapshot, Witness, foreign, look};

pub const SCENARIOS: &[Scenario] = &[
    scenario!(a_name_held_by_a_dummy_is_refused_with_its_holder).needs(&[DUMMY]),
    scenario!(a_tuple_held_by_a_foreign_gre_link_is_refused_with_its_holder),
    scenario!(near_misses_of_a_tuple_do_not_clash),
    scenario!(a_foreign_route_in_the_way_is_refused_with_its_holder).needs(&[DUMMY]),
    scenario!(foreign_rules_of_our_priorities_stay),
    scenario!(a_foreign_route_in_the_way_in_a_vrf_is_named_when_ours_is_refused).needs(&[DUMMY, VRF]),
    scenario!(rules_with_our_protocol_number_elsewhere_stay),
    scenario!(a_remote_that_is_this_hosts_own_address_waits_until_it_is_not),
    scenario!(an_address_that_somebody_adds_to_our_link_stays),
    scenario!(links_that_only_look_like_ours_are_left_alone).needs(&[DUMMY]),
    scenario!(hundreds_of_foreign_objects_stay_as_they_are).needs(&[DUMMY]),
    scenario!(tunnels_that_fail_in_every_way_leave_the_others_alone).needs(&[DUMMY]),
];

/// A host with an address of its own, and a tunnel from there.
fn host_with_address(world: &World) -> Result<Host> {
    let host = world.host("client")?;
    host.ip("address add 192.0.2.10/32 dev lo")?;
    Ok(host)
}

fn own(name: &str, remote: &str, pair: u8, more: &str) -> String {
    tunnel(name, "unicast", "192.0.2.10", remote, pair, more)
}

fn a_name_held_by_a_dummy_is_refused_with_its_holder(world: &World) -> Result<()> {
    let host = host_with_address(world)?;
    host.ip("link add gh-ams type dummy")?;
    let dummy = look::present(&host, "gh-ams")?;
    let greyhound = Greyhound::new(world, &host, &(own("ams", AMS, 0, "") + &own("fra", FRA, 1, "")))?;
    let outcome = greyhound.apply_partly()?;
    let why = outcome["left"]["refused"]["ams"].to_string();
    let holder = format!("gh-ams (ifindex {}, dummy), which is not greyhound's", dummy["ifindex"]);
    ensure!(why.contains(&holder), "{outcome}");
    ensure!(look::gre(&host, "gh-fra", "remote")? == FRA, "the other tunnel is up");
    greyhound.ends(0, "flush --orphans")?;
    ensure!(look::present(&host, "gh-ams")? == dummy, "the dummy was changed");
    Ok(())
}

fn a_tuple_held_by_a_foreign_gre_link_is_refused_with_its_holder(world: &World) -> Result<()> {
    let host = host_with_address(world)?;
    host.ip(&format!("link add theirs type gre local 192.0.2.10 remote {AMS} key 5"))?;
    let theirs = look::present(&host, "theirs")?;
    let declared = own("ams", AMS, 0, "key = 5") + &own("fra", FRA, 1, "");
    let greyhound = Greyhound::new(world, &host, &declared)?;
    let outcome = greyhound.apply_partly()?;
    let why = outcome["left"]["refused"]["ams"].to_string();
    let holder = format!("theirs (ifindex {}, gre", theirs["ifindex"]);
    let clash = why.contains("the tuple local 192.0.2.10 remote 203.0.113.1 key 5 is held by");
    ensure!(clash && why.contains(&holder) && why.contains("which is not greyhound's"), "{outcome}");
    look::absent(&host, "gh-ams")?;
    ensure!(look::gre(&host, "gh-fra", "remote")? == FRA, "the other tunnel is up");
    ensure!(look::present(&host, "theirs")? == theirs, "the foreign link was changed");
    host.ip("link delete theirs")?;
    greyhound.apply()?;
    ensure!(look::gre(&host, "gh-ams", "ikey")? == "0.0.0.5", "after the holder has gone, ams is up");
    Ok(())
}

fn near_misses_of_a_tuple_do_not_clash(world: &World) -> Result<()> {
    let host = host_with_address(world)?;
    let lines = format!(
        "link add zero type gre local 192.0.2.10 remote {AMS} key 0\n\
         link add tap type gretap local 192.0.2.10 remote {AMS}\n\
         link add any type gre remote {AMS}\n\
         link add plain type gre local 192.0.2.10 remote {FRA}\n\
         link add ipip type ipip local 192.0.2.10 remote {AMS}\n"
    );
    host.ip_batch(&lines)?;
    let before = foreign::snapshot(&host)?;
    let declared =
        own("plain", AMS, 0, "") + &own("zero", FRA, 1, "key = 0") + &own("one", AMS, 2, "key = 1");
    let greyhound = Greyhound::new(world, &host, &declared)?;
    greyhound.apply()?;
    ensure!(look::gre(&host, "gh-plain", "ikey")?.is_empty(), "no key is not key 0");
    ensure!(look::gre(&host, "gh-zero", "ikey")? == "0.0.0.0", "key 0 is a key");
    greyhound.ends(0, "flush")?;
    before.expect_unchanged(&foreign::snapshot(&host)?)
}

fn a_foreign_route_in_the_way_is_refused_with_its_holder(world: &World) -> Result<()> {
    let host = host_with_address(world)?;
    host.ip_batch(
        "link add other0 type dummy\n\
         link set other0 up\n\
         route add 10.20.0.0/16 dev other0 table 4700\n\
         route add blackhole 10.21.0.0/16 table 4700\n\
         route add 10.22.0.0/16 dev other0 table 4700 metric 7\n",
    )?;
    let before = foreign::snapshot(&host)?;
    let routes = "routes = [\"10.20.0.0/16\", \"10.21.0.0/16\", \"10.22.0.0/16\", \"10.23.0.0/16\"]";
    let greyhound = Greyhound::new(world, &host, &own("ams", AMS, 0, routes))?;
    let outcome = greyhound.apply_partly()?;
    let why = outcome["left"]["refused"]["ams"].to_string();
    ensure!(why.contains("10.20.0.0/16 metric 0 in table 4700 has a route by other0"), "{outcome}");
    ensure!(why.contains("10.21.0.0/16 metric 0 in table 4700 has an unreachable, blackhole"), "{outcome}");
    ensure!(!why.contains("10.22.0.0/16") && !why.contains("10.23.0.0/16"), "{outcome}");
    look::goes_by(&host, "10.22.0.1", "gh-ams")?;
    look::goes_by(&host, "10.23.0.1", "gh-ams")?;
    ensure!(look::addresses(&host, "gh-ams")? == ["169.254.10.0/31"], "all but the route is there");
    greyhound.ends(0, "flush")?;
    before.expect_unchanged(&foreign::snapshot(&host)?)
}

fn foreign_rules_of_our_priorities_stay(world: &World) -> Result<()> {
    let host = host_with_address(world)?;
    host.ip_batch(
        "rule add priority 4700 from 172.28.0.0/16 lookup 77\n\
         rule add priority 4701 not fwmark 0x47 lookup 4700 suppress_prefixlength 0\n\
         rule add priority 4703 from 172.29.0.0/16 lookup 77\n",
    )?;
    let before = foreign::snapshot(&host)?;
    let declared = own("ams", AMS, 0, "routes = [\"0.0.0.0/0\", \"10.20.0.0/16\"]");
    let greyhound = Greyhound::new(world, &host, &declared)?;
    greyhound.apply()?;
    look::goes_by(&host, "10.20.0.1", "gh-ams")?;
    greyhound.ends(0, "flush")?;
    before.expect_unchanged(&foreign::snapshot(&host)?)
}

fn a_foreign_route_in_the_way_in_a_vrf_is_named_when_ours_is_refused(world: &World) -> Result<()> {
    let host = host_with_address(world)?;
    host.ip_batch(
        "link add red type vrf table 100\n\
         link set red up\n\
         link add other0 type dummy\n\
         link set other0 master red up\n\
         route add 10.20.0.0/16 dev other0 table 100\n",
    )?;
    let before = foreign::snapshot(&host)?;
    let red = "vrf = \"red\"\nroutes = [\"10.20.0.0/16\", \"10.21.0.0/16\"]";
    let greyhound = Greyhound::new(world, &host, &own("ams", AMS, 0, red))?;
    let outcome = greyhound.json(4, "apply")?;
    let why = outcome["failed"].to_string();
    ensure!(
        why.contains("table 100 has a route of this destination") && why.contains("by other0"),
        "{outcome}"
    );
    look::goes_by(&host, "10.21.0.1 vrf red", "gh-ams")?;
    greyhound.ends(0, "flush")?;
    before.expect_unchanged(&foreign::snapshot(&host)?)
}

fn rules_with_our_protocol_number_elsewhere_stay(world: &World) -> Result<()> {
    let host = host_with_address(world)?;
    host.ip_batch(
        "rule add priority 77 blackhole protocol 147\n\
         rule add priority 100 from 172.28.0.0/16 lookup 4700 protocol 147\n\
         rule add priority 101 lookup 77 protocol 147\n\
         rule add priority 4701 from 172.29.0.0/16 lookup 77 protocol 147\n\
         rule add priority 4702 lookup main suppress_prefixlength 0 protocol 147\n",
    )?;
    let rules = |host: &Host| Ok::<_, anyhow::Error>(host.ip("rule show")?.stdout);
    let before = rules(&host)?;
    let greyhound = Greyhound::new(world, &host, &own("ams", AMS, 0, ""))?;
    let outcome = greyhound.apply()?;
    ensure!(
        outcome["left"]["notes"].to_string().contains("a rule of priority 77 has protocol 147"),
        "{outcome}"
    );
    greyhound.ends(0, "flush")?;
    let ours_gone: String =
        before.lines().filter(|line| !line.starts_with("4702:")).map(|l| format!("{l}\n")).collect();
    let after = rules(&host)?;
    ensure!(after == ours_gone, "{before} became {after}");
    Ok(())
}

fn a_remote_that_is_this_hosts_own_address_waits_until_it_is_not(world: &World) -> Result<()> {
    let host = host_with_address(world)?;
    host.ip(&format!("address add {AMS}/32 dev lo"))?;
    let greyhound = Greyhound::new(world, &host, &(own("ams", AMS, 0, "") + &own("fra", FRA, 1, "")))?;
    let outcome = greyhound.apply_partly()?;
    let why = outcome["left"]["held"]["ams"].to_string();
    ensure!(why.contains("203.0.113.1 is this host's own address"), "{outcome}");
    look::absent(&host, "gh-ams")?;
    look::present(&host, "gh-fra")?;
    host.ip(&format!("address delete {AMS}/32 dev lo"))?;
    greyhound.apply()?;
    look::present(&host, "gh-ams").map(drop)
}

fn an_address_that_somebody_adds_to_our_link_stays(world: &World) -> Result<()> {
    let host = host_with_address(world)?;
    let greyhound = Greyhound::new(world, &host, &own("ams", AMS, 0, ""))?;
    greyhound.apply()?;
    host.ip_batch("address add 172.31.5.1/24 dev gh-ams\nroute add 172.31.6.0/24 dev gh-ams\n")?;
    let before = Snapshot::take(&host)?;
    let mut witness = Witness::new(&greyhound);
    witness.mark()?;
    let outcome = greyhound.json(0, "apply")?;
    ensure!(outcome["done"] == 0, "{outcome}");
    before.expect_unchanged(&Snapshot::take(&host)?)?;
    witness.holds()
}

fn links_that_only_look_like_ours_are_left_alone(world: &World) -> Result<()> {
    let host = host_with_address(world)?;
    host.ip_batch(&format!(
        "link add other0 group 26472 type dummy\n\
         link add other1 group 26472 type gre local 192.0.2.10 remote {FRA}\n\
         link add gh-tap group 26472 type gretap local 192.0.2.10 remote {FRA}\n\
         link add gh-Ams group 26472 type gre local 192.0.2.10 remote {FRA} key 1\n\
         link add gh-other type gre local 192.0.2.10 remote {FRA} key 2\n\
         address add 172.31.0.1/32 dev lo label lo:other\n"
    ))?;
    let before = Snapshot::take(&host)?;
    let greyhound = Greyhound::new(world, &host, &own("ams", AMS, 0, ""))?;
    greyhound.apply()?;
    greyhound.ends(0, "flush --orphans")?;
    before.expect_unchanged(&Snapshot::take(&host)?)
}

fn hundreds_of_foreign_objects_stay_as_they_are(world: &World) -> Result<()> {
    let host = world.host("client")?;
    foreign::populate(&host)?;
    let before = foreign::snapshot(&host)?;
    let declared = POOL.to_owned()
        + &unicast("ams", AMS, 0, "routes = [\"0.0.0.0/0\", \"172.29.5.0/24\"]")
        + &unicast("fra", FRA, 1, "routes = [\"172.28.0.0/16\"]\nkey = 5");
    let greyhound = Greyhound::new(world, &host, &declared)?;
    greyhound.ends(0, "plan")?;
    before.expect_unchanged(&foreign::snapshot(&host)?)?;
    for _ in 0..2 {
        greyhound.apply()?;
        only_what_ours_bring(&before, &foreign::snapshot(&host)?)?;
    }
    greyhound.ends(0, "flush")?;
    before.expect_unchanged(&foreign::snapshot(&host)?)
}

/// Nothing is gone or changed; new are our rules, and the local routes that our loopback addresses bring.
fn only_what_ours_bring(before: &Snapshot, now: &Snapshot) -> Result<()> {
    let brought = |line: &String| {
        line.starts_with("new: rule 470")
            || line.starts_with("new: route local 198.51.100.") && line.ends_with("lo")
    };
    let lines: Vec<_> = before.difference(now).into_iter().filter(|line| !brought(line)).collect();
    ensure!(lines.is_empty(), "{lines:#?}");
    Ok(())
}

fn tunnels_that_fail_in_every_way_leave_the_others_alone(world: &World) -> Result<()> {
    let host = host_with_address(world)?;
    host.ip_batch(&format!(
        "link add gh-name type dummy\n\
         link add theirs type gre local 192.0.2.10 remote {AMS} key 5\n\
         link add gh-orphan group 26472 type gre local 192.0.2.10 remote {AMS} key 6\n\
         route add blackhole 10.20.0.0/16 table 4700\n"
    ))?;
    let absent = tunnel("host", "unicast", "192.0.2.99", AMS, 4, "");
    let declared = [
        own("name", AMS, 0, ""),
        own("tuple", AMS, 1, "key = 5"),
        own("orphan", FRA, 2, "key = 6"),
        own("vrf", AMS, 3, "key = 7\nvrf = \"none\""),
        absent,
        own("route", AMS, 5, "key = 9\nroutes = [\"10.20.0.0/16\"]"),
        own("good", FRA, 6, "routes = [\"10.30.0.0/16\"]"),
        own("well", FRA, 7, "key = 1\nroutes = [\"10.31.0.0/16\"]"),
    ];
    let greyhound = Greyhound::new(world, &host, &declared.concat())?;
    greyhound.apply_partly()?;
    let states = [("name", "refused"), ("tuple", "refused"), ("orphan", "refused"), ("vrf", "held")];
    let more = [("host", "held"), ("route", "refused"), ("good", "up"), ("well", "up")];
    for (name, state) in states.into_iter().chain(more) {
        let found = greyhound.tunnel(name, "state")?;
        ensure!(found == state, "{name} is {found}, not {state}");
    }
    look::goes_by(&host, "10.30.0.1", "gh-good")?;
    look::goes_by(&host, "10.31.0.1", "gh-well")?;
    ensure!(look::addresses(&host, "gh-route")? == ["169.254.10.10/31"], "all of it but the route");
    Ok(())
}
