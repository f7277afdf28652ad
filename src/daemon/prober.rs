//! The probes of the daemon: the engine that asks, and the survey that knows what came of it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::clock::Clock;
use super::inbox::Outbox;
use crate::config::Config;
use crate::model::{Target, Tunnel};
use crate::probe::survey::{Inside, Subject, Survey};
use crate::probe::{self, Ask, Census, Engine, Options};
use crate::reconcile::Look;

/// Without an engine nothing is measured, and tunnels are moved by hand only; everything else goes on.
#[derive(Debug)]
pub struct Prober {
    pub survey: Survey,
    engine: Option<Engine>,
    /// Why there is no engine.
    trouble: Option<String>,
    clock: Clock,
    outbox: Outbox,
    /// Of the engine that runs.
    budget: u32,
    asked: BTreeMap<Target, Ask>,
}

impl Prober {
    /// In the network namespace of the calling thread. What comes of the probes reaches the loop by `outbox`.
    pub fn start(config: &Config, clock: Clock, outbox: Outbox) -> Self {
        let mut prober = Self {
            survey: Survey::new(config.probe.clone()),
            engine: None,
            trouble: None,
            clock,
            outbox,
            budget: config.probe.packets,
            asked: BTreeMap::new(),
        };
        prober.start_engine();
        prober
    }

    fn start_engine(&mut self) {
        let options = Options { begun: self.clock.begun(), budget: self.budget };
        let outbox = self.outbox.clone();
        self.asked.clear();
        match Engine::start(options, move |reports| outbox.report(reports)) {
            Ok(engine) => (self.engine, self.trouble) = (Some(engine), None),
            Err(error) => {
                let text = format!("nothing is probed: {}", super::publisher::sentence(error));
                tracing::warn!("{text}");
                self.trouble = Some(text);
            }
        }
    }

    /// What an operator should know.
    pub fn notes(&self) -> impl Iterator<Item = &String> {
        self.trouble.iter()
    }

    /// The tunnels are as this look says.
    pub fn follow(&mut self, config: &Config, look: &Look) {
        let enabled = config.tunnels.values().filter(|tunnel| tunnel.enable);
        let subjects = enabled.filter_map(|tunnel| Some((tunnel.name.clone(), subject(tunnel, look)?)));
        self.survey.set(self.clock.up(), &config.probe, subjects.collect());
        if self.budget != config.probe.packets {
            self.budget = config.probe.packets;
            self.engine = None;
            self.start_engine();
        }
    }

    /// Nothing is kept, so nothing is probed.
    pub fn rest(&mut self, config: &Config) {
        self.survey.set(self.clock.up(), &config.probe, BTreeMap::new());
    }

    /// Has those asked who are to be asked now.
    pub fn order(&mut self) {
        let Some(engine) = &self.engine else { return };
        let asks = self.survey.asks(self.clock.up());
        if asks == self.asked {
            return;
        }
        match engine.ask(asks.clone()) {
            Ok(()) => self.asked = asks,
            Err(error) => self.ended(error),
        }
    }

    /// What was counted and not believed so far.
    pub fn census(&mut self) -> Census {
        match self.engine.as_ref().map(Engine::census) {
            Some(Ok(census)) => census,
            Some(Err(error)) => {
                self.ended(error);
                Census::default()
            }
            None => Census::default(),
        }
    }

    /// When something changes by time alone.
    pub fn next(&self) -> Option<Duration> {
        self.engine.as_ref().and_then(|_| self.survey.next())
    }

    fn ended(&mut self, error: probe::Error) {
        tracing::error!("the probes have ended: {}", super::publisher::sentence(error));
        self.engine = None;
        self.start_engine();
    }
}

/// `None`: it cannot have a remote.
fn subject(tunnel: &Tunnel, look: &Look) -> Option<Subject> {
    let chosen = look.choices.get(&tunnel.name);
    let link = look.observed.link(tunnel.name.link().as_str()).filter(|link| link.gre().is_some() && link.up);
    let inside = |link: u32| Inside { link, source: tunnel.overlay.ip(), peer: tunnel.peer() };
    Some(Subject {
        candidates: tunnel.remotes.clone(),
        current: tunnel.remote(chosen)?,
        source: look.locals.get(&tunnel.name).and_then(|local| local.as_ref().ok()).copied(),
        inside: link.map(|link| inside(link.index)),
        held: chosen.is_some_and(|chosen| chosen.held),
    })
}
