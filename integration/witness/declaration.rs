//! The declaration as plain TOML. Nothing is checked that greyhound checks; what it would refuse is an error here.

use anyhow::{Context, Result, bail};
use ipnetwork::Ipv4Network;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

#[derive(Debug)]
pub struct Declaration {
    /// As it was read: tells whether it was changed.
    pub text: String,
    pub state_dir: PathBuf,
    /// The link that leased addresses are on.
    pub loopback: String,
    /// Those with `enable = false`, too.
    pub tunnels: Vec<Tunnel>,
}

#[derive(Debug)]
pub struct Tunnel {
    pub name: String,
    pub enabled: bool,
    pub multicast: bool,
    pub local: Local,
    pub remotes: Vec<Ipv4Addr>,
    pub overlay: Ipv4Network,
    /// Of its routes and of its groups.
    pub prefixes: BTreeSet<Ipv4Network>,
    /// 0 is "inherit", as the kernel has it.
    pub ttl: u32,
    /// 1 is "inherit", as the kernel has it.
    pub tos: u32,
    pub key: Option<u32>,
    pub mtu: Option<u32>,
    pub pmtudisc: bool,
    pub ignore_df: bool,
    pub vrf: Option<String>,
    pub metric: u32,
    pub client: Option<Ipv4Addr>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Local {
    Auto,
    /// Of a termination pool.
    Leased(Ipv4Addr),
    /// Of the host itself.
    Host(Ipv4Addr),
}

impl Declaration {
    pub fn read(file: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(file).context("the declaration")?;
        let table: Table = text.parse().context("the declaration")?;
        let daemon = |key: &str, default: &str| {
            let value = table.get("daemon").and_then(|daemon| daemon.get(key)).and_then(Value::as_str);
            value.unwrap_or(default).to_owned()
        };
        let pools = entries(&table, "pool").filter(|pool| word(pool, "purpose") == Some("termination"));
        let ranges = pools.flat_map(|pool| words(pool, "ranges")).map(range).collect::<Result<Vec<_>>>()?;
        Ok(Self {
            state_dir: daemon("state_dir", "/var/lib/greyhound").into(),
            loopback: daemon("loopback", "lo"),
            tunnels: entries(&table, "tunnel").map(|entry| tunnel(entry, &ranges)).collect::<Result<_>>()?,
            text,
        })
    }

    pub fn enabled(&self) -> impl Iterator<Item = &Tunnel> {
        self.tunnels.iter().filter(|tunnel| tunnel.enabled)
    }
}

impl Tunnel {
    pub fn link(&self) -> String {
        format!("gh-{}", self.name)
    }

    /// The holder of its leases.
    pub fn holder(&self) -> String {
        format!("tunnel/{}", self.name)
    }

    pub fn leases(&self) -> bool {
        !matches!(self.local, Local::Host(_))
    }
}

fn tunnel(entry: &Table, ranges: &[(Ipv4Addr, Ipv4Addr)]) -> Result<Tunnel> {
    let name = word(entry, "name").context("a tunnel without a name")?.to_owned();
    let flag = |key, default| entry.get(key).and_then(Value::as_bool).unwrap_or(default);
    let number = |key| entry.get(key).map(scalar).transpose();
    let prefixes = words(entry, "routes").chain(words(entry, "groups")).map(prefix);
    Ok(Tunnel {
        enabled: flag("enable", true),
        multicast: word(entry, "kind") == Some("multicast"),
        local: local(word(entry, "local").context("no local")?, ranges)?,
        remotes: words(entry, "remote").map(|text| Ok(text.parse()?)).collect::<Result<_>>()?,
        overlay: word(entry, "overlay").context("no overlay")?.parse()?,
        prefixes: prefixes.collect::<Result<_>>()?,
        ttl: inherit(entry.get("ttl"), 0)?.unwrap_or(64),
        tos: inherit(entry.get("tos"), 1)?.unwrap_or(0),
        key: number("key")?,
        mtu: number("mtu")?,
        pmtudisc: flag("pmtudisc", true),
        ignore_df: flag("ignore-df", false),
        vrf: word(entry, "vrf").map(str::to_owned),
        metric: number("metric")?.unwrap_or(0),
        client: word(entry, "client").map(str::parse).transpose()?,
        name,
    })
}

fn local(text: &str, ranges: &[(Ipv4Addr, Ipv4Addr)]) -> Result<Local> {
    if text == "auto" {
        return Ok(Local::Auto);
    }
    let address = text.parse()?;
    let leased = ranges.iter().any(|(first, last)| (*first..=*last).contains(&address));
    Ok(if leased { Local::Leased(address) } else { Local::Host(address) })
}

/// `FIRST-LAST`, or a prefix.
fn range(text: &str) -> Result<(Ipv4Addr, Ipv4Addr)> {
    if let Some((first, last)) = text.split_once('-') {
        return Ok((first.trim().parse()?, last.trim().parse()?));
    }
    let network: Ipv4Network = text.parse()?;
    Ok((network.network(), network.broadcast()))
}

/// With its host bits cleared, as routes are.
fn prefix(text: &str) -> Result<Ipv4Network> {
    let network: Ipv4Network = text.parse()?;
    Ok(Ipv4Network::new(network.network(), network.prefix())?)
}

fn inherit(value: Option<&Value>, inherited: u32) -> Result<Option<u32>> {
    match value.and_then(Value::as_str) {
        Some("inherit") => Ok(Some(inherited)),
        _ => value.map(scalar).transpose(),
    }
}

/// A number, or a number or dotted quad in a string.
fn scalar(value: &Value) -> Result<u32> {
    match value {
        Value::Integer(number) => Ok(u32::try_from(*number)?),
        Value::String(text) => Ok(text.parse().or_else(|_| text.parse::<Ipv4Addr>().map(u32::from))?),
        other => bail!("{other} is no number"),
    }
}

fn entries<'a>(table: &'a Table, name: &str) -> impl Iterator<Item = &'a Table> {
    table.get(name).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_table)
}

fn word<'a>(table: &'a Table, key: &str) -> Option<&'a str> {
    table.get(key).and_then(Value::as_str)
}

/// A list of words, or one alone.
fn words<'a>(table: &'a Table, key: &str) -> impl Iterator<Item = &'a str> {
    let value = table.get(key);
    let list = value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    list.chain(value.and_then(Value::as_str))
}
