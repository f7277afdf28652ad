//! The doctor and the way to the other end: each trouble is made, found, and after its cure no more found.

use super::doctor_kit::{Patient, declaration, doctor, filter, patient, unfilter};
use super::tunnels::AMS;
use crate::support::greyhound::{answer, unicast};
use crate::support::needs::Need;
use crate::support::scenario::{Scenario, scenario};
use crate::support::{Daemon, Result, World, ensure, eventually};
use std::time::Duration;

const NFT: Need = Need::Program("nft");

pub const SCENARIOS: &[Scenario] = &[
    scenario!(a_host_that_is_well_has_no_finding).exclusive(),
    scenario!(gre_that_is_dropped_on_the_way_is_found).needs(&[NFT]).exclusive(),
    scenario!(gre_that_is_dropped_while_the_other_end_sends_is_found).needs(&[NFT]).exclusive(),
    scenario!(an_idle_tunnel_whose_peer_answers_no_probe_is_not_called_blocked).needs(&[NFT]).exclusive(),
    scenario!(who_has_no_such_tunnel_says_so_and_is_named).exclusive(),
    scenario!(an_address_that_nobody_routes_back_to_is_found).exclusive(),
    scenario!(a_remote_that_answers_nothing_is_found).exclusive(),
    scenario!(a_path_that_is_too_small_is_found_to_the_byte).needs(&[NFT]).exclusive(),
];

/// Sets whether the kernel says that its clock is kept right (adjtimex(2): ADJ_MAXERROR, ADJ_ESTERROR, ADJ_STATUS;
/// STA_UNSYNC is 0x40), and prints the status that was.
const CLOCK: &str = "\
import ctypes, struct, sys
time = ctypes.create_string_buffer(256)
libc = ctypes.CDLL(None)
libc.adjtimex(time)
print(struct.unpack_from('i', time, 40)[0])
status = int(sys.argv[1])
struct.pack_into('I', time, 0, 0x1c)
struct.pack_into('qqi', time, 24, 16000000 if status & 0x40 else 1000, 1000, status)
sys.exit(libc.adjtimex(time) < 0)
";

/// The machine's clock says otherwise for as long as this lives.
struct Clock<'a>(&'a Patient, String);

impl<'a> Clock<'a> {
    fn set(patient: &'a Patient, status: &str) -> Result<Self> {
        let before = patient.client.exec(["/usr/bin/python3", "-c", CLOCK, status])?.stdout;
        Ok(Self(patient, before.trim().to_owned()))
    }
}

impl Drop for Clock<'_> {
    fn drop(&mut self) {
        let Self(patient, before) = self;
        let _ = patient.client.exec(["/usr/bin/python3", "-c", CLOCK, before]);
    }
}

fn a_host_that_is_well_has_no_finding(world: &World) -> Result<()> {
    let patient = patient(world)?;
    let greyhound = &patient.greyhound;
    let clock = Clock::set(&patient, "0")?;
    let before = greyhound.host.describe();
    // Without a daemon that is said, and is no trouble.
    let alone = doctor(greyhound, "")?;
    alone.only(0, &["daemon-absent"])?;
    ensure!(alone.status == 0 && alone.report["unexamined"] == serde_json::json!([]), "{alone:#?}");
    ensure!(greyhound.host.describe() == before, "{}\n{before}", greyhound.host.describe());
    let daemon = Daemon::start(greyhound)?;
    let kept = doctor(greyhound, "")?;
    kept.only(0, &[])?;
    let codes = kept.report["examined"].as_array().map_or(0, |codes| codes.len());
    let known = greyhound.json(0, "doctor --list")?.as_array().map_or(0, |codes| codes.len());
    ensure!(kept.status == 0 && codes == known && known > 20, "{codes} of {known}: {kept:#?}");
    let named = doctor(greyhound, "--tunnel ams --tunnel none")?;
    let why = named.report["unexamined"].to_string();
    ensure!(why.contains("gre-blocked tunnel none") && !why.contains("tunnel ams"), "{why}");
    let said = greyhound.ends(0, "doctor")?.stdout;
    ensure!(said == format!("Nothing found: {known} of {known} sorts of trouble examined.\n"), "{said}");
    drop(daemon);
    drop(clock);
    let _clock = Clock::set(&patient, "64")?;
    let unkept = doctor(greyhound, "--quick --only clock-unsynchronised")?;
    ensure!(unkept.status == 6, "{unkept:#?}");
    unkept.evidence("clock-unsynchronised", "nothing sets its clock right")?;
    Ok(())
}

