//! `greyhound daemon`: its options. `main` starts it; this room only talks to it.

use std::path::PathBuf;

/// What the daemon is told.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// How the log on standard error looks; GREYHOUND_LOG says what is logged (info, greyhound=debug, …).
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    Text,
    /// One JSON object a line.
    Json,
}

/// The declaration to keep, and how to log.
pub type Order = (PathBuf, LogFormat);
