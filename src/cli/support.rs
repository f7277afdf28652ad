//! `greyhound support`: what somebody else needs to understand this host, as one archive, without its secrets.
//!
//! Each part is had by itself, within a time and a size; one that cannot be had is noted with why. So it works without a
//! daemon, without systemd, and on a host where much is broken.

mod parts;
mod redact;

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use anyhow::Context as _;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;

use super::Ended;
use super::context::Context;
use super::units::stamp;
use crate::reconcile;
use parts::{Got, Part};
use redact::Secrets;

/// What the archive says of itself, before its list of parts.
const ABOUT: &str = "\
What greyhound support gathered on this host, for a report of a fault.

Keys of tunnels, passwords and the like were replaced by <removed>, in the declaration and wherever they were found.
Addresses, names of hosts, links and devices, routes, and the lines of greyhound's journal are in it as they are.
Look through it before you send it to anybody.
";

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The archive [default: greyhound-support-TIME.tar.gz here]. A file that is there stays.
    #[arg(short, long, value_name = "FILE.tar.gz")]
    output: Option<PathBuf>,
}

pub fn run(context: &Context, args: &Args) -> anyhow::Result<Ended> {
    let folder = format!("greyhound-support-{}", stamp(reconcile::now()));
    let path = args.output.clone().unwrap_or_else(|| format!("{folder}.tar.gz").into());
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    let file = opened.with_context(|| format!("cannot make {}", path.display()))?;
    let mut archive = Archive::new(file, folder);
    let declared = std::fs::read_to_string(context.file()).unwrap_or_default();
    let secrets = Secrets::of(&declared);
    let mut manifest = ABOUT.to_owned();
    let mut told = Vec::new();
    for part in parts::all(context) {
        let Part { name, by, .. } = &part;
        anstream::eprintln!("{name}: {by}");
        let Got { text, note } = part.get();
        let text = secrets.removed(&text);
        // What went wrong may quote what is secret.
        let note = note.map(|note| secrets.removed(&note));
        let bytes = text.len();
        archive.add(name, text.as_bytes())?;
        manifest += &format!("\n{name} ({bytes} bytes)\n  {by}\n");
        manifest.extend(note.iter().map(|note| format!("  ! {note}\n")));
        told.push(json!({ "name": name, "by": by, "bytes": bytes, "note": note }));
    }
    archive.add("MANIFEST.txt", manifest.as_bytes())?;
    archive.finish().with_context(|| format!("cannot write {}", path.display()))?;
    context.tell(&json!({ "file": path, "parts": told }), || {
        let missing = told.iter().filter(|part| !part["note"].is_null()).count();
        format!(
            "{} has {} part(s); {missing} could not be had whole, and MANIFEST.txt says why.\n\
             Secrets were removed; addresses and names are in it. Look through it before you send it.",
            path.display(),
            told.len()
        )
    })
}

/// The archive as it is written.
struct Archive {
    tar: tar::Builder<GzEncoder<File>>,
    folder: String,
}

impl Archive {
    fn new(file: File, folder: String) -> Self {
        Self { tar: tar::Builder::new(GzEncoder::new(file, Compression::default())), folder }
    }

    fn add(&mut self, name: &str, bytes: &[u8]) -> std::io::Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(reconcile::now());
        self.tar.append_data(&mut header, format!("{}/{name}", self.folder), bytes)
    }

    fn finish(self) -> std::io::Result<()> {
        let mut file = self.tar.into_inner()?.finish()?;
        file.flush()?;
        file.sync_all()
    }
}
