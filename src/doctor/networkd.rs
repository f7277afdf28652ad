//! systemd-networkd: what its files say of greyhound's links, routes, rules and addresses. Pure.

use std::collections::BTreeSet;

use super::ini::{Ini, is_no, is_yes};
use super::managers::{Lack, a_link_of_ours};
use crate::model::LOOPBACK;

const LINKS: &str = "printf '[Match]\\nName=gh-*\\n[Link]\\nUnmanaged=yes\\n' \
                     >/etc/systemd/network/00-greyhound.network; networkctl reload";
const FOREIGN: &str = "mkdir -p /etc/systemd/networkd.conf.d; \
                       printf '[Network]\\nManageForeignRoutes=no\\nManageForeignRoutingPolicyRules=no\\n' \
                       >/etc/systemd/networkd.conf.d/greyhound.conf; systemctl restart systemd-networkd";

/// What its files let it take away.
pub fn lacks(files: &[Ini]) -> Vec<Lack> {
    let mut lacks = Vec::new();
    let networks = networks(files);
    if let Some(file) =
        network_of(&networks, &a_link_of_ours(), "ipgre", "gre").filter(|file| !unmanaged(file))
    {
        let what = format!("{} is for links named gh-*, too, and it takes them over", file.name());
        lacks.push(Lack { what, mend: LINKS.to_owned() });
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
        lacks.push(Lack { what, mend: FOREIGN.to_owned() });
    }
    if let Some(file) =
        network_of(&networks, LOOPBACK, "loopback", "").filter(|file| !unmanaged(file) && !kept(file))
    {
        let what = format!("{} is for {LOOPBACK}, too, and it deletes addresses there", file.name());
        lacks.push(Lack { what, mend: keep(file) });
    }
    lacks
}

/// A drop-in is merged into the file, whoever that is of.
fn keep(file: &Ini) -> String {
    let folder = format!("/etc/systemd/network/{}.d", file.base());
    format!(
        "mkdir -p {folder}; printf '[Network]\\nKeepConfiguration=static\\n' >{folder}/greyhound.conf; \
         networkctl reload"
    )
}

/// Its .network files by name, with their drop-ins merged. An empty one masks what has its name elsewhere.
fn networks<'a>(files: &[Ini<'a>]) -> Vec<Ini<'a>> {
    let network = |file: &&Ini| file.name().ends_with(".network") && !file.is_empty();
    let mut networks: Vec<&Ini> = files.iter().filter(network).collect();
    networks.sort_by_key(|file| file.base());
    let merged = |network: &Ini<'a>| {
        let folder = format!("{}.d", network.base());
        let mut dropins: Vec<&Ini> = files.iter().filter(|file| file.folder() == folder).collect();
        dropins.sort_by_key(|file| file.base());
        network.with(dropins)
    };
    networks.into_iter().map(merged).collect()
}

/// The file that it takes for a link: the first by name that matches (systemd.network(5)). One that asks for nothing
/// is ignored (`network_verify`, src/network/networkd-network.c).
fn network_of<'a, 'n>(
    networks: &'n [Ini<'a>],
    name: &str,
    kind_of_link: &str,
    kind: &str,
) -> Option<&'n Ini<'a>> {
    networks.iter().find(|file| {
        let asks = |key: &&str| !file.patterns("Match", key).is_empty();
        let asked: BTreeSet<&str> = file.section("Match").map(|(key, _)| key).filter(asks).collect();
        let has = |key: &str, value: &str| file.patterns("Match", key).have(value);
        !asked.is_empty()
            && asked.iter().all(|key| match *key {
                "Name" => has(key, name),
                "Type" => has(key, kind_of_link),
                "Kind" => has(key, kind),
                // Of drivers, addresses and the like greyhound's links have none that anybody would ask for.
                _ => false,
            })
    })
}

fn unmanaged(file: &Ini) -> bool {
    file.last("Link", "Unmanaged").is_some_and(is_yes)
}

fn kept(file: &Ini) -> bool {
    file.last("Network", "KeepConfiguration").is_some_and(|value| is_yes(value) || value == "static")
}

/// The last word on a key: the drop-ins come behind networkd.conf, by name.
fn set_in_conf<'a>(files: &[Ini<'a>], key: &str) -> Option<&'a str> {
    let main = |file: &Ini| file.base() == "networkd.conf";
    let mut files: Vec<&Ini> =
        files.iter().filter(|file| main(file) || file.folder() == "networkd.conf.d").collect();
    files.sort_by_key(|file| (!main(file), file.base()));
    files.into_iter().filter_map(|file| file.last("Network", key)).next_back()
}

#[cfg(test)]
mod tests {
    use super::super::facts::ManagerKind::Networkd;
    use super::super::judge;
    use super::super::managers::tests::{evidence, running};
    use super::super::tests::codes;

