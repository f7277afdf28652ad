//! The verbs of the inventory: what they say, what they keep, and what they refuse.

use serde_json::Value;

use super::stage::{Place, Said, said};

/// A place whose declaration names an inventory.
fn shared() -> Place {
    let place = Place::new();
    declare(&place, "inventory.db");
    place
}

fn declare(place: &Place, file: &str) {
    let file = place.path("shared").join(file);
    place.declare(&format!("[inventory]\npath = {file:?}\n"));
}

pub fn done(place: &Place, words: &str) -> String {
    let said = place.run(words);
    assert_eq!((said.status, said.err.as_str()), (Some(0), ""), "{words}: {said:?}");
    said.out
}

pub fn json(place: &Place, words: &str) -> Value {
    serde_json::from_str(&done(place, &format!("{words} -j"))).unwrap()
}

pub fn refused(place: &Place, words: &str) -> String {
    let Said { status, out, err } = place.run(words);
    assert_eq!((status, out.as_str()), (Some(1), ""), "{words}: {err}");
    err
}

/// One device with two terminations, and pools for the inside.
pub fn stocked() -> Place {
    let place = shared();
    let device = "device add ams-1 --public-ip 192.0.2.1 --owner acme --location Amsterdam --exchange ams-ix --type edge";
    let told = done(&place, &format!("{device} --prefix 198.51.100.8/29 --status activated"));
    assert_eq!(
        told,
        "Device ams-1 is in the inventory: activated, room for 8 termination(s) in its prefixes.\n"
    );
    done(&place, "interface add ams-1/lo --terminations 2");
    done(&place, "pool add inside --purpose overlay --range 169.254.10.0/30");
    done(&place, "pool add clients --purpose client --range 203.0.113.1-203.0.113.9");
    place
}

#[test]
fn the_calls_of_the_readme_work() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let section = readme.split("## What hosts share\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let calls: Vec<_> = section.lines().filter_map(|line| line.strip_prefix("greyhound ")).collect();
    assert!(calls.len() >= 5, "{calls:?}");
    let place = shared();
    for call in calls {
        done(&place, call);
    }
    assert_eq!(json(&place, "session list")[0]["termination"], "198.51.100.8");
}

/// An edge box, a host, and tunnels without either.
#[test]
fn the_declarations_of_the_readme_are_right() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let after = |heading: &str| readme.split(&format!("\n## {heading}\n")).nth(1).unwrap().to_owned();
    for (heading, count) in [("Connect a host", 2), ("Declared tunnels", 1)] {
        let section = after(heading);
        let section = section.split("\n## ").next().unwrap();
        let declarations: Vec<_> = section.split("```toml\n").skip(1).collect();
        assert_eq!(declarations.len(), count, "{heading}");
        for declaration in declarations {
            let place = Place::new();
            std::fs::write(place.file(), declaration.split("```").next().unwrap()).unwrap();
            done(&place, "check");
        }
    }
}

#[test]
fn a_session_takes_all_that_it_needs_and_gives_it_back() {
    let place = stocked();
    assert_eq!(
        done(&place, "inventory check"),
        "All fits together: 1 device(s), 0 session(s), 2 lease(s).\n"
    );
    let add = "session add web-1/ams --device ams-1 --kind unicast --bound 192.0.2.7";
    let session = json(&place, add);
    assert_eq!(session["termination"], "198.51.100.8");
    assert_eq!((&session["overlay"], &session["client"]), (&"169.254.10.0/31".into(), &"203.0.113.1".into()));
    assert_eq!(json(&place, add), session, "asked again, it is the same");
    let shown = done(&place, "session show web-1/ams");
    assert!(shown.contains("edge 169.254.10.0/31, client 169.254.10.1/31"), "{shown}");
    assert!(done(&place, "session list --device ams-1").contains("web-1/ams"));
    assert_eq!(done(&place, "session list --host other"), "No session.\n");
    assert_eq!(json(&place, "device show ams-1")["sessions"][0]["name"], "ams");

    done(
        &place,
        "session add web-1/two --device ams-1 --kind multicast --bound 192.0.2.7 --publish 239.1.2.3 239.1.2.4",
    );
    let none = refused(&place, "session add web-2/ams --device ams-1 --kind unicast --bound 192.0.2.8");
    assert_eq!(none, "greyhound: device ams-1 has no termination that is free for 192.0.2.8\n");
    let early = refused(&place, "session set web-1/ams --state ready");
    assert!(early.contains("session web-1/ams is requested: its edge is not ready yet"), "{early}");
    done(&place, "session set web-1/ams --state edge-ready");
    assert_eq!(done(&place, "session set web-1/ams --state ready"), "Session web-1/ams is ready.\n");
    done(&place, "session remove web-1/ams");
    assert!(done(&place, "session list").contains("ending"));
    done(&place, "session remove web-1/ams --gone");
    assert!(
        refused(&place, "session show web-1/ams").contains("there is no session web-1/ams in the inventory")
    );
}

