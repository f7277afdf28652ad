//! The state as a file: taken while a daemon runs, and put back when it is older than what is in the kernel.

use super::daemon_kit::SOON;
use super::tunnels::{AMS, FRA, three};
use crate::support::greyhound::{POOL, answer, unicast};
use crate::support::scenario::{Scenario, scenario};
use crate::support::{Daemon, Greyhound, Host, Receiver, Result, Sender, World, ensure, eventually};
use crate::witness::{Witness, look};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

pub const SCENARIOS: &[Scenario] = &[
    scenario!(store_older_than_the_kernel_loses_and_doubles_nothing).exclusive(),
    scenario!(store_without_a_tunnel_that_is_not_declared_makes_it_an_orphan_whose_address_is_not_given_out),
];

fn ams() -> String {
    POOL.to_owned() + &unicast("ams", AMS, 0, "routes = [\"10.20.0.0/16\"]")
}

fn both() -> String {
    ams() + &unicast("fra", FRA, 1, "routes = [\"10.30.0.0/16\"]")
}

/// A backup that was made with one tunnel, and a host that has two since.
fn aged(world: &World, client: &Host) -> Result<(Greyhound, Daemon, PathBuf)> {
    let greyhound = Greyhound::new(world, client, &ams())?;
    let daemon = Daemon::start(&greyhound)?;
    let file = world.folder().join("backup.db");
    greyhound.ends(0, &format!("store backup {}", file.display()))?;
    let mode = std::fs::metadata(&file)?.permissions().mode() & 0o777;
    ensure!(mode == 0o600, "the backup's mode is {mode:o}");
    let again = greyhound.ends(1, &format!("store backup {}", file.display()))?.stderr;
    ensure!(again.contains("is there already"), "{again}");
    greyhound.ends(0, &format!("store backup --force {}", file.display()))?;
    greyhound.declare(&both())?;
    greyhound.ends(0, "reload")?;
    ensure!(look::gre(client, "gh-fra", "local")? == "198.51.100.9", "the second one has the next address");
    Ok((greyhound, daemon, file))
}

/// How often each of our addresses is on the loopback link.
fn loopback(host: &Host) -> Result<Vec<String>> {
    let shown = host.exec(["ip", "-o", "address", "show", "dev", "lo", "label", "lo:gh"])?.stdout;
    let mut addresses: Vec<_> =
        shown.lines().filter_map(|line| Some(line.split_whitespace().nth(3)?.to_owned())).collect();
    addresses.sort();
    Ok(addresses)
}

fn restored(greyhound: &Greyhound, file: &Path) -> Result<String> {
    Ok(greyhound.ends(0, &format!("store restore {}", file.display()))?.stdout)
}

fn store_older_than_the_kernel_loses_and_doubles_nothing(world: &World) -> Result<()> {
    let (_underlay, [client, ams, fra]) = three(world)?;
    let (greyhound, daemon, file) = aged(world, &client)?;
    for (edge, local, remote, pair, inside) in
        [(&ams, AMS, "198.51.100.8", 0, "10.20.0.1"), (&fra, FRA, "198.51.100.9", 1, "10.30.0.1")]
    {
        answer(edge, "tun", &format!("local {local} remote {remote}"), pair)?;
        edge.ip(&format!("address add {inside}/32 dev lo"))?;
    }
    let indexes =
        || Ok::<_, anyhow::Error>((look::index(&client, "gh-ams")?, look::index(&client, "gh-fra")?));
    let before = indexes()?;
    let streams = [(&ams, "10.20.0.1:9000"), (&fra, "10.30.0.1:9000")].map(|(edge, to)| {
        let receiver = Receiver::start(edge, to.parse()?)?;
        Ok::<_, anyhow::Error>((receiver, Sender::start(&client, to.parse()?)?))
    });
    let refused = greyhound.ends(1, &format!("store restore {}", file.display()))?.stderr;
    ensure!(refused.contains("only while no daemon runs"), "{refused}");
    daemon.stop()?;
    let said = restored(&greyhound, &file)?;
    ensure!(said.contains("= fra: gh-fra is there with the declared tuple; it is adopted"), "{said}");
    ensure!(said.contains("nothing to do") && said.contains("state.db.before-restore-2"), "{said}");
    let _daemon = Daemon::start(&greyhound)?;
    ensure!(greyhound.json(0, "plan")?["steps"] == serde_json::json!([]));
    ensure!(indexes()? == before, "a tunnel was made anew");
    ensure!(loopback(&client)? == ["198.51.100.8/32", "198.51.100.9/32"], "{:?}", loopback(&client)?);
    for stream in streams {
        let (receiver, sender) = stream?;
        receiver.report(sender.stop())?.complete()?;
    }
    // Who comes next gets what nobody has.
    greyhound.declare(&(both() + &unicast("lon", FRA, 2, "routes = [\"10.40.0.0/16\"]")))?;
    greyhound.ends(0, "reload")?;
    ensure!(look::gre(&client, "gh-lon", "local")? == "198.51.100.10");
    eventually(SOON, || Witness::new(&greyhound).holds())
}

fn store_without_a_tunnel_that_is_not_declared_makes_it_an_orphan_whose_address_is_not_given_out(
    world: &World,
) -> Result<()> {
    let (_underlay, [client, _ams, _fra]) = three(world)?;
    let (greyhound, daemon, file) = aged(world, &client)?;
    daemon.kill()?;
    let index = look::index(&client, "gh-fra")?;
    greyhound.declare(&(ams() + &unicast("lon", FRA, 2, "routes = [\"10.40.0.0/16\"]")))?;
    let said = restored(&greyhound, &file)?;
    ensure!(said.contains("? link gh-fra") && said.contains("an orphan"), "{said}");
    ensure!(!said.contains("\n- "), "nothing is to be deleted: {said}");
    let _daemon = Daemon::start(&greyhound)?;
    ensure!(look::index(&client, "gh-fra")? == index, "the orphan stays");
    ensure!(look::gre(&client, "gh-lon", "local")? == "198.51.100.10", "the orphan's address is taken");
    ensure!(loopback(&client)?.len() == 3, "{:?}", loopback(&client)?);
    // The state from before is a state as well.
    let kept = std::fs::read_dir(greyhound.state_dir())?.filter_map(|entry| {
        let path = entry.ok()?.path();
        path.to_string_lossy().contains("before-restore").then_some(path)
    });
    let kept: Vec<_> = kept.filter(|path| !path.to_string_lossy().ends_with("-shm")).collect();
    ensure!(!kept.is_empty(), "what was there is gone");
    Ok(())
}
