use super::*;
use crate::config;
use crate::model::{
    Device, DeviceStatus, InterfaceName, Kind as TunnelKind, Local, Pool, PoolName, Purpose, SharedPool,
    Sharing, Tier, Underlay,
};
use crate::registry::sessions::{self, Request};
use crate::registry::{Decision, Refused, Row, Write, devices, interfaces, pools};

const HOST: &str = "
    [inventory]
    path = \"/srv/inventory.db\"
    [host]
    name = \"host-1\"
    routes = [\"10.0.0.0/8\"]
";

/// Carries out what is decided.
fn change<T>(snapshot: &mut Snapshot, decide: impl FnOnce(&Registry) -> Result<Decision<T>, Refused>) {
    let made = decide(&Registry::new(snapshot).unwrap()).unwrap().transaction;
    snapshot.revision += 1;
    for write in made.writes {
        snapshot.rows.retain(|row| row.name != *write.row());
        if let Write::Put(name, value) = write {
            snapshot.rows.push(Row { name, value, revision: snapshot.revision });
        }
    }
}

/// A device with two terminations, and a session of each of two hosts with it.
fn snapshot() -> Snapshot {
    let mut snapshot = Snapshot::default();
    let code = DeviceCode::new("ams-1").unwrap();
    let device = Device {
        code: code.clone(),
        owner: String::new(),
        location: String::new(),
        exchange: String::new(),
        sort: String::new(),
        public_ip: [192, 0, 2, 1].into(),
        prefixes: vec!["198.51.100.8/29".parse().unwrap()],
        status: DeviceStatus::Activated,
        max_sessions: None,
        sharing: Sharing::Exclusive,
    };
    change(&mut snapshot, |registry| devices::put(registry, &device, 0));
    let lo = InterfaceName::new("lo").unwrap();
    change(&mut snapshot, |registry| interfaces::bootstrap(registry, (&code, &lo), 2, 0));
    for (name, purpose, range) in
        [("inside", Purpose::Overlay, "169.254.10.0/28"), ("clients", Purpose::Client, "203.0.113.0/28")]
    {
        let ranges = vec![range.parse().unwrap()];
        let (name, tier) = (PoolName::new(name).unwrap(), Tier::Primary);
        let pool = Pool { name, purpose, tier, ranges, quota: None, exclude: Vec::new() };
        let allowed = BTreeSet::new();
        let pool = SharedPool { pool, device: None, carve: None, allowed, low_water: 0, carved_from: None };
        change(&mut snapshot, |registry| pools::put(registry, &pool, 0));
    }
    for (host, bound) in [("host-1", [192, 0, 2, 51]), ("host-2", [192, 0, 2, 52])] {
        let request = Request {
            host: HostName::new(host).unwrap(),
            name: TunnelName::new("uni").unwrap(),
            kind: TunnelKind::Unicast,
            device: code.clone(),
            termination: None,
            underlay: Underlay { bound: bound.into(), public: None },
            publish: BTreeSet::new(),
            subscribe: BTreeSet::new(),
        };
        change(&mut snapshot, |registry| sessions::request(registry, &request, 0));
    }
    snapshot
}

fn composed(text: &str, down: &[&str]) -> Whole {
    let declared = config::parse(text, "x.toml").unwrap();
    let registry = Registry::new(&snapshot()).unwrap();
    let me = me(&declared.role).unwrap().unwrap();
    let down = down.iter().map(|name| TunnelName::new(name).unwrap()).collect();
    whole(&declared, &registry, &me, &down)
}

fn tunnel(extra: &str) -> String {
    format!("{HOST}\n[[tunnel]]\nkind = \"unicast\"\nlocal = \"192.0.2.51\"\n{extra}")
}

#[test]
fn sessions_are_tunnels_beside_the_declared_ones() {
    let text = tunnel("name = \"own\"\nremote = \"192.0.2.9\"\noverlay = \"169.254.99.0/31\"");
    let Whole { config, aside } = composed(&text, &[]);
    let names: Vec<_> = config.tunnels.keys().map(TunnelName::as_str).collect();
    assert_eq!((names, aside.len()), (vec!["own", "uni"], 0));
    let uni = &config.tunnels[&TunnelName::new("uni").unwrap()];
    assert_eq!(uni.local, Local::Host([192, 0, 2, 51].into()));
    assert_eq!(uni.routes, ["10.0.0.0/8".parse().unwrap()]);
    assert!(config.offered.is_empty());
}

#[test]
fn into_a_tunnel_that_is_down_nothing_is_routed() {
    let Whole { config, .. } = composed(HOST, &["uni"]);
    let uni = &config.tunnels[&TunnelName::new("uni").unwrap()];
    assert!(uni.routes.is_empty() && uni.groups.is_empty());
}

#[test]
fn a_session_that_clashes_with_what_is_declared_is_set_aside_with_the_reason() {
    let cases = [
        ("name = \"uni\"\nremote = \"192.0.2.9\"\noverlay = \"169.254.99.0/31\"", "uni has its name"),
        (
            "name = \"own\"\nremote = \"192.0.2.9\"\noverlay = \"169.254.10.0/31\"",
            "own has its addresses inside",
        ),
        (
            "name = \"own\"\nremote = \"198.51.100.8\"\noverlay = \"169.254.99.0/31\"",
            "own has its local address and remote",
        ),
    ];
    for (extra, why) in cases {
        let Whole { config, aside } = composed(&tunnel(extra), &[]);
        assert_eq!(config.tunnels.len(), 1, "{extra}");
        let [(key, reason)] = &aside.into_iter().collect::<Vec<_>>()[..] else { panic!("{extra}") };
        assert_eq!(key.to_string(), "host-1/uni");
        assert_eq!(*reason, format!("the declared tunnel {why}"));
    }
}

#[test]
fn an_edge_box_has_all_sessions_of_its_device_and_its_terminations() {
    let text = "
        [daemon]
        role = \"edge\"
        [inventory]
        path = \"/srv/inventory.db\"
        [device]
        code = \"ams-1\"
        public_ip = \"192.0.2.1\"
    ";
    let Whole { config, aside } = composed(text, &[]);
    assert_eq!((config.tunnels.len(), aside.len()), (2, 0));
    let offered: Vec<_> = config.offered.iter().map(ToString::to_string).collect();
    assert_eq!(offered, ["198.51.100.8", "198.51.100.9"]);
    assert!(config.reflector.is_some(), "it answers who probes it");
}

#[test]
fn what_is_kept_is_what_concerns_this_host_and_is_the_same_after_it_was_read_back() {
    let directory = tempfile::tempdir().unwrap();
    let mut state = State::open(directory.path()).unwrap();
    assert_eq!(kept(&state).unwrap(), None);
    let snapshot = snapshot();
    let registry = Registry::new(&snapshot).unwrap();
    let of = |code: &str| {
        let document = excerpt(&snapshot, &registry, &Me::Edge(DeviceCode::new(code).unwrap()), false);
        Kept { place: "/srv/inventory.db".into(), revision: snapshot.revision, document }
    };
    keep(&mut state, &of("ams-1")).unwrap();
    let (same, back) = kept(&state).unwrap().unwrap();
    assert_eq!(same, of("ams-1"));
    assert_eq!((back.sessions.len(), back.terminations.len(), back.leases.len()), (2, 2, 0));
    keep(&mut state, &of("fra-1")).unwrap();
    assert!(kept(&state).unwrap().unwrap().1.sessions.is_empty());
    state.change::<_, store::Error>(|change| change.note(NAME, "{")).unwrap();
    assert!(kept(&state).unwrap_err().to_string().starts_with("what was kept of the inventory"));
}
