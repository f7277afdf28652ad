//! The daemon among others: somebody who undoes its repairs, and an underlay that changes.

use super::daemon_kit::{SOON, holds_soon, last, shown, since, told, watched};
use super::tunnels::{AMS, FRA, three};
use crate::support::greyhound::{POOL, answer, tunnel, unicast};
use crate::support::scenario::{Scenario, scenario};
use crate::support::{Daemon, Greyhound, Receiver, Result, Sender, World, ensure, eventually};
use crate::witness::look;
use std::net::SocketAddrV4;
use std::thread::sleep;
use std::time::Duration;

pub const SCENARIOS: &[Scenario] = &[
    scenario!(who_undoes_every_repair_is_named_and_repairs_wait),
    scenario!(the_underlay_is_followed_in_place),
    scenario!(a_host_is_renumbered_and_only_who_stood_on_its_address_waits),
];

/// Ten repairs at once, then after 1, 2 and 4 seconds: the next would come after 15.
const FIGHT: Duration = Duration::from_secs(11);

fn who_undoes_every_repair_is_named_and_repairs_wait(world: &World) -> Result<()> {
    let (_underlay, [client, _ams, fra]) = three(world)?;
    let declaration = POOL.to_owned() + &unicast("ams", AMS, 0, "") + &unicast("fra", FRA, 1, "");
    let greyhound = Greyhound::new(world, &client, &declaration)?;
    let daemon = Daemon::start(&greyhound)?;
    answer(&fra, "tun", &format!("local {FRA} remote 198.51.100.9"), 1)?;
    let mut witness = watched(&greyhound, &daemon)?;
    let (ams, other) = (look::index(&client, "gh-ams")?, look::index(&client, "gh-fra")?);
    let to: SocketAddrV4 = "169.254.10.3:9000".parse()?;
    let receiver = Receiver::start(&fra, to)?;
    witness.carry("fra", Sender::start(&client, to)?, receiver);
    let seq = last(&greyhound)?;
    let fighter = client.spawn(["sh", "-c", "while ip link set gh-ams mtu 1300; do sleep 0.02; done"])?;
    sleep(FIGHT);
    drop(fighter);
    let damp = told(&greyhound, seq, "damp", "mtu of gh-ams 1476 -> 1300")?;
    ensure!(damp.tunnel.as_deref() == Some("ams"), "{damp:?}");
    let events = since(&greyhound, seq)?;
    let repairs = events.iter().filter(|event| event.kind == "repair").collect::<Vec<_>>();
    let first = repairs.first().map_or(0, |event| event.at_ms);
    let times: Vec<_> = repairs.iter().map(|event| event.at_ms - first).collect();
    println!("{} s of undoing every repair: repaired at {times:?} ms", FIGHT.as_secs());
    ensure!((11..=14).contains(&repairs.len()), "{} repairs", repairs.len());
    ensure!(repairs.iter().all(|event| event.tunnel.as_deref() == Some("ams")), "{repairs:#?}");
    // The wait that has begun is sat out.
    eventually(Duration::from_secs(20), || {
        let mtu = look::gre(&client, "gh-ams", "mtu")?;
        ensure!(mtu == "1476", "{mtu}");
        Ok(())
    })?;
    holds_soon(&mut witness)?;
    ensure!(look::index(&client, "gh-ams")? == ams && look::index(&client, "gh-fra")? == other, "made anew");
    Ok(())
}

fn the_underlay_is_followed_in_place(world: &World) -> Result<()> {
    let (_underlay, [client, _ams, _fra]) = three(world)?;
    let declaration = POOL.to_owned() + &unicast("ams", AMS, 0, "") + &unicast("fra", FRA, 1, "key = 1");
    let greyhound = Greyhound::new(world, &client, &declaration)?;
    let daemon = Daemon::start(&greyhound)?;
    let mut witness = watched(&greyhound, &daemon)?;
    let indexes =
        || Ok::<_, anyhow::Error>((look::index(&client, "gh-ams")?, look::index(&client, "gh-fra")?));
    let before = indexes()?;
    for (deed, ams, fra) in [
        ("link set eth0 mtu 1400", "1376", "1372"),
        ("route add 203.0.114.0/24 via 192.0.2.254 mtu 1300", "1376", "1272"),
        ("route change 203.0.114.0/24 via 192.0.2.254 mtu 1200", "1376", "1172"),
        ("route delete 203.0.114.0/24", "1376", "1372"),
        ("link set eth0 mtu 1500", "1476", "1472"),
    ] {
        let seq = last(&greyhound)?;
        client.ip(deed)?;
        // The underlay was changed by ourselves, and is nobody's fault.
        witness.mark()?;
        eventually(SOON, || {
            let found = (look::gre(&client, "gh-ams", "mtu")?, look::gre(&client, "gh-fra", "mtu")?);
            ensure!(found == (ams.to_owned(), fra.to_owned()), "{deed}: {found:?}");
            Ok(())
        })?;
        ensure!(indexes()? == before, "{deed}: made anew");
        witness.holds()?;
        // Each by what happened on its own way.
        let repairs = since(&greyhound, seq)?.into_iter().filter(|event| event.kind == "repair");
        for event in repairs {
            let remote = if event.tunnel.as_deref() == Some("ams") { AMS } else { FRA };
            ensure!(event.text.starts_with(&format!("the way to {remote}: mtu ")), "{event:?}");
        }
    }
    Ok(())
}

/// Who leases its local address does not notice; who has declared the host's own waits for it, and says so.
fn a_host_is_renumbered_and_only_who_stood_on_its_address_waits(world: &World) -> Result<()> {
    let (_underlay, [client, ams, _fra]) = three(world)?;
    let declaration = POOL.to_owned()
        + &unicast("ams", AMS, 0, "routes = [\"10.20.0.0/16\"]")
        + &tunnel("fra", "unicast", "192.0.2.10", FRA, 1, "");
    let greyhound = Greyhound::new(world, &client, &declaration)?;
    let daemon = Daemon::start(&greyhound)?;
    answer(&ams, "tun", &format!("local {AMS} remote 198.51.100.8"), 0)?;
    let before = look::ours(&client)?;
    let mut witness = watched(&greyhound, &daemon)?;
    let to: SocketAddrV4 = "169.254.10.1:9000".parse()?;
    let receiver = Receiver::start(&ams, to)?;
    let sender = Sender::start(&client, to)?;
    client.sysctl("net.ipv4.conf.eth0.promote_secondaries", "1")?;
    let seq = last(&greyhound)?;
    client.ip_batch("address add 192.0.2.77/24 dev eth0\naddress delete 192.0.2.10/24 dev eth0\n")?;
    let waits = told(&greyhound, seq, "hold", "no link of this host has 192.0.2.10")?;
    ensure!(waits.tunnel.as_deref() == Some("fra"), "{waits:?}");
    let status = greyhound.json(4, "status")?;
    let fra = shown(&status, "fra")?;
    ensure!(fra["state"] == "held" && fra["reasons"].to_string().contains("192.0.2.10"), "{fra}");
    ensure!(shown(&status, "ams")?["state"] == "up", "who leases its address is held up");
    let seq = last(&greyhound)?;
    client.ip("address add 192.0.2.10/24 dev eth0")?;
    told(&greyhound, seq, "hold", "waits no longer")?;
    before.expect_unchanged(&look::ours(&client)?)?;
    receiver.report(sender.stop())?.complete()?;
    let repairs = since(&greyhound, 0)?.into_iter().filter(|event| event.kind == "repair");
    ensure!(repairs.count() == 0, "there was nothing to repair");
    witness.mark()?;
    holds_soon(&mut witness)
}
