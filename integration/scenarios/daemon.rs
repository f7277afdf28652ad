//! The daemon keeps what is declared: whatever is changed behind its back is put right from the kernel's event, and
//! a changed declaration touches only what changed in it.

use super::daemon_kit::{SOON, holds_soon, kept, last, since, status, told, watched};
use super::repairs::{DEEDS, declaration};
use super::tunnels::FRA;
use crate::support::greyhound::unicast;
use crate::support::needs::DUMMY;
use crate::support::scenario::{Scenario, scenario};
use crate::support::{Result, World, ensure, eventually};
use crate::witness::look;
use std::thread::sleep;
use std::time::Duration;

pub const SCENARIOS: &[Scenario] = &[
    scenario!(each_drift_is_repaired_in_place_and_named).needs(&[DUMMY]),
    scenario!(a_deleted_tunnel_and_a_renamed_one_come_back).needs(&[DUMMY]),
    scenario!(everything_changed_at_once_is_repaired).needs(&[DUMMY]),
    scenario!(a_link_moved_to_another_namespace_is_named_and_made_when_its_tuple_is_free).needs(&[DUMMY]),
    scenario!(a_reload_touches_only_what_changed).needs(&[DUMMY]),
    scenario!(a_bad_declaration_changes_nothing_and_says_where).needs(&[DUMMY]),
];

/// More than ten repairs of one tunnel in ten seconds would wait.
const PACE: Duration = Duration::from_millis(1_200);

/// What the event of each of [`DEEDS`] says, in their order.
const CAUSES: [&str; 15] = [
    "remote of gh-ams 203.0.113.1 -> 203.0.113.66",
    "local of gh-ams",
    "ttl of gh-ams 64 -> 5",
    "tos of gh-ams",
    "key of gh-ams",
    "fwmark of gh-ams 0x47 -> 0x0",
    "mtu of gh-ams 1476 -> 1300",
    "group of gh-ams 26472 -> 5",
    "link gh-ams set down",
    "multicast of gh-ams",
    "address 169.254.10.0/31 deleted from gh-ams",
    "address 198.51.100.8/32 deleted from lo",
    "route 10.20.0.0/16 deleted",
    "route 239.1.0.0/16 deleted",
    "rule 4700 lookup 254",
];

fn each_drift_is_repaired_in_place_and_named(world: &World) -> Result<()> {
    let (greyhound, daemon) = kept(world, &declaration())?;
    let host = &greyhound.host;
    let before = look::ours(host)?;
    let mut witness = watched(&greyhound, &daemon)?;
    let mut missing = Vec::new();
    for ((what, deed), cause) in DEEDS.into_iter().zip(CAUSES) {
        let seq = last(&greyhound)?;
        host.ip_batch(deed)?;
        if let Err(error) = told(&greyhound, seq, "repair", cause) {
            missing.push(format!("{what}: {error:#}"));
        }
        // The snapshot has the ifindex of each link.
        eventually(SOON, || before.expect_unchanged(&look::ours(host)?))
            .map_err(|error| error.context(what))?;
        sleep(PACE);
    }
    ensure!(missing.is_empty(), "{}", missing.join("\n"));
    holds_soon(&mut witness)
}

fn a_deleted_tunnel_and_a_renamed_one_come_back(world: &World) -> Result<()> {
    let (greyhound, daemon) = kept(world, &declaration())?;
    let host = &greyhound.host;
    let indexes = || Ok::<_, anyhow::Error>((look::index(host, "gh-ams")?, look::index(host, "gh-fra")?));
    let before = indexes()?;
    let mut witness = watched(&greyhound, &daemon)?;
    let seq = last(&greyhound)?;
    host.ip_batch("link set gh-ams down\nlink set gh-ams name stolen\nlink set stolen up")?;
    // What goes with it may be told in the same sentence or in the next.
    told(&greyhound, seq, "repair", "link gh-ams set down")?;
    holds_soon(&mut witness)?;
    ensure!(indexes()? == before, "the renamed link was made anew");

    witness.mark()?;
    let seq = last(&greyhound)?;
    host.ip("link delete gh-ams")?;
    let event = told(&greyhound, seq, "repair", "link gh-ams deleted")?;
    ensure!(event.tunnel.as_deref() == Some("ams"), "{event:?}");
    holds_soon(&mut witness)?;
    ensure!(indexes()?.1 == before.1, "the other tunnel was made anew");
    let repair = status(&greyhound, "ams")?["last_repair"]["cause"].to_string();
    ensure!(repair.contains("link gh-ams deleted"), "{repair}");
    Ok(())
}

