//! The turn itself. Looking changes nothing; applying writes leases and claims, then the kernel.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use super::locals::{self, Locals};
use super::{Error, claims};
use crate::config::Config;
use crate::filter::{Filter, Ruleset, Seen, pairs};
use crate::model::{Chosen, Desired, HolderName, LeaseState, Observed, Owned, Role, Timestamp, TunnelName};
use crate::netlink::{self, Netlink, StepError};
use crate::plan::{Declared, Orphans, Plan, PlannedStep, Step, desire, plan, render};
use crate::store::{self, Change, State, Supply};

/// The most times that one turn applies and reads back. One is enough unless somebody interferes.
const ROUNDS: usize = 3;
/// The second pass is for tunnels that waited for an address that the first has released.
const PASSES: usize = 2;

/// What a turn is for.
#[derive(Clone, Copy, Debug)]
pub struct Goal<'a> {
    pub config: &'a Config,
    /// Take everything of ours away; leases stay with their tunnels.
    pub flush: bool,
    /// With `flush`: orphans too.
    pub orphans: bool,
}

/// Which of their remotes tunnels use, where that was decided.
pub type Choices = BTreeMap<TunnelName, Chosen>;

/// What is, what should be, and the difference.
#[derive(Clone, Debug)]
pub struct Look {
    pub observed: Observed,
    pub owned: Owned,
    pub locals: Locals,
    /// Where probes leave from for tunnels that have no local address; `None`: from where the route says.
    pub probe: Option<Ipv4Addr>,
    pub choices: Choices,
    pub desired: Desired,
    pub plan: Plan,
    /// Which GRE is let in, and what is to be done about it.
    pub filter: Seen,
}

/// What a turn did, and how it left the kernel.
#[derive(Debug)]
pub struct Outcome {
    /// Steps taken without an error.
    pub done: Vec<Done>,
    /// Tunnels found in the kernel as declared, and claimed.
    pub adopted: BTreeSet<TunnelName>,
    /// Steps of the last round that failed.
    pub failed: Vec<(PlannedStep, StepError)>,
    /// Changes of the filter that were made.
    pub filtered: usize,
    pub elapsed: Duration,
    /// The kernel as read back.
    pub last: Look,
}

/// A turn that ended before its time: some of its steps were taken, and what came of the others is not known.
#[derive(Debug)]
pub struct Halted {
    pub error: Error,
    pub done: Vec<Done>,
}

/// A step that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    pub planned: PlannedStep,
    /// The step in iproute2's words; what it deleted has its name in no later look.
    pub text: String,
}

/// What a turn sees and changes the kernel by: netlink itself, or a mirror of what it says.
pub trait Kernel {
    /// What is, and the way to each of `remotes`.
    fn observe(&mut self, remotes: &BTreeSet<Ipv4Addr>) -> Result<Observed, netlink::Error>;

    /// Does the steps in their order; one result for each. `progress` is called now and then, when some are done.
    fn apply(
        &mut self,
        steps: &[PlannedStep],
        observed: &Observed,
        progress: &mut dyn FnMut(),
    ) -> Vec<Result<(), StepError>>;
}

impl Kernel for Netlink {
    fn observe(&mut self, remotes: &BTreeSet<Ipv4Addr>) -> Result<Observed, netlink::Error> {
        Self::observe(self, remotes)
    }

    fn apply(
        &mut self,
        steps: &[PlannedStep],
        observed: &Observed,
        progress: &mut dyn FnMut(),
    ) -> Vec<Result<(), StepError>> {
        Self::apply(self, steps, observed, progress)
    }
}

/// What whoever takes a turn has to say and to hear of it.
pub struct Reins<'a> {
    /// Whether a step may be taken now; one that may not is left in the last plan.
    pub admit: &'a mut dyn FnMut(&PlannedStep) -> bool,
    /// Some of it is done.
    pub progress: &'a mut dyn FnMut(),
}

/// A turn, on the store itself or on a copy of it.
pub struct Turn<'a, K> {
    pub goal: Goal<'a>,
    pub kernel: &'a mut K,
    /// On a copy ([`State::open_copy`]) a look writes nothing that lasts.
    pub state: &'a mut State,
    pub filter: &'a mut Filter,
}

