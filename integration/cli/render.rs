//! `greyhound render`: what it prints of a device, and what it refuses.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::inventory::{done, json, refused, stocked};
use super::stage::{Place, said};

/// One session with one of the two terminations.
fn connected() -> Place {
    let place = stocked();
    done(&place, "session add web-1/ams --device ams-1 --kind unicast --bound 192.0.2.7");
    place
}

#[test]
fn each_format_is_text_and_json() {
    let place = connected();
    for (format, first, line) in [
        ("iproute2", "#!/bin/sh\n", "dev gh-sa9fe0a00 table 4700 proto 147 scope link\n"),
        ("eos", "! Rendered by greyhound for device ams-1: 2 ", "   tunnel source 198.51.100.8\n"),
    ] {
        let words = format!("render --device ams-1 --format {format}");
        let text = done(&place, &words);
        assert!(text.starts_with(first) && text.contains(line), "{text}");
        let json = json(&place, &words);
        assert_eq!((&json["device"], &json["format"]), (&"ams-1".into(), &format.into()));
        assert_eq!((&json["text"], &json["left_out"]), (&text.into(), &serde_json::json!({})));
    }
}

#[test]
fn a_device_without_sessions_has_its_terminations_only() {
    let place = stocked();
    let script = done(&place, "render --device ams-1 --format iproute2");
    assert!(script.contains("2 termination(s), 0 tunnel(s)") && !script.contains("ip link add"), "{script}");
    assert_eq!(script.matches("ip address add").count(), 2, "{script}");
    assert!(!done(&place, "render --device ams-1 --format eos").contains("interface Tunnel"));
}

#[test]
fn what_it_does_not_know_is_an_error() {
    let place = connected();
    let unknown = refused(&place, "render --device fra-1 --format eos");
    assert!(unknown.contains("there is no device fra-1 in the inventory"), "{unknown}");
    for (words, why) in [
        ("render --device ams-1 --format ios", "write one of iproute2, eos"),
        ("render --device AMS --format eos", "use 1 to 16 of a-z"),
        ("render --device ams-1", "--format <FORMAT>"),
    ] {
        let wrong = said(&mut place.program(words));
        assert_eq!(wrong.status, Some(2), "{wrong:?}");
        assert!(wrong.err.contains(why), "{wrong:?}");
    }
    let none = refused(&Place::new(), "render --device ams-1 --format eos");
    assert!(none.contains("no inventory is declared"), "{none}");
}

/// Under an `ip` that tells what it is asked, one of before and one of after 6.3.
#[test]
fn addresses_get_their_protocol_where_iproute2_can_say_it() {
    let place = connected();
    let script = place.path("script");
    std::fs::write(&script, done(&place, "render --device ams-1 --format iproute2")).unwrap();
    for (help, proto) in [("[ proto ADDRPROTO ]", " proto 147"), ("[ metric METRIC ]", "")] {
        let ip = place.path("ip");
        let text =
            format!("#!/bin/sh\n[ \"$*\" = 'address help' ] && echo '{help}' >&2 && exit 255\necho \"$*\"\n");
        std::fs::write(&ip, text).unwrap();
        std::fs::set_permissions(&ip, PermissionsExt::from_mode(0o755)).unwrap();
        let path = format!("{}:{}", ip.parent().unwrap().display(), std::env::var("PATH").unwrap());
        let output = Command::new("sh").arg(&script).env("PATH", path).output().unwrap();
        let asked = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{asked}");
        let added: Vec<_> = asked.lines().filter(|line| line.starts_with("address add")).collect();
        assert_eq!(added.len(), 3, "{asked}");
        assert_eq!(added[0], format!("address add 198.51.100.8/32 dev lo label lo:gh scope global{proto}"));
        assert!(
            added.iter().all(|line| line.ends_with(&format!(" scope link{proto}")) || line.contains("lo:gh"))
        );
    }
}
