//! What a turn means: events to tell, repairs to hold back. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use super::clock::Moment;
use super::damping::{Damping, Object};
use crate::model::{Event, EventKind, LinkName, TunnelName};
use crate::netlink::StepError;
use crate::netlink::mirror::{Causes, Place};
use crate::plan::{PlannedStep, render};
use crate::reconcile::{Done, Look, Outcome};

/// So many changes of one object are told one by one.
const TOLD: usize = 4;

/// What has been told, and what follows from it for later turns.
#[derive(Debug, Default)]
pub struct Chronicle {
    damping: Damping,
    /// As declared at the end of a turn, and the declaration is still the same: what they need from now on is a repair.
    settled: BTreeSet<Object>,
    /// What was found of those whose repairs wait.
    found: BTreeMap<Object, String>,
    /// Why the last change of each failed.
    failing: BTreeMap<Object, String>,
    held: BTreeMap<TunnelName, String>,
    refused: BTreeMap<TunnelName, Vec<String>>,
    /// Where each tunnel leads: what happens on the way there concerns it.
    remotes: BTreeMap<TunnelName, Ipv4Addr>,
    /// When the last turn was told.
    told: Duration,
}

/// What stood around a turn.
pub struct Around<'a> {
    /// The link that leased addresses are put on.
    pub loopback: &'a LinkName,
    /// What the kernel told before its first change.
    pub causes: &'a Causes,
    /// What it told from then on: our own changes, and what somebody did meanwhile.
    pub later: &'a Causes,
    pub at: Moment,
    /// 0 to 1000, random: spreads retries.
    pub spread: u32,
}

/// What one turn did to one object.
#[derive(Default)]
struct Deeds {
    done: Vec<String>,
    failed: Vec<String>,
    /// Something is left to do.
    open: bool,
}

impl Chronicle {
    /// May this step be taken at `up`?
    pub fn admits(&self, step: &PlannedStep, up: Duration) -> bool {
        self.damping.waits(&Object::from(step.tunnel.as_ref()), up).is_none()
    }

    /// Has a wait ended since the last turn?
    pub fn due(&self, up: Duration) -> bool {
        self.damping.ended(self.told, up)
    }

    /// When something that waits may be tried again, if anything waits.
    pub fn next(&self, up: Duration) -> Option<Duration> {
        self.damping.next(up)
    }

    /// The declaration of these tunnels has changed: what they need next is no repair, and waits for nothing.
    pub fn redeclared(&mut self, changed: &BTreeSet<TunnelName>) {
        let object = |tunnel: &TunnelName| Object::Tunnel(tunnel.clone());
        let changed: BTreeSet<Object> = changed.iter().map(object).chain([Object::Shared]).collect();
        self.settled.retain(|object| !changed.contains(object));
        self.damping.retain(|object| !changed.contains(object));
    }

    /// All is to be tried now, and nothing that is found is a repair: a person asked for it.
    pub fn forget(&mut self) {
        self.settled.clear();
        self.damping = Damping::default();
    }

    /// What to tell of a turn. Remembers it.
    pub fn tell(&mut self, outcome: &Outcome, around: &Around<'_>) -> Vec<Event> {
        let mut events = Vec::new();
        let last = &outcome.last;
        self.remotes =
            last.desired.tunnels.iter().map(|(name, it)| (name.clone(), it.link.gre.remote)).collect();
        self.keep_causes(last, around);
        for tunnel in &outcome.adopted {
            let text = "found as declared, and claimed".to_owned();
            events.push(event(around.at, EventKind::Adopt, Some(tunnel), text));
        }
        for (object, deeds) in deeds(outcome) {
            self.tell_deeds(&object, &deeds, around, &mut events);
        }
        self.tell_states(last, around.at, &mut events);
        self.settle(last);
        self.told = around.at.up;
        events
    }

    /// The same of a turn that ended before its time.
    pub fn tell_halted(&mut self, done: &[Done], around: &Around<'_>) -> Vec<Event> {
        let mut events = Vec::new();
        for (object, deeds) in deeds_done(done) {
            self.tell_deeds(&object, &Deeds { open: true, ..deeds }, around, &mut events);
        }
        events
    }

