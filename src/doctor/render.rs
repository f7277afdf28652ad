//! A report, and the table of codes, as text for people. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::code::{Code, Severity};
use super::report::{Finding, Report, Unexamined};
use super::table::TABLE;

/// The most findings of one code that are written out; JSON has all of them.
const SHOWN: usize = 8;

/// A block for each finding, the worst first; what could not be examined; a summary.
pub fn text(report: &Report) -> String {
    let Report { examined, unexamined, findings } = report;
    let mut text = String::new();
    let mut counted: BTreeMap<Code, usize> = BTreeMap::new();
    for finding in findings {
        let count = counted.entry(finding.code).or_default();
        *count += 1;
        if *count <= SHOWN {
            text += &block(finding);
        }
    }
    for (code, count) in counted.into_iter().filter(|(_, count)| *count > SHOWN) {
        let (more, id) = (count - SHOWN, code.entry().id);
        let _ = writeln!(text, "... and {more} more of {id}: greyhound doctor --only {id} -j\n");
    }
    text += &not_examined(unexamined);
    text + &summary(report, examined)
}

fn block(Finding { code, about, evidence, mend }: &Finding) -> String {
    let entry = code.entry();
    let about = if about.is_empty() { String::new() } else { format!("  {}", one_line(about)) };
    format!(
        "{:<8} {}{about}\n  evidence: {}\n  meaning:  {}\n  mend:     {}\n\n",
        entry.severity.name().to_uppercase(),
        entry.id,
        one_line(evidence),
        entry.meaning,
        one_line(mend)
    )
}

/// Those of one object and one reason together.
fn not_examined(unexamined: &BTreeSet<Unexamined>) -> String {
    let mut by_reason: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for Unexamined { code, about, why } in unexamined {
        by_reason.entry((about, why)).or_default().push(code.entry().id);
    }
    let mut text = String::new();
    for ((about, why), codes) in by_reason {
        let about = if about.is_empty() { String::new() } else { format!(" of {}", one_line(about)) };
        let _ = writeln!(text, "? not examined{about}: {} ({})", codes.join(", "), one_line(why));
    }
    if text.is_empty() { text } else { text + "\n" }
}

fn summary(report: &Report, examined: &BTreeSet<Code>) -> String {
    let count = |severity| report.count(severity);
    let (errors, warnings, notes) = (count(Severity::Error), count(Severity::Warning), count(Severity::Note));
    let looked = format!("{} of {} sorts of trouble examined", examined.len(), TABLE.len());
    match (errors, warnings, notes) {
        (0, 0, 0) => format!("Nothing found: {looked}.\n"),
        _ => format!("{errors} error(s), {warnings} warning(s), {notes} note(s): {looked}.\n"),
    }
}

/// What is quoted may be of others' choosing.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_reads_from_the_worst_to_the_summary() {
        let mut report = Report::default();
        report.examined(&[Code::GreMissing, Code::DaemonAbsent, Code::Orphan]);
        report.not(&[Code::Store], "", "permission denied");
        report.not(&[Code::MtuTooLarge, Code::MtuBlackHole], "tunnel ams", "no echo is answered");
        report.find(Code::DaemonAbsent, "", "nobody listens on /s", "systemctl start greyhound");
        report.find(Code::Orphan, "link gh-lost", "the kernel has: link\ngh-lost", "ip link delete gh-lost");
        let report = report.finish(|_| true);
        let orphan = Code::Orphan.entry().meaning;
        let absent = Code::DaemonAbsent.entry().meaning;
        let expected = format!(
            "WARNING  orphan  link gh-lost\n  evidence: the kernel has: link gh-lost\n  meaning:  {orphan}\n  \
             mend:     ip link delete gh-lost\n\n\
             NOTE     daemon-absent\n  evidence: nobody listens on /s\n  meaning:  {absent}\n  \
             mend:     systemctl start greyhound\n\n\
             ? not examined: store (permission denied)\n\
             ? not examined of tunnel ams: mtu-black-hole, mtu-too-large (no echo is answered)\n\n\
             0 error(s), 1 warning(s), 1 note(s): 3 of 29 sorts of trouble examined.\n"
        );
        assert_eq!(text(&report), expected);
    }

    #[test]
    fn a_healthy_host_is_one_line() {
        let mut report = Report::default();
        report.examined(&[Code::GreMissing]);
        assert_eq!(text(&report), "Nothing found: 1 of 29 sorts of trouble examined.\n");
    }

    #[test]
    fn many_of_a_sort_are_counted() {
        let mut report = Report::default();
        for n in 0..20 {
            report.find(Code::TunnelDrifted, format!("tunnel t{n}"), "missing", "greyhound apply");
        }
        let text = text(&report.finish(|_| true));
        assert_eq!(text.matches("WARNING").count(), SHOWN);
        assert!(text.contains("... and 12 more of tunnel-drifted: "), "{text}");
        assert!(text.ends_with("0 error(s), 20 warning(s), 0 note(s): 0 of 29 sorts of trouble examined.\n"));
    }
}
