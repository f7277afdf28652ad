//! The filter: GRE of no tunnel of this host is dropped and counted, and nothing else is.

use super::fleet_kit::{AGREED, BEHIND, Fleet};
use super::moves::remotes;
use super::tunnels::{AMS, FRA, ping, three};
use crate::support::greyhound::{POOL, answer, unicast};
use crate::support::needs::{NETEM, Need};
use crate::support::scenario::{Scenario, scenario};
use crate::support::{Daemon, Greyhound, Host, Receiver, Result, Sender, World, bail, ensure, eventually};
use std::time::{Duration, Instant};

pub const NFT: Need = Need::Program("nft");

pub const SCENARIOS: &[Scenario] = &[
    scenario!(filter_drops_spoofed_gre_and_counts_it).needs(&[NFT]),
    scenario!(filter_is_replaced_a_hundred_times_and_foreign_tunnels_lose_nothing).needs(&[NFT]).exclusive(),
    scenario!(filter_lets_a_moved_tunnel_lose_nothing).needs(&[NFT]).exclusive(),
    scenario!(filter_of_an_edge_knows_its_sessions).needs(&[NFT, NETEM]),
    scenario!(filter_takes_ten_thousand_pairs_at_once).needs(&[NFT]).exclusive(),
];

pub const ON: &str = "[filter]\nenable = true\n";
/// An address of the client, inside, that spoofed packets are for.
const INNER: &str = "10.77.0.1:9000";
/// So many numbers are enough to see what becomes of them.
const ENOUGH: u64 = 300;

/// A pool, a tunnel to the first edge, and a filter or none.
pub fn declaration(filter: &str) -> String {
    filter.to_owned() + POOL + &unicast("ams", AMS, 0, "routes = [\"10.20.0.0/16\"]")
}

/// The first edge's end of that tunnel.
pub fn peer(ams: &Host) -> Result<()> {
    answer(ams, "tun", &format!("local {AMS} remote 198.51.100.8"), 0)?;
    ams.ip("address add 10.20.0.1/32 dev lo")?;
    Ok(())
}

/// What our table lists of a set.
pub fn listed(host: &Host, set: &str) -> Result<String> {
    Ok(host.exec(["nft", "list", "set", "ip", "greyhound", set])?.stdout)
}

fn sent(sender: &Sender, count: u64) -> Result<()> {
    eventually(Duration::from_secs(30), || {
        ensure!(sender.sent() >= count, "only {} sent", sender.sent());
        Ok(())
    })
}

/// A tunnel that nobody agreed to: what it sends is for an address inside the client.
fn spoof(from: &Host, name: &str, outer: &str) -> Result<()> {
    // Or it would say more than what is counted.
    from.sysctl("net.ipv6.conf.default.disable_ipv6", "1")?;
    from.ip_batch(&format!(
        "link add {name} type gre {outer}\naddress add 10.77.1.1/32 dev {name}\nlink set {name} up\n"
    ))
}

/// How many numbers come to the client, of so many that are sent by this link.
fn through(client: &Host, from: &Host, link: &str) -> Result<(u64, u64)> {
    let receiver = Receiver::start(client, INNER.parse()?)?;
    let sender = Sender::start_on(from, link, INNER.parse()?)?;
    sent(&sender, ENOUGH)?;
    let sent = sender.stop();
    Ok((sent, receiver.numbers(sent)?.len() as u64))
}

/// The kernel's fallback device takes what no tunnel takes, once somebody sets it up.
fn filter_drops_spoofed_gre_and_counts_it(world: &World) -> Result<()> {
    let (_underlay, [client, ams, fra]) = three(world)?;
    let greyhound = Greyhound::new(world, &client, &declaration(""))?;
    greyhound.apply()?;
    peer(&ams)?;
    client.ip_batch("link set gre0 up\naddress add 10.77.0.1/32 dev lo\n")?;
    spoof(&fra, "stranger", &format!("local {FRA} remote 198.51.100.8"))?;
    spoof(&ams, "elsewhere", &format!("local {AMS} remote 192.0.2.10"))?;
    let both = [(&fra, "stranger"), (&ams, "elsewhere")];
    for (from, link) in both {
        let (sent, came) = through(&client, from, link)?;
        ensure!(came == sent, "without a filter all of it is taken: {came} of {sent} by {link}");
    }
    greyhound.declare(&declaration(ON))?;
    let plan = greyhound.ends(0, "plan")?.stdout;
    ensure!(plan.contains("+ filter table ip greyhound, which lets GRE of 1 pair(s) in"), "{plan}");
    greyhound.apply()?;
    let mut expected = 0;
    for (from, link) in both {
        let (sent, came) = through(&client, from, link)?;
        ensure!(came == 0, "{came} of {sent} by {link}");
        expected += sent;
    }
    let filter = greyhound.json(0, "status")?["filter"].clone();
    ensure!(
        filter["dropped"] == expected && filter["pairs"] == 1 && filter["trouble"].is_null(),
        "{expected}: {filter}"
    );
    let shown = greyhound.ends(0, "status")?.stdout;
    ensure!(shown.contains("# filter: GRE of 1 pair(s) is let in; "), "{shown}");
    ping(&client, "10.20.0.1")?;
    // What is allowed is let in, too, and the table is not made anew for it.
    greyhound.declare(&declaration(&format!("{ON}allow = [\"{FRA}/32\", \"203.0.115.0/24\"]\n")))?;
    greyhound.apply()?;
    let (sent, came) = through(&client, &fra, "stranger")?;
    ensure!(came == sent, "{came} of {sent}");
    let (sent, came) = through(&client, &ams, "elsewhere")?;
    let dropped = greyhound.json(0, "status")?["filter"]["dropped"].clone();
    ensure!(came == 0 && dropped == expected + sent, "{dropped}, not {expected} and {sent}");
    Ok(())
}

