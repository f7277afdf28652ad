//! The daemon: is there one, of this release, and does its loop turn? Pure.

use super::code::Code;
use super::facts::{Daemon, Declaration, Facts, Runs, Turns};
use super::report::Report;
use crate::config::Config;

const RESTART: &str = "systemctl restart greyhound";

pub fn judge(facts: &Facts, report: &mut Report) {
    let codes = [Code::ApiVersion, Code::ReleaseVersion, Code::DaemonStuck, Code::DaemonAbsent];
    let Some(daemon) = report.see(&codes, "", &facts.daemon) else { return };
    match daemon {
        Daemon::Absent { socket } => {
            if let Ok(Declaration::Good { config, .. }) = &facts.declaration
                && declares(config)
            {
                let evidence = format!("nobody listens on {}", socket.display());
                report.find(Code::DaemonAbsent, "", evidence, "systemctl enable --now greyhound");
            }
        }
        Daemon::Silent { socket, pid, seconds } => {
            let who =
                pid.map_or_else(|| "who listens".to_owned(), |pid| format!("process {pid}, which listens"));
            let evidence = format!(
                "{who} on {}, has answered neither of two questions in {seconds} s",
                socket.display()
            );
            report.find(Code::DaemonStuck, "daemon", evidence, mend(*pid));
        }
        Daemon::Other { theirs, ours } => {
            let evidence =
                format!("the daemon speaks version {theirs} of the API, and this program version {ours}");
            report.find(Code::ApiVersion, "daemon", evidence, RESTART);
        }
        Daemon::Runs(runs) => answers(runs, &facts.asker.version, report),
    }
}

fn declares(config: &Config) -> bool {
    !config.tunnels.is_empty() || config.inventory.is_some()
}

fn answers(Runs { version, pid, capabilities: _, turns }: &Runs, ours: &str, report: &mut Report) {
    if version != ours {
        let evidence = format!("the daemon is greyhound {version}, and this program greyhound {ours}");
        report.find(Code::ReleaseVersion, "daemon", evidence, RESTART);
    }
    report.examined.remove(&Code::DaemonStuck);
    if let Some(Turns::Silent { seconds }) = report.see(&[Code::DaemonStuck], "daemon", turns) {
        let pid = pid.as_ref().ok().copied();
        let evidence =
            format!("it answers, but its loop has answered neither of two questions in {seconds} s");
        report.find(Code::DaemonStuck, "daemon", evidence, mend(pid));
    }
}

fn mend(pid: Option<i32>) -> String {
    pid.map_or_else(|| RESTART.to_owned(), |pid| format!("cat /proc/{pid}/stack; {RESTART}"))
}

#[cfg(test)]
mod tests {
    use super::super::facts::{Capabilities, Seen};
    use super::super::tests::{TUNNEL, codes, declared, healthy};
    use super::*;

    fn runs(version: &str, turns: Seen<Turns>) -> Seen<Daemon> {
        let capabilities = Ok(Capabilities(u64::MAX));
        Ok(Daemon::Runs(Runs { version: version.to_owned(), pid: Ok(7), capabilities, turns }))
    }

    #[test]
    fn a_daemon_of_this_release_whose_loop_turns_is_well() {
        let daemon = runs("0.1.0", Ok(Turns::Answers));
        assert!(codes(&Facts { daemon, ..healthy() }).is_empty());
    }

    #[test]
    fn another_release_and_another_api_are_told_apart() {
        let daemon = runs("0.0.9", Ok(Turns::Answers));
        assert_eq!(codes(&Facts { daemon, ..healthy() }), ["release-version"]);
        let daemon = Ok(Daemon::Other { theirs: "2".to_owned(), ours: 1 });
        assert_eq!(codes(&Facts { daemon, ..healthy() }), ["api-version"]);
    }

    #[test]
    fn a_loop_that_does_not_answer_is_stuck_and_so_is_who_says_nothing() {
        let daemon = runs("0.1.0", Ok(Turns::Silent { seconds: 3 }));
        assert_eq!(codes(&Facts { daemon, ..healthy() }), ["daemon-stuck"]);
        let daemon = Ok(Daemon::Silent { socket: "/s".into(), pid: Some(7), seconds: 3 });
        assert_eq!(codes(&Facts { daemon, ..healthy() }), ["daemon-stuck"]);
    }

    #[test]
    fn one_that_is_only_busy_is_no_finding() {
        let daemon = runs("0.1.0", Err("it is busy: this and that".to_owned()));
        let report = super::super::judge(&Facts { daemon, ..healthy() });
        assert!(report.findings.is_empty() && !report.examined.contains(&Code::DaemonStuck), "{report:?}");
        let told = report.unexamined.iter().find(|one| one.code == Code::DaemonStuck).unwrap();
        assert_eq!(told.why, "it is busy: this and that");
    }

    #[test]
    fn who_declares_something_should_have_a_daemon() {
        let daemon = || Ok(Daemon::Absent { socket: "/s".into() });
        assert!(codes(&Facts { daemon: daemon(), declaration: declared(""), ..healthy() }).is_empty());
        let facts = Facts { daemon: daemon(), declaration: declared(TUNNEL), ..healthy() };
        assert_eq!(codes(&facts), ["daemon-absent"]);
    }
}
