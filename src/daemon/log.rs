//! The log: text or JSON on standard error, a line an event.

use std::io::stderr;

use tracing_subscriber::filter::{EnvFilter, LevelFilter};

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Text,
    /// One object a line.
    Json,
}

/// The environment variable that says what is logged, as in `info` or `greyhound=debug`.
const FILTER: &str = "GREYHOUND_LOG";

/// Set by systemd where standard error goes to its journal, which has the time of each line already.
const JOURNAL: &str = "JOURNAL_STREAM";

/// From now on `tracing` writes to standard error.
///
/// # Errors
/// When [`FILTER`] cannot be read.
pub fn start(format: Format) -> anyhow::Result<()> {
    let filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .with_env_var(FILTER)
        .from_env()
        .map_err(|error| anyhow::anyhow!("{FILTER} cannot be read: {error}"))?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr).with_target(false);
    match format {
        Format::Json => lines.json().flatten_event(true).init(),
        Format::Text if std::env::var_os(JOURNAL).is_some() => lines.with_ansi(false).without_time().init(),
        Format::Text => lines.with_ansi(std::io::IsTerminal::is_terminal(&stderr())).init(),
    }
    Ok(())
}
