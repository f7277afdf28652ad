//! `greyhound probe`: how far away addresses are, measured once, by this process itself.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde::Serialize;

use super::context::Context;
use super::output::{or_dash, rows, table};
use super::{Ended, output, stop};
use crate::model::{Method, Oddities, Outcome, Target};
use crate::probe::engine::{Engine, Options};
use crate::probe::{Ask, Pace, Report};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Whom to ask.
    #[arg(required = true, value_name = "ADDR")]
    addresses: Vec<Ipv4Addr>,

    /// Probes to each address, by each method.
    #[arg(short, long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,

    /// Between two probes to an address (200ms, 1s).
    #[arg(short, long, value_name = "DURATION", default_value = "200ms", value_parser = duration)]
    interval: Duration,

    /// How to ask.
    #[arg(short, long, value_enum, default_value_t = Methods::Icmp)]
    method: Methods,

    /// The address to ask from [default: the one that the route prefers].
    #[arg(long, value_name = "ADDR")]
    from: Option<Ipv4Addr>,

    /// The UDP port of STAMP reflectors.
    #[arg(long, value_name = "N", default_value_t = crate::probe::stamp::PORT,
        value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,

    /// How long to wait for an answer.
    #[arg(short, long, value_name = "DURATION", default_value = "1s", value_parser = duration)]
    timeout: Duration,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Methods {
    /// ICMP echo.
    Icmp,
    /// STAMP (RFC 8762), over UDP.
    Stamp,
    Both,
}

impl Methods {
    fn each(self) -> &'static [Method] {
        match self {
            Self::Icmp => &[Method::Icmp],
            Self::Stamp => &[Method::Stamp],
            Self::Both => &[Method::Icmp, Method::Stamp],
        }
    }
}

/// From a millisecond to an hour.
fn duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    let sane = (Duration::from_millis(1)..=Duration::from_secs(3600)).contains(&duration);
    sane.then_some(duration).ok_or_else(|| "it must be between 1ms and 1h".to_owned())
}

/// What happens while it measures.
enum Seen {
    /// The last probe has ended.
    Whole,
    Stop,
    /// The engine has ended: this is what came of it.
    Tallies(Tallies),
}

type Tallies = BTreeMap<(Ipv4Addr, Method), Tally>;

/// Counts on the engine's thread, so that nobody else has to wake up for each probe.
struct Counter {
    tallies: Tallies,
    /// Probes that have not ended yet.
    left: usize,
    tell: SyncSender<Seen>,
}

impl Counter {
    fn count(&mut self, reports: &[Report]) {
        for report in reports {
            if let Some(tally) = self.tallies.get_mut(&(report.target.address, report.method)) {
                tally.add(&report.sample.outcome);
                self.left = self.left.saturating_sub(1);
            }
        }
        if self.left == 0 {
            // Full: it was told before.
            let _ = self.tell.try_send(Seen::Whole);
        }
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        // Who does not listen any more does not want to know.
        let _ = self.tell.send(Seen::Tallies(std::mem::take(&mut self.tallies)));
    }
}

/// What came of one target by one method.
#[derive(Debug, Default)]
struct Tally {
    ended: u32,
    answers: u32,
    refused: Option<String>,
    least: Option<Duration>,
    most: Option<Duration>,
    sum: Duration,
}

/// The same as it is shown. Times in milliseconds.
#[derive(Debug, Serialize)]
struct Row {
    address: Ipv4Addr,
    method: Method,
    sent: u32,
    answered: u32,
    loss_percent: f64,
    min_ms: Option<f64>,
    mean_ms: Option<f64>,
    max_ms: Option<f64>,
    /// Why probes could not arrive, when somebody said so: the last reason.
    why: Option<String>,
}

#[derive(Debug, Serialize)]
struct View {
    targets: Vec<Row>,
    /// Replies that were not believed.
    oddities: Oddities,
}

/// Ends with 1 when somebody did not answer at all.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Ended> {
    // Room for each of the three, so that nobody waits for its reader.
    let (tell, seen) = sync_channel(3);
    stop::tell(Seen::Stop, tell.clone())?;
    let keys: Vec<_> =
        args.addresses.iter().flat_map(|address| args.method.each().iter().map(|m| (*address, *m))).collect();
    let tallies: Tallies = keys.iter().map(|key| (*key, Tally::default())).collect();
    let left = tallies.len() * args.count as usize;
    let mut counter = Counter { tallies, left, tell };
    let options = Options { begun: Instant::now(), ..Options::default() };
    let engine = Engine::start(options, move |reports| counter.count(&reports))?;
    engine.ask(asks(args))?;
    seen.recv().context("the engine has ended")?;
    let oddities = engine.census()?.all;
    drop(engine);
    let found = seen.iter().find_map(|seen| match seen {
        Seen::Tallies(tallies) => Some(tallies),
        Seen::Whole | Seen::Stop => None,
    });
    let mut tallies = found.context("the engine has ended")?;
    // In the order in which they were named.
    let row = |key| Some(tallies.remove(&key)?.row(key));
    let view = View { targets: keys.into_iter().filter_map(row).collect(), oddities };
    if context.json {
        output::json(&view)?;
    } else {
        output::text(&text(&view))?;
    }
    let all = view.targets.iter().all(|row| row.answered > 0);
    Ok(if all { Ended::Whole } else { Ended::Silent })
}

