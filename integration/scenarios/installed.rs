//! The package on a whole machine, under systemd: installed, started, upgraded, removed and purged; what other managers of
//! the network do to it, and it to them.

use super::pages;
use super::tunnels::AMS;
use crate::support::greyhound::{POOL, answer, unicast};
use crate::support::needs::Need;
use crate::support::scenario::{Scenario, scenario};
use crate::support::service::properties;
use crate::support::{Greyhound, Host, Receiver, Result, Sender, World, ensure, eventually};
use crate::witness::{Witness, look};
use anyhow::Context as _;
use std::fs;
use std::net::SocketAddrV4;
use std::path::Path;
use std::time::Duration;

pub const SCENARIOS: &[Scenario] = &[
    scenario!(the_package_comes_is_upgraded_and_goes_without_a_lost_packet)
        .needs(&[Need::Systemd])
        .exclusive(),
    scenario!(who_hangs_or_is_killed_is_started_again).needs(&[Need::Systemd]).exclusive(),
    scenario!(networkd_keeps_its_hands_off).needs(&[Need::Systemd]).exclusive(),
    scenario!(udev_runs_nothing_for_our_links).needs(&[Need::Systemd]).exclusive(),
    scenario!(the_unit_is_exposed_little).needs(&[Need::Systemd]),
];

/// Under emulation, and with a service manager in between.
const SOON: Duration = Duration::from_secs(30);
const UNIT: &str = "greyhound.service";
/// CAP_NET_BIND_SERVICE, CAP_NET_ADMIN and CAP_NET_RAW are the bits 10, 12 and 13 (linux/capability.h).
const CAPABILITIES: &str = "0000000000003400";
const PEER: &str = "169.254.10.1:9000";

/// The machine with the package on it, and an edge box behind a veth pair whose tunnel answers ours.
struct Machine {
    host: Host,
    edge: Host,
    greyhound: Greyhound,
}

impl Machine {
    fn build(world: &World) -> Result<Self> {
        let (host, edge) = (world.machine()?, world.host("edge")?);
        host.ip_batch(&format!(
            "link add under0 type veth peer name under0 netns {}\naddress add 203.0.113.2/24 dev under0\n\
             link set under0 up\n",
            edge.namespace()
        ))?;
        edge.ip_batch(&format!(
            "address add {AMS}/24 dev under0\nlink set under0 up\nroute add 198.51.100.0/24 via 203.0.113.2\n"
        ))?;
        answer(&edge, "tun", &format!("local {AMS} remote 198.51.100.8"), 0)?;
        let greyhound = Greyhound::installed(&host);
        Ok(Self { host, edge, greyhound })
    }

    /// Declares one tunnel, and has the service read it.
    fn declare(&self) -> Result<()> {
        let text = POOL.to_owned() + &unicast("ams", AMS, 0, "routes = [\"10.20.0.0/16\"]");
        fs::write(self.greyhound.file(), text)?;
        self.sh("systemctl reload greyhound")?;
        self.greyhound.ends(0, "status")?;
        Witness::new(&self.greyhound).holds()
    }

    fn sh(&self, line: &str) -> Result<String> {
        let output = self.host.exec(["sh", "-c", line])?;
        Ok(output.stdout + &output.stderr)
    }

    /// The stream through the tunnel, while something is done, loses nothing; and all that is ours is as before.
    fn undisturbed(&self, what: &str, deed: impl FnOnce() -> Result<()>) -> Result<()> {
        let to: SocketAddrV4 = PEER.parse()?;
        let before = look::ours(&self.host)?;
        let (receiver, sender) = (Receiver::start(&self.edge, to)?, Sender::start(&self.host, to)?);
        let done = deed();
        let report = receiver.report(sender.stop())?;
        println!("{what}: {report}");
        done?;
        report.complete().context(what.to_owned())?;
        before.expect_unchanged(&look::ours(&self.host)?).context(what.to_owned())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        for line in [
            "dpkg --purge --no-triggers greyhound",
            "for link in $(ls /sys/class/net | grep '^gh-'); do ip link delete $link; done",
            "ip address flush dev lo label lo:gh; ip route flush table 4700",
            "for rule in 4700 4701 4702 4703; do ip rule delete priority $rule; done",
            "nft delete table ip greyhound",
            "ip link delete under0",
            "rm -rf /etc/systemd/system/greyhound.service.d /etc/systemd/network; systemctl daemon-reload",
        ] {
            let _ = self.host.try_exec(["sh", "-c", line]);
        }
    }
}

/// The package of this revision, which was made before the lab was entered.
fn package(revision: u32) -> Result<String> {
    let path = format!("{}/target/lab/greyhound-{revision}.deb", env!("CARGO_MANIFEST_DIR"));
    ensure!(Path::new(&path).exists(), "there is no {path}: integration/package lab");
    Ok(path)
}

