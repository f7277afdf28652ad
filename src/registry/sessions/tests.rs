use super::super::testing::{NOW, Paper, ask, code, device, stocked};
use super::super::{devices, interfaces};
use super::*;

fn key(text: &str) -> SessionKey {
    text.parse().unwrap()
}

#[test]
fn a_session_takes_all_that_it_needs_in_one_transaction() {
    let mut paper = stocked(Sharing::Exclusive);
    let before = paper.0.revision;
    let session = paper.change(|r| request(r, &ask("a", "ams", "ams-1"), NOW)).unwrap();
    assert_eq!(paper.0.revision, before + 1);
    assert_eq!(session.termination.to_string(), "198.51.100.8");
    assert_eq!(
        (session.overlay.to_string(), session.client.to_string()),
        ("169.254.10.0/31".into(), "203.0.114.1".into())
    );
    let again = request(&paper.registry(), &ask("a", "ams", "ams-1"), NOW + 9).unwrap();
    assert_eq!((again.transaction.is_empty(), again.value), (true, session));
    let other = paper.refused(|r| request(r, &ask("a", "ams", "fra-1"), NOW));
    assert!(
        other.contains("session a/ams is there already, and another: unicast to device ams-1"),
        "{other}"
    );
}

#[test]
fn every_tunnel_has_a_termination_of_its_own_unless_the_device_shares() {
    let mut exclusive = stocked(Sharing::Exclusive);
    exclusive.change(|r| request(r, &ask("a", "one", "ams-1"), NOW)).unwrap();
    let second = exclusive.change(|r| request(r, &ask("a", "two", "ams-1"), NOW)).unwrap();
    assert_eq!(second.termination.to_string(), "198.51.100.9", "the next of the same device");
    let refused = exclusive.refused(|r| request(r, &ask("b", "one", "ams-1"), NOW));
    assert_eq!(refused, "device ams-1 has no termination that is free for 192.0.2.98");
    let pinned = Request { termination: Some([198, 51, 100, 8].into()), ..ask("b", "one", "ams-1") };
    let refused = exclusive.refused(|r| request(r, &pinned, NOW));
    assert_eq!(refused, "termination 198.51.100.8 is taken by session a/one");

    let mut shared = stocked(Sharing::PerClient);
    for (host, name, termination) in
        [("a", "one", "198.51.100.8"), ("b", "one", "198.51.100.8"), ("a", "two", "198.51.100.9")]
    {
        let session = shared.change(|r| request(r, &ask(host, name, "ams-1"), NOW)).unwrap();
        assert_eq!(session.termination.to_string(), termination, "one client never twice");
    }
    assert!(shared.refused(|r| request(r, &ask("a", "three", "ams-1"), NOW)).contains("free for 192.0.2.97"));
}

#[test]
fn a_client_behind_a_nat_is_who_the_edge_sees() {
    let mut paper = stocked(Sharing::PerClient);
    let public = Some([192, 0, 2, 200].into());
    for (host, termination) in [("a", "198.51.100.8"), ("b", "198.51.100.9")] {
        let mut ask = ask(host, "one", "ams-1");
        ask.underlay.public = public;
        let session = paper.change(|r| request(r, &ask, NOW)).unwrap();
        assert_eq!(session.termination.to_string(), termination, "two hosts behind one address");
    }
}

#[test]
fn a_session_follows_its_client_to_another_address() {
    let mut paper = stocked(Sharing::PerClient);
    let before = paper.change(|r| request(r, &ask("a", "one", "ams-1"), NOW)).unwrap();
    paper.change(|r| request(r, &ask("b", "one", "ams-1"), NOW)).unwrap();
    paper.change(|r| edge_ready(r, r.session(&key("a/one"))?, NOW)).unwrap();
    let elsewhere = Underlay { bound: [10, 0, 0, 9].into(), public: Some([192, 0, 2, 200].into()) };
    let after = paper.change(|r| follow(r, &key("a/one"), elsewhere, NOW + 5)).unwrap();
    let expected = Session { underlay: elsewhere, since: NOW + 5, ..before.clone() };
    assert_eq!(after, expected, "it keeps what it has, and its edge builds anew");
    assert!(follow(&paper.registry(), &key("a/one"), elsewhere, NOW + 9).unwrap().transaction.is_empty());
    let late = paper.refused(|r| edge_ready(r, &before, NOW));
    assert!(late.contains("it has changed since its tunnel was built: build it anew"), "{late}");
    let taken = paper.refused(|r| follow(r, &key("b/one"), elsewhere, NOW));
    assert_eq!(taken, "termination 198.51.100.8 is taken by session a/one");
    // Only bound elsewhere, behind the same public address: the seat is the same.
    let rebound = Underlay { bound: [10, 0, 0, 10].into(), ..elsewhere };
    paper.change(|r| follow(r, &key("a/one"), rebound, NOW)).unwrap();
    assert_eq!(paper.registry().seats.len(), 2);
}

