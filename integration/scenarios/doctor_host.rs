//! The doctor and the host itself: kernel, settings, other programs, addresses, files.

use super::doctor_kit::{Seen, declaration, doctor, doctor_after, patient};
use super::fleet_kit::edge;
use super::probes_truth::Step;
use super::tunnels::AMS;
use crate::support::greyhound::{tunnel, unicast};
use crate::support::needs::Need;
use crate::support::scenario::{Scenario, scenario};
use crate::support::{Daemon, Greyhound, Leaf, Result, Underlay, World, ensure, eventually, world};
use anyhow::Context as _;
use nix::sys::signal::{Signal, kill};
use std::os::unix::fs::FileExt as _;
use std::time::{Duration, Instant};

/// Modules are the machine's: only one that is thrown away afterwards may lose one.
const THROWN_AWAY: Need =
    Need::Kernel { what: "modules to lose (virtme)", trial: "grep -q virtme /proc/cmdline" };

pub const SCENARIOS: &[Scenario] = &[
    scenario!(a_kernel_without_gre_is_found).needs(&[THROWN_AWAY]).exclusive(),
    scenario!(a_route_into_its_own_tunnel_and_a_lost_rule_are_found),
    scenario!(managers_that_were_not_told_are_found_by_their_files),
    scenario!(an_address_of_the_pool_in_foreign_hands_is_found),
    scenario!(an_edge_boxs_own_range_in_foreign_hands_is_found),
    scenario!(a_clock_that_went_back_is_found).exclusive(),
    scenario!(what_this_process_may_not_do_is_found_or_said),
    scenario!(a_store_that_cannot_be_used_is_found),
    scenario!(a_store_on_a_file_system_of_several_hosts_is_found),
    scenario!(a_daemon_that_does_nothing_is_found_in_time).exclusive(),
    scenario!(tunnels_that_are_not_as_declared_are_found),
    scenario!(a_declaration_that_is_wrong_and_an_inventory_that_is_gone_are_found),
];

/// Loads the module again.
struct Module;

impl Drop for Module {
    fn drop(&mut self) {
        let _ = std::process::Command::new("modprobe").arg("ip_gre").status();
    }
}

fn a_kernel_without_gre_is_found(world: &World) -> Result<()> {
    let host = world.host("client")?;
    let greyhound = Greyhound::new(world, &host, "")?;
    doctor(&greyhound, "--quick")?.only(0, &[])?;
    let _module = Module;
    eventually(Duration::from_secs(20), || host.exec(["rmmod", "ip_gre"]))?;
    // The kernel would load it again by itself.
    doctor(&greyhound, "--quick")?.only(0, &[])?;
    let lines = "mount -t tmpfs none /etc/modprobe.d; echo 'blacklist ip_gre' >/etc/modprobe.d/no.conf";
    let seen = doctor_after(&greyhound, lines, "--quick")?;
    seen.only(7, &["gre-missing"])?;
    seen.evidence("gre-missing", "ip_gre is not loaded, and `modprobe --dry-run rtnl-link-gre` says: ")?;
    let lines =
        "mount -t tmpfs none /etc/modprobe.d; echo 'install ip_gre /bin/false' >/etc/modprobe.d/no.conf";
    let seen = doctor_after(&greyhound, lines, "--quick")?;
    seen.only(7, &["gre-missing"])?;
    seen.evidence("gre-missing", "install /bin/false")?;
    // A container sees the host's kernel, and not its modules.
    let seen = doctor_after(&greyhound, "mount -t tmpfs none /lib/modules", "--quick")?;
    seen.only(0, &[])?;
    seen.unexamined("gre-missing", "is not here to look for it, as in a container")?;
    let looked = host.exec(["cat", "/proc/modules"])?.stdout;
    ensure!(!looked.contains("ip_gre"), "the doctor loaded it");
    Ok(())
}

