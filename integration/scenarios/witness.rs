//! The witness: it stays silent while nothing changes, and names what does.

use super::tunnels::{AMS, FRA};
use crate::support::greyhound::{POOL, multicast, unicast};
use crate::support::needs::{DUMMY, VRF};
use crate::support::scenario::{Scenario, scenario};
use crate::support::{Greyhound, Host, Result, World, ensure};
use crate::witness::{Kind, Snapshot, Witness, foreign};
use rusqlite::Connection;

pub const SCENARIOS: &[Scenario] = &[
    scenario!(the_witness_names_what_changed).needs(&[DUMMY]),
    scenario!(it_names_what_greyhound_would_put_right).needs(&[DUMMY, VRF]),
    scenario!(it_names_what_is_too_much_or_given_out_twice_in_the_kernel).needs(&[DUMMY, VRF]),
    scenario!(it_names_what_is_wrong_in_the_store).needs(&[DUMMY, VRF]),
    scenario!(it_asks_nothing_of_excused_and_disabled_tunnels).needs(&[DUMMY, VRF]),
];

fn the_witness_names_what_changed(world: &World) -> Result<()> {
    let host = world.host("watched")?;
    foreign::populate(&host)?;
    let before = foreign::snapshot(&host)?;
    ensure!(before.len() > 300, "some hundred to watch, not {}", before.len());
    for kind in [Kind::Link, Kind::Address, Kind::Route, Kind::Rule] {
        ensure!(before.objects().any(|object| object.kind == kind), "no {kind:?} among them");
    }

    host.ip_batch(
        "link add gh-ams type gre local 127.0.0.9 remote 127.0.0.10\n\
         link set gh-ams up\n\
         address add 169.254.10.0/31 dev gh-ams\n\
         address add 198.51.100.8/32 dev lo label lo:gh\n",
    )?;
    let ours = Snapshot::take(&host)?;
    ensure!(ours.len() > before.len(), "the witness sees greyhound's objects, too");
    let now = foreign::snapshot(&host)?;
    before.expect_unchanged(&now)?;
    ensure!(before.hash() == now.hash(), "equal snapshots, equal hashes");

    expect(&host, &before, "link set other3 mtu 1400", "changed: link other3: mtu 1303 -> 1400")?;
    expect(&host, &before, "link set other3 mtu 1303", "")?;
    expect(&host, &before, "rule delete priority 5007", "gone: rule 5007")?;
    expect(&host, &before, "route delete 172.29.5.0/24", "gone: route unicast 172.29.5.0/24")?;
    expect(
        &host,
        &before,
        "address delete 172.30.6.2/24 dev other6",
        "gone: address 172.30.6.2/24 on other6",
    )?;
    expect(
        &host,
        &before,
        "link change other-key type gre local 127.0.0.7 remote 127.0.0.9 key 5",
        "remote",
    )?;
    expect(&host, &before, "route add 172.27.0.0/16 dev other1", "new: route unicast 172.27.0.0/16")
}

/// After this deed of `ip` a line of the difference holds these words, and the hash is another; with no words, all is
/// as it was.
fn expect(host: &Host, before: &Snapshot, deed: &str, words: &str) -> Result<()> {
    host.ip(deed)?;
    let now = foreign::snapshot(host)?;
    if words.is_empty() {
        return before.expect_unchanged(&now);
    }
    let lines = before.difference(&now);
    ensure!(lines.iter().any(|line| line.contains(words)), "after `ip {deed}`, no {words:?} in {lines:#?}");
    ensure!(before.hash() != now.hash(), "after `ip {deed}`, the same hash");
    Ok(())
}

/// Breaks one thing by lines of `ip`; the words of the complaint.
type Break = (&'static str, &'static str);

