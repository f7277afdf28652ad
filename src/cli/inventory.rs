//! `greyhound inventory`: all of it as one JSON document, and back; the form of its rows.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, stdin};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use ipnetwork::Ipv4Network;
use serde_json::json;

use super::context::Context;
use super::{Ended, output, shelf};
use crate::inventory::{Sqlite, change};
use crate::model::{Lease, Used};
use crate::registry::transfer::{self, Document};
use crate::registry::{Registry, pools};

#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Print all of the inventory as one JSON document.
    Export,
    /// Bring a document in that was exported. Brought in again, nothing changes. Rows that are not in it stay.
    Import {
        /// The document, or - for the standard input.
        file: PathBuf,
        /// Take the document's rows where others of the same name are there.
        #[arg(long, conflicts_with = "used")]
        replace: bool,
        /// It is a list of addresses and prefixes that are used elsewhere, a line each, with a note after it: never
        /// give them out.
        #[arg(long)]
        used: bool,
    },
    /// Look whether everything fits together: references, pools beside each other, leases in their pools.
    Check,
    /// Bring the rows to the newest form that this greyhound knows. Earlier releases cannot use the inventory from
    /// then on: upgrade every host first.
    Migrate,
}

pub fn run(context: &Context, verb: &Verb) -> anyhow::Result<Ended> {
    context.with_inventory(|inventory| match verb {
        Verb::Export => {
            output::json(&transfer::export(&change::checked(inventory)?))?;
            Ok(Ended::Whole)
        }
        Verb::Import { file, used: true, .. } => import_used(context, inventory, file),
        Verb::Import { file, replace, .. } => import(context, inventory, file, *replace),
        Verb::Check => check(context, &shelf::registry(inventory)?),
        Verb::Migrate => {
            let (before, after) = change::migrate(inventory)?;
            context.tell(&json!({ "before": before, "after": after }), || {
                if before == after {
                    return format!(
                        "The rows have the newest form that this greyhound knows, {}.",
                        after.form
                    );
                }
                format!("The rows had form {} and have form {} now.", before.form, after.form)
            })
        }
    })
}

fn check(context: &Context, registry: &Registry) -> anyhow::Result<Ended> {
    let problems = pools::problems(registry);
    if !problems.is_empty() {
        bail!("the inventory does not fit together:\n{}", problems.join("\n"));
    }
    let (devices, sessions, leases) =
        (registry.devices.len(), registry.sessions.len(), registry.leases.len());
    let counted = json!({ "devices": devices, "sessions": sessions, "leases": leases });
    context.tell(&counted, || {
        format!("All fits together: {devices} device(s), {sessions} session(s), {leases} lease(s).")
    })
}

fn import(context: &Context, inventory: &Sqlite, file: &Path, replace: bool) -> anyhow::Result<Ended> {
    let mut text = String::new();
    open(file)?.read_to_string(&mut text).with_context(|| format!("cannot read {}", file.display()))?;
    let document: Document = serde_json::from_str(&text)
        .with_context(|| format!("{} is no document of greyhound inventory export", file.display()))?;
    let written = change::import(inventory, &document, replace)?;
    context.tell(&json!({ "written": written }), || match written {
        0 => "Nothing to do: all of it is there.".to_owned(),
        _ => format!("{written} row(s) written."),
    })
}

fn import_used(context: &Context, inventory: &Sqlite, file: &Path) -> anyhow::Result<Ended> {
    let mut used = Vec::new();
    for (n, line) in (1..).zip(BufReader::new(open(file)?).lines()) {
        let line = line.with_context(|| format!("cannot read {}", file.display()))?;
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let (prefix, note) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        match prefix.parse::<Ipv4Network>() {
            Ok(prefix) if prefix.ip() == prefix.network() => {
                used.push(Used { prefix, note: note.trim().to_owned() });
            }
            _ => {
                bail!("{}:{n}: {prefix:?} is no address and no prefix: nothing was imported", file.display())
            }
        }
    }
    let mut leased = Vec::new();
    // As many at a time as a transaction takes; what is there already is passed over.
    for part in used.chunks(32) {
        leased.extend(change::change(inventory, |registry| pools::import_used(registry, part))?);
    }
    let count = used.len();
    context.tell(&json!({ "used": count, "leased": leased }), || {
        format!("{count} prefix(es) are never given out.\n{}", still_leased(&leased))
    })
}

/// What to tell of addresses that are used elsewhere and leased.
pub fn still_leased(leased: &[Lease]) -> String {
    let line =
        |lease: &Lease| format!("! {} is leased to {}: release it there\n", lease.prefix, lease.holder);
    leased.iter().map(line).collect()
}

fn open(file: &Path) -> anyhow::Result<Box<dyn Read>> {
    if file == Path::new("-") {
        return Ok(Box::new(stdin()));
    }
    Ok(Box::new(File::open(file).with_context(|| format!("cannot read {}", file.display()))?))
}