    /// What is not put right now will be later, and the kernel does not tell twice.
    fn keep_causes(&mut self, last: &Look, around: &Around<'_>) {
        for object in open(last) {
            if let Some(cause) = self.cause(&object, around.loopback, around.causes) {
                self.found.insert(object, cause);
            }
        }
    }

    fn tell_deeds(&mut self, object: &Object, deeds: &Deeds, around: &Around<'_>, events: &mut Vec<Event>) {
        let (at, tunnel) = (around.at, object.tunnel());
        // What nothing explains that was told before was changed while the turn was taken.
        let found = self.cause(object, around.loopback, around.causes);
        let found = found.or_else(|| self.found.remove(object));
        let found = found.or_else(|| self.cause(object, around.loopback, around.later));
        let found = found.unwrap_or_else(|| "it was not as declared".to_owned());
        if !deeds.done.is_empty() {
            let what = list(&deeds.done);
            let repair = self.settled.contains(object);
            let (kind, text) = match repair {
                true => (EventKind::Repair, format!("{found}: {what}")),
                false => (EventKind::Apply, what),
            };
            events.push(event(at, kind, tunnel, text));
            // What never becomes as declared is undone as well.
            let undone = repair || deeds.open;
            if let Some(wait) = undone.then(|| self.damping.repaired(object.clone(), at.up)).flatten() {
                let text = format!(
                    "repaired too often, so the next repair waits {} s; what keeps changing: {found}",
                    wait.as_secs()
                );
                events.push(event(at, EventKind::Damp, tunnel, text));
            }
        }
        self.tell_failure(object, deeds, around, events);
    }

    fn tell_failure(&mut self, object: &Object, deeds: &Deeds, around: &Around<'_>, events: &mut Vec<Event>) {
        let Some(error) = deeds.failed.first() else {
            self.failing.remove(object);
            return;
        };
        let wait = self.damping.failed(object.clone(), around.at.up, around.spread);
        if self.failing.insert(object.clone(), error.clone()).as_ref() != Some(error) {
            let text = format!("{error}; tried again in {} s, and then less often", wait.as_secs());
            events.push(event(around.at, EventKind::Fail, object.tunnel(), text));
        }
    }

    /// What the kernel told of a tunnel's link, else of the way to its remote; of the loopback link and of rules for
    /// what serves all.
    fn cause(&self, object: &Object, loopback: &LinkName, causes: &Causes) -> Option<String> {
        let of_link = |link: &LinkName| causes.of(&Place::Link(link.to_string()));
        let sentences: Vec<String> = match object {
            Object::Tunnel(tunnel) => {
                let path = || self.remotes.get(tunnel).map_or(&[][..], |it| causes.of(&Place::Path(*it)));
                let own = of_link(&tunnel.link());
                if own.is_empty() { path().to_vec() } else { own.to_vec() }
            }
            Object::Shared => [of_link(loopback), causes.of(&Place::Elsewhere)].concat(),
        };
        (!sentences.is_empty()).then(|| list(&sentences))
    }

    /// Tunnels that began or ceased to wait, or to be refused.
    fn tell_states(&mut self, last: &Look, at: Moment, events: &mut Vec<Event>) {
        let (held, refused) = (&last.plan.held, &last.plan.refused);
        for (tunnel, why) in held.iter().filter(|(tunnel, why)| self.held.get(*tunnel) != Some(*why)) {
            events.push(event(at, EventKind::Hold, Some(tunnel), format!("waits: {why}")));
        }
        // Of what is not declared any more there is nothing to tell.
        let wanted = |tunnel: &&TunnelName| last.desired.tunnels.contains_key(*tunnel);
        for tunnel in self.held.keys().filter(|tunnel| !held.contains_key(*tunnel)).filter(wanted) {
            events.push(event(at, EventKind::Hold, Some(tunnel), "waits no longer".to_owned()));
        }
        for (tunnel, why) in refused.iter().filter(|(tunnel, why)| self.refused.get(*tunnel) != Some(*why)) {
            events.push(event(
                at,
                EventKind::Refuse,
                Some(tunnel),
                format!("cannot be as declared: {}", why.join("; ")),
            ));
        }
        for tunnel in self.refused.keys().filter(|tunnel| !refused.contains_key(*tunnel)).filter(wanted) {
            events.push(event(
                at,
                EventKind::Refuse,
                Some(tunnel),
                "nothing is in its way any more".to_owned(),
            ));
        }
        self.held.clone_from(held);
        self.refused.clone_from(refused);
    }

