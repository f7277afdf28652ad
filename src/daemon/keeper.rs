//! The loop: hear the kernel, take a turn, tell what came of it. It owns all state, and nothing waits for it.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::chronicle::{Around, Chronicle, event};
use super::clock::Clock;
use super::gathered::{count_trouble, count_turn};
use super::inbox::{Inbox, Outbox};
use super::mirrored::Mirrored;
use super::notify::Notify;
use super::part::Part;
use super::prober::Prober;
use super::publisher::{Publisher, sentence};
use super::source::Source;
use crate::api::metrics::Gauges;
use crate::config::Config;
use crate::filter::Filter;
use crate::model::{Counters, Event, EventKind};
use crate::netlink::Requests;
use crate::reconcile::{self, Done, Error, Goal, Halted, Look, Outcome, Reins, Turn};
use crate::store::State;

/// How often everything is read anew: some changes make no event.
const CHECK: Duration = Duration::from_secs(10);
/// What the kernel says in a row is answered by one turn.
const SETTLE: Duration = Duration::from_millis(5);
/// A turn after which something that could be done is left, because somebody undid it, is taken again after this.
const AGAIN: Duration = Duration::from_millis(100);
/// So many requests are answered before the kernel is looked at again.
const ANSWERS: usize = 16;
/// Lost events are told at most so often.
const LOSSES: Duration = Duration::from_secs(10);
/// Waits between turns that could not be made at all: from, to.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// The loop and its state.
pub struct Keeper {
    pub source: Source,
    /// As the file says.
    pub declared: Config,
    /// That, and what the inventory asks of this host.
    pub config: Config,
    /// This host's part of an inventory, and how many there were.
    pub part: Option<Part>,
    pub parts: u64,
    /// What is owed to the inventory may be otherwise than when it was last worked out.
    pub unpaid: bool,
    /// The way to this loop, for threads that it starts.
    pub outbox: Outbox,
    pub kernel: Mirrored,
    pub state: State,
    pub filter: Filter,
    pub chronicle: Chronicle,
    pub publisher: Publisher,
    pub inbox: Inbox,
    pub notify: Notify,
    pub prober: Prober,
    pub clock: Clock,
    pub pace: Pace,
    pub losses: Losses,
    /// Everything was taken away on request, and nothing is kept until the next request.
    pub flushed: bool,
    /// Why the last turn could not be made.
    pub trouble: Option<String>,
    /// The kernel as the last turn left it.
    pub last: Option<Look>,
    /// By ifindex, as they were when somebody last asked.
    pub counters: BTreeMap<u32, Counters>,
    pub counted_at: Option<Duration>,
    /// What metrics are made of besides, as it was when somebody last asked.
    pub gauges: Arc<Gauges>,
    pub gauged_at: Option<Duration>,
}

/// Events that were lost.
#[derive(Debug, Default)]
pub struct Losses {
    untold: u64,
    told_at: Option<Duration>,
    /// How long it took to read everything anew: as long nothing else is read, or nobody else would get to the kernel.
    pause: Duration,
}

/// When the next turn is due. Times are since the daemon began.
#[derive(Debug, Default)]
pub struct Pace {
    /// The mirror's revision that was planned on.
    planned: u64,
    check_at: Duration,
    again_at: Option<Duration>,
    retry: Duration,
    /// When the loop last woke, and what had been asked of the kernel until then.
    woke: (Duration, Requests),
}

/// What a turn is taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aim {
    Keep,
    /// Whatever waits is tried now.
    Now,
    Flush {
        orphans: bool,
    },
}

impl Keeper {
    /// Runs until it is told to stop.
    pub fn run(mut self) {
        self.begin();
        while !self.inbox.stopping() {
            let woke = self.wait();
            self.pace.woke = (woke, self.kernel.requests());
            self.feed();
            self.inbox.hush();
            if self.inbox.reloading() {
                self.reload_on_signal();
            }
            self.hear_inventory();
            self.answer_some();
            self.judge();
            self.keep();
            self.pay();
        }
        self.end();
    }

    /// Who asks without end does not keep the loop from what it is for.
    fn answer_some(&mut self) {
        for _ in 0..ANSWERS {
            let Some(request) = self.inbox.next().filter(|_| !self.inbox.stopping()) else { return };
            self.answer(request);
            self.feed();
        }
        self.inbox.again();
    }

    fn feed(&mut self) {
        self.notify.feed(self.clock.up(), || self.inbox.beating());
    }