/// What an apply puts right, all of a list at once.
const PARAMETERS: &[Break] = &[
    ("link change gh-ams type gre remote 203.0.113.66", "I1: link gh-ams: remote is \"203.0.113.66\""),
    ("link change gh-ams type gre ttl 5", "I1: link gh-ams: ttl is \"5\", not \"64\""),
    ("link change gh-ams type gre tos 0x10", "I1: link gh-ams: tos is \"0x10\", not \"0xb8\""),
    ("link change gh-ams type gre key 5", "I1: link gh-ams: okey is \"0.0.0.5\", not \"0.0.0.42\""),
    ("link change gh-ams type gre csum", "I1: link gh-ams: checksum or sequence is"),
    ("link change gh-ams type gre nopmtudisc", "I1: link gh-ams: pmtudisc is \"false\""),
    ("link change gh-ams type gre fwmark 0", "I1: link gh-ams: fwmark is"),
    ("link set gh-ams mtu 1300", "I1: link gh-ams: mtu is \"1300\", not \"1472\""),
    ("link set gh-ams multicast off", "I1: link gh-ams: multicast is \"false\""),
    ("link change gh-fra type gre local 192.0.2.66", "I1: link gh-fra: local is \"192.0.2.66\""),
    ("link change gh-red type gre ttl 7", "I1: link gh-red: ttl is \"7\", not \"0\""),
    ("link set gh-red nomaster", "I1: link gh-red: vrf is \"\", not \"red\""),
];
const LINKS: &[Break] = &[
    ("link delete gh-ams", "I1: missing: link gh-ams"),
    ("link set gh-fra group 5", "I1: link gh-fra: group is \"5\", not \"26472\""),
    ("link set gh-fra down", "I1: link gh-fra: up is \"false\""),
    ("link set under0 mtu 1400", "I1: link gh-fra: mtu is \"1476\", not \"1376\""),
    ("link set gh-red down\nlink set gh-red name stolen", "I1: not declared: link stolen"),
];
const INSIDE: &[Break] = &[
    ("address delete 169.254.10.0/31 dev gh-ams", "I1: missing: address 169.254.10.0/31 on gh-ams"),
    ("address delete 198.51.100.8/32 dev lo", "I1: missing: address 198.51.100.8/32 on lo"),
    ("route delete 0.0.0.0/0 table 4700", "I1: missing: route default metric 0 table 4700"),
    ("route delete 239.1.0.0/16 table 4700", "I1: missing: route 239.1.0.0/16 metric 0 table 4700"),
    ("route delete 10.40.0.0/16 table 100", "I1: missing: route 10.40.0.0/16 metric 0 table 100"),
    ("route add 10.98.0.0/16 dev gh-fra table 4700 proto 147", "I1: not declared: route 10.98.0.0/16"),
    // With its routes, whose source it is.
    ("address delete 203.0.113.77/32 dev gh-ams", "I1: missing: address 203.0.113.77/32 on gh-ams"),
    ("rule delete priority 4700", "I1: missing: rule 4700"),
    ("rule delete priority 4703", "I1: missing: rule 4703"),
    ("rule add priority 4702 lookup main protocol 147", "I1: not declared: rule 4702"),
];

/// What is too much, or twice: with the line that takes it away.
const TOO_MUCH: &[(&str, &str, &str)] = &[
    (
        "address add 10.99.0.1/32 dev gh-ams",
        "I1: not declared: address 10.99.0.1/32 on gh-ams",
        "address delete 10.99.0.1/32 dev gh-ams",
    ),
    ("link set other3 mtu 1400", "I2: changed: link other3: mtu 1303 -> 1400", "link set other3 mtu 1303"),
    (
        "address delete 172.30.6.2/24 dev other6",
        "I2: gone: address 172.30.6.2/24 on other6",
        "address add 172.30.6.2/24 dev other6",
    ),
    (
        "route add 172.27.0.0/16 dev other1",
        "I2: new: route unicast 172.27.0.0/16",
        "route delete 172.27.0.0/16 dev other1",
    ),
    (
        "rule delete priority 5007",
        "I2: gone: rule 5007",
        "rule add from 172.28.7.0/24 lookup 77 priority 5007",
    ),
    (
        "address add 198.51.100.8/32 dev other1",
        "I3: 198.51.100.8 is on lo and other1",
        "address delete 198.51.100.8/32 dev other1",
    ),
    (
        "link add twin type gre local 198.51.100.8 remote 203.0.113.1 key 42 dev under0",
        "I3: local 198.51.100.8 remote 203.0.113.1 key 42 is on gh-ams and twin",
        "link delete twin",
    ),
    (
        "address add 169.254.10.2/31 dev gh-ams",
        "I3: 169.254.10.2 is on gh-ams and gh-fra",
        "address delete 169.254.10.2/31 dev gh-ams",
    ),
    (
        "link change gh-fra type gre local 198.51.100.8",
        "I3: 198.51.100.8 is leased to tunnel/ams, and gh-fra is bound to it",
        "link change gh-fra type gre local 198.51.100.9",
    ),
    (
        "link add gh-x group 26472 type gre local 127.0.0.1 remote 127.0.0.2",
        "I4: link gh-x is marked, and nobody claims it",
        "link delete gh-x",
    ),
    (
        "route add 10.97.0.0/16 dev under0 table 4700 proto 147",
        "I4: route unicast 10.97.0.0/16 table 4700 dev under0 is marked, and leads to no link of ours",
        "route delete 10.97.0.0/16 dev under0 table 4700",
    ),
    (
        "address add 198.51.100.15/32 dev lo label lo:gh",
        "I4: address 198.51.100.15 on lo is labelled, and nobody claims it",
        "address delete 198.51.100.15/32 dev lo",
    ),
];

