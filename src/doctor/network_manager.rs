//! NetworkManager: do its files leave greyhound's links and the loopback link alone? Pure.
//!
//! The files come in the order in which it reads them (NetworkManager.conf(5)).

use super::ini::{Ini, glob, is_no, is_yes};
use super::managers::{Lack, a_link_of_ours};
use crate::model::LOOPBACK;

/// What the package ships, where it comes behind all others.
const MEND: &str = "printf '[device-greyhound]\\nmatch-device=interface-name:gh-*;interface-name:lo\\nmanaged=0\\n' \
                    >/etc/NetworkManager/conf.d/99-greyhound.conf; nmcli general reload";

/// A link, and what sort of device it calls it.
struct Device {
    name: String,
    sort: &'static str,
}

/// What its files let it take away.
pub fn lacks(files: &[Ini]) -> Vec<Lack> {
    let ours = Device { name: a_link_of_ours(), sort: "iptunnel" };
    let loopback = Device { name: LOOPBACK.to_owned(), sort: "loopback" };
    let open: Vec<_> = [(ours, "gh-*"), (loopback, LOOPBACK)]
        .into_iter()
        .filter(|(device, _)| !spared(files, device))
        .map(|(_, shown)| format!("interface-name:{shown}"))
        .collect();
    if open.is_empty() {
        return Vec::new();
    }
    let what = format!(
        "neither unmanaged-devices nor a [device] section with managed=0 has {}, so it takes \
         them over",
        open.join(" and ")
    );
    vec![Lack { what, mend: MEND.to_owned() }]
}

/// Either is enough: what unmanaged-devices has cannot be managed by any section.
fn spared(files: &[Ini], device: &Device) -> bool {
    lists(&unmanaged(files), device) || !managed(files, device)
}

/// `unmanaged-devices` as the files set it one after the other: a later `=` replaces, `+=` adds, `-=` takes away.
fn unmanaged<'a>(files: &[Ini<'a>]) -> Vec<&'a str> {
    let mut all: Vec<&str> = Vec::new();
    for (key, value) in files.iter().flat_map(|file| file.section("keyfile")) {
        let these = specs(value);
        match key {
            "unmanaged-devices" => all = these,
            "unmanaged-devices+" => all.extend(these),
            "unmanaged-devices-" => all.retain(|spec| !these.contains(spec)),
            _ => {}
        }
    }
    all
}

/// The first section that is for the device and says so: those of later files come first, in a file from the top, and
/// the plain `[device]` comes last.
fn managed(files: &[Ini], device: &Device) -> bool {
    let all = files.iter().rev().flat_map(|file| file.sections().into_iter().map(move |name| (file, name)));
    let devices: Vec<_> = all.filter(|(_, name)| name.starts_with("device")).collect();
    let (plain, named): (Vec<_>, Vec<_>) = devices.into_iter().partition(|(_, name)| *name == "device");
    for (file, section) in named.into_iter().chain(plain) {
        let asked = file.last(section, "match-device");
        if asked.is_some_and(|asked| !lists(&specs(asked), device)) {
            continue;
        }
        if let Some(value) = file.last(section, "managed") {
            return !is_no(value);
        }
        if file.last(section, "stop-match").is_some_and(is_yes) {
            return true;
        }
    }
    true
}

fn specs(value: &str) -> Vec<&str> {
    value.split([';', ',']).map(str::trim).filter(|spec| !spec.is_empty()).collect()
}

/// Does a list of devices have this one? Exceptions come before all else. ("Device List Format" of the page.)
fn lists(specs: &[&str], device: &Device) -> bool {
    let mut excepted = specs.iter().filter_map(|spec| spec.strip_prefix("except:"));
    !excepted.any(|spec| is(spec, device)) && specs.iter().any(|spec| is(spec, device))
}

