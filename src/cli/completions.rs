//! `greyhound completions`: a completion script for a shell.

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, Ended, output};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell. Bash: `greyhound completions bash > /etc/bash_completion.d/greyhound`.
    shell: Shell,
}

pub fn run(args: &Args) -> anyhow::Result<Ended> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "greyhound", &mut script);
    output::text(&String::from_utf8(script)?)?;
    Ok(Ended::Whole)
}
