//! The witness on what goes on in time: streams, a process, what it tells, how often it repairs.
//!
//! The process is a shell that does what a daemon must not.

use super::tunnels::{AMS, three};
use super::witness::complains;
use crate::support::greyhound::{POOL, answer, unicast};
use crate::support::scenario::{Scenario, scenario};
use crate::support::{Daemon, Greyhound, Receiver, Result, Sender, World, ensure, eventually};
use crate::witness::store::Event;
use crate::witness::{Witness, alive, damped, told};
use nix::sys::signal::{Signal, kill};
use rusqlite::Connection;
use std::net::SocketAddrV4;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

pub const SCENARIOS: &[Scenario] = &[
    scenario!(it_names_a_stream_that_lost_something),
    scenario!(it_names_a_process_that_panics_grows_or_ends),
    scenario!(it_names_the_longest_time_without_the_watchdog_fed),
    scenario!(it_names_changes_that_the_kernel_saw_and_no_event_tells),
    scenario!(it_names_what_is_not_in_the_log_or_has_no_cause),
    scenario!(it_names_repairs_that_come_too_soon),
];

fn it_names_a_stream_that_lost_something(world: &World) -> Result<()> {
    let (_underlay, [client, ams, _fra]) = three(world)?;
    let greyhound = Greyhound::new(world, &client, &(POOL.to_owned() + &unicast("ams", AMS, 0, "")))?;
    greyhound.apply()?;
    answer(&ams, "tun", &format!("local {AMS} remote 198.51.100.8"), 0)?;
    let to: SocketAddrV4 = "169.254.10.1:9000".parse()?;
    let mut witness = Witness::new(&greyhound);
    for broken in [false, true] {
        witness.mark()?;
        let receiver = Receiver::start(&ams, to)?;
        let sender = Sender::start(&client, to)?;
        sent(&sender, 200)?;
        if broken {
            client.ip_batch("link set gh-ams down\nlink set gh-ams up\n")?;
            ams.ip_batch("link set tun down\nlink set tun up\n")?;
        }
        sent(&sender, 600)?;
        witness.carry("ams", sender, receiver);
        if !broken {
            witness.holds()?;
        }
    }
    let lost = ["I5: ams: not every number came once"];
    complains(&mut witness, &lost)?;
    // Asked again it says the same.
    complains(&mut witness, &lost)
}

fn sent(sender: &Sender, count: u64) -> Result<()> {
    eventually(Duration::from_secs(20), || {
        ensure!(sender.sent() >= count, "only {} sent", sender.sent());
        Ok(())
    })
}

/// Ends at TERM, panics at HUP, opens descriptors at USR1, takes memory at USR2.
const WICKED: &str = "\
trap 'exit 0' TERM
trap 'echo thread main panicked at src/main.rs' HUP
trap 'exec 5</dev/null 6</dev/null' USR1
trap 'x=$(head -c 16000000 /dev/zero | tr \"\\0\" x)' USR2
echo ready
while :; do sleep 0.1; done";

/// It runs, and is watched from a mark on.
fn wicked(world: &World, greyhound: &Greyhound) -> Result<(Daemon, Witness)> {
    let notify = world.folder().join("notify");
    let daemon = Daemon::run(&greyhound.host, &notify, ["sh", "-c", WICKED].map(str::to_owned))?;
    eventually(Duration::from_secs(20), || {
        ensure!(daemon.log().contains("ready"), "it does not run");
        Ok(())
    })?;
    let mut witness = Witness::new(greyhound);
    witness.watch(&daemon);
    witness.mark()?;
    Ok((daemon, witness))
}

fn one_tunnel(world: &World) -> Result<Greyhound> {
    let host = world.host("client")?;
    let greyhound = Greyhound::new(world, &host, &(POOL.to_owned() + &unicast("ams", AMS, 0, "")))?;
    greyhound.apply()?;
    Ok(greyhound)
}

/// The complaints of this invariant.
fn complaints(witness: &mut Witness, invariant: &str) -> Vec<String> {
    let said = witness.holds().map_or_else(|error| format!("{error:#}"), |()| String::new());
    said.lines().filter(|line| line.starts_with(invariant)).map(str::to_owned).collect()
}

fn it_names_a_process_that_panics_grows_or_ends(world: &World) -> Result<()> {
    let greyhound = one_tunnel(world)?;
    let (daemon, mut witness) = wicked(world, &greyhound)?;
    let about_watchdog = |line: &String| line.contains("watchdog");
    let first: Vec<_> =
        complaints(&mut witness, "I6").into_iter().filter(|line| !about_watchdog(line)).collect();
    ensure!(first.is_empty(), "{first:?}");
    let deeds = [
        (Signal::SIGUSR1, "descriptors are open"),
        (Signal::SIGUSR2, "KiB are resident"),
        (Signal::SIGHUP, "panicked at src/main.rs"),
    ];
    for (signal, words) in deeds {
        kill(daemon.pid(), signal)?;
        wait_for(&mut witness, words)?;
        // From here on it is as level as before.
        witness.mark()?;
    }
    wait_for(&mut witness, "the watchdog, which bites after")?;
    daemon.kill()?;
    wait_for(&mut witness, "the daemon is gone")
}

fn wait_for(witness: &mut Witness, words: &str) -> Result<()> {
    eventually(Duration::from_secs(20), || {
        let said = complaints(witness, "I6");
        ensure!(said.iter().any(|line| line.contains(words)), "no {words:?} in {said:?}");
        Ok(())
    })
}

