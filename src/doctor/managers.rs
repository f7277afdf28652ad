//! Other programs that manage this host's network: do they leave alone what is greyhound's? Pure.
//!
//! What counts is what their files say together, not which of them are there.

use super::code::Code;
use super::facts::{Facts, Manager, ManagerKind};
use super::ini::{Ini, is_no, is_yes, matches};
use super::report::Report;
use crate::model::{LOOPBACK, marks};

/// What is wrong, and the command that mends it.
type Lack = (String, &'static str);

const LINKS: &str = "printf '[Match]\\nName=gh-*\\n[Link]\\nUnmanaged=yes\\n' \
                     >/etc/systemd/network/00-greyhound.network; networkctl reload";
const FOREIGN: &str = "mkdir -p /etc/systemd/networkd.conf.d; \
                       printf '[Network]\\nManageForeignRoutes=no\\nManageForeignRoutingPolicyRules=no\\n' \
                       >/etc/systemd/networkd.conf.d/greyhound.conf; systemctl restart systemd-networkd";
const LO: &str = "write KeepConfiguration=static into [Network] of that file; networkctl reload";
const NM: &str = "printf '[keyfile]\\nunmanaged-devices+=interface-name:gh-*\\n' \
                  >/etc/NetworkManager/conf.d/00-greyhound.conf; nmcli general reload";

pub fn judge(facts: &Facts, report: &mut Report) {
    let Some(managers) = report.see(&[Code::ForeignManager], "", &facts.managers) else { return };
    for Manager { kind, pid, files } in managers {
        let files: Vec<Ini> = files.iter().map(Ini::read).collect();
        let (name, lacks) = match kind {
            ManagerKind::Networkd => ("systemd-networkd", networkd(&files)),
            ManagerKind::NetworkManager => ("NetworkManager", network_manager(&files)),
        };
        for (what, mend) in lacks {
            report.find(Code::ForeignManager, name, format!("it runs as process {pid}; {what}"), mend);
        }
    }
}

fn networkd(files: &[Ini]) -> Vec<Lack> {
    let links = format!("{}x", marks::LINK_PREFIX);
    let mut lacks = Vec::new();
    if let Some(file) = network_of(files, &links, "ipgre", "gre").filter(|file| !unmanaged(file)) {
        lacks.push((format!("{} is for links named gh-*, too, and it takes them over", file.name()), LINKS));
    }
    let keeps = |key: &str| set_in_conf(files, key).is_some_and(is_no);
    let managed: Vec<_> = ["ManageForeignRoutes", "ManageForeignRoutingPolicyRules"]
        .into_iter()
        .filter(|key| !keeps(key))
        .collect();
    if !managed.is_empty() {
        let what = format!(
            "{} is not set to no: it deletes routes and rules that it did not make",
            managed.join(", ")
        );
        lacks.push((what, FOREIGN));
    }
    if let Some(file) =
        network_of(files, LOOPBACK, "loopback", "").filter(|file| !unmanaged(file) && !kept(file))
    {
        lacks.push((format!("{} is for {LOOPBACK}, too, and it deletes addresses there", file.name()), LO));
    }
    lacks
}

/// The file that systemd-networkd takes for a link: the first by name that matches (systemd.network(5)).
fn network_of<'a>(files: &'a [Ini<'a>], name: &str, kind_of_link: &str, kind: &str) -> Option<&'a Ini<'a>> {
    let mut networks: Vec<&Ini> = files.iter().filter(|file| file.name().ends_with(".network")).collect();
    networks.sort_by_key(|file| file.base());
    networks.into_iter().find(|file| {
        let asked: Vec<_> = file.section("Match").collect();
        asked.iter().all(|(key, patterns)| match *key {
            "Name" => matches(patterns, name),
            "Type" => matches(patterns, kind_of_link),
            "Kind" => matches(patterns, kind),
            // Of drivers, addresses and the like greyhound's links have none that anybody would ask for.
            _ => false,
        })
    })
}

fn unmanaged(file: &Ini) -> bool {
    file.section("Link").any(|(key, value)| key == "Unmanaged" && is_yes(value))
}

fn kept(file: &Ini) -> bool {
    file.section("Network")
        .any(|(key, value)| key == "KeepConfiguration" && (is_yes(value) || value == "static"))
}

/// The last word on a key: the drop-ins come behind networkd.conf, by name.
fn set_in_conf<'a>(files: &[Ini<'a>], key: &str) -> Option<&'a str> {
    let mut files: Vec<&Ini> = files.iter().filter(|file| file.name().ends_with(".conf")).collect();
    files.sort_by_key(|file| (file.base() != "networkd.conf", file.base()));
    let all = files.into_iter().flat_map(|file| file.section("Network"));
    all.filter(|(found, _)| *found == key).map(|(_, value)| value).last()
}

