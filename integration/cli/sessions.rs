//! Sessions: how they begin, how they end, and what is said when they do not.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::inventory::{done, json, refused};
use super::stage::Place;

const HEADLINE: &str =
    "unicast: unicast to 198.51.100.8 of ams-1, from 192.0.2.10; inside 169.254.10.0/31, client 203.0.113.7";

/// A number of milliseconds each, in this order.
fn steps(told: &str, names: &[&str]) {
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines.len(), names.len(), "{told}");
    for (line, name) in lines.iter().zip(names) {
        let took = line.strip_prefix("  ").and_then(|line| line.strip_prefix(name));
        let took = took.and_then(|rest| rest.strip_suffix(" ms")).map(str::trim);
        assert!(took.is_some_and(|took| took.parse::<u32>().is_ok()), "{name}: {line:?}");
    }
}

#[test]
fn a_session_is_followed_until_a_reply_was_received() {
    let place = Place::new();
    let _daemon = place.daemon(vec![]);
    let told = done(&place, "connect unicast");
    let rest = told.strip_prefix(HEADLINE).unwrap_or_else(|| panic!("{told}"));
    steps(&rest[1..], &["leased", "edge ready", "link up", "reply received"]);
    let connected = json(&place, "connect unicast --subscribe 239.1.0.1");
    assert_eq!(
        (&connected["session"]["state"], &connected["session"]["device"]),
        (&"ready".into(), &"ams-1".into())
    );
    for step in ["leased", "edge ready", "link up", "reply received"] {
        assert!(connected["took_ms"][step].is_number(), "{step}: {connected}");
    }
}

#[test]
fn who_does_not_wait_is_told_of_the_lease() {
    let place = Place::new();
    let _daemon = place.daemon(vec![]);
    let told = done(&place, "connect unicast --no-wait");
    let rest = told.strip_prefix(HEADLINE).unwrap_or_else(|| panic!("{told}"));
    steps(&rest[1..], &["leased"]);
    let connected = json(&place, "connect unicast --no-wait");
    assert_eq!(connected["session"]["state"], "requested");
    assert_eq!(connected["took_ms"].as_object().unwrap().len(), 1);
}

#[test]
fn where_nothing_can_be_had_all_reasons_are_told() {
    let place = Place::new();
    let _daemon = place.daemon(vec![]);
    let told = refused(&place, "connect multicast");
    assert!(told.starts_with("greyhound: no termination can be had\n"), "{told}");
    assert!(told.contains("ams-1: it is full on paper"), "{told}");
    let said = place.run("connect multicast -j");
    assert_eq!((said.status, said.err.as_str()), (Some(1), ""), "{said:?}");
    let view: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(view["error"], "no termination can be had");
}

#[test]
fn what_is_no_kind_no_name_or_no_time_is_wrong_usage() {
    let place = Place::new();
    let _daemon = place.daemon(vec![]);
    for wrong in [
        "connect",
        "connect anycast",
        "connect unicast --name A/B",
        "connect unicast --termination ams-1",
        "connect unicast --timeout 0",
        "connect multicast --subscribe",
        "disconnect unicast --all",
        "disconnect one two",
    ] {
        assert_eq!(place.run(wrong).status, Some(2), "{wrong}");
    }
}

#[test]
fn who_names_no_session_must_have_only_one() {
    let place = Place::new();
    let _daemon = place.daemon(vec![]);
    let which = refused(&place, "disconnect");
    assert_eq!(which, "greyhound: this host has 2 sessions: name one of unicast, multicast, or --all\n");
    let unknown = refused(&place, "disconnect feed");
    assert_eq!(
        unknown,
        "greyhound: there is no session host-1/feed in the inventory; this host has unicast, multicast\n"
    );
    let told = done(&place, "disconnect multicast");
    let rest = told.strip_prefix("multicast: 198.51.100.8 of ams-1\n").unwrap_or_else(|| panic!("{told}"));
    steps(rest, &["ended", "tunnel down", "addresses free"]);
    let ended = json(&place, "disconnect");
    assert_eq!((&ended[0]["session"]["tunnel"], &ended[0]["gone"]), (&"unicast".into(), &true.into()));
    assert_eq!(done(&place, "disconnect"), "This host has no session.\n");
    assert_eq!(
        refused(&place, "disconnect feed"),
        "greyhound: there is no session host-1/feed in the inventory; this host has none\n"
    );
}

#[test]
fn all_are_ended_at_once() {
    let place = Place::new();
    let _daemon = place.daemon(vec![]);
    let ended = json(&place, "disconnect --all");
    let ended = ended.as_array().unwrap();
    assert_eq!(ended.len(), 2);
    for one in ended {
        assert_eq!(one["gone"], true, "{one}");
        assert!(one["took_ms"]["addresses free"].is_number(), "{one}");
    }
    assert_eq!(done(&place, "disconnect --all"), "This host has no session.\n");
    assert_eq!(json(&place, "disconnect --all"), serde_json::json!([]));
}

#[test]
fn who_does_not_wait_for_the_edge_is_told_of_the_end() {
    let place = Place::new();
    let _daemon = place.daemon(vec![]);
    let begun = Instant::now();
    let told = done(&place, "disconnect unicast --no-wait");
    assert!(told.contains("  ended ") && !told.contains("addresses free"), "{told}");
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[test]
fn the_status_has_a_table_of_sessions() {
    let place = Place::new();
    let _daemon = place.daemon(vec![]);
    let told = done(&place, "status");
    let table: Vec<&str> = told.lines().skip_while(|line| !line.starts_with("SESSION")).collect();
    assert_eq!(table.len(), 3, "{told}");
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ");
    assert_eq!(words(table[0]), "SESSION DEVICE TERMINATION STATE LATENCY BEST ITS LATENCY WHY NOT THERE");
    let better = "1.5 ms fra-1 203.0.113.8 1.2 ms session host-2/unicast has it";
    assert_eq!(words(table[1]), format!("host-1/unicast ams-1 198.51.100.8 ready {better}"));
    assert!(words(table[2]).starts_with("host-1/multicast ams-1 198.51.100.8 edge-ready "), "{told}");
    assert_eq!(json(&place, "status")["sessions"][0]["termination"], "198.51.100.8");
}

#[test]
fn without_a_daemon_no_session_begins_or_ends() {
    let place = Place::new();
    for words in ["connect unicast", "disconnect", "disconnect --all"] {
        let told = refused(&place, words);
        assert!(told.contains("the daemon does not run"), "{words}: {told}");
    }
}
