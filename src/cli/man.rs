//! `greyhound man`: the manual pages, a file a verb. For who makes a package.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Command, CommandFactory};
use clap_mangen::Man;

use super::{Cli, Ended};

/// Commands of the administrator (man-pages(7)).
const SECTION: &str = "8";

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where they go: a directory that exists.
    directory: PathBuf,
}

pub fn run(args: &Args) -> anyhow::Result<Ended> {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    write(&command, "greyhound", &args.directory)?;
    Ok(Ended::Whole)
}

/// Its page, and those of its verbs: `greyhound-tunnel-move.8` is of `greyhound tunnel move`.
fn write(command: &Command, name: &str, directory: &Path) -> anyhow::Result<()> {
    let file = directory.join(format!("{name}.{SECTION}"));
    let mut page = Vec::new();
    Man::new(command.clone()).title(name).section(SECTION).render(&mut page)?;
    fs::write(&file, page).with_context(|| format!("cannot write {}", file.display()))?;
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        write(verb, &format!("{name}-{}", verb.get_name()), directory)?;
    }
    Ok(())
}
