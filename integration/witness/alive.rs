//! I6: the daemon runs without a panic, takes no more memory and descriptors than at the mark, and feeds the watchdog.

use super::verdict::Verdict;
use crate::support::daemon::{Manager, Signs, WATCHDOG};
use crate::support::eventually;
use crate::support::notify::Notices;
use crate::support::service;
use anyhow::{Context, Result, ensure};
use nix::unistd::Pid;
use std::time::{Duration, Instant};

/// What the allocator keeps and a reply in the making takes, in KiB.
const SLACK: u64 = 4096;
/// What a verb that was just answered still holds open is closed by then.
const SETTLED: Duration = Duration::from_secs(3);

/// What a process takes at a moment.
#[derive(Clone, Copy, Debug)]
pub struct Vitals {
    pub pid: Pid,
    /// KiB.
    pub resident: u64,
    pub descriptors: usize,
}

impl Vitals {
    pub fn take(pid: Pid) -> Result<Self> {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).context("the daemon is gone")?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let resident = resident.context("the daemon has ended")?.trim().trim_end_matches(" kB").parse()?;
        let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd"))?.count();
        Ok(Self { pid, resident, descriptors })
    }

    /// Since an earlier moment of the same process.
    fn level(&self, before: &Self) -> Result<()> {
        let most = before.resident + SLACK + before.resident / 10;
        let (resident, descriptors) = (self.resident, self.descriptors);
        ensure!(resident <= most, "{resident} KiB are resident, {} at the mark", before.resident);
        ensure!(
            descriptors <= before.descriptors,
            "{descriptors} descriptors are open, {} at the mark",
            before.descriptors
        );
        Ok(())
    }
}

/// One that has ended by the scenario's own hand can only have panicked before.
pub fn panics(signs: &Signs, verdict: &mut Verdict) {
    let log = std::fs::read_to_string(&signs.log).unwrap_or_default();
    log.lines().filter(|line| line.contains("panicked at")).for_each(|line| verdict.violated("I6", line));
}

pub fn check(signs: &Signs, mark: Option<&Vitals>, verdict: &mut Verdict) {
    panics(signs, verdict);
    let say = &mut |what: String| verdict.violated("I6", what);
    let level = || {
        let now = Vitals::take(signs.pid)?;
        mark.filter(|mark| mark.pid == signs.pid).map_or(Ok(()), |mark| now.level(mark))
    };
    if let Err(error) = eventually(SETTLED, level) {
        say(format!("{error:#}"));
    }
    match &signs.manager {
        Manager::Us(notices) => {
            let gap = unfed(notices, signs.started);
            if gap > WATCHDOG {
                say(format!("the watchdog, which bites after {WATCHDOG:?}, was not fed for {gap:?}"));
            }
        }
        // Its watchdog bites.
        Manager::Systemd(unit) => match service::properties(unit) {
            Ok(all) if all.get("Result").is_some_and(|result| result == "success") => {}
            other => say(format!("systemd says of {unit}: {other:?}")),
        },
    }
}

/// The watchdog begins to count when the daemon is ready.
fn unfed(notices: &Notices, started: Instant) -> Duration {
    let ready = notices.times("READY=1").first().copied();
    longest_gap(ready.unwrap_or(started), &notices.times("WATCHDOG=1"), Instant::now())
}

pub fn longest_gap(start: Instant, fed: &[Instant], now: Instant) -> Duration {
    let from = std::iter::once(start).chain(fed.iter().copied());
    let to = fed.iter().copied().chain([now]);
    from.zip(to).map(|(from, to)| to.saturating_duration_since(from)).max().unwrap_or_default()
}