    fn begin(&mut self) {
        self.compose();
        self.keep();
        let text = format!(
            "greyhound {} keeps {} tunnel(s) of {}",
            env!("CARGO_PKG_VERSION"),
            self.config.tunnels.len(),
            self.source.name()
        );
        self.record(EventKind::Start, text);
        let summary = self.summary();
        self.notify.ready(&summary);
    }

    fn end(&mut self) {
        self.notify.stopping();
        self.record(EventKind::Stop, "the daemon ends; the tunnels stay".to_owned());
    }

    /// Until the kernel or somebody says something, or something is due. When that was.
    fn wait(&self) -> Duration {
        let up = self.clock.up();
        let due = [
            Some(self.pace.check_at),
            self.pace.again_at,
            self.chronicle.next(up),
            self.notify.feed_at(),
            self.prober.next(),
        ];
        let due = due.into_iter().flatten().min().unwrap_or(up + CHECK);
        let heard = self.poll(
            &[PollFd::new(self.inbox.bell(), PollFlags::POLLIN), self.kernel_events()],
            due.saturating_sub(up),
        );
        let woke = self.clock.up();
        if heard && !self.inbox.stopping() {
            // Somebody's script may be in the middle of several changes.
            let time = SETTLE.max(self.losses.pause);
            self.poll(&[PollFd::new(self.inbox.bell(), PollFlags::POLLIN)], time);
        }
        woke
    }