#[test]
fn devices_that_take_none_say_why() {
    let mut paper = stocked(Sharing::Exclusive);
    let full = Device { max_sessions: Some(1), ..device("ams-1", &["198.51.100.8/29"]) };
    paper.change(|r| devices::put(r, &full, NOW)).unwrap();
    paper.change(|r| request(r, &ask("a", "one", "ams-1"), NOW)).unwrap();
    assert_eq!(
        paper.refused(|r| request(r, &ask("b", "one", "ams-1"), NOW)),
        "device ams-1 has 1 session(s), its most"
    );
    let draining = Device { status: DeviceStatus::Draining, ..device("fra-1", &["203.0.113.8/29"]) };
    paper.change(|r| devices::put(r, &draining, NOW)).unwrap();
    let refused = paper.refused(|r| request(r, &ask("b", "one", "fra-1"), NOW));
    assert_eq!(refused, "device fra-1 is draining: only activated ones take sessions");
    assert_eq!(
        paper.refused(|r| request(r, &ask("b", "one", "lon-1"), NOW)),
        "there is no device lon-1 in the inventory"
    );
    let elsewhere = Request { termination: Some([203, 0, 113, 8].into()), ..ask("b", "one", "ams-1") };
    let roomy = Device { max_sessions: None, ..full };
    paper.change(|r| devices::put(r, &roomy, NOW)).unwrap();
    let refused = paper.refused(|r| request(r, &elsewhere, NOW));
    assert_eq!(refused, "203.0.113.8 is no termination of device ams-1");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let paper = stocked(Sharing::Exclusive);
    let group = || BTreeSet::from([[239, 1, 2, 3].into()]);
    let cases = [
        (Request { publish: group(), ..ask("a", "one", "ams-1") }, "a unicast session has no groups"),
        (
            Request {
                kind: TunnelKind::Multicast,
                subscribe: BTreeSet::from([[10, 0, 0, 1].into()]),
                ..ask("a", "one", "ams-1")
            },
            "10.0.0.1 is no multicast group",
        ),
        (
            Request {
                underlay: Underlay { bound: [127, 0, 0, 1].into(), public: None },
                ..ask("a", "one", "ams-1")
            },
            "127.0.0.1 cannot be a client's underlay address: it is of loopback addresses",
        ),
    ];
    for (ask, why) in cases {
        let refused = paper.refused(|r| request(r, &ask, NOW));
        assert!(refused.contains(why), "{refused}");
    }
}

#[test]
fn nothing_is_taken_when_one_thing_is_missing() {
    let mut paper = stocked(Sharing::PerClient);
    for host in ["a", "b", "c", "d", "e"] {
        paper.change(|r| request(r, &ask(host, "one", "ams-1"), NOW)).unwrap();
    }
    let refused = paper.refused(|r| request(r, &ask("f", "one", "ams-1"), NOW));
    assert!(
        refused.contains("no address for session/f/one: overlay pools are exhausted: 1 asked (/31), 0 free"),
        "{refused}"
    );
    assert_eq!(paper.registry().needs().count(), 2, "both ran out with the fifth");
}

#[test]
fn its_addresses_are_its_own_until_the_edge_has_let_go() {
    let mut paper = stocked(Sharing::Exclusive);
    let rows = |paper: &Paper| paper.0.rows.iter().filter(|row| row.name.kind != Kind::Fence).count();
    let before = rows(&paper);
    let session = paper.change(|r| request(r, &ask("a", "one", "ams-1"), NOW)).unwrap();
    let gone = |r: &Registry| confirm_gone(r, &key("a/one"), false, NOW);
    assert!(paper.refused(gone).contains("session a/one is requested: end it first"));
    assert!(
        paper
            .refused(|r| host_ready(r, r.session(&key("a/one"))?, NOW))
            .contains("its edge is not ready yet")
    );
    assert_eq!(
        paper.change(|r| edge_ready(r, r.session(&key("a/one"))?, NOW)).unwrap().state,
        SessionState::EdgeReady
    );
    assert_eq!(
        paper.change(|r| host_ready(r, r.session(&key("a/one"))?, NOW)).unwrap().state,
        SessionState::Ready
    );
    let built = paper.registry().session(&key("a/one")).unwrap().clone();
    assert!(edge_ready(&paper.registry(), &built, NOW).unwrap().transaction.is_empty());
    assert_eq!(paper.change(|r| end(r, &key("a/one"), NOW + 5)).unwrap().since, NOW + 5);
    let taken = paper.change(|r| request(r, &ask("b", "one", "ams-1"), NOW)).unwrap();
    assert_ne!(
        (taken.termination, taken.overlay, taken.client),
        (session.termination, session.overlay, session.client)
    );
    assert!(paper.refused(|r| request(r, &ask("a", "one", "ams-1"), NOW)).contains("wait until its edge"));
    assert!(
        paper.refused(|r| edge_ready(r, r.session(&key("a/one"))?, NOW)).contains("session a/one is ending")
    );
    paper.change(gone).unwrap();
    assert_eq!(paper.change(gone).unwrap(), None, "gone stays gone");
    paper.change(|r| confirm_gone(r, &key("b/one"), true, NOW)).unwrap();
    assert_eq!(rows(&paper), before);
}

#[test]
fn a_termination_with_a_session_is_not_withdrawn() {
    let mut paper = stocked(Sharing::Exclusive);
    paper.change(|r| request(r, &ask("a", "one", "ams-1"), NOW)).unwrap();
    let refused = paper.refused(|r| interfaces::remove(r, "ams-1/lo", NOW));
    assert_eq!(
        refused,
        "termination 198.51.100.8 cannot be removed: session a/one refers to it; remove that first"
    );
    let refused = paper.refused(|r| devices::remove(r, &code("ams-1")));
    assert!(
        refused.starts_with("device ams-1 cannot be removed: ") || refused.starts_with("pool ams-1"),
        "{refused}"
    );
}

#[test]
fn of_two_who_decide_by_the_same_rows_one_decides_again() {
    let mut paper = stocked(Sharing::Exclusive);
    let before = paper.registry();
    let [a, b] =
        ["a", "b"].map(|host| request(&before, &ask(host, "one", "ams-1"), NOW).unwrap().transaction);
    assert!(paper.commit(&a) && !paper.commit(&b));
    let second = paper.change(|r| request(r, &ask("b", "one", "ams-1"), NOW)).unwrap();
    assert_eq!(second.termination.to_string(), "198.51.100.9");
}
