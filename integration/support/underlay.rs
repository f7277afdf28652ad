//! The underlay: hosts around a router, each on a link and a prefix of its own.
//!
//! ```text
//!  client            underlay             ams
//!  eth0 192.0.2.10/24 ── client   ams ── 203.0.113.1/24 eth0
//!       default via 192.0.2.254    203.0.113.254
//! ```
//! The router has the last address of each prefix, and an interface named after each host. Links carry IPv4 only.

use super::host::Host;
use super::world::World;
use anyhow::{Context, Result, ensure};
use ipnetwork::Ipv4Network;
use std::fmt::Write as _;
use std::net::Ipv4Addr;

/// What is asked for: a host on a link of its own.
#[derive(Clone, Debug)]
pub struct Leaf<'a> {
    name: &'a str,
    address: &'a str,
    owns: Vec<&'a str>,
    mtu: u32,
}

impl<'a> Leaf<'a> {
    /// A host whose `eth0` has this address, written with its prefix length.
    pub fn new(name: &'a str, address: &'a str) -> Self {
        Self { name, address, owns: Vec::new(), mtu: 1500 }
    }

    /// The underlay routes this prefix to the host, too: for its secondary loopback addresses.
    pub fn owns(mut self, prefix: &'a str) -> Self {
        self.owns.push(prefix);
        self
    }

    pub fn mtu(mut self, mtu: u32) -> Self {
        self.mtu = mtu;
        self
    }

    fn network(&self) -> Result<Ipv4Network> {
        self.address.parse().with_context(|| format!("address of {}: {}", self.name, self.address))
    }
}

/// Which way packets go, seen from the router.
#[derive(Clone, Copy, Debug)]
pub enum Way {
    To,
    From,
}

pub struct Underlay {
    pub router: Host,
    leaves: Vec<Host>,
}

impl Underlay {
    /// Makes the router and the hosts, in this order.
    pub fn build<const N: usize>(world: &World, leaves: [Leaf; N]) -> Result<(Self, [Host; N])> {
        let names: Vec<_> = std::iter::once("underlay").chain(leaves.iter().map(|leaf| leaf.name)).collect();
        let mut hosts = world.hosts(&names)?;
        let router = hosts.remove(0);
        router.sysctl("net.ipv4.ip_forward", "1")?;
        let mut lines = String::new();
        for (leaf, host) in leaves.iter().zip(&hosts) {
            connect(host, &router, leaf)?;
            lines += &router_lines(leaf)?;
        }
        router.ip_batch(&lines)?;
        let underlay = Self { router, leaves: hosts.clone() };
        let hosts = hosts.try_into().map_err(|_| anyhow::anyhow!("as many hosts as leaves"))?;
        Ok((underlay, hosts))
    }

    /// Delays, loses, reorders or duplicates what goes to or from a host, in netem's words. Needs `NETEM`.
    pub fn impair(&self, host: &Host, way: Way, how: &str) -> Result<()> {
        let (at, device) = self.exit(host, way)?;
        let words = ["tc", "qdisc", "replace", "dev", device, "root", "netem"];
        at.exec(words.into_iter().chain(how.split_whitespace()))?;
        Ok(())
    }

    /// Takes back what `impair` did, one way.
    pub fn heal(&self, host: &Host, way: Way) -> Result<()> {
        let (at, device) = self.exit(host, way)?;
        at.exec(["tc", "qdisc", "delete", "dev", device, "root"])?;
        Ok(())
    }

    /// The host falls silent: nothing reaches it, nothing comes from it, its links stay up. Needs `NETEM`.
    pub fn silence(&self, host: &Host) -> Result<()> {
        self.impair(host, Way::To, "loss 100%")?;
        self.impair(host, Way::From, "loss 100%")
    }

    fn exit<'a>(&'a self, host: &'a Host, way: Way) -> Result<(&'a Host, &'a str)> {
        ensure!(
            self.leaves.iter().any(|leaf| leaf.name() == host.name()),
            "{} is not on this underlay",
            host.name()
        );
        Ok(match way {
            Way::To => (&self.router, host.name()),
            Way::From => (host, "eth0"),
        })
    }
}

fn connect(host: &Host, router: &Host, leaf: &Leaf) -> Result<()> {
    let Leaf { name, address, mtu, .. } = leaf;
    let gateway = gateway(leaf)?;
    let router = router.namespace();
    host.sysctl("net.ipv6.conf.default.disable_ipv6", "1")?;
    host.ip_batch(&format!(
        "link add eth0 mtu {mtu} type veth peer name {name} mtu {mtu} netns {router}\n\
         address add {address} dev eth0\n\
         link set eth0 up\n\
         route add default via {gateway}\n"
    ))?;
    host.sysctl("net.ipv6.conf.default.disable_ipv6", "0")
}

fn router_lines(leaf: &Leaf) -> Result<String> {
    let Leaf { name, owns, .. } = leaf;
    let network = leaf.network()?;
    let mut lines =
        format!("address add {}/{} dev {name}\nlink set {name} up\n", gateway(leaf)?, network.prefix());
    for prefix in owns {
        writeln!(lines, "route add {prefix} via {} dev {name}", network.ip())?;
    }
    Ok(lines)
}

/// The last address of the host's prefix.
fn gateway(leaf: &Leaf) -> Result<Ipv4Addr> {
    let network = leaf.network()?;
    let gateway = Ipv4Addr::from(u32::from(network.broadcast()) - 1);
    ensure!(network.prefix() <= 30 && gateway != network.ip(), "{} needs room for a router", leaf.address);
    Ok(gateway)
}
