//! FRR beside greyhound on an edge box: `docs/frr.conf` announces the clients' routes, and withdraws them.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use tempfile::TempDir;

use crate::support::command::Process;
use crate::support::greyhound::tunnel;
use crate::support::needs::{Need, VRF};
use crate::support::scenario::{Scenario, scenario};
use crate::support::{Daemon, Greyhound, Host, Result, World, ensure, eventually};
use crate::witness::{Witness, look};

pub const SCENARIOS: &[Scenario] = &[scenario!(the_neighbour_learns_a_clients_route_and_forgets_it)
    .needs(&[VRF, Need::Program(ZEBRA), Need::Program(BGPD), Need::Program("vtysh")])];

const ZEBRA: &str = "/usr/lib/frr/zebra";
const BGPD: &str = "/usr/lib/frr/bgpd";
const EDGE: &str = "203.0.113.1";
const CORE: &str = "203.0.113.254";
/// A session of BGP comes up, and a route goes through it.
const SETTLED: Duration = Duration::from_secs(60);

/// The neighbour: it takes what comes, and puts it into its kernel.
const NEIGHBOUR: &str = "\
route-map all permit 10
!
router bgp 64513
 bgp router-id 203.0.113.254
 neighbor 203.0.113.1 remote-as 64512
 address-family ipv4 unicast
  neighbor 203.0.113.1 route-map all in
  neighbor 203.0.113.1 route-map all out
 exit-address-family
!
";

/// zebra and bgpd of one host, killed when dropped.
struct Frr {
    _daemons: [Process; 2],
    _folder: TempDir,
}

impl Frr {
    fn start(host: &Host, configuration: &str) -> Result<Self> {
        // They give up being root at once, and cannot read what only root may.
        let folder = tempfile::Builder::new().prefix("frr.").tempdir_in("/run")?;
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o777))?;
        let at = folder.path();
        std::fs::write(at.join("frr.conf"), configuration)?;
        std::fs::write(at.join("empty.conf"), "")?;
        let daemons = [daemon(host, at, ZEBRA, "zebra")?, daemon(host, at, BGPD, "bgpd")?];
        let [sockets, config] =
            ["--vty_socket", "--config_dir"].map(|word| format!("{word}={}", at.display()));
        eventually(SETTLED, || host.exec(["vtysh", &sockets, &config, "-b"]))?;
        Ok(Self { _daemons: daemons, _folder: folder })
    }
}

fn daemon(host: &Host, folder: &Path, program: &str, name: &str) -> Result<Process> {
    let path = |name: &str| folder.join(name).display().to_string();
    let mut process = host.spawn([
        program.to_owned(),
        "--vty_port=0".to_owned(),
        format!("--config_file={}", path("empty.conf")),
        format!("--socket={}", path("zserv.api")),
        format!("--vty_socket={}", folder.display()),
        format!("--pid_file={}", path(&format!("{name}.pid"))),
    ])?;
    eventually(SETTLED, || {
        process.still_runs()?;
        ensure!(folder.join(format!("{name}.vty")).exists(), "{name} does not listen: {}", process.said());
        Ok(())
    })?;
    Ok(process)
}

/// An edge box and its neighbour on one link, with the VRF that `docs/frr.conf` asks for.
fn place(world: &World) -> Result<[Host; 2]> {
    let [edge, core] = ["ams", "core"].map(|name| world.host(name));
    let (edge, core) = (edge?, core?);
    let core_is = core.namespace();
    edge.ip_batch(&format!(
        "link add eth0 type veth peer name eth0 netns {core_is}\n\
         address add {EDGE}/24 dev eth0\n\
         link set eth0 up\n\
         route add default via {CORE}\n\
         link add clients type vrf table 4700\n\
         link set clients up\n"
    ))?;
    core.ip_batch(&format!("address add {CORE}/24 dev eth0\nlink set eth0 up\n"))?;
    Ok([edge, core])
}

fn declaration(clients: &str) -> String {
    tunnel("client", "unicast", EDGE, "198.51.100.77", 0, &format!("routes = [{clients}]"))
}

/// Does the neighbour's kernel have the route of this client?
fn learnt(core: &Host, client: &str) -> Result<bool> {
    let route = &core.json(&format!("route show {client}/32"))?[0];
    Ok(route["protocol"] == "bgp" && route["gateway"] == EDGE)
}

fn the_neighbour_learns_a_clients_route_and_forgets_it(world: &World) -> Result<()> {
    let [edge, core] = place(world)?;
    let greyhound = Greyhound::new(world, &edge, &declaration("\"10.8.0.5/32\""))?;
    let daemon = Daemon::start(&greyhound)?;
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/frr.conf");
    let example = std::fs::read_to_string(example).context("docs/frr.conf")?;
    let frr = Frr::start(&edge, &example)?;
    let _neighbour = Frr::start(&core, NEIGHBOUR)?;
    let knows = |client: &str, wanted: bool| {
        eventually(SETTLED, || {
            ensure!(learnt(&core, client)? == wanted, "{client} is learnt: {}", !wanted);
            Ok(())
        })
    };
    knows("10.8.0.5", true).context("there before FRR was")?;
    greyhound.declare(&declaration("\"10.8.0.5/32\", \"10.8.0.6/32\", \"10.20.0.0/16\""))?;
    greyhound.ends(0, "reload")?;
    knows("10.8.0.6", true).context("added")?;
    ensure!(core.json("route show 10.20.0.0/16")?[0].is_null(), "what is no client is announced");
    let main = edge.ip("route show proto bgp")?.stdout;
    ensure!(main.trim().is_empty(), "FRR has put it into the main table, too: {main}");
    Witness::new(&greyhound).holds().context("beside FRR")?;

    edge.ip("link delete gh-client")?;
    look_again(&edge)?;
    knows("10.8.0.5", true).context("repaired")?;
    greyhound.declare("")?;
    greyhound.ends(0, "reload")?;
    knows("10.8.0.5", false).context("the tunnel is gone")?;
    knows("10.8.0.6", false)?;
    look::nothing_of_ours(&edge)?;

    greyhound.declare(&declaration("\"10.8.0.5/32\""))?;
    greyhound.ends(0, "reload")?;
    knows("10.8.0.5", true).context("another tunnel")?;
    drop(frr);
    edge.ip("link delete clients")?;
    look::goes_by(&edge, "10.8.0.5", "gh-client").context("without FRR and its VRF all stays")?;
    Witness::new(&greyhound).holds().context("without FRR")?;
    daemon.stop()?;
    Ok(())
}

/// The daemon has made it again.
fn look_again(edge: &Host) -> Result<()> {
    eventually(Duration::from_secs(10), || look::present(edge, "gh-client").map(drop))
}
