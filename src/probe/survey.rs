//! All that is measured, and what follows from it: who is asked how often, and where each tunnel should lead. Pure.
//!
//! | file | what is in it |
//! |---|---|
//! | [`subject`] | a tunnel as the survey sees it |
//! | [`rows`] | what was measured, line by line |
//! | [`offered`] | terminations that no tunnel leads to yet |
//! | `course` | what is known of one tunnel |
//! | `lessons` | what of it outlives a restart |

mod course;
mod lessons;
pub mod offered;
pub mod rows;
pub mod subject;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use super::book::{Ask, Pace, Report};
use super::choice::{Decision, Sight};
use super::liveness::{self, Change};
use super::rank::{Entry, Ranking};
use super::score::{FRESH, Health};
use super::window::{Limits, Summary, Window};
use crate::model::{Learnt, Method, Outcome, Probing, Target, TunnelName};
use course::{Course, pace};
use lessons::Lessons;
pub use offered::Place;
pub use rows::Row;
pub use subject::{Inside, Subject};

use offered::Offered;

/// The pace of probes to all candidates of a tunnel that may be down: a few answers before it is called so; and of those
/// through one that nobody has answered through yet.
const URGENT: Duration = Duration::from_millis(200);
/// The pace of probes to candidates of a tunnel that is down, and to one in use whose last probe was lost.
const WORRIED: Duration = Duration::from_secs(1);
/// The samples kept of probes through a tunnel: they say whether it is up, and are many.
const INSIDE: usize = 32;
/// So many of the best candidates are asked at once when a tunnel may be down.
const REFUGES: usize = 4;
/// So many probes to a new target are not at the usual pace.
const FIRST: usize = 3;
/// A window has at least so many rounds, and so many rounds make a figure stale.
const ROUNDS: (u32, u32) = (30, 3);

/// Everything that is known of targets and tunnels.
#[derive(Debug)]
pub struct Survey {
    probing: Probing,
    windows: BTreeMap<Target, BTreeMap<Method, Window>>,
    courses: BTreeMap<TunnelName, Course>,
    /// Whose target it is.
    users: BTreeMap<Target, Vec<TunnelName>>,
    /// When the newest probe was sent that any termination answered.
    upstream: Option<Duration>,
    /// Of whom there is news since they were decided about.
    stirred: BTreeSet<TunnelName>,
    lessons: Lessons,
    offered: Offered,
}

/// Where one tunnel stands.
#[derive(Clone, Debug)]
pub struct Brief {
    pub liveness: liveness::State,
    /// What was asked through the tunnel.
    pub inside: Vec<(Method, Summary)>,
    pub health: Health,
    pub decision: Option<Decision>,
    pub held: bool,
}

impl Survey {
    /// `learnt` before the process began, when its clock was at zero.
    pub fn new(probing: Probing, learnt: BTreeMap<TunnelName, Learnt>) -> Self {
        Self {
            probing,
            windows: BTreeMap::new(),
            courses: BTreeMap::new(),
            users: BTreeMap::new(),
            upstream: None,
            stirred: BTreeSet::new(),
            lessons: Lessons::new(learnt),
            offered: Offered::default(),
        }
    }

    /// From now on there are these tunnels, probed so. What is known of those that stay is kept.
    pub fn set(&mut self, now: Duration, probing: &Probing, subjects: BTreeMap<TunnelName, Subject>) {
        self.courses.retain(|name, _| subjects.contains_key(name));
        if self.probing != *probing {
            self.probing.clone_from(probing);
            self.courses.iter_mut().for_each(|(name, course)| course.set_probing(probing, name));
            for (target, windows) in &mut self.windows {
                windows.values_mut().for_each(|window| window.set_limits(limits(probing, target)));
            }
        }
        for (name, subject) in subjects {
            match self.courses.get_mut(&name) {
                Some(course) if course.subject == subject => continue,
                Some(course) => course.become_of(now, probing, subject),
                None => {
                    let course = Course::new(now, probing, &name, subject, self.lessons.of(&name));
                    self.courses.insert(name.clone(), course);
                }
            }
            self.stirred.insert(name);
        }
        self.users = BTreeMap::new();
        for (name, course) in &self.courses {
            for target in course.subject.targets() {
                self.users.entry(target).or_default().push(name.clone());
            }
        }
        for target in self.offered.targets() {
            if self.course_to(target.address).is_none() {
                self.users.entry(target).or_default();
            }
        }
        self.windows.retain(|target, _| self.users.contains_key(target));
    }

