//! The filter in other hands: deleted, altered, somebody else's, without `nft`; taken away when it is not wanted.

use super::daemon_kit::{last, told};
use super::filter::{NFT, ON, declaration, listed, peer};
use super::tunnels::{AMS, ping, three};
use crate::support::command::Output;
use crate::support::scenario::{Scenario, scenario};
use crate::support::{Daemon, Greyhound, Host, Result, World, ensure, eventually};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

pub const SCENARIOS: &[Scenario] = &[
    scenario!(filter_is_put_right_and_told).needs(&[NFT]),
    scenario!(filter_leaves_a_foreign_table_alone_and_says_so).needs(&[NFT]),
    scenario!(filter_without_nft_says_so_and_holds_up_no_tunnel).needs(&[NFT]),
    scenario!(filter_waits_once_for_an_nft_that_hangs).needs(&[NFT]),
    scenario!(filter_goes_with_flush_and_with_its_declaration_and_stays_without_a_daemon).needs(&[NFT]),
];

/// Nobody tells of nftables: it is looked at every 10 s.
const LOOKED: Duration = Duration::from_secs(40);

fn table(host: &Host) -> Result<bool> {
    Ok(host.try_exec(["nft", "list", "table", "ip", "greyhound"])?.status.success())
}

fn filter_is_put_right_and_told(world: &World) -> Result<()> {
    let (_underlay, [client, ams, _fra]) = three(world)?;
    let greyhound = Greyhound::new(world, &client, &declaration(ON))?;
    let _daemon = Daemon::start(&greyhound)?;
    told(&greyhound, 0, "apply", "add filter table ip greyhound, which lets GRE of 1 pair(s) in")?;
    peer(&ams)?;
    let deeds = [
        ("delete table ip greyhound", "the filter's table was deleted: add filter table"),
        ("flush chain ip greyhound input", "the filter's table was changed: add filter table"),
        (
            "flush set ip greyhound pairs",
            "the filter's table was changed: add filter pair remote 203.0.113.1 local 198.51.100.8",
        ),
        (
            "add element ip greyhound pairs { 203.0.113.9 . 198.51.100.8 }",
            "the filter's table was changed: delete filter pair remote 203.0.113.9 local 198.51.100.8",
        ),
        (
            "add element ip greyhound sources { 0.0.0.0/0 }",
            "the filter's table was changed: change filter set sources",
        ),
    ];
    for (number, (deed, words)) in deeds.into_iter().enumerate() {
        let seq = last(&greyhound)?;
        client.exec(["nft", deed])?;
        eventually(LOOKED, || told(&greyhound, seq, "repair", words))?;
        let pairs = listed(&client, "pairs")?;
        ensure!(
            pairs.contains(&format!("{AMS} . 198.51.100.8")) && !pairs.contains("203.0.113.9"),
            "{pairs}"
        );
        let filter = greyhound.json(0, "status")?["filter"].clone();
        ensure!(filter["repairs"] == number + 1, "{filter}");
    }
    // What others do elsewhere in nftables is nothing to the filter.
    let seq = last(&greyhound)?;
    client.exec(["nft", "add table ip others"])?;
    std::thread::sleep(Duration::from_secs(12));
    ensure!(told(&greyhound, seq, "repair", "").is_err(), "a repair of nothing");
    ping(&client, "169.254.10.1")
}

fn filter_leaves_a_foreign_table_alone_and_says_so(world: &World) -> Result<()> {
    let (_underlay, [client, ams, _fra]) = three(world)?;
    let foreign = "add table ip greyhound; add chain ip greyhound mine; add rule ip greyhound mine accept";
    client.exec(["nft", foreign])?;
    let before = client.exec(["nft", "list", "ruleset"])?.stdout;
    let greyhound = Greyhound::new(world, &client, &declaration(ON))?;
    peer(&ams)?;
    let daemon = Daemon::start(&greyhound)?;
    let words = "the table ip greyhound of nftables is not greyhound's, and is left alone";
    told(&greyhound, 0, "fail", words)?;
    ping(&client, "10.20.0.1")?;
    let status = greyhound.ends(0, "status")?.stdout;
    ensure!(status.contains(&format!("! filter: {words}")), "{status}");
    let applied = greyhound.ends(4, "apply")?;
    ensure!(applied.stderr.contains(words), "{}", applied.stderr);
    greyhound.ends(0, "flush")?;
    daemon.stop()?;
    ensure!(client.exec(["nft", "list", "ruleset"])?.stdout == before, "it was touched");
    // Out of the way: the next turn has its own.
    let seq = last(&greyhound)?;
    let _daemon = Daemon::start(&greyhound)?;
    client.exec(["nft", "delete table ip greyhound"])?;
    eventually(LOOKED, || told(&greyhound, seq, "apply", "add filter table ip greyhound"))?;
    told(&greyhound, seq, "apply", "the filter is as it should be again")?;
    ensure!(greyhound.json(0, "status")?["filter"]["trouble"].is_null());
    Ok(())
}