fn everything_changed_at_once_is_repaired(world: &World) -> Result<()> {
    let declaration = declaration() + &unicast("lon", FRA, 2, "routes = [\"10.40.0.0/16\"]");
    let (greyhound, daemon) = kept(world, &declaration)?;
    let host = &greyhound.host;
    let (ams, lon) = (look::index(host, "gh-ams")?, look::index(host, "gh-lon")?);
    let mut witness = watched(&greyhound, &daemon)?;
    let seq = last(&greyhound)?;
    host.ip_batch(
        "link change gh-ams type gre remote 203.0.113.66 ttl 5 key 7\n\
         link set gh-ams mtu 1300 multicast off down\n\
         address flush dev gh-ams\n\
         link delete gh-fra\n\
         link set gh-lon down\n\
         link set gh-lon name stolen\n\
         address delete 198.51.100.8/32 dev lo\n\
         address delete 198.51.100.9/32 dev lo\n\
         rule delete priority 4700\n\
         rule delete priority 4701\n",
    )?;
    for tunnel in ["ams", "fra", "lon"] {
        eventually(SOON, || {
            let events = since(&greyhound, seq)?;
            let repaired = |kind: &str| kind == "repair";
            let told = events.iter().any(|e| repaired(&e.kind) && e.tunnel.as_deref() == Some(tunnel));
            ensure!(told, "no repair of {tunnel} in {events:#?}");
            Ok(())
        })?;
    }
    eventually(SOON, || {
        let events = since(&greyhound, seq)?;
        let named =
            |text: &str| text.contains("rule 4700 lookup 254 deleted") || text.contains("deleted from lo");
        let told = events.iter().any(|e| e.kind == "repair" && e.tunnel.is_none() && named(&e.text));
        ensure!(told, "no repair names what was taken of what serves all: {events:#?}");
        Ok(())
    })?;
    holds_soon(&mut witness)?;
    ensure!(look::index(host, "gh-ams")? == ams && look::index(host, "gh-lon")? == lon, "made anew");
    Ok(())
}

/// The kernel tells nobody here that the tuple is free again.
fn a_link_moved_to_another_namespace_is_named_and_made_when_its_tuple_is_free(world: &World) -> Result<()> {
    let (greyhound, daemon) = kept(world, &declaration())?;
    let (host, elsewhere) = (&greyhound.host, world.host("elsewhere")?);
    let other = look::index(host, "gh-fra")?;
    let mut witness = watched(&greyhound, &daemon)?;
    let seq = last(&greyhound)?;
    host.ip(&format!("link set gh-ams netns {}", elsewhere.namespace()))?;
    let event = told(&greyhound, seq, "fail", "was moved to another network namespace")?;
    ensure!(event.tunnel.as_deref() == Some("ams"), "{event:?}");
    elsewhere.ip("link delete gh-ams")?;
    eventually(SOON * 2, || witness.holds())?;
    ensure!(look::index(host, "gh-fra")? == other, "the other tunnel was made anew");
    Ok(())
}

fn a_reload_touches_only_what_changed(world: &World) -> Result<()> {
    let (greyhound, daemon) = kept(world, &declaration())?;
    let host = &greyhound.host;
    let stays = |name: &str| {
        let status = status(&greyhound, name)?;
        ensure!(status["up_since"].is_u64() && status["ifindex"].is_u64(), "{status}");
        Ok((status["up_since"].clone(), status["ifindex"].clone()))
    };
    let before = (stays("ams")?, stays("fra")?);
    // `up_since` counts in seconds.
    sleep(PACE);
    let mut witness = watched(&greyhound, &daemon)?;
    let lon = unicast("lon", FRA, 2, "routes = [\"10.40.0.0/16\"]");
    let more = declaration().replace("name = \"fra\"", "name = \"fra\"\nttl = 9") + &lon;
    let seq = last(&greyhound)?;
    greyhound.declare(&more)?;
    daemon.reload()?;
    told(&greyhound, seq, "reload", "2 tunnel(s) changed")?;
    holds_soon(&mut witness)?;
    ensure!(look::gre(host, "gh-fra", "ttl")? == "9", "not as declared anew");
    ensure!((stays("ams")?, stays("fra")?) == before, "what did not change was touched");

    // The old declaration comes back, which the witness takes for no change since its mark.
    witness.mark()?;
    greyhound.declare(&declaration())?;
    greyhound.ends(0, "reload")?;
    witness.holds()?;
    look::absent(host, "gh-lon")?;
    ensure!((stays("ams")?, stays("fra")?) == before, "what did not change was touched");
    let repairs = since(&greyhound, seq)?.into_iter().filter(|event| event.kind == "repair");
    ensure!(repairs.count() == 0, "a declaration that changed is no drift");
    Ok(())
}

fn a_bad_declaration_changes_nothing_and_says_where(world: &World) -> Result<()> {
    let (greyhound, daemon) = kept(world, &declaration())?;
    let before = look::ours(&greyhound.host)?;
    let mut witness = watched(&greyhound, &daemon)?;
    let seq = last(&greyhound)?;
    greyhound.declare(&declaration().replace("name = \"fra\"", "name = \"fra\"\nttl = 999"))?;
    let reload = format!("--socket {} reload", greyhound.socket().display());
    let refused = greyhound.ends(3, &reload)?.stderr;
    let line = std::fs::read_to_string(greyhound.file())?.lines().position(|line| line == "ttl = 999");
    let place = format!("{}:{}", greyhound.file().display(), line.map_or(0, |line| line + 1));
    ensure!(refused.contains(&place) && refused.contains("^^^") && refused.contains("999"), "{refused}");
    told(&greyhound, seq, "reload", "is wrong; nothing was changed")?;
    let seq = last(&greyhound)?;
    daemon.reload()?;
    told(&greyhound, seq, "reload", "is wrong; nothing was changed")?;
    ensure!(daemon.log().contains(&place) && daemon.log().contains("^^^"), "{}", daemon.log());
    before.expect_unchanged(&look::ours(&greyhound.host)?)?;
    greyhound.declare(&declaration())?;
    witness.holds()
}