    /// Who is to be asked at `now`, and how.
    pub fn asks(&self, now: Duration) -> BTreeMap<Target, Ask> {
        let mut asks: BTreeMap<Target, Ask> = BTreeMap::new();
        for (name, course) in &self.courses {
            let urgent = self.urgent(now, name, course);
            for target in course.subject.outer() {
                let interval = match urgent.contains(&target.address) {
                    true => self.probing.interval.min(URGENT).min(course.liveness.pace().interval()),
                    false => self.outer_interval(now, course, &target),
                };
                let methods = self.probing.methods.iter().map(|method| (*method, pace(interval)));
                merge(
                    &mut asks,
                    target,
                    Ask { methods: methods.collect(), port: self.probing.port, count: None },
                );
            }
            if let Some(target) = course.subject.inner() {
                let ask = Ask { methods: course.inner_paces(now), port: self.probing.port, count: None };
                merge(&mut asks, target, ask);
            }
        }
        for target in self.users.iter().filter(|(_, users)| users.is_empty()).map(|(target, _)| target) {
            let pace = pace(self.usual_interval(now, target));
            let methods = self.probing.methods.iter().map(|method| (*method, pace)).collect();
            merge(&mut asks, target.clone(), Ask { methods, port: self.probing.port, count: None });
        }
        asks
    }

    /// Probes that came to their end; the tunnels whose liveness became another one by them.
    pub fn take(&mut self, reports: Vec<Report>) -> Vec<(TunnelName, Change)> {
        let mut changes = Vec::new();
        for Report { target, method, sample } in reports {
            let Some(users) = self.users.get(&target) else { continue };
            let answered = matches!(sample.outcome, Outcome::Answered(_));
            for name in users {
                let Some(course) = self.courses.get_mut(name).filter(|_| target.link.is_some()) else {
                    self.stirred.insert(name.clone());
                    continue;
                };
                if answered {
                    course.answered(&self.probing, method, sample.sent);
                }
                if let Some(change) = course.liveness.take(&sample) {
                    self.stirred.insert(name.clone());
                    changes.push((name.clone(), change));
                }
            }
            if answered && target.link.is_none() {
                self.upstream = self.upstream.max(Some(sample.sent));
            }
            let limits = limits(&self.probing, &target);
            let windows = self.windows.entry(target).or_default();
            windows.entry(method).or_insert_with(|| Window::new(limits)).take(sample);
        }
        changes
    }

    /// The tunnels whose liveness became another one by the time that has gone by.
    pub fn tick(&mut self, now: Duration) -> Vec<(TunnelName, Change)> {
        let mut changes = Vec::new();
        // Of who is not in the kernel nothing is known.
        let inside = self.courses.iter_mut().filter(|(_, course)| course.subject.inside.is_some());
        for (name, course) in inside {
            if let Some(change) = course.liveness.tick(now) {
                self.stirred.insert(name.clone());
                changes.push((name.clone(), change));
            }
        }
        changes
    }

    /// The tunnels that should be moved now.
    pub fn decide(&mut self, now: Duration) -> Vec<(TunnelName, Decision)> {
        let due = self.courses.iter().filter(|(_, course)| course.chooser.next().is_some_and(|at| at <= now));
        let due: BTreeSet<TunnelName> = due.map(|(name, _)| name.clone()).collect();
        let names: BTreeSet<TunnelName> = std::mem::take(&mut self.stirred).into_iter().chain(due).collect();
        let mut moves = Vec::new();
        for name in names {
            let Some(course) = self.courses.get(&name).filter(|course| course.subject.inside.is_some())
            else {
                continue;
            };
            let ranking = self.ranking(now, &name, course);
            let upstream = self.upstream;
            let Some(course) = self.courses.get_mut(&name) else { continue };
            let sight = Sight { ranking: &ranking, liveness: course.liveness.state(), upstream };
            let decision = course.chooser.decide(now, sight);
            self.lessons.learn(&name, course.learnt());
            course.decision = Some(decision.clone());
            if decision.to().is_some() {
                moves.push((name, decision));
            }
        }
        moves
    }

    /// What tunnels have learnt since this was last asked, to be kept over a restart.
    pub fn lessons(&mut self) -> BTreeMap<TunnelName, Learnt> {
        self.lessons.take()
    }

    /// What these had learnt could not be kept: it is asked for again.
    pub fn not_kept(&mut self, tunnels: impl Iterator<Item = TunnelName>) {
        self.lessons.give_back(tunnels);
    }

    /// Only these are declared: what others have learnt is not worth anything any more.
    pub fn forget_all_but(&mut self, declared: impl Fn(&TunnelName) -> bool) {
        self.lessons.retain(declared);
    }

    /// The tunnel was moved at `now`, by a decision or by hand.
    pub fn moved(&mut self, now: Duration, tunnel: &TunnelName, to: Ipv4Addr) {
        let Some(course) = self.courses.get_mut(tunnel) else { return };
        if let Some(inner) = course.subject.inner() {
            self.windows.remove(&inner);
        }
        // It may have been seen in the kernel already.
        if course.subject.current != to {
            course.moved(now, &self.probing, to);
        }
        self.stirred.insert(tunnel.clone());
    }

