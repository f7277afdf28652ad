//! Tunnels that move between endpoints, by hand and by what is measured; greyhound on both ends.

use super::daemon_kit::{SOON, last, since, status, told};
use super::tunnels::{AMS, FRA, three};
use crate::support::greyhound::{POOL, answer, multicast, unicast};
use crate::support::needs::NETEM;
use crate::support::scenario::{Scenario, scenario};
use crate::support::underlay::Way;
use crate::support::{Daemon, Greyhound, Host, Receiver, Result, Sender, Underlay, World};
use crate::support::{ensure, eventually};
use crate::witness::{Witness, look};
use anyhow::Context as _;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddrV4, TcpListener, TcpStream};
use std::thread::{JoinHandle, sleep};
use std::time::Duration;

pub const SCENARIOS: &[Scenario] = &[
    scenario!(a_move_keeps_the_link_its_sockets_and_memberships),
    scenario!(a_choice_outlives_the_daemon_and_drift_from_it_is_repaired),
    scenario!(a_flushed_tunnel_is_not_made_by_a_hold_and_what_is_not_declared_is_forgotten),
    scenario!(what_cannot_be_moved_to_is_refused_and_says_why),
    scenario!(a_tunnel_moves_to_a_much_better_endpoint_and_stays_there).needs(&[NETEM]).exclusive(),
    scenario!(a_held_tunnel_stays_until_it_is_let_go).needs(&[NETEM]).exclusive(),
    scenario!(failover_takes_so_long_by_cause).needs(&[NETEM]).exclusive(),
];

/// A second address of the first edge.
const OTHER: &str = "203.0.113.2";
pub const QUICK: &str = "[probe]\ninterval = \"200ms\"\nhold = \"1s\"\nhold_down = \"2s\"\n";
/// The peers inside.
const PEER: &str = "169.254.10.1:9000";

pub fn remotes(first: &str, second: &str) -> String {
    POOL.to_owned()
        + &unicast("ams", first, 0, "")
            .replace(&format!("remote = \"{first}\""), &format!("remote = [\"{first}\", \"{second}\"]"))
}

/// Says each line back, in a thread of its own.
fn echo(host: &Host, at: &str) -> Result<JoinHandle<()>> {
    let listener = host.within(|| Ok(TcpListener::bind(at)?))?;
    Ok(std::thread::spawn(move || {
        let Ok((stream, _)) = listener.accept() else { return };
        let Ok(mut back) = stream.try_clone() else { return };
        for line in BufReader::new(stream).lines().map_while(|line| line.ok()) {
            if writeln!(back, "{line}").is_err() {
                return;
            }
        }
    }))
}

fn say(stream: &mut TcpStream, line: &str) -> Result<()> {
    writeln!(stream, "{line}")?;
    let mut said = String::new();
    BufReader::new(stream.try_clone()?).read_line(&mut said)?;
    ensure!(said.trim() == line, "{said:?}, not {line:?}");
    Ok(())
}

/// Both endpoints are addresses of one host, so that a connection has the same other end before and after. Which way
/// back it takes, the edge's own routing says.
fn a_move_keeps_the_link_its_sockets_and_memberships(world: &World) -> Result<()> {
    let (_underlay, [client, edge, _fra]) = three(world)?;
    edge.ip(&format!("address add {OTHER}/24 dev eth0"))?;
    let declaration = POOL.to_owned()
        + &multicast("ams", AMS, 0, "groups = [\"239.1.0.0/16\"]")
            .replace(&format!("remote = \"{AMS}\""), &format!("remote = [\"{AMS}\", \"{OTHER}\"]"));
    let greyhound = Greyhound::new(world, &client, &declaration)?;
    let _daemon = Daemon::start(&greyhound)?;
    answer(&edge, "tun", &format!("local {AMS} remote 198.51.100.8"), 0)?;
    answer(&edge, "other", &format!("local {OTHER} remote 198.51.100.8"), 0)?;
    let goes_back = |by: &str| {
        edge.ip_batch(&format!(
            "route replace 169.254.10.0/32 dev {by} src 169.254.10.1\nroute replace 239.1.0.0/16 dev {by}\n"
        ))
    };
    goes_back("tun")?;
    let index = look::index(&client, "gh-ams")?;
    let _echo = echo(&edge, PEER)?;
    let mut stream = client.within(|| Ok(TcpStream::connect(PEER)?))?;
    stream.set_read_timeout(Some(SOON * 4))?;
    say(&mut stream, "before")?;
    let group: SocketAddrV4 = "239.1.2.3:9001".parse()?;
    let joined = Receiver::join(&client, group, "169.254.10.0".parse()?)?;
    let seq = last(&greyhound)?;
    let shown = greyhound.json(0, &format!("tunnel move ams --to {OTHER}"))?;
    goes_back("other")?;
    ensure!(shown["remote"] == OTHER && shown["ifindex"] == index, "{shown}");
    let event = told(&greyhound, seq, "move", &format!("moved by hand from {AMS} to {OTHER}"))?;
    ensure!(event.tunnel.as_deref() == Some("ams"), "{event:?}");
    ensure!(look::gre(&client, "gh-ams", "remote")? == OTHER, "the kernel has another remote");
    ensure!(look::index(&client, "gh-ams")? == index, "made anew");
    say(&mut stream, "after")?;
    let sender = Sender::start_from(&edge, "169.254.10.1".parse()?, group)?;
    eventually(SOON * 4, || {
        ensure!(sender.sent() > 200, "only {} sent", sender.sent());
        Ok(())
    })?;
    joined.report(sender.stop())?.complete()?;
    let repairs = since(&greyhound, seq)?.into_iter().filter(|event| event.kind == "repair");
    ensure!(repairs.count() == 0, "a move is no repair");
    Witness::new(&greyhound).holds()
}

