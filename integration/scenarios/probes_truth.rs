//! How true a measured round trip is: beside fping, over paths of known delay; with a clock that is set; and with
//! thousands of targets.

use super::probes_kit::{MS, ask, by_kernel, probe, probe_all, reflector, target};
use crate::support::needs::{NETEM, Need};
use crate::support::scenario::{Scenario, scenario};
use crate::support::underlay::Way;
use crate::support::{Host, Leaf, Result, Underlay, World, ensure};
use anyhow::Context as _;
use greyhound::model::{Answer, Method, Outcome, Timing};
use greyhound::probe::Settings;
use nix::sys::time::{TimeSpec, TimeValLike};
use nix::time::{ClockId, clock_gettime, clock_settime};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

pub const SCENARIOS: &[Scenario] = &[
    scenario!(round_trips_are_as_long_as_the_path).needs(&[NETEM, Need::Program("fping")]).exclusive(),
    scenario!(a_clock_that_is_set_is_not_believed).needs(&[NETEM]).exclusive(),
    scenario!(four_thousand_targets_are_asked_without_a_loss).exclusive(),
];

const PATHS: [(&str, u32); 3] = [("203.0.113.1", 1), ("203.0.114.1", 10), ("203.0.115.1", 80)];
const PROBES: u32 = 300;

fn paths(world: &World) -> Result<(Underlay, [Host; 4])> {
    let leaves = [
        Leaf::new("client", "192.0.2.10/24"),
        Leaf::new("near", "203.0.113.1/24"),
        Leaf::new("mid", "203.0.114.1/24"),
        Leaf::new("far", "203.0.115.1/24"),
    ];
    let (underlay, hosts) = Underlay::build(world, leaves)?;
    for (host, (_, delay)) in hosts[1..].iter().zip(PATHS) {
        underlay.impair(host, Way::To, &format!("delay {delay}ms limit 10000"))?;
    }
    Ok((underlay, hosts))
}

/// The error that one of a hundred exceeds, in milliseconds.
fn p99(rtts: &[f64], truth: u32) -> f64 {
    let mut errors: Vec<f64> = rtts.iter().map(|rtt| (rtt - f64::from(truth)).abs()).collect();
    errors.sort_by(f64::total_cmp);
    errors[(errors.len() * 99).div_ceil(100) - 1]
}

fn ms(answers: &[Answer]) -> Vec<f64> {
    answers.iter().map(|answer| answer.rtt.as_secs_f64() * 1e3).collect()
}

/// The round trips of each target, as `fping -C` prints them.
fn fping(host: &Host) -> Result<BTreeMap<String, Vec<f64>>> {
    let count = PROBES.to_string();
    let words = ["fping", "-q", "-C", &count, "-p", "20", "-t", "1000"];
    let output = host.try_exec(words.into_iter().chain(PATHS.map(|(address, _)| address)))?;
    let line = |line: &str| {
        let (address, times) = line.split_once(" : ")?;
        let times = times.split_whitespace().filter_map(|time| time.parse().ok());
        Some((address.trim().to_owned(), times.collect()))
    };
    Ok(output.stderr.lines().filter_map(line).collect())
}

