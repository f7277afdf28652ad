//! Pools and leases: who gets which address, who waits, and what is never given out.

use super::tunnels::{AMS, FRA, ping, three};
use crate::support::greyhound::{POOL, answer, tunnel, unicast};
use crate::support::needs::DUMMY;
use crate::support::scenario::{Scenario, scenario};
use crate::support::{Greyhound, Host, Result, World, ensure};
use crate::witness::{Snapshot, look};
use std::collections::{BTreeMap, BTreeSet};

pub const SCENARIOS: &[Scenario] = &[
    scenario!(overlapping_pools_are_refused_with_line_and_caret),
    scenario!(an_exhausted_pool_leaves_one_tunnel_waiting_and_none_without_an_address),
    scenario!(an_address_that_somebody_else_configured_is_skipped_and_explained).needs(&[DUMMY]),
    scenario!(leases_stay_over_applies_and_a_reboot),
    scenario!(the_address_of_a_removed_tunnel_leaves_lo_and_rests),
    scenario!(an_address_is_leased_again_at_once_when_none_rests),
    scenario!(a_tunnel_moves_to_a_fixed_address_in_place),
    scenario!(leased_addresses_go_on_a_dummy_when_declared).needs(&[DUMMY]),
    scenario!(leased_addresses_move_to_the_loopback_link_that_is_declared).needs(&[DUMMY]),
];

