//! Whatever is done in whatever order by whoever decided on old rows: no address is doubled, nothing dangles, and what
//! is given back is there again.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::testing::{NOW, Paper, code, device, pool};
use super::{Decision, Kind, Refused, Registry, devices, interfaces, pools, sessions};
use crate::model::{Device, HostName, InterfaceName, Purpose, SessionKey, Sharing, TunnelName, Underlay};

#[derive(Clone, Debug)]
enum Deed {
    Request { host: u8, name: u8, device: bool },
    EdgeReady { host: u8, name: u8 },
    Follow { host: u8, name: u8, to: u8 },
    End { host: u8, name: u8 },
    Gone { host: u8, name: u8 },
    Terminations { device: bool, count: usize },
    Share { device: bool, sharing: bool },
}

fn deed() -> impl Strategy<Value = Deed> {
    let who = || (0u8..4, 0u8..3);
    prop_oneof![
        4 => (who(), any::<bool>()).prop_map(|((host, name), device)| Deed::Request { host, name, device }),
        1 => who().prop_map(|(host, name)| Deed::EdgeReady { host, name }),
        1 => (who(), 0u8..6).prop_map(|((host, name), to)| Deed::Follow { host, name, to }),
        2 => who().prop_map(|(host, name)| Deed::End { host, name }),
        2 => who().prop_map(|(host, name)| Deed::Gone { host, name }),
        1 => (any::<bool>(), 0usize..5).prop_map(|(device, count)| Deed::Terminations { device, count }),
        1 => (any::<bool>(), any::<bool>()).prop_map(|(device, sharing)| Deed::Share { device, sharing }),
    ]
}

fn decide(registry: &Registry, deed: &Deed) -> Result<Decision<()>, Refused> {
    let which = |device| code(if device { "ams-1" } else { "fra-1" });
    let key = |host: u8, name: u8| SessionKey {
        host: HostName::new(&format!("h{host}")).unwrap(),
        name: TunnelName::new(&format!("t{name}")).unwrap(),
    };
    let nothing = |transaction| Ok(Decision { transaction, value: () });
    match *deed {
        Deed::Request { host, name, device } => {
            let SessionKey { host: client, name } = key(host, name);
            let request = sessions::Request {
                host: client,
                name,
                kind: crate::model::Kind::Unicast,
                device: which(device),
                termination: None,
                underlay: Underlay { bound: [192, 0, 2, host].into(), public: None },
                publish: BTreeSet::new(),
                subscribe: BTreeSet::new(),
            };
            nothing(sessions::request(registry, &request, NOW)?.transaction)
        }
        Deed::EdgeReady { host, name } => {
            nothing(sessions::edge_ready(registry, registry.session(&key(host, name))?, NOW)?.transaction)
        }
        Deed::Follow { host, name, to } => {
            let underlay = Underlay { bound: [192, 0, 2, to].into(), public: None };
            nothing(sessions::follow(registry, &key(host, name), underlay, NOW)?.transaction)
        }
        Deed::End { host, name } => nothing(sessions::end(registry, &key(host, name), NOW)?.transaction),
        Deed::Gone { host, name } => {
            nothing(sessions::confirm_gone(registry, &key(host, name), false, NOW)?.transaction)
        }
        Deed::Terminations { device, count } => {
            let lo = InterfaceName::new("lo").unwrap();
            nothing(interfaces::bootstrap(registry, (&which(device), &lo), count, NOW)?.transaction)
        }
        Deed::Share { device, sharing } => {
            let before = registry.device(&which(device))?;
            let sharing = if sharing { Sharing::Exclusive } else { Sharing::PerClient };
            nothing(devices::put(registry, &Device { sharing, ..before.clone() }, NOW)?.transaction)
        }
    }
}

fn begin() -> Paper {
    let mut paper = Paper::default();
    for (name, prefix) in [("ams-1", "198.51.100.8/29"), ("fra-1", "203.0.113.8/30")] {
        paper.change(|r| devices::put(r, &device(name, &[prefix]), NOW)).unwrap();
    }
    paper.change(|r| pools::put(r, &pool("in", Purpose::Overlay, &["169.254.10.0/28"]), NOW)).unwrap();
    paper.change(|r| pools::put(r, &pool("cl", Purpose::Client, &["203.0.114.0/29"]), NOW)).unwrap();
    paper
}

fn check(paper: &Paper) {
    let registry = paper.registry();
    assert_eq!(registry.dangling().next(), None);
    pools::audit(&registry).unwrap();
    let sessions: Vec<_> = registry.sessions.values().map(|session| &session.value).collect();
    let once = |of: fn(&crate::model::Session) -> String| {
        sessions.iter().map(|session| of(session)).collect::<BTreeSet<_>>().len() == sessions.len()
    };
    assert!(once(|s| s.overlay.to_string()) && once(|s| s.client.to_string()), "{sessions:?}");
    assert!(once(|s| format!("{}<{}", s.termination, s.underlay.seen())), "{sessions:?}");
    let leases = sessions.len() * 2 + registry.terminations.len();
    assert_eq!(registry.leases.len(), leases, "each session has two, and each termination one");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_order_of_deeds_doubles_or_loses_an_address(deeds in prop::collection::vec((deed(), 0usize..3), 1..40)) {
        let mut paper = begin();
        let mut past = vec![paper.registry()];
        for (deed, ago) in deeds {
            // Some decide by rows that are not the newest: their transaction is refused, or does no harm.
            let seen = &past[past.len().saturating_sub(1 + ago)];
            if let Ok(decision) = decide(seen, &deed) {
                paper.commit(&decision.transaction);
            }
            check(&paper);
            past.push(paper.registry());
        }
        let keys: Vec<_> = paper.registry().sessions.keys().cloned().collect();
        for key in keys {
            paper.change(|r| sessions::confirm_gone(r, &key.parse().unwrap(), true, NOW)).unwrap();
        }
        let left = paper.registry().leases.len();
        prop_assert_eq!(left, paper.registry().terminations.len(), "nothing is lost");
        prop_assert!(paper.0.rows.iter().all(|row| row.name.kind != Kind::Seat));
    }
}
