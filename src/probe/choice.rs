//! Which endpoint a tunnel should use. Staying is the default. Pure.
//!
//! | file | what is in it |
//! |---|---|
//! | [`rules`] | the figures, and their defaults |
//! | [`decision`] | what was decided, and why |
//! | `history` | what a tunnel remembers of each candidate |
//!
//! The endpoint in use is dead when the tunnel's liveness is down; or, where the liveness does not say that it is
//! up, when no method reaches it; or when it is no candidate any more. Another one is known to be alive only by the
//! answer to a probe that was sent after that: when our own upstream dies, there is none, and the tunnel stays.

pub mod decision;
mod history;
pub mod rules;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

pub use decision::{Decision, Endpoint, Shunned, Stay, Verdict, Wait, Why};
use history::History;
pub use rules::Rules;

use super::liveness::State as Liveness;
use super::rank::{Entry, Ranking};
use super::score::{Latency, Standing};
use crate::model::Failure;

/// What a tunnel sees when it decides.
#[derive(Clone, Copy, Debug)]
pub struct Sight<'a> {
    /// Its candidates.
    pub ranking: &'a Ranking,
    /// Of the endpoint in use, since it is in use.
    pub liveness: &'a Liveness,
    /// When the newest probe was sent that any termination answered, whoever's candidate it is.
    pub upstream: Option<Duration>,
}

/// The choice of one tunnel.
#[derive(Clone, Debug)]
pub struct Chooser {
    rules: Rules,
    current: Ipv4Addr,
    /// When the tunnel came to it.
    since: Duration,
    held: bool,
    histories: BTreeMap<Ipv4Addr, History>,
    death: Option<Death>,
    next: Option<Duration>,
}

/// The endpoint in use was found dead, and has been since.
#[derive(Clone, Copy, Debug, Default)]
struct Death {
    /// When somebody was first known to have answered since.
    upstream_at: Option<Duration>,
}

/// Why the endpoint in use is dead.
struct Dead {
    why: String,
    /// An answer to a probe that was sent now or later came after that.
    gone: Duration,
    /// For so long another has to be alive meanwhile.
    settle: Duration,
}

impl Chooser {
    /// For a tunnel that uses `current`, made or found at `now`; `spread` as for [`Rules::spread`].
    pub fn new(rules: Rules, spread: u32, current: Ipv4Addr, now: Duration) -> Self {
        Self {
            rules: rules.spread(spread),
            current,
            since: now,
            held: false,
            histories: BTreeMap::new(),
            death: None,
            next: None,
        }
    }

    /// Other rules from now on; what it remembers stays.
    pub fn set_rules(&mut self, rules: Rules, spread: u32) {
        self.rules = rules.spread(spread);
    }

    /// The endpoint in use.
    pub fn current(&self) -> Ipv4Addr {
        self.current
    }

    /// When the tunnel came to it.
    pub fn since(&self) -> Duration {
        self.since
    }

    pub fn is_held(&self) -> bool {
        self.held
    }

    /// No automatic move from now on, not even from a dead endpoint.
    pub fn hold(&mut self) {
        self.held = true;
    }

    pub fn unhold(&mut self) {
        self.held = false;
    }

    /// The tunnel was moved, by a decision or by hand.
    pub fn moved(&mut self, now: Duration, to: Ipv4Addr) {
        self.current = to;
        self.since = now;
        self.death = None;
        self.histories.values_mut().for_each(|history| history.better_since = None);
    }

    /// The kernel refused the move: as if the tunnel had failed there.
    pub fn could_not_move(&mut self, now: Duration, to: Ipv4Addr) {
        self.histories.entry(to).or_default().failed(now);
    }

    /// Where the tunnel failed.
    pub fn failures(&self) -> BTreeMap<Ipv4Addr, Failure> {
        let failures = self.histories.iter();
        failures.filter_map(|(address, history)| Some((*address, history.failure?))).collect()
    }

    /// Where it failed before it was known here.
    pub fn remember(&mut self, failures: BTreeMap<Ipv4Addr, Failure>) {
        for (address, failure) in failures {
            self.histories.entry(address).or_default().failure = Some(failure);
        }
    }