/// 198.51.100.15 and what follows it, as the store writes addresses.
const STORE: &[(&str, &str, &str)] = &[
    (
        "INSERT INTO lease VALUES (3325256719, 3325256719, 32, 'p', 'termination', 'tunnel/x', 'active', 0, 0)",
        "I4: 198.51.100.15 is leased to tunnel/x, which is not declared",
        "DELETE FROM lease WHERE holder = 'tunnel/x'",
    ),
    (
        "DROP TRIGGER lease_overlap;
         INSERT INTO lease VALUES (3325256704, 3325256719, 28, 'p', 'client', 'x', 'active', 0, 0)",
        "I3: 198.51.100.0-198.51.100.15 of x and 198.51.100.8 of tunnel/ams overlap",
        "DELETE FROM lease WHERE holder = 'x'",
    ),
    (
        "DROP INDEX claim_tuple_once;
         INSERT INTO claim_tuple SELECT 'fra', local, remote, key FROM claim_tuple WHERE tunnel = 'ams'",
        "I3: local 198.51.100.8 remote 203.0.113.1 key 42 is claimed by ams and fra",
        "DELETE FROM claim_tuple WHERE tunnel = 'fra' AND key = 42",
    ),
    (
        "DELETE FROM claim WHERE tunnel = 'ams'",
        "I4: link gh-ams is marked, and nobody claims it",
        "INSERT INTO claim VALUES ('ams')",
    ),
    (
        "INSERT INTO claim VALUES ('ghost')",
        "I4: tunnel ghost is claimed, and its link is not in the kernel",
        "DELETE FROM claim WHERE tunnel = 'ghost'",
    ),
    (
        "UPDATE claim_tuple SET remote = remote + 9 WHERE tunnel = 'fra' AND key IS NULL",
        "I4: tunnel fra is claimed, and gh-fra has another tuple",
        "UPDATE claim_tuple SET remote = remote - 9 WHERE tunnel = 'fra' AND key IS NULL",
    ),
    (
        "INSERT INTO claim_address VALUES ('ams', 3325256719, 32)",
        "I4: tunnel ams claims address 198.51.100.15/32 on gh-ams, which is not there",
        "DELETE FROM claim_address WHERE address = 3325256719",
    ),
    (
        "INSERT INTO loopback VALUES (3325256719)",
        "I4: address 198.51.100.15 is claimed, and on no link",
        "DELETE FROM loopback WHERE address = 3325256719",
    ),
    (
        "DELETE FROM loopback WHERE address = 3325256712",
        "I4: address 198.51.100.8 on lo is labelled, and nobody claims it",
        "INSERT INTO loopback VALUES (3325256712)",
    ),
];