fn it_names_the_longest_time_without_the_watchdog_fed(world: &World) -> Result<()> {
    let (host, path) = (world.host("client")?, world.folder().join("notify"));
    let daemon = Daemon::run(&host, &path, ["sh", "-c", WICKED].map(str::to_owned))?;
    let socket = UnixDatagram::unbound()?;
    for told in ["READY=1\nSTATUS=well", "WATCHDOG=1", "WATCHDOG=1\n", "WATCHDOG=10"] {
        socket.send_to(told.as_bytes(), &path)?;
    }
    eventually(Duration::from_secs(20), || {
        ensure!(daemon.notified("WATCHDOG=10") == 1, "not everything has come");
        Ok(())
    })?;
    ensure!(daemon.notified("READY=1") == 1 && daemon.notified("WATCHDOG=1") == 2, "counted wrongly");
    drop(daemon);
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    for (fed, now, gap) in
        [(vec![], 5, 5), (vec![at(2), at(4)], 5, 2), (vec![at(2), at(9)], 10, 7), (vec![at(2), at(4)], 12, 8)]
    {
        let found = alive::longest_gap(start, &fed, at(now));
        ensure!(found == Duration::from_secs(gap), "{found:?}, not {gap} s");
    }
    Ok(())
}

fn it_names_changes_that_the_kernel_saw_and_no_event_tells(world: &World) -> Result<()> {
    let greyhound = one_tunnel(world)?;
    let host = &greyhound.host;
    let (daemon, mut witness) = wicked(world, &greyhound)?;
    let of_ams = "I7: ams was changed, and no event tells of a repair";
    let of_all = "I7: what serves all tunnels was changed, and no event tells of a repair";
    let said = complaints(&mut witness, "I7");
    ensure!(!said.iter().any(|line| line == of_ams || line == of_all), "{said:?}");
    // Changed and put right by hand: only the kernel's events tell.
    host.ip_batch("link set gh-ams mtu 1300\nlink set gh-ams mtu 1476\n")?;
    complains(&mut witness, &[of_ams])?;
    host.ip_batch(
        "address delete 198.51.100.8/32 dev lo\n\
         address add 198.51.100.8/32 dev lo label lo:gh\n",
    )?;
    complains(&mut witness, &[of_all])?;
    let store = Connection::open(greyhound.state_dir().join("state.db"))?;
    let repair = "INSERT INTO event (at_ms, kind, tunnel, text) VALUES (1, 'repair', 'ams', 'MTU put right: was 1300')";
    store.execute_batch(repair)?;
    let said = complaints(&mut witness, "I7");
    ensure!(!said.iter().any(|line| line == of_ams), "{said:?}");
    ensure!(said.iter().any(|line| line.contains("is not in the log: \"MTU put right")), "{said:?}");
    witness.mark()?;
    host.ip_batch(
        "address delete 169.254.10.0/31 dev gh-ams\naddress add 169.254.10.0/31 scope link dev gh-ams\n",
    )?;
    complains(&mut witness, &[of_ams])?;
    ensure!(daemon.stop()?.contains("ready"), "what it said is lost");
    Ok(())
}

fn event(seq: u64, at_ms: u64, text: &str) -> Event {
    Event { seq, at_ms, kind: "repair".to_owned(), tunnel: Some("ams".to_owned()), text: text.to_owned() }
}

fn it_names_what_is_not_in_the_log_or_has_no_cause(_world: &World) -> Result<()> {
    let events = [event(1, 5, "link \"gh-ams\" was deleted: made anew"), event(2, 6, "repaired")];
    let log = "INFO ams: link \"gh-ams\" was deleted: made anew\nINFO ams: repaired\n";
    let said = told::untold(&events, log, &events);
    ensure!(said == ["event 2, a repair, names no cause: \"repaired\""], "{said:?}");
    let json = r#"{"message":"link \"gh-ams\" was deleted: made anew"}"#;
    ensure!(told::untold(&events[..1], json, &events).is_empty(), "a log in JSON tells it, too");
    let said = told::untold(&events[..1], "", &events[1..]);
    ensure!(
        said.len() == 2 && said[0].contains("not in the log") && said[1].contains("not shown"),
        "{said:?}"
    );
    let one = r#"{"seq":1,"at_ms":5,"kind":"repair","tunnel":"ams","text":"link \"gh-ams\" was deleted: made anew"}"#;
    for printed in [one.to_owned(), format!("[{one}]"), format!("{one}\n{one}\n")] {
        ensure!(told::shown(&printed)?[0] == events[0], "{printed}");
    }
    Ok(())
}

fn it_names_repairs_that_come_too_soon(world: &World) -> Result<()> {
    let burst: Vec<u64> = (0..10).map(|n| 1_000_000 + n * 20).collect();
    let last = burst[9];
    let with = |more: &[u64]| [&burst[..], more].concat();
    for allowed in [
        burst.clone(),
        with(&[last + 1_000, last + 3_000, last + 7_000, last + 15_000]),
        with(&[last + 61_000, last + 61_010, last + 61_020]),
        (0..100).map(|n| n * 1_500).collect(),
    ] {
        ensure!(damped::too_soon(&allowed).is_none(), "{allowed:?}: {:?}", damped::too_soon(&allowed));
    }
    for refused in [with(&[last + 500]), with(&[last + 1_000, last + 2_500]), with(&[last + 1])] {
        ensure!(damped::too_soon(&refused).is_some(), "{refused:?}");
    }
    let greyhound = one_tunnel(world)?;
    let store = Connection::open(greyhound.state_dir().join("state.db"))?;
    for at in with(&[last + 100]) {
        let row =
            format!("INSERT INTO event (at_ms, kind, tunnel, text) VALUES ({at}, 'repair', 'ams', 'why')");
        store.execute_batch(&row)?;
    }
    complains(&mut Witness::new(&greyhound), &["I8: ams: repair 11 came 900 ms before its turn"])
}
