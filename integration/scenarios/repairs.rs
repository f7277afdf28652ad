//! Our own tunnels changed behind our back, and put right by the next apply: in place, where the kernel can.

use super::tunnels::{AMS, FRA};
use crate::support::greyhound::{POOL, multicast, tunnel, unicast};
use crate::support::needs::{DUMMY, FOU};
use crate::support::scenario::{Scenario, scenario};
use crate::support::{Greyhound, Host, Result, World, ensure};
use crate::witness::look;

pub const SCENARIOS: &[Scenario] = &[
    scenario!(whatever_is_changed_is_put_right_in_place).needs(&[DUMMY]),
    scenario!(a_renamed_link_gets_its_name_back_in_place),
    scenario!(everything_changed_at_once_is_put_right_in_place).needs(&[DUMMY]),
    scenario!(a_deleted_tunnel_is_made_again_with_all_that_belongs_to_it),
    scenario!(a_link_changed_beyond_recognition_is_refused_and_named),
    scenario!(two_tunnels_swap_their_remotes_in_place),
    scenario!(two_tunnels_swap_their_remotes_though_they_are_made_anew).needs(&[FOU]),
];

/// A deed of somebody else, in lines of `ip`.
pub const DEEDS: [(&str, &str); 15] = [
    ("remote", "link change gh-ams type gre remote 203.0.113.66"),
    ("local", "link change gh-ams type gre local 192.0.2.66"),
    ("ttl", "link change gh-ams type gre ttl 5"),
    ("tos", "link change gh-ams type gre tos 0x10"),
    ("key", "link change gh-ams type gre key 5"),
    ("mark of outer packets", "link change gh-ams type gre fwmark 0"),
    ("mtu", "link set gh-ams mtu 1300"),
    ("group", "link set gh-ams group 5"),
    ("down", "link set gh-ams down"),
    ("multicast", "link set gh-ams multicast off"),
    ("address", "address delete 169.254.10.0/31 dev gh-ams"),
    ("loopback address", "address delete 198.51.100.8/32 dev lo"),
    ("route", "route delete 10.20.0.0/16 table 4700"),
    ("group's route", "route delete 239.1.0.0/16 table 4700"),
    ("rule", "rule delete priority 4700"),
];

pub fn declaration() -> String {
    let routes = "client = \"203.0.113.77\"\nroutes = [\"10.20.0.0/16\"]\ngroups = [\"239.1.0.0/16\"]";
    POOL.to_owned() + &multicast("ams", AMS, 0, routes) + &unicast("fra", FRA, 1, "")
}

/// A host with a way to the remotes, whose MTU is 1500.
pub fn host_with_underlay(world: &World) -> Result<Host> {
    let host = world.host("client")?;
    host.ip_batch("link add under0 type dummy\nlink set under0 up\nroute add 203.0.112.0/20 dev under0\n")?;
    Ok(host)
}

fn whatever_is_changed_is_put_right_in_place(world: &World) -> Result<()> {
    let host = host_with_underlay(world)?;
    let greyhound = Greyhound::new(world, &host, &declaration())?;
    greyhound.apply()?;
    let before = look::ours(&host)?;
    for (what, deed) in DEEDS {
        host.ip_batch(deed)?;
        ensure!(!before.difference(&look::ours(&host)?).is_empty(), "{what}: the deed changed nothing");
        greyhound.json(0, "apply").map_err(|error| error.context(what))?;
        // The snapshot has the ifindex of each link.
        before.expect_unchanged(&look::ours(&host)?).map_err(|error| error.context(what))?;
    }
    greyhound.apply()?;
    Ok(())
}

/// The kernel numbers the labels of a renamed link's addresses (`inetdev_changename`, net/ipv4/devinet.c), and no
/// label of theirs means anything: so they are not compared.
fn a_renamed_link_gets_its_name_back_in_place(world: &World) -> Result<()> {
    let host = world.host("client")?;
    let greyhound = Greyhound::new(world, &host, &declaration())?;
    greyhound.apply()?;
    let (index, addresses) = (look::index(&host, "gh-ams")?, look::addresses(&host, "gh-ams")?);
    host.ip_batch("link set gh-ams down\nlink set gh-ams name stolen\nlink set stolen up")?;
    greyhound.apply()?;
    look::absent(&host, "stolen")?;
    ensure!(look::index(&host, "gh-ams")? == index, "made anew");
    ensure!(look::addresses(&host, "gh-ams")? == addresses, "its addresses");
    look::goes_by(&host, "10.20.0.1", "gh-ams")
}