fn a_route_into_its_own_tunnel_and_a_lost_rule_are_found(world: &World) -> Result<()> {
    let patient = patient(world)?;
    patient.client.ip(&format!("route add {AMS}/32 dev gh-ams"))?;
    let seen = doctor(&patient.greyhound, "--quick")?;
    ensure!(seen.status == 7, "{seen:#?}");
    let words = "the kernel's route to 203.0.113.1 for packets with mark 0x47 leaves by gh-ams";
    let mend = seen.evidence("recursion", words)?;
    ensure!(mend.contains("ip route show table main dev gh-ams"), "{mend}");
    patient.client.ip(&format!("route delete {AMS}/32 dev gh-ams"))?;
    doctor(&patient.greyhound, "--quick")?.only(0, &["daemon-absent"])?;
    patient.client.ip("rule delete priority 4700")?;
    let seen = doctor(&patient.greyhound, "--quick")?;
    seen.only(7, &["recursion", "tunnel-drifted", "daemon-absent"])?;
    let mend = seen.evidence("recursion", "rule 4700 (fwmark 0x47 lookup main) is missing")?;
    ensure!(mend == "greyhound apply", "{mend}");
    patient.greyhound.json(0, "apply")?;
    doctor(&patient.greyhound, "--quick")?.only(0, &["daemon-absent"])
}

/// An /etc of its own for who runs in the same mount namespace.
const ETC: &str = "mount -t tmpfs none /etc; mkdir -p /etc/systemd/network /etc/NetworkManager/conf.d; ";

/// Processes of these names stand for the programs: what is looked at are their names and their files.
fn managers_that_were_not_told_are_found_by_their_files(world: &World) -> Result<()> {
    let patient = patient(world)?;
    let run = |name: &str| {
        let program = world.folder().join(name);
        std::fs::copy("/bin/sleep", &program)?;
        patient.client.spawn([program.display().to_string(), "600".to_owned()])
    };
    let doctor_with = |lines: &str| doctor_after(&patient.greyhound, &format!("{ETC}{lines}"), "--quick");
    // The programs themselves are not there to be told.
    let written =
        |mend: &str| mend.rsplit_once("; ").map_or(String::new(), |(writes, _)| format!("{writes}; "));

    let process = run("systemd-networkd")?;
    let all = "printf '[Match]\\nName=*\\n[Network]\\nDHCP=yes\\n' >/etc/systemd/network/50-all.network; ";
    let seen = doctor_with(all)?;
    seen.only(6, &["foreign-manager", "foreign-manager", "foreign-manager", "daemon-absent"])?;
    let pid = process.id();
    let foreign =
        seen.evidence("foreign-manager", &format!("it runs as process {pid}; ManageForeignRoutes, "))?;
    let links = seen.evidence("foreign-manager", "50-all.network is for links named gh-*, too")?;
    let lo = seen.evidence("foreign-manager", "50-all.network is for lo, too")?;
    let told = [all, &written(&foreign), &written(&links), &written(&lo)].concat();
    doctor_with(&told)?.only(0, &["daemon-absent"])?;
    // A file that is masked, whatever was added to it, is for nothing.
    let masked = [&told, "ln -sf /dev/null /etc/systemd/network/00-greyhound.network; "].concat();
    doctor_with(&masked)?.evidence("foreign-manager", "50-all.network is for links named gh-*, too")?;
    let masked = [&told, "ln -sf /dev/null /etc/systemd/network/50-all.network"].concat();
    doctor_with(&masked)?.only(0, &["daemon-absent"])?;
    drop(process);

    let _process = run("NetworkManager")?;
    let seen = doctor_with("")?;
    seen.only(6, &["foreign-manager", "daemon-absent"])?;
    let mend =
        seen.evidence("foreign-manager", "has interface-name:gh-* and interface-name:lo, so it takes")?;
    doctor_with(&written(&mend))?.only(0, &["daemon-absent"])?;
    let undone = "printf '[device-z]\\nmatch-device=*\\nmanaged=1\\n' >/etc/NetworkManager/conf.d/zz.conf";
    let seen = doctor_with(&[&written(&mend), undone].concat())?;
    seen.only(6, &["foreign-manager", "daemon-absent"])
}

