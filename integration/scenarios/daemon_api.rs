//! The daemon's API: who may ask, and what is told that only a daemon knows.

use super::daemon_kit::{last, status, told};
use super::tunnels::{AMS, ping, three};
use crate::support::greyhound::{POOL, answer, unicast};
use crate::support::needs::Need;
use crate::support::scenario::{Scenario, scenario};
use crate::support::{Daemon, Greyhound, Host, Result, World, ensure, eventually};
use crate::witness::Witness;
use anyhow::Context as _;
use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

pub const SCENARIOS: &[Scenario] = &[
    scenario!(a_stranger_may_read_only_where_that_is_declared).needs(&[CURL, SETPRIV]),
    scenario!(counters_uptime_and_repairs_are_shown),
];

const CURL: Need = Need::Program("curl");
const SETPRIV: Need = Need::Program("setpriv");
const STRANGER: &str = "setpriv --reuid=65534 --regid=65534 --clear-groups";

/// The status of an answer, and its body; 0 where there is none.
fn ask(host: &Host, who: &str, socket: &Path, words: &str) -> Result<(u16, String)> {
    let line = format!("{who} curl -s -o - -w \\n%{{http_code}} --unix-socket {} {words}", socket.display());
    let said = host.try_exec(line.split_whitespace())?.stdout;
    let (body, status) = said.rsplit_once('\n').with_context(|| format!("no status in {said:?}"))?;
    Ok((status.parse()?, body.to_owned()))
}

fn a_stranger_may_read_only_where_that_is_declared(world: &World) -> Result<()> {
    let (_underlay, [client, ..]) = three(world)?;
    let tunnel = POOL.to_owned() + &unicast("ams", AMS, 0, "");
    let greyhound = Greyhound::new(world, &client, &tunnel)?;
    let socket = greyhound.socket();
    // The scenario's folders are root's; the way to a socket under /run is not.
    for folder in world.folder().ancestors().take(2) {
        set_permissions(folder, Permissions::from_mode(0o711))?;
    }
    let daemon = Daemon::start(&greyhound)?;
    let get = "http://greyhound/v1/status";
    let post = "-X POST -H content-type:application/json -d {} http://greyhound/v1/apply";
    ensure!(ask(&client, "", socket, get)?.0 == 200, "root may read");
    ensure!(ask(&client, STRANGER, socket, get)?.0 == 0, "the socket's mode lets a stranger in");
    // Whatever the mode says, the kernel's word on who asks decides.
    set_permissions(socket, Permissions::from_mode(0o666))?;
    for words in [get, post] {
        let (status, body) = ask(&client, STRANGER, socket, words)?;
        ensure!(status == 403 && body.contains("uid 65534 may not"), "{words}: {status} {body}");
    }
    daemon.stop()?;

    greyhound.declare(&format!("readers = \"all\"\n{tunnel}"))?;
    let _daemon = Daemon::start(&greyhound)?;
    for path in ["status", "tunnels/ams", "plan", "events/history", "openapi.json"] {
        let (status, body) = ask(&client, STRANGER, socket, &format!("http://greyhound/v1/{path}"))?;
        ensure!(status == 200 && body.starts_with(['{', '[']), "{path}: {status} {body}");
    }
    let (status, body) = ask(&client, STRANGER, socket, post)?;
    ensure!(status == 403 && body.contains("may not change things"), "{status} {body}");
    let (status, body) = ask(&client, "", socket, post)?;
    ensure!(status == 200, "root may change things: {status} {body}");
    Witness::new(&greyhound).holds()
}

fn counters_uptime_and_repairs_are_shown(world: &World) -> Result<()> {
    let (_underlay, [client, ams, _fra]) = three(world)?;
    let greyhound = Greyhound::new(world, &client, &(POOL.to_owned() + &unicast("ams", AMS, 0, "")))?;
    let _daemon = Daemon::start(&greyhound)?;
    answer(&ams, "tun", &format!("local {AMS} remote 198.51.100.8"), 0)?;
    let shown = status(&greyhound, "ams")?;
    ensure!(shown["up_since"].is_u64() && shown["last_repair"].is_null(), "{shown}");
    let counted = || {
        let shown = status(&greyhound, "ams")?;
        let count = |what: &str| shown["counters"][what].as_u64().with_context(|| format!("{shown}"));
        Ok::<_, anyhow::Error>([count("rx_packets")?, count("tx_packets")?, count("tx_bytes")?])
    };
    let before = counted()?;
    ping(&client, "169.254.10.1")?;
    eventually(Duration::from_secs(5), || {
        let now = counted()?;
        let grown = now[0] >= before[0] + 2 && now[1] >= before[1] + 2 && now[2] >= before[2] + 2 * 84;
        ensure!(grown, "{before:?} became {now:?}");
        Ok(())
    })?;
    let seq = last(&greyhound)?;
    client.ip("link delete gh-ams")?;
    let event = told(&greyhound, seq, "repair", "link gh-ams deleted")?;
    eventually(Duration::from_secs(5), || {
        let shown = status(&greyhound, "ams")?;
        ensure!(shown["last_repair"]["at_ms"] == event.at_ms, "{shown}");
        ensure!(shown["up_since"].as_u64().is_some_and(|at| at >= event.at_ms / 1000 - 2), "{shown}");
        Ok(())
    })?;
    ensure!(greyhound.json(0, "plan")?["steps"] == serde_json::json!([]), "the plan is empty");
    let events = greyhound.ends(0, &format!("events --since {seq} -j"))?.stdout;
    ensure!(events.contains("link gh-ams deleted"), "{events}");
    Witness::new(&greyhound).holds()
}