fn install(machine: &Machine, revision: u32) -> Result<String> {
    let (provision, file) =
        (concat!(env!("CARGO_MANIFEST_DIR"), "/integration/provision"), package(revision)?);
    machine.sh(&format!("{provision} {file}"))
}

fn main_pid() -> Result<String> {
    Ok(properties(UNIT)?["MainPID"].clone())
}

fn the_package_comes_is_upgraded_and_goes_without_a_lost_packet(world: &World) -> Result<()> {
    let machine = Machine::build(world)?;
    install(&machine, 1)?;
    ensure!(properties(UNIT)?["ActiveState"] == "active", "not started: {:?}", properties(UNIT)?);
    runs_with_little(&main_pid()?)?;
    for file in [
        "/usr/share/man/man8/greyhound.8.gz",
        "/usr/share/man/man8/greyhound-tunnel-move.8.gz",
        "/usr/share/bash-completion/completions/greyhound",
        "/usr/share/greyhound/greyhound.schema.json",
        "/usr/share/doc/greyhound/README.md",
        "/usr/lib/udev/rules.d/99-zz-greyhound.rules",
    ] {
        ensure!(Path::new(file).exists(), "{file} is not in the package");
    }
    machine.declare()?;
    a_wrong_declaration_changes_nothing(&machine)?;

    let (pid, index) = (main_pid()?, look::index(&machine.host, "gh-ams")?);
    machine.undisturbed("restart", || machine.sh("systemctl restart greyhound").map(drop))?;
    machine.undisturbed("upgrade", || install(&machine, 2).map(drop))?;
    ensure!(main_pid()? != pid, "the daemon is the old one");
    ensure!(look::index(&machine.host, "gh-ams")? == index, "the tunnel was made anew");

    let mut said = String::new();
    machine.undisturbed("removal", || {
        said = machine.sh("dpkg --remove --no-triggers greyhound")?;
        Ok(())
    })?;
    ensure!(said.contains("1 tunnel(s) stay") && said.contains("greyhound flush"), "{said}");
    ensure!(Path::new("/var/lib/greyhound/state.db").exists(), "the state is gone");
    machine.sh("dpkg --purge --no-triggers greyhound")?;
    ensure!(!Path::new("/var/lib/greyhound").exists(), "the state is still there");
    Ok(())
}

/// The user and the three capabilities of the unit, and nothing to gain.
fn runs_with_little(pid: &str) -> Result<()> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        Ok::<_, anyhow::Error>(line.with_context(|| format!("no {name}"))?.trim())
    };
    for set in ["CapEff:", "CapPrm:", "CapBnd:"] {
        ensure!(field(set)? == CAPABILITIES, "{set} {}", field(set)?);
    }
    ensure!(field("NoNewPrivs:")? == "1" && field("Seccomp:")? == "2", "{status}");
    ensure!(!field("Uid:")?.starts_with("0\t"), "it runs as root");
    Ok(())
}

fn a_wrong_declaration_changes_nothing(machine: &Machine) -> Result<()> {
    let right = fs::read_to_string(machine.greyhound.file())?;
    let pid = main_pid()?;
    fs::write(machine.greyhound.file(), format!("{right}\nnonsense = 1\n"))?;
    let reload = machine.host.try_exec(["systemctl", "reload", "greyhound"])?;
    ensure!(!reload.status.success(), "a wrong declaration is taken");
    ensure!(main_pid()? == pid && properties(UNIT)?["ActiveState"] == "active", "{:?}", properties(UNIT)?);
    fs::write(machine.greyhound.file(), right)?;
    machine.sh("systemctl reload greyhound")?;
    Ok(())
}

fn who_hangs_or_is_killed_is_started_again(world: &World) -> Result<()> {
    let machine = Machine::build(world)?;
    install(&machine, 1)?;
    machine.declare()?;
    let other = |pid: &str| {
        eventually(SOON, || {
            let all = properties(UNIT)?;
            ensure!(all["MainPID"] != pid && all["ActiveState"] == "active", "{all:?}");
            Ok(())
        })
    };
    let pid = main_pid()?;
    machine.undisturbed("SIGKILL", || {
        machine.sh(&format!("kill -KILL {pid}"))?;
        other(&pid)
    })?;
    // As the unit is, but less patient.
    fs::create_dir_all("/etc/systemd/system/greyhound.service.d")?;
    let impatient = "[Service]\nWatchdogSec=4\nTimeoutAbortSec=2\n";
    fs::write("/etc/systemd/system/greyhound.service.d/impatient.conf", impatient)?;
    machine.sh("systemctl daemon-reload && systemctl restart greyhound")?;
    let pid = main_pid()?;
    // One that is fed keeps still.
    std::thread::sleep(Duration::from_secs(9));
    ensure!(main_pid()? == pid, "the watchdog bites who feeds it");
    machine.undisturbed("watchdog", || {
        machine.sh(&format!("kill -STOP {pid}"))?;
        other(&pid)
    })?;
    let journal = machine.sh("journalctl --unit greyhound --no-pager")?;
    ensure!(journal.contains("Watchdog timeout"), "{journal}");
    let all = properties(UNIT)?;
    ensure!(all["StatusText"] == "1 tunnel(s) kept", "{all:?}");
    pages::type_those_of_the_service(&machine.host)?;
    Witness::new(&machine.greyhound).holds()
}

