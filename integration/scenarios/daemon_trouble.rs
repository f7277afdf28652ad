//! The daemon among others: somebody who undoes its repairs, and an underlay that changes.

use super::daemon_kit::{SOON, holds_soon, last, since, told, watched};
use super::tunnels::{AMS, FRA, three};
use crate::support::greyhound::{POOL, answer, unicast};
use crate::support::scenario::{Scenario, scenario};
use crate::support::{Daemon, Greyhound, Receiver, Result, Sender, World, ensure, eventually};
use crate::witness::look;
use std::net::SocketAddrV4;
use std::thread::sleep;
use std::time::Duration;

pub const SCENARIOS: &[Scenario] = &[
    scenario!(who_undoes_every_repair_is_named_and_repairs_wait),
    scenario!(the_underlay_is_followed_in_place),
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
        client.ip(deed)?;
        eventually(SOON, || {
            let found = (look::gre(&client, "gh-ams", "mtu")?, look::gre(&client, "gh-fra", "mtu")?);
            ensure!(found == (ams.to_owned(), fra.to_owned()), "{deed}: {found:?}");
            Ok(())
        })?;
        ensure!(indexes()? == before, "{deed}: made anew");
        // The underlay was changed by ourselves, and is nobody's fault.
        witness.mark()?;
        witness.holds()?;
    }
    Ok(())
}