fn gre_that_is_dropped_on_the_way_is_found(world: &World) -> Result<()> {
    let patient = patient(world)?;
    let (greyhound, router) = (&patient.greyhound, &patient.underlay.router);
    // Without a daemon only a tunnel through which nothing ever came is blocked for sure: the other end's IPv6 says
    // something by itself.
    let fresh = || {
        patient.client.ip("link delete gh-ams")?;
        greyhound.json(0, "apply")
    };
    filter(router, "forward", "ip protocol 47 drop")?;
    fresh()?;
    let seen = doctor(greyhound, "")?;
    seen.only(7, &["gre-blocked", "daemon-absent"])?;
    seen.evidence("gre-blocked", "203.0.113.1 answered 6 of 6 probes")?;
    seen.evidence(
        "gre-blocked",
        "through the tunnel, 0 of 6 probes were answered; meanwhile gh-ams sent 6 packet(s) and received 0",
    )?;
    ensure!(doctor(greyhound, "--quick")?.codes() == ["daemon-absent"], "nothing was sent");
    unfilter(router)?;
    // One way is enough.
    filter(router, "forward", "ip saddr 203.0.113.1 ip protocol 47 drop")?;
    fresh()?;
    doctor(greyhound, "")?.only(7, &["gre-blocked", "daemon-absent"])?;
    unfilter(router)?;
    doctor(greyhound, "")?.only(0, &["daemon-absent"])
}

/// Between two hosts that ask each other through the tunnel packets arrive though one direction is blocked.
fn gre_that_is_dropped_while_the_other_end_sends_is_found(world: &World) -> Result<()> {
    let patient = patient(world)?;
    let (greyhound, router) = (&patient.greyhound, &patient.underlay.router);
    let daemon = Daemon::start(greyhound)?;
    let liveness = |expected: &str| {
        eventually(Duration::from_secs(30), || {
            let probe = greyhound.tunnel("ams", "probe")?;
            ensure!(probe["liveness"] == expected, "{probe}");
            Ok(())
        })
    };
    liveness("up")?;
    let pings = patient.ams.spawn(["ping", "-q", "-i0.2", "169.254.10.0"])?;
    filter(router, "forward", "ip daddr 203.0.113.1 ip protocol 47 drop")?;
    liveness("down")?;
    let seen = doctor(greyhound, "")?;
    seen.only(7, &["gre-blocked"])?;
    seen.evidence(
        "gre-blocked",
        "packets of the other end arrive, none of ours is answered: 203.0.113.1 answered",
    )?;
    seen.evidence("gre-blocked", "; to the daemon it is down, no answer through the tunnel for ")?;
    // Without a daemon nobody knows whether the other end ever answered.
    drop(daemon);
    let seen = doctor(greyhound, "")?;
    seen.only(0, &["daemon-absent"])?;
    seen.unexamined(
        "gre-blocked tunnel ams",
        "whether ours reach it, or it answers no probes, cannot be seen",
    )?;
    drop(pings);
    unfilter(router)?;
    doctor(greyhound, "")?.only(0, &["daemon-absent"])
}

fn an_idle_tunnel_whose_peer_answers_no_probe_is_not_called_blocked(world: &World) -> Result<()> {
    let patient = patient(world)?;
    // Nothing may come by itself.
    patient.ams.sysctl("net.ipv6.conf.tun.disable_ipv6", "1")?;
    patient.ams.exec(["ping", "-c2", "-i0.2", "-W10", "169.254.10.0"])?;
    filter(&patient.ams, "input", "iifname tun drop")?;
    let seen = doctor(&patient.greyhound, "")?;
    seen.only(0, &["daemon-absent"])?;
    seen.unexamined(
        "gre-blocked tunnel ams",
        "came through the tunnel since it was made, none while it was probed",
    )
}

