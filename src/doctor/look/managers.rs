//! Other programs that manage networks: which run in this network namespace, and their files. Shell.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::super::facts::{ConfigFile, Manager, ManagerKind, Seen};

/// As the kernel names their processes: 15 bytes at most.
const NAMES: [(&str, ManagerKind); 2] =
    [("systemd-network", ManagerKind::Networkd), ("NetworkManager", ManagerKind::NetworkManager)];

/// Earlier ones come before later ones: a file of the same name there is not read (systemd.network(5)).
const PLACES: [&str; 4] = ["/etc", "/run", "/usr/local/lib", "/usr/lib"];

/// Folders under each of the places, the ending of what is read there, and files beside them.
type Files = (&'static [(&'static str, &'static str)], &'static [&'static str]);

const NETWORKD: Files =
    (&[("systemd/network", "network"), ("systemd/networkd.conf.d", "conf")], &["systemd/networkd.conf"]);
const NETWORK_MANAGER: Files =
    (&[("NetworkManager/conf.d", "conf")], &["NetworkManager/NetworkManager.conf"]);

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
                ManagerKind::Networkd => files(Path::new("/"), NETWORKD),
                ManagerKind::NetworkManager => files(Path::new("/"), NETWORK_MANAGER),
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

/// Of several files of one name, the one in the first place.
fn files(root: &Path, (folders, beside): Files) -> Seen<Vec<ConfigFile>> {
    let mut chosen: BTreeMap<PathBuf, PathBuf> = BTreeMap::new();
    for place in PLACES.map(|place| root.join(place.trim_start_matches('/'))) {
        for (folder, ending) in folders {
            for entry in fs::read_dir(place.join(folder)).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.extension().is_some_and(|found| found == *ending) {
                    let name = Path::new(folder).join(entry.file_name());
                    chosen.entry(name).or_insert(path);
                }
            }
        }
        for name in beside.iter().map(Path::new).filter(|name| place.join(name).exists()) {
            chosen.entry(name.to_owned()).or_insert(place.join(name));
        }
    }
    let read = |path: PathBuf| Ok(ConfigFile { text: super::machine::read(&path)?, path });
    chosen.into_values().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_the_same_name_in_etc_hides_the_packages_one() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("usr/lib/systemd/network/10-a.network", "package");
        write("etc/systemd/network/10-a.network", "host");
        write("etc/systemd/network/10-a.link", "no network");
        write("usr/lib/systemd/networkd.conf.d/b.conf", "drop-in");
        write("etc/systemd/networkd.conf", "conf");
        let files = files(root.path(), NETWORKD).unwrap();
        let texts: Vec<_> = files.iter().map(|file| file.text.as_str()).collect();
        assert_eq!(texts, ["host", "conf", "drop-in"]);
    }

    #[test]
    fn this_process_manages_no_network() {
        assert_eq!(manager(Path::new("/proc/self")), None);
        assert!(running().is_ok());
    }
}