    fn kernel_events(&self) -> PollFd<'_> {
        PollFd::new(self.kernel.events(), PollFlags::POLLIN)
    }

    /// Did something become readable within the time?
    fn poll(&self, descriptors: &[PollFd<'_>], time: Duration) -> bool {
        // Rounded up: a wait that ends just before its time would be many.
        let time = time + Duration::from_micros(999);
        let timeout = PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX);
        match poll(&mut descriptors.to_vec(), timeout) {
            Ok(readable) => readable > 0,
            Err(Errno::EINTR) => true,
            Err(errno) => {
                tracing::error!("the loop cannot wait: {errno}");
                std::thread::sleep(AGAIN);
                true
            }
        }
    }

    /// A turn, when one is due.
    fn keep(&mut self) {
        let up = self.clock.up();
        let checking = self.pace.check_at <= up;
        if checking {
            self.kernel.doubt();
            self.pace.check_at = up + CHECK;
        }
        let heard = self.kernel.hear();
        let resynced = self.tell_losses(up);
        if let Err(error) = heard {
            self.troubled(Error::Netlink(error), &[]);
            return;
        }
        if self.flushed {
            self.pace.again_at = None;
            self.trouble = None;
            if checking {
                self.show();
            }
            return;
        }
        let woken = |at: Option<Duration>| at.is_some_and(|at| at <= up);
        let waited = self.pace.again_at;
        if !(checking
            || resynced
            || woken(waited)
            || self.kernel.revision() != self.pace.planned
            || self.waits_are_over(up))
        {
            return;
        }
        // What went wrong is in the log, in the store and in what is shown.
        let _ = self.turn(Aim::Keep, |_| ());
    }

    fn waits_are_over(&self, up: Duration) -> bool {
        self.chronicle.due(up)
    }

    /// One turn, and all that follows from it. What `shown` makes of it, or why there was none, in a sentence.
    pub fn turn<T>(&mut self, aim: Aim, shown: impl FnOnce(&Outcome) -> T) -> Result<T, String> {
        let (flush, orphans) = match aim {
            Aim::Keep | Aim::Now => (false, false),
            Aim::Flush { orphans } => (true, orphans),
        };
        let (up, clock, inbox, notify) = (self.clock.up(), &self.clock, &self.inbox, &mut self.notify);
        let chronicle = &self.chronicle;
        let mut admit = |step: &_| aim != Aim::Keep || chronicle.admits(step, up);
        let goal = Goal { config: &self.config, flush, orphans };
        if aim != Aim::Keep {
            self.filter.hurry();
        }
        let (kernel, state, filter) = (&mut self.kernel, &mut self.state, &mut self.filter);
        let mut turn = Turn { goal, kernel, state, filter };
        // Thousands of tunnels take longer than the watchdog waits.
        let mut progress = || notify.feed(clock.up(), || inbox.beating());
        let turned = turn.run(reconcile::now(), Reins { admit: &mut admit, progress: &mut progress });
        for (kind, text) in self.filter.take_told() {
            self.record(kind, text);
        }
        let outcome = match turned {
            Ok(outcome) => outcome,
            Err(halted) => return Err(self.halted(halted)),
        };
        self.log_cost();
        count_turn(&mut self.publisher.tally, &outcome);
        self.publisher.tally.keep(|tunnel| self.config.tunnels.contains_key(tunnel));
        self.trouble = None;
        self.pace.retry = Duration::ZERO;
        self.tell(|chronicle, around| chronicle.tell(&outcome, around));
        self.pace.planned = self.kernel.revision();
        self.pace.again_at = self.left(&outcome.last).then(|| self.clock.up() + AGAIN);
        let shown = shown(&outcome);
        match aim {
            Aim::Flush { .. } => self.prober.rest(&self.config),
            Aim::Keep | Aim::Now => {
                let offered = self.part.as_ref().map(|part| &part.offered);
                self.prober.follow(&self.config, offered, &outcome.last);
            }
        }
        self.last = Some(outcome.last);
        self.unpaid = true;
        self.show();
        Ok(shown)
    }

    /// Tells of a turn what the chronicle says is to be told.
    fn tell(&mut self, told: impl FnOnce(&mut Chronicle, &Around<'_>) -> Vec<Event>) {
        // Only now: what is heard in the turn's own look explains its steps, too.
        let (causes, later) = self.kernel.take_causes();
        let at = self.clock.moment();
        let around =
            Around { loopback: &self.config.loopback, causes: &causes, later: &later, at, spread: random() };
        let events = told(&mut self.chronicle, &around);
        self.publisher.record(&mut self.state, &events);
    }

    /// A turn ended before its time. What it did is told; where it did nothing, what was heard explains a later one.
    fn halted(&mut self, halted: Halted) -> String {
        let Halted { error, done } = halted;
        if !done.is_empty() {
            self.tell(|chronicle, around| chronicle.tell_halted(&done, around));
        }
        self.troubled(error, &done)
    }

    /// What was asked of the kernel since the loop woke, and how long ago that was.
    fn log_cost(&self) {
        let (woke, before) = self.pace.woke;
        let Requests { dumps, reads, changes } = self.kernel.requests();
        let elapsed_us = self.clock.up().saturating_sub(woke).as_micros();
        tracing::debug!(
            dumps = dumps - before.dumps,
            reads = reads - before.reads,
            changes = changes - before.changes,
            elapsed_us,
            "a turn was taken"
        );
    }

    /// Is something left that could be done now?
    fn left(&self, last: &Look) -> bool {
        let up = self.clock.up();
        last.plan.steps.iter().any(|step| self.chronicle.admits(step, up))
    }

    /// A turn could not be made: it is tried again, less and less often.
    fn troubled(&mut self, error: Error, done: &[Done]) -> String {
        count_trouble(&mut self.publisher.tally, done, &error);
        let text = sentence(error);
        let (from, to) = RETRY;
        self.pace.retry = (self.pace.retry * 2).clamp(from, to);
        self.pace.again_at = Some(self.clock.up() + self.pace.retry);
        if self.trouble.as_ref() != Some(&text) {
            self.trouble = Some(text.clone());
            self.record(EventKind::Fail, text.clone());
            self.show();
        }
        text
    }

    /// Says so, when events were lost, the first time at once. `since`: when reading began.
    fn tell_losses(&mut self, since: Duration) -> bool {
        let (now, lost) = (self.clock.up(), self.kernel.take_losses());
        let Losses { untold, told_at, pause } = &mut self.losses;
        *untold += lost;
        self.publisher.tally.overruns += lost;
        *pause = if lost > 0 { now.saturating_sub(since).min(RETRY.0) } else { Duration::ZERO };
        if *untold > 0 && told_at.is_none_or(|at| at + LOSSES <= now) {
            let times = if *untold > 1 { format!(", {untold} times") } else { String::new() };
            (*untold, *told_at) = (0, Some(now));
            let text = format!("events of the kernel were lost{times}: everything was read anew");
            self.record(EventKind::Resync, text);
        }
        lost > 0
    }

    pub fn record(&mut self, kind: EventKind, text: String) {
        let event = event(self.clock.moment(), kind, None, text);
        self.publisher.record(&mut self.state, &[event]);
    }
}

/// 0 to 1000.
fn random() -> u32 {
    u32::try_from(RandomState::new().hash_one(()) % 1001).unwrap_or(0)
}