fn declaration() -> String {
    let ams = "key = 42\ntos = 0xb8\nclient = \"203.0.113.77\"\nroutes = [\"10.20.0.0/16\"]";
    let groups = "groups = [\"239.1.0.0/16\"]";
    let off = "enable = false";
    [
        POOL.to_owned(),
        multicast("ams", AMS, 0, &format!("{ams}\n{groups}")),
        unicast("fra", FRA, 1, "routes = [\"0.0.0.0/0\"]"),
        unicast("red", FRA, 2, "vrf = \"red\"\nttl = \"inherit\"\nmtu = 1300\nroutes = [\"10.40.0.0/16\"]"),
        unicast("off", FRA, 3, off),
    ]
    .concat()
}

/// A host with all of that and objects of somebody else, applied and found right.
fn applied(world: &World) -> Result<(Greyhound, Witness)> {
    let host = world.host("client")?;
    foreign::populate(&host)?;
    host.ip_batch(
        "link add under0 type dummy\n\
         link set under0 up\n\
         route add 203.0.112.0/20 dev under0\n\
         link add red type vrf table 100\n\
         link set red up\n",
    )?;
    let greyhound = Greyhound::new(world, &host, &declaration())?;
    let mut witness = Witness::new(&greyhound);
    witness.mark()?;
    greyhound.apply()?;
    witness.holds()?;
    Ok((greyhound, witness))
}

/// It must complain in these words, each in a line of its own.
pub fn complains(witness: &mut Witness, words: &[&str]) -> Result<()> {
    let said = witness.holds().map_or_else(|error| format!("{error:#}"), |()| String::new());
    for words in words {
        ensure!(said.lines().any(|line| line.starts_with(words)), "no complaint of {words:?} in:\n{said}");
    }
    Ok(())
}

fn it_names_what_greyhound_would_put_right(world: &World) -> Result<()> {
    let (greyhound, mut witness) = applied(world)?;
    for deeds in [PARAMETERS, LINKS, INSIDE] {
        let (lines, words): (Vec<_>, Vec<_>) = deeds.iter().copied().unzip();
        greyhound.host.ip_batch(&lines.join("\n"))?;
        complains(&mut witness, &words)?;
        greyhound.json(0, "apply")?;
        // Without the mark: the underlay's new MTU stays.
        Witness::new(&greyhound)
            .holds()
            .map_err(|error| error.context(format!("after an apply after {lines:?}")))?;
    }
    Ok(())
}

/// Does all of these deeds, hears each complaint, and undoes all: then there is none.
fn deeds_and_undone(
    deeds: &[(&str, &str, &str)],
    witness: &mut Witness,
    act: impl Fn(&str) -> Result<()>,
) -> Result<()> {
    deeds.iter().try_for_each(|(deed, ..)| act(deed))?;
    complains(witness, &deeds.iter().map(|(_, words, _)| *words).collect::<Vec<_>>())?;
    deeds.iter().rev().try_for_each(|(.., undo)| act(undo))?;
    witness.holds().map_err(|error| error.context("after all was undone"))
}

fn it_names_what_is_too_much_or_given_out_twice_in_the_kernel(world: &World) -> Result<()> {
    let (greyhound, mut witness) = applied(world)?;
    deeds_and_undone(TOO_MUCH, &mut witness, |line| greyhound.host.ip_batch(line))
}

fn it_names_what_is_wrong_in_the_store(world: &World) -> Result<()> {
    let (greyhound, mut witness) = applied(world)?;
    let store = Connection::open(greyhound.state_dir().join("state.db"))?;
    // Or a claim would take its tuples with it.
    store.pragma_update(None, "foreign_keys", false)?;
    deeds_and_undone(STORE, &mut witness, |text| Ok(store.execute_batch(text)?))
}

fn it_asks_nothing_of_excused_and_disabled_tunnels(world: &World) -> Result<()> {
    let (greyhound, mut witness) = applied(world)?;
    greyhound.host.ip("link delete gh-ams")?;
    complains(&mut witness, &["I4: tunnel ams is claimed"])?;
    Witness::new(&greyhound).excuse(&["ams"]).holds()?;
    greyhound.declare(&declaration().replace("name = \"fra\"", "name = \"fra\"\nenable = false"))?;
    let mut witness = Witness::new(&greyhound).excuse(&["ams"]);
    complains(&mut witness, &["I1: not declared: link gh-fra"])?;
    greyhound.apply()?;
    Witness::new(&greyhound).holds()
}
