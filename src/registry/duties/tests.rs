use super::super::testing::{NOW, Paper, ask, code, device, stocked};
use super::*;
use crate::model::{DeviceStatus, Sharing};

fn edge(name: &str, prefixes: &[&str], terminations: usize) -> EdgeRole {
    let device = Device { status: DeviceStatus::Pending, ..device(name, prefixes) };
    EdgeRole { device, interface: InterfaceName::new("lo").unwrap(), terminations }
}

fn owes(paper: &Paper, edge: &EdgeRole) -> Vec<Duty> {
    of_edge(&paper.registry(), edge, &BTreeSet::new(), &BTreeSet::new())
}

/// Does all that is owed until nothing is; what was said on the way.
fn settle(paper: &mut Paper, edge: &EdgeRole) -> Vec<String> {
    let mut said = Vec::new();
    while let Some(duty) = owes(paper, edge).first() {
        said.extend(paper.change(|registry| decide(registry, duty, NOW)).unwrap());
        assert!(said.len() < 10, "it has no end: {said:?}");
    }
    said
}

fn keys(list: &[&str]) -> BTreeSet<SessionKey> {
    list.iter().map(|key| key.parse().unwrap()).collect()
}

#[test]
fn a_new_edge_box_registers_itself_and_offers_its_first_terminations() {
    let mut paper = stocked(Sharing::Exclusive);
    let lon = edge("lon-1", &["192.0.2.64/27"], 20);
    let said = settle(&mut paper, &lon);
    let first = "device lon-1 is registered, pending: its prefixes have room for 32 termination(s)";
    assert_eq!(said[0], first);
    assert!(said[1].starts_with("lon-1/lo offers 16 termination(s): 192.0.2.64, 192.0.2.65, "), "{said:?}");
    assert!(said[2].starts_with("lon-1/lo offers 20 termination(s): "), "{said:?}");
    assert_eq!(said.len(), 3);
    assert_eq!(paper.registry().terminations_of(&code("lon-1")).count(), 20);
}

#[test]
fn what_operators_say_of_a_device_stays_and_what_it_says_of_itself_is_put_right() {
    let mut paper = stocked(Sharing::Exclusive);
    let ams = edge("ams-1", &["198.51.100.8/29"], 2);
    assert_eq!(owes(&paper, &ams), []);
    let set = Device {
        sharing: Sharing::PerClient,
        prefixes: ["198.51.100.8/29", "192.0.2.128/29"].map(|net| net.parse().unwrap()).into(),
        ..device("ams-1", &[])
    };
    paper.change(|registry| devices::put(registry, &set, NOW)).unwrap();
    assert_eq!(owes(&paper, &ams), []);
    let mut moved = ams.clone();
    moved.device.location = "Haarlem".to_owned();
    settle(&mut paper, &moved);
    let registry = paper.registry();
    let now = registry.device(&code("ams-1")).unwrap();
    assert_eq!(*now, Device { location: "Haarlem".to_owned(), ..set });
}

#[test]
fn an_edge_confirms_what_it_has_built_and_what_is_gone() {
    let mut paper = stocked(Sharing::Exclusive);
    let ams = edge("ams-1", &["198.51.100.8/29"], 2);
    for host in ["host-1", "host-2"] {
        paper.change(|registry| sessions::request(registry, &ask(host, "uni", "ams-1"), NOW)).unwrap();
    }
    let one = keys(&["host-1/uni"]);
    assert_eq!(owes(&paper, &ams), [], "nothing was read back yet");
    let owed = of_edge(&paper.registry(), &ams, &one, &BTreeSet::new());
    let [Duty::EdgeReady(session)] = &owed[..] else { panic!("{owed:?}") };
    assert_eq!(session.key().to_string(), "host-1/uni");
    paper.change(|registry| decide(registry, &owed[0], NOW)).unwrap();
    assert_eq!(of_edge(&paper.registry(), &ams, &one, &BTreeSet::new()), []);
    // One that is not ending is not given up, whatever became of its tunnel.
    assert_eq!(of_edge(&paper.registry(), &ams, &BTreeSet::new(), &one), []);
    let key = "host-1/uni".parse().unwrap();
    paper.change(|registry| sessions::end(registry, &key, NOW)).unwrap();
    assert_eq!(of_edge(&paper.registry(), &ams, &one, &BTreeSet::new()), []);
    let owed = of_edge(&paper.registry(), &ams, &BTreeSet::new(), &one);
    assert!(matches!(&owed[..], [Duty::ConfirmGone(gone)] if gone.key() == key));
    paper.change(|registry| decide(registry, &owed[0], NOW)).unwrap();
    assert_eq!(owes(&paper, &ams), []);
}

#[test]
fn a_host_confirms_after_its_edge_and_follows_its_address() {
    let mut paper = stocked(Sharing::Exclusive);
    let host = HostName::new("host-1").unwrap();
    let session =
        paper.change(|registry| sessions::request(registry, &ask("host-1", "uni", "ams-1"), NOW)).unwrap();
    let built = keys(&["host-1/uni"]);
    let same = BTreeMap::from([(session.key(), session.underlay)]);
    assert_eq!(of_host(&paper.registry(), &host, &built, &same), []);
    paper.change(|registry| sessions::edge_ready(registry, &session, NOW)).unwrap();
    assert_eq!(of_host(&paper.registry(), &host, &BTreeSet::new(), &same), []);
    let owed = of_host(&paper.registry(), &host, &built, &same);
    assert!(matches!(&owed[..], [Duty::HostReady(ready)] if ready.state == SessionState::EdgeReady));
    let elsewhere = Underlay { bound: [192, 0, 2, 99].into(), public: None };
    let moved = BTreeMap::from([(session.key(), elsewhere)]);
    let owed = of_host(&paper.registry(), &host, &built, &moved);
    assert_eq!(owed, [Duty::Follow(session.key(), elsewhere)]);
    paper.change(|registry| decide(registry, &owed[0], NOW)).unwrap();
    let registry = paper.registry();
    let after = registry.session(&session.key()).unwrap();
    assert_eq!((after.state, after.underlay), (SessionState::Requested, elsewhere));
    assert_eq!(of_host(&registry, &HostName::new("host-2").unwrap(), &built, &moved), []);
}
