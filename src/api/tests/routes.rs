//! Every path, as the client asks and as anybody may.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixListener;

use serde_json::Value;

use super::super::client::{Client, Error};
use super::super::dto::ConnectAsk;
use super::super::openapi;
use super::*;
use crate::model::TunnelName;

#[test]
fn the_client_gets_what_the_daemon_published() {
    let running = Stage::default().start();
    let client = running.client();
    let expected = snapshot();
    assert_eq!(client.status().unwrap(), expected.status);
    assert_eq!(client.tunnels().unwrap(), expected.status.tunnels);
    assert_eq!(client.tunnel(&TunnelName::new("t2").unwrap()).unwrap(), tunnel("t2"));
    assert_eq!(client.pools().unwrap(), expected.pools);
    assert_eq!(client.leases().unwrap(), expected.leases);
    assert_eq!(client.version().unwrap().api, super::super::VERSION);
}

#[test]
fn the_client_asks_the_daemon() {
    let running = Stage::default().start();
    let client = running.client();
    let uid = nix::unistd::geteuid();
    assert_eq!(client.plan().unwrap().summary, "fresh");
    assert_eq!(client.apply().unwrap().summary, format!("applied for {uid}"));
    assert_eq!(client.flush(false).unwrap().summary, "flushed, orphans false");
    assert_eq!(client.flush(true).unwrap().summary, "flushed, orphans true");
    assert_eq!(client.history(Some(2), 2).unwrap(), [event(3), event(4)]);
    assert_eq!(client.history(None, 2).unwrap(), [event(4), event(5)]);
    assert_eq!(client.latency().unwrap(), latency());
    let t1 = TunnelName::new("t1").unwrap();
    let to = [192, 0, 2, 9].into();
    assert_eq!(client.move_tunnel(&t1, to).unwrap(), TunnelView { remote: Some(to), ..tunnel("t1") });
    for held in [true, false] {
        assert_eq!(client.hold(&t1, held).unwrap().probe, Some(probe(held)));
    }
    let Err(Error::Refused { status: 422, view }) = client.reload() else { panic!("a mistake is refused") };
    assert_eq!(view.error, "the declaration has a mistake");
    assert_eq!((view.problems.len(), view.text.as_deref()), (1, Some("line 3")));
}

#[test]
fn sessions_begin_end_and_are_waited_for() {
    let running = Stage::default().start();
    let client = running.client();
    assert_eq!(client.sessions().unwrap(), [session("edge-ready", 1)]);
    let ask = ConnectAsk { kind: "unicast".to_owned(), ..ConnectAsk::default() };
    assert_eq!(client.connect_session(&ask).unwrap(), session("requested", 0));
    let none = ConnectAsk { kind: "multicast".to_owned(), ..ConnectAsk::default() };
    let Err(Error::Refused { status: 409, view }) = client.connect_session(&none) else {
        panic!("there is none")
    };
    assert_eq!(
        (view.error.as_str(), view.text.unwrap().as_str()),
        ("no termination can be had", "  ams-1: it is full\n")
    );
    let unicast = TunnelName::new("unicast").unwrap();
    assert_eq!(client.disconnect_session(&unicast).unwrap(), session("ending", 2));
    // What is another than it is known to be is news, and what is not there is gone.
    let now = client.session_after(&session("requested", 0), SOON).unwrap();
    assert_eq!(now, Some(session("edge-ready", 1)));
    let same = client.session_after(&now.unwrap(), Duration::from_millis(50)).unwrap();
    assert_eq!(same, Some(session("edge-ready", 1)));
    let gone = SessionView { tunnel: "gone".to_owned(), ..session("ready", 3) };
    assert_eq!(client.session_after(&gone, SOON).unwrap(), None);
}

