//! The command line and the daemon: every verb's way to it, and what happens when it does not answer.

// A test says what is wrong by panicking.
#![allow(clippy::unwrap_used, clippy::panic)]

mod counted;
mod doctor;
mod help;
mod inventory;
mod metrics;
mod monitoring;
mod paper;
mod render;
mod sessions;
mod stage;

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt as _;
use std::time::{SystemTime, UNIX_EPOCH};

use greyhound::api::dto::TunnelState;
use nix::sys::signal::Signal;
use serde_json::Value;
use stage::{Place, event, greyhound, said};

#[test]
fn what_a_verb_shows_is_what_the_daemon_says() {
    let place = Place::new();
    let _daemon = place.daemon(vec![]);
    let verbs = [
        ("status", "1.5KiB"),
        ("status", "ago: the link was deleted"),
        ("tunnel list", "198.51.100.8"),
        ("tunnel show ams", "34 packets, 20480 bytes, 0 errors"),
        ("pool list", "198.51.100.9"),
        ("pool explain loopbacks", "7 of 8 address(es) free"),
        ("lease list", "tunnel/ams"),
        ("plan", "Planned on paper."),
    ];
    for (verb, told) in verbs {
        let said = place.run(verb);
        assert_eq!(said.status, Some(0), "{verb}: {said:?}");
        assert!(said.out.contains(told), "{verb}: {said:?}");
        let json = place.run(&format!("{verb} -j")).out;
        serde_json::from_str::<Value>(&json).unwrap();
    }
    let status: Value = serde_json::from_str(&place.run("status -j").out).unwrap();
    assert_eq!(status["tunnels"][0]["counters"]["tx_bytes"], 20480, "exact in JSON");
}

#[test]
fn what_the_daemon_does_not_know_is_an_error() {
    let place = Place::new();
    let _daemon = place.daemon(vec![]);
    for (verb, why) in [
        ("tunnel show none", "there is no tunnel \"none\""),
        ("tunnel show a/b", "there is no tunnel \"a/b\""),
        ("pool explain none", "there is no pool none"),
    ] {
        let said = place.run(verb);
        assert_eq!(said.status, Some(1), "{said:?}");
        assert!(said.err.contains(why), "{said:?}");
    }
}

#[test]
fn the_status_says_when_a_tunnel_is_not_as_declared() {
    let place = Place::new();
    let _daemon = place.daemon_of(&place.file(), vec![], TunnelState::Drifted);
    assert_eq!(place.run("status").status, Some(4));
    assert_eq!(place.run("tunnel show ams").status, Some(4));
}

#[test]
fn the_daemon_does_what_is_asked() {
    let place = Place::new();
    let _daemon = place.daemon(vec![]);
    for (verb, told) in [
        ("apply", "Applied on paper."),
        ("reload", "Reloaded on paper."),
        ("flush", "Flushed on paper, orphans: false."),
        ("flush --orphans", "Flushed on paper, orphans: true."),
    ] {
        let said = place.run(verb);
        assert_eq!(said.status, Some(0), "{said:?}");
        assert!(said.out.contains(told), "{said:?}");
        let outcome: Value = serde_json::from_str(&place.run(&format!("{verb} -j")).out).unwrap();
        assert_eq!(outcome["summary"], told);
    }
}

#[test]
fn a_tunnel_is_moved_and_held_as_asked() {
    let place = Place::new();
    let _daemon = place.daemon(vec![]);
    let held = |verb: &str| -> Value {
        let said = place.run(&format!("{verb} -j"));
        assert_eq!(said.status, Some(0), "{said:?}");
        serde_json::from_str(&said.out).unwrap()
    };
    assert_eq!(held("tunnel move ams --to 192.0.2.9")["remote"], "192.0.2.9");
    assert_eq!(held("tunnel hold ams")["probe"]["held"], true);
    assert_eq!(held("tunnel unhold ams")["probe"]["held"], false);
    for wrong in ["tunnel move ams", "tunnel move ams --to nowhere", "tunnel hold A/B"] {
        assert_eq!(place.run(wrong).status, Some(2), "{wrong}");
    }
}

#[test]
fn latency_is_shown_and_watched() {
    let place = Place::new();
    let daemon = place.daemon(vec![]);
    let shown = place.run("latency");
    assert_eq!(shown.status, Some(0), "{shown:?}");
    assert!(
        shown.out.contains("192.0.2.1*") && shown.out.contains("! ams: 192.0.2.1: nobody knows"),
        "{shown:?}"
    );
    let mut running = place.start("latency --watch 3600 -j");
    running.until("\n");
    daemon.happens(event(1, 1000), 1);
    let again: Value = serde_json::from_str(&running.until("\n")).unwrap();
    assert_eq!(again["terminations"][0]["result"], "nobody knows");
    running.signal(Signal::SIGINT);
    assert_eq!(running.ended().code(), Some(0));
}

