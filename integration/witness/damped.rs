//! I8: one object is switched or repaired ten times in ten seconds, and then after 1, 2, 4 up to 60 s. Pure.

use super::store::Event;
use std::collections::BTreeMap;

const BURST: usize = 10;
/// Milliseconds, as all times here.
const WINDOW: u64 = 10_000;
const FIRST: u64 = 1_000;
const LONGEST: u64 = 60_000;
/// Left alone for so long, an object starts anew.
const CALM: u64 = 60_000;
/// An event is dated when it is written down, which is after the deed.
const SLACK: u64 = 200;

/// A line for each object that was repaired more often than it may.
pub fn beyond(events: &[Event]) -> Vec<String> {
    let mut objects: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for event in events.iter().filter(|event| event.kind == "repair") {
        let object = event.tunnel.as_deref().unwrap_or("what serves all tunnels");
        objects.entry(object).or_default().push(event.at_ms);
    }
    let objects = objects.into_iter();
    objects.filter_map(|(object, times)| Some(format!("{object}: {}", too_soon(&times)?))).collect()
}

/// The first of these times that comes too soon.
pub fn too_soon(times: &[u64]) -> Option<String> {
    let (mut wait, mut until, mut begin) = (0, 0, 0);
    for (n, &at) in times.iter().enumerate() {
        if at + SLACK < until {
            return Some(format!("repair {} came {} ms before its turn", n + 1, until - at));
        }
        let last = n.checked_sub(1).map_or(0, |before| times[before]);
        if at.saturating_sub(last.max(until)) + SLACK >= CALM {
            (wait, begin) = (0, n);
        }
        let tenth = (n + 1).checked_sub(BURST).filter(|first| *first >= begin);
        let burst = tenth.is_some_and(|first| at - times[first] + SLACK <= WINDOW);
        if wait > 0 || burst {
            wait = if wait == 0 { FIRST } else { (wait * 2).min(LONGEST) };
            until = at + wait;
        }
    }
    None
}
