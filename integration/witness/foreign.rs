//! Objects of somebody else, to be watched: a few hundred, of every sort that greyhound makes, too.

use super::{Kind, Snapshot, unchanged};
use crate::support::Host;
use anyhow::Result;
use std::fmt::Write as _;

/// Interfaces of the foreigner begin like this.
pub const PREFIX: &str = "other";
const DUMMIES: u32 = 32;

/// Makes them on a host: dummies with addresses and routes in two tables, rules, two GRE links and labels on `lo`.
pub fn populate(host: &Host) -> Result<()> {
    let mut lines = String::new();
    for number in 0..DUMMIES {
        dummy(&mut lines, number)?;
    }
    lines += "\
        link add other-gre type gre local 127.0.0.7 remote 127.0.0.8 ttl 33\n\
        link set other-gre up group 77\n\
        address add 172.31.0.0/31 dev other-gre\n\
        link add other-key type gre local 127.0.0.7 remote 127.0.0.8 key 5\n\
        address add 172.31.255.1/32 dev lo label lo:other\n\
        route add blackhole 172.31.255.2 table 77\n";
    host.ip_batch(&lines)
}

fn dummy(lines: &mut String, number: u32) -> Result<()> {
    let device = format!("{PREFIX}{number}");
    writeln!(lines, "link add {device} type dummy")?;
    writeln!(lines, "link set {device} up mtu {}", 1300 + number)?;
    writeln!(lines, "address add 172.30.{number}.1/24 dev {device}")?;
    writeln!(lines, "address add 172.30.{number}.2/24 dev {device}")?;
    writeln!(lines, "route add 172.29.{number}.0/24 via 172.30.{number}.9")?;
    writeln!(lines, "route add 172.28.{number}.0/24 dev {device} table 77 proto 99 metric {number}")?;
    writeln!(lines, "rule add from 172.28.{number}.0/24 lookup 77 priority {}", 5000 + number)?;
    Ok(())
}

/// What is not greyhound's, on a host where only greyhound and foreigners are.
pub fn snapshot(host: &Host) -> Result<Snapshot> {
    let all = Snapshot::take(host)?;
    let named = all.of(Kind::Link).filter(|link| link.device.starts_with("gh-"));
    let ours = named.map(|link| link.device.clone()).collect();
    Ok(unchanged::foreign(&all, &ours))
}