    /// It should have been moved, and could not be.
    pub fn could_not_move(&mut self, now: Duration, tunnel: &TunnelName, to: Ipv4Addr) {
        if let Some(course) = self.courses.get_mut(tunnel) {
            course.chooser.could_not_move(now, to);
        }
    }

    /// When time alone can change something, later than `now`; `None`: only news can.
    pub fn next(&self, now: Duration) -> Option<Duration> {
        let inside = || self.courses.values().filter(|course| course.subject.inside.is_some());
        let chosen = inside().filter_map(|course| course.chooser.next());
        let changes = inside().filter_map(|course| course.liveness.next());
        // What is in doubt stays so until something else happens.
        let doubts = inside().filter_map(|course| course.liveness.doubt_at()).filter(|at| now < *at);
        chosen.chain(changes).chain(doubts).min()
    }

    /// Whose answers are overdue at `now`: their candidates are asked at once.
    pub fn doubted(&self, now: Duration) -> BTreeSet<TunnelName> {
        let doubted = self.courses.iter().filter(|(_, course)| course.liveness.in_doubt(now));
        doubted.map(|(name, _)| name.clone()).collect()
    }

    /// Where each tunnel stands.
    pub fn briefs(&self, now: Duration) -> BTreeMap<TunnelName, Brief> {
        let brief = |course: &Course| Brief {
            liveness: course.liveness.state().clone(),
            inside: course.subject.inner().map(|target| self.summaries(now, &target)).unwrap_or_default(),
            health: self.health(now, &course.subject.to(course.subject.current)),
            decision: course.decision.clone(),
            held: course.chooser.is_held(),
        };
        self.courses.iter().map(|(name, course)| (name.clone(), brief(course))).collect()
    }

    fn ranking(&self, now: Duration, name: &TunnelName, course: &Course) -> Ranking {
        let entries = course.subject.candidates.iter().enumerate().map(|(declared, address)| Entry {
            device: name.to_string(),
            interface: "-".to_owned(),
            address: *address,
            declared,
            health: self.health(now, &course.subject.to(*address)),
        });
        Ranking::new(entries.collect())
    }

    fn health(&self, now: Duration, target: &Target) -> Health {
        let fresh = FRESH.max(self.probing.interval * ROUNDS.1);
        Health::new(now, fresh, &self.summaries(now, target))
    }

    fn summaries(&self, now: Duration, target: &Target) -> Vec<(Method, Summary)> {
        let windows = self.windows.get(target).into_iter().flatten();
        windows.map(|(method, window)| (*method, window.summary(now))).collect()
    }

    /// Candidates to ask at once, because the tunnel may be down: the one in use, and those it would move to.
    fn urgent(&self, now: Duration, name: &TunnelName, course: &Course) -> BTreeSet<Ipv4Addr> {
        if course.subject.candidates.len() < 2 || !course.liveness.in_doubt(now) {
            return BTreeSet::new();
        }
        let ranking = self.ranking(now, name, course);
        let best = ranking.entries().iter().map(|entry| entry.address).take(REFUGES);
        best.chain([course.subject.current]).collect()
    }

    fn outer_interval(&self, now: Duration, course: &Course, target: &Target) -> Duration {
        let usual = self.usual_interval(now, target);
        let windows = || self.windows.get(target).into_iter().flat_map(BTreeMap::values);
        let lost = || windows().all(|window| window.series(now, 1) == [None]);
        let choice = course.subject.candidates.len() > 1;
        match course.liveness.state() {
            _ if !choice => usual,
            liveness::State::Down(_) => usual.min(WORRIED),
            _ if target.address == course.subject.current && lost() => usual.min(WORRIED),
            _ => usual,
        }
    }

    /// The pace of a target that nothing presses for: at first it is asked sooner.
    fn usual_interval(&self, now: Duration, target: &Target) -> Duration {
        let windows = self.windows.get(target).into_iter().flat_map(BTreeMap::values);
        let asked = windows.map(|window| window.series(now, FIRST).len()).max().unwrap_or(0);
        let usual = self.probing.interval;
        if asked < FIRST { usual.min(WORRIED) } else { usual }
    }
}

fn limits(probing: &Probing, target: &Target) -> Limits {
    let limits = Limits::default();
    let count = if target.link.is_some() { INSIDE } else { limits.count };
    Limits { age: limits.age.max(probing.interval * ROUNDS.0), count, ..limits }
}

/// Who is asked for two reasons is asked as often as the more pressing one says.
fn merge(asks: &mut BTreeMap<Target, Ask>, target: Target, ask: Ask) {
    let known = asks.entry(target).or_insert_with(|| ask.clone());
    for (method, pace) in ask.methods {
        let slower = |known: &Pace| known.interval > pace.interval;
        if known.methods.get(&method).is_none_or(slower) {
            known.methods.insert(method, pace);
        }
    }
}

#[cfg(test)]
mod tests;