fn a_choice_outlives_the_daemon_and_drift_from_it_is_repaired(world: &World) -> Result<()> {
    let (_underlay, [client, _ams, _fra]) = three(world)?;
    let greyhound = Greyhound::new(world, &client, &remotes(AMS, FRA))?;
    let daemon = Daemon::start(&greyhound)?;
    // The way to the other one carries less.
    client.ip("route add 203.0.114.0/24 via 192.0.2.254 mtu 1400")?;
    greyhound.ends(0, &format!("tunnel move ams --to {FRA}"))?;
    let mtu = look::gre(&client, "gh-ams", "mtu")?;
    ensure!(mtu == "1376", "the MTU is that of the old path: {mtu}");
    greyhound.ends(0, "tunnel hold ams")?;
    let index = look::index(&client, "gh-ams")?;
    daemon.kill()?;
    // Nobody runs, and the choice is the store's.
    ensure!(
        greyhound.json(0, "plan --offline")?["steps"] == serde_json::json!([]),
        "the choice is forgotten"
    );
    let daemon = Daemon::start(&greyhound)?;
    ensure!(status(&greyhound, "ams")?["probe"]["held"] == true, "the hold is forgotten");
    let seq = last(&greyhound)?;
    client.ip(&format!("link change gh-ams type gre remote {AMS}"))?;
    told(&greyhound, seq, "repair", &format!("remote of gh-ams {FRA} -> {AMS}"))?;
    ensure!(look::gre(&client, "gh-ams", "remote")? == FRA, "not where it was moved to");
    ensure!(look::index(&client, "gh-ams")? == index, "made anew");
    // What is declared no longer cannot be chosen: the first is.
    greyhound.declare(&(POOL.to_owned() + &unicast("ams", AMS, 0, "")))?;
    daemon.reload()?;
    eventually(SOON, || {
        let remote = look::gre(&client, "gh-ams", "remote")?;
        ensure!(remote == AMS, "{remote}");
        Ok(())
    })?;
    Witness::new(&greyhound).holds()
}

fn a_flushed_tunnel_is_not_made_by_a_hold_and_what_is_not_declared_is_forgotten(world: &World) -> Result<()> {
    let (_underlay, [client, _ams, _fra]) = three(world)?;
    let greyhound = Greyhound::new(world, &client, &remotes(AMS, FRA))?;
    let daemon = Daemon::start(&greyhound)?;
    greyhound.ends(0, &format!("tunnel move ams --to {FRA}"))?;
    greyhound.ends(0, "flush")?;
    greyhound.run("tunnel hold ams")?;
    look::absent(&client, "gh-ams")?;
    greyhound.ends(0, "apply")?;
    leads_to(&greyhound, FRA)?;
    ensure!(status(&greyhound, "ams")?["probe"]["held"] == true, "it was held meanwhile");
    greyhound.declare(POOL)?;
    greyhound.ends(0, "reload")?;
    look::absent(&client, "gh-ams")?;
    greyhound.declare(&remotes(AMS, FRA))?;
    greyhound.ends(0, "reload")?;
    leads_to(&greyhound, AMS)?;
    ensure!(status(&greyhound, "ams")?["probe"]["held"] == false, "what was held is another tunnel now");
    daemon.stop()?;
    Witness::new(&greyhound).holds()
}