fn asks(args: &Args) -> BTreeMap<Target, Ask> {
    let pace = Pace { interval: args.interval, timeout: args.timeout };
    let ask = Ask { port: args.port, count: Some(args.count), ..Ask::of(args.method.each(), pace) };
    let target = |address| Target { source: args.from, ..Target::to(address) };
    args.addresses.iter().map(|address| (target(*address), ask.clone())).collect()
}

impl Tally {
    /// Counts a probe that ended.
    fn add(&mut self, outcome: &Outcome) {
        self.ended += 1;
        match outcome {
            Outcome::Answered(answer) => {
                self.answers += 1;
                self.sum += answer.rtt;
                self.least = Some(self.least.unwrap_or(answer.rtt).min(answer.rtt));
                self.most = self.most.max(Some(answer.rtt));
            }
            Outcome::Lost => {}
            Outcome::Refused(why) => self.refused = Some(why.clone()),
        }
    }

    fn row(self, (address, method): (Ipv4Addr, Method)) -> Row {
        let Self { ended, answers, refused, least, most, sum } = self;
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let lost = f64::from(ended - answers);
        Row {
            address,
            method,
            sent: ended,
            answered: answers,
            loss_percent: if ended == 0 { 0.0 } else { lost * 100.0 / f64::from(ended) },
            min_ms: least.map(ms),
            mean_ms: (answers > 0).then(|| ms(sum) / f64::from(answers)),
            max_ms: most.map(ms),
            why: refused,
        }
    }
}

fn text(view: &View) -> String {
    let mut table = table(&["address", "method", "sent", "answered", "loss", "min", "mean", "max", "why"]);
    let ms = |time: Option<f64>| or_dash(time.map(|ms| format!("{ms:.3}ms")));
    for row in &view.targets {
        table.add_row([
            row.address.to_string(),
            row.method.to_string(),
            row.sent.to_string(),
            row.answered.to_string(),
            format!("{:.0}%", row.loss_percent),
            ms(row.min_ms),
            ms(row.mean_ms),
            ms(row.max_ms),
            or_dash(row.why.as_deref()),
        ]);
    }
    let Oddities { forged, late, duplicated, foreign } = view.oddities;
    let mut text = rows(&table, "Nobody was asked.");
    if view.oddities != Oddities::default() {
        text += &format!(
            "Not believed: {forged} forged, {late} late, {duplicated} duplicated, {foreign} foreign.\n"
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Answer, Timing};

    const KEY: (Ipv4Addr, Method) = (Ipv4Addr::new(192, 0, 2, 1), Method::Icmp);

    fn answered(ms: u64) -> Outcome {
        let rtt = Duration::from_millis(ms);
        Outcome::Answered(Answer { rtt, timing: Timing::Kernel, reflected: None })
    }

    #[test]
    fn a_row_is_what_came_of_all_probes() {
        let mut tally = Tally::default();
        [answered(10), answered(30), Outcome::Lost, answered(20)].iter().for_each(|end| tally.add(end));
        let view = View { targets: vec![tally.row(KEY)], oddities: Oddities::default() };
        assert_eq!(
            text(&view),
            "ADDRESS    METHOD  SENT  ANSWERED  LOSS  MIN       MEAN      MAX       WHY\n\
             192.0.2.1  icmp    4     3         25%   10.000ms  20.000ms  30.000ms  -\n"
        );
    }

    #[test]
    fn who_is_silent_has_no_times_and_perhaps_a_reason() {
        let mut tally = Tally::default();
        tally.add(&Outcome::Refused("port unreachable, says 192.0.2.1".to_owned()));
        let oddities = Oddities { late: 2, ..Oddities::default() };
        let text = text(&View { targets: vec![tally.row(KEY)], oddities });
        assert!(text.contains("100%  -    -     -    port unreachable, says 192.0.2.1\n"), "{text}");
        assert!(text.ends_with("Not believed: 0 forged, 2 late, 0 duplicated, 0 foreign.\n"), "{text}");
    }

    #[test]
    fn a_duration_is_sane() {
        assert_eq!(duration("200ms"), Ok(Duration::from_millis(200)));
        for wrong in ["0s", "2h", "7", "soon"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
