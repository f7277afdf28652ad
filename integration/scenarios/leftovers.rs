//! What is in the kernel already: leftovers wrong and right, a lost state, and tunnels out of reach.

use super::tunnels::{AMS, FRA};
use crate::support::greyhound::{POOL, tunnel, unicast};
use crate::support::scenario::{Scenario, scenario};
use crate::support::{Greyhound, Host, Result, World, ensure};
use crate::witness::look;
use serde_json::json;

pub const SCENARIOS: &[Scenario] = &[
    scenario!(a_marked_leftover_with_another_remote_is_refused_and_named),
    scenario!(an_unmarked_leftover_with_another_local_is_refused_and_named),
    scenario!(a_leftover_as_declared_is_adopted_with_its_ifindex),
    scenario!(after_the_state_was_lost_tunnels_are_taken_back_as_they_are),
    scenario!(a_tunnel_moved_to_another_namespace_is_named_as_the_reason),
    scenario!(what_an_interrupted_apply_left_is_completed),
];

fn declaration() -> String {
    POOL.to_owned() + &unicast("ams", AMS, 0, "") + &unicast("fra", FRA, 1, "")
}

/// Applies beside a wrong leftover, which stays as it is; says why the tunnel was refused.
fn refused(greyhound: &Greyhound) -> Result<String> {
    let host = &greyhound.host;
    let before = look::present(host, "gh-ams")?;
    let outcome = greyhound.apply_partly()?;
    ensure!(look::present(host, "gh-ams")? == before, "the leftover was changed");
    ensure!(look::gre(host, "gh-fra", "remote")? == FRA, "the other tunnel is up");
    ensure!(greyhound.tunnel("ams", "state")? == "refused", "{outcome}");
    Ok(outcome["left"]["refused"]["ams"][0].as_str().unwrap_or_default().to_owned())
}

fn a_marked_leftover_with_another_remote_is_refused_and_named(world: &World) -> Result<()> {
    let host = world.host("client")?;
    host.ip("link add gh-ams group 26472 type gre local 198.51.100.8 remote 203.0.113.99 ttl 64")?;
    let index = look::index(&host, "gh-ams")?;
    let greyhound = Greyhound::new(world, &host, &declaration())?;
    let why = refused(&greyhound)?;
    let named = format!("gh-ams (ifindex {index}, gre, local 198.51.100.8 remote 203.0.113.99)");
    ensure!(why.contains(&named) && why.contains("ip link delete gh-ams takes it away"), "{why}");

    greyhound.ends(0, "flush --orphans")?;
    look::nothing_of_ours(&host)?;
    greyhound.apply()?;
    ensure!(look::gre(&host, "gh-ams", "remote")? == AMS, "after the leftover has gone, ams is up");
    Ok(())
}

fn an_unmarked_leftover_with_another_local_is_refused_and_named(world: &World) -> Result<()> {
    let host = world.host("client")?;
    host.ip(&format!("link add gh-ams type gre local 192.0.2.1 remote {AMS} ttl 64"))?;
    let index = look::index(&host, "gh-ams")?;
    let greyhound = Greyhound::new(world, &host, &declaration())?;
    let why = refused(&greyhound)?;
    let named = format!("gh-ams (ifindex {index}, gre, local 192.0.2.1 remote {AMS})");
    ensure!(why.contains(&named) && why.contains("not greyhound's: remove it"), "{why}");
    greyhound.ends(0, "flush --orphans")?;
    ensure!(look::index(&host, "gh-ams")? == index, "flush --orphans took what is not marked");
    Ok(())
}