fn an_address_of_the_pool_in_foreign_hands_is_found(world: &World) -> Result<()> {
    let patient = patient(world)?;
    patient.client.ip("address add 198.51.100.10/32 dev eth0")?;
    let seen = doctor(&patient.greyhound, "--quick")?;
    seen.only(6, &["foreign-address", "daemon-absent"])?;
    let words = "198.51.100.10 of pool loopbacks is on eth0 with label eth0, not lo:gh";
    let mend = seen.evidence("foreign-address", words)?;
    let (exclude, delete) = mend.split_once("; or ").context("two ways")?;
    let line = exclude.strip_prefix("in the [[pool]] loopbacks of the declaration: ").context("the first")?;
    patient.greyhound.declare(&declaration("").replacen("[[tunnel]]", &format!("{line}\n[[tunnel]]"), 1))?;
    doctor(&patient.greyhound, "--quick")?.only(0, &["daemon-absent"])?;
    patient.greyhound.declare(&declaration(""))?;
    patient.client.exec(delete.split_whitespace())?;
    doctor(&patient.greyhound, "--quick")?.only(0, &["daemon-absent"])?;
    // What the link's network hangs on is not to be deleted.
    patient.client.ip("address add 198.51.100.11/24 dev eth0")?;
    let mend = doctor(&patient.greyhound, "--quick")?.evidence("foreign-address", "198.51.100.11 of pool")?;
    ensure!(
        mend == "in the [[pool]] loopbacks of the declaration: exclude = [\"198.51.100.11/32\"]",
        "{mend}"
    );
    Ok(())
}

fn an_edge_boxs_own_range_in_foreign_hands_is_found(world: &World) -> Result<()> {
    let (_underlay, [ams]) =
        Underlay::build(world, [Leaf::new("ams", "203.0.113.1/24").owns("198.51.100.8/29")])?;
    ams.sysctl("net.ipv4.ip_forward", "1")?;
    let path = world.folder().join("inventory/inventory.db").display().to_string();
    let greyhound = Greyhound::new(world, &ams, &edge("ams-1", AMS, "198.51.100.8/29", &path))?;
    let _daemon = Daemon::start(&greyhound)?;
    doctor(&greyhound, "--quick")?.only(0, &[])?;
    ams.ip("address add 198.51.100.10/32 dev eth0")?;
    let seen = doctor(&greyhound, "--quick")?;
    seen.only(6, &["foreign-address"])?;
    let mend = seen.evidence("foreign-address", "198.51.100.10 of pool ams-1 (device ams-1) is on eth0 ")?;
    ensure!(
        mend.starts_with("greyhound pool set ams-1 --exclude 198.51.100.10/32; or ip address "),
        "{mend}"
    );
    Ok(())
}

fn a_clock_that_went_back_is_found(world: &World) -> Result<()> {
    let patient = patient(world)?;
    let step = Step::by(-3_600_000)?;
    let seen = doctor(&patient.greyhound, "--quick")?;
    drop(step);
    seen.only(6, &["clock-behind", "daemon-absent"])?;
    seen.evidence("clock-behind", "the lease of 198.51.100.8/32 was written at a time that is 35")?;
    doctor(&patient.greyhound, "--quick")?.only(0, &["daemon-absent"])
}

