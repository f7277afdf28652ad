//! Callers who ask too much, too slowly or too often.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use super::super::client;
use super::*;

const MOMENT: Duration = Duration::from_millis(300);

#[test]
fn a_body_is_bounded_and_must_be_what_is_asked_for() {
    let running = Stage::default().start();
    let deep = |opening: &str| opening.repeat(50_000);
    let table = [
        (r#"{"orphans":true}"#.to_owned(), 200),
        ("{}".to_owned(), 200),
        (String::new(), 200),
        ("{".to_owned(), 400),
        ("orphans=true".to_owned(), 400),
        (r#"{"orphan":true}"#.to_owned(), 400),
        (r#"{"orphans":"yes"}"#.to_owned(), 400),
        (deep("["), 400),
        (deep(r#"{"a":"#), 400),
        (format!(r#"{{"orphans":{}"#, deep("[")), 400),
        ("\0\u{1b}".repeat(1000), 400),
        (" ".repeat(1 << 20), 400),
        (" ".repeat((1 << 20) + 1), 413),
    ];
    for (body, status) in table {
        let said = running.say("POST", "/v1/flush", &body);
        assert_eq!(said.status, status, "{:.40}: {said:?}", body);
        assert_eq!(said.error().is_empty(), status == 200, "{said:?}");
    }
    assert_eq!(running.say("POST", "/v1/apply", r#"{"orphans":true}"#).status, 400, "nothing to choose");
    assert_eq!(running.say("POST", "/v1/flush", "").status, 200);
}

#[test]
fn a_body_without_an_announced_length_is_bounded_too() {
    let running = Stage::default().start();
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000)).repeat(20);
    let said = running.raw(&format!(
        "POST /v1/flush HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n{chunk}0\r\n\r\n"
    ));
    assert_eq!(said.status, 413, "{said:?}");
}

#[test]
fn a_head_is_bounded() {
    let running = Stage::default().start();
    let many = "a: b\r\n".repeat(1000);
    assert_eq!(running.raw(&format!("GET /v1/version HTTP/1.1\r\n{many}\r\n")).status, 431);
    let long = "b".repeat(200 << 10);
    assert_eq!(running.raw(&format!("GET /v1/version HTTP/1.1\r\na: {long}\r\n\r\n")).status, 431);
    assert_eq!(running.raw("\u{16}\u{3}\u{1}hello\r\n\r\n").status, 400);
}

#[test]
fn slow_callers_are_cut() {
    let limits = Limits { head_time: MOMENT, body_time: MOMENT, ..Limits::default() };
    let running = Stage { limits, ..Stage::default() }.start();
    let began = Instant::now();
    let mut head = dial(&running.path);
    head.write_all(b"GET /v1/st").unwrap();
    let mut body = dial(&running.path);
    body.write_all(b"POST /v1/flush HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{").unwrap();
    let mut idle = dial(&running.path);
    idle.write_all(b"GET /v1/version HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let mut mute = dial(&running.path);
    assert_ne!(hear(&mut head).status, 200);
    assert_eq!(hear(&mut body).status, 408);
    assert_eq!(hear(&mut idle).status, 200, "and then the end of the connection");
    assert_eq!(mute.read(&mut [0; 16]).unwrap_or(0), 0, "the end");
    assert!(began.elapsed() < SOON / 2, "{:?}", began.elapsed());
}

#[test]
fn a_caller_who_does_not_read_is_cut() {
    let mut snapshot = snapshot();
    snapshot.status.notes = vec!["x".repeat(8 << 20)];
    let limits = Limits { connections: 1, stall_time: MOMENT, ..Limits::default() };
    let running = Stage { limits, snapshot, ..Stage::default() }.start();
    let mut deaf = dial(&running.path);
    deaf.write_all(b"GET /v1/status HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    // The answer is under way: the only place is taken.
    deaf.read_exact(&mut [0; 16]).unwrap();
    let began = Instant::now();
    assert_eq!(running.say("GET", "/v1/version", "").status, 503);
    while running.say("GET", "/v1/version", "").status != 200 {
        assert!(began.elapsed() < SOON, "his place is never free");
    }
}

#[test]
fn two_hundred_at_once_are_answered_or_turned_away() {
    let running = Stage::default().start();
    let mut streams: Vec<UnixStream> = (0..200).map(|_| dial(&running.path)).collect();
    for stream in &mut streams {
        let _ = stream.write_all(b"GET /v1/status HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    }
    let mut counts = std::collections::BTreeMap::new();
    for stream in &mut streams {
        let said = hear(stream);
        assert!(said.head.contains("\ngreyhound-api: 1\r"), "{said:?}");
        *counts.entry(said.status).or_insert(0) += 1;
    }
    assert!(counts.keys().eq([&200, &503]) && counts[&200] >= 64, "{counts:?}");
    assert_eq!(running.say("GET", "/v1/status", "").status, 200, "and on it goes");
}

#[test]
fn the_place_of_one_who_left_is_free_again() {
    let running =
        Stage { limits: Limits { connections: 2, ..Limits::default() }, ..Stage::default() }.start();
    for _ in 0..50 {
        let began = Instant::now();
        while running.say("GET", "/v1/version", "").status != 200 {
            assert!(began.elapsed() < SOON);
        }
    }
}

#[test]
fn a_busy_loop_is_said_to_be_busy() {
    let limits = Limits { change_time: MOMENT, read_time: MOMENT, ..Limits::default() };
    let running = Stage { limits, deaf: true, queue: 1, ..Stage::default() }.start();
    let late = running.say("POST", "/v1/apply", "");
    assert_eq!(late.status, 504, "{late:?}");
    assert!(late.error().contains("may still be done"), "{late:?}");
    assert_eq!(running.say("GET", "/v1/plan", "").status, 504);
    assert_eq!(running.say("GET", "/v1/status", "").status, 200, "reads do not wait for the loop");
}

#[test]
fn a_full_queue_is_refused_at_once() {
    let (requests, _nobody_takes) = mpsc::channel(1);
    let handle = Handle {
        requests,
        snapshot: watch::channel(Arc::new(snapshot())).1,
        events: broadcast::channel(1).0,
        listening: listening(None).1,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let peer = super::super::Peer { uid: 0, pid: None, groups: vec![] };
    let ask = || runtime.block_on(handle.ask(Command::Apply, peer.clone(), MOMENT)).unwrap_err();
    assert!(matches!(ask(), Failure::Late(_)));
    assert!(matches!(ask(), Failure::Busy(_)));
}

#[test]
fn the_end_is_clean_and_quick() {
    let limits = Limits { farewell: MOMENT, ..Limits::default() };
    let running = Stage { limits, deaf: true, ..Stage::default() }.start();
    let client = running.client();
    let mut events = client.events(None).unwrap();
    let mut waiting = dial(&running.path);
    waiting.write_all(b"POST /v1/apply HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let _idle = dial(&running.path);
    let (path, began) = (running.path.clone(), Instant::now());
    running.stop().unwrap();
    assert!(began.elapsed() < SOON / 2, "{:?}", began.elapsed());
    assert!(events.next().is_none(), "streams end");
    assert!(!path.exists(), "and the socket is gone");
    assert!(matches!(client.status(), Err(client::Error::NotRunning(_))));
}