#[test]
fn adding_is_idempotent_and_never_changes() {
    let place = shared();
    let add = "device add ams-1 --public-ip 192.0.2.1 --prefix 198.51.100.8/29";
    let first = json(&place, add);
    assert_eq!(json(&place, add), first);
    let other = refused(&place, "device add ams-1 --public-ip 192.0.2.2");
    assert!(other.contains("there is device ams-1 already: change it with set"), "{other}");
    done(&place, "device set ams-1 --max-sessions 5 --sharing per-client --prefix 203.0.113.8/30");
    let device = json(&place, "device set ams-1 --status activated");
    assert_eq!((&device["max_sessions"], &device["sharing"]), (&5.into(), &"per-client".into()));
    let warning = "203.0.113.8-203.0.113.11 has 4 usable address(es): contribute a /29 (8) or more";
    assert_eq!(device["warnings"][0], warning);
    assert!(json(&place, "device set ams-1 --max-sessions none")["max_sessions"].is_null());
    assert!(refused(&place, "device set fra-1 --owner x").contains("there is no device fra-1"));
    done(&place, "device remove ams-1");
    assert_eq!(done(&place, "device list"), "No device is in the inventory.\n");
}

#[test]
fn references_are_checked_both_ways() {
    let place = stocked();
    let dangling = refused(&place, "interface add lon-1/lo --address 10.0.0.1");
    assert!(
        dangling.contains("interface lon-1/lo refers to device lon-1, which is not in the inventory"),
        "{dangling}"
    );
    assert!(refused(&place, "device remove ams-1").contains("cannot be removed: "));
    done(&place, "session add web-1/ams --device ams-1 --kind unicast --bound 192.0.2.7");
    let used = refused(&place, "interface set ams-1/lo --remove-address 198.51.100.8");
    assert!(
        used.contains("termination 198.51.100.8 cannot be removed: session web-1/ams refers to it"),
        "{used}"
    );
    done(&place, "interface set ams-1/lo --remove-address 198.51.100.9 --address 198.51.100.15");
    let again = refused(&place, "interface add ams-1/lo --owner other --tunnel-termination");
    assert!(again.contains("there is interface ams-1/lo already: change it with set"), "{again}");
    done(&place, "interface add ams-1/lo --terminations 2");
    let interfaces = json(&place, "interface list --device ams-1");
    assert_eq!(interfaces[0]["addresses"], serde_json::json!(["198.51.100.8", "198.51.100.15"]));
    assert!(done(&place, "interface show ams-1/lo").contains("tunnel termination  yes"));
}

#[test]
fn pools_and_leases_stand_beside_the_hosts_own() {
    let place = stocked();
    let _daemon = place.daemon(vec![]);
    let pools = done(&place, "pool list");
    assert!(pools.starts_with("POOL       SCOPE"), "{pools}");
    for (name, scope) in [("loopbacks", "host"), ("ams-1", "device ams-1"), ("inside", "general")] {
        let line = pools.lines().find(|line| line.starts_with(name)).unwrap();
        assert!(line.contains(&format!(" {scope} ")), "{line}");
    }
    let explained = done(&place, "pool explain ams-1");
    assert!(explained.contains("ams-1: 6 of 8 address(es) free; next: 198.51.100.10/32"), "{explained}");
    assert!(explained.contains("of the inventory, device ams-1, primary; low water 0"), "{explained}");
    assert!(explained.contains("leased to interface/ams-1/lo since"), "{explained}");
    let leases = json(&place, "lease list");
    let scopes: Vec<_> =
        leases.as_array().unwrap().iter().map(|lease| lease["scope"].as_str().unwrap()).collect();
    assert_eq!(scopes, ["host", "device ams-1", "device ams-1"]);
}

#[test]
fn what_somebody_broke_is_found() {
    let place = stocked();
    done(&place, "session add web-1/ams --device ams-1 --kind unicast --bound 192.0.2.7");
    let file = rusqlite::Connection::open(place.path("shared/inventory.db")).unwrap();
    file.execute("DELETE FROM rows WHERE kind = 'session'", []).unwrap();
    let found = refused(&place, "inventory check");
    let seat = "seat 198.51.100.8 refers to session web-1/ams, which is not there";
    assert!(found.contains("the inventory does not fit together") && found.contains(seat), "{found}");
    file.execute("UPDATE rows SET value = '[]' WHERE kind = 'device'", []).unwrap();
    let unreadable = refused(&place, "device list");
    assert!(unreadable.contains("device ams-1 cannot be read: "), "{unreadable}");
}

#[test]
fn blocks_are_carved_and_reserves_are_opened() {
    let place = stocked();
    done(&place, "pool add block --purpose termination --range 203.0.120.0/21 --carve 24 --tier reserve");
    let closed = refused(&place, "pool carve ams-more --from block --device ams-1");
    assert!(closed.contains("block block is a reserve: device ams-1 may not draw from it"), "{closed}");
    let overlap = refused(&place, "pool add other --purpose termination --range 203.0.120.0/29");
    assert!(overlap.contains("is in block block and was not carved from it"), "{overlap}");
    let holds = refused(&place, "pool add all --purpose client --range 203.0.113.0/24 --carve 28");
    assert!(holds.contains("was not carved from it"), "{holds}");
    done(&place, "pool set block --allow ams-1");
    let carved = json(&place, "pool carve ams-more --from block --device ams-1");
    assert_eq!((&carved["device"], &carved["carved_from"]), (&"ams-1".into(), &"block".into()));
    let by_hand = done(&place, "pool carve spare --from block --allow-reserve");
    assert!(
        by_hand.starts_with("Pool spare is carved: termination, general, 256 address(es) in "),
        "{by_hand}"
    );
    done(&place, "pool remove spare");
}

