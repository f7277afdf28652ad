//! Parse, dispatch, exit code; nothing else.

use std::process::ExitCode;

use clap::Parser;
use greyhound::cli::{Cli, Ended, LogFormat, Order};
use greyhound::daemon;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let ended = match cli.daemon() {
        Some(order) => keep(order),
        None => cli.run(),
    };
    match ended {
        Ok(ended) => ended.into(),
        Err(error) => {
            anstream::eprintln!("greyhound: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn keep((config, format): Order) -> anyhow::Result<Ended> {
    let format = match format {
        LogFormat::Text => daemon::Format::Text,
        LogFormat::Json => daemon::Format::Json,
    };
    Ok(match daemon::run(&daemon::Options { config, format })? {
        daemon::Ended::Told => Ended::Whole,
        daemon::Ended::BadDeclaration => Ended::BadDeclaration,
    })
}