fn everything_changed_at_once_is_put_right_in_place(world: &World) -> Result<()> {
    let host = host_with_underlay(world)?;
    let declaration = declaration() + &unicast("lon", FRA, 2, "routes = [\"10.40.0.0/16\"]");
    let greyhound = Greyhound::new(world, &host, &declaration)?;
    greyhound.apply()?;
    let before = look::ours(&host)?;
    host.ip_batch(
        "link change gh-ams type gre remote 203.0.113.66 ttl 5 key 7\n\
         link set gh-ams mtu 1300 multicast off down\n\
         address flush dev gh-ams\n\
         link set gh-fra group 5\n\
         address delete 169.254.10.2/31 dev gh-fra\n\
         address add 169.254.10.2/31 dev gh-fra\n\
         link set gh-lon down\n\
         link set gh-lon name stolen\n\
         address delete 198.51.100.8/32 dev lo\n\
         address delete 198.51.100.9/32 dev lo\n\
         rule delete priority 4700\n\
         rule delete priority 4701\n",
    )?;
    greyhound.apply()?;
    before.expect_unchanged(&look::ours(&host)?)
}

fn a_deleted_tunnel_is_made_again_with_all_that_belongs_to_it(world: &World) -> Result<()> {
    let host = world.host("client")?;
    let greyhound = Greyhound::new(world, &host, &declaration())?;
    greyhound.apply()?;
    let before: Vec<_> = look::ours(&host)?.objects().map(|object| object.identity.clone()).collect();
    let other = look::index(&host, "gh-fra")?;
    host.ip("link delete gh-ams")?;
    greyhound.apply()?;
    let after: Vec<_> = look::ours(&host)?.objects().map(|object| object.identity.clone()).collect();
    ensure!(before == after, "{before:#?} became {after:#?}");
    ensure!(look::index(&host, "gh-fra")? == other, "the other tunnel was made anew");
    Ok(())
}

/// Its mark and its tuple are gone: nothing but the name is left, and that anybody may take.
fn a_link_changed_beyond_recognition_is_refused_and_named(world: &World) -> Result<()> {
    let host = world.host("client")?;
    let greyhound = Greyhound::new(world, &host, &declaration())?;
    greyhound.apply()?;
    host.ip_batch("link change gh-ams type gre remote 203.0.113.66\nlink set gh-ams group 5\n")?;
    let changed = look::present(&host, "gh-ams")?;
    let outcome = greyhound.json(4, "apply")?;
    let why = outcome["left"]["refused"]["ams"].to_string();
    ensure!(why.contains("the name gh-ams is held by gh-ams") && why.contains("203.0.113.66"), "{outcome}");
    ensure!(look::present(&host, "gh-ams")? == changed, "it was changed");
    ensure!(greyhound.tunnel("fra", "state")? == "up", "the other tunnel is up");
    Ok(())
}

fn two_tunnels_swap_their_remotes_in_place(world: &World) -> Result<()> {
    let host = world.host("client")?;
    let declare = |a: &str, b: &str| {
        let fixed = |name, remote, pair| tunnel(name, "unicast", "192.0.2.10", remote, pair, "");
        fixed("left", a, 0) + &fixed("right", b, 1)
    };
    host.ip("address add 192.0.2.10/32 dev lo")?;
    let greyhound = Greyhound::new(world, &host, &declare(AMS, FRA))?;
    greyhound.apply()?;
    let indexes =
        || Ok::<_, anyhow::Error>((look::index(&host, "gh-left")?, look::index(&host, "gh-right")?));
    let before = indexes()?;
    greyhound.declare(&declare(FRA, AMS))?;
    greyhound.apply()?;
    ensure!(indexes()? == before, "made anew");
    ensure!(look::gre(&host, "gh-left", "remote")? == FRA, "left");
    ensure!(look::gre(&host, "gh-right", "remote")? == AMS, "right");
    Ok(())
}

/// The kernel does not tell two tunnels apart by what they are wrapped in, and plan wants none wrapped.
fn two_tunnels_swap_their_remotes_though_they_are_made_anew(world: &World) -> Result<()> {
    let host = world.host("client")?;
    host.ip("address add 192.0.2.10/32 dev lo")?;
    let declare = |a: &str, b: &str| {
        let fixed = |name, remote, pair| tunnel(name, "unicast", "192.0.2.10", remote, pair, "");
        fixed("left", a, 0) + &fixed("right", b, 1)
    };
    let greyhound = Greyhound::new(world, &host, "")?;
    for wrapped in [&["gh-left"][..], &["gh-right"], &["gh-left", "gh-right"]] {
        greyhound.declare(&declare(AMS, FRA))?;
        greyhound.apply()?;
        for name in wrapped {
            host.ip(&format!("link change {name} type gre encap fou encap-sport auto encap-dport 5555"))?;
        }
        greyhound.declare(&declare(FRA, AMS))?;
        let outcome = greyhound.apply()?;
        ensure!(outcome["failed"].as_array().is_some_and(Vec::is_empty), "{outcome}");
        ensure!(look::gre(&host, "gh-left", "remote")? == FRA, "left");
        ensure!(look::gre(&host, "gh-right", "remote")? == AMS, "right");
    }
    Ok(())
}
