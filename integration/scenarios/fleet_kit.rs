//! A fleet: a client host and two edge boxes that share an inventory, each with a daemon of its own.

use crate::support::underlay::Leaf;
use crate::support::{Daemon, Greyhound, Host, Result, Underlay, World, ensure, eventually};
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;

/// Within this time the fleet agrees.
pub const AGREED: Duration = Duration::from_secs(20);
/// Probes that measure soon.
pub const QUICK: &str = "[probe]\ninterval = \"500ms\"\n";
/// What is behind the clients' tunnels: an address of each edge box.
pub const BEHIND: &str = "10.9.0.1";

pub struct Fleet {
    pub underlay: Underlay,
    pub client: Greyhound,
    pub ams: Greyhound,
    pub fra: Greyhound,
    pub path: PathBuf,
}

/// An edge box of the fleet.
pub fn edge(code: &str, address: &str, prefix: &str, path: &str) -> String {
    format!(
        "role = \"edge\"\n{QUICK}[inventory]\npath = \"{path}\"\n\
         [device]\ncode = \"{code}\"\npublic_ip = \"{address}\"\nprefixes = [\"{prefix}\"]\n"
    )
}

/// A client of the fleet.
pub fn client(name: &str, more: &str, path: &str) -> String {
    format!("{QUICK}[inventory]\npath = \"{path}\"\n[host]\nname = \"{name}\"\n{more}\n")
}

impl Fleet {
    /// No daemon runs yet, and the inventory is not there. The client routes `10.9.0.0/16` into its tunnels.
    pub fn build(world: &World, more: &str) -> Result<Self> {
        let leaves = [
            Leaf::new("client", "192.0.2.10/24").owns("192.0.3.0/28"),
            Leaf::new("ams", "203.0.113.1/24").owns("198.51.100.8/29"),
            Leaf::new("fra", "203.0.114.1/24").owns("198.51.100.16/29"),
        ];
        let (underlay, hosts) = Underlay::build(world, leaves)?;
        let path = world.folder().join("inventory/inventory.db");
        let at = path.display().to_string();
        let [client_host, ams, fra] = hosts;
        for edge in [&ams, &fra] {
            edge.sysctl("net.ipv4.ip_forward", "1")?;
            edge.ip_batch(&format!(
                "link add behind type dummy\naddress add {BEHIND}/32 dev behind\nlink set behind up\n"
            ))?;
        }
        let more = format!("routes = [\"10.9.0.0/16\"]\n{more}");
        Ok(Self {
            underlay,
            client: Greyhound::new(world, &client_host, &client("client-1", &more, &at))?,
            ams: Greyhound::new(world, &ams, &edge("ams-1", "203.0.113.1", "198.51.100.8/29", &at))?,
            fra: Greyhound::new(world, &fra, &edge("fra-1", "203.0.114.1", "198.51.100.16/29", &at))?,
            path,
        })
    }

    /// Pools for overlays and clients, and all three daemons; both devices are let in, and all terminations measured.
    pub fn start(&self) -> Result<[Daemon; 3]> {
        let edges = [Daemon::start(&self.ams)?, Daemon::start(&self.fra)?];
        self.client.ends(0, "pool add inside --purpose overlay --range 169.254.20.0/24")?;
        self.client.ends(0, "pool add clients --purpose client --range 10.8.0.0/24")?;
        for code in ["ams-1", "fra-1"] {
            eventually(AGREED, || self.client.ends(0, &format!("device show {code}")))?;
            self.client.ends(0, &format!("device set {code} --status activated"))?;
        }
        let client = Daemon::start(&self.client)?;
        self.measured(16)?;
        let [ams, fra] = edges;
        Ok([client, ams, fra])
    }

    /// So many terminations have a latency on the client.
    pub fn measured(&self, count: usize) -> Result<()> {
        eventually(AGREED, || {
            let latency = self.client.json(0, "latency")?;
            let all = latency["terminations"].as_array().cloned().unwrap_or_default();
            let measured = all.iter().filter(|row| row["latency_ms"].is_number()).count();
            ensure!(measured >= count, "{measured} of {} terminations are measured: {latency}", all.len());
            Ok(())
        })
    }

    /// The session of the client by its tunnel's name, as the client's daemon shows it.
    pub fn session(&self, tunnel: &str) -> Result<Value> {
        let status = self.client.json(0, "status")?;
        let sessions = status["sessions"].as_array().cloned().unwrap_or_default();
        let found = sessions.iter().find(|session| session["tunnel"] == tunnel);
        Ok(found.cloned().unwrap_or_default())
    }
}

/// The names of greyhound's links on a host.
pub fn links(host: &Host) -> Result<Vec<String>> {
    let shown = host.exec(["ip", "-j", "link", "show", "type", "gre"])?;
    let shown: Value = serde_json::from_str(&shown.stdout)?;
    let names = shown.as_array().cloned().unwrap_or_default().into_iter();
    let names = names.filter_map(|link| Some(link["ifname"].as_str()?.to_owned()));
    Ok(names.filter(|name| name.starts_with("gh-")).collect())
}