fn who_has_no_such_tunnel_says_so_and_is_named(world: &World) -> Result<()> {
    let patient = patient(world)?;
    patient.ams.ip("link delete tun")?;
    let seen = doctor(&patient.greyhound, "")?;
    seen.only(7, &["gre-refused", "daemon-absent"])?;
    seen.evidence(
        "gre-refused",
        "of GRE packets from 198.51.100.8 to 203.0.113.1 was said: port unreachable, says 203.0.113.1",
    )?;
    answer(&patient.ams, "tun", &format!("local {AMS} remote 198.51.100.8"), 0)?;
    doctor(&patient.greyhound, "")?.only(0, &["daemon-absent"])?;
    // Of two tunnels to one remote it has the first alone.
    patient.greyhound.declare(&(declaration("") + &unicast("two", AMS, 1, "")))?;
    patient.greyhound.json(0, "apply")?;
    let seen = doctor(&patient.greyhound, "")?;
    seen.only(7, &["gre-refused", "daemon-absent"])?;
    seen.evidence("gre-refused", "of GRE packets from 198.51.100.9 to 203.0.113.1 was said: ")?;
    Ok(())
}

fn an_address_that_nobody_routes_back_to_is_found(world: &World) -> Result<()> {
    let patient = patient(world)?;
    let router = &patient.underlay.router;
    router.ip("route delete 198.51.100.0/24")?;
    let seen = doctor(&patient.greyhound, "")?;
    seen.only(7, &["no-return-route", "daemon-absent"])?;
    let mend = seen.evidence(
        "no-return-route",
        "203.0.113.1 answered 0 of 6 probes from 198.51.100.8 and 6 of 6 probes",
    )?;
    let route = mend.split("ip ").nth(1).and_then(|rest| rest.split(';').next()).unwrap_or_default();
    router.ip(route)?;
    doctor(&patient.greyhound, "")?.only(0, &["daemon-absent"])
}

fn a_remote_that_answers_nothing_is_found(world: &World) -> Result<()> {
    let patient = patient(world)?;
    patient.ams.ip("link set eth0 down")?;
    let seen = doctor(&patient.greyhound, "")?;
    seen.only(6, &["remote-silent", "daemon-absent"])?;
    seen.evidence("remote-silent", "203.0.113.1 answered 0 of 6 probes")?;
    Ok(())
}

fn a_path_that_is_too_small_is_found_to_the_byte(world: &World) -> Result<()> {
    let patient = patient(world)?;
    let (greyhound, router) = (&patient.greyhound, &patient.underlay.router);
    router.ip("link set ams mtu 1397")?;
    patient.ams.ip("link set eth0 mtu 1397")?;
    let told = doctor(greyhound, "")?;
    told.only(6, &["mtu-too-large", "daemon-absent"])?;
    let words = "its MTU of 1476 makes packets of 1500 bytes; unfragmented, 203.0.113.1 answered 1397 and no more; \
                 192.0.2.254 says that a link carries 1397";
    let mend = told.evidence("mtu-too-large", words)?;
    filter(router, "output", "icmp type destination-unreachable drop")?;
    let hole = doctor(greyhound, "")?;
    hole.only(7, &["mtu-black-hole", "daemon-absent"])?;
    hole.evidence(
        "mtu-black-hole",
        "203.0.113.1 answered 1397 and no more; nobody said that they are too big",
    )?;
    let line = mend.rsplit(": ").next().unwrap_or_default();
    ensure!(line == "mtu = 1373", "{mend}");
    greyhound.declare(&declaration(line))?;
    greyhound.json(0, "apply")?;
    doctor(greyhound, "")?.only(0, &["daemon-absent"])?;
    // What may be cut into pieces fits through any path.
    greyhound.declare(&declaration("pmtudisc = false\nmtu = 1476"))?;
    greyhound.json(0, "apply")?;
    let seen = doctor(greyhound, "")?;
    seen.only(0, &["daemon-absent"])?;
    seen.unexamined("mtu-black-hole tunnel ams", "it has pmtudisc = false")
}
