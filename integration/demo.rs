//! `make demo`: the main job, shown in the lab in plain words. It fails when anything it says did not happen.
//!
//! Two edge boxes and a client are network namespaces around a router. A daemon runs on all three, and they share an
//! inventory. Every line with a `$` is a command that was run there, and what follows is what it printed.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

#[allow(dead_code, unused_imports, unused_macros, reason = "a kit: the demo uses a part of it")]
mod support;
#[allow(dead_code, unused_imports, reason = "the kit stands on it")]
mod witness;

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::underlay::Way;
use support::{
    Capture, Daemon, Greyhound, Host, Leaf, Receiver, Result, Sender, Underlay, World, bail, ensure,
    eventually, packet, world,
};
use witness::{Snapshot, look};

/// Packets sent through a tunnel.
const PACKETS: u64 = 300;
const PORT: u16 = 9000;
/// The fleet agrees within this time, also on a slow machine.
const AGREED: Duration = Duration::from_secs(60);
/// What is behind each edge box.
const BEHIND: &str = "10.9.0.1";
const GROUP: &str = "239.1.0.1";

/// Two edge boxes: name, code, address, prefix for terminations.
const EDGES: [[&str; 4]; 2] =
    [["ams", "ams-1", "203.0.113.1", "198.51.100.8/29"], ["fra", "fra-1", "203.0.114.1", "198.51.100.16/29"]];

