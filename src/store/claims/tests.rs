use super::super::State;
use super::*;

pub(in super::super) fn name(text: &str) -> TunnelName {
    TunnelName::new(text).unwrap()
}

/// A claim of one tuple and one address that no other number has.
pub(in super::super) fn claim(n: u32) -> Claim {
    let tuple = Tuple { local: (0x0a00_0000 + n).into(), remote: [192, 0, 2, 1].into(), key: None };
    let address = Ipv4Network::new((0xa9fe_0000 + 2 * n).into(), 31).unwrap();
    Claim { tuples: BTreeSet::from([tuple]), addresses: BTreeSet::from([address]) }
}

fn state() -> (tempfile::TempDir, State) {
    let dir = tempfile::tempdir().unwrap();
    let state = State::open(dir.path()).unwrap();
    (dir, state)
}

#[test]
fn a_claim_adds_up_until_it_is_settled() {
    let (dir, mut state) = state();
    let both = Claim {
        tuples: claim(1).tuples.union(&claim(2).tuples).copied().collect(),
        addresses: claim(1).addresses.union(&claim(2).addresses).copied().collect(),
    };
    let mut after = |f: &dyn Fn(&mut Change<'_>) -> Result<(), Error>| {
        state.change(|tx| f(tx)).unwrap();
        State::open(dir.path()).unwrap().claims().unwrap()
    };
    assert_eq!(after(&|tx| tx.claim(&name("ams"), &claim(1)))[&name("ams")], claim(1));
    assert_eq!(after(&|tx| tx.claim(&name("ams"), &claim(2)))[&name("ams")], both);
    assert_eq!(after(&|tx| tx.claim(&name("ams"), &claim(2)))[&name("ams")], both);
    assert_eq!(after(&|tx| tx.settle(&name("ams"), &claim(2)))[&name("ams")], claim(2));
    assert_eq!(after(&|tx| tx.unclaim(&name("ams"))), BTreeMap::new());
}

#[test]
fn a_tuple_has_one_tunnel_and_a_clash_names_it() {
    let (_dir, mut state) = state();
    state.change(|tx| tx.claim(&name("ams"), &claim(1))).unwrap();
    let changed = state.change(|tx| {
        for clash in [tx.claim(&name("fra"), &claim(1)), tx.settle(&name("fra"), &claim(1))] {
            let text = clash.unwrap_err().to_string();
            assert_eq!(text, "tunnel fra cannot have local 10.0.0.1 remote 192.0.2.1: tunnel ams has it");
        }
        tx.claim(&name("lon"), &claim(3))
    });
    changed.unwrap();
    assert_eq!(state.claims().unwrap().into_keys().collect::<Vec<_>>(), [name("ams"), name("lon")]);
}

#[test]
fn no_key_is_not_key_zero() {
    let (_dir, mut state) = state();
    let key = |key| {
        let tuples = claim(1).tuples.into_iter().map(|tuple| Tuple { key, ..tuple }).collect();
        Claim { tuples, addresses: BTreeSet::new() }
    };
    state
        .change(|tx| {
            tx.claim(&name("none"), &key(None))?;
            tx.claim(&name("zero"), &key(Some(0)))?;
            tx.claim(&name("most"), &key(Some(u32::MAX)))
        })
        .unwrap();
    assert_eq!(state.claims().unwrap()[&name("most")], key(Some(u32::MAX)));
    assert!(state.change(|tx| tx.claim(&name("two"), &key(None))).is_err());
}

#[test]
fn loopback_addresses_are_a_set() {
    let (dir, mut state) = state();
    let one = Ipv4Addr::new(10, 0, 0, 1);
    state.change(|tx| tx.claim_loopback(one).and_then(|()| tx.claim_loopback(one))).unwrap();
    assert_eq!(State::open(dir.path()).unwrap().owned().unwrap().loopback, BTreeSet::from([one]));
    state.change(|tx| tx.unclaim_loopback(one)).unwrap();
    assert_eq!(state.loopback().unwrap(), BTreeSet::new());
}

#[test]
fn the_schema_itself_refuses_a_doubled_tuple() {
    let (_dir, mut state) = state();
    let doubled = state.change(|tx| {
        tx.claim(&name("ams"), &claim(1))?;
        tx.claim(&name("fra"), &claim(2))?;
        tx.run("forge", |conn| conn.execute("UPDATE claim_tuple SET local = 7", []))
    });
    let Err(Error::File(crate::sqlite::Error::Query { source, .. })) = doubled else { panic!("it took it") };
    assert!(source.to_string().contains("claim_tuple_once"), "{source}");
}
