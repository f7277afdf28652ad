//! What a device needs, as a script of iproute2: on an empty host it makes what greyhound makes.

use crate::support::scenario::{Scenario, scenario};
use crate::support::{Greyhound, Host, Result, World, ensure};
use greyhound::inventory::{Sqlite, change};
use greyhound::model::marks::{ADDRESS_PROTOCOL, LINK_GROUP};
use greyhound::model::{DeviceCode, LinkName, Local, Observed, Owned};
use greyhound::netlink::Netlink;
use greyhound::plan::{Declared, Plan, desire, plan};
use greyhound::registry::ends;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

pub const SCENARIOS: &[Scenario] = &[
    scenario!(the_script_makes_on_an_empty_host_what_greyhound_makes),
    scenario!(the_script_makes_the_same_where_ipv6_is_off),
    scenario!(the_script_changes_nothing_that_is_in_its_way),
    scenario!(whatever_the_script_would_do_otherwise_is_noticed),
];

/// A device with three terminations, and a unicast and a multicast session with it.
const STOCK: [&str; 6] = [
    "device add ams-1 --public-ip 192.0.2.1 --prefix 198.51.100.8/29 --status activated",
    "interface add ams-1/lo --terminations 3",
    "pool add inside --purpose overlay --range 169.254.10.0/24",
    "pool add clients --purpose client --range 203.0.113.0/24",
    "session add web-1/ams --device ams-1 --kind unicast --bound 192.0.2.7",
    "session add web-2/feed --device ams-1 --kind multicast --bound 192.0.2.8 --subscribe 239.1.2.3",
];

fn the_script_makes_on_an_empty_host_what_greyhound_makes(world: &World) -> Result<()> {
    let [scripted, kept] = hosts(world)?;
    both_make_the_same(world, &scripted, &kept)
}

fn the_script_makes_the_same_where_ipv6_is_off(world: &World) -> Result<()> {
    let [scripted, kept] = hosts(world)?;
    for host in [&scripted, &kept] {
        for links in ["all", "default"] {
            host.sysctl(&format!("net.ipv6.conf.{links}.disable_ipv6"), "1")?;
        }
    }
    both_make_the_same(world, &scripted, &kept)
}

fn the_script_changes_nothing_that_is_in_its_way(world: &World) -> Result<()> {
    let [scripted, other] = hosts(world)?;
    let (script, _) = rendered(world, &scripted)?;
    scripted.exec([Path::new("sh"), &script])?;
    let before = listings(&scripted)?;
    ensure!(!scripted.try_exec([Path::new("sh"), &script])?.status.success(), "a second run ends early");
    ensure!(listings(&scripted)? == before, "a second run changed something");

    other.ip("link add gh-sa9fe0a00 type gre local 10.0.0.1 remote 10.0.0.2 ttl 9")?;
    let foreign = other.json("-d link show gh-sa9fe0a00")?;
    let run = other.try_exec([Path::new("sh"), &script])?;
    ensure!(!run.status.success() && run.stderr.contains("File exists"), "{run:?}");
    ensure!(other.json("-d link show gh-sa9fe0a00")? == foreign, "a link of somebody else was changed");
    Ok(())
}

/// The comparison itself: each script runs to its end, and one thing in it is another.
fn whatever_the_script_would_do_otherwise_is_noticed(world: &World) -> Result<()> {
    let kept = world.host("kept")?;
    let (script, inventory) = rendered(world, &kept)?;
    kept.within(|| build(&inventory))?;
    let whole = std::fs::read_to_string(script)?;
    let others = [
        (" pmtudisc fwmark 0x47", ""),
        ("addrgenmode none", "addrgenmode eui64"),
        (" label lo:gh", ""),
        (" scope link $proto", ""),
    ];
    for (number, (word, other)) in others.into_iter().enumerate() {
        let script = whole.replace(word, other);
        ensure!(script != whole, "{word:?} is not in the script");
        let scripted = world.host(&format!("scripted-{number}"))?;
        scripted.exec([Path::new("sh"), &world.file("other.sh", &script)?])?;
        ensure!(alike(&scripted, &kept).is_err(), "nobody noticed that {word:?} was not there");
    }
    Ok(())
}

fn hosts(world: &World) -> Result<[Host; 2]> {
    world.hosts(&["scripted", "kept"])?.try_into().map_err(|_| anyhow::anyhow!("two hosts"))
}

fn both_make_the_same(world: &World, scripted: &Host, kept: &Host) -> Result<()> {
    let (script, inventory) = rendered(world, scripted)?;
    scripted.exec([Path::new("sh"), &script])?;
    kept.within(|| build(&inventory))?;
    alike(scripted, kept)?;
    let Plan { steps, adopted, refused, held, orphans, notes, .. } =
        scripted.within(|| planned(&inventory))?;
    ensure!(steps.is_empty(), "greyhound would still do {steps:#?}");
    ensure!(adopted.len() == 2 && refused.is_empty() && held.is_empty(), "{adopted:?} {refused:?} {held:?}");
    ensure!(orphans == Default::default() && notes.is_empty(), "{orphans:?} {notes:?}");
    Ok(())
}

