//! The probes of the daemon: the engine that asks, and the survey that knows what came of it.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as _;
use std::net::Ipv4Addr;
use std::time::Duration;

use ipnetwork::Ipv4Network;

use super::clock::Clock;
use super::inbox::Outbox;
use super::publisher::sentence;
use crate::config::Config;
use crate::model::{Learnt, Link, Reflecting, Target, Tunnel, TunnelName};
use crate::probe::survey::{Inside, Place, Subject, Survey};
use crate::probe::{self, Ask, Census, Engine, Reflected, Reflector, Report, Settings, engine, reflector};
use crate::reconcile::Look;

/// Reports that are kept for a loop that does not listen; the oldest go.
const KEPT: usize = 100_000;

/// Without an engine nothing is measured, and tunnels are moved by hand only; everything else goes on.
#[derive(Debug)]
pub struct Prober {
    pub survey: Survey,
    engine: Option<Engine>,
    /// Why there is no engine.
    trouble: Option<String>,
    clock: Clock,
    outbox: Outbox,
    reflector: Option<Answering>,
    /// Of the engine that runs.
    budget: u32,
    asked: BTreeMap<Target, Ask>,
    /// When, and with whom in doubt, it was last looked who is to be asked.
    looked: Option<(Duration, BTreeSet<TunnelName>)>,
    /// More is asked for than may leave.
    crowded: Option<String>,
    /// When what could not be started is tried again, and how long the wait was.
    retry: (Duration, Duration),
}

/// Without news it is looked so often who is to be asked.
const LOOK: Duration = Duration::from_secs(1);
/// Waits before an engine or a reflector that could not be started is tried again: from, to.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

impl Prober {
    /// In the network namespace of the calling thread. What comes of the probes reaches the loop by `outbox`.
    /// `learnt` by its last run.
    pub fn start(
        config: &Config,
        learnt: BTreeMap<TunnelName, Learnt>,
        clock: Clock,
        outbox: Outbox,
    ) -> Self {
        let mut prober = Self {
            survey: Survey::new(config.probe.clone(), learnt),
            engine: None,
            trouble: None,
            reflector: None,
            clock,
            outbox,
            budget: config.probe.packets,
            asked: BTreeMap::new(),
            looked: None,
            crowded: None,
            retry: (Duration::ZERO, Duration::ZERO),
        };
        prober.start_engine();
        prober
    }

    fn start_engine(&mut self) {
        let options = engine::Options { begun: self.clock.begun(), budget: self.budget };
        let (outbox, mut kept) = (self.outbox.clone(), Vec::new());
        self.asked.clear();
        self.looked = None;
        let report = move |reports: Vec<Report>| {
            kept.extend(reports);
            let most = kept.len().saturating_sub(KEPT);
            kept.drain(..most);
            if let Err(back) = outbox.report(std::mem::take(&mut kept)) {
                kept = back;
            }
        };
        match Engine::start(options, report) {
            Ok(engine) => (self.engine, self.trouble) = (Some(engine), None),
            Err(error) => {
                let text = format!("nothing is probed: {}", sentence(error));
                warn_once(self.trouble.as_ref(), &text);
                self.trouble = Some(text);
            }
        }
    }

    /// What an operator should know.
    pub fn notes(&self) -> impl Iterator<Item = String> {
        let reflector = self.reflector.iter().filter_map(Answering::note);
        self.trouble.iter().cloned().chain(reflector).chain(self.crowded.iter().cloned())
    }