fn filter_is_replaced_a_hundred_times_and_foreign_tunnels_lose_nothing(world: &World) -> Result<()> {
    const TIMES: usize = 100;
    let (_underlay, [client, ams, fra]) = three(world)?;
    client.ip_batch(&format!(
        "address add 10.77.0.1/32 dev lo\n\
         link add legacy type gre local 192.0.2.10 remote {FRA}\nlink set legacy up\n\
         link add wild type gre local any remote {AMS} key 7\nlink set wild up\n"
    ))?;
    spoof(&fra, "legacy", &format!("local {FRA} remote 192.0.2.10"))?;
    spoof(&ams, "wild", &format!("local {AMS} remote 192.0.2.10 key 7"))?;
    let greyhound = Greyhound::new(world, &client, &declaration(ON))?;
    greyhound.apply()?;
    peer(&ams)?;
    client.ip("address add 10.77.0.2/32 dev lo")?;
    client.ip("address add 10.77.0.3/32 dev lo")?;
    let streams = [(&fra, "legacy", "10.77.0.2:9000"), (&ams, "wild", "10.77.0.3:9000")];
    let mut running = Vec::new();
    for (from, link, to) in streams {
        let receiver = Receiver::start(&client, to.parse()?)?;
        running.push((link, receiver, Sender::start_on(from, link, to.parse()?)?));
    }
    let (mut replaced, mut late) = (0, 0);
    while replaced < TIMES {
        // What is not as it was made is replaced whole.
        client.exec(["nft", "add", "chain", "ip", "greyhound", "somebodys"])?;
        let applied = greyhound.run("apply -j")?;
        // An emulated machine under streams may start no program within the time that nft has: that is tried again.
        match applied.status.code() {
            Some(0) => replaced += 1,
            Some(4) if applied.stdout.contains("nft has not ended within") && late < TIMES => late += 1,
            _ => bail!("replacement {replaced}: {}{}", applied.stdout, applied.stderr),
        }
    }
    let table = client.exec(["nft", "list", "table", "ip", "greyhound"])?.stdout;
    ensure!(!table.contains("somebodys"), "{table}");
    ping(&client, "10.20.0.1")?;
    for (link, receiver, sender) in running {
        let report = receiver.report(sender.stop())?;
        report.complete().map_err(|error| error.context(link))?;
        println!("{link}: {report} over {replaced} replacements and {late} that came late");
    }
    ensure!(greyhound.json(0, "status")?["filter"]["dropped"] == 0);
    Ok(())
}