#[test]
fn a_wrong_declaration_is_shown_as_check_shows_it() {
    let place = Place::new();
    let _daemon = place.daemon(vec![]);
    place.declare("wrong = true\n");
    let socket = place.socket();
    for verb in ["reload", "apply"] {
        // Its mistakes hide where the socket is, so it is named.
        let run = |words: &str| said(place.program(words).arg("--socket").arg(&socket));
        let wrong = run(verb);
        assert_eq!(wrong.status, Some(3), "{wrong:?}");
        assert!(wrong.err.contains("error: a mistake\n --> line 4"), "{wrong:?}");
        assert!(wrong.err.contains("what was in force stays"), "{wrong:?}");
        let shown: Value = serde_json::from_str(&run(&format!("{verb} -j")).out).unwrap();
        assert_eq!(shown["problems"][0]["line"], 4);
        assert_eq!(shown["file"], place.file().display().to_string());
    }
    assert_eq!(said(place.program("status").arg("--socket").arg(&socket)).status, Some(0), "it runs on");
}

#[test]
fn another_declaration_than_the_daemons_is_refused() {
    let place = Place::new();
    let _daemon = place.daemon_of(&place.path("other.toml"), vec![], TunnelState::Up);
    for verb in ["apply", "reload", "flush", "plan", "status"] {
        let refused = place.run(verb);
        assert_eq!(refused.status, Some(1), "{refused:?}");
        assert!(refused.err.contains("other.toml, not with "), "{refused:?}");
    }
    // Who names none means the daemon's.
    let unnamed = said(greyhound("apply --socket").arg(place.socket()));
    assert_eq!(unnamed.status, Some(0), "{unnamed:?}");
}

#[test]
fn without_a_daemon_the_program_looks_itself() {
    let place = Place::new();
    let looked = place.run("lease list");
    assert_eq!((looked.status, looked.out.as_str()), (Some(0), "No address is leased.\n"), "{looked:?}");
    // A socket that nobody listens on is left behind by a daemon that was killed.
    drop(UnixListener::bind(place.socket()).unwrap());
    assert_eq!(place.run("lease list").status, Some(0));
    place.declare("wrong = true\n");
    assert_eq!(place.run("lease list").status, Some(3));
}

#[test]
fn what_needs_a_daemon_says_so() {
    let place = Place::new();
    let moves = ["tunnel move ams --to 192.0.2.1", "tunnel hold ams", "tunnel unhold ams"];
    let others = ["reload", "events", "events -f", "latency", "latency --watch"];
    for verb in others.into_iter().chain(moves) {
        let refused = place.run(verb);
        assert_eq!(refused.status, Some(1), "{refused:?}");
        assert!(refused.err.contains("the daemon does not run"), "{refused:?}");
    }
}

#[test]
fn a_socket_that_was_named_must_be_answered_on() {
    let place = Place::new();
    let verbs = ["status", "tunnel list", "pool list", "lease list", "plan", "apply", "status --watch"];
    for verb in verbs {
        let named = said(place.program(verb).arg("--socket").arg(place.path("none.sock")));
        assert_eq!(named.status, Some(1), "{named:?}");
        assert!(named.err.contains("the daemon does not run: nobody listens on "), "{named:?}");
    }
    let by_environment = said(place.program("lease list").env("GREYHOUND_SOCKET", place.path("none.sock")));
    assert_eq!(by_environment.status, Some(1), "{by_environment:?}");
}

#[test]
fn a_daemon_that_may_not_be_asked_is_no_reason_to_go_on_without() {
    let place = Place::new();
    let _daemon = place.daemon(vec![]);
    std::fs::set_permissions(place.socket(), PermissionsExt::from_mode(0o000)).unwrap();
    // Root may connect to anything: be somebody else, with a program that he can reach.
    let program = place.path("greyhound");
    std::fs::copy(env!("CARGO_BIN_EXE_greyhound"), &program).unwrap();
    for verb in ["lease", "tunnel"] {
        let mut process = std::process::Command::new(&program);
        process.args([verb, "list", "--config"]).arg(place.file()).env_remove("GREYHOUND_SOCKET");
        if nix::unistd::geteuid().is_root() {
            process.uid(65534).gid(65534);
        }
        let denied = said(&mut process);
        assert_eq!(denied.status, Some(1), "{denied:?}");
        assert!(denied.err.contains("permission denied on "), "{denied:?}");
    }
}