fn what_cannot_be_moved_to_is_refused_and_says_why(world: &World) -> Result<()> {
    let (_underlay, [client, _ams, _fra]) = three(world)?;
    let greyhound = Greyhound::new(world, &client, &remotes(AMS, FRA))?;
    greyhound.ends(1, &format!("tunnel move ams --to {FRA}"))?;
    let _daemon = Daemon::start(&greyhound)?;
    for (verb, words) in [
        (
            "tunnel move ams --to 203.0.113.9",
            "203.0.113.9 is no remote of ams: it has 203.0.113.1, 203.0.114.1",
        ),
        ("tunnel move fra --to 203.0.113.1", "there is no tunnel fra"),
        ("tunnel hold fra", "there is no tunnel fra"),
    ] {
        let refused = greyhound.ends(1, verb)?.stderr;
        ensure!(refused.contains(words), "{verb}: {refused}");
    }
    greyhound.ends(2, "tunnel move ams --to nowhere")?;
    greyhound.ends(0, &format!("tunnel move ams --to {AMS}"))?;
    let mut events = since(&greyhound, 0)?.into_iter();
    ensure!(!events.any(|event| event.kind == "move"), "where it is already is no move");
    Witness::new(&greyhound).holds()
}

/// Two edges that present the same peer inside, each with a greyhound that answers STAMP.
pub fn edges(world: &World, edges: [(&Host, &str); 2]) -> Result<Vec<Daemon>> {
    let daemons = edges.into_iter().map(|(host, address)| {
        let mut text = String::from("[reflector]\nallow = [\"198.51.100.0/24\"]\npackets = 1000\n");
        write!(
            text,
            "[[tunnel]]\nname = \"client\"\nkind = \"unicast\"\nlocal = \"{address}\"\n\
             remote = \"198.51.100.8\"\noverlay = \"169.254.10.1/31\"\n"
        )?;
        Daemon::start(&Greyhound::new(world, host, &text)?)
    });
    daemons.collect()
}

pub fn leads_to(greyhound: &Greyhound, remote: &str) -> Result<()> {
    let found = look::gre(&greyhound.host, "gh-ams", "remote")?;
    ensure!(found == remote, "it leads to {found}, not to {remote}: {}", greyhound.run("latency")?.stdout);
    Ok(())
}

/// The tunnel is known to be alive, and so is every candidate.
pub fn known(greyhound: &Greyhound) -> Result<()> {
    eventually(SOON * 6, || {
        let ams = status(greyhound, "ams")?;
        ensure!(ams["probe"]["liveness"] == "up", "{ams}");
        let latency = greyhound.json(0, "latency")?;
        let rows = latency["terminations"].as_array().context("no rows")?;
        ensure!(rows.len() == 2 && rows.iter().all(|row| row["latency_ms"].is_number()), "{latency}");
        // From the address that the tunnel has.
        ensure!(rows.iter().all(|row| row["source"] == "198.51.100.8"), "{latency}");
        Ok(())
    })
}

fn a_tunnel_moves_to_a_much_better_endpoint_and_stays_there(world: &World) -> Result<()> {
    let (underlay, [client, ams, fra]) = three(world)?;
    let _edges = edges(world, [(&ams, AMS), (&fra, FRA)])?;
    underlay.impair(&ams, Way::To, "delay 60ms")?;
    underlay.impair(&fra, Way::To, "delay 10ms")?;
    let greyhound = Greyhound::new(world, &client, &(QUICK.to_owned() + &remotes(AMS, FRA)))?;
    let _daemon = Daemon::start(&greyhound)?;
    let index = look::index(&client, "gh-ams")?;
    eventually(SOON * 6, || leads_to(&greyhound, FRA))?;
    let moved = told(&greyhound, 0, "move", &format!("moves from {AMS}"))?;
    ensure!(moved.text.contains(FRA) && moved.text.contains("ms"), "{moved:?}");
    ensure!(look::index(&client, "gh-ams")? == index, "made anew");
    known(&greyhound)?;
    // A little better is not enough.
    underlay.impair(&ams, Way::To, "delay 8ms")?;
    sleep(Duration::from_secs(8));
    leads_to(&greyhound, FRA)?;
    let moves = since(&greyhound, 0)?.into_iter().filter(|event| event.kind == "move").count();
    ensure!(moves == 1, "{moves} moves");
    println!("{}", greyhound.ends(0, "latency")?.stdout);
    Witness::new(&greyhound).holds()
}

