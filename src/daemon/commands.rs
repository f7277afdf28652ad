//! What the API asks of the loop, and what it answers.

use super::keeper::{Aim, Keeper};
use super::measured;
use super::part::changed;
use super::publisher::{event_view, sentence};
use super::source::Bad;
use crate::api::{Answer, Command, Failure, Request};
use crate::config::Config;
use crate::model::EventKind;
use crate::reconcile::{self, Goal, Turn, part, view};
use crate::store::State;

impl Keeper {
    /// Does what is asked, and answers.
    pub fn answer(&mut self, request: Request) {
        let Request { command, by, reply } = request;
        if command.changes() {
            tracing::info!(uid = by.uid, pid = by.pid, "asked to {command:?}");
        }
        let answer = match command {
            Command::Apply => self.reload(true),
            Command::Reload => self.reload(false),
            Command::Plan => self.plan(),
            Command::Flush { orphans } => self.flush(orphans),
            Command::Events { since, limit } => self.events(since, limit),
            Command::Counters => {
                self.count();
                Ok(Answer::Counters)
            }
            Command::Metrics => {
                self.gauge();
                Ok(Answer::Counters)
            }
            Command::Latency => {
                let (census, reflected) = (self.prober.census(), self.prober.reflected());
                let (at, survey) = (self.clock.moment(), &self.prober.survey);
                let at = (at.up, at.wall_ms);
                Ok(Answer::Latency(measured::latency(survey, &census, reflected, at, measured::SERIES)))
            }
            Command::Connect(ask) => return self.connect(&ask, reply),
            Command::Disconnect { tunnel } => return self.disconnect(&tunnel, reply),
            Command::Move { tunnel, to } => self.move_by_hand(&tunnel, to),
            Command::Hold { tunnel, held } => self.hold(&tunnel, held),
        };
        // Who does not wait any more finds it among the events.
        let _ = reply.send(answer);
    }

    /// SIGHUP: nobody waits for an answer, so a refusal is told by the log alone.
    pub fn reload_on_signal(&mut self) {
        // What was refused stands among the events.
        let _ = self.reload(false);
    }

    /// Reads the declaration again. A bad one changes nothing. With `all`, what waits for its next try waits no more.
    fn reload(&mut self, all: bool) -> Result<Answer, Failure> {
        self.notify.reloading();
        let answer = self.read_anew().and_then(|config| {
            self.take_over(config);
            if all {
                self.chronicle.forget();
            }
            self.flushed = false;
            self.kernel.doubt();
            self.outcome(Aim::Now)
        });
        let summary = self.summary();
        self.notify.ready(&summary);
        answer
    }

    fn read_anew(&mut self) -> Result<Config, Failure> {
        let config = self.source.read().map_err(|bad| self.refuse(&bad))?;
        // Without a name its sessions would be nobody's.
        part::me(&config.role).map_err(|error| Failure::Wrong(sentence(error)))?;
        Ok(config)
    }

    fn refuse(&mut self, bad: &Bad) -> Failure {
        let failure = self.source.refusal(bad);
        if let Failure::Declaration { sentence, problems: _, text } = &failure {
            if let Some(text) = text {
                tracing::error!("{text}");
            }
            self.record(EventKind::Reload, sentence.clone());
        }
        failure
    }

    fn take_over(&mut self, config: Config) {
        let changed = changed(&self.declared, &config);
        let mut text = format!("{} was read again: {} tunnel(s) changed", self.source.name(), changed.len());
        if restart_needed(&self.declared, &config) {
            text.push_str(
                "; the socket, its group and readers, and state_dir are taken over at the next start",
            );
        }
        self.chronicle.redeclared(&changed);
        self.declared = Config {
            daemon: crate::config::DaemonConfig { rest: config.daemon.rest, ..self.declared.daemon.clone() },
            ..config
        };
        self.publisher.listener.listen(self.declared.metrics);
        self.take_part();
        self.compose();
        self.record(EventKind::Reload, text);
    }

    fn flush(&mut self, orphans: bool) -> Result<Answer, Failure> {
        self.kernel.doubt();
        self.chronicle.forget();
        let outcome =
            self.turn(Aim::Flush { orphans }, |outcome| (view::outcome(outcome), outcome.failed.len()));
        let (outcome, failed) = outcome.map_err(Failure::Failed)?;
        self.flushed = true;
        let text = match failed {
            0 => "everything that greyhound made was taken away".to_owned(),
            failed => format!("asked to take everything away, but {failed} object(s) could not be"),
        };
        self.record(EventKind::Flush, text);
        self.show();
        Ok(Answer::Outcome(outcome))
    }

    /// Looks at the kernel anew, and works out what would change.
    fn plan(&mut self) -> Result<Answer, Failure> {
        self.kernel.doubt();
        let goal = Goal { config: &self.config, flush: false, orphans: false };
        // What is only looked at leases nothing.
        let copy = State::open_copy(&self.config.daemon.state_dir);
        let mut state = copy.map_err(|error| Failure::Failed(sentence(error)))?;
        let (kernel, filter) = (&mut self.kernel, &mut self.filter);
        let mut turn = Turn { goal, kernel, state: &mut state, filter };
        let look = turn.look(reconcile::now()).map_err(|error| Failure::Failed(sentence(error)))?;
        Ok(Answer::Plan(view::plan(&look)))
    }

    fn events(&self, since: Option<u64>, limit: usize) -> Result<Answer, Failure> {
        let limit = limit as u64;
        let read = || {
            let since = match since {
                Some(since) => since,
                None => self.state.last_event()?.saturating_sub(limit),
            };
            self.state.events(since, limit)
        };
        let events = read().map_err(|error| Failure::Failed(sentence(error)))?;
        Ok(Answer::Events(events.iter().map(|(seq, event)| event_view(*seq, event)).collect()))
    }

    fn outcome(&mut self, aim: Aim) -> Result<Answer, Failure> {
        self.turn(aim, view::outcome).map(Answer::Outcome).map_err(Failure::Failed)
    }
}

/// Was something changed that a running daemon keeps as it is?
fn restart_needed(before: &Config, now: &Config) -> bool {
    let fixed = |config: &Config| {
        let crate::config::DaemonConfig { socket, state_dir, rest: _, readers_all, group } =
            config.daemon.clone();
        (socket, state_dir, readers_all, group)
    };
    fixed(before) != fixed(now)
}
