//! Tunnels that move: by what is measured, or because a person says so. The choice is written before the kernel is
//! touched, and taken back when the kernel does not take it.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::chronicle::event;
use super::clock::Moment;
use super::keeper::{Aim, Keeper};
use super::publisher::sentence;
use crate::api::{Answer, Failure};
use crate::model::{Chosen, Event, EventKind, Learnt, TunnelName};
use crate::probe::liveness::{self, Change};
use crate::store::{self, State};

/// What the daemon's last run kept, on the clock of this one.
pub fn lessons(state: &mut State, at: Moment) -> Result<BTreeMap<TunnelName, Learnt>, store::Error> {
    let began_ms = at.began_ms();
    let lessons = state.change(|change| change.lessons(began_ms))?.into_iter();
    Ok(lessons.map(|(tunnel, learnt)| (tunnel, learnt.ahead(-began_ms))).collect())
}

impl Keeper {
    /// Takes in what was measured, and does what follows from it.
    pub fn judge(&mut self) {
        let now = self.clock.up();
        let mut changes = self.prober.survey.take(self.inbox.reports());
        changes.extend(self.prober.survey.tick(now));
        self.tell_liveness(&changes);
        if !self.flushed {
            let decisions = self.prober.survey.decide(now);
            // Before anything follows from it.
            self.keep_lessons();
            let moves = decisions.into_iter().filter_map(|(tunnel, decision)| {
                let to = decision.to()?;
                Some((tunnel, (to, decision.to_string())))
            });
            self.move_all(&moves.collect());
        }
        self.prober.order();
    }

    /// Without them the next start would go back to where this one failed.
    fn keep_lessons(&mut self) {
        let lessons = self.prober.survey.lessons();
        if lessons.is_empty() {
            return;
        }
        let began_ms = self.clock.moment().began_ms();
        let written = self.state.change::<_, store::Error>(|change| {
            let mut lessons = lessons.iter();
            lessons.try_for_each(|(tunnel, learnt)| change.learn(tunnel, &learnt.clone().ahead(began_ms)))
        });
        if let Err(error) = written {
            tracing::error!("what tunnels have learnt cannot be kept: {}", sentence(error));
            self.prober.survey.not_kept(lessons.into_keys());
        }
    }

    fn tell_liveness(&mut self, changes: &[(TunnelName, Change)]) {
        let at = self.clock.moment();
        let told = |(tunnel, change): &(TunnelName, Change)| {
            event(at, EventKind::Live, Some(tunnel), change.to.to_string())
        };
        let events: Vec<Event> = changes.iter().map(told).collect();
        for (tunnel, change) in changes {
            let since = (change.to == liveness::State::Up).then_some(at.wall_ms);
            self.publisher.tally.answers(tunnel, since);
        }
        self.publisher.record(&mut self.state, &events);
        // Nothing is routed into a session's tunnel that is down.
        if !events.is_empty() && self.compose() && !self.flushed {
            // What went wrong is told by the turn.
            let _ = self.turn(Aim::Keep, |_| ());
        } else if !events.is_empty() {
            self.show();
        }
    }

    /// Moves them in one turn. What could not be moved stays where it was, and is told.
    fn move_all(&mut self, moves: &BTreeMap<TunnelName, (Ipv4Addr, String)>) -> Vec<TunnelName> {
        if moves.is_empty() {
            return Vec::new();
        }
        let before = match self.choose(moves.iter().map(|(tunnel, (to, _))| (tunnel, *to))) {
            Ok(before) => before,
            Err(error) => {
                tracing::error!("no tunnel can be moved: {}", sentence(error));
                return moves.keys().cloned().collect();
            }
        };
        self.chronicle.redeclared(&moves.keys().cloned().collect());
        // What went wrong is told by the turn.
        let _ = self.turn(Aim::Keep, |_| ());
        let at = self.clock.moment();
        let (mut told, mut stay) = (Vec::new(), BTreeMap::new());
        for (tunnel, (to, why)) in moves {
            if self.leads_to(tunnel) == Some(*to) {
                self.prober.survey.moved(at.up, tunnel, *to);
                self.publisher.tally.moved(tunnel);
                told.push(event(at, EventKind::Move, Some(tunnel), why.clone()));
            } else {
                self.prober.survey.could_not_move(at.up, tunnel, *to);
                stay.insert(tunnel.clone(), before.get(tunnel).copied().unwrap_or_default());
            }
        }
        self.publisher.record(&mut self.state, &told);
        self.stay(&stay);
        stay.into_keys().collect()
    }