fn what_this_process_may_not_do_is_found_or_said(world: &World) -> Result<()> {
    let patient = patient(world)?;
    let greyhound = &patient.greyhound;
    let program = world::greyhound().display().to_string();
    let run = |how: &[&str]| {
        let words = how.iter().map(|word| (*word).to_owned()).chain([program.clone()]);
        Seen::of(&patient.client.try_exec(words.chain(greyhound.words("doctor -j")))?)
    };
    let seen = run(&["setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw"])?;
    seen.only(7, &["capabilities", "daemon-absent"])?;
    seen.evidence("capabilities", "lacks CAP_NET_RAW: its effective set is 0x")?;
    let why = seen.report["unexamined"].to_string();
    ensure!(why.contains("gre-blocked") && why.contains("CAP_NET_RAW"), "{why}");
    // Another user, with a program and a declaration that he can read: what was not seen is said.
    let folder = tempfile::tempdir_in("/tmp")?;
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let [there, file] =
        ["greyhound", "greyhound.toml"].map(|name| folder.path().join(name).display().to_string());
    std::fs::copy(&program, &there)?;
    std::fs::copy(greyhound.file(), &file)?;
    let other = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", &there, "--config", &file];
    let seen = Seen::of(&patient.client.try_exec(other.into_iter().chain(["doctor", "-j"]))?)?;
    seen.only(0, &["daemon-absent"])?;
    let why = seen.report["unexamined"].to_string();
    for what in ["capabilities", "store", "gre-blocked", "recursion"] {
        ensure!(why.contains(&format!("\"{what}\"")), "{what}: {why}");
    }
    let examined = seen.report["examined"].to_string();
    for what in ["gre-missing", "declaration", "foreign-address", "clock-unsynchronised"] {
        ensure!(examined.contains(what), "{what}: {examined}");
    }
    Ok(())
}

fn a_store_that_cannot_be_used_is_found(world: &World) -> Result<()> {
    let patient = patient(world)?;
    let greyhound = &patient.greyhound;
    let file = greyhound.state_dir().join("state.db");
    // From another network namespace it is another one's.
    let there = patient.ams.greyhound(greyhound.words("doctor -j --quick"))?;
    let seen = Seen::of(&there)?;
    seen.evidence("store", "belongs to another network namespace")?;
    let whole = std::fs::read(&file)?;
    let newer = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('PRAGMA user_version = 99')";
    patient.client.exec(["/usr/bin/python3", "-c", newer, &file.display().to_string()])?;
    let seen = doctor(greyhound, "--quick")?;
    ensure!(seen.status == 7, "{seen:#?}");
    let mend = seen.evidence("store", "has schema 99, and this greyhound knows up to ")?;
    ensure!(mend.starts_with("install greyhound "), "{mend}");
    std::fs::write(&file, &whole)?;
    doctor(greyhound, "--quick")?.only(0, &["daemon-absent"])?;
    let damaged = std::fs::OpenOptions::new().write(true).open(&file)?;
    damaged.write_all_at(&[0xff; 2000], 4096)?;
    let seen = doctor(greyhound, "--quick")?;
    let mend = seen.evidence("store", "is damaged")?;
    ensure!(mend.starts_with("restore "), "{mend}");
    Ok(())
}

fn a_store_on_a_file_system_of_several_hosts_is_found(world: &World) -> Result<()> {
    let host = world.host("client")?;
    let folder = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR"))?;
    let kind = host.exec(["stat", "-f", "-c", "%T", &folder.path().display().to_string()])?.stdout;
    let file = world.file("shared.toml", &format!("[daemon]\nstate_dir = {:?}\n", folder.path()))?;
    let words = |verb: &str| {
        let config = ["--config".to_owned(), file.display().to_string()];
        config.into_iter().chain(verb.split_whitespace().map(str::to_owned)).collect::<Vec<_>>()
    };
    host.greyhound(words("apply"))?;
    let seen = Seen::of(&host.greyhound(words("doctor -j --quick"))?)?;
    if kind.trim() == "v9fs" {
        seen.only(6, &["store-filesystem"])?;
        seen.evidence("store-filesystem", "its file system is 9p")?;
        return Ok(());
    }
    seen.only(0, &[])
}