/// Both endpoints are addresses of one edge, which filters as well: so does the client.
fn filter_lets_a_moved_tunnel_lose_nothing(world: &World) -> Result<()> {
    const OTHER: &str = "203.0.113.2";
    let (_underlay, [client, edge, _fra]) = three(world)?;
    edge.ip(&format!("address add {OTHER}/24 dev eth0"))?;
    let moved = ON.to_owned() + &remotes(AMS, OTHER);
    let here = Greyhound::new(world, &client, &moved)?;
    let _daemon = Daemon::start(&here)?;
    let ends = [("tun", AMS, 4), ("other", OTHER, 5)].map(|(name, local, pair)| {
        format!(
            "[[tunnel]]\nname = \"{name}\"\nkind = \"unicast\"\nlocal = \"{local}\"\nremote = \"198.51.100.8\"\n\
             overlay = \"169.254.10.{}/31\"\n",
            pair * 2
        )
    });
    let there = Greyhound::new(world, &edge, &(ON.to_owned() + &ends.concat()))?;
    there.apply()?;
    edge.ip_batch("address add 169.254.10.1/32 dev lo\n")?;
    let comes_back_by =
        |name: &str| edge.ip(&format!("route replace 169.254.10.0/32 dev {name} src 169.254.10.1"));
    comes_back_by("gh-tun")?;
    let receiver = Receiver::start(&edge, "169.254.10.1:9000".parse()?)?;
    let sender = Sender::start(&client, "169.254.10.1:9000".parse()?)?;
    let pairs = listed(&client, "pairs")?;
    ensure!(pairs.contains(&format!("{AMS} . 198.51.100.8")) && pairs.contains(OTHER), "{pairs}");
    for (to, by) in [(OTHER, "gh-other"), (AMS, "gh-tun"), (OTHER, "gh-other")] {
        sent(&sender, sender.sent() + ENOUGH)?;
        here.ends(0, &format!("tunnel move ams --to {to}"))?;
        comes_back_by(by)?;
        ping(&client, "169.254.10.1")?;
    }
    receiver.report(sender.stop())?.complete()?;
    for greyhound in [&here, &there] {
        let filter = greyhound.json(0, "status")?["filter"].clone();
        ensure!(filter["dropped"] == 0 && filter["trouble"].is_null(), "{filter}");
    }
    Ok(())
}

fn filter_of_an_edge_knows_its_sessions(world: &World) -> Result<()> {
    let fleet = Fleet::build(world, "")?;
    let _daemons = fleet.start()?;
    let filter = |pairs: usize| {
        eventually(AGREED, || {
            let filter = fleet.ams.json(0, "status")?["filter"].clone();
            let as_it_should =
                filter["enabled"] == true && filter["trouble"].is_null() && filter["pairs"] == pairs;
            ensure!(as_it_should, "not {pairs} pair(s): {filter}");
            Ok(())
        })
    };
    filter(0)?;
    ensure!(
        fleet.client.json(0, "status")?["filter"]["enabled"] == false,
        "a host has none unless it says so"
    );
    let session = fleet.client.json(0, "connect unicast --device ams-1")?["session"].clone();
    ping(&fleet.client.host, BEHIND)?;
    filter(1)?;
    let termination = session["termination"].as_str().unwrap_or_default();
    let pairs = listed(&fleet.ams.host, "pairs")?;
    ensure!(pairs.contains(&format!(" . {termination} ")), "{termination}: {pairs}");
    fleet.client.json(0, "disconnect --all")?;
    filter(0)?;
    let pairs = listed(&fleet.ams.host, "pairs")?;
    ensure!(!pairs.contains(termination), "{pairs}");
    Ok(())
}

/// Every remote that a tunnel may move to is let in, so few links make many pairs.
fn filter_takes_ten_thousand_pairs_at_once(world: &World) -> Result<()> {
    const TUNNELS: u32 = 160;
    const REMOTES: u32 = 64;
    let host = world.host("host")?;
    host.ip_batch("link add up0 type veth peer name up1\nlink set up0 up\nlink set up1 up\naddress add 192.0.2.10/24 dev up0\nroute add default via 192.0.2.254\n")?;
    let tunnels: String = (0..TUNNELS)
        .map(|n| {
            let remotes: Vec<_> = (0..REMOTES).map(|r| format!("\"203.0.{n}.{}\"", r + 1)).collect();
            format!(
                "[[tunnel]]\nname = \"t{n}\"\nkind = \"unicast\"\nlocal = \"192.0.2.10\"\nremote = [{}]\noverlay = \"169.254.{n}.0/31\"\n",
                remotes.join(", ")
            )
        })
        .collect();
    let greyhound = Greyhound::new(world, &host, &tunnels)?;
    greyhound.ends(0, "apply")?;
    let timed = |verb: &str| -> Result<Duration> {
        let begun = Instant::now();
        greyhound.ends(0, verb)?;
        Ok(begun.elapsed())
    };
    let without = timed("apply")?;
    greyhound.declare(&(ON.to_owned() + &tunnels))?;
    let made = timed("apply")?;
    let kept = timed("apply")?;
    let filter = greyhound.json(0, "status")?["filter"].clone();
    ensure!(filter["pairs"] == TUNNELS * REMOTES && filter["trouble"].is_null(), "{filter}");
    let begun = Instant::now();
    host.exec(["nft", "-j", "list", "table", "ip", "greyhound"])?;
    let listing = begun.elapsed();
    println!(
        "{} pairs: an apply without the filter {without:?}, one that makes it {made:?}, one that finds it {kept:?}; nft lists it in {listing:?}",
        TUNNELS * REMOTES
    );
    Ok(())
}
