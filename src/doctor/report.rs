//! What came of an examination: findings, what was examined, and what could not be. Pure.

use std::collections::BTreeSet;

use serde::Serialize;

use super::code::{Code, Severity};
use super::facts::Seen;

/// Something that is wrong, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub code: Code,
    /// The object: a tunnel, a link, a file; empty: the host.
    pub about: String,
    /// What was observed.
    pub evidence: String,
    /// The command, or the line of the declaration.
    pub mend: String,
}

/// What could not be examined.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unexamined {
    pub code: Code,
    /// Of which object; empty: at all.
    pub about: String,
    pub why: String,
}

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub examined: BTreeSet<Code>,
    pub unexamined: BTreeSet<Unexamined>,
    /// The worst first, once [`Report::finish`] was called.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Of this sort something was examined.
    pub fn examined(&mut self, codes: &[Code]) {
        self.examined.extend(codes);
    }

    /// What was seen; when it was not, that these could not be examined, and why.
    pub fn see<'a, T>(&mut self, codes: &[Code], about: &str, seen: &'a Seen<T>) -> Option<&'a T> {
        match seen {
            Ok(value) => {
                self.examined(codes);
                Some(value)
            }
            Err(why) => {
                self.not(codes, about, why);
                None
            }
        }
    }

    /// These could not be examined.
    pub fn not(&mut self, codes: &[Code], about: &str, why: &str) {
        let unexamined =
            |code: &Code| Unexamined { code: *code, about: about.to_owned(), why: why.to_owned() };
        self.unexamined.extend(codes.iter().map(unexamined));
    }

    pub fn find(
        &mut self,
        code: Code,
        about: impl Into<String>,
        evidence: impl Into<String>,
        mend: impl Into<String>,
    ) {
        let (about, evidence, mend) = (about.into(), evidence.into(), mend.into());
        self.findings.push(Finding { code, about, evidence, mend });
    }

    /// Only what was asked for, the worst first.
    pub fn finish(mut self, wanted: impl Fn(Code) -> bool) -> Self {
        self.examined.retain(|code| wanted(*code));
        self.unexamined.retain(|one| wanted(one.code));
        self.findings.retain(|finding| wanted(finding.code));
        self.findings.sort_by(|a, b| (a.code, &a.about).cmp(&(b.code, &b.about)));
        self
    }

    /// How many there are of this severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.code.entry().severity == severity).count()
    }
}

/// A report as it stands in JSON.
#[derive(Debug, Serialize)]
pub struct ReportView {
    /// Of greyhound.
    pub version: String,
    /// Codes.
    pub examined: Vec<&'static str>,
    pub unexamined: Vec<UnexaminedView>,
    pub findings: Vec<FindingView>,
}

#[derive(Debug, Serialize)]
pub struct UnexaminedView {
    /// A code, and the object when it is one of several.
    pub what: String,
    pub why: String,
}

#[derive(Debug, Serialize)]
pub struct FindingView {
    pub code: &'static str,
    pub severity: Severity,
    pub about: String,
    pub evidence: String,
    pub meaning: &'static str,
    pub mend: String,
}

/// The same as data that is shown.
pub fn view(report: &Report, version: &str) -> ReportView {
    let Report { examined, unexamined, findings } = report;
    let finding = |Finding { code, about, evidence, mend }: &Finding| {
        let entry = code.entry();
        FindingView {
            code: entry.id,
            severity: entry.severity,
            about: about.clone(),
            evidence: evidence.clone(),
            meaning: entry.meaning,
            mend: mend.clone(),
        }
    };
    let not = |one: &Unexamined| UnexaminedView { what: one.what(), why: one.why.clone() };
    ReportView {
        version: version.to_owned(),
        examined: examined.iter().map(|code| code.entry().id).collect(),
        unexamined: unexamined.iter().map(not).collect(),
        findings: findings.iter().map(finding).collect(),
    }
}

impl Unexamined {
    /// The code, and the object when it is one of several.
    pub fn what(&self) -> String {
        format!("{} {}", self.code.entry().id, self.about).trim_end().to_owned()
    }
}
