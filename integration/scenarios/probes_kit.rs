//! What the scenarios of probes share: an engine of some host, and what came of its probes.

use crate::support::{Host, Result, ensure};
use anyhow::Context as _;
use greyhound::model::{Answer, Method, Outcome, Target, Timing};
use greyhound::probe::engine::Options;
use greyhound::probe::reflector;
use greyhound::probe::{Ask, Census, Engine, Pace, Reflector, Report, Settings};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::mpsc::channel;
use std::time::Duration;

pub const MS: Duration = Duration::from_millis(1);

/// Longer than any probe of a scenario waits, and than the emulated machine does something else.
const PATIENCE: Duration = Duration::from_secs(20);

pub fn target(address: &str) -> Target {
    Target::to(address.parse().unwrap())
}

/// So many probes, that many milliseconds apart, each of which waits for a second.
pub fn ask(methods: &[Method], count: u32, interval: u32) -> Ask {
    let pace = Pace { interval: MS * interval, timeout: Duration::from_secs(1) };
    Ask { count: Some(count), ..Ask::of(methods, pace) }
}

#[derive(Debug)]
pub struct Measured {
    pub reports: Vec<Report>,
    pub census: Census,
}

/// Asks until every probe has ended; stragglers have a little more time to be counted.
pub fn probe<const N: usize>(host: &Host, asks: [(Target, Ask); N]) -> Result<Measured> {
    probe_all(host, BTreeMap::from(asks), || Ok(()))
}

/// The same, with something done a moment after it began.
pub fn probe_all(
    host: &Host,
    asks: BTreeMap<Target, Ask>,
    meanwhile: impl FnOnce() -> Result<()>,
) -> Result<Measured> {
    let expected: u32 = asks.values().map(|ask| ask.count.unwrap_or(0) * ask.methods.len() as u32).sum();
    let (tell, told) = channel();
    let engine = host.within(|| {
        Ok(Engine::start(Options::default(), move |reports| {
            let _ = tell.send(reports);
        })?)
    })?;
    engine.ask(asks)?;
    meanwhile()?;
    let mut reports = Vec::new();
    while reports.len() < expected as usize {
        let came = told.recv_timeout(PATIENCE);
        reports.extend(came.with_context(|| format!("{} of {expected} probes have ended", reports.len()))?);
    }
    std::thread::sleep(MS * 300);
    let census = engine.census()?;
    drop(engine);
    reports.extend(told.try_iter().flatten());
    ensure!(reports.len() == expected as usize, "{} of {expected} probes have ended", reports.len());
    Ok(Measured { reports, census })
}

impl Measured {
    /// The answers of one target by one method.
    pub fn answers(&self, address: &str, method: Method) -> Vec<Answer> {
        let address: Ipv4Addr = address.parse().unwrap();
        let theirs =
            self.reports.iter().filter(|report| report.target.address == address && report.method == method);
        let answers = theirs.filter_map(|report| match &report.sample.outcome {
            Outcome::Answered(answer) => Some(answer.clone()),
            Outcome::Lost | Outcome::Refused(_) => None,
        });
        answers.collect()
    }

    /// How many probes ended unanswered.
    pub fn unanswered(&self) -> usize {
        self.reports.iter().filter(|report| !matches!(report.sample.outcome, Outcome::Answered(_))).count()
    }

    /// Every probe was answered, and nothing odd was heard.
    pub fn whole(&self) -> Result<()> {
        let odd = self.reports.iter().find(|report| !matches!(report.sample.outcome, Outcome::Answered(_)));
        ensure!(odd.is_none(), "{} unanswered, such as {odd:?}", self.unanswered());
        ensure!(self.census == Census::default(), "{:?}", self.census);
        Ok(())
    }

    /// Why a target refused, all of its probes having been refused for one reason.
    pub fn refusal(&self, target: &Target) -> Result<&str> {
        let mut reasons = self.reports.iter().filter(|report| report.target == *target).map(|report| {
            match &report.sample.outcome {
                Outcome::Refused(why) => Some(why.as_str()),
                Outcome::Lost | Outcome::Answered(_) => None,
            }
        });
        let first = reasons.next().flatten().context("not refused")?;
        ensure!(
            reasons.all(|other| other == Some(first)),
            "not all refused by {first:?}: {:?}, {:?}",
            self.reports,
            self.census
        );
        Ok(first)
    }
}

pub fn by_kernel(answers: &[Answer]) -> usize {
    answers.iter().filter(|answer| answer.timing == Timing::Kernel).count()
}

/// A reflector that answers everybody, as fast as they like.
pub fn reflector(host: &Host, port: u16, settings: Settings) -> Result<Reflector> {
    let allow = vec!["0.0.0.0/0".parse()?];
    let settings = Settings { allow, rate: 100_000, ..settings };
    host.within(|| Ok(Reflector::start(reflector::Options { port, settings })?))
}
