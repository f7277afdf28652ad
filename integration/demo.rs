//! `make demo`: the main job, and the daemon that keeps it done, shown in the lab in plain words. It fails when anything it says did not happen.
//!
//! Two edge boxes and a client are network namespaces around a router. greyhound runs on all three.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

#[allow(dead_code, unused_imports, unused_macros, reason = "a kit: the demo uses a part of it")]
mod support;
#[allow(dead_code, unused_imports, reason = "the kit stands on it")]
mod witness;

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use comfy_table::{Table, presets};
use support::daemon::Daemon;
use support::{
    Capture, Greyhound, Host, Leaf, Receiver, Result, Sender, Underlay, World, ensure, eventually, packet,
    world,
};
use witness::look;

/// Packets sent through each tunnel.
const PACKETS: u64 = 300;
const PORT: u16 = 9000;

/// One tunnel of the story, seen from the client.
struct Story {
    name: &'static str,
    kind: &'static str,
    /// The address that the client is expected to lease for it.
    local: &'static str,
    edge: usize,
    /// Our side inside the tunnel; the edge has the next address.
    overlay: [&'static str; 2],
    group: Option<&'static str>,
}

const EDGES: [(&str, &str); 2] = [("ams", "203.0.113.1"), ("fra", "192.0.2.1")];

const TUNNELS: [Story; 4] = [
    Story {
        name: "ams",
        kind: "unicast",
        local: "198.51.100.8",
        edge: 0,
        overlay: ["169.254.10.0", "169.254.10.1"],
        group: None,
    },
    Story {
        name: "ams-feed",
        kind: "multicast",
        local: "198.51.100.9",
        edge: 0,
        overlay: ["169.254.10.2", "169.254.10.3"],
        group: Some("239.1.1.1"),
    },
    Story {
        name: "fra",
        kind: "unicast",
        local: "198.51.100.10",
        edge: 1,
        overlay: ["169.254.10.4", "169.254.10.5"],
        group: None,
    },
    Story {
        name: "fra-feed",
        kind: "multicast",
        local: "198.51.100.11",
        edge: 1,
        overlay: ["169.254.10.6", "169.254.10.7"],
        group: Some("239.1.2.1"),
    },
];

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
    let client = Leaf::new("client", "192.0.3.10/24").owns("198.51.100.0/24");
    let edges = [Leaf::new("ams", "203.0.113.1/24"), Leaf::new("fra", "192.0.2.1/24")];
    let [ams, fra] = edges;
    let (_underlay, [client, ams, fra]) = Underlay::build(&world, [client, ams, fra])?;
    let edges = [ams, fra];
    title("1. Two edge boxes (ams, fra) and a client, each a network namespace on one underlay");
    println!("   client 192.0.3.10, its reserved range 198.51.100.8-15; ams 203.0.113.1; fra 192.0.2.1");

    let greyhound = Greyhound::new(&world, &client, &client_text())?;
    let config = greyhound.file().to_owned();
    title("2. The client declares two unicast and two multicast tunnels; what would change in its kernel?");
    println!("{}", indent(&run(&client, &config, &["plan"])?));
    title("3. It is applied, and read back; the edge boxes do the same with theirs");
    println!("{}", indent(&run(&client, &config, &["apply"])?));
    for (edge, (name, _)) in edges.iter().zip(EDGES) {
        let config = declare(&world, name, &edge_text(name))?;
        println!("{}", indent(&run(edge, &config, &["apply"])?));
    }
    println!("{}", indent(&run(&client, &config, &["status"])?));

    title("4. Traffic through each tunnel, and the outer source address seen at the edge");
    traffic(&client, &edges)?;
    title("5. Who holds which address, and which one comes next");
    println!("{}", indent(&run(&client, &config, &["lease", "list"])?));
    println!("{}", indent(&run(&client, &config, &["pool", "list"])?));
    title("6. The daemon keeps it so: a tunnel is deleted behind its back");
    let daemon = Daemon::start(&greyhound)?;
    repaired(&client, &config)?;
    title("7. The daemon is killed with SIGKILL under traffic, and started again");
    let daemon = killed(&greyhound, &edges, daemon)?;
    println!("{}", indent(&run(&client, &config, &["status"])?));
    daemon.stop()?;
    title("8. flush takes away what greyhound made, and nothing else");
    println!("{}", indent(&run(&client, &config, &["flush"])?));
    nothing_left(&client)
}

fn traffic(client: &Host, edges: &[Host; 2]) -> Result<()> {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header(["tunnel", "kind", "to", "outer source", "leased", "sent", "received", "lost"]);
    let mut sources = BTreeSet::new();
    for story in &TUNNELS {
        let edge = &edges[story.edge];
        let inside: Ipv4Addr = story.overlay[1].parse()?;
        let to = story.group.map_or(Ok(inside), str::parse)?;
        let receiver = match story.group {
            None => Receiver::start(edge, SocketAddrV4::new(to, PORT))?,
            Some(_) => Receiver::join(edge, SocketAddrV4::new(to, PORT), inside)?,
        };
        let capture = Capture::start(edge, "eth0")?;
        let sender = Sender::start(client, SocketAddrV4::new(to, PORT))?;
        eventually(Duration::from_secs(30), || {
            ensure!(sender.sent() >= PACKETS, "only {} sent", sender.sent());
            Ok(())
        })?;
        let report = receiver.report(sender.stop())?;
        let carries = |packet: &&packet::Packet| packet.inner().is_some_and(|inner| inner.destination == to);
        let seen = capture.stop()?;
        let outer: BTreeSet<Ipv4Addr> = seen.iter().filter(carries).map(|packet| packet.source).collect();
        let outer: Vec<String> = outer.iter().map(ToString::to_string).collect();
        ensure!(outer == [story.local], "{}: outer sources {outer:?}, leased {}", story.name, story.local);
        ensure!(sources.insert(outer[0].clone()), "{} shares its outer source", story.name);
        report.complete()?;
        let (sent, received, lost) = (report.sent, report.received, report.lost);
        table.add_row([
            story.name,
            story.kind,
            &to.to_string(),
            &outer[0],
            story.local,
            &sent.to_string(),
            &received.to_string(),
            &lost.to_string(),
        ]);
    }
    println!("{}", indent(&table.to_string()));
    println!(
        "   {} tunnels over one underlay link, {} distinct outer sources.",
        TUNNELS.len(),
        sources.len()
    );
    Ok(())
}