fn filter_without_nft_says_so_and_holds_up_no_tunnel(world: &World) -> Result<()> {
    let (_underlay, [client, ams, _fra]) = three(world)?;
    let greyhound = Greyhound::new(world, &client, &declaration(ON))?;
    peer(&ams)?;
    let without = |verb: &str| with_another_nft(&greyhound, Path::new("/dev/null"), verb);
    let words = "nft is not installed: install nftables, or write enable = false into the [filter] section";
    let checked = without(&format!("check {}", greyhound.file().display()))?;
    ensure!(checked.status.success() && checked.stderr.contains(words), "{}", checked.stderr);
    let applied = without("apply")?;
    ensure!(applied.status.code() == Some(4) && applied.stderr.contains(words), "{}", applied.stderr);
    ping(&client, "10.20.0.1")?;
    let status = without("status")?;
    ensure!(status.stdout.contains(&format!("! filter: {words}")), "{}", status.stdout);
    ensure!(!table(&client)?);
    // Installed again, nothing else is missing.
    let applied = greyhound.apply()?;
    ensure!(applied["done"] == 1, "{applied}");
    Ok(())
}

/// A verb where another program is called nft.
fn with_another_nft(greyhound: &Greyhound, nft: &Path, verb: &str) -> Result<Output> {
    let script = format!("mount --bind {} /usr/sbin/nft && exec \"$@\"", nft.display());
    let words = ["unshare", "--mount", "sh", "-c", &script, "sh"].map(str::to_owned).into_iter();
    let program = crate::support::world::greyhound().display().to_string();
    greyhound.host.try_exec(words.chain([program]).chain(greyhound.words(verb)))
}

fn filter_waits_once_for_an_nft_that_hangs(world: &World) -> Result<()> {
    let (_underlay, [client, ams, _fra]) = three(world)?;
    let greyhound = Greyhound::new(world, &client, &declaration(ON))?;
    peer(&ams)?;
    greyhound.apply()?;
    client.exec(["nft", "flush chain ip greyhound input"])?;
    let count = world.file("asked", "")?;
    let hangs = world.file("nft", &format!("#!/bin/sh\necho x >>{}\nexec sleep 600\n", count.display()))?;
    fs::set_permissions(&hangs, Permissions::from_mode(0o755))?;
    let applied = with_another_nft(&greyhound, &hangs, "apply")?;
    let words = "nft has not ended within 5 s";
    ensure!(applied.status.code() == Some(4) && applied.stderr.contains(words), "{}", applied.stderr);
    let asked = fs::read_to_string(&count)?.lines().count();
    ensure!(asked == 1, "one turn waits for nft {asked} times");
    ping(&client, "10.20.0.1")?;
    greyhound.apply().map(drop)
}

fn filter_goes_with_flush_and_with_its_declaration_and_stays_without_a_daemon(world: &World) -> Result<()> {
    let (_underlay, [client, ams, _fra]) = three(world)?;
    let greyhound = Greyhound::new(world, &client, &declaration(ON))?;
    peer(&ams)?;
    let daemon = Daemon::start(&greyhound)?;
    ensure!(table(&client)?);
    daemon.stop()?;
    ensure!(table(&client)?, "it stays without a daemon");
    let daemon = Daemon::start(&greyhound)?;
    greyhound.declare(&declaration(""))?;
    greyhound.ends(0, "reload")?;
    ensure!(!table(&client)?, "it goes with its declaration");
    greyhound.declare(&declaration(ON))?;
    greyhound.ends(0, "reload")?;
    ensure!(table(&client)?);
    daemon.kill()?;
    // The daemon that finds it does not know that it was wanted once.
    greyhound.declare(&declaration(""))?;
    let daemon = Daemon::start(&greyhound)?;
    ensure!(!table(&client)?, "a table that is not wanted would cut off new tunnels");
    greyhound.declare(&declaration(ON))?;
    greyhound.ends(0, "apply")?;
    greyhound.ends(0, "flush")?;
    ensure!(!table(&client)?, "it goes with a flush");
    daemon.stop()?;
    greyhound.apply()?;
    ensure!(table(&client)?);
    let state = format!("flush --state-dir {}", greyhound.state_dir().display());
    greyhound.ends(0, &state)?;
    ensure!(!table(&client)?, "it goes without a declaration, too");
    Ok(())
}
