//! `greyhound status`: every tunnel at a glance.

use std::time::Duration;

use super::connect;
use super::context::Context;
use super::output::{one_line, or_dash, rows, table};
use super::source::Source;
use super::watch::{self, Watched};
use super::{Ended, output, units};
use crate::api::client::Client;
use crate::api::dto::{CountersView, FilterView, RepairView, StatusView, TunnelState, TunnelView};
use crate::config::Config;
use crate::model::Timestamp;
use crate::reconcile::{self, view};

const HEADINGS: [&str; 13] = [
    "name",
    "kind",
    "local",
    "remote",
    "overlay",
    "mtu",
    "state",
    "uptime",
    "rx bytes",
    "rx pkts",
    "tx bytes",
    "tx pkts",
    "last repair",
];

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Go on: again when something happens, and at the latest after SECONDS. Ends with Ctrl-C, or with who reads it.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2",
        value_parser = clap::value_parser!(u64).range(1..=86400))]
    watch: Option<u64>,
}

pub fn run(context: &Context, args: &Args) -> anyhow::Result<Ended> {
    let source = context.source()?;
    if let Some(seconds) = args.watch {
        return again(context, source, Duration::from_secs(seconds));
    }
    let status = match source {
        Source::Daemon(client) => client.status()?,
        Source::Here(config) => here(context, &config)?,
        Source::BadDeclaration => return Ok(Ended::BadDeclaration),
    };
    if context.json {
        output::json(&status)?;
    } else {
        output::text(&text(&status, reconcile::now()))?;
    }
    Ok(ended(&status.tunnels))
}

/// `--watch`.
fn again(context: &Context, source: Source, pause: Duration) -> anyhow::Result<Ended> {
    let context_there = context.clone();
    let watched = |look| Watched { look, text, ended: |status: &StatusView| ended(&status.tunnels) };
    match source {
        Source::Daemon(client) => {
            let bell = Client::connect(client.socket())?;
            let look = Box::new(move || Ok(client.status()?));
            watch::run(context, Some(&bell), pause, watched(look))
        }
        Source::Here(config) => {
            watch::run(context, None, pause, watched(Box::new(move || here(&context_there, &config))))
        }
        Source::BadDeclaration => Ok(Ended::BadDeclaration),
    }
}

/// This process looks at the host itself.
pub fn here(context: &Context, config: &Config) -> anyhow::Result<StatusView> {
    let mut state = context.copy(config)?;
    let look = context.look(config, &mut state)?;
    Ok(view::status(&context.file().display().to_string(), config, &look, &state.book()?))
}

/// The table, and under it what else there is to know.
pub fn text(status: &StatusView, now: Timestamp) -> String {
    let StatusView { version: _, config: _, tunnels: shown, sessions, orphans, notes, filter } = status;
    let orphans = orphans.iter().map(|orphan| format!("? orphan: {}\n", one_line(orphan)));
    let notes = notes.iter().map(|note| format!("# {}\n", one_line(note)));
    tunnels(shown, now)
        + &connect::sessions(sessions)
        + &filtered(filter)
        + &orphans.chain(notes).collect::<String>()
}

/// What the filter lets in and what it dropped, where there is one.
fn filtered(filter: &FilterView) -> String {
    let FilterView { enabled, pairs, dropped, repairs: _, trouble } = filter;
    let trouble = trouble.as_ref().map(|why| format!("! filter: {}\n", one_line(why)));
    let counted = enabled.then(|| {
        let dropped = or_dash(dropped.map(units::count));
        format!("# filter: GRE of {pairs} pair(s) is let in; {dropped} other packet(s) dropped\n")
    });
    trouble.into_iter().chain(counted).collect()
}

/// The table of tunnels, and under it why some are not up.
pub fn tunnels(tunnels: &[TunnelView], now: Timestamp) -> String {
    let mut table = table(&HEADINGS);
    for tunnel in tunnels {
        table.add_row(row(tunnel, now));
    }
    let mut text = rows(&table, "No tunnel is declared.");
    for tunnel in tunnels {
        text.extend(tunnel.reasons.iter().map(|why| format!("! {}: {}\n", tunnel.name, one_line(why))));
    }
    text
}