    const CONF: (&str, &str) = (
        "/usr/lib/systemd/networkd.conf.d/greyhound.conf",
        "[Network]\nManageForeignRoutes=no\nManageForeignRoutingPolicyRules=no\n",
    );
    const OURS: (&str, &str) =
        ("/usr/lib/systemd/network/10-greyhound.network", "[Match]\nName=gh-*\n\n[Link]\nUnmanaged=yes\n");
    const ALL: (&str, &str) =
        ("/etc/systemd/network/05-all.network", "# of all\n[Match]\nName=*\n[Network]\nDHCP=yes\n");

    #[test]
    fn networkd_that_was_told_is_no_finding() {
        assert!(codes(&running(Networkd, &[CONF, OURS])).is_empty());
        assert!(codes(&running(Networkd, &[CONF])).is_empty(), "it takes nothing that it has no file for");
    }

    #[test]
    fn networkd_deletes_foreign_routes_unless_it_was_told() {
        let found = evidence(&running(Networkd, &[]));
        assert_eq!(found.len(), 1);
        assert!(
            found[0].contains("ManageForeignRoutes, ManageForeignRoutingPolicyRules is not set to no"),
            "{found:?}"
        );
        let undone = ("/etc/systemd/networkd.conf.d/z.conf", "[Network]\nManageForeignRoutes=yes\n");
        let found = evidence(&running(Networkd, &[CONF, undone]));
        assert!(found[0].contains("; ManageForeignRoutes is not"), "{found:?}");
    }

    #[test]
    fn the_first_file_that_matches_counts() {
        let found = evidence(&running(Networkd, &[CONF, OURS, ALL]));
        assert_eq!(found.len(), 2, "links and lo: {found:?}");
        assert!(found[0].contains("05-all.network is for links named gh-*, too"), "{found:?}");
        let late = ("/etc/systemd/network/50-all.network", "[Match]\nName=e* gh-*\n[Network]\nDHCP=yes\n");
        assert!(evidence(&running(Networkd, &[CONF, OURS, late])).is_empty());
        let ether = ("/etc/systemd/network/05-ether.network", "[Match]\nType=ether\n[Network]\nDHCP=yes\n");
        assert!(evidence(&running(Networkd, &[CONF, ether])).is_empty());
        let lo =
            ("/etc/systemd/network/05-lo.network", "[Match]\nName=lo\n[Network]\nKeepConfiguration=static\n");
        assert!(evidence(&running(Networkd, &[CONF, lo])).is_empty());
    }

    #[test]
    fn a_file_that_is_empty_or_asks_for_nothing_has_no_link() {
        for text in ["", "# nothing\n", "[Network]\nDHCP=yes\n", "[Match]\nName=\n[Network]\nDHCP=yes\n"] {
            let file = ("/etc/systemd/network/05-all.network", text);
            assert!(evidence(&running(Networkd, &[CONF, file])).is_empty(), "{text:?}");
        }
        let dropin = ("/etc/systemd/network/05-all.network.d/a.conf", "[Match]\nName=*\n");
        let masked = ("/etc/systemd/network/05-all.network", "");
        assert!(evidence(&running(Networkd, &[CONF, masked, dropin])).is_empty(), "it is masked");
    }

    #[test]
    fn drop_ins_of_a_file_are_part_of_it() {
        let dropin = |text| ("/etc/systemd/network/05-all.network.d/greyhound.conf", text);
        let kept = dropin("[Network]\nKeepConfiguration=static\n");
        let found = evidence(&running(Networkd, &[CONF, OURS, ALL, kept]));
        assert!(found.len() == 1 && found[0].contains("gh-*"), "{found:?}");
        let narrowed = dropin("[Match]\nName=\nName=eth0\n");
        assert!(evidence(&running(Networkd, &[CONF, ALL, narrowed])).is_empty());
        let but_ours = dropin("[Match]\nName=!gh-* lo\n");
        assert!(evidence(&running(Networkd, &[CONF, ALL, but_ours])).is_empty());
        let other = ("/etc/systemd/network/06-all.network.d/greyhound.conf", "[Match]\nName=\n");
        assert_eq!(evidence(&running(Networkd, &[CONF, ALL, other])).len(), 2, "of another file");
        let conf = ("/etc/systemd/network/05-all.network.d/z.conf", "[Network]\nManageForeignRoutes=yes\n");
        assert!(evidence(&running(Networkd, &[CONF, conf])).is_empty(), "it is none of networkd.conf");
    }

    #[test]
    fn what_keeps_the_addresses_of_lo_is_a_drop_in_of_that_file() {
        let report = judge(&running(Networkd, &[CONF, OURS, ALL]));
        let cure = &report.findings[1].mend;
        let file = "/etc/systemd/network/05-all.network.d/greyhound.conf";
        assert!(
            cure.contains(&format!("printf '[Network]\\nKeepConfiguration=static\\n' >{file}; ")),
            "{cure}"
        );
    }
}