fn a_held_tunnel_stays_until_it_is_let_go(world: &World) -> Result<()> {
    let (underlay, [client, ams, fra]) = three(world)?;
    let _edges = edges(world, [(&ams, AMS), (&fra, FRA)])?;
    let greyhound = Greyhound::new(world, &client, &(QUICK.to_owned() + &remotes(AMS, FRA)))?;
    let _daemon = Daemon::start(&greyhound)?;
    known(&greyhound)?;
    greyhound.ends(0, "tunnel hold ams")?;
    let seq = last(&greyhound)?;
    underlay.silence(&ams)?;
    told(&greyhound, seq, "live", "")?;
    sleep(Duration::from_secs(3));
    leads_to(&greyhound, AMS)?;
    let ams = status(&greyhound, "ams")?;
    ensure!(ams["probe"]["liveness"] == "down" && ams["probe"]["held"] == true, "{ams}");
    let decision = ams["probe"]["decision"].to_string();
    ensure!(decision.contains("held") && decision.contains("dead"), "{decision}");
    greyhound.ends(0, "tunnel unhold ams")?;
    eventually(SOON, || leads_to(&greyhound, FRA))?;
    Witness::new(&greyhound).holds()
}

const RUNS: usize = 8;

fn failover_takes_so_long_by_cause(world: &World) -> Result<()> {
    let (underlay, [client, ams, fra]) = three(world)?;
    let edges = edges(world, [(&ams, AMS), (&fra, FRA)])?;
    let declaration = "[probe]\ninterval = \"1s\"\n".to_owned() + &remotes(AMS, FRA);
    let greyhound = Greyhound::new(world, &client, &declaration)?;
    let mut table = String::from("failover at 300 ms x 3, in ms   least  median   most\n");
    for (cause, deed) in CAUSES {
        let mut gaps = Vec::new();
        for run in 0..RUNS {
            let (old, new) =
                if run % 2 == 0 { ((&ams, AMS), (&fra, FRA)) } else { ((&fra, FRA), (&ams, AMS)) };
            // What it remembers of who failed is not what is measured here.
            greyhound.ends(0, "flush")?;
            std::fs::remove_dir_all(greyhound.state_dir())?;
            let daemon = Daemon::start(&greyhound)?;
            greyhound.ends(0, &format!("tunnel move ams --to {}", old.1))?;
            known(&greyhound)?;
            gaps.push(failover(&greyhound, old, new, || deed(&underlay, old.0, true))?);
            deed(&underlay, old.0, false)?;
            daemon.stop()?;
        }
        gaps.sort_unstable();
        writeln!(
            table,
            "{cause:<30} {:>6} {:>7} {:>6}",
            gaps[0],
            gaps[gaps.len() / 2],
            gaps[gaps.len() - 1]
        )?;
    }
    println!("{table}");
    drop(edges);
    Witness::new(&greyhound).holds()
}

/// Does it, or takes it back.
type Deed = fn(&Underlay, &Host, bool) -> Result<()>;

const CAUSES: [(&str, Deed); 3] = [
    ("dead endpoint", |underlay, host, done| {
        if done {
            return underlay.silence(host);
        }
        underlay.heal(host, Way::To)?;
        underlay.heal(host, Way::From)
    }),
    ("one-way loss", |underlay, host, done| {
        if done { underlay.impair(host, Way::To, "loss 100%") } else { underlay.heal(host, Way::To) }
    }),
    // ICMP and the outer STAMP pass.
    ("GRE alone", |_, host, done| {
        if !done {
            return host.exec(["tc", "qdisc", "delete", "dev", "eth0", "ingress"]).map(drop);
        }
        block_gre(host)
    }),
];

/// From now on the host gets no GRE, and everything else.
pub fn block_gre(host: &Host) -> Result<()> {
    host.exec(["tc", "qdisc", "add", "dev", "eth0", "ingress"])?;
    let filter = "tc filter add dev eth0 parent ffff: protocol ip u32 match ip protocol 47 0xff action drop";
    host.exec(filter.split_whitespace()).map(drop)
}

/// Milliseconds from the last number over the old endpoint to the first over the new one.
fn failover(
    greyhound: &Greyhound,
    old: (&Host, &str),
    new: (&Host, &str),
    dies: impl FnOnce() -> Result<()>,
) -> Result<u64> {
    let to: SocketAddrV4 = PEER.parse()?;
    let (before, after) = (Receiver::start(old.0, to)?, Receiver::start(new.0, to)?);
    let sender = Sender::start(&greyhound.host, to)?;
    let some = |more: u64| {
        let from = sender.sent();
        eventually(SOON * 4, || {
            ensure!(sender.sent() > from + more, "nothing is sent");
            Ok(())
        })
    };
    some(300)?;
    dies()?;
    eventually(SOON * 4, || leads_to(greyhound, new.1))?;
    some(300)?;
    let sent = sender.stop();
    let (before, after) = (before.numbers(sent)?, after.numbers(sent)?);
    let last = before.last().context("nothing came over the old endpoint")?;
    let first = after.first().context("nothing came over the new endpoint")?;
    Ok(first.saturating_sub(*last))
}
