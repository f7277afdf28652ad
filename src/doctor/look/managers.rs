//! Other programs that manage networks: which run in this network namespace, and their files. Shell.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::super::facts::{ConfigFile, Manager, ManagerKind, Seen};

/// As the kernel names their processes: 15 bytes at most.
const NAMES: [(&str, ManagerKind); 2] =
    [("systemd-network", ManagerKind::Networkd), ("NetworkManager", ManagerKind::NetworkManager)];

/// Earlier ones come before later ones: a file of the same name there is not read (systemd.network(5)).
const NETWORKD: [&str; 4] = ["etc", "run", "usr/local/lib", "usr/lib"];

/// The same (NetworkManager.conf(5)).
const NETWORK_MANAGER: [&str; 3] = ["etc", "run", "usr/lib"];

/// Those that run here, the first process of each.
pub fn running() -> Seen<Vec<Manager>> {
    let here = fs::read_link("/proc/self/ns/net").map_err(|error| format!("/proc/self/ns/net: {error}"))?;
    let processes = fs::read_dir("/proc").map_err(|error| format!("/proc: {error}"))?;
    let mut found: Vec<Manager> = Vec::new();
    for path in processes.flatten().map(|entry| entry.path()) {
        let Some((pid, kind)) = manager(&path) else { continue };
        // Who may not look at where it runs takes it for running here, as it does on nearly every host.
        let elsewhere = fs::read_link(path.join("ns/net")).is_ok_and(|there| there != here);
        if !elsewhere && found.iter().all(|manager| manager.kind != kind) {
            let files = match kind {
                ManagerKind::Networkd => networkd(Path::new("/")),
                ManagerKind::NetworkManager => network_manager(Path::new("/")),
            };
            found.push(Manager { kind, pid, files: files? });
        }
    }
    Ok(found)
}

fn manager(path: &Path) -> Option<(i32, ManagerKind)> {
    let pid = path.file_name()?.to_str()?.parse().ok()?;
    let name = fs::read_to_string(path.join("comm")).ok()?;
    NAMES.iter().find(|(known, _)| *known == name.trim()).map(|(_, kind)| (pid, *kind))
}

/// Each network with its drop-ins, then networkd.conf with its own.
fn networkd(root: &Path) -> Seen<Vec<ConfigFile>> {
    let of = |folder: &str, ending: &str| chosen(root, &NETWORKD, folder, ending);
    let mut files: Vec<PathBuf> = of("systemd/network", "network").into_values().collect();
    for folder in of("systemd/network", "d").into_keys().filter(|name| name.ends_with(".network.d")) {
        files.extend(of(&format!("systemd/network/{folder}"), "conf").into_values());
    }
    let main = NETWORKD.iter().map(|place| root.join(place).join("systemd/networkd.conf"));
    files.extend(main.filter(|path| path.exists()).take(1));
    files.extend(of("systemd/networkd.conf.d", "conf").into_values());
    read(files)
}

/// In the order in which they are read: later ones have more to say.
fn network_manager(root: &Path) -> Seen<Vec<ConfigFile>> {
    let snippets = chosen(root, &NETWORK_MANAGER, "NetworkManager/conf.d", "conf");
    let of = |place: &str| {
        let folder = root.join(place);
        snippets.values().filter(move |path| path.starts_with(&folder)).cloned()
    };
    let one = |path: &str| Some(root.join(path)).filter(|path| path.exists());
    let system = of("usr/lib").chain(of("run"));
    let host = one("etc/NetworkManager/NetworkManager.conf").into_iter().chain(of("etc"));
    // It keeps here what it was told while it ran.
    let own = one("var/lib/NetworkManager/NetworkManager-intern.conf");
    read(system.chain(host).chain(own).collect())
}

/// What has this ending in these folders, by name; of several of one name, that in the first place.
fn chosen(root: &Path, places: &[&str], folder: &str, ending: &str) -> BTreeMap<String, PathBuf> {
    let mut chosen = BTreeMap::new();
    for place in places {
        for entry in fs::read_dir(root.join(place).join(folder)).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|found| found == ending) {
                chosen.entry(entry.file_name().to_string_lossy().into_owned()).or_insert(path);
            }
        }
    }
    chosen
}

/// A link to nowhere is passed over, as they do.
fn read(files: Vec<PathBuf>) -> Seen<Vec<ConfigFile>> {
    let there = files.into_iter().filter(|path| path.exists());
    there.map(|path| Ok(ConfigFile { text: super::machine::read(&path)?, path })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Root(tempfile::TempDir);

    impl Root {
        fn of(files: &[(&str, &str)]) -> Self {
            let root = Self(tempfile::tempdir().unwrap());
            for (path, text) in files {
                let path = root.0.path().join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            root
        }

        fn path(&self) -> &Path {
            self.0.path()
        }
    }

    fn texts(files: Seen<Vec<ConfigFile>>) -> Vec<String> {
        files.unwrap().into_iter().map(|file| file.text).collect()
    }

    #[test]
    fn a_file_of_the_same_name_in_etc_hides_the_packages_one() {
        let root = Root::of(&[
            ("usr/lib/systemd/network/10-a.network", "package"),
            ("etc/systemd/network/10-a.network", "host"),
            ("etc/systemd/network/10-a.link", "no network"),
            ("usr/lib/systemd/networkd.conf.d/b.conf", "drop-in"),
            ("etc/systemd/networkd.conf", "conf"),
        ]);
        assert_eq!(texts(networkd(root.path())), ["host", "conf", "drop-in"]);
    }

    #[test]
    fn a_mask_is_an_empty_file_and_drop_ins_come_from_all_places() {
        let root = Root::of(&[
            ("usr/lib/systemd/network/10-a.network", "package"),
            ("usr/lib/systemd/network/10-a.network.d/b.conf", "of the package"),
            ("etc/systemd/network/10-a.network.d/b.conf", "of the host"),
            ("run/systemd/network/10-a.network.d/a.conf", "of this boot"),
            ("etc/systemd/network/10-a.link.d/c.conf", "of no network"),
        ]);
        assert_eq!(texts(networkd(root.path())), ["package", "of this boot", "of the host"]);
        std::os::unix::fs::symlink("/dev/null", root.path().join("etc/systemd/network/10-a.network"))
            .unwrap();
        assert_eq!(texts(networkd(root.path()))[0], "");
        let nowhere = root.path().join("etc/systemd/network/05-b.network");
        std::os::unix::fs::symlink("/nowhere", nowhere).unwrap();
        assert_eq!(texts(networkd(root.path())).len(), 3);
    }

    #[test]
    fn network_manager_reads_the_hosts_own_behind_the_systems() {
        let root = Root::of(&[
            ("etc/NetworkManager/conf.d/00-a.conf", "4 host"),
            ("etc/NetworkManager/NetworkManager.conf", "3 main"),
            ("run/NetworkManager/conf.d/99-b.conf", "2 boot"),
            ("usr/lib/NetworkManager/conf.d/99-c.conf", "1 package"),
            ("usr/lib/NetworkManager/conf.d/00-a.conf", "hidden"),
            ("usr/local/lib/NetworkManager/conf.d/d.conf", "not read"),
            ("var/lib/NetworkManager/NetworkManager-intern.conf", "5 its own"),
        ]);
        assert_eq!(
            texts(network_manager(root.path())),
            ["1 package", "2 boot", "3 main", "4 host", "5 its own"]
        );
    }

    #[test]
    fn this_process_manages_no_network() {
        assert_eq!(manager(Path::new("/proc/self")), None);
        assert!(running().is_ok());
    }
}
