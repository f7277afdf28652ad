//! The kernel, who may change it, and its clock. Pure.

use super::code::Code;
use super::facts::{Asker, Capabilities, Clock, Daemon, Declaration, Facts, Gre, Store};
use super::report::Report;
use crate::config::Config;
use crate::model::Role;

/// Linux 5.15: the oldest kernel that greyhound is made for.
const OLDEST: (u32, u32) = (5, 15);

/// Ports below this take a capability to listen on (ip(7), `ip_unprivileged_port_start`).
const PRIVILEGED: u16 = 1024;

pub fn judge(facts: &Facts, report: &mut Report) {
    kernel(facts, report);
    capabilities(facts, report);
    clock(facts, report);
}

fn kernel(facts: &Facts, report: &mut Report) {
    if let Some(Gre::Missing { tried }) = report.see(&[Code::GreMissing], "", &facts.gre) {
        let mend = "grep -r ip_gre /etc/modprobe.d /run/modprobe.d /lib/modprobe.d; modprobe ip_gre";
        report.find(Code::GreMissing, "", tried, mend);
    }
    let Some(release) = report.see(&[Code::KernelOld], "", &facts.release) else { return };
    match version(release) {
        None => report.not(&[Code::KernelOld], "", &format!("{release:?} is no version")),
        Some(version) if version < OLDEST => {
            let (major, minor) = OLDEST;
            let evidence = format!("this kernel is {release}, older than {major}.{minor}");
            report.find(Code::KernelOld, "", evidence, "uname -r; boot a later kernel");
        }
        Some(_) => {}
    }
}

/// Major and minor.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Those of the daemon; where none runs, those of this process, as one that root starts would have.
fn capabilities(facts: &Facts, report: &mut Report) {
    let codes = &[Code::Capabilities];
    let Some(daemon) = report.see(codes, "", &facts.daemon) else { return };
    let Asker { root, capabilities: own, .. } = &facts.asker;
    let (whose, about, seen) = match daemon {
        Daemon::Runs(runs) => ("the daemon's process", "daemon", &runs.capabilities),
        _ if *root => ("this process, which is root's,", "", own),
        _ => {
            report.examined.remove(&Code::Capabilities);
            return report.not(codes, "", "no daemon answers, and this process is not root's");
        }
    };
    report.examined.remove(&Code::Capabilities);
    let Some(capabilities) = report.see(codes, about, seen) else { return };
    let config = match &facts.declaration {
        Ok(Declaration::Good { config, .. }) => Some(&**config),
        _ => None,
    };
    let missing = capabilities.lack(&wanted(config));
    if !missing.is_empty() {
        let (missing, set) = (missing.join(", "), capabilities.0);
        let evidence = format!("{whose} lacks {missing}: its effective set is {set:#x}");
        let mend = format!("systemctl edit greyhound: AmbientCapabilities={}", missing.replace(',', ""));
        report.find(Code::Capabilities, about, evidence, mend);
    }
}

/// What greyhound needs with this declaration.
fn wanted(config: Option<&Config>) -> Vec<(u8, &'static str)> {
    let mut wanted = vec![Capabilities::NET_ADMIN, Capabilities::NET_RAW];
    let listens = config.is_some_and(|config| {
        let edge = matches!(config.role, Role::Edge(_)) && config.probe.port < PRIVILEGED;
        edge || config.reflector.as_ref().is_some_and(|reflector| reflector.port < PRIVILEGED)
    });
    wanted.extend(listens.then_some(Capabilities::NET_BIND_SERVICE));
    wanted
}