impl<K: Kernel> Turn<'_, K> {
    /// Looks, leases what is missing, and plans. The kernel is not touched.
    pub fn look(&mut self, now: Timestamp) -> Result<Look, Error> {
        let choices = self.state.choices().map_err(|source| self.state_error(source))?;
        let observed = self.kernel.observe(&remotes(self.goal, &choices))?;
        let owned = self.state.owned().map_err(|source| self.state_error(source))?;
        let leased = self.lease(&observed, &owned, now)?;
        let mut look = think(self.goal, observed, owned, leased, choices);
        look.filter = self.filter.see(let_in(self.goal, &mut look));
        Ok(look)
    }

    /// Applies and reads back until nothing is left to do, or nothing more can be done.
    pub fn run(&mut self, now: Timestamp, mut reins: Reins<'_>) -> Result<Outcome, Halted> {
        let begun = Instant::now();
        let mut taken = Taken::default();
        match self.passes(now, &mut reins, &mut taken) {
            Ok(last) => {
                let Taken { done, failed, adopted } = taken;
                let filtered = self.filter.take_done();
                Ok(Outcome { done, adopted, failed, filtered, elapsed: begun.elapsed(), last })
            }
            Err(error) => Err(Halted { error, done: taken.done }),
        }
    }

    fn passes(&mut self, now: Timestamp, reins: &mut Reins<'_>, taken: &mut Taken) -> Result<Look, Error> {
        let mut look = self.look(now)?;
        for _ in 0..PASSES {
            self.rounds(&mut look, now, reins, taken)?;
            let released = self.settle(&look, taken, now)?;
            if !released || look.desired.held.is_empty() {
                break;
            }
            look = self.look(now)?;
        }
        // What is gone from the kernel is let in no longer.
        self.filter.keep(look.filter.wanted.as_ref());
        look.filter = self.filter.see(look.filter.wanted.take());
        Ok(look)
    }

    fn rounds(
        &mut self,
        look: &mut Look,
        now: Timestamp,
        reins: &mut Reins<'_>,
        taken: &mut Taken,
    ) -> Result<(), Error> {
        for _ in 0..ROUNDS {
            self.claim(look)?;
            // What is made or moved is let in before.
            self.filter.keep(look.filter.wanted.as_ref());
            taken.adopted.extend(look.plan.adopted.iter().cloned());
            let steps: Vec<PlannedStep> =
                look.plan.steps.iter().filter(|step| (reins.admit)(step)).cloned().collect();
            if steps.is_empty() {
                break;
            }
            let results = self.kernel.apply(&steps, &look.observed, reins.progress);
            taken.sort(steps, results, &look.observed);
            let before = std::mem::replace(look, self.look(now)?);
            (reins.progress)();
            if look.plan.steps == before.plan.steps {
                break;
            }
        }
        Ok(())
    }

    fn lease(&mut self, observed: &Observed, owned: &Owned, now: Timestamp) -> Result<Leased, Error> {
        if self.goal.flush {
            return Ok(Leased::default());
        }
        let config = self.goal.config;
        let foreign = locals::foreign(observed, &config.tunnels, owned);
        let rest = config.daemon.rest.as_secs();
        let supply = Supply { pools: &config.pools, foreign: &foreign, rest, now };
        // A host that connects measures before it has a tunnel.
        let connects = matches!(config.role, Role::Host(_));
        let leased = self.state.change(|change| {
            let locals = locals::lease(&config.tunnels, &supply, observed, change)?;
            let probe = locals::probe(&config.tunnels, connects, &locals, &supply, change)?;
            Ok(Leased { locals, probe })
        });
        leased.map_err(|source| self.state_error(source))
    }

    fn claim(&mut self, look: &Look) -> Result<(), Error> {
        let claims = claims::before(&look.desired, &look.plan, &look.owned);
        let loopback = claims::loopback_before(&look.desired, &look.owned);
        if claims.is_empty() && loopback.is_empty() {
            return Ok(());
        }
        let written = self.state.change(|change| {
            claims.iter().try_for_each(|(tunnel, claim)| change.claim(tunnel, claim))?;
            loopback.iter().try_for_each(|address| change.claim_loopback(*address))
        });
        written.map_err(|source| self.state_error(source))
    }

    /// Cuts claims and leases back to what is left; says whether a lease was released.
    fn settle(&mut self, look: &Look, taken: &Taken, now: Timestamp) -> Result<bool, Error> {
        let settled = claims::after(&look.desired, &look.observed, &look.owned);
        let declared = self.goal.config.tunnels.values().filter(|tunnel| locals::leases(tunnel));
        let declared = declared.map(|tunnel| tunnel.name.holder()).chain([HolderName::probe()]);
        let declared: BTreeSet<HolderName> = declared.collect();
        let keeps_leases = self.goal.flush;
        let undeclared = look.choices.keys().filter(|tunnel| !self.goal.config.tunnels.contains_key(*tunnel));
        let undeclared: Vec<TunnelName> = undeclared.cloned().collect();
        let up = taken.came_up();
        let written = self.state.change(|change| {
            for tunnel in &settled.gone {
                change.unclaim(tunnel)?;
                change.unmade(tunnel)?;
            }
            undeclared.iter().try_for_each(|tunnel| change.forget_choice(tunnel))?;
            up.iter().try_for_each(|tunnel| change.made(tunnel, now))?;
            // Tuples may have changed hands: all are let go before any is taken.
            settled.changed.keys().try_for_each(|tunnel| change.unclaim(tunnel))?;
            settled.changed.iter().try_for_each(|(tunnel, claim)| change.settle(tunnel, claim))?;
            settled.loopback_gone.iter().try_for_each(|address| change.unclaim_loopback(*address))?;
            if keeps_leases { Ok(false) } else { release(change, &declared, now) }
        });
        written.map_err(|source| self.state_error(source))
    }

    fn state_error(&self, source: store::Error) -> Error {
        Error::State { directory: self.goal.config.daemon.state_dir.clone(), source: Box::new(source) }
    }
}

