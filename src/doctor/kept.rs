//! What is kept on disk: the declaration, the store, the inventory. Pure.

use super::code::Code;
use super::facts::{Declaration, Facts, Inventory, Store};
use super::report::Report;
use crate::model::Role;

pub fn judge(facts: &Facts, report: &mut Report) {
    declaration(facts, report);
    store(facts, report);
    inventory(facts, report);
}

fn declaration(facts: &Facts, report: &mut Report) {
    match report.see(&[Code::Declaration], "", &facts.declaration) {
        Some(Declaration::Absent { file }) => {
            let file = file.display().to_string();
            report.find(Code::Declaration, &file, "there is no such file", format!("greyhound check {file}"));
        }
        Some(Declaration::Wrong { file, mistakes, first }) => {
            let file = file.display().to_string();
            let evidence = format!("{mistakes} mistake(s), the first: {first}");
            report.find(Code::Declaration, &file, evidence, format!("greyhound check {file}"));
        }
        Some(Declaration::Good { .. }) | None => {}
    }
}

fn store(facts: &Facts, report: &mut Report) {
    match report.see(&[Code::Store, Code::StoreFileSystem], "", &facts.store) {
        Some(Store::Broken { directory, error, mend }) => {
            report.find(Code::Store, directory.display().to_string(), error, mend);
        }
        Some(Store::Fine { directory, network: Some(kind), newest: _ }) => {
            let evidence = format!("its file system is {kind}");
            let mend = "in [daemon]: state_dir = \"/var/lib/greyhound\", on a local disk";
            report.find(Code::StoreFileSystem, directory.display().to_string(), evidence, mend);
        }
        Some(Store::Fine { .. } | Store::Absent { .. }) | None => {}
    }
}

fn inventory(facts: &Facts, report: &mut Report) {
    let Some(inventory) = report.see(&[Code::Inventory], "", &facts.inventory) else { return };
    let edge = matches!(&facts.declaration, Ok(Declaration::Good { config, .. }) if matches!(config.role, Role::Edge(_)));
    match inventory {
        Inventory::Undeclared => {}
        Inventory::Absent { path } => {
            let mend = if edge {
                "systemctl start greyhound: the daemon of an edge box makes it"
            } else {
                "restore it from a copy, or start the daemon of an edge box on this machine, which makes it"
            };
            report.find(Code::Inventory, path.display().to_string(), "there is no such file", mend);
        }
        Inventory::Broken { path, error } => {
            report.find(Code::Inventory, path.display().to_string(), error, "greyhound inventory check");
        }
        Inventory::Read { path, problems, stock: _ } => {
            if let Some(first) = problems.first() {
                let evidence = format!("{} problem(s), the first: {first}", problems.len());
                report.find(
                    Code::Inventory,
                    path.display().to_string(),
                    evidence,
                    "greyhound inventory check",
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{codes, healthy};
    use super::*;

    #[test]
    fn a_declaration_that_is_absent_or_wrong_is_found() {
        let declaration = Ok(Declaration::Absent { file: "/a.toml".into() });
        assert_eq!(codes(&Facts { declaration, ..healthy() }), ["declaration"]);
        let first = "unknown key".to_owned();
        let declaration = Ok(Declaration::Wrong { file: "/a.toml".into(), mistakes: 2, first });
        let report = super::super::judge(&Facts { declaration, ..healthy() });
        assert_eq!(report.findings[0].evidence, "2 mistake(s), the first: unknown key");
        assert_eq!(report.findings[0].mend, "greyhound check /a.toml");
    }

    #[test]
    fn one_that_may_not_be_read_is_not_examined() {
        let declaration = Err("/a.toml: permission denied".to_owned());
        let report = super::super::judge(&Facts { declaration, ..healthy() });
        assert!(report.findings.is_empty() && !report.examined.contains(&Code::Declaration));
        let why: Vec<_> = report.unexamined.iter().filter(|one| one.code == Code::Declaration).collect();
        assert_eq!(why[0].why, "/a.toml: permission denied");
    }

    #[test]
    fn a_store_that_cannot_be_used_says_what_to_do() {
        let store =
            Ok(Store::Broken { directory: "/s".into(), error: "damaged".into(), mend: "restore".into() });
        assert_eq!(codes(&Facts { store, ..healthy() }), ["store"]);
        let store = Ok(Store::Fine { directory: "/s".into(), network: Some("nfs"), newest: None });
        assert_eq!(codes(&Facts { store, ..healthy() }), ["store-filesystem"]);
        assert!(
            codes(&Facts { store: Ok(Store::Absent { directory: "/s".into() }), ..healthy() }).is_empty()
        );
    }

    #[test]
    fn an_inventory_must_be_there_and_fit_together() {
        let path = || "/i.db".into();
        let read = |problems| Inventory::Read { path: path(), problems, stock: Default::default() };
        for (inventory, found) in [
            (Inventory::Undeclared, false),
            (Inventory::Absent { path: path() }, true),
            (Inventory::Broken { path: path(), error: "damaged".into() }, true),
            (read(vec![]), false),
            (read(vec!["session a refers to b".into()]), true),
        ] {
            let expected: &[&str] = if found { &["inventory"] } else { &[] };
            assert_eq!(
                codes(&Facts { inventory: Ok(inventory.clone()), ..healthy() }),
                expected,
                "{inventory:?}"
            );
        }
    }
}