fn a_daemon_that_does_nothing_is_found_in_time(world: &World) -> Result<()> {
    let patient = patient(world)?;
    let daemon = Daemon::start(&patient.greyhound)?;
    doctor(&patient.greyhound, "--quick")?.only(0, &[])?;
    // Busy for longer than the first question is waited for, and back before the second.
    kill(daemon.pid(), Signal::SIGSTOP)?;
    let back = patient.client.spawn(["sh", "-c", &format!("sleep 6; kill -CONT {}", daemon.pid())])?;
    let seen = doctor(&patient.greyhound, "--quick")?;
    seen.only(0, &[])?;
    seen.unexamined("daemon-stuck", "it is busy: it took more than 4 s to answer")?;
    drop(back);
    kill(daemon.pid(), Signal::SIGSTOP)?;
    let seen = doctor(&patient.greyhound, "--quick --timeout 8")?;
    seen.only(0, &[])?;
    seen.unexamined("daemon-stuck", "asking again takes a --timeout of 13 s")?;
    let begun = Instant::now();
    let seen = doctor(&patient.greyhound, "--quick")?;
    let took = begun.elapsed();
    kill(daemon.pid(), Signal::SIGCONT)?;
    seen.only(7, &["daemon-stuck"])?;
    seen.evidence("daemon-stuck", &format!("process {}, which listens on ", daemon.pid()))?;
    ensure!(took < Duration::from_secs(15), "{took:?}");
    doctor(&patient.greyhound, "--quick")?.only(0, &[])
}

fn tunnels_that_are_not_as_declared_are_found(world: &World) -> Result<()> {
    let patient = patient(world)?;
    let (greyhound, client) = (&patient.greyhound, &patient.client);
    client.ip("link set gh-ams mtu 1300")?;
    client.ip("link add gh-lost group 26472 type gre local 192.0.2.10 remote 203.0.113.99")?;
    let seen = doctor(greyhound, "--quick")?;
    seen.only(6, &["tunnel-drifted", "orphan", "daemon-absent"])?;
    seen.evidence("tunnel-drifted", "not as declared: ")?;
    let mend =
        seen.evidence("orphan", "the kernel has: link gh-lost local 192.0.2.10 remote 203.0.113.99")?;
    client.exec(mend.split_whitespace())?;
    greyhound.json(0, "apply")?;
    doctor(greyhound, "--quick")?.only(0, &["daemon-absent"])?;

    client.ip("link add gh-fra type dummy")?;
    let more = [
        declaration(""),
        unicast("fra", "203.0.114.1", 1, ""),
        tunnel("own", "unicast", "192.0.2.77", "203.0.114.1", 2, ""),
        unicast("far", "203.0.114.1", 3, "vrf = \"absent\""),
    ];
    greyhound.declare(&more.concat())?;
    greyhound.json(4, "apply")?;
    let seen = doctor(greyhound, "--quick")?;
    seen.only(7, &["local-missing", "tunnel-refused", "tunnel-held", "daemon-absent"])?;
    let mend =
        seen.evidence("local-missing", "`local` is 192.0.2.77, and no link of this host has that address")?;
    client.exec(mend.split_whitespace())?;
    seen.evidence("tunnel-refused", "gh-fra")?;
    seen.evidence("tunnel-held", "absent")?;
    let seen = doctor(greyhound, "--quick")?;
    ensure!(!seen.codes().contains(&"local-missing"), "{seen:#?}");
    Ok(())
}

fn a_declaration_that_is_wrong_and_an_inventory_that_is_gone_are_found(world: &World) -> Result<()> {
    let patient = patient(world)?;
    let greyhound = &patient.greyhound;
    greyhound.declare(&declaration("nonsense = 1"))?;
    let seen = doctor(greyhound, "--quick")?;
    seen.only(7, &["declaration"])?;
    let mend = seen.evidence("declaration", "1 mistake(s), the first: line ")?;
    ensure!(mend == format!("greyhound check {}", greyhound.file().display()), "{mend}");
    let path = world.folder().join("inventory/inventory.db");
    greyhound.declare(&format!("[inventory]\npath = {path:?}\n{}", declaration("")))?;
    let seen = doctor(greyhound, "--quick")?;
    seen.only(7, &["inventory", "daemon-absent"])?;
    seen.evidence("inventory", "there is no such file")?;
    ensure!(!path.exists() && !world.folder().join("inventory").exists(), "it was made");
    greyhound.ends(0, "inventory check")?;
    doctor(greyhound, "--quick")?.only(0, &["daemon-absent"])
}
