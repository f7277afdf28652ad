//! `greyhound metrics`: what the daemon says, in a form that Prometheus' own tool finds nothing wrong with.

use std::io::Write as _;
use std::process::{Command, Stdio};

use super::stage::Place;

/// What `promtool` says to this on its standard input; it must find nothing wrong.
fn promtool(words: &str, input: &str) -> String {
    let mut promtool = Command::new("promtool");
    promtool.args(words.split(' ')).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = promtool.spawn().expect("promtool: integration/setup installs it, with prometheus");
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words}: {said}\n{input}");
    said
}

#[test]
fn promtool_finds_nothing_wrong_with_what_the_verb_prints() {
    let place = Place::new();
    let _daemon = place.daemon(vec![]);
    let said = place.run("metrics");
    assert_eq!((said.status, said.err.as_str()), (Some(0), ""), "{said:?}");
    assert_eq!(promtool("check metrics", &said.out), "", "{}", said.out);
    for line in [
        "greyhound_tunnel_up{tunnel=\"ams\",kind=\"unicast\",device=\"ams\",termination=\"192.0.2.1\"} 1",
        "greyhound_tunnel_receive_bytes_total{tunnel=\"ams\",kind=\"unicast\",device=\"ams\",termination=\"192.0.2.1\"} 1536",
        "# TYPE greyhound_tunnel_receive_bytes_total counter",
        "greyhound_turn_duration_seconds_bucket{le=\"0.01\"} 1",
    ] {
        assert!(said.out.lines().any(|found| found == line), "no {line} in\n{}", said.out);
    }
}

#[test]
fn with_j_it_is_json() {
    let place = Place::new();
    let _daemon = place.daemon(vec![]);
    let said = place.run("metrics -j");
    let families: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    let found =
        families.as_array().unwrap().iter().find(|family| family["name"] == "greyhound_tunnel_moves_total");
    let found = found.unwrap();
    assert_eq!((found["type"].as_str(), found["samples"][0]["value"].as_u64()), (Some("counter"), Some(1)));
    assert_eq!(found["samples"][0]["labels"]["tunnel"], "ams");
}

#[test]
fn without_a_daemon_there_is_nothing_to_tell() {
    let said = Place::new().run("metrics");
    assert_eq!((said.status, said.out.as_str()), (Some(1), ""), "{said:?}");
    assert!(said.err.contains("the daemon does not run"), "{said:?}");
}