    /// The tunnels are as this look says, and these terminations are offered.
    pub fn follow(&mut self, config: &Config, offered: Option<&BTreeMap<Ipv4Addr, Place>>, look: &Look) {
        let enabled = config.tunnels.values().filter(|tunnel| tunnel.enable);
        let links = look.observed.by_name();
        let here: BTreeSet<Ipv4Addr> = look.observed.addresses.iter().map(|own| own.address.ip()).collect();
        let subject = |tunnel: &Tunnel| {
            let link = links.get(tunnel.name.link().as_str()).copied();
            Some((tunnel.name.clone(), subject(tunnel, link, look, &here)?))
        };
        let subjects = enabled.filter_map(subject);
        self.survey.forget_all_but(|name| config.tunnels.contains_key(name));
        self.survey.set_offered(look.probe, offered.cloned().unwrap_or_default());
        self.survey.set(self.clock.up(), &config.probe, subjects.collect());
        self.looked = None;
        let again = self.again();
        if self.budget != config.probe.packets || (self.engine.is_none() && again) {
            self.budget = config.probe.packets;
            self.engine = None;
            self.start_engine();
        }
        let reflecting =
            config.reflector.as_ref().map(|declared| (declared.port, settings(declared, config, look)));
        self.reflect(reflecting, again);
        let failed = self.reflector.as_ref().is_some_and(|running| !running.is_whole());
        if !failed && self.engine.is_some() {
            self.retry = (Duration::ZERO, Duration::ZERO);
        }
    }

    /// May what could not be started be tried again? Then not again for a while, longer each time.
    fn again(&mut self) -> bool {
        let (now, (at, wait)) = (self.clock.up(), self.retry);
        let again = at <= now;
        if again {
            let wait = (wait * 2).clamp(RETRY.0, RETRY.1);
            self.retry = (now + wait, wait);
        }
        again
    }

    /// Answers others' probes so from now on; `None`: not at all.
    fn reflect(&mut self, wanted: Option<(u16, Settings)>, again: bool) {
        let Some((port, settings)) = wanted else {
            self.reflector = None;
            return;
        };
        match self.reflector.take().filter(|running| running.port == port) {
            Some(running) if running.settings == settings && (running.is_whole() || !again) => {
                self.reflector = Some(running);
            }
            Some(running) => self.reflector = Some(running.set(settings)),
            None => self.reflector = Some(Answering::start(port, settings, None)),
        }
    }

    /// Nothing is kept, so nothing is probed.
    pub fn rest(&mut self, config: &Config) {
        self.survey.set_offered(None, BTreeMap::new());
        self.survey.set(self.clock.up(), &config.probe, BTreeMap::new());
        self.looked = None;
        self.reflect(None, false);
    }

    /// Has those asked who are to be asked now.
    pub fn order(&mut self) {
        let now = self.clock.up();
        let doubted = self.survey.doubted(now);
        let current =
            |(at, before): &(Duration, BTreeSet<TunnelName>)| now < *at + LOOK && *before == doubted;
        let Some(engine) = self.engine.as_ref().filter(|_| !self.looked.as_ref().is_some_and(current)) else {
            return;
        };
        let asks = self.survey.asks(now);
        if doubted.is_empty() {
            let paces = asks.values().flat_map(|ask| ask.methods.values());
            let demand: f64 = paces.map(|pace| 1.0 / pace.interval.as_secs_f64()).sum();
            self.crowded = (demand > f64::from(self.budget)).then(|| {
                format!(
                    "{demand:.0} probes a second are asked for, and [probe] packets allows {}",
                    self.budget
                )
            });
        }
        self.looked = Some((now, doubted));
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

    /// What was done with others' requests; `None`: nobody is answered.
    pub fn reflected(&self) -> Option<Reflected> {
        // One that has ended is started anew with the next turn.
        self.reflector.as_ref()?.socket.as_ref().ok()?.counts().ok()
    }

    /// When something changes by time alone.
    pub fn next(&self) -> Option<Duration> {
        self.engine.as_ref().and_then(|_| self.survey.next(self.clock.up()))
    }

    fn ended(&mut self, error: probe::Error) {
        tracing::error!("the probes have ended: {}", sentence(error));
        self.engine = None;
        self.start_engine();
    }
}

/// The reflector that answers others' probes.
#[derive(Debug)]
struct Answering {
    port: u16,
    settings: Settings,
    /// Or why it does not answer.
    socket: Result<Reflector, String>,
}

impl Answering {
    fn start(port: u16, settings: Settings, said: Option<&String>) -> Self {
        let socket = Reflector::start(reflector::Options { port, settings: settings.clone() });
        let socket = socket.map_err(|error| {
            let text = format!("nobody's probes are answered: {}", sentence(error));
            warn_once(said, &text);
            text
        });
        Self { port, settings, socket }
    }

