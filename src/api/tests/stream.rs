//! The stream of events, heard through the client.

use super::super::client::{Events, Heard};
use super::super::dto::LostView;
use super::*;

fn take(events: &mut Events<'_>, count: usize) -> Vec<Heard> {
    events.take(count).map(Result::unwrap).collect()
}

fn heard(numbers: impl IntoIterator<Item = u64>) -> Vec<Heard> {
    numbers.into_iter().map(|seq| Heard::Event(event(seq))).collect()
}

#[test]
fn what_is_kept_comes_first_and_then_what_happens() {
    // More than a page, and more than the live channel holds.
    let kept = (1..=2500).map(event).collect();
    let running = Stage { kept, ..Stage::default() }.start();
    let client = running.client();
    let mut events = client.events(Some(10)).unwrap();
    assert_eq!(take(&mut events, 2490), heard(11..=2500));
    for seq in [2499, 2500, 2501, 2502] {
        running.events.send(event(seq)).unwrap();
    }
    assert_eq!(take(&mut events, 2), heard([2501, 2502]), "and none twice");
}

#[test]
fn without_a_number_the_stream_begins_now() {
    let running = Stage::default().start();
    let client = running.client();
    let mut events = client.events(None).unwrap();
    running.events.send(event(6)).unwrap();
    assert_eq!(take(&mut events, 1), heard([6]));
}

#[test]
fn what_is_no_longer_kept_is_said_to_be_lost() {
    let running = Stage { kept: (100..=101).map(event).collect(), ..Stage::default() }.start();
    let client = running.client();
    let mut events = client.events(Some(90)).unwrap();
    assert_eq!(take(&mut events, 1), [Heard::Lost(LostView { after: Some(90), missed: 9 })]);
    assert_eq!(take(&mut events, 2), heard([100, 101]));
}

#[test]
fn who_listens_too_slowly_is_told_and_goes_on() {
    const LAST: u64 = 20_000;
    let running = Stage { kept: vec![], ..Stage::default() }.start();
    let client = running.client();
    let mut events = client.events(Some(0)).unwrap();
    for seq in 1..=LAST {
        running.events.send(event(seq)).unwrap();
    }
    let (mut next, mut lost) = (1, 0);
    while next <= LAST {
        match events.next().unwrap().unwrap() {
            Heard::Event(event) => {
                assert_eq!(event.seq, next, "in order, whole, and holes are announced");
                next += 1;
            }
            Heard::Lost(LostView { after, missed }) => {
                assert_eq!(after, Some(next - 1));
                (next, lost) = (next + missed, lost + missed);
            }
        }
    }
    assert!(lost > 0, "sixteen are held, and thousands came");
    running.events.send(event(LAST + 1)).unwrap();
    assert_eq!(take(&mut events, 1), heard([LAST + 1]));
}

#[test]
fn a_stream_goes_on_after_the_event_that_its_client_names() {
    let running = Stage::default().start();
    let head = "GET /v1/events?since=1 HTTP/1.1\r\nhost: x\r\n";
    let path = running.path.clone();
    let listening = std::thread::spawn(move || {
        let mut stream = dial(&path);
        stream.write_all(format!("{head}last-event-id: 3\r\nconnection: close\r\n\r\n").as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    });
    // Two kept events are heard when the stream was begun; its end is the server's.
    while running.events.receiver_count() == 0 {
        std::thread::yield_now();
    }
    let refused = running.raw(&format!("{head}last-event-id: x\r\nconnection: close\r\n\r\n"));
    assert_eq!(refused.status, 400);
    running.events.send(event(6)).unwrap();
    running.stop().unwrap();
    let text = listening.join().unwrap();
    let ids: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("id: ")).collect();
    assert!(ids.starts_with(&["4", "5"]), "{text}");
    assert!(text.contains("content-type: text/event-stream"), "{text}");
}