#[test]
fn what_is_used_elsewhere_is_never_given_out() {
    let place = stocked();
    let file = place.path("used.txt");
    std::fs::write(&file, "# sources of feeds\n203.0.113.1 feed 7\n203.0.113.2/31\tfeed 8\n\n").unwrap();
    let told = done(&place, &format!("inventory import --used {}", file.display()));
    assert_eq!(told, "2 prefix(es) are never given out.\n");
    let leases = json(&place, "lease add host/web-1 --purpose client --count 2");
    assert_eq!(
        (&leases[0]["prefix"], &leases[1]["prefix"]),
        (&"203.0.113.4/32".into(), &"203.0.113.5/32".into())
    );
    let taken = refused(&place, "lease add host/web-2 --purpose client --address 203.0.113.1");
    assert!(taken.contains("203.0.113.1 is foreign: feed 7"), "{taken}");
    let late = done(&place, "lease set 203.0.113.5 --used feed-9");
    assert!(late.contains("! 203.0.113.5/32 is leased to host/web-1: release it there"), "{late}");
    done(&place, "lease remove 203.0.113.1");
    done(&place, "lease remove 203.0.113.4");
    assert!(
        refused(&place, "lease remove 198.51.100.8")
            .contains("is of interface ams-1/lo: it goes when that does")
    );
    std::fs::write(&file, "203.0.113.1\nnonsense\n").unwrap();
    let wrong = refused(&place, &format!("inventory import --used {}", file.display()));
    assert!(
        wrong.contains("used.txt:2: \"nonsense\" is no address and no prefix: nothing was imported"),
        "{wrong}"
    );
}

#[test]
fn a_pool_that_runs_low_says_how_many_it_needs() {
    let place = stocked();
    done(&place, "pool set ams-1 --low-water 4");
    done(&place, "interface set ams-1/lo --terminations 6");
    let _daemon = place.daemon(vec![]);
    let pools = done(&place, "pool list");
    assert!(pools.contains("! pool ams-1 runs low: 3 more are needed\n"), "{pools}");
    let all = refused(&place, "interface set ams-1/lo --terminations 9");
    assert!(all.contains("3 asked (/32), 2 free; add a range to pool ams-1"), "{all}");
    done(&place, "device set ams-1 --prefix 198.51.100.16/29");
    assert!(!done(&place, "pool list").contains("runs low"));
}

#[test]
fn it_is_exported_and_brought_in_once() {
    let place = stocked();
    done(&place, "session add web-1/ams --device ams-1 --kind unicast --bound 192.0.2.7");
    let document = done(&place, "inventory export");
    let file = place.path("document.json");
    std::fs::write(&file, &document).unwrap();
    declare(&place, "second.db");
    let import = format!("inventory import {}", file.display());
    assert!(done(&place, &import).ends_with(" row(s) written.\n"));
    assert_eq!(done(&place, &import), "Nothing to do: all of it is there.\n");
    assert_eq!(done(&place, "inventory export"), document);
    done(&place, "device set ams-1 --owner other");
    let another = refused(&place, &import);
    assert!(another.contains("device ams-1 is in the inventory already, and another"), "{another}");
    done(&place, &format!("{import} --replace"));
    assert_eq!(done(&place, "inventory export"), document);
    let migrated = done(&place, "inventory migrate");
    assert_eq!(migrated, "The rows have the newest form that this greyhound knows, 1.\n");
}

#[test]
fn without_an_inventory_the_verbs_say_what_to_declare() {
    let place = Place::new();
    for words in ["device list", "interface list", "session list", "inventory export", "pool remove x"] {
        let none = refused(&place, words);
        assert!(none.contains("no inventory is declared") && none.contains("[inventory]\npath = "), "{none}");
    }
    place.declare("[inventory]\npath = \"here\"\n");
    assert_eq!(place.run("device list").status, Some(3));
}

#[test]
fn what_is_no_name_is_wrong_usage() {
    let place = shared();
    for (words, why) in [
        ("device show AMS", "use 1 to 16 of a-z"),
        ("interface show lo", "write CODE/NAME, such as ams-1/lo"),
        ("session show ams", "use HOST/NAME"),
        ("device set ams-1 --status up", "write one of pending, activated, draining, suspended"),
        ("device set ams-1 --max-sessions many", "write a number, or none"),
        ("pool add x --purpose overlay --range 10.0.0.1/24", "write 10.0.0.0/24"),
    ] {
        let wrong = said(&mut place.program(words));
        assert_eq!(wrong.status, Some(2), "{wrong:?}");
        assert!(wrong.err.contains(why), "{wrong:?}");
    }
}