    fn settle(&mut self, last: &Look) {
        let open = open(last);
        let tunnels = last.desired.tunnels.keys().map(|tunnel| Object::Tunnel(tunnel.clone()));
        let exist: BTreeSet<Object> = tunnels.chain([Object::Shared]).collect();
        self.settled.retain(|object| exist.contains(object));
        self.failing.retain(|object, _| exist.contains(object));
        self.found.retain(|object, _| open.contains(object));
        self.damping.retain(|object| exist.contains(object));
        for object in exist.difference(&open) {
            self.damping.succeeded(object);
            self.failing.remove(object);
            self.settled.insert(object.clone());
        }
    }
}

/// Something that happened at this moment.
pub fn event(at: Moment, kind: EventKind, tunnel: Option<&TunnelName>, text: String) -> Event {
    Event { at_ms: at.wall_ms, kind, tunnel: tunnel.cloned(), text }
}

/// What has something left to do.
fn open(last: &Look) -> BTreeSet<Object> {
    last.plan.steps.iter().map(|step| Object::from(step.tunnel.as_ref())).collect()
}

fn deeds(outcome: &Outcome) -> BTreeMap<Object, Deeds> {
    let mut deeds = deeds_done(&outcome.done);
    for (planned, error) in &outcome.failed {
        let object = Object::from(planned.tunnel.as_ref());
        deeds.entry(object).or_default().failed.push(failure(planned, error, &outcome.last));
    }
    let open = open(&outcome.last);
    deeds.iter_mut().for_each(|(object, deeds)| deeds.open = open.contains(object));
    deeds
}

fn deeds_done(done: &[Done]) -> BTreeMap<Object, Deeds> {
    let mut deeds: BTreeMap<Object, Deeds> = BTreeMap::new();
    for Done { planned, text } in done {
        deeds.entry(Object::from(planned.tunnel.as_ref())).or_default().done.push(text.clone());
    }
    deeds
}

fn failure(planned: &PlannedStep, error: &StepError, last: &Look) -> String {
    let (action, _, text) = render::describe(&planned.step, &last.observed);
    format!("{} {text}: {error}", action.name())
}

