//! Other programs that manage this host's network: do they leave alone what is greyhound's? Pure.
//!
//! What counts is what their files say together, not which of them are there.

use super::code::Code;
use super::facts::{Facts, Manager, ManagerKind};
use super::ini::Ini;
use super::report::Report;
use super::{network_manager, networkd};
use crate::model::marks;

/// What is wrong, and the command that mends it.
#[derive(Debug)]
pub struct Lack {
    pub what: String,
    pub mend: String,
}

pub fn judge(facts: &Facts, report: &mut Report) {
    let Some(managers) = report.see(&[Code::ForeignManager], "", &facts.managers) else { return };
    for Manager { kind, pid, files } in managers {
        let files: Vec<Ini> = files.iter().map(Ini::read).collect();
        let (name, lacks) = match kind {
            ManagerKind::Networkd => ("systemd-networkd", networkd::lacks(&files)),
            ManagerKind::NetworkManager => ("NetworkManager", network_manager::lacks(&files)),
        };
        for Lack { what, mend } in lacks {
            report.find(Code::ForeignManager, name, format!("it runs as process {pid}; {what}"), mend);
        }
    }
}

/// A link of greyhound's, by whose name patterns are tried.
pub fn a_link_of_ours() -> String {
    format!("{}x", marks::LINK_PREFIX)
}

#[cfg(test)]
pub mod tests {
    use super::super::facts::ConfigFile;
    use super::super::tests::healthy;
    use super::*;

    pub fn running(kind: ManagerKind, files: &[(&str, &str)]) -> Facts {
        let file = |(path, text): &(&str, &str)| ConfigFile { path: path.into(), text: (*text).to_owned() };
        let manager = Manager { kind, pid: 7, files: files.iter().map(file).collect() };
        Facts { managers: Ok(vec![manager]), ..healthy() }
    }

    pub fn evidence(facts: &Facts) -> Vec<String> {
        super::super::judge(facts).findings.into_iter().map(|finding| finding.evidence).collect()
    }
}