    /// Why a candidate is not moved to for being better, whatever the others are like; `None`: nothing is in the way.
    pub fn shunned(&self, now: Duration, address: Ipv4Addr) -> Option<Shunned> {
        let (wait, until) = self.history(address).shunned(&self.rules, now)?;
        Some(Shunned { wait, left: until - now })
    }

    /// When time alone can change the decision, after the last one; `None`: only news can.
    pub fn next(&self) -> Option<Duration> {
        self.next
    }

    /// Stay or move? Call it for all news, and at [`next`](Self::next). A move is one when [`moved`](Self::moved)
    /// says so: until then, the answer is the same.
    pub fn decide(&mut self, now: Duration, sight: Sight<'_>) -> Decision {
        let dead = self.dead(sight);
        self.watch(now, sight, dead.as_ref());
        self.next = None;
        let verdict = match dead {
            _ if self.held => Verdict::Stay { why: Stay::Held { dead: dead.map(|dead| dead.why) } },
            Some(dead) => self.flee(now, sight, dead),
            None => self.improve(now, sight.ranking),
        };
        let latency = sight.ranking.get(self.current).and_then(Entry::latency);
        Decision { current: Endpoint { address: self.current, latency }, verdict }
    }

    fn dead(&self, sight: Sight<'_>) -> Option<Dead> {
        let Some(entry) = sight.ranking.get(self.current) else {
            let why = "it is no candidate any more".to_owned();
            return Some(Dead { why, gone: Duration::ZERO, settle: Duration::ZERO });
        };
        match (sight.liveness, &entry.health.standing) {
            (Liveness::Down(cause), _) => {
                Some(Dead { why: cause.to_string(), gone: cause.gone, settle: cause.interval * 3 / 2 })
            }
            (Liveness::Unknown | Liveness::Silent, Standing::Unreachable { why, since }) => {
                Some(Dead { why: why.clone(), gone: *since, settle: self.rules.settle })
            }
            (Liveness::Unknown | Liveness::Silent | Liveness::Up, _) => None,
        }
    }

    /// Remembers what is seen.
    fn watch(&mut self, now: Duration, sight: Sight<'_>, dead: Option<&Dead>) {
        let first = dead.is_some() && self.death.is_none();
        self.death = dead.map(|dead| {
            let Death { upstream_at } = self.death.unwrap_or_default();
            let is_up = sight.upstream >= Some(dead.gone);
            Death { upstream_at: upstream_at.or(is_up.then_some(now)) }
        });
        let Self { rules, current, histories, .. } = self;
        histories.retain(|address, _| sight.ranking.get(*address).is_some());
        let in_use = sight.ranking.get(*current).and_then(Entry::latency).filter(|_| dead.is_none());
        for entry in sight.ranking.entries() {
            let history = histories.entry(entry.address).or_default();
            match &entry.health.standing {
                _ if entry.address == *current && dead.is_some() => history.saw_dead(rules, now, first),
                _ if entry.address == *current => history.saw_alive(rules, now),
                Standing::Measured(_) => history.saw_alive(rules, now),
                Standing::Stale { .. } | Standing::Unknown => {}
                Standing::Unreachable { .. } => history.saw_dead(rules, now, false),
            }
            history.better_since = match (entry.latency(), in_use) {
                // A moment in which the one in use has no figure is no break.
                (Some(_), None) if dead.is_none() => history.better_since,
                (Some(latency), Some(in_use)) if rules.needed(in_use.span()) >= Some(latency.span()) => {
                    Some(history.better_since.unwrap_or(now))
                }
                _ => None,
            };
        }
        self.watch_tunnel(now, sight, first);
    }

