//! The doctor: its list and its page, and daemons of other releases, or that say nothing.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::stage::{Place, Said, greyhound, said};

/// The codes that are found, but for what is this machine's.
fn codes(said: &Said) -> Vec<String> {
    let report: Value = serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{said:?}"));
    let all = report["findings"].as_array().unwrap().iter().map(|finding| finding["code"].as_str().unwrap());
    let of_the_place = |code: &&str| !["gre-missing", "capabilities", "clock-unsynchronised"].contains(code);
    all.filter(of_the_place).map(str::to_owned).collect()
}

fn table() -> Vec<Value> {
    let list = said(&mut greyhound("doctor --list -j"));
    assert_eq!(list.status, Some(0), "{list:?}");
    serde_json::from_str(&list.out).unwrap()
}

/// With `GREYHOUND_BLESS=1` the page's table is written anew.
#[test]
fn the_page_has_every_code_as_the_list_has_it() {
    let cell = |entry: &Value, key: &str| entry[key].as_str().unwrap().replace('|', "\\|");
    let row = |entry: &Value| {
        let dot = if entry["packets"] == true { " ·" } else { "" };
        let cells = ["severity", "meaning", "evidence", "mend"].map(|key| cell(entry, key));
        format!("| `{}`{dot} | {} |\n", cell(entry, "code"), cells.join(" | "))
    };
    let head =
        "| code | severity | what it means | by what it is seen | what mends it |\n|---|---|---|---|---|\n";
    let rows = head.to_owned() + &table().iter().map(row).collect::<String>();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/doctor.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let begin = page.find("| code |").unwrap_or(page.len());
    if std::env::var_os("GREYHOUND_BLESS").is_some_and(|bless| bless == "1") {
        std::fs::write(&path, format!("{}{rows}", &page[..begin])).unwrap();
        return;
    }
    assert_eq!(&page[begin..], rows, "GREYHOUND_BLESS=1 writes it anew");
}

#[test]
fn the_list_is_for_people_too() {
    let list = said(&mut greyhound("doctor --list"));
    for entry in table() {
        let (code, meaning) = (entry["code"].as_str().unwrap(), entry["meaning"].as_str().unwrap());
        let line = list.out.lines().find(|line| line.starts_with(&format!("{code} ")));
        assert!(line.is_some_and(|line| line.ends_with(meaning)), "{code}: {}", list.out);
    }
    let wrong = said(&mut greyhound("doctor --only nonsense"));
    assert_eq!(wrong.status, Some(2), "{wrong:?}");
    assert!(wrong.err.contains("greyhound doctor --list has them all"), "{wrong:?}");
}

#[test]
fn what_is_asked_for_is_examined_and_no_more() {
    let place = Place::new();
    let only = place.run("doctor -j --only release-version --only daemon-absent");
    assert_eq!((only.status, codes(&only)), (Some(0), vec![]), "{only:?}");
    let report: Value = serde_json::from_str(&only.out).unwrap();
    assert_eq!(report["examined"], serde_json::json!(["release-version", "daemon-absent"]));
    assert_eq!(report["unexamined"], serde_json::json!([]));
    assert_eq!(report["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn a_declaration_that_is_wrong_or_absent_is_a_finding_and_no_failure() {
    let place = Place::new();
    place.declare("nonsense = 1\n");
    let wrong = place.run("doctor --quick -j");
    assert_eq!((wrong.status, codes(&wrong)), (Some(7), vec!["declaration".to_owned()]), "{wrong:?}");
    std::fs::remove_file(place.file()).unwrap();
    let absent = place.run("doctor --quick");
    assert_eq!(absent.status, Some(7), "{absent:?}");
    let block =
        format!("ERROR    declaration  {}\n  evidence: there is no such file\n", place.file().display());
    assert!(absent.out.contains(&block), "{absent:?}");
}

/// Answers everybody with the same words.
fn answering(place: &Place, api: u32, body: &'static str) {
    let listener = UnixListener::bind(place.socket()).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let length = body.len();
            let answer =
                format!("HTTP/1.1 200 OK\r\ngreyhound-api: {api}\r\ncontent-length: {length}\r\n\r\n{body}");
            let _ = stream.write_all(answer.as_bytes());
        }
    });
}