fn is(spec: &str, Device { name, sort }: &Device) -> bool {
    if let Some(pattern) = spec.strip_prefix("interface-name:") {
        return match pattern.strip_prefix('=') {
            Some(exact) => exact == name,
            None => glob(pattern.strip_prefix('~').unwrap_or(pattern), name),
        };
    }
    spec == "*" || spec == name || spec.strip_prefix("type:") == Some(*sort)
}

#[cfg(test)]
mod tests {
    use super::super::facts::ManagerKind::NetworkManager;
    use super::super::judge;
    use super::super::managers::tests::{evidence, running};
    use super::super::tests::codes;

    /// The files are read in this order.
    fn told(texts: &[&str]) -> bool {
        let paths = ["/usr/lib/NetworkManager/conf.d/a.conf", "/etc/NetworkManager/conf.d/b.conf"];
        let files: Vec<_> = paths.into_iter().zip(texts.iter().copied()).collect();
        codes(&running(NetworkManager, &files)).is_empty()
    }

    const SHIPPED: &str = include_str!("../../systemd/greyhound.NetworkManager");

    #[test]
    fn it_is_told_in_either_way_of_our_links_and_of_lo() {
        assert!(told(&[SHIPPED]));
        for (expected, text) in [
            (false, "[main]\nplugins=keyfile\n"),
            (false, "[keyfile]\nunmanaged-devices=interface-name:docker*\n"),
            (false, "[keyfile]\nunmanaged-devices=interface-name:gh-*\n"),
            (
                true,
                "[keyfile]\nunmanaged-devices=interface-name:docker*;interface-name:gh-*,interface-name:lo\n",
            ),
            (true, "[keyfile]\nunmanaged-devices=*\n"),
            (true, "[keyfile]\nunmanaged-devices=type:iptunnel;type:loopback\n"),
            (false, "[keyfile]\nunmanaged-devices=*,except:interface-name:gh-*\n"),
            (false, "[keyfile]\nunmanaged-devices=interface-name:=gh-*;lo\n"),
            (false, "[device-greyhound]\nmatch-device=interface-name:gh-*\nmanaged=0\n"),
            (false, "[device-greyhound]\nmatch-device=interface-name:gh-*;lo\nmanaged=1\n"),
            (true, "[device]\nmanaged=0\n"),
        ] {
            assert_eq!(told(&[text]), expected, "{text}");
        }
        let found =
            evidence(&running(NetworkManager, &[("/etc/a.conf", "[device]\nmanaged=0\nmatch-device=lo\n")]));
        assert!(found[0].contains("has interface-name:gh-*, so it takes"), "{found:?}");
    }

    #[test]
    fn a_later_file_replaces_or_adds_and_its_sections_come_first() {
        let both = "[keyfile]\nunmanaged-devices=interface-name:gh-*;lo\n";
        assert!(!told(&[both, "[keyfile]\nunmanaged-devices=interface-name:docker*\n"]));
        assert!(told(&[both, "[keyfile]\nunmanaged-devices+=interface-name:docker*\n"]));
        assert!(!told(&[both, "[keyfile]\nunmanaged-devices-=lo\n"]));
        assert!(!told(&[SHIPPED, "[device-mine]\nmatch-device=*\nmanaged=1\n"]));
        assert!(!told(&[SHIPPED, "[device-mine]\nmatch-device=interface-name:lo\nstop-match=yes\n"]));
        assert!(told(&[SHIPPED, "[device]\nmanaged=1\n"]), "the plain one comes last");
        assert!(told(&["[device-mine]\nmatch-device=*\nmanaged=1\n", SHIPPED]));
    }

    #[test]
    fn what_is_printed_is_what_is_shipped() {
        let report = judge(&running(NetworkManager, &[]));
        let written = report.findings[0].mend.split('\'').nth(1).unwrap().replace("\\n", "\n");
        let shipped: String =
            SHIPPED.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect();
        assert_eq!(written, shipped);
        assert!(report.findings[0].mend.contains(">/etc/NetworkManager/conf.d/99-greyhound.conf; "));
    }
}
