//! `greyhound doctor`: what is wrong with this host, and what mends it; with a daemon and without one.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::context::{Checked, Context, with_sessions};
use super::output::{rows, table};
use super::{Ended, output, status};
use crate::api::client::Client;
use crate::doctor::facts::{Daemon, Declaration, Seen};
use crate::doctor::look::{self, Deadline, Order};
use crate::doctor::report::view;
use crate::doctor::{Code, Severity, TABLE, judge, render};

#[derive(Debug, clap::Args)]
#[command(after_long_help = AFTER)]
pub struct Args {
    /// Send no packet: leave out what takes probes.
    #[arg(long)]
    quick: bool,

    /// Look for this alone: a code of --list. May be given several times.
    #[arg(long, value_name = "CODE", value_parser = code)]
    only: Vec<Code>,

    /// Probe this tunnel alone. May be given several times.
    #[arg(long, value_name = "NAME")]
    tunnel: Vec<String>,

    /// When to be at the end; what was not examined by then is told.
    #[arg(long, value_name = "SECONDS", default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=600))]
    timeout: u64,

    /// Print every code with its severity and what it means, and examine nothing.
    #[arg(long)]
    list: bool,
}

const AFTER: &str = "\
It changes nothing. As another user than root it examines what it may, and says what it could not.

Without --quick it probes up to 16 tunnels that are up, each with 18 small packets and 4 large ones; where full packets
do not pass, with up to 102 more to find out which do.

Exit status: 0 nothing found, or notes only; 6 warnings; 7 errors; 1 it could not examine at all.";

fn code(id: &str) -> Result<Code, String> {
    Code::named(id).ok_or_else(|| "no such code: greyhound doctor --list has them all".to_owned())
}

pub fn run(context: &Context, args: &Args) -> anyhow::Result<Ended> {
    if args.list {
        return list(context);
    }
    let wanted = |code: Code| args.only.is_empty() || args.only.contains(&code);
    let probes = TABLE.iter().any(|entry| entry.packets && wanted(entry.code));
    let quiet = match (args.quick, probes) {
        (true, _) => Some("left out by --quick".to_owned()),
        (false, false) => Some("not asked for".to_owned()),
        (false, true) => None,
    };
    let order = order(context, args, quiet);
    let report = judge(&look::gather(order)).finish(wanted);
    if context.json {
        output::json(&view(&report, env!("CARGO_PKG_VERSION")))?;
    } else {
        output::text(&render::text(&report))?;
    }
    Ok(match report.findings.first().map(|finding| finding.code.entry().severity) {
        Some(Severity::Error) => Ended::Sick,
        Some(Severity::Warning) => Ended::Warned,
        Some(Severity::Note) | None => Ended::Whole,
    })
}

fn list(context: &Context) -> anyhow::Result<Ended> {
    if context.json {
        output::json(&TABLE)?;
        return Ok(Ended::Whole);
    }
    let mut table = table(&["code", "severity", "packets", "meaning"]);
    for entry in &TABLE {
        let packets = if entry.packets { "yes" } else { "no" };
        table.add_row([entry.id, entry.severity.name(), packets, entry.meaning]);
    }
    output::text(&rows(&table, "Nothing."))?;
    Ok(Ended::Whole)
}

/// Who answers for the tunnels, and with which declaration.
fn order(context: &Context, args: &Args, quiet: Option<String>) -> Order {
    let deadline = Deadline::after(Duration::from_secs(args.timeout));
    let (socket, declared) = context.door();
    let daemon = look::daemon(&socket, deadline);
    let (file, declared) =
        theirs(context, &daemon.daemon, &socket, deadline).unwrap_or((context.file().to_owned(), declared));
    let declaration = declaration(file, declared);
    let status: Box<dyn FnOnce() -> anyhow::Result<_> + Send> = match (&daemon.daemon, &declaration) {
        (Ok(Daemon::Runs(_)), _) => Box::new(move || Ok(Client::connect(&socket)?.status()?)),
        (_, Ok(Declaration::Good { config, .. })) => {
            let (context, config) = (context.clone(), config.clone());
            Box::new(move || status::here(&context, &with_sessions(*config)?))
        }
        _ => Box::new(|| anyhow::bail!("no daemon answers, and there is no declaration to look by")),
    };
    Order { declaration, daemon, status, tunnels: args.tunnel.clone(), quiet, deadline }
}

/// The declaration of the daemon that runs, when none was named.
fn theirs(
    context: &Context,
    daemon: &Seen<Daemon>,
    socket: &Path,
    deadline: Deadline,
) -> Option<(PathBuf, anyhow::Result<Checked>)> {
    let runs = context.config.is_none() && matches!(daemon, Ok(Daemon::Runs(_)));
    let socket = runs.then(|| socket.to_owned())?;
    let asked = deadline.soon(move || {
        let status = Client::connect(&socket).and_then(|client| client.status());
        status.map(|status| PathBuf::from(status.config)).map_err(look::sentence)
    });
    let file = asked.ok()?;
    let declared = super::context::read(&file);
    Some((file, declared))
}

fn declaration(file: PathBuf, declared: anyhow::Result<Checked>) -> Seen<Declaration> {
    match declared {
        Ok(Ok(config)) => Ok(Declaration::Good { file, config }),
        Ok(Err(wrong)) => {
            let mistakes = wrong.problems.len() + wrong.more;
            let first = wrong.problems.first();
            let first = first.map(|one| format!("line {}: {}; {}", one.line, one.message, one.help));
            Ok(Declaration::Wrong { file, mistakes, first: first.unwrap_or_default() })
        }
        Err(_) if matches!(file.try_exists(), Ok(false)) => Ok(Declaration::Absent { file }),
        Err(error) => Err(look::sentence(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_says_how_many_packets_leave() {
        let (tunnels, small, large) = (look::MOST_TUNNELS, look::MOST_SMALL, look::MOST_LARGE);
        assert!(AFTER.contains(&format!("up to {tunnels} tunnels")));
        assert!(AFTER.contains(&format!("each with {small} small packets and 4 large ones")));
        assert!(AFTER.contains(&format!("with up to {} more", large - 4)));
    }

    #[test]
    fn a_declaration_is_good_wrong_absent_or_not_seen() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a.toml");
        let read = || declaration(file.clone(), super::super::context::read(&file));
        assert!(matches!(read(), Ok(Declaration::Absent { .. })));
        std::fs::write(&file, "nonsense = 1\n").unwrap();
        let Ok(Declaration::Wrong { mistakes: 1, first, .. }) = read() else { panic!("{:?}", read()) };
        assert!(first.starts_with("line 1: "), "{first}");
        std::fs::write(&file, "").unwrap();
        assert!(matches!(read(), Ok(Declaration::Good { .. })));
        std::fs::remove_file(&file).unwrap();
        std::fs::create_dir(&file).unwrap();
        assert!(read().is_err());
    }
}