fn repaired(client: &Host, config: &Path) -> Result<()> {
    println!("   client $ ip link delete gh-ams");
    client.ip("link delete gh-ams")?;
    let begun = Instant::now();
    eventually(Duration::from_secs(10), || {
        look::present(client, "gh-ams")?;
        ensure!(look::addresses(client, "gh-ams")? == ["169.254.10.0/31"], "no address yet");
        Ok(())
    })?;
    println!(
        "   gh-ams is there again, with its address, as `ip` saw after {} ms.",
        begun.elapsed().as_millis()
    );
    let events = run(client, config, &["events"])?;
    let repairs: Vec<&str> = events.lines().filter(|line| line.contains("repair")).collect();
    ensure!(repairs.iter().any(|line| line.contains("link gh-ams deleted")), "no repair is told: {events}");
    println!("{}", indent(&repairs.join("\n")));
    Ok(())
}

/// A stream through the tunnel fra meanwhile, counted by its numbers at the edge.
fn killed(greyhound: &Greyhound, edges: &[Host; 2], daemon: Daemon) -> Result<Daemon> {
    let client = &greyhound.host;
    let index = look::index(client, "gh-fra")?;
    let to = SocketAddrV4::new(TUNNELS[2].overlay[1].parse()?, PORT);
    let receiver = Receiver::start(&edges[1], to)?;
    let sender = Sender::start(client, to)?;
    let wait = |packets: u64| {
        let until = sender.sent() + packets;
        eventually(Duration::from_secs(30), || {
            ensure!(sender.sent() >= until, "the stream has stopped");
            Ok(())
        })
    };
    wait(PACKETS)?;
    println!("   client $ kill -KILL {}", daemon.pid());
    daemon.kill()?;
    wait(PACKETS)?;
    println!("   client $ greyhound daemon");
    let daemon = Daemon::start(greyhound)?;
    wait(PACKETS)?;
    let report = receiver.report(sender.stop())?;
    report.complete()?;
    ensure!(look::index(client, "gh-fra")? == index, "gh-fra was made anew");
    println!(
        "   of {} packets through fra, 1,000 a second, {} were lost; gh-fra is the same link as before.",
        report.sent, report.lost
    );
    Ok(daemon)
}

fn nothing_left(client: &Host) -> Result<()> {
    let links = client.ip("-o link")?.stdout;
    ensure!(!links.contains("gh-"), "links are left: {links}");
    let addresses = client.ip("-o -4 address")?.stdout;
    ensure!(!addresses.contains("198.51.100."), "addresses are left: {addresses}");
    let rules = client.ip("rule")?.stdout;
    ensure!(!rules.contains("4700"), "rules are left: {rules}");
    println!("   no link, address, route or rule of ours is left; the client's eth0 is as it was.");
    ensure!(client.ip("-o -4 address show dev eth0")?.stdout.contains("192.0.3.10/24"), "eth0 has changed");
    Ok(())
}

fn client_text() -> String {
    let mut text = "[[pool]]\nname = \"loopbacks\"\npurpose = \"termination\"\n\
                    ranges = [\"198.51.100.8-198.51.100.15\"]\n"
        .to_owned();
    for story in &TUNNELS {
        text += &tunnel(story, "auto", EDGES[story.edge].1, story.overlay[0]);
    }
    text
}

fn edge_text(name: &str) -> String {
    let (index, address) =
        EDGES.iter().enumerate().find(|(_, edge)| edge.0 == name).map(|(n, e)| (n, e.1)).unwrap();
    let theirs = TUNNELS.iter().filter(|story| story.edge == index);
    theirs.map(|story| tunnel(story, address, story.local, story.overlay[1])).collect()
}

fn tunnel(story: &Story, local: &str, remote: &str, overlay: &str) -> String {
    let Story { name, kind, group, .. } = story;
    let groups = group.map_or(String::new(), |group| format!("groups = [\"{group}\"]\n"));
    format!(
        "\n[[tunnel]]\nname = \"{name}\"\nkind = \"{kind}\"\nlocal = \"{local}\"\nremote = \"{remote}\"\n\
         overlay = \"{overlay}/31\"\n{groups}"
    )
}

fn declare(world: &World, host: &str, text: &str) -> Result<PathBuf> {
    let state = world.folder().join(format!("state-{host}"));
    world.file("greyhound.toml", &format!("[daemon]\nstate_dir = \"{}\"\n\n{text}", state.display()))
}

fn run(host: &Host, config: &Path, words: &[&str]) -> Result<String> {
    println!("   {} $ greyhound {}", host.name(), words.join(" "));
    let config = config.display().to_string();
    let words = words.iter().copied().chain(["--config", &config]);
    Ok(host.greyhound(words)?.success()?.stdout)
}

fn title(text: &str) {
    println!("\n{text}");
}

fn indent(text: &str) -> String {
    text.trim_end().lines().map(|line| format!("     {line}")).collect::<Vec<_>>().join("\n")
}