#[test]
fn daemons_of_other_releases_are_found() {
    let place = Place::new();
    answering(&place, 2, "{}");
    let other = place.run("doctor -j --only api-version --only release-version");
    assert_eq!((other.status, codes(&other)), (Some(7), vec!["api-version".to_owned()]), "{other:?}");
    assert!(
        other.out.contains("the daemon speaks version 2 of the API, and this program version 1"),
        "{other:?}"
    );

    let place = Place::new();
    answering(&place, 1, "{\"version\":\"0.0.9\",\"api\":1}");
    let other = place.run("doctor -j --only api-version --only release-version");
    assert_eq!((other.status, codes(&other)), (Some(6), vec!["release-version".to_owned()]), "{other:?}");
    let evidence =
        format!("the daemon is greyhound 0.0.9, and this program greyhound {}", env!("CARGO_PKG_VERSION"));
    assert!(other.out.contains(&evidence), "{other:?}");
}

#[test]
fn who_listens_and_says_nothing_is_left_in_time() {
    let place = Place::new();
    let _listener = UnixListener::bind(place.socket()).unwrap();
    let begun = Instant::now();
    let silent = place.run("doctor -j --quick");
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    assert_eq!((silent.status, codes(&silent)), (Some(7), vec!["daemon-stuck".to_owned()]), "{silent:?}");
    assert!(silent.out.contains(&format!("process {}, which listens on ", std::process::id())), "{silent:?}");
}

#[test]
fn a_daemon_that_answers_is_asked_for_the_tunnels() {
    let place = Place::new();
    let _daemon = place.daemon_of(&place.file(), vec![], greyhound::api::dto::TunnelState::Drifted);
    let seen = place.run("doctor -j --quick");
    // The paper daemon has an inventory nowhere, and a tunnel that the kernel has not.
    assert!(codes(&seen).contains(&"tunnel-drifted".to_owned()), "{seen:?}");
    assert!(!codes(&seen).contains(&"daemon-absent".to_owned()), "{seen:?}");
}

/// On a machine that really has no GRE it is found. In the lab one that has it loses it, for the same to be seen.
#[test]
fn a_kernel_without_gre_is_told_by_what_was_tried() {
    let loaded = ["/sys/module/ip_gre", "/sys/class/net/gre0"].iter().any(|path| Path::new(path).exists());
    let mut modprobe = std::process::Command::new("/usr/sbin/modprobe");
    let tried = modprobe.args(["--dry-run", "--verbose", "rtnl-link-gre"]).stdin(Stdio::null()).output();
    let found = tried.as_ref().map(|tried| String::from_utf8_lossy(&tried.stdout).contains("ip_gre.ko"));
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let modules = Path::new("/lib/modules").join(release.trim()).exists();
    let seen = Place::new().run("doctor -j --only gre-missing");
    let report: Value = serde_json::from_str(&seen.out).unwrap();
    if !loaded && !modules {
        assert_eq!(report["unexamined"][0]["what"], "gre-missing", "{seen:?}");
        assert_eq!(seen.status, Some(0));
    } else if loaded || found.as_ref().is_ok_and(|found| *found) {
        assert_eq!(
            (seen.status, &report["examined"]),
            (Some(0), &serde_json::json!(["gre-missing"])),
            "{seen:?}"
        );
    } else if found.is_ok() {
        let evidence = report["findings"][0]["evidence"].as_str().unwrap();
        assert!(evidence.contains("`modprobe --dry-run rtnl-link-gre` says: "), "{evidence}");
        assert_eq!(seen.status, Some(7));
    } else {
        assert_eq!(report["unexamined"][0]["what"], "gre-missing", "{seen:?}");
    }
}
