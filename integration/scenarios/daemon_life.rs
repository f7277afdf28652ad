//! The daemon comes and goes, and the tunnels stay: restarts under traffic, one daemon a namespace, lost events, and
//! what one repair of a thousand tunnels costs.

use super::daemon_kit::{kept, last, since, told, watched};
use super::repairs::{declaration, host_with_underlay};
use super::tunnels::{AMS, FRA, three};
use crate::support::greyhound::{POOL, answer, unicast};
use crate::support::needs::DUMMY;
use crate::support::scenario::{Scenario, scenario};
use crate::support::{Daemon, Greyhound, Receiver, Result, Sender, World, ensure, eventually, many};
use crate::witness::{Witness, look};
use anyhow::Context as _;
use nix::sys::signal::{Signal, kill};
use std::fmt::Write as _;
use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

pub const SCENARIOS: &[Scenario] = &[
    scenario!(restarts_and_kills_lose_no_packet).exclusive(),
    scenario!(a_second_daemon_is_refused_and_told_who_runs).needs(&[DUMMY]),
    scenario!(after_lost_events_everything_is_read_anew).needs(&[DUMMY]),
    scenario!(one_of_a_thousand_is_repaired_without_a_dump).needs(&[DUMMY]).exclusive(),
];

const RESTARTS: u32 = 20;
const WARM: Duration = Duration::from_secs(20);

fn restarts_and_kills_lose_no_packet(world: &World) -> Result<()> {
    let (_underlay, [client, ams, fra]) = three(world)?;
    let declaration = POOL.to_owned() + &unicast("ams", AMS, 0, "") + &unicast("fra", FRA, 1, "");
    let greyhound = Greyhound::new(world, &client, &declaration)?;
    let mut daemon = Daemon::start(&greyhound)?;
    answer(&ams, "tun", &format!("local {AMS} remote 198.51.100.8"), 0)?;
    answer(&fra, "tun", &format!("local {FRA} remote 198.51.100.9"), 1)?;
    let mut witness = watched(&greyhound, &daemon)?;
    let before = look::ours(&client)?;
    let mut streams = Vec::new();
    for (edge, to) in [(&ams, "169.254.10.1:9000"), (&fra, "169.254.10.3:9000")] {
        let to: SocketAddrV4 = to.parse()?;
        streams.push((to, Receiver::start(edge, to)?, Sender::start(&client, to)?));
    }
    for killed in [false, true] {
        let mut longest = Duration::ZERO;
        for _ in 0..RESTARTS {
            if killed {
                daemon.kill()?;
                ensure!(greyhound.socket().exists(), "no stale socket to stumble over");
            } else {
                daemon.stop()?;
            }
            let begun = Instant::now();
            daemon = Daemon::start(&greyhound)?;
            longest = longest.max(begun.elapsed());
            witness.watch(&daemon);
        }
        let by = if killed { "SIGKILL" } else { "SIGTERM" };
        println!("{RESTARTS} restarts by {by}: ready again after {} ms at most", longest.as_millis());
    }
    for (to, receiver, sender) in streams {
        let report = receiver.report(sender.stop())?;
        println!("stream to {to} over {} restarts: {report}", 2 * RESTARTS);
        report.complete()?;
    }
    before.expect_unchanged(&look::ours(&client)?)?;
    witness.holds()
}

fn a_second_daemon_is_refused_and_told_who_runs(world: &World) -> Result<()> {
    let (greyhound, daemon) = kept(world, &declaration())?;
    let mut witness = watched(&greyhound, &daemon)?;
    let refused = greyhound.ends(1, "daemon")?.stderr;
    ensure!(refused.contains(&format!("pid {}", daemon.pid())), "the holder is not named: {refused}");
    // The first one's socket still leads to it.
    greyhound.ends(0, "status")?;
    witness.holds()
}

/// Address changes that come and go, so that none makes the next one slower.
const CHANGES: u32 = 30_000;

