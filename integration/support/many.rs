//! Many tunnels, as a declaration and as lines of `ip -batch` that make the same objects.

use anyhow::Result;
use std::fmt::Write as _;
use std::net::Ipv4Addr;

/// The address number `number` of a prefix that begins there.
fn address(first: [u8; 4], number: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::from(first)) + number)
}

fn local(number: u32) -> Ipv4Addr {
    address([198, 18, 0, 0], number)
}

fn remote(number: u32) -> Ipv4Addr {
    address([203, 0, 113, 1], number % 4)
}

fn overlay(number: u32) -> Ipv4Addr {
    address([10, 64, 0, 0], number * 2)
}

fn route(number: u32) -> Ipv4Addr {
    address([10, 128, 0, 0], number << 8)
}

/// The tunnels number `from` to `to`, `to` not included.
pub fn declaration(from: u32, to: u32) -> Result<String> {
    let mut text =
        "[[pool]]\nname = \"many\"\npurpose = \"termination\"\nranges = [\"198.18.0.0/22\"]\n".to_owned();
    for number in from..to {
        let (remote, overlay, route) = (remote(number), overlay(number), route(number));
        writeln!(text, "[[tunnel]]\nname = \"t{number:04}\"\nkind = \"unicast\"\nlocal = \"auto\"")?;
        writeln!(text, "remote = \"{remote}\"\noverlay = \"{overlay}/31\"\nroutes = [\"{route}/24\"]")?;
    }
    Ok(text)
}

/// Lines that make the tunnels number 0 to `to`: the same objects, with the same attributes.
pub fn batch(to: u32) -> Result<String> {
    let mut lines = String::new();
    for number in 0..to {
        let (local, remote, overlay) = (local(number), remote(number), overlay(number));
        let (route, link) = (route(number), format!("gh-t{number:04}"));
        writeln!(lines, "address add {local}/32 dev lo label lo:gh")?;
        write!(lines, "link add {link} mtu 1476 group 26472 type gre ")?;
        writeln!(lines, "local {local} remote {remote} ttl 64 fwmark 0x47")?;
        writeln!(lines, "link set {link} addrgenmode none\nlink set {link} up")?;
        writeln!(lines, "address add {overlay}/31 dev {link} scope link")?;
        writeln!(lines, "route add {route}/24 dev {link} table 4700 proto 147")?;
    }
    lines += "rule add priority 4700 fwmark 0x47 lookup main protocol 147\n\
              rule add priority 4701 not fwmark 0x47 lookup 4700 suppress_prefixlength 0 protocol 147\n";
    Ok(lines)
}

/// Lines that take them away again.
pub fn unbatch(to: u32) -> Result<String> {
    let mut lines = String::new();
    for number in 0..to {
        writeln!(lines, "link delete gh-t{number:04}")?;
        writeln!(lines, "address delete {}/32 dev lo", local(number))?;
    }
    lines += "rule delete priority 4700\nrule delete priority 4701\n";
    Ok(lines)
}
