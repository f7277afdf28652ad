//! The kernel, capabilities, settings and the clock, as /proc, modprobe and adjtimex say. Shell.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use super::super::facts::{Asker, Capabilities, Clock, Gre, Seen};
use crate::model::sysctl;
use crate::sys;

/// By this name the kernel asks for what makes GRE links (`rtnl_link_ops_get`, net/core/rtnetlink.c).
const ALIAS: &str = "rtnl-link-gre";

/// There as long as the module is loaded, or built in.
const LOADED: &str = "/sys/module/ip_gre";

/// There in the network namespaces that have GRE's own link, loaded or built in.
const LINK: &str = "/sys/class/net/gre0";

/// A folder for each kernel whose modules are installed here.
const MODULES: &str = "/lib/modules";

pub fn asker() -> Asker {
    Asker {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        root: nix::unistd::geteuid().is_root(),
        capabilities: capabilities("self"),
    }
}

/// The effective capabilities of a process: its id, or `self`.
pub fn capabilities(process: &str) -> Seen<Capabilities> {
    let path = format!("/proc/{process}/status");
    let status = read(Path::new(&path))?;
    let set = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let bits = set.and_then(|set| u64::from_str_radix(set.trim(), 16).ok());
    bits.map(Capabilities).ok_or_else(|| format!("{path} has no CapEff"))
}

pub fn release() -> Seen<String> {
    read(Path::new("/proc/sys/kernel/osrelease")).map(|text| text.trim().to_owned())
}

/// Loads nothing: modprobe only says what it would do.
pub fn gre() -> Seen<Gre> {
    if Path::new(LOADED).exists() || Path::new(LINK).exists() {
        return Ok(Gre::Loaded);
    }
    let release = release()?;
    let modules = Path::new(MODULES).join(&release);
    if !modules.exists() {
        let modules = modules.display();
        return Err(format!(
            "ip_gre is not loaded, and {modules} is not here to look for it, as in a container: the kernel loads it from \
             where it was booted"
        ));
    }
    let mut modprobe = Command::new("modprobe");
    modprobe.args(["--dry-run", "--verbose", ALIAS]).stdin(Stdio::null());
    // An ordinary user's PATH often lacks it.
    modprobe.env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin").env("LC_ALL", "C");
    let output = modprobe
        .output()
        .map_err(|error| format!("ip_gre is not loaded, and modprobe cannot be asked: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().replace('\n', "; ");
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    // Where the module is blacklisted it ends well and would do nothing; an `install` line of modprobe.d is run instead.
    if output.status.success() && out.contains("ip_gre") && !out.contains("install ") {
        return Ok(Gre::Loadable);
    }
    let says = match (err.is_empty(), out.is_empty()) {
        (false, _) => err,
        (true, false) => out,
        (true, true) => "nothing, and would load nothing, as where ip_gre is blacklisted".to_owned(),
    };
    Ok(Gre::Missing {
        tried: format!("{release}: ip_gre is not loaded, and `modprobe --dry-run {ALIAS}` says: {says}"),
    })
}

/// What matters of the settings of these links, and of all.
pub fn settings(links: &BTreeSet<String>) -> BTreeMap<String, String> {
    let of = |link: &str| ["rp_filter", "forwarding"].map(|key| sysctl::of_link(link, key));
    let names = links.iter().map(String::as_str).chain(["all"]).flat_map(of);
    let names = names.chain([sysctl::FORWARD.to_owned()]);
    let value = |name: String| {
        let text = fs::read_to_string(format!("/proc/sys/{name}")).ok()?;
        Some((name, text.trim().to_owned()))
    };
    names.filter_map(value).collect()
}

pub fn clock() -> Seen<Clock> {
    let sys::Discipline { synchronised, most_us } =
        sys::discipline().map_err(|error| format!("adjtimex: {error}"))?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    Ok(Clock { now_ms, synchronised, most_us })
}

/// A small file as text; an error names it.
pub fn read(path: &Path) -> Seen<String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_and_this_kernel_can_be_looked_at() {
        assert!(capabilities("self").is_ok());
        assert!(capabilities("0").unwrap_err().starts_with("/proc/0/status: "));
        assert!(release().unwrap().contains('.'));
        assert!(clock().unwrap().now_ms > 1_700_000_000_000);
    }

    #[test]
    fn settings_are_named_as_sysctl_names_them() {
        let settings = settings(&["lo".to_owned(), "none".to_owned()].into());
        assert!(settings.contains_key("net/ipv4/ip_forward"));
        assert!(settings.contains_key("net/ipv4/conf/lo/rp_filter"));
        assert!(settings.contains_key("net/ipv4/conf/all/rp_filter"));
        assert!(!settings.contains_key("net/ipv4/conf/none/rp_filter"));
    }
}
