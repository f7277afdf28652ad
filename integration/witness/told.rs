//! I7: every repair and decision is in the log with its cause, and in the events.

use super::store::Event;
use super::view::{PROTOCOL, tunnel_of};
use crate::support::{Host, Result};
use anyhow::Context;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Kinds of events that are repairs or decisions.
const DECISIONS: [&str; 6] = ["repair", "adopt", "refuse", "hold", "fail", "damp"];
/// What it says of a change that nothing explains.
const NO_CAUSE: &str = "it was not as declared";
/// "ams: repaired" is a deed without its cause.
const LEAST_WORDS: usize = 3;

/// A line for each event that says too little, or that is not in the log or not among what `greyhound events` shows.
pub fn untold(events: &[Event], log: &str, shown: &[Event]) -> Vec<String> {
    let mut lines = Vec::new();
    for event in events.iter().filter(|event| DECISIONS.contains(&event.kind.as_str())) {
        let Event { seq, kind, text, .. } = event;
        if text.split_whitespace().count() < LEAST_WORDS {
            lines.push(format!("event {seq}, a {kind}, names no cause: {text:?}"));
        }
        if kind == "repair" && text.starts_with(NO_CAUSE) {
            lines.push(format!("event {seq}, a {kind}, knows no cause: {text:?}"));
        }
        let escaped = Value::String(text.clone()).to_string();
        if !log.contains(text.as_str()) && !log.contains(escaped.trim_matches('"')) {
            lines.push(format!("event {seq}, a {kind}, is not in the log: {text:?}"));
        }
        if !shown.contains(event) {
            lines.push(format!("event {seq}, a {kind}, is not shown among the events: {text:?}"));
        }
    }
    lines
}

/// A line for each tunnel that the kernel saw changed, and of which no event tells a repair.
pub fn unrecorded(touched: &BTreeSet<Option<String>>, events: &[Event]) -> Vec<String> {
    let repaired = |tunnel: &Option<String>| {
        events.iter().any(|event| event.kind == "repair" && event.tunnel == *tunnel)
    };
    let missing = touched.iter().filter(|tunnel| !repaired(tunnel));
    let name = |tunnel: &Option<String>| tunnel.clone().unwrap_or("what serves all tunnels".to_owned());
    missing.map(|tunnel| format!("{} was changed, and no event tells of a repair", name(tunnel))).collect()
}

/// What `greyhound events -j` printed: lists of events, or an event a line.
pub fn shown(printed: &str) -> Result<Vec<Event>> {
    let mut events = Vec::new();
    for value in serde_json::Deserializer::from_str(printed).into_iter::<Value>() {
        match value.context("what `events -j` printed")? {
            Value::Array(list) => events.extend(list.iter().map(event)),
            value => events.push(event(&value)),
        }
    }
    Ok(events)
}

fn event(value: &Value) -> Event {
    let text = |name: &str| value[name].as_str().map(str::to_owned);
    let number = |name: &str| value[name].as_u64().unwrap_or_default();
    Event {
        seq: number("seq"),
        at_ms: number("at_ms"),
        kind: text("kind").unwrap_or_default(),
        tunnel: text("tunnel"),
        text: text("text").unwrap_or_default(),
    }
}

/// Our links as they were, by ifindex: the name, and what `ip -o -d link` says that nobody but us changes.
#[derive(Debug, Default)]
pub struct Links(BTreeMap<String, (String, String)>);

impl Links {
    pub fn take(host: &Host, devices: &BTreeSet<String>) -> Result<Self> {
        let listing = host.ip("-o -d -4 link show")?.stdout;
        let links = listing.lines().filter_map(link).filter(|(_, name, _)| devices.contains(name));
        Ok(Self(links.map(|(index, name, essence)| (index, (name, essence))).collect()))
    }

    /// The tunnels of which `ip -o -d monitor` says that something was changed or deleted; `None` is what serves all.
    pub fn touched(&self, monitor: &str) -> BTreeSet<Option<String>> {
        monitor.lines().filter_map(|line| self.touched_by(line)).collect()
    }

    fn touched_by(&self, line: &str) -> Option<Option<String>> {
        let (deleted, line) = match line.strip_prefix("Deleted ") {
            Some(rest) => (true, rest),
            None => (false, line),
        };
        if let Some((index, _, essence)) = link(line) {
            let (name, before) = self.0.get(&index)?;
            return (deleted || essence != *before).then(|| Some(tunnel_of(name).to_owned()));
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        let named =
            |name: &str| self.0.values().any(|(link, _)| link == name).then(|| tunnel_of(name).to_owned());
        let marked = words.windows(2).any(|pair| pair[0] == "proto" && pair[1] == PROTOCOL);
        let device = words.windows(2).find(|pair| pair[0] == "dev").map(|pair| pair[1]);
        let owner = match (words.get(1), words.get(2)) {
            // An address: its second word is its link's name.
            (Some(name), Some(&"inet")) if line.contains(":gh\\") && named(name).is_none() => Some(None),
            (Some(name), Some(&"inet")) => named(name).map(Some),
            _ if marked => device.map_or(Some(None), |name| named(name).map(Some)),
            _ => None,
        };
        owner.filter(|_| deleted)
    }
}

/// Ifindex, name, and flags, MTU, group, master and parameters of a link's line; nothing for another line.
fn link(line: &str) -> Option<(String, String, String)> {
    let (index, rest) = line.split_once(": ")?;
    let (name, rest) = rest.split_once(": <")?;
    let (flags, rest) = rest.split_once('>')?;
    let words: Vec<&str> = rest.split_whitespace().collect();
    let after = |word: &str| words.windows(2).find(|pair| pair[0] == word).map_or("", |pair| pair[1]);
    let parameters = rest.split('\\').find(|part| part.trim_start().starts_with("gre ")).unwrap_or_default();
    let parameters = parameters.split("numtxqueues").next().unwrap_or_default();
    let parameters = parameters.split("addrgenmode").next().unwrap_or_default().trim();
    let [mtu, group, master] = ["mtu", "group", "master"].map(after);
    let name = name.split('@').next().unwrap_or_default().to_owned();
    let essence = format!("{name} <{flags}> mtu {mtu} group {group} master {master} {parameters}");
    Some((index.to_owned(), name, essence))
}