#[test]
fn all_that_is_described_is_served() {
    let running = Stage::default().start();
    let said = running.say("GET", "/v1/openapi.json", "");
    assert_eq!(said.json, serde_json::from_str::<Value>(openapi::text()).unwrap());
    for (path, methods) in said.json["paths"].as_object().unwrap() {
        // Without an end; `stream` is about it.
        if path == "/v1/events" {
            continue;
        }
        for method in methods.as_object().unwrap().keys() {
            let body = match path.as_str() {
                "/v1/tunnels/{name}/move" => r#"{"to":"192.0.2.1"}"#,
                "/v1/sessions" => r#"{"kind":"unicast"}"#,
                _ => "",
            };
            let said = running.say(
                &method.to_uppercase(),
                &path.replace("{name}", "t1").replace("{tunnel}", "unicast"),
                body,
            );
            let expected = if path == "/v1/reload" { 422 } else { 200 };
            assert_eq!(said.status, expected, "{method} {path}: {said:?}");
            assert!(said.head.contains("\ngreyhound-api: 1\r"), "{method} {path}: {said:?}");
            let kind = if path == "/v1/metrics" { "text/plain; version=0.0.4" } else { "application/json" };
            assert!(said.head.contains(kind), "{method} {path}: {said:?}");
        }
    }
    assert_eq!(running.say("GET", "/v1/plan?fresh=false", "").json["summary"], "as last seen");
}

#[test]
fn what_is_not_there_is_said_in_json() {
    let running = Stage::default().start();
    let table = [
        ("GET", "/", 404, "there is no /"),
        ("POST", "/v2/apply", 404, "there is no /v2/apply"),
        ("GET", "/v1/tunnels/t3", 404, "there is no tunnel \"t3\""),
        ("DELETE", "/v1/tunnels/t1", 405, "/v1/tunnels/t1 does not take DELETE"),
        ("GET", "/v1/apply", 405, "/v1/apply does not take GET"),
        ("GET", "/v1/tunnels/%ff", 400, ""),
        ("POST", "/v1/tunnels/t1/move", 400, "the body is not what is asked for: missing field `to`"),
        ("GET", "/v1/tunnels/t1/hold", 405, "/v1/tunnels/t1/hold does not take GET"),
        ("POST", "/v1/tunnels/T%2F1/hold", 400, ""),
        ("POST", "/v1/tunnels/T%2F1/unhold", 400, ""),
        ("POST", "/v1/latency", 405, "/v1/latency does not take POST"),
        ("GET", "/v1/events?sinse=3", 400, ""),
        ("GET", "/v1/events/history?since=-1", 400, ""),
        ("GET", "/v1/plan?fresh=perhaps", 400, ""),
    ];
    for (method, target, status, error) in table {
        let said = running.say(method, target, "");
        assert_eq!(said.status, status, "{method} {target}: {said:?}");
        assert!(!said.error().is_empty() && said.error().starts_with(error), "{method} {target}: {said:?}");
        assert!(said.head.contains("\ngreyhound-api: 1\r"), "{method} {target}: {said:?}");
    }
    assert!(running.say("GET", "/v1/apply", "").head.contains("\nallow: POST"));
}

#[test]
fn before_the_kernel_was_seen_there_is_nothing_to_show() {
    let running = Stage { snapshot: Snapshot { ready: false, ..snapshot() }, ..Stage::default() }.start();
    for path in
        ["/v1/status", "/v1/tunnels", "/v1/tunnels/t1", "/v1/pools", "/v1/leases", "/v1/plan?fresh=false"]
    {
        let said = running.say("GET", path, "");
        assert_eq!(said.status, 503, "{path}");
        assert!(said.head.contains("\nretry-after: 1\r"), "{said:?}");
    }
    assert_eq!(running.say("GET", "/v1/version", "").status, 200);
}

#[test]
fn the_client_says_that_no_daemon_runs() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("api.sock");
    assert!(matches!(Client::connect(&path), Err(Error::NotRunning(_))), "no socket");
    drop(UnixListener::bind(&path).unwrap());
    let error = Client::connect(&path).unwrap_err();
    assert!(error.to_string().starts_with("the daemon does not run: nobody listens on /"), "{error}");
}

#[test]
fn the_client_notices_another_version() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("api.sock");
    let listener = UnixListener::bind(&path).unwrap();
    for (header, theirs) in [("greyhound-api: 2\r\n", "version 2"), ("", "version none")] {
        let answering = std::thread::spawn({
            let listener = listener.try_clone().unwrap();
            move || {
                let (mut stream, _) = listener.accept().unwrap();
                let _ = stream.read(&mut [0; 4096]).unwrap();
                write!(stream, "HTTP/1.1 200 OK\r\n{header}content-length: 2\r\n\r\n{{}}").unwrap();
            }
        });
        let error = Client::connect(&path).unwrap_err();
        assert!(matches!(error, Error::Version { .. }) && error.to_string().contains(theirs), "{error}");
        answering.join().unwrap();
    }
}