fn clock(facts: &Facts, report: &mut Report) {
    let codes = &[Code::ClockUnsynchronised];
    let Some(clock) = report.see(codes, "", &facts.clock) else {
        return report.not(&[Code::ClockBehind], "", "the clock could not be read");
    };
    let Clock { now_ms, synchronised, most_us } = clock;
    if !synchronised {
        let evidence = format!(
            "the kernel says that nothing sets its clock right; it may be wrong by {} s or more",
            most_us / 1_000_000
        );
        report.find(Code::ClockUnsynchronised, "", evidence, "apt-get install chrony; chronyc tracking");
    }
    let Some(store) = report.see(&[Code::ClockBehind], "", &facts.store) else { return };
    // A second is what lies between two readings.
    if let Store::Fine { newest: Some(newest), .. } = store
        && newest.at_ms > now_ms + 1_000
    {
        let ahead = (newest.at_ms - now_ms) / 1_000;
        let evidence = format!("{} was written at a time that is {ahead} s ahead of the clock", newest.what);
        report.find(Code::ClockBehind, "", evidence, "date; chronyc makestep");
    }
}

#[cfg(test)]
mod tests {
    use super::super::facts::{Newest, Runs, Turns};
    use super::super::tests::{codes, declared, healthy};
    use super::*;

    #[test]
    fn a_kernel_is_old_by_its_numbers() {
        for (release, old) in
            [("5.15.0", false), ("5.4.0-42-generic", true), ("6.1.0-50-amd64", false), ("4.19", true)]
        {
            let facts = Facts { release: Ok(release.to_owned()), ..healthy() };
            assert_eq!(codes(&facts) == ["kernel-old"], old, "{release}");
        }
    }

    #[test]
    fn a_kernel_without_gre_is_found_by_what_was_tried() {
        let gre = Ok(Gre::Missing { tried: "modprobe says no".to_owned() });
        let facts = Facts { gre, ..healthy() };
        assert_eq!(codes(&facts), ["gre-missing"]);
        assert_eq!(super::super::judge(&facts).findings[0].evidence, "modprobe says no");
        assert!(codes(&Facts { gre: Ok(Gre::Loadable), ..healthy() }).is_empty());
    }

    #[test]
    fn the_daemon_must_have_what_its_declaration_takes() {
        let runs = |bits: u64| {
            Ok(Daemon::Runs(Runs {
                version: "0.1.0".to_owned(),
                pid: Ok(7),
                capabilities: Ok(Capabilities(bits)),
                turns: Ok(Turns::Answers),
            }))
        };
        let (admin, raw, bind) = (1 << 12, 1 << 13, 1 << 10);
        let reflector = declared("[reflector]\nallow = [\"192.0.2.0/24\"]\n");
        assert!(codes(&Facts { daemon: runs(admin | raw), ..healthy() }).is_empty());
        assert_eq!(codes(&Facts { daemon: runs(raw), ..healthy() }), ["capabilities"]);
        let facts = Facts { daemon: runs(admin | raw), declaration: reflector.clone(), ..healthy() };
        assert_eq!(codes(&facts), ["capabilities"]);
        let facts = Facts { daemon: runs(admin | raw | bind), declaration: reflector, ..healthy() };
        assert!(codes(&facts).is_empty());
    }

    #[test]
    fn a_clock_that_went_back_is_behind_what_was_written() {
        let newest = |at_ms| {
            let newest = Some(Newest { what: "the newest event".to_owned(), at_ms });
            Ok(Store::Fine { directory: "/s".into(), network: None, newest })
        };
        let clock = Ok(Clock { now_ms: 100_000, synchronised: true, most_us: 7 });
        let facts = Facts { clock: clock.clone(), store: newest(100_500), ..healthy() };
        assert!(codes(&facts).is_empty());
        assert_eq!(codes(&Facts { clock, store: newest(160_000), ..healthy() }), ["clock-behind"]);
    }

    #[test]
    fn a_clock_that_nobody_keeps_is_found() {
        let clock = Ok(Clock { now_ms: 100_000, synchronised: false, most_us: 16_000_000 });
        assert_eq!(codes(&Facts { clock, ..healthy() }), ["clock-unsynchronised"]);
    }
}