fn round_trips_are_as_long_as_the_path(world: &World) -> Result<()> {
    let (_underlay, hosts) = paths(world)?;
    let reflectors: Result<Vec<_>> =
        hosts[1..].iter().map(|host| reflector(host, 862, Settings::default())).collect();
    let _reflectors = reflectors?;
    let asked =
        |method, count| probe(&hosts[0], PATHS.map(|(to, _)| (target(to), ask(&[method], count, 20))));
    // The first packet waits until the router has found its neighbour, behind the same delay.
    asked(Method::Icmp, 1)?;
    let (icmp, stamp) = (asked(Method::Icmp, PROBES)?, asked(Method::Stamp, PROBES)?);
    let peer = fping(&hosts[0])?;
    println!("error of the round trip at p99, in ms, of {PROBES} probes");
    println!("path    icmp   stamp   fping   by the kernel's stamps");
    for (address, delay) in PATHS {
        let theirs = p99(peer.get(address).context("fping has no such target")?, delay);
        let echoes = icmp.answers(address, Method::Icmp);
        let stamps = stamp.answers(address, Method::Stamp);
        let (error, stamp_error) = (p99(&ms(&echoes), delay), p99(&ms(&stamps), delay));
        let kernel = by_kernel(&echoes) + by_kernel(&stamps);
        println!("{delay:>2} ms {error:>7.3} {stamp_error:>7.3} {theirs:>7.3}   {kernel} of {}", PROBES * 2);
        // The emulated machine is late at any time, for whoever it is; but nobody is ever early.
        for (method, rtts) in [("ICMP", ms(&echoes)), ("STAMP", ms(&stamps))] {
            let shortest = rtts.iter().copied().fold(f64::INFINITY, f64::min);
            let truth = f64::from(delay);
            ensure!((truth..truth + 5.0).contains(&shortest), "{address} by {method}: {shortest} ms at best");
        }
        ensure!(kernel >= PROBES as usize, "the kernel's stamps are the exception");
    }
    icmp.whole()?;
    stamp.whole()
}

/// Sets the clock of the whole machine, and sets it back when dropped.
pub struct Step(i64);

impl Step {
    pub fn by(milliseconds: i64) -> Result<Self> {
        shift(milliseconds)?;
        Ok(Self(milliseconds))
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        let _ = shift(-self.0);
    }
}

fn shift(milliseconds: i64) -> Result<()> {
    let now = clock_gettime(ClockId::CLOCK_REALTIME)?;
    clock_settime(ClockId::CLOCK_REALTIME, now + TimeSpec::milliseconds(milliseconds))
        .context("setting the clock")
}

fn a_clock_that_is_set_is_not_believed(world: &World) -> Result<()> {
    let (_underlay, hosts) = paths(world)?;
    let _reflector = reflector(&hosts[3], 862, Settings::default())?;
    let methods = [Method::Icmp, Method::Stamp];
    for step in [-3_600_000, -40, 40, 3_600_000] {
        let asks = BTreeMap::from([(target("203.0.115.1"), ask(&methods, 40, 20))]);
        let measured = probe_all(&hosts[0], asks, || {
            std::thread::sleep(MS * 400);
            let _step = Step::by(step)?;
            std::thread::sleep(MS * 200);
            Ok(())
        })?;
        measured.whole()?;
        let answers: Vec<_> =
            methods.iter().flat_map(|method| measured.answers("203.0.115.1", *method)).collect();
        let ours = answers.len() - by_kernel(&answers);
        println!("a step of {step} ms: {ours} of {} by our own clock", answers.len());
        // 80 ms of probes 10 ms apart are under way at each of two steps.
        ensure!(ours >= 8, "a step of {step} ms was not noticed");
        let longest = answers.iter().map(|answer| answer.rtt).max().unwrap_or_default();
        let shortest = answers.iter().map(|answer| answer.rtt).min().unwrap_or_default();
        ensure!(shortest >= MS * 79 && longest < MS * 200, "{step} ms: {shortest:?} to {longest:?}");
    }
    Ok(())
}

fn four_thousand_targets_are_asked_without_a_loss(world: &World) -> Result<()> {
    let host = world.host("host")?;
    let first = u32::from(Ipv4Addr::new(127, 1, 0, 1));
    let asks = (first..first + 4_000)
        .map(|address| (target(&Ipv4Addr::from(address).to_string()), ask(&[Method::Icmp], 5, 1_000)));
    let measured = probe_all(&host, asks.collect(), || Ok(()))?;
    measured.whole()?;
    let slow = measured.reports.iter().filter(|report| match &report.sample.outcome {
        Outcome::Answered(answer) => answer.timing == Timing::Monotonic,
        Outcome::Lost | Outcome::Refused(_) => true,
    });
    println!("{} echoes, {} without the kernel's stamps", measured.reports.len(), slow.count());
    let spread = measured.reports.iter().map(|report| report.sample.sent).max().unwrap_or_default();
    ensure!(spread < Duration::from_secs(9), "five rounds took {spread:?}");
    Ok(())
}
