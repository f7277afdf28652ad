//! `greyhound support`: one archive, with a daemon and without, and no secret in it.

use super::daemon_kit::{last, told};
use super::tunnels::{AMS, FRA, three};
use crate::support::greyhound::{POOL, unicast};
use crate::support::scenario::{Scenario, scenario};
use crate::support::{Daemon, Greyhound, Host, Result, World, ensure};
use anyhow::Context as _;
use serde_json::Value;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;

pub const SCENARIOS: &[Scenario] = &[scenario!(support_gathers_what_there_is_and_no_secret)];

/// The same key in each form, and another that somebody sets by hand.
const SECRETS: [&str; 6] =
    ["305419896", "18.52.86.120", "0x12345678", "987654321", "58.222.104.177", "0x3ade68b1"];
/// What there is without a daemon, without an inventory and without systemd.
const PARTS: [&str; 16] = [
    "MANIFEST.txt",
    "greyhound.toml",
    "version.txt",
    "check.json",
    "status.json",
    "plan.json",
    "leases.json",
    "pools.json",
    "store-check.json",
    "kernel.txt",
    "os-release.txt",
    "ip-link.json",
    "ip-address.json",
    "ip-route.json",
    "ip-rule.json",
    "settings.txt",
];

/// The parts of an archive, by name.
fn gathered(greyhound: &Greyhound, world: &World, name: &str) -> Result<BTreeMap<String, String>> {
    let folder = world.folder().join(name);
    let file = folder.with_extension("tar.gz");
    let said = greyhound.ends(0, &format!("support -o {}", file.display()))?;
    ensure!(said.stdout.contains("Look through it before you send it"), "{}", said.stdout);
    ensure!(said.stderr.contains("status.json: greyhound status -j"), "no progress: {}", said.stderr);
    let mode = std::fs::metadata(&file)?.permissions().mode() & 0o777;
    ensure!(mode == 0o600, "its mode is {mode:o}");
    let again = greyhound.ends(1, &format!("support -o {}", file.display()))?.stderr;
    ensure!(again.contains("File exists"), "{again}");
    std::fs::create_dir(&folder)?;
    let (file, into) = (file.display().to_string(), folder.display().to_string());
    greyhound.host.exec(["tar", "-xzf", &file, "-C", &into, "--strip-components", "1"])?;
    let parts = std::fs::read_dir(&folder)?.map(|entry| {
        let entry = entry?;
        Ok((entry.file_name().to_string_lossy().into_owned(), std::fs::read_to_string(entry.path())?))
    });
    parts.collect()
}

fn clean(parts: &BTreeMap<String, String>) -> Result<()> {
    for (name, text) in parts {
        for secret in SECRETS {
            let line = text.lines().find(|line| line.contains(secret));
            ensure!(line.is_none(), "{secret} is in {name}: {line:?}");
        }
    }
    for name in ["greyhound.toml", "status.json", "ip-link.json"] {
        ensure!(parts[name].contains("<removed>"), "nothing was removed from {name}: {}", parts[name]);
    }
    for (name, text) in parts.iter().filter(|(name, text)| name.ends_with(".json") && !text.is_empty()) {
        serde_json::from_str::<Value>(text).with_context(|| format!("{name} is no JSON any more: {text}"))?;
    }
    Ok(())
}

fn shows_gre(host: &Host) -> Result<()> {
    let shown = host.exec(["ip", "-d", "link", "show", "gh-ams"])?.stdout;
    ensure!(shown.contains("18.52.86.120"), "the key is not where it is to be removed from: {shown}");
    Ok(())
}

fn support_gathers_what_there_is_and_no_secret(world: &World) -> Result<()> {
    let (_underlay, [client, _ams, _fra]) = three(world)?;
    let declaration = POOL.to_owned()
        + &unicast("ams", AMS, 0, "key = 305419896 # password = \"987654321\"")
        + &unicast("fra", FRA, 1, "key = \"58.222.104.177\"\nenable = false");
    let greyhound = Greyhound::new(world, &client, &declaration)?;
    greyhound.apply()?;
    shows_gre(&client)?;
    let parts = gathered(&greyhound, world, "without")?;
    let missing: Vec<_> =
        PARTS.into_iter().filter(|name| parts.get(*name).is_none_or(String::is_empty)).collect();
    ensure!(missing.is_empty(), "{missing:?} of {}", parts["MANIFEST.txt"]);
    let manifest = &parts["MANIFEST.txt"];
    ensure!(manifest.contains("Look through it") && manifest.contains("! it ended with"), "{manifest}");
    clean(&parts)?;

    let _daemon = Daemon::start(&greyhound)?;
    let seq = last(&greyhound)?;
    client.ip("link change gh-ams type gre local 198.51.100.8 remote 203.0.113.1 key 987654321")?;
    told(&greyhound, seq, "repair", "ikey of gh-ams 305419896 -> 987654321")?;
    let parts = gathered(&greyhound, world, "with")?;
    ensure!(parts["latency.json"].contains("203.0.113.1"), "{}", parts["latency.json"]);
    ensure!(
        parts["events.jsonl"].contains("ikey of gh-ams <removed> -> <removed>"),
        "{}",
        parts["events.jsonl"]
    );
    clean(&parts)
}