#[test]
fn a_daemon_of_another_release_is_no_reason_to_go_on_without() {
    let place = Place::new();
    let listener = UnixListener::bind(place.socket()).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let answer = "HTTP/1.1 200 OK\r\ngreyhound-api: 2\r\ncontent-length: 2\r\n\r\n{}";
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    for verb in ["lease list", "apply", "events"] {
        let other = place.run(verb);
        assert_eq!(other.status, Some(1), "{other:?}");
        assert!(other.err.contains("the daemon speaks version 2 of the API"), "{other:?}");
    }
}

#[test]
fn events_are_told_from_where_one_says() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let now = u64::try_from(now).unwrap();
    let place = Place::new();
    let _daemon = place.daemon((1..=5).map(|seq| event(seq, now - (5 - seq) * 60_000)).collect());
    let count = |words: &str| {
        let told = place.run(words);
        assert_eq!(told.status, Some(0), "{told:?}");
        told.out.lines().count()
    };
    assert_eq!(count("events"), 5);
    assert_eq!(count("events --since 3"), 2);
    assert_eq!(count("events --since 150s"), 3);
    assert_eq!(count("events --since 150s-ago"), 3);
    assert_eq!(count("events --since 5"), 0);
    assert_eq!(place.run("events --since yesterday").status, Some(2));
    let text = place.run("events --since 4").out;
    assert!(text.contains("Z  ams           repair   happening 5 was put right\n"), "{text}");
    let last: Value = serde_json::from_str(place.run("events -j").out.lines().last().unwrap()).unwrap();
    assert_eq!((&last["seq"], &last["kind"]), (&5.into(), &"repair".into()));
}

#[test]
fn events_are_followed_over_a_restart_of_the_daemon() {
    let place = Place::new();
    let kept = |last| (1..=last).map(|seq| event(seq, 1000)).collect();
    let daemon = place.daemon(kept(2));
    let mut running = place.start("events --follow -j");
    running.until("happening 2");
    daemon.happens(event(3, 1000), 1);
    running.until("happening 3");
    daemon.stop();
    let _daemon = place.daemon(kept(4));
    let told = running.until("happening 4");
    assert_eq!(told.matches("happening").count(), 1, "each is told once: {told}");
    running.signal(Signal::SIGINT);
    assert_eq!(running.ended().code(), Some(0));
}

#[test]
fn the_status_is_watched_until_one_has_seen_enough() {
    let place = Place::new();
    let daemon = place.daemon(vec![]);
    let mut running = place.start("status --watch 3600");
    running.until("the link was deleted\n\n");
    daemon.happens(event(1, 1000), 1);
    running.until("the link was deleted\n\n");
    running.signal(Signal::SIGINT);
    assert_eq!(running.ended().code(), Some(0));

    let mut by_time = place.start("status --watch 1 -j");
    for _ in 0..2 {
        let line = by_time.until("\n");
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap()["tunnels"][0]["name"], "ams");
    }
    by_time.signal(Signal::SIGTERM);
    assert_eq!(by_time.ended().code(), Some(0));
}

#[test]
fn who_stops_reading_ends_it() {
    let place = Place::new();
    let _daemon = place.daemon(vec![event(1, 1000)]);
    for (words, told) in [("status --watch 3600", "ams"), ("events --follow", "happening 1")] {
        let mut running = place.start(words);
        running.until(told);
        drop(running.0.stdout.take());
        let ended = running.ended();
        assert_eq!(ended.code(), Some(0), "{words}");
    }
}

#[test]
fn a_daemon_that_goes_while_one_watches_is_waited_for() {
    let place = Place::new();
    let daemon = place.daemon(vec![]);
    let mut running = place.start("status --watch 1");
    running.until("the link was deleted\n\n");
    daemon.stop();
    let mut trouble = [0; 64];
    let length = running.0.stderr.as_mut().unwrap().read(&mut trouble).unwrap();
    let trouble = String::from_utf8_lossy(&trouble[..length]);
    assert!(trouble.starts_with("greyhound: the daemon"), "{trouble}");
    let _daemon = place.daemon(vec![]);
    running.until("the link was deleted\n\n");
    running.signal(Signal::SIGINT);
    assert_eq!(running.ended().code(), Some(0));
}