/// Gives back what undeclared tunnels hold, once they are out of the kernel and so out of the claims. Was there any?
fn release(
    change: &mut Change<'_>,
    declared: &BTreeSet<HolderName>,
    now: Timestamp,
) -> Result<bool, store::Error> {
    let in_kernel: BTreeSet<HolderName> = change.claims()?.keys().map(|tunnel| tunnel.holder()).collect();
    let leases = change.leases()?.into_iter();
    let active = leases.filter(|lease| lease.state == LeaseState::Active).map(|lease| lease.holder);
    let idle: BTreeSet<_> = active.filter(|h| !declared.contains(h) && !in_kernel.contains(h)).collect();
    idle.iter().try_for_each(|holder| change.release(holder, now).map(drop))?;
    Ok(!idle.is_empty())
}

/// The local addresses, and that of the probes.
#[derive(Default)]
struct Leased {
    locals: Locals,
    probe: Option<Ipv4Addr>,
}

fn think(goal: Goal<'_>, observed: Observed, mut owned: Owned, leased: Leased, choices: Choices) -> Look {
    let Goal { config, flush, orphans } = goal;
    let Leased { locals, probe } = leased;
    let (tunnels, loopback) = (&config.tunnels, &config.loopback);
    let offered = &config.offered;
    let declared = Declared { tunnels, locals: &locals, probe, offered, choices: &choices, loopback };
    let desired = if flush { Desired::default() } else { desire(&declared, &observed) };
    let probe = probe.filter(|own| desired.loopback.iter().any(|address| address.address.ip() == *own));
    let mut made = plan(&desired, &observed, &owned);
    if orphans {
        made = plan_with_orphans(&desired, &observed, &mut owned, &made.orphans);
    }
    Look { observed, owned, locals, probe, choices, desired, plan: made, filter: Seen::default() }
}

/// Which GRE is to be let in; `None`: all of it. What an operator should know of it goes into the plan's notes.
fn let_in(goal: Goal<'_>, look: &mut Look) -> Option<Ruleset> {
    let Config { filter, tunnels, .. } = goal.config;
    if goal.flush || !filter.enable {
        return None;
    }
    let (ruleset, notes) = pairs::wanted(filter, tunnels, &look.desired, look.observed.links.values());
    look.plan.notes.extend(notes);
    Some(ruleset)
}

/// Counts orphans as ours: their links and addresses become claims, their routes steps of their own.
fn plan_with_orphans(desired: &Desired, observed: &Observed, owned: &mut Owned, orphans: &Orphans) -> Plan {
    for link in &orphans.links {
        let claim = TunnelName::of_link(&link.name).map(|tunnel| owned.claims.entry(tunnel).or_default());
        if let (Some(claim), Some(gre)) = (claim, link.gre()) {
            claim.tuples.insert(gre.tuple());
        }
    }
    owned.loopback.extend(orphans.addresses.iter().map(|address| address.address.ip()));
    let mut made = plan(desired, observed, owned);
    let routes = std::mem::take(&mut made.orphans.routes).into_iter();
    let delete = |route| PlannedStep { tunnel: None, step: Step::DeleteRoute(route) };
    made.steps.splice(0..0, routes.map(delete));
    made
}

fn remotes(goal: Goal<'_>, choices: &Choices) -> BTreeSet<Ipv4Addr> {
    let enabled = goal.config.tunnels.values().filter(|tunnel| tunnel.enable && !goal.flush);
    enabled.filter_map(|tunnel| tunnel.remote(choices.get(&tunnel.name))).collect()
}

/// What the rounds of one turn did.
#[derive(Default)]
struct Taken {
    done: Vec<Done>,
    /// Of the last round only: what is left has failed.
    failed: Vec<(PlannedStep, StepError)>,
    adopted: BTreeSet<TunnelName>,
}

impl Taken {
    /// The tunnels whose links were made, set up or adopted: they have been up since then.
    fn came_up(&self) -> BTreeSet<TunnelName> {
        let up = |step: &Step| match step {
            Step::CreateLink(_) | Step::RecreateLink { .. } => true,
            Step::ChangeLink { differences, .. } => differences.iter().any(|it| it.attribute == "state"),
            _ => false,
        };
        let made = self.done.iter().map(|done| &done.planned).filter(|planned| up(&planned.step));
        made.filter_map(|planned| planned.tunnel.clone()).chain(self.adopted.iter().cloned()).collect()
    }

    fn sort(&mut self, steps: Vec<PlannedStep>, results: Vec<Result<(), StepError>>, observed: &Observed) {
        self.failed.clear();
        for (planned, result) in steps.into_iter().zip(results) {
            match result {
                Ok(()) => {
                    let (action, _, text) = render::describe(&planned.step, observed);
                    self.done.push(Done { planned, text: format!("{} {text}", action.name()) });
                }
                Err(error) => self.failed.push((planned, error)),
            }
        }
    }
}
