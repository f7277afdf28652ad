//! What is watched of a daemon from a mark on: its vitals (I6), and whether it tells what it does (I7).

use super::alive::{self, Vitals};
use super::store::{Event, Store};
use super::told::{self, Links};
use super::verdict::Verdict;
use super::view::View;
use crate::support::command::Process;
use crate::support::daemon::Signs;
use crate::support::{Greyhound, Host, Result, ensure, eventually};
use anyhow::Context;
use std::time::Duration;

/// An event is written down after the deed that it is about.
const WRITTEN: Duration = Duration::from_secs(2);
const STARTED: Duration = Duration::from_secs(20);

/// Since a mark. What `ip monitor` says, what the links and the process were, and which events there were.
pub struct Watch {
    monitor: Process,
    links: Links,
    vitals: Option<Vitals>,
    last_event: u64,
    declaration: String,
}

impl Watch {
    pub fn start(greyhound: &Greyhound, view: &View, signs: &Signs) -> Result<Self> {
        let host = &greyhound.host;
        // The monitor first: what happens between the two would be in neither.
        let monitor = monitor(host)?;
        Ok(Self {
            monitor,
            links: Links::take(host, &view.devices)?,
            vitals: Some(Vitals::take(signs.pid)?),
            last_event: view.store.events.last().map_or(0, |event| event.seq),
            declaration: view.declaration.text.clone(),
        })
    }
}

/// `since` is the last mark, if any; `daemons` are those that were watched since, the last one running.
pub fn check(
    greyhound: &Greyhound,
    view: &View,
    daemons: &[Signs],
    since: Option<&Watch>,
    verdict: &mut Verdict,
) -> Result<()> {
    let Some(running) = daemons.last() else { return Ok(()) };
    for ended in daemons.iter().rev().skip(1) {
        alive::panics(ended, verdict);
    }
    alive::check(running, since.and_then(|mark| mark.vitals.as_ref()), verdict);
    let told = eventually(WRITTEN, || {
        let lines = silence(greyhound, view, daemons, since)?;
        ensure!(lines.is_empty(), "{}", lines.join("\n"));
        Ok(())
    });
    if let Err(error) = told {
        error.root_cause().to_string().lines().for_each(|line| verdict.violated("I7", line));
    }
    Ok(())
}

/// What is not told.
fn silence(
    greyhound: &Greyhound,
    view: &View,
    daemons: &[Signs],
    since: Option<&Watch>,
) -> Result<Vec<String>> {
    let first = since.map_or(0, |mark| mark.last_event);
    let events = Store::read(&view.declaration.state_dir)?.events;
    let events: Vec<Event> = events.into_iter().filter(|event| event.seq > first).collect();
    let logs = daemons.iter().map(|signs| std::fs::read_to_string(&signs.log));
    let log = logs.collect::<std::io::Result<String>>().context("the daemon's log")?;
    let mut lines = Vec::new();
    let shown = greyhound.ends(0, "events -j").and_then(|output| told::shown(&output.stdout));
    let shown = shown.unwrap_or_else(|error| {
        lines.push(format!("the events are not shown: {}", error.to_string().lines().next().unwrap_or("")));
        events.clone()
    });
    lines.extend(told::untold(&events, &log, &shown));
    // With another declaration, changes are no repairs.
    if let Some(mark) = since.filter(|mark| mark.declaration == view.declaration.text) {
        let touched = mark.links.touched(&mark.monitor.said());
        lines.extend(told::unrecorded(&touched, &events));
    }
    Ok(lines)
}

/// `ip monitor` says nothing at its start; the kernel's list of netlink sockets tells that it listens.
fn monitor(host: &Host) -> Result<Process> {
    let monitor = host.spawn(["ip", "-o", "-d", "-4", "monitor", "link", "address", "route", "rule"])?;
    let own = monitor.id().to_string();
    eventually(STARTED, || {
        let sockets = host.within(|| Ok(std::fs::read_to_string("/proc/thread-self/net/netlink")?))?;
        let listens = sockets.lines().any(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            matches!(words[..], [_, "0", pid, groups, ..] if pid == own && groups != "00000000")
        });
        ensure!(listens, "ip monitor does not listen");
        Ok(())
    })?;
    Ok(monitor)
}