fn a_leftover_as_declared_is_adopted_with_its_ifindex(world: &World) -> Result<()> {
    let host = world.host("client")?;
    host.ip(&format!("link add gh-ams type gre local 198.51.100.12 remote {AMS} ttl 3"))?;
    let index = look::index(&host, "gh-ams")?;
    let ams = tunnel("ams", "unicast", "198.51.100.12", AMS, 0, "routes = [\"10.20.0.0/16\"]");
    let greyhound = Greyhound::new(world, &host, &(POOL.to_owned() + &ams))?;
    let plan = greyhound.json(0, "plan")?;
    ensure!(plan["adopted"] == json!(["ams"]), "{plan}");
    greyhound.apply()?;
    ensure!(look::index(&host, "gh-ams")? == index, "gh-ams was made anew");
    for (field, value) in [("group", "26472"), ("ttl", "64")] {
        let found = look::gre(&host, "gh-ams", field)?;
        ensure!(found == value, "{field} is {found}, not {value}");
    }
    ensure!(look::addresses(&host, "gh-ams")? == ["169.254.10.0/31"], "its address");
    greyhound.ends(0, "flush")?;
    look::nothing_of_ours(&host)
}

fn after_the_state_was_lost_tunnels_are_taken_back_as_they_are(world: &World) -> Result<()> {
    let host = world.host("client")?;
    let more = ["routes = [\"10.20.0.0/16\"]", "key = 7", ""];
    let [a, b, c] = [("a", 0), ("b", 1), ("c", 2)].map(|(n, i)| unicast(n, AMS, i, more[usize::from(i)]));
    let greyhound = Greyhound::new(world, &host, &(POOL.to_owned() + &a + &b + &c))?;
    greyhound.apply()?;
    // Without its first tunnel, fresh leases would be others than those in use.
    let left = POOL.to_owned() + &b + &c;
    greyhound.declare(&left)?;
    greyhound.apply()?;
    let before = look::ours(&host)?;
    ensure!(look::gre(&host, "gh-b", "local")? == "198.51.100.9", "{}", host.describe());

    std::fs::remove_dir_all(greyhound.state_dir())?;
    let plan = greyhound.json(0, "plan")?;
    ensure!(plan["steps"] == json!([]) && plan["adopted"] == json!(["b", "c"]), "{plan}");
    greyhound.apply()?;
    before.expect_unchanged(&look::ours(&host)?)?;
    let leases = greyhound.json(0, "lease list")?;
    let leased: Vec<_> = leases.as_array().into_iter().flatten().map(|lease| &lease["prefix"]).collect();
    ensure!(leased == ["198.51.100.9/32", "198.51.100.10/32"], "{leases}");
    greyhound.ends(0, "flush")?;
    look::nothing_of_ours(&host)
}

fn a_tunnel_moved_to_another_namespace_is_named_as_the_reason(world: &World) -> Result<()> {
    let hosts = world.hosts(&["client", "elsewhere"])?;
    let (host, elsewhere): (&Host, &Host) = (&hosts[0], &hosts[1]);
    let greyhound = Greyhound::new(world, host, &declaration())?;
    greyhound.apply()?;
    host.ip(&format!("link set gh-ams netns {}", elsewhere.namespace()))?;
    let outcome = greyhound.json(4, "apply")?;
    let failed = outcome["failed"].to_string();
    ensure!(failed.contains("its link was moved to another network namespace"), "{outcome}");
    look::absent(host, "gh-ams")?;
    look::present(elsewhere, "gh-ams")?;
    ensure!(greyhound.tunnel("fra", "state")? == "up", "the other tunnel is up");

    elsewhere.ip(&format!("link set gh-ams netns {}", host.namespace()))?;
    greyhound.apply()?;
    ensure!(look::gre(host, "gh-ams", "remote")? == AMS, "back again");
    Ok(())
}

fn what_an_interrupted_apply_left_is_completed(world: &World) -> Result<()> {
    let host = world.host("client")?;
    let routes = "routes = [\"10.20.0.0/16\"]";
    let greyhound = Greyhound::new(world, &host, &(POOL.to_owned() + &unicast("ams", AMS, 0, routes)))?;
    greyhound.apply()?;
    let whole = look::ours(&host)?;
    let index = look::index(&host, "gh-ams")?;
    // As after a kill between two phases: a link, and nothing on it.
    host.ip_batch(
        "route delete 10.20.0.0/16 dev gh-ams table 4700\n\
         address delete 169.254.10.0/31 dev gh-ams\n",
    )?;
    greyhound.apply()?;
    whole.expect_unchanged(&look::ours(&host)?)?;
    ensure!(look::index(&host, "gh-ams")? == index, "gh-ams was made anew");
    Ok(())
}