/// Tunnels that a host has by its own declaration.
const DECLARED: &str = "
[[pool]]
name = \"loopbacks\"
purpose = \"termination\"
ranges = [\"198.51.100.32-198.51.100.39\"]

[[tunnel]]
name = \"ams\"
kind = \"unicast\"
local = \"auto\"
remote = \"203.0.113.1\"
overlay = \"169.254.10.0/31\"
routes = [\"10.20.0.0/16\"]
";

/// The hosts, and greyhound on each.
struct Fleet {
    client: Greyhound,
    edges: [Greyhound; 2],
}

fn main() -> ExitCode {
    match world::open_base().and_then(|_base| show()) {
        Ok(()) => {
            println!("\nEverything above was seen to happen.");
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("\nThe demo failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn show() -> Result<()> {
    let world = World::new()?;
    let (_underlay, fleet) = build(&world)?;
    let client = &fleet.client;
    title("2. The edge boxes register themselves, and an operator lets them in");
    let _edges = registered(&fleet)?;
    title("3. The client measures every termination that is offered; the best come first");
    let daemon = start(client)?;
    measured(client)?;
    let before = kernels(&fleet)?;
    title("4. The client connects: the nearest termination is leased, and both ends build the tunnel");
    let [unicast, multicast] = connected(client)?;
    title("5. Traffic through both, and what it looks like outside");
    pinged(&fleet, &unicast)?;
    fed(&fleet, &multicast)?;
    title("6. What there is now");
    let shown = ask(client, "status")?;
    ensure!(shown.contains("web-1/unicast") && shown.contains("web-1/multicast"), "not both are shown");
    ask(&fleet.edges[0], "status")?;
    ask(client, "lease list")?;
    title("7. The daemon keeps it so: a tunnel is deleted behind its back");
    repaired(client)?;
    title("8. The daemon is killed with SIGKILL under traffic, and started again");
    let daemon = killed(&fleet, daemon)?;
    title("9. The client disconnects, and nothing of it is left on any of the three");
    disconnected(&fleet, &before)?;
    daemon.stop()?;
    title("10. Tunnels can also be declared by hand, without any inventory and without a daemon");
    by_hand(&world, client)
}

/// Underlay and declarations. Nothing of greyhound runs yet.
fn build(world: &World) -> Result<(Underlay, Fleet)> {
    title("1. Two edge boxes (ams, fra) and a client, each a network namespace on one underlay");
    let [[ams, _, ams_ip, ams_prefix], [fra, _, fra_ip, fra_prefix]] = EDGES;
    let [ams_at, fra_at] = [ams_ip, fra_ip].map(|address| format!("{address}/24"));
    let leaves = [
        Leaf::new("client", "192.0.2.10/24").owns("198.51.100.32/29"),
        Leaf::new(ams, &ams_at).owns(ams_prefix),
        Leaf::new(fra, &fra_at).owns(fra_prefix),
    ];
    let (underlay, [client, ams, fra]) = Underlay::build(world, leaves)?;
    underlay.impair(&fra, Way::To, "delay 20ms")?;
    println!("   client 192.0.2.10; ams {ams_ip}; fra {fra_ip}, which is 20 ms farther away.");
    println!("   {BEHIND} is behind both edge boxes. All three share an inventory, a file.\n");
    for edge in [&ams, &fra] {
        edge.sysctl("net.ipv4.ip_forward", "1")?;
        edge.ip_batch(&format!(
            "link add behind type dummy\naddress add {BEHIND}/32 dev behind\nlink set behind up\n"
        ))?;
    }
    let inventory = world.folder().join("inventory/inventory.db").display().to_string();
    let edges = [
        declare(world, &ams, &edge(EDGES[0], &inventory))?,
        declare(world, &fra, &edge(EDGES[1], &inventory))?,
    ];
    let client = declare(world, &client, &host(&inventory))?;
    Ok((underlay, Fleet { client, edges }))
}

fn edge([_, code, address, prefix]: [&str; 4], inventory: &str) -> String {
    format!(
        "role = \"edge\"\n\n[inventory]\npath = \"{inventory}\"\n\n[device]\ncode = \"{code}\"\n\
         public_ip = \"{address}\"\nprefixes = [\"{prefix}\"]\nterminations = 2\n"
    )
}

fn host(inventory: &str) -> String {
    format!(
        "\n[inventory]\npath = \"{inventory}\"\n\n[host]\nname = \"web-1\"\nroutes = [\"10.9.0.0/16\"]\n\n\
         [probe]\ninterval = \"500ms\"\n\n[[pool]]\nname = \"loopbacks\"\npurpose = \"termination\"\n\
         ranges = [\"198.51.100.32-198.51.100.39\"]\n"
    )
}

/// Shows the declaration as it is, but for the lines that say where greyhound keeps its things here.
fn declare(world: &World, host: &Host, text: &str) -> Result<Greyhound> {
    let greyhound = Greyhound::new(world, host, text)?;
    // The second edge box's is like the first one's.
    if host.name() != EDGES[1][0] {
        println!("   {} $ cat greyhound.toml", host.name());
        let begins = if text.starts_with('\n') { "" } else { "[daemon]\n" };
        println!("{}\n", indent(&format!("{begins}{}", text.trim_start())));
    }
    Ok(greyhound)
}

fn registered(fleet: &Fleet) -> Result<[Daemon; 2]> {
    let [ams, fra] = &fleet.edges;
    let daemons = [start(ams)?, start(fra)?];
    for [_, code, _, _] in EDGES {
        eventually(AGREED, || {
            let shown = fleet.client.json(0, "device list")?;
            let devices = shown.as_array().cloned().unwrap_or_default();
            let offers = devices.iter().any(|device| device["code"] == code);
            ensure!(offers, "{code} has not registered itself: {shown}");
            Ok(())
        })?;
    }
    let client = &fleet.client;
    ask(client, "device list")?;
    ask(client, "device set ams-1 --status activated")?;
    ask(client, "device set fra-1 --status activated")?;
    ask(client, "pool add inside --purpose overlay --range 169.254.20.0/24")?;
    ask(client, "pool add clients --purpose client --range 10.8.0.0/24")?;
    Ok(daemons)
}

/// All four terminations, those of ams before those of fra.
fn measured(client: &Greyhound) -> Result<()> {
    eventually(AGREED, || {
        let shown = client.json(0, "latency")?;
        let rows = shown["terminations"].as_array().cloned().unwrap_or_default();
        let of = |code: &str| -> Vec<f64> {
            let theirs = rows.iter().filter(|row| row["device"] == code);
            theirs.filter_map(|row| row["latency_ms"].as_f64()).collect()
        };
        let (near, far) = (of("ams-1"), of("fra-1"));
        ensure!(near.len() == 2 && far.len() == 2, "not all are measured: {shown}");
        let farther = far.iter().all(|ms| *ms >= 20.0) && near.iter().all(|ms| *ms < 10.0);
        ensure!(farther, "fra is not clearly farther: {shown}");
        Ok(())
    })?;
    ask(client, "latency").map(drop)
}

fn connected(client: &Greyhound) -> Result<[Value; 2]> {
    ask(client, "connect unicast")?;
    ask(client, &format!("connect multicast --subscribe {GROUP}"))?;
    let sessions = eventually(AGREED, || {
        let status = client.json(0, "status")?;
        let named = |name: &str| {
            let all = status["sessions"].as_array().cloned().unwrap_or_default();
            all.into_iter().find(|session| session["tunnel"] == name && session["state"] == "ready")
        };
        let (Some(unicast), Some(multicast)) = (named("unicast"), named("multicast")) else {
            bail!("not both sessions are ready: {status}");
        };
        Ok([unicast, multicast])
    })?;
    let [unicast, multicast] = &sessions;
    for session in &sessions {
        ensure!(session["device"] == "ams-1", "it is not with the nearest device: {session}");
    }
    for end in ["termination", "bound"] {
        ensure!(unicast[end] != multicast[end], "both have one {end}: {multicast}");
    }
    println!(
        "   The second has the next best termination of the same device, and its own address on the client."
    );
    Ok(sessions)
}

/// A ping through the unicast tunnel, as it leaves the client.
fn pinged(fleet: &Fleet, session: &Value) -> Result<()> {
    let host = &fleet.client.host;
    let capture = Capture::start(host, "eth0")?;
    println!("   client $ ping -c 3 {BEHIND}");
    let said = host.exec(["ping", "-c", "3", "-i", "0.3", "-W", "5", BEHIND])?.stdout;
    ensure!(said.contains(" 0% packet loss"), "{said}");
    println!("{}", indent(&said));
    let seen = outside(&capture.stop()?, BEHIND.parse()?);
    let expected = (address(session, "bound")?, address(session, "termination")?);
    ensure!(seen == BTreeSet::from([expected]), "outside: {seen:?}, and leased was {expected:?}");
    println!("   On the client's eth0 these were GRE packets from {} to {}.", expected.0, expected.1);
    Ok(())
}

/// A stream to the group, from the edge into its end of the multicast tunnel.
fn fed(fleet: &Fleet, session: &Value) -> Result<()> {
    let (client, ams) = (&fleet.client.host, &fleet.edges[0].host);
    let link = edge_link(ams, session)?;
    let inside: Ipv4Addr = look::addresses(client, "gh-multicast")?
        .iter()
        .find_map(|address| address.strip_suffix("/31")?.parse().ok())
        .expect("an address inside");
    let to = SocketAddrV4::new(GROUP.parse()?, PORT);
    let receiver = Receiver::join(client, to, inside)?;
    let capture = Capture::start(client, "eth0")?;
    let sender = Sender::start_on(ams, &link, to)?;
    sent(&sender, PACKETS)?;
    let report = receiver.report(sender.stop())?;
    let seen = outside(&capture.stop()?, *to.ip());
    report.complete()?;
    let expected = (address(session, "termination")?, address(session, "bound")?);
    ensure!(seen == BTreeSet::from([expected]), "outside: {seen:?}, and leased was {expected:?}");
    println!(
        "   ams sends {} packets to {GROUP} into {link}; the client, which has joined the group on gh-multicast,\n   \
         has received {} of them. On its eth0 these were GRE packets from {} to {}.",
        report.sent, report.received, expected.0, expected.1
    );
    Ok(())
}

/// Source and destination of the packets that carry something for this address.
fn outside(seen: &[packet::Packet], to: Ipv4Addr) -> BTreeSet<(Ipv4Addr, Ipv4Addr)> {
    let carries = |packet: &&packet::Packet| packet.inner().is_some_and(|inner| inner.destination == to);
    seen.iter().filter(carries).map(|packet| (packet.source, packet.destination)).collect()
}

/// The edge's link of a session, by its address outside.
fn edge_link(edge: &Host, session: &Value) -> Result<String> {
    let links = edge.json("-d link show type gre")?;
    let links = links.as_array().cloned().unwrap_or_default();
    let ours = |link: &&Value| link["linkinfo"]["info_data"]["local"] == session["termination"];
    let name = links.iter().find(ours).and_then(|link| link["ifname"].as_str());
    name.map_or_else(|| bail!("{} has no link for {session}", edge.name()), |name| Ok(name.to_owned()))
}

fn repaired(client: &Greyhound) -> Result<()> {
    let host = &client.host;
    let before = look::addresses(host, "gh-unicast")?;
    println!("   client $ ip link delete gh-unicast");
    host.ip("link delete gh-unicast")?;
    let begun = Instant::now();
    eventually(Duration::from_secs(10), || {
        look::present(host, "gh-unicast")?;
        ensure!(look::addresses(host, "gh-unicast")? == before, "not all addresses are there yet");
        Ok(())
    })?;
    let took = begun.elapsed().as_millis();
    println!("   gh-unicast is there again, with its addresses, as `ip` saw after {took} ms.");
    println!("   client $ greyhound events");
    let events = client.ends(0, "events")?.stdout;
    let repairs: Vec<&str> = events.lines().filter(|line| line.contains("repair")).collect();
    ensure!(
        repairs.iter().any(|line| line.contains("link gh-unicast deleted")),
        "no repair is told: {events}"
    );
    println!("{}", indent(&repairs.join("\n")));
    Ok(())
}

/// A stream through the unicast tunnel meanwhile, counted by its numbers at the edge.
fn killed(fleet: &Fleet, daemon: Daemon) -> Result<Daemon> {
    let host = &fleet.client.host;
    let index = look::index(host, "gh-unicast")?;
    let to = SocketAddrV4::new(BEHIND.parse()?, PORT);
    let receiver = Receiver::start(&fleet.edges[0].host, to)?;
    let sender = Sender::start(host, to)?;
    sent(&sender, PACKETS)?;
    println!("   client $ kill -KILL {}", daemon.pid());
    daemon.kill()?;
    sent(&sender, PACKETS)?;
    let daemon = start(&fleet.client)?;
    sent(&sender, PACKETS)?;
    let report = receiver.report(sender.stop())?;
    report.complete()?;
    ensure!(look::index(host, "gh-unicast")? == index, "gh-unicast was made anew");
    let (sent, lost) = (report.sent, report.lost);
    println!(
        "   Of {sent} packets through it, 1,000 a second, {lost} were lost; gh-unicast is the same link as before."
    );
    Ok(daemon)
}

/// So many more were sent.
fn sent(sender: &Sender, packets: u64) -> Result<()> {
    let until = sender.sent() + packets;
    eventually(AGREED, || {
        ensure!(sender.sent() >= until, "the stream has stopped");
        Ok(())
    })
}

fn disconnected(fleet: &Fleet, before: &[Snapshot; 3]) -> Result<()> {
    let client = &fleet.client;
    ask(client, "disconnect --all")?;
    ask(client, "session list")?;
    ensure!(client.json(0, "session list")? == Value::Array(Vec::new()), "a session is left");
    eventually(AGREED, || {
        let now = kernels(fleet)?;
        before.iter().zip(&now).try_for_each(|(before, now)| before.expect_unchanged(now))
    })?;
    println!(
        "   Links, addresses, routes and rules of all three are what they were before the client connected."
    );
    let kept = look::ours(&client.host)?;
    let kept: Vec<&str> = kept.objects().map(|object| object.identity.as_str()).collect();
    println!("   Of greyhound's, the client has what its probes leave from: {}", kept.join(", "));
    ask(client, "flush")?;
    look::nothing_of_ours(&client.host)?;
    println!("   And now nothing.");
    Ok(())
}

fn by_hand(world: &World, client: &Greyhound) -> Result<()> {
    let client = declare(world, &client.host, DECLARED)?;
    ask(&client, "plan")?;
    ask(&client, "apply")?;
    look::goes_by(&client.host, "10.20.0.1", "gh-ams")?;
    ask(&client, "status")?;
    ask(&client, "flush")?;
    look::nothing_of_ours(&client.host)
}

fn kernels(fleet: &Fleet) -> Result<[Snapshot; 3]> {
    let [ams, fra] = &fleet.edges;
    Ok([Snapshot::take(&fleet.client.host)?, Snapshot::take(&ams.host)?, Snapshot::take(&fra.host)?])
}

fn address(session: &Value, field: &str) -> Result<Ipv4Addr> {
    Ok(session[field].as_str().unwrap_or_default().parse()?)
}

fn start(greyhound: &Greyhound) -> Result<Daemon> {
    println!("   {} $ greyhound daemon &", greyhound.host.name());
    Daemon::start(greyhound)
}

/// Shows a verb, which must do what it is asked, and what it printed.
fn ask(greyhound: &Greyhound, verb: &str) -> Result<String> {
    println!("   {} $ greyhound {verb}", greyhound.host.name());
    let said = greyhound.ends(0, verb)?.stdout;
    println!("{}", indent(&said));
    Ok(said)
}

fn title(text: &str) {
    println!("\n{text}");
}

fn indent(text: &str) -> String {
    let lines = text.trim_end().lines();
    lines.map(|line| format!("     {line}").trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}