/// By iproute2's word, and by our own observation.
fn alike(scripted: &Host, kept: &Host) -> Result<()> {
    let (ours, theirs) = (listings(kept)?, listings(scripted)?);
    for (name, ours) in &ours {
        ensure!(theirs[name] == *ours, "{name}:\n{ours:#}\nbut by the script\n{:#}", theirs[name]);
    }
    let protocol = says_the_protocol_of_addresses(scripted)?;
    let ours = kept.within(|| named(&observe()?, protocol))?;
    let theirs = scripted.within(|| named(&observe()?, protocol))?;
    ensure!(ours == theirs, "{ours:#?}\nbut by the script\n{theirs:#?}");
    Ok(())
}

/// The script of the device, and the file of its inventory.
fn rendered(world: &World, host: &Host) -> Result<(PathBuf, PathBuf)> {
    let inventory = world.folder().join("shared/inventory.db");
    let greyhound = Greyhound::new(world, host, &format!("[inventory]\npath = {inventory:?}"))?;
    for words in STOCK {
        greyhound.ends(0, words)?;
    }
    let script = greyhound.ends(0, "render --device ams-1 --format iproute2")?.stdout;
    Ok((world.file("ams-1.sh", &script)?, inventory))
}

/// Does by netlink what the device needs.
fn build(inventory: &Path) -> Result<()> {
    let plan = planned(inventory)?;
    let mut netlink = Netlink::open()?;
    let observed = netlink.observe(&BTreeSet::new())?;
    for result in netlink.apply(&plan.steps, &observed, &mut || {}) {
        result?;
    }
    ensure!(planned(inventory)?.is_empty(), "a second plan is empty");
    Ok(())
}

/// What greyhound, which knows of nothing that it made here, would do on this host for the device to have what it needs.
fn planned(inventory: &Path) -> Result<Plan> {
    let registry = change::read(&Sqlite::open(inventory)?)?;
    let edge = ends::of_edge(&registry, &DeviceCode::new("ams-1")?);
    let tunnels: BTreeMap<_, _> =
        edge.tunnels.into_values().map(|tunnel| (tunnel.name.clone(), tunnel)).collect();
    let mut locals = BTreeMap::new();
    for tunnel in tunnels.values() {
        let Local::Host(local) = tunnel.local else { anyhow::bail!("an edge has its own addresses") };
        locals.insert(tunnel.name.clone(), Ok(local));
    }
    let declared = Declared {
        tunnels: &tunnels,
        locals: &locals,
        probe: None,
        offered: &edge.terminations,
        choices: &BTreeMap::new(),
        loopback: &LinkName::new("lo")?,
    };
    let observed = observe()?;
    Ok(plan(&desire(&declared, &observed), &observed, &Owned::default()))
}

fn observe() -> Result<Observed> {
    Ok(Netlink::open()?.observe(&BTreeSet::new())?)
}

/// All that greyhound looks at, without ifindexes; without the protocol of addresses when iproute2 cannot say it.
fn named(observed: &Observed, protocol: bool) -> Result<[BTreeSet<String>; 4]> {
    let name = |index: u32| observed.links.get(&index).map(|link| link.name.clone());
    let links = observed.links.values().map(|link| {
        let mut link = link.clone();
        link.index = 0;
        format!("{link:?}")
    });
    let addresses = observed.addresses.iter().map(|address| {
        let mut address = address.clone();
        let link = name(std::mem::take(&mut address.link));
        if !protocol && address.protocol == ADDRESS_PROTOCOL {
            address.protocol = 0;
        }
        format!("{link:?} {address:?}")
    });
    let routes = observed.routes.iter().map(|route| {
        let mut route = route.clone();
        format!("{:?} {route:?}", route.link.take().and_then(name))
    });
    let rules = observed.rules.iter().map(|rule| format!("{rule:?}"));
    let named: [BTreeSet<String>; 4] =
        [links.collect(), addresses.collect(), routes.collect(), rules.collect()];
    let ours = named[0].iter().filter(|link| link.contains(&format!("group: {LINK_GROUP}"))).count();
    ensure!((ours, named[2].len()) == (2, 2), "two tunnels are seen, and a route of each: {named:#?}");
    Ok(named)
}

/// iproute2 before 6.3 does not.
fn says_the_protocol_of_addresses(host: &Host) -> Result<bool> {
    let help = host.try_exec(["ip", "address", "help"])?;
    Ok(help.stdout.contains("ADDRPROTO") || help.stderr.contains("ADDRPROTO"))
}

/// All that iproute2 shows, without ifindexes.
fn listings(host: &Host) -> Result<BTreeMap<&'static str, Value>> {
    let shown = [
        "-d link show",
        "-d address show",
        "-d route show table all",
        "-d -6 route show table all",
        "-d rule show",
    ];
    let listing = |words: &'static str| {
        let mut listing = host.json(words)?;
        forget_indexes(&mut listing);
        Ok((words, listing))
    };
    shown.into_iter().map(listing).collect()
}

fn forget_indexes(listing: &mut Value) {
    for object in listing.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        object.remove("ifindex");
    }
}