/// What an operator may have who lets it manage all that there is.
const ALL_LINKS: &str = "[Match]\nName=*\n\n[Network]\nLinkLocalAddressing=no\nConfigureWithoutCarrier=yes\n";

fn networkd_keeps_its_hands_off(world: &World) -> Result<()> {
    let machine = Machine::build(world)?;
    install(&machine, 1)?;
    machine.declare()?;
    fs::create_dir_all("/etc/systemd/network")?;
    // The way to the edge box is not what is tried here.
    fs::write("/etc/systemd/network/08-under.network", "[Match]\nName=under0\n[Link]\nUnmanaged=yes\n")?;
    fs::write("/etc/systemd/network/10-all.network", ALL_LINKS)?;
    machine.undisturbed("networkd started, and restarted three times", || {
        machine.sh("systemctl start dbus.socket systemd-networkd")?;
        (0..3).try_for_each(|_| machine.sh("systemctl restart systemd-networkd && sleep 3").map(drop))
    })?;
    ensure!(machine.sh("networkctl --no-pager")?.contains("unmanaged"), "networkd sees no link of ours");
    nothing_was_repaired(&machine)?;
    machine.sh("systemctl stop systemd-networkd.socket systemd-networkd")?;
    Ok(())
}

/// Nobody took anything of ours.
fn nothing_was_repaired(machine: &Machine) -> Result<()> {
    let events = machine.greyhound.ends(0, "events -j")?.stdout;
    let found: Vec<_> = events.lines().filter(|line| line.contains("\"kind\":\"repair\"")).collect();
    ensure!(found.is_empty(), "repairs: {found:?}");
    Ok(())
}

fn udev_runs_nothing_for_our_links(world: &World) -> Result<()> {
    const RULE: &str = "/usr/lib/udev/rules.d/99-zz-greyhound.rules";
    const MANY: u32 = 50;
    let machine = Machine::build(world)?;
    let try_once = |rule: bool| -> Result<Duration> {
        if rule {
            fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/systemd/greyhound.rules"), RULE)?;
        } else {
            let _ = fs::remove_file(RULE);
        }
        machine.sh("udevadm control --reload && udevadm settle")?;
        let begun = std::time::Instant::now();
        let line =
            |number| format!("link add gh-u{number} type gre remote 10.9.9.{number} local 203.0.113.2\n");
        machine.host.ip_batch(&(1..=MANY).map(line).collect::<String>())?;
        machine.sh("udevadm settle")?;
        let took = begun.elapsed();
        let told = machine.sh("udevadm test --action=add /sys/class/net/gh-u7 2>&1")?;
        ensure!(told.contains("run: '/lib/systemd/systemd-sysctl") != rule, "{told}");
        machine
            .host
            .ip_batch(&(1..=MANY).map(|number| format!("link delete gh-u{number}\n")).collect::<String>())?;
        machine.sh("udevadm settle")?;
        Ok(took)
    };
    let (without, with) = (try_once(false)?, try_once(true)?);
    let _ = fs::remove_file(RULE);
    println!(
        "{MANY} links until udev has settled: {} ms without the rule, {} with it",
        without.as_millis(),
        with.as_millis()
    );
    Ok(())
}

/// What systemd-analyze(1) calls the exposure, times ten.
const THRESHOLD: &str = "--threshold=18";

fn the_unit_is_exposed_little(world: &World) -> Result<()> {
    let host = world.host("client")?;
    let unit = concat!(env!("CARGO_MANIFEST_DIR"), "/systemd/greyhound.service");
    let output =
        host.exec(["systemd-analyze", "security", "--offline=true", "--no-pager", THRESHOLD, unit])?;
    let last = output.stdout.trim().lines().last().unwrap_or_default().to_owned();
    println!("{last}");
    ensure!(last.contains("Overall exposure level"), "{}", output.stdout);
    Ok(())
}