fn after_lost_events_everything_is_read_anew(world: &World) -> Result<()> {
    let (greyhound, daemon) = kept(world, &declaration())?;
    // Without its last address a link loses its routes.
    greyhound.host.ip("address add 192.0.2.9/32 dev under0")?;
    // Not of the daemon itself: it is stopped for longer than a watchdog waits.
    let mut witness = Witness::new(&greyhound);
    witness.mark()?;
    let seq = last(&greyhound)?;
    let mut lines = String::new();
    for _ in 0..CHANGES / 2 {
        lines += "address add 192.0.2.1/32 dev under0\naddress delete 192.0.2.1/32 dev under0\n";
    }
    write!(lines, "link delete gh-ams")?;
    kill(daemon.pid(), Signal::SIGSTOP)?;
    let changed = greyhound.host.ip_batch(&lines);
    kill(daemon.pid(), Signal::SIGCONT)?;
    changed?;
    let begun = Instant::now();
    told(&greyhound, seq, "resync", "events of the kernel were lost")?;
    told(&greyhound, seq, "repair", "gh-ams")?;
    println!("after {CHANGES} lost changes: repaired within {} ms", begun.elapsed().as_millis());
    witness.holds()?;
    let resyncs = since(&greyhound, seq)?.into_iter().filter(|event| event.kind == "resync").count();
    ensure!(resyncs == 1, "told {resyncs} times");
    Ok(())
}

fn one_of_a_thousand_is_repaired_without_a_dump(world: &World) -> Result<()> {
    let host = host_with_underlay(world)?;
    let greyhound = Greyhound::new(world, &host, &many::declaration(0, 1_000)?)?;
    let daemon = Daemon::start_talkative(&greyhound)?;
    // The first probes fill what is remembered of each of them.
    std::thread::sleep(WARM);
    let mut witness = watched(&greyhound, &daemon)?;
    let mut costs = Vec::new();
    for tunnel in ["t0007", "t0500", "t0999"] {
        let seq = last(&greyhound)?;
        let heard = daemon.log().len();
        host.ip(&format!("link delete gh-{tunnel}"))?;
        let begun = Instant::now();
        told(&greyhound, seq, "repair", "deleted")?;
        let seen = begun.elapsed();
        let cost = eventually(Duration::from_secs(5), || cost(&daemon.log()[heard..]))?;
        println!(
            "1,000 tunnels, {tunnel} deleted: {:.1} ms from the event to the last ACK and its reading back, \
             {} dumps, {} reads, {} changes; its event in the store after {} ms",
            cost.elapsed_us as f64 / 1000.0,
            cost.dumps,
            cost.reads,
            cost.changes,
            seen.as_millis()
        );
        costs.push(cost);
    }
    // One of them may fall together with the look that is taken every ten seconds.
    ensure!(costs.iter().filter(|cost| cost.dumps == 0).count() >= 2, "took dumps: {costs:?}");
    witness.holds()
}

/// What a turn that changed something cost, by the daemon's log.
#[derive(Debug)]
struct Cost {
    dumps: u64,
    reads: u64,
    changes: u64,
    elapsed_us: u64,
}

fn cost(log: &str) -> Result<Cost> {
    let turns = log.lines().filter(|line| line.contains("a turn was taken"));
    let costs = turns.map(|line| {
        let field = |name: &str| {
            let text = line.split_whitespace().find_map(|word| word.strip_prefix(&format!("{name}=")[..]));
            text.and_then(|text| text.parse().ok()).with_context(|| format!("no {name} in {line:?}"))
        };
        Ok(Cost {
            dumps: field("dumps")?,
            reads: field("reads")?,
            changes: field("changes")?,
            elapsed_us: field("elapsed_us")?,
        })
    });
    let costs = costs.collect::<Result<Vec<_>>>()?;
    costs.into_iter().find(|cost| cost.changes > 0).with_context(|| format!("no change in {log}"))
}
