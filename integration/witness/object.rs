//! One object of the kernel, as `ip -j -d` prints it.

use serde_json::Value;
use std::collections::BTreeSet;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Link,
    Address,
    Route,
    Rule,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    pub kind: Kind,
    /// What makes it the same object although a field of it changed.
    pub identity: String,
    /// The interface it is, or is on, or leads to.
    pub device: String,
    pub value: Value,
}

impl Object {
    fn new(kind: Kind, device: &str, identity: String, mut value: Value) -> Self {
        forget_what_moves(&mut value);
        Self { kind, identity, device: device.to_owned(), value }
    }

    /// A field of it as text; empty when it has no such field.
    pub fn field(&self, name: &str) -> String {
        text(&self.value, name)
    }

    /// The fields in which another state of the same object differs.
    pub fn changes(&self, after: &Self) -> Vec<String> {
        let mut changes = Vec::new();
        compare("", &self.value, &after.value, &mut changes);
        changes
    }
}

/// The objects in one listing of `ip`.
pub fn listed(kind: Kind, listing: &Value) -> Vec<Object> {
    let entries = listing.as_array().map(Vec::as_slice).unwrap_or_default();
    // `ip` prints empty objects for what a filter left out.
    let entries = entries.iter().filter(|entry| entry.as_object().is_some_and(|fields| !fields.is_empty()));
    entries.flat_map(|entry| objects(kind, entry)).collect()
}

fn objects(kind: Kind, entry: &Value) -> Vec<Object> {
    match kind {
        Kind::Link => vec![link(entry)],
        Kind::Address => addresses(entry),
        Kind::Route => vec![route(entry)],
        Kind::Rule => vec![rule(entry)],
    }
}

fn link(entry: &Value) -> Object {
    let device = text(entry, "ifname");
    Object::new(Kind::Link, &device, format!("link {device}"), entry.clone())
}

fn addresses(entry: &Value) -> Vec<Object> {
    let device = text(entry, "ifname");
    let addresses = entry["addr_info"].as_array().map(Vec::as_slice).unwrap_or_default();
    let object = |address: &Value| {
        let [local, prefix, peer] = ["local", "prefixlen", "address"].map(|name| text(address, name));
        let peer = if peer.is_empty() { peer } else { format!(" peer {peer}") };
        let identity = format!("address {local}{peer}/{prefix} on {device}");
        Object::new(Kind::Address, &device, identity, address.clone())
    };
    addresses.iter().map(object).collect()
}

fn route(entry: &Value) -> Object {
    let device = text(entry, "dev");
    let mut identity = format!("route {} {}", text(entry, "type"), text(entry, "dst"));
    for name in ["table", "metric", "tos", "dev", "gateway"] {
        let value = text(entry, name);
        if !value.is_empty() {
            identity += &format!(" {name} {value}");
        }
    }
    Object::new(Kind::Route, &device, identity, entry.clone())
}

fn rule(entry: &Value) -> Object {
    let identity = format!("rule {} {entry}", text(entry, "priority"));
    Object::new(Kind::Rule, &text(entry, "iif"), identity, entry.clone())
}

pub fn text(value: &Value, name: &str) -> String {
    match &value[name] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Counters, clocks and passing states change although nobody changed the object.
fn forget_what_moves(value: &mut Value) {
    const MOVING: [&str; 7] =
        ["stats", "stats64", "valid_life_time", "preferred_life_time", "tentative", "expires", "cache"];
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !MOVING.contains(&name.as_str()) && !name.ends_with("_timer"));
            fields.values_mut().for_each(forget_what_moves);
        }
        Value::Array(items) => items.iter_mut().for_each(forget_what_moves),
        _ => {}
    }
}

fn compare(path: &str, before: &Value, after: &Value, changes: &mut Vec<String>) {
    match (before, after) {
        (Value::Object(old), Value::Object(new)) => {
            let names: BTreeSet<_> = old.keys().chain(new.keys()).collect();
            for name in names {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                compare(&path, &before[name], &after[name], changes);
            }
        }
        _ if before == after => {}
        _ => changes.push(format!("{path} {before} -> {after}")),
    }
}
