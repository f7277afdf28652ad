//! The `[probe]` and `[reflector]` sections.

use std::collections::BTreeSet;
use std::time::Duration;

use ipnetwork::Ipv4Network;

use super::at::At;
use super::diagnostics::{Problem, Sink};
use super::document::Entry;
use super::{network, raw, value};
use crate::model::{Liveliness, Method, Moving, Probing, Reflecting, Role, STAMP_PORT};

const METHODS: [(&str, Method); 2] = [("icmp", Method::Icmp), ("stamp", Method::Stamp)];
const PORTS: std::ops::RangeInclusive<i64> = 1..=65_535;
/// Answers a second to one source, unless it is said otherwise.
const ANSWERS: u32 = 100;

/// The section with its defaults.
pub fn check(entry: &Entry<raw::Probe>, sink: &mut Sink) -> Probing {
    let raw::Probe {
        methods,
        interval,
        port,
        packets,
        margin,
        percent,
        hold,
        hold_down,
        liveness_interval,
        liveness_multiplier,
    } = &entry.raw;
    let default = Probing::default();
    let ms = Duration::from_millis;
    let methods = methods.as_ref().and_then(|list| self::methods(list, sink));
    let mut span = |text: &Option<At<String>>, key, from, to| {
        let found = text.as_ref().map(|text| value::short(text, key, from..=to));
        found.and_then(|found| sink.take(found)).map(|found| found.value)
    };
    let interval = span(interval, "interval", ms(100), ms(3_600_000));
    let margin = span(margin, "margin", ms(0), ms(10_000));
    let hold = span(hold, "hold", ms(0), ms(86_400_000));
    let hold_down = span(hold_down, "hold_down", ms(0), ms(86_400_000));
    let liveness_interval = span(liveness_interval, "liveness_interval", ms(100), ms(60_000));
    let port = number(port.as_ref(), "port", PORTS, sink);
    let packets = number(packets.as_ref(), "packets", 10..=100_000, sink);
    let percent = number(percent.as_ref(), "percent", 0..=99, sink);
    let multiplier = number(liveness_multiplier.as_ref(), "liveness_multiplier", 3..=20, sink);
    Probing {
        methods: methods.unwrap_or(default.methods),
        interval: interval.unwrap_or(default.interval),
        port: port.unwrap_or(default.port),
        packets: packets.unwrap_or(default.packets),
        moving: Moving {
            margin: margin.unwrap_or(default.moving.margin),
            percent: percent.unwrap_or(default.moving.percent),
            hold: hold.unwrap_or(default.moving.hold),
            hold_down: hold_down.unwrap_or(default.moving.hold_down),
        },
        liveness: Liveliness { interval: liveness_interval, multiplier },
    }
}

/// The section; `None` when nobody is to be answered, or nothing is known of who.
pub fn check_reflector(entry: Option<&Entry<raw::Reflector>>, sink: &mut Sink) -> Option<Reflecting> {
    let entry = entry?;
    let raw::Reflector { allow, port, packets } = &entry.raw;
    let allow = entry.required("allow", allow.as_ref(), sink);
    let port = number(port.as_ref(), "port", PORTS, sink).unwrap_or(STAMP_PORT);
    let packets = number(packets.as_ref(), "packets", 1..=100_000, sink).unwrap_or(ANSWERS);
    let allow = allow?;
    if allow.value.is_empty() {
        let help = "write who is answered, such as [\"198.51.100.0/24\"], or take the section out";
        sink.push(Problem::new(&allow.span, "`allow` is empty: nobody would be answered", help));
    }
    let prefixes =
        allow.value.iter().filter_map(|text| sink.take(network::prefix(text, "allow", "198.51.100.0/24")));
    let mut allow: Vec<_> = prefixes.map(|prefix| prefix.value).collect();
    allow.sort();
    allow.dedup();
    Some(Reflecting { port, allow, packets })
}

/// A device answers everybody who probes its terminations, unless it is said who.
pub fn of_role(role: &Role, is_declared: bool) -> Option<Reflecting> {
    let everybody = || Ipv4Network::new(std::net::Ipv4Addr::UNSPECIFIED, 0).ok();
    match role {
        Role::Edge(_) if !is_declared => {
            Some(Reflecting { port: STAMP_PORT, allow: everybody().into_iter().collect(), packets: ANSWERS })
        }
        Role::Edge(_) | Role::Host(_) | Role::Alone => None,
    }
}

fn methods(list: &At<Vec<At<String>>>, sink: &mut Sink) -> Option<BTreeSet<Method>> {
    if list.value.is_empty() {
        let help = "write [\"icmp\"], [\"stamp\"] or both: tunnels move by what is measured";
        sink.push(Problem::new(&list.span, "`methods` is empty", help));
    }
    let methods = list.value.iter().filter_map(|text| sink.take(value::choice(text, "methods", &METHODS)));
    let methods: BTreeSet<_> = methods.map(|method| method.value).collect();
    (!methods.is_empty()).then_some(methods)
}

fn number<T: TryFrom<i64>>(
    number: Option<&At<i64>>,
    key: &str,
    range: std::ops::RangeInclusive<i64>,
    sink: &mut Sink,
) -> Option<T> {
    sink.take(value::number(number?, key, range)).map(|number| number.value)
}
