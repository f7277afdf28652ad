//! Metrics over TCP: there where they are wanted, and nothing else of the API.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Instant;

use super::*;

/// An address where nobody listens now.
fn free() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

/// What is answered there, or that nobody listens.
fn get(at: SocketAddr, request: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(at)?;
    stream.set_read_timeout(Some(SOON))?;
    stream.write_all(request.as_bytes())?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

fn page(at: SocketAddr, method: &str, path: &str) -> std::io::Result<String> {
    get(at, &format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"))
}

/// Until it is so, or for too long.
fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        match ask() {
            Some(answer) => return answer,
            None if begun.elapsed() > SOON => panic!("{what}: not within {SOON:?}"),
            None => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}

#[test]
fn the_page_is_where_it_is_wanted_and_nothing_else_is() {
    let running = Stage::default().start();
    let (first, second) = (free(), free());
    running.listener.listen(Some(first));
    let answer = eventually("the page", || page(first, "GET", "/metrics").ok());
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("\ngreyhound_ready 1\n"), "{answer}");
    for (method, path, status) in [
        ("GET", "/", 404),
        ("GET", "/v1/status", 404),
        ("GET", "/v1/metrics", 404),
        ("POST", "/v1/flush", 404),
        ("POST", "/metrics", 405),
        ("HEAD", "/metrics", 200),
    ] {
        let answer = page(first, method, path).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{method} {path}: {answer}");
    }
    running.listener.listen(Some(second));
    eventually("the page at its new place", || page(second, "GET", "/metrics").ok());
    assert!(page(first, "GET", "/metrics").is_err(), "it is still where it was");
    running.listener.listen(None);
    eventually("the end of it", || page(second, "GET", "/metrics").is_err().then_some(()));
    running.stop().unwrap();
}

#[test]
fn an_address_that_is_taken_is_said_and_tried_again() {
    let running = Stage::default().start();
    let holder = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = holder.local_addr().unwrap();
    running.listener.listen(Some(address));
    let said = eventually("the trouble", || running.listener.trouble());
    assert!(
        said.starts_with(&format!("metrics are not served at {address}: Address already in use")),
        "{said}"
    );
    drop(holder);
    eventually("the page", || page(address, "GET", "/metrics").ok());
    assert_eq!(running.listener.trouble(), None);
}

#[test]
fn who_sends_too_much_or_nothing_is_cut() {
    let limits = Limits { head_time: Duration::from_millis(200), ..Limits::default() };
    let running = Stage { limits, ..Stage::default() }.start();
    let address = free();
    running.listener.listen(Some(address));
    eventually("the page", || page(address, "GET", "/metrics").ok());
    let long = format!("GET /metrics HTTP/1.1\r\nhost: x\r\nlong: {}\r\n\r\n", "x".repeat(20_000));
    assert!(
        !get(address, &long).unwrap_or_default().starts_with("HTTP/1.1 200 "),
        "a head of 20 kB was taken"
    );
    let begun = Instant::now();
    let answer = get(address, "GET /metr").unwrap();
    assert!(begun.elapsed() < SOON / 2 && !answer.starts_with("HTTP/1.1 200 "), "{answer}");
}