fn network_manager(files: &[Ini]) -> Vec<Lack> {
    let spared = files.iter().any(|file| {
        file.sections().into_iter().any(|section| {
            let named = |wanted: &str| {
                let mut found = file.section(section).filter(|(key, _)| key.trim_end_matches('+') == wanted);
                found.any(|(_, specs)| specs.split([';', ',']).any(spares))
            };
            let managed_not = file.section(section).any(|(key, value)| key == "managed" && is_no(value));
            named("unmanaged-devices") || (named("match-device") && managed_not)
        })
    });
    if spared {
        return Vec::new();
    }
    vec![("no unmanaged-devices of its configuration has interface-name:gh-*".to_owned(), NM)]
}

/// A specification of devices that has all links named gh-* (NetworkManager.conf(5)).
fn spares(spec: &str) -> bool {
    let name = spec.trim().strip_prefix("interface-name:").map(|name| name.trim_start_matches(['=', '~']));
    spec.trim() == "*" || name.is_some_and(|name| name == "*" || name == "gh-*" || name == "gh*")
}

#[cfg(test)]
mod tests {
    use super::super::facts::ConfigFile;
    use super::super::tests::{codes, healthy};
    use super::*;

    fn running(kind: ManagerKind, files: &[(&str, &str)]) -> Facts {
        let file = |(path, text): &(&str, &str)| ConfigFile { path: path.into(), text: (*text).to_owned() };
        let manager = Manager { kind, pid: 7, files: files.iter().map(file).collect() };
        Facts { managers: Ok(vec![manager]), ..healthy() }
    }

    fn evidence(facts: &Facts) -> Vec<String> {
        super::super::judge(facts).findings.into_iter().map(|finding| finding.evidence).collect()
    }

    const CONF: (&str, &str) = (
        "/usr/lib/systemd/networkd.conf.d/greyhound.conf",
        "[Network]\nManageForeignRoutes=no\nManageForeignRoutingPolicyRules=no\n",
    );
    const OURS: (&str, &str) =
        ("/usr/lib/systemd/network/10-greyhound.network", "[Match]\nName=gh-*\n\n[Link]\nUnmanaged=yes\n");

    #[test]
    fn networkd_that_was_told_is_no_finding() {
        assert!(codes(&running(ManagerKind::Networkd, &[CONF, OURS])).is_empty());
        assert!(
            codes(&running(ManagerKind::Networkd, &[CONF])).is_empty(),
            "it takes nothing that it has no file for"
        );
    }

    #[test]
    fn networkd_deletes_foreign_routes_unless_it_was_told() {
        let found = evidence(&running(ManagerKind::Networkd, &[]));
        assert_eq!(found.len(), 1);
        assert!(
            found[0].contains("ManageForeignRoutes, ManageForeignRoutingPolicyRules is not set to no"),
            "{found:?}"
        );
        let undone = ("/etc/systemd/networkd.conf.d/z.conf", "[Network]\nManageForeignRoutes=yes\n");
        let found = evidence(&running(ManagerKind::Networkd, &[CONF, undone]));
        assert!(found[0].contains("; ManageForeignRoutes is not"), "{found:?}");
    }

    #[test]
    fn the_first_file_that_matches_counts() {
        let all = ("/etc/systemd/network/05-all.network", "# of all\n[Match]\nName=*\n[Network]\nDHCP=yes\n");
        let found = evidence(&running(ManagerKind::Networkd, &[CONF, OURS, all]));
        assert_eq!(found.len(), 2, "links and lo: {found:?}");
        assert!(found[0].contains("05-all.network is for links named gh-*, too"), "{found:?}");
        let late = ("/etc/systemd/network/50-all.network", "[Match]\nName=e* gh-*\n[Network]\nDHCP=yes\n");
        assert!(evidence(&running(ManagerKind::Networkd, &[CONF, OURS, late])).is_empty());
        let ether = ("/etc/systemd/network/05-ether.network", "[Match]\nType=ether\n[Network]\nDHCP=yes\n");
        assert!(evidence(&running(ManagerKind::Networkd, &[CONF, ether])).is_empty());
        let lo =
            ("/etc/systemd/network/05-lo.network", "[Match]\nName=lo\n[Network]\nKeepConfiguration=static\n");
        assert!(evidence(&running(ManagerKind::Networkd, &[CONF, lo])).is_empty());
    }

    #[test]
    fn network_manager_is_told_in_either_way() {
        for (told, text) in [
            (false, "[main]\nplugins=keyfile\n"),
            (false, "[keyfile]\nunmanaged-devices=interface-name:docker*\n"),
            (true, "[keyfile]\nunmanaged-devices=interface-name:docker*;interface-name:gh-*\n"),
            (true, "[keyfile]\nunmanaged-devices+=interface-name:gh-*\n"),
            (true, "[device-greyhound]\nmatch-device=interface-name:gh-*\nmanaged=0\n"),
            (false, "[device-greyhound]\nmatch-device=interface-name:gh-*\nmanaged=1\n"),
        ] {
            let files = [("/etc/NetworkManager/conf.d/a.conf", text)];
            assert_eq!(codes(&running(ManagerKind::NetworkManager, &files)).is_empty(), told, "{text}");
        }
    }
}
