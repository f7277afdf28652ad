//! Single objects, as `ip -j -d` shows them.

use super::Snapshot;
use crate::support::{Host, Result, ensure};
use anyhow::Context;
use serde_json::Value;

/// A link by name; `None` when there is none.
pub fn link(host: &Host, name: &str) -> Result<Option<Value>> {
    let all = host.json("-d link show")?;
    let links = all.as_array().cloned().unwrap_or_default();
    Ok(links.into_iter().find(|link| link["ifname"] == name))
}

/// A link that must be there.
pub fn present(host: &Host, name: &str) -> Result<Value> {
    link(host, name)?.with_context(|| format!("there is no link {name}"))
}

pub fn absent(host: &Host, name: &str) -> Result<()> {
    ensure!(link(host, name)?.is_none(), "there is a link {name}");
    Ok(())
}

pub fn index(host: &Host, name: &str) -> Result<u64> {
    present(host, name)?["ifindex"].as_u64().context("a link without an index")
}

/// A field of a GRE link: of its parameters, else of the link.
pub fn gre(host: &Host, name: &str, field: &str) -> Result<String> {
    let link = present(host, name)?;
    let value = [&link["linkinfo"]["info_data"][field], &link[field]].into_iter().find(|v| !v.is_null());
    Ok(match value {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    })
}

/// The addresses on a link, each with its prefix length.
pub fn addresses(host: &Host, name: &str) -> Result<Vec<String>> {
    let all = host.json(&format!("-4 address show dev {name}"))?;
    let list = all[0]["addr_info"].as_array().cloned().unwrap_or_default();
    let text = |a: &Value| format!("{}/{}", a["local"].as_str().unwrap_or("?"), a["prefixlen"]);
    Ok(list.iter().map(text).collect())
}

/// The way that a packet to this address takes, with further words of `ip route get`.
pub fn way(host: &Host, to: &str) -> Result<Value> {
    Ok(host.json(&format!("route get {to}"))?[0].clone())
}

pub fn goes_by(host: &Host, to: &str, device: &str) -> Result<()> {
    let way = way(host, to)?;
    ensure!(way["dev"] == device, "{to} does not go by {device}: {way}");
    Ok(())
}

/// What greyhound has in the kernel: links and addresses by name or label, routes and rules by protocol.
pub fn ours(host: &Host) -> Result<Snapshot> {
    Ok(Snapshot::take(host)?.keep(|object| {
        let links = object.device.starts_with("gh-") || object.field("label").ends_with(":gh");
        links || object.field("protocol") == "147"
    }))
}

pub fn nothing_of_ours(host: &Host) -> Result<()> {
    let left: Vec<_> = ours(host)?.objects().map(|object| object.identity.clone()).collect();
    ensure!(left.is_empty(), "left: {left:?}");
    Ok(())
}