fn list(sentences: &[String]) -> String {
    let told = sentences.iter().take(TOLD).map(String::as_str).collect::<Vec<_>>().join(", ");
    match sentences.len().saturating_sub(TOLD) {
        0 => told,
        more => format!("{told} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Desired, DesiredLink, DesiredTunnel, Gre, Observed, Owned, Tuple};
    use crate::plan::{Plan, Step};

    fn ams() -> TunnelName {
        TunnelName::new("ams").unwrap()
    }

    fn link() -> DesiredLink {
        let tuple = Tuple { local: [198, 51, 100, 8].into(), remote: [192, 0, 2, 1].into(), key: None };
        DesiredLink {
            name: LinkName::new("gh-ams").unwrap(),
            gre: Gre::new(tuple),
            mtu: 1476,
            multicast: false,
            vrf: None,
        }
    }

    fn create() -> PlannedStep {
        PlannedStep { tunnel: Some(ams()), step: Step::CreateLink(link()) }
    }

    /// A turn that did this, and left that.
    fn outcome(done: Vec<PlannedStep>, plan: Plan) -> Outcome {
        let tunnel = DesiredTunnel { link: link(), addresses: BTreeSet::new(), routes: BTreeSet::new() };
        let desired = Desired { tunnels: BTreeMap::from([(ams(), tunnel)]), ..Desired::default() };
        let last = Look {
            observed: Observed::default(),
            owned: Owned::default(),
            locals: BTreeMap::new(),
            probe: None,
            choices: BTreeMap::new(),
            desired,
            plan,
            filter: crate::filter::Seen::default(),
        };
        let done =
            done.into_iter().map(|planned| Done { planned, text: "add link gh-ams".to_owned() }).collect();
        Outcome {
            done,
            adopted: BTreeSet::new(),
            failed: Vec::new(),
            filtered: 0,
            elapsed: Duration::ZERO,
            last,
        }
    }

    fn told(chronicle: &mut Chronicle, second: u64, outcome: &Outcome) -> Vec<(EventKind, String)> {
        let at = Moment { up: Duration::from_secs(second), wall_ms: second * 1000 };
        let nothing = Causes::default();
        let lo = LinkName::new("lo").unwrap();
        let around = Around { loopback: &lo, causes: &nothing, later: &nothing, at, spread: 0 };
        chronicle.tell(outcome, &around).into_iter().map(|event| (event.kind, event.text)).collect()
    }

    #[test]
    fn what_is_made_first_is_no_repair_and_what_is_made_again_is() {
        let mut chronicle = Chronicle::default();
        let made = outcome(vec![create()], Plan::default());
        assert_eq!(told(&mut chronicle, 1, &made), [(EventKind::Apply, "add link gh-ams".to_owned())]);
        let again = "it was not as declared: add link gh-ams".to_owned();
        assert_eq!(told(&mut chronicle, 2, &made), [(EventKind::Repair, again)]);
        chronicle.redeclared(&BTreeSet::from([ams()]));
        assert_eq!(told(&mut chronicle, 3, &made)[0].0, EventKind::Apply);
    }

    #[test]
    fn a_turn_without_deeds_tells_nothing() {
        assert_eq!(told(&mut Chronicle::default(), 1, &outcome(Vec::new(), Plan::default())), []);
    }

    #[test]
    fn who_undoes_every_repair_is_told_once_for_each_wait_and_nothing_is_admitted_meanwhile() {
        let mut chronicle = Chronicle::default();
        let made = outcome(vec![create()], Plan::default());
        // The first makes it; ten repairs follow within ten seconds.
        let kinds: Vec<EventKind> =
            (0..=10).flat_map(|n| told(&mut chronicle, 100 + n / 2, &made)).map(|(kind, _)| kind).collect();
        assert_eq!(kinds.iter().filter(|kind| **kind == EventKind::Repair).count(), 10);
        assert_eq!(kinds.last(), Some(&EventKind::Damp));
        let up = Duration::from_secs(105);
        assert!(!chronicle.admits(&create(), up));
        assert_eq!(chronicle.next(up), Some(Duration::from_secs(106)));
        assert!(!chronicle.due(up) && chronicle.due(Duration::from_secs(106)));
        assert!(chronicle.admits(&create(), Duration::from_secs(106)));
        chronicle.forget();
        assert!(chronicle.admits(&create(), up));
    }

    #[test]
    fn waiting_and_being_refused_are_told_when_they_begin_and_when_they_end() {
        let mut chronicle = Chronicle::default();
        let held = Plan { held: BTreeMap::from([(ams(), "no VRF".to_owned())]), ..Plan::default() };
        let waits = outcome(Vec::new(), held);
        assert_eq!(told(&mut chronicle, 1, &waits), [(EventKind::Hold, "waits: no VRF".to_owned())]);
        assert_eq!(told(&mut chronicle, 2, &waits), []);
        let refused = Plan {
            refused: BTreeMap::from([(ams(), vec!["a".to_owned(), "b".to_owned()])]),
            ..Plan::default()
        };
        let events = told(&mut chronicle, 3, &outcome(Vec::new(), refused));
        let both = [
            (EventKind::Hold, "waits no longer".to_owned()),
            (EventKind::Refuse, "cannot be as declared: a; b".to_owned()),
        ];
        assert_eq!(events, both);
        let free = told(&mut chronicle, 4, &outcome(Vec::new(), Plan::default()));
        assert_eq!(free, [(EventKind::Refuse, "nothing is in its way any more".to_owned())]);
    }
}