fn row(tunnel: &TunnelView, now: Timestamp) -> [String; 13] {
    let counted = |of: fn(&CountersView) -> String| or_dash(tunnel.counters.as_ref().map(of));
    [
        tunnel.name.clone(),
        or_dash(tunnel.kind.as_ref()),
        or_dash(tunnel.local),
        or_dash(tunnel.remote),
        or_dash(tunnel.overlay.as_ref()),
        or_dash(tunnel.mtu),
        tunnel.state.word().to_owned(),
        or_dash(tunnel.up_since.map(|since| units::span(now.saturating_sub(since)))),
        counted(|counters| units::bytes(counters.rx_bytes)),
        counted(|counters| units::count(counters.rx_packets)),
        counted(|counters| units::bytes(counters.tx_bytes)),
        counted(|counters| units::count(counters.tx_packets)),
        or_dash(tunnel.last_repair.as_ref().map(|last| repair(last, now))),
    ]
}

/// When a tunnel was last put right, and what was found.
pub fn repair(repair: &RepairView, now: Timestamp) -> String {
    let RepairView { at_ms, cause } = repair;
    format!("{} ago: {}", units::span(now.saturating_sub(at_ms / 1000)), one_line(cause))
}

/// Are all tunnels as declared?
pub fn ended(tunnels: &[TunnelView]) -> Ended {
    let fine = |tunnel: &TunnelView| matches!(tunnel.state, TunnelState::Up | TunnelState::Disabled);
    if tunnels.iter().all(fine) { Ended::Whole } else { Ended::Partly }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tunnel(name: &str) -> TunnelView {
        TunnelView {
            local: Some([198, 51, 100, 8].into()),
            remote: Some([192, 0, 2, 1].into()),
            overlay: Some("169.254.10.0/31".to_owned()),
            ..crate::api::tests::tunnel(name)
        }
    }

    fn cells(text: &str, line: usize) -> Vec<&str> {
        text.lines().nth(line).unwrap().split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect()
    }

    #[test]
    fn what_only_the_daemon_knows_is_a_dash_without_one() {
        let text = tunnels(&[tunnel("ams")], 1000);
        let known =
            ["ams", "unicast", "198.51.100.8", "192.0.2.1", "169.254.10.0/31", "1476", "up"].into_iter();
        assert_eq!(cells(&text, 1), known.chain(["-"; 6]).collect::<Vec<_>>());
        assert_eq!(cells(&text, 0).len(), HEADINGS.len(), "{text}");
    }

    #[test]
    fn what_the_daemon_knows_is_shown_for_people() {
        let counters = CountersView {
            rx_bytes: 1536,
            rx_packets: 12,
            rx_errors: 0,
            tx_bytes: 3 << 20,
            tx_packets: 45_600,
            tx_errors: 0,
        };
        let last_repair = RepairView { at_ms: 975_900, cause: "the link\nwas deleted".to_owned() };
        let known = TunnelView {
            counters: Some(counters),
            up_since: Some(400),
            last_repair: Some(last_repair),
            ..tunnel("ams")
        };
        let text = tunnels(&[known], 1000);
        let told = ["up", "10m0s", "1.5KiB", "12", "3.0MiB", "45.6k", "25s ago: the link was deleted"];
        assert_eq!(cells(&text, 1)[6..], told);
    }

    #[test]
    fn under_the_table_stands_what_is_wrong() {
        let refused = TunnelView {
            state: TunnelState::Refused,
            reasons: vec!["in the way".to_owned()],
            ..tunnel("fra")
        };
        let status = StatusView {
            version: "0".to_owned(),
            config: "a.toml".to_owned(),
            tunnels: vec![tunnel("ams"), refused],
            sessions: Vec::new(),
            orphans: vec!["link gh-lost".to_owned()],
            notes: vec!["a note".to_owned()],
            filter: FilterView {
                enabled: true,
                pairs: 2,
                dropped: Some(3),
                repairs: 0,
                trouble: Some("no nft".to_owned()),
            },
        };
        assert_eq!(ended(&status.tunnels), Ended::Partly);
        let text = text(&status, 0);
        let under: Vec<_> = text.lines().skip(3).collect();
        assert_eq!(
            under,
            [
                "! fra: in the way",
                "! filter: no nft",
                "# filter: GRE of 2 pair(s) is let in; 3 other packet(s) dropped",
                "? orphan: link gh-lost",
                "# a note",
            ]
        );
    }

    #[test]
    fn without_tunnels_there_is_a_sentence() {
        assert_eq!(tunnels(&[], 0), "No tunnel is declared.\n");
        assert_eq!(ended(&[]), Ended::Whole);
    }

    #[test]
    fn a_clock_that_went_back_makes_no_span_below_nothing() {
        assert!(repair(&RepairView { at_ms: 9_000_000, cause: "x".to_owned() }, 1000).starts_with("0s ago"));
    }
}