    /// A tunnel that is down at an endpoint that answered all the while failed for itself. That is known only at the
    /// first look: later answers may come from an endpoint that was dead too, and has come back.
    fn watch_tunnel(&mut self, now: Duration, sight: Sight<'_>, first: bool) {
        let Some(entry) = sight.ranking.get(self.current) else { return };
        let history = self.histories.entry(self.current).or_default();
        let answered = |gone| entry.health.alive_since(gone) == Some(gone);
        match sight.liveness {
            Liveness::Down(cause) if first && (cause.after_move || answered(cause.gone)) => {
                history.failed(now)
            }
            Liveness::Up if now >= self.since + self.rules.hold_down => history.works(),
            _ => {}
        }
    }

    /// The endpoint in use is dead: the most willing refuge, those known to be alive before those that are only
    /// not known to be dead.
    fn flee(&mut self, now: Duration, sight: Sight<'_>, dead: Dead) -> Verdict {
        let mut refuges = Vec::new();
        for (place, entry) in self.others(sight.ranking).enumerate() {
            let alive = entry.health.alive_since(dead.gone).map(|since| since + dead.settle);
            let upstream = || self.death?.upstream_at.map(|at| at + self.rules.settle);
            let doubt = match entry.health.standing {
                Standing::Measured(_) => false,
                Standing::Stale { .. } | Standing::Unknown => true,
                Standing::Unreachable { .. } => continue,
            };
            let Some(settled) = alive.or_else(upstream) else { continue };
            let (willing, from) = match self.history(entry.address).refuge(&self.rules, now, self.since) {
                Ok(willing) => (willing, settled),
                Err(from) => (u8::MAX, from.max(settled)),
            };
            let waits = from.max(now);
            refuges.push(((waits, doubt, willing, alive.is_none(), place), endpoint(entry)));
        }
        let Some(((from, ..), other)) = refuges.into_iter().min_by_key(|(key, _)| *key) else {
            return Verdict::Stay { why: Stay::NobodyElse { dead: dead.why } };
        };
        if now < from {
            self.next = Some(from);
            return Verdict::Stay { why: Stay::Settling { dead: dead.why, other, left: from - now } };
        }
        Verdict::Move { to: other, why: Why::Dead { dead: dead.why } }
    }

    /// The endpoint in use works: is another one better, and has it been for long enough?
    fn improve(&mut self, now: Duration, ranking: &Ranking) -> Verdict {
        let Some(latency) = ranking.get(self.current).and_then(Entry::latency) else {
            return Verdict::Stay { why: Stay::Unmeasured };
        };
        let mut why = None;
        for entry in self.others(ranking).take_while(|entry| entry.latency().is_some_and(|l| l < latency)) {
            let (other, history) = (endpoint(entry), self.history(entry.address));
            let Some(since) = history.better_since else {
                let needed_ms = self.rules.needed(latency.span()).map(Latency::new);
                why.get_or_insert(Stay::TooClose { other, needed_ms });
                continue;
            };
            let Some((wait, until)) = self.waits(now, history, since) else {
                let span = now - since;
                return Verdict::Move { to: other, why: Why::Better { span } };
            };
            self.next = Some(self.next.map_or(until, |next| next.min(until)));
            why.get_or_insert(Stay::Waiting { other, wait, left: until - now });
        }
        Verdict::Stay { why: why.unwrap_or(Stay::Best) }
    }

    /// What one that has been better since then still waits for, and until when: the longest of all waits.
    fn waits(&self, now: Duration, history: History, since: Duration) -> Option<(Wait, Duration)> {
        let moved = Some((Wait::Moved, self.since + self.rules.hold_down));
        let hold = Some((Wait::Hold, since + self.rules.hold));
        let waits = [history.shunned(&self.rules, now), moved, hold];
        waits.into_iter().flatten().filter(|(_, until)| now < *until).max_by_key(|(_, until)| *until)
    }

    fn others<'a>(&self, ranking: &'a Ranking) -> impl Iterator<Item = &'a Entry> + use<'a> {
        let current = self.current;
        ranking.entries().iter().filter(move |entry| entry.address != current)
    }

    fn history(&self, address: Ipv4Addr) -> History {
        self.histories.get(&address).copied().unwrap_or_default()
    }
}

fn endpoint(entry: &Entry) -> Endpoint {
    Endpoint { address: entry.address, latency: entry.latency() }
}

#[cfg(test)]
mod tests;
