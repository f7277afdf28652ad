//! Every command line of greyhound's that the documents name is one: its verbs and options are there.

use std::path::{Path, PathBuf};

use clap::Parser;
use clap::error::ErrorKind;

use super::Cli;

fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages = vec![root.join("README.md"), root.join("ARCHITECTURE.md")];
    let mut folders = vec![root.join("docs")];
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "md") {
                pages.push(path);
            }
        }
    }
    pages
}

/// The words behind `greyhound` of each line in a block, and of each piece of code in the text. Of a line of a shell the
/// part that is greyhound's.
fn commands(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut block = false;
    for line in page.lines() {
        if line.starts_with("```") {
            block = !block;
        } else if block {
            found.extend(after_prompt(line));
        } else {
            found.extend(line.split('`').skip(1).step_by(2).filter_map(after_prompt));
        }
    }
    found
}

fn after_prompt(code: &str) -> Option<String> {
    let code = code.split_once("$ ").map_or(code, |(_, command)| command);
    let words = code.trim_start_matches("sudo ").strip_prefix("greyhound ")?;
    let end = words
        .find(" || ")
        .or(words.find(" >"))
        .or(words.find(" | "))
        .or(words.find(" #"))
        .unwrap_or(words.len());
    Some(words[..end].trim_end_matches([';', '&', ' ']).to_owned())
}

/// Nothing but how its values look may be wrong: `NAME` stands for one.
fn complaint(words: &str) -> Option<String> {
    // Forms: several commands in one.
    if words.contains(['|', '[', '…', '(']) {
        return None;
    }
    let words = words.split_whitespace().map(|word| word.trim_matches(['"', '\'']));
    match Cli::try_parse_from(std::iter::once("greyhound").chain(words)) {
        Ok(_) => None,
        Err(error) => match error.kind() {
            ErrorKind::ValueValidation
            | ErrorKind::InvalidValue
            | ErrorKind::DisplayHelp
            | ErrorKind::DisplayVersion
            | ErrorKind::MissingRequiredArgument
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
            | ErrorKind::MissingSubcommand => None,
            _ => Some(error.to_string()),
        },
    }
}

#[test]
fn every_command_that_the_documents_name_is_one() {
    let mut count = 0;
    let mut wrong = Vec::new();
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap();
        for words in commands(&text) {
            count += 1;
            wrong
                .extend(complaint(&words).map(|why| format!("{}: greyhound {words}: {why}", page.display())));
        }
    }
    assert!(count > 100, "only {count} commands are found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_verb_or_an_option_that_is_not_there_is_found() {
    assert!(complaint("status --wacth").is_some());
    assert!(complaint("stauts").is_some());
    assert_eq!(complaint("tunnel move NAME --to ADDRESS"), None);
    assert_eq!(
        commands("a `greyhound plan` and\n```sh\nhost $ greyhound check x || true\n```\n"),
        ["plan", "check x"]
    );
}
