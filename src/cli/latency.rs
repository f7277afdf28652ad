//! `greyhound latency`: how far away every termination is.

use std::time::Duration;

use super::context::Context;
use super::output::{one_line, or_dash, rows, table};
use super::watch::{self, Watched};
use super::{Ended, output, units};
use crate::api::client::Client;
use crate::api::dto::{LatencyView, MethodView, NotBelievedView, ReflectorView, TerminationView};
use crate::model::Timestamp;

const HEADINGS: [&str; 17] = [
    "device",
    "interface",
    "termination",
    "source",
    "latency",
    "method",
    "last",
    "smoothed",
    "min",
    "median",
    "mean",
    "p95",
    "jitter",
    "loss",
    "there/back",
    "probed",
    "last ones",
];

/// From the lowest to the highest of a line.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Go on: again every SECONDS, in place. Ends with Ctrl-C, or with who reads it.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2",
        value_parser = clap::value_parser!(u64).range(1..=86400))]
    watch: Option<u64>,
}

pub fn run(context: &Context, args: &Args) -> anyhow::Result<Ended> {
    let client = context.daemon()?;
    context.agree(&client)?;
    if let Some(seconds) = args.watch {
        let bell = Client::connect(client.socket())?;
        let look = Box::new(move || Ok(client.latency()?));
        let watched = Watched { look, text, ended: |_: &LatencyView| Ended::Whole };
        return watch::run(context, Some(&bell), Duration::from_secs(seconds), watched);
    }
    let latency = client.latency()?;
    if context.json {
        output::json(&latency)?;
    } else {
        output::text(&text(&latency, 0))?;
    }
    Ok(Ended::Whole)
}

/// A line for each termination and method; the one in use has a star. Under them, why some have no latency, or are
/// not moved to.
fn text(latency: &LatencyView, _now: Timestamp) -> String {
    let LatencyView { at_ms: _, terminations, not_believed, reflector } = latency;
    let mut table = table(&HEADINGS);
    for termination in terminations {
        let methods = termination.methods.iter().map(Some);
        let nothing = termination.methods.is_empty().then_some(None);
        for method in methods.chain(nothing) {
            table.add_row(row(termination, method));
        }
    }
    let mut text = rows(&table, "There is nothing to probe.");
    for TerminationView { device, termination, latency_ms, result, shunned, .. } in terminations {
        let unmeasured = Some(result).filter(|_| latency_ms.is_none());
        for why in unmeasured.into_iter().chain(shunned) {
            text += &format!("! {device}: {termination}: {}\n", one_line(why));
        }
    }
    text + &odd(not_believed) + &reflector.as_ref().map(reflected).unwrap_or_default()
}

/// What was not believed, if anything was.
fn odd(not_believed: &NotBelievedView) -> String {
    let NotBelievedView { forged, late, duplicated, foreign } = not_believed;
    match forged + late + duplicated + foreign {
        0 => String::new(),
        _ => format!(
            "# replies not believed: {forged} forged, {late} late, {duplicated} duplicated, {foreign} foreign\n"
        ),
    }
}

fn reflected(reflector: &ReflectorView) -> String {
    let ReflectorView { answered, malformed, forbidden, echoing, limited, elsewhere, unsent } = reflector;
    let silent = malformed + forbidden + echoing + limited + elsewhere + unsent;
    format!("# reflector: {answered} answered, {silent} not ({forbidden} forbidden, {limited} limited)\n")
}

fn row(termination: &TerminationView, method: Option<&MethodView>) -> [String; 17] {
    let TerminationView { device, interface, termination: address, source, in_use, latency_ms, .. } =
        termination;
    let star = if *in_use { "*" } else { "" };
    let time = |of: fn(&MethodView) -> Option<f64>| or_dash(method.and_then(of).map(ms));
    [
        device.clone(),
        interface.clone(),
        format!("{address}{star}"),
        source.map_or_else(|| "by route".to_owned(), |source| source.to_string()),
        or_dash(latency_ms.map(ms)),
        or_dash(method.map(|method| &method.method)),
        time(|method| method.last_ms),
        time(|method| method.smoothed_ms),
        time(|method| method.min_ms),
        time(|method| method.median_ms),
        time(|method| method.mean_ms),
        time(|method| method.p95_ms),
        time(|method| method.jitter_ms),
        or_dash(method.map(|method| percent(method.loss))),
        or_dash(method.and_then(directions)),
        or_dash(method.and_then(|method| method.probed_ago_ms).map(|ms| units::span(ms / 1000))),
        or_dash(method.map(|method| sparkline(&method.series_ms)).filter(|line| !line.is_empty())),
    ]
}

/// Both or none is known.
fn directions(method: &MethodView) -> Option<String> {
    Some(format!("{}/{}", percent(method.loss_forward?), percent(method.loss_backward?)))
}

fn ms(ms: f64) -> String {
    format!("{ms:.*}ms", if ms < 10.0 { 2 } else { 1 })
}

fn percent(share: f64) -> String {
    format!("{:.*}%", usize::from(share > 0.0 && share < 0.1), share * 100.0)
}

/// Each round trip between the lowest and the highest of them; what was lost is an x.
fn sparkline(series: &[Option<f64>]) -> String {
    let known = || series.iter().flatten().copied();
    let (low, high) = (known().fold(f64::INFINITY, f64::min), known().fold(0.0, f64::max));
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 7")]
    let bar = |ms: f64| BARS[(((ms - low) / (high - low).max(1e-9)) * 7.0).round().clamp(0.0, 7.0) as usize];
    series.iter().map(|ms| ms.map_or('x', bar)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_shows_what_was_low_what_was_high_and_what_was_lost() {
        assert_eq!(sparkline(&[Some(1.0), Some(8.0), None, Some(4.5)]), "▁█x▅");
        assert_eq!(sparkline(&[Some(3.0), Some(3.0)]), "▁▁");
        assert_eq!(sparkline(&[None]), "x");
        assert_eq!(sparkline(&[]), "");
    }

    #[test]
    fn figures_have_the_digits_that_matter() {
        assert_eq!([0.0421, 9.994, 10.04, 250.0].map(ms), ["0.04ms", "9.99ms", "10.0ms", "250.0ms"]);
        assert_eq!([0.0, 0.004, 0.25, 1.0].map(percent), ["0%", "0.4%", "25%", "100%"]);
    }

    #[test]
    fn who_was_never_asked_has_a_line_of_dashes() {
        let termination = TerminationView {
            device: "ams".to_owned(),
            interface: "-".to_owned(),
            termination: [192, 0, 2, 1].into(),
            source: None,
            in_use: true,
            latency_ms: None,
            result: "not known yet".to_owned(),
            shunned: Some("this tunnel failed there".to_owned()),
            methods: Vec::new(),
        };
        let not_believed = NotBelievedView { late: 2, ..NotBelievedView::default() };
        let terminations = vec![termination];
        let latency = LatencyView { at_ms: 0, terminations, not_believed, reflector: None };
        let text = text(&latency, 0);
        let cells: Vec<&str> = text.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(cells[..3], ["ams", "-", "192.0.2.1*"]);
        assert_eq!(cells[3..5], ["by", "route"]);
        assert!(cells[5..].iter().all(|cell| *cell == "-"), "{text}");
        let under = "! ams: 192.0.2.1: not known yet\n\
                     ! ams: 192.0.2.1: this tunnel failed there\n\
                     # replies not believed: 0 forged, 2 late, 0 duplicated, 0 foreign\n";
        assert!(text.ends_with(under), "{text}");
    }
}