    /// Does it listen wherever it should?
    fn is_whole(&self) -> bool {
        self.socket.as_ref().is_ok_and(|reflector| reflector.deaf().is_empty())
    }

    /// What an operator should know.
    fn note(&self) -> Option<String> {
        let reflector = match &self.socket {
            Ok(reflector) => reflector,
            Err(said) => return Some(said.clone()),
        };
        let (vrf, error) = reflector.deaf().iter().next()?;
        let cause = error.source().map_or_else(String::new, |source| format!(": {source}"));
        Some(format!("nobody's probes are answered in the VRF with ifindex {vrf}: {error}{cause}"))
    }

    /// With other settings; anew when it does not run, or cannot have them.
    fn set(self, settings: Settings) -> Self {
        let said = match self.socket {
            Ok(mut reflector) => match reflector.set(settings.clone()) {
                Ok(()) => return Self { settings, socket: Ok(reflector), ..self },
                Err(error) => Some(sentence(error)),
            },
            Err(said) => Some(said),
        };
        Self::start(self.port, settings, said.as_ref())
    }
}

/// Answers at the local addresses of tunnels and inside them; to those who are declared, and to the peers.
fn settings(declared: &Reflecting, config: &Config, look: &Look) -> Settings {
    let enabled = || config.tunnels.values().filter(|tunnel| tunnel.enable);
    let locals = look.locals.values().filter_map(|local| local.as_ref().ok()).copied();
    let peers = enabled().map(|tunnel| Ipv4Network::from(tunnel.peer()));
    let links = look.observed.by_name();
    let ours = || enabled().filter_map(|tunnel| links.get(tunnel.name.link().as_str()).copied());
    Settings {
        addresses: Some(
            config
                .offered
                .iter()
                .copied()
                .chain(locals)
                .chain(enabled().map(|tunnel| tunnel.overlay.ip()))
                .collect(),
        ),
        allow: declared.allow.iter().copied().chain(peers).collect(),
        rate: declared.packets,
        tunnels: ours().map(|link| link.index).collect(),
        vrfs: ours().filter_map(|link| look.observed.vrf_of(link)).collect(),
        ..Settings::default()
    }
}

/// `None`: it cannot have a remote.
fn subject(tunnel: &Tunnel, link: Option<&Link>, look: &Look, here: &BTreeSet<Ipv4Addr>) -> Option<Subject> {
    let chosen = look.choices.get(&tunnel.name);
    let link = link.filter(|link| link.gre().is_some() && link.up);
    // The kernel says where it leads, whatever was chosen.
    let leads =
        link.and_then(Link::gre).map(|gre| gre.remote).filter(|remote| tunnel.remotes.contains(remote));
    let inside = |link: &Link| {
        let vrf = look.observed.vrf_of(link);
        Inside { link: link.index, vrf, source: tunnel.overlay.ip(), peer: tunnel.peer() }
    };
    // What this host does not have yet, nothing can leave from.
    let local = look.locals.get(&tunnel.name).and_then(|local| local.as_ref().ok()).copied();
    let source = local.filter(|local| here.contains(local)).or(look.probe);
    Some(Subject {
        candidates: tunnel.remotes.clone(),
        current: leads.or_else(|| tunnel.remote(chosen))?,
        source,
        inside: link.map(inside),
        held: chosen.is_some_and(|chosen| chosen.held),
    })
}

/// What is said already is not said again.
fn warn_once(said: Option<&String>, text: &String) {
    if said != Some(text) {
        tracing::warn!("{text}");
    }
}