    /// Writes down where tunnels lead from now on; what was written before.
    fn choose<'a>(
        &mut self,
        moves: impl Iterator<Item = (&'a TunnelName, Ipv4Addr)>,
    ) -> Result<BTreeMap<TunnelName, Chosen>, store::Error> {
        let before = self.state.choices()?;
        self.state.change::<_, store::Error>(|change| {
            for (tunnel, to) in moves {
                let held = before.get(tunnel).is_some_and(|chosen| chosen.held);
                change.choose(tunnel, Chosen { remote: Some(to), held })?;
            }
            Ok(())
        })?;
        Ok(before)
    }

    /// They could not be moved: where they were is where they should be.
    fn stay(&mut self, stay: &BTreeMap<TunnelName, Chosen>) {
        if stay.is_empty() {
            return;
        }
        let written = self.state.change::<_, store::Error>(|change| {
            stay.iter().try_for_each(|(tunnel, before)| change.choose(tunnel, *before))
        });
        if let Err(error) = written {
            tracing::error!("it cannot be written that tunnels stay: {}", sentence(error));
        }
        let text = "it could not be moved, and stays where it was";
        let at = self.clock.moment();
        let told = |tunnel| event(at, EventKind::Fail, Some(tunnel), text.to_owned());
        let events: Vec<Event> = stay.keys().map(told).collect();
        self.publisher.record(&mut self.state, &events);
        let _ = self.turn(Aim::Keep, |_| ());
    }

    /// The remote that the kernel has for a tunnel.
    fn leads_to(&self, tunnel: &TunnelName) -> Option<Ipv4Addr> {
        let look = self.last.as_ref()?;
        Some(look.observed.link(tunnel.link().as_str())?.gre()?.remote)
    }

    /// A person moves a tunnel.
    pub fn move_by_hand(&mut self, tunnel: &TunnelName, to: Ipv4Addr) -> Result<Answer, Failure> {
        let declared = self.config.tunnels.get(tunnel);
        let declared = declared.ok_or_else(|| Failure::Wrong(format!("there is no tunnel {tunnel}")))?;
        if !declared.remotes.contains(&to) {
            let remotes: Vec<String> = declared.remotes.iter().map(ToString::to_string).collect();
            let sentence = format!("{to} is no remote of {tunnel}: it has {}", remotes.join(", "));
            return Err(Failure::Wrong(sentence));
        }
        if self.flushed || !declared.enable {
            return Err(Failure::Wrong(format!("{tunnel} is not kept now, so it cannot be moved")));
        }
        let from = self.leads_to(tunnel).map_or_else(|| "nowhere".to_owned(), |from| from.to_string());
        if from != to.to_string() {
            let moves = [(tunnel.clone(), (to, format!("moved by hand from {from} to {to}")))].into();
            if !self.move_all(&moves).is_empty() {
                let text = format!("{tunnel} could not be moved to {to}: greyhound events tells why");
                return Err(Failure::Failed(text));
            }
            self.prober.order();
        }
        self.tunnel(tunnel)
    }

    /// From now on a tunnel is moved by hand only, or no longer.
    pub fn hold(&mut self, tunnel: &TunnelName, held: bool) -> Result<Answer, Failure> {
        if !self.config.tunnels.contains_key(tunnel) {
            return Err(Failure::Wrong(format!("there is no tunnel {tunnel}")));
        }
        let failed = |error: store::Error| Failure::Failed(sentence(error));
        let before = self.state.choices().map_err(failed)?.get(tunnel).copied().unwrap_or_default();
        if before.held != held {
            let written = self.state.change(|change| change.choose(tunnel, Chosen { held, ..before }));
            written.map_err(failed)?;
            let text = if held { "from now on it is moved by hand only" } else { "it may be moved again" };
            let told = event(self.clock.moment(), EventKind::Move, Some(tunnel), text.to_owned());
            self.publisher.record(&mut self.state, &[told]);
        }
        if !self.flushed {
            self.turn(Aim::Keep, |_| ()).map_err(Failure::Failed)?;
        }
        self.tunnel(tunnel)
    }

    fn tunnel(&mut self, tunnel: &TunnelName) -> Result<Answer, Failure> {
        self.show();
        let shown = self.publisher.snapshot.borrow().clone();
        let found = shown.status.tunnels.iter().find(|view| view.name == tunnel.as_str());
        let found = found.ok_or_else(|| Failure::Failed(format!("{tunnel} is not shown yet")))?;
        Ok(Answer::Tunnel(Box::new(found.clone())))
    }
}