/// A pool of two.
const TWO: &str = "\
[[pool]]
name = \"two\"
purpose = \"termination\"
ranges = [\"198.51.100.8/31\"]
";

fn locals(host: &Host) -> Result<BTreeMap<String, String>> {
    let links = host.json("-d link show type gre")?;
    let ours = links.as_array().into_iter().flatten().filter_map(|link| {
        let name = link["ifname"].as_str().filter(|name| name.starts_with("gh-"))?;
        let local = link["linkinfo"]["info_data"]["local"].as_str().unwrap_or("any");
        Some((name.to_owned(), local.to_owned()))
    });
    Ok(ours.collect())
}

fn overlapping_pools_are_refused_with_line_and_caret(world: &World) -> Result<()> {
    let host = world.host("client")?;
    let before = Snapshot::take(&host)?;
    let other = "[[pool]]\nname = \"other\"\npurpose = \"client\"\nranges = [\"198.51.100.15/32\"]\n";
    let greyhound = Greyhound::new(world, &host, &(POOL.to_owned() + other + &unicast("ams", AMS, 0, "")))?;
    for verb in ["check", "plan", "apply", "flush", "status"] {
        let said = greyhound.ends(3, verb)?.stderr;
        let place = format!("{}:11:11", greyhound.file().display());
        let caret = "ranges = [\"198.51.100.15/32\"]";
        for words in [place.as_str(), caret, "^^^^^^^^^^^^^^^^^^", "overlaps", "help: "] {
            ensure!(said.contains(words), "`{verb}` does not say {words:?}: {said}");
        }
    }
    before.expect_unchanged(&Snapshot::take(&host)?)?;
    ensure!(!greyhound.state_dir().exists(), "there is a state");
    Ok(())
}

fn an_exhausted_pool_leaves_one_tunnel_waiting_and_none_without_an_address(world: &World) -> Result<()> {
    let host = world.host("client")?;
    let tunnels = [("a", 0), ("b", 1), ("c", 2)].map(|(name, pair)| unicast(name, AMS, pair, ""));
    let greyhound = Greyhound::new(world, &host, &(TWO.to_owned() + &tunnels.concat()))?;
    let outcome = greyhound.apply_partly()?;
    let held = outcome["left"]["held"].as_object().cloned().unwrap_or_default();
    ensure!(held.keys().eq(["c"]), "one waits, and the last: {held:?}");
    let locals = locals(&host)?;
    let [a, b] = ["198.51.100.8", "198.51.100.9"].map(str::to_owned);
    ensure!(locals == BTreeMap::from([("gh-a".to_owned(), a), ("gh-b".to_owned(), b)]), "{locals:?}");
    let shown = greyhound.json(4, "status")?.to_string() + &look::ours(&host)?.hash().to_string();
    ensure!(!shown.contains("0.0.0.0"), "{shown}");
    let all = host.exec(["ip", "-4", "address"])?.stdout;
    ensure!(!all.contains("0.0.0.0"), "{all}");
    let next = greyhound.json(0, "pool list")?[0]["next"].clone();
    ensure!(next == "none: all are taken", "{next}");

    greyhound.declare(&(TWO.to_owned() + &tunnels[1..].concat()))?;
    let outcome = greyhound.run("apply")?;
    ensure!(outcome.status.code() == Some(4), "the address rests: {}", outcome.stdout);
    Ok(())
}

fn an_address_that_somebody_else_configured_is_skipped_and_explained(world: &World) -> Result<()> {
    let host = world.host("client")?;
    host.ip_batch(
        "link add other0 type dummy\n\
         address add 198.51.100.8/24 dev other0\n\
         address add 198.51.100.10/32 dev lo\n\
         link add theirs type gre local 198.51.100.11 remote 203.0.113.99\n",
    )?;
    let tunnels = [("a", 0), ("b", 1)].map(|(name, pair)| unicast(name, AMS, pair, ""));
    let greyhound = Greyhound::new(world, &host, &(POOL.to_owned() + &tunnels.concat()))?;
    greyhound.apply()?;
    let locals: Vec<_> = locals(&host)?.into_values().collect();
    ensure!(locals == ["198.51.100.9", "198.51.100.12"], "{locals:?}");
    let explained = greyhound.ends(0, "pool explain loopbacks")?.stdout;
    let foreign = explained.lines().filter(|line| line.contains("foreign: "));
    let foreign: Vec<_> = foreign.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let each = [
        "198.51.100.8 foreign: an address of this host, on other0",
        "198.51.100.10 foreign: an address of this host, on lo",
        "198.51.100.11 foreign: the local address of link theirs",
    ];
    ensure!(foreign == each, "{explained}");
    ensure!(greyhound.json(0, "pool list")?[0]["foreign"] == 3, "{explained}");

    let pinned = tunnel("pin", "unicast", "198.51.100.10", FRA, 2, "");
    greyhound.declare(&(POOL.to_owned() + &tunnels.concat() + &pinned))?;
    let outcome = greyhound.apply_partly()?;
    ensure!(outcome["left"]["held"]["pin"].to_string().contains("198.51.100.10"), "{outcome}");
    Ok(())
}

fn leases_stay_over_applies_and_a_reboot(world: &World) -> Result<()> {
    let host = world.host("client")?;
    let [a, b, c, new] =
        [("a", 0), ("b", 1), ("c", 2), ("0", 3)].map(|(name, pair)| unicast(name, AMS, pair, ""));
    let greyhound = Greyhound::new(world, &host, &(POOL.to_owned() + &a + &b + &c))?;
    greyhound.apply()?;
    let (before, leased) = (look::ours(&host)?, locals(&host)?);
    ensure!(leased.values().collect::<BTreeSet<_>>().len() == 3, "{leased:?}");
    for order in [[&c, &b, &a], [&b, &a, &c], [&a, &c, &b], [&c, &a, &b], [&a, &b, &c]] {
        greyhound.declare(&(POOL.to_owned() + &order.map(String::as_str).concat()))?;
        let outcome = greyhound.apply()?;
        ensure!(outcome["done"] == 0, "{outcome}");
        before.expect_unchanged(&look::ours(&host)?)?;
    }

    // What a reboot leaves of the kernel's side.
    let mut lines: String = leased.keys().map(|name| format!("link delete {name}\n")).collect();
    leased.values().for_each(|local| lines += &format!("address delete {local}/32 dev lo\n"));
    host.ip_batch(&(lines + "rule delete priority 4700\nrule delete priority 4701\n"))?;
    look::nothing_of_ours(&host)?;
    greyhound.declare(&(POOL.to_owned() + &new + &c + &b + &a))?;
    greyhound.apply()?;
    let mut after = locals(&host)?;
    let fresh = after.remove("gh-0").unwrap_or_default();
    ensure!(after == leased, "{leased:?} became {after:?}");
    ensure!(fresh == "198.51.100.11", "the new tunnel has {fresh}");
    Ok(())
}

fn the_address_of_a_removed_tunnel_leaves_lo_and_rests(world: &World) -> Result<()> {
    let host = world.host("client")?;
    let [a, b, c] = [("a", 0), ("b", 1), ("c", 2)].map(|(name, pair)| unicast(name, AMS, pair, ""));
    let rest = "rest = \"1h\"\n".to_owned() + TWO;
    let greyhound = Greyhound::new(world, &host, &(rest.clone() + &a + &b))?;
    greyhound.apply()?;
    greyhound.declare(&(rest.clone() + &a))?;
    greyhound.apply()?;
    let on_lo = look::addresses(&host, "lo")?;
    ensure!(!on_lo.contains(&"198.51.100.9/32".to_owned()), "{on_lo:?}");
    look::absent(&host, "gh-b")?;

    greyhound.declare(&(rest.clone() + &a + &c))?;
    let outcome = greyhound.apply_partly()?;
    ensure!(outcome["left"]["held"]["c"].is_string(), "another holder waits until it has rested: {outcome}");
    let explained = greyhound.ends(0, "pool explain")?.stdout;
    ensure!(explained.contains("resting after tunnel/b until"), "{explained}");
    greyhound.declare(&(rest + &a + &b))?;
    greyhound.apply()?;
    ensure!(locals(&host)?["gh-b"] == "198.51.100.9", "its last holder gets it back at once");
    Ok(())
}

fn an_address_is_leased_again_at_once_when_none_rests(world: &World) -> Result<()> {
    let host = world.host("client")?;
    let [a, b, c] = [("a", 0), ("b", 1), ("c", 2)].map(|(name, pair)| unicast(name, AMS, pair, ""));
    let no_rest = "rest = \"0s\"\n".to_owned() + TWO;
    let greyhound = Greyhound::new(world, &host, &(no_rest.clone() + &a + &b))?;
    greyhound.apply()?;
    greyhound.declare(&(no_rest + &a + &c))?;
    // In one apply: b goes, and c takes over its address.
    greyhound.apply()?;
    ensure!(locals(&host)?["gh-c"] == "198.51.100.9", "{:?}", locals(&host)?);
    look::absent(&host, "gh-b")
}

fn a_tunnel_moves_to_a_fixed_address_in_place(world: &World) -> Result<()> {
    let host = world.host("client")?;
    let greyhound = Greyhound::new(world, &host, &(POOL.to_owned() + &unicast("ams", AMS, 0, "")))?;
    greyhound.apply()?;
    let index = look::index(&host, "gh-ams")?;
    let fixed = tunnel("ams", "unicast", "198.51.100.12", AMS, 0, "");
    greyhound.declare(&(POOL.to_owned() + &fixed))?;
    greyhound.apply()?;
    ensure!(look::index(&host, "gh-ams")? == index, "gh-ams was made anew");
    ensure!(look::gre(&host, "gh-ams", "local")? == "198.51.100.12", "its local address");
    let on_lo = look::addresses(&host, "lo")?;
    ensure!(on_lo == ["127.0.0.1/8", "198.51.100.12/32"], "{on_lo:?}");

    greyhound.declare(&(POOL.to_owned() + &unicast("ams", AMS, 0, "")))?;
    let outcome = greyhound.apply()?;
    ensure!(outcome["done"] == 0, "auto keeps what it has: {outcome}");
    Ok(())
}

fn leased_addresses_go_on_a_dummy_when_declared(world: &World) -> Result<()> {
    let host = world.host("client")?;
    let declared = "loopback = \"dummy0\"\n".to_owned() + POOL + &unicast("ams", AMS, 0, "");
    let greyhound = Greyhound::new(world, &host, &declared)?;
    let outcome = greyhound.apply_partly()?;
    ensure!(outcome["left"]["held"]["ams"].to_string().contains("there is no link dummy0"), "{outcome}");
    host.ip_batch("link add dummy0 type dummy\nlink set dummy0 up\n")?;
    greyhound.apply()?;
    ensure!(look::addresses(&host, "dummy0")? == ["198.51.100.8/32"], "on the dummy");
    ensure!(look::addresses(&host, "lo")? == ["127.0.0.1/8"], "not on lo");
    greyhound.ends(0, "flush")?;
    ensure!(look::addresses(&host, "dummy0")?.is_empty(), "taken off again");
    look::present(&host, "dummy0").map(drop)
}

fn leased_addresses_move_to_the_loopback_link_that_is_declared(world: &World) -> Result<()> {
    let (_underlay, [client, ams, _fra]) = three(world)?;
    client.ip_batch("link add dummy0 type dummy\nlink set dummy0 up\n")?;
    let tunnel = POOL.to_owned() + &unicast("ams", AMS, 0, "");
    let greyhound = Greyhound::new(world, &client, &tunnel)?;
    greyhound.apply()?;
    answer(&ams, "tun", &format!("local {AMS} remote 198.51.100.8"), 0)?;
    ping(&client, "169.254.10.1")?;
    for (link, other) in [("dummy0", "lo"), ("lo", "dummy0")] {
        greyhound.declare(&format!("loopback = \"{link}\"\n{tunnel}"))?;
        greyhound.apply()?;
        let leased = |link: &str| {
            let addresses = look::addresses(&client, link)?;
            Ok::<_, anyhow::Error>(addresses.contains(&"198.51.100.8/32".to_owned()))
        };
        ensure!(leased(link)? && !leased(other)?, "not moved to {link}");
        ping(&client, "169.254.10.1")?;
    }

    greyhound.declare(&format!("loopback = \"eth0\"\n{tunnel}"))?;
    let outcome = greyhound.apply_partly()?;
    let why = outcome["left"]["held"]["ams"].to_string();
    ensure!(why.contains("eth0 is a veth: set loopback to lo or a dummy link"), "{outcome}");
    ping(&client, "169.254.10.1")
}
