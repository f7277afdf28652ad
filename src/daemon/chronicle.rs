//! What a turn means: events to tell, repairs to hold back. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::clock::Moment;
use super::damping::{Damping, Object};
use crate::model::{Event, EventKind, TunnelName};
use crate::netlink::StepError;
use crate::netlink::mirror::Causes;
use crate::plan::{PlannedStep, render};
use crate::reconcile::{Look, Outcome};

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
    /// When the last turn was told.
    told: Duration,
}

/// What came of one turn, seen from outside.
pub struct Turned<'a> {
    pub outcome: &'a Outcome,
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
    pub fn tell(&mut self, turned: &Turned<'_>) -> Vec<Event> {
        let mut events = Vec::new();
        let last = &turned.outcome.last;
        self.keep_causes(last, turned.causes);
        for tunnel in &turned.outcome.adopted {
            events.push(event(
                turned.at,
                EventKind::Adopt,
                Some(tunnel),
                "found as declared, and claimed".to_owned(),
            ));
        }
        for (object, deeds) in deeds(turned.outcome) {
            self.tell_deeds(&object, &deeds, turned, &mut events);
        }
        self.tell_states(last, turned.at, &mut events);
        self.settle(last);
        self.told = turned.at.up;
        events
    }

    /// What is not put right now will be later, and the kernel does not tell twice.
    fn keep_causes(&mut self, last: &Look, causes: &Causes) {
        for object in last.plan.steps.iter().map(|step| Object::from(step.tunnel.as_ref())) {
            if let Some(cause) = cause(&object, causes) {
                self.found.insert(object, cause);
            }
        }
    }

    fn tell_deeds(&mut self, object: &Object, deeds: &Deeds, turned: &Turned<'_>, events: &mut Vec<Event>) {
        let Moment { up, wall_ms: _ } = turned.at;
        let tunnel = object.tunnel();
        // What nothing explains that was told before was changed while the turn was taken.
        let cause = cause(object, turned.causes)
            .or_else(|| self.found.remove(object))
            .or_else(|| cause(object, turned.later));
        if !deeds.done.is_empty() {
            let what = list(&deeds.done);
            if self.settled.contains(object) {
                let found = cause.clone().unwrap_or_else(|| "it was not as declared".to_owned());
                events.push(event(turned.at, EventKind::Repair, tunnel, format!("{found}: {what}")));
                if let Some(wait) = self.damping.repaired(object.clone(), up) {
                    let text = format!(
                        "repaired too often, so the next repair waits {} s; what keeps changing: {found}",
                        wait.as_secs()
                    );
                    events.push(event(turned.at, EventKind::Damp, tunnel, text));
                }
            } else {
                events.push(event(turned.at, EventKind::Apply, tunnel, what));
            }
        }
        if let Some(error) = deeds.failed.first() {
            let wait = self.damping.failed(object.clone(), up, turned.spread);
            if self.failing.insert(object.clone(), error.clone()).as_ref() != Some(error) {
                let text = format!("{error}; tried again in {} s, and then less often", wait.as_secs());
                events.push(event(turned.at, EventKind::Fail, tunnel, text));
            }
        } else {
            self.failing.remove(object);
        }
    }

    /// Tunnels that began or ceased to wait, or to be refused.
    fn tell_states(&mut self, last: &Look, at: Moment, events: &mut Vec<Event>) {
        let (held, refused) = (&last.plan.held, &last.plan.refused);
        for (tunnel, why) in held.iter().filter(|(tunnel, why)| self.held.get(*tunnel) != Some(*why)) {
            events.push(event(at, EventKind::Hold, Some(tunnel), format!("waits: {why}")));
        }
        for tunnel in self.held.keys().filter(|tunnel| !held.contains_key(*tunnel)) {
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
        for tunnel in self.refused.keys().filter(|tunnel| !refused.contains_key(*tunnel)) {
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
        let open: BTreeSet<Object> =
            last.plan.steps.iter().map(|step| Object::from(step.tunnel.as_ref())).collect();
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

fn event(at: Moment, kind: EventKind, tunnel: Option<&TunnelName>, text: String) -> Event {
    Event { at_ms: at.wall_ms, kind, tunnel: tunnel.cloned(), text }
}

fn deeds(outcome: &Outcome) -> BTreeMap<Object, Deeds> {
    let mut deeds: BTreeMap<Object, Deeds> = BTreeMap::new();
    for done in &outcome.done {
        let object = Object::from(done.planned.tunnel.as_ref());
        deeds.entry(object).or_default().done.push(done.text.clone());
    }
    for (planned, error) in &outcome.failed {
        let object = Object::from(planned.tunnel.as_ref());
        deeds.entry(object).or_default().failed.push(failure(planned, error, &outcome.last));
    }
    deeds
}

fn failure(planned: &PlannedStep, error: &StepError, last: &Look) -> String {
    let (action, _, text) = render::describe(&planned.step, &last.observed);
    format!("{} {text}: {error}", action.name())
}

/// What the kernel told of this object's link; of the loopback link, rules and paths for what serves all.
fn cause(object: &Object, causes: &Causes) -> Option<String> {
    let sentences: Vec<String> = match object {
        Object::Tunnel(tunnel) => {
            let link = tunnel.link();
            let own = causes.of(Some(link.as_str()));
            let shared = if own.is_empty() { causes.of(None) } else { &[] };
            own.iter().chain(shared).cloned().collect()
        }
        Object::Shared => {
            let other = causes.iter().filter(|(link, _)| link.is_none_or(|link| !link.starts_with("gh-")));
            other.flat_map(|(_, sentences)| sentences).cloned().collect()
        }
    };
    (!sentences.is_empty()).then(|| list(&sentences))
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
    use crate::model::{Desired, DesiredLink, DesiredTunnel, Gre, LinkName, Observed, Owned, Tuple};
    use crate::plan::{Plan, Step};
    use crate::reconcile::Done;

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
            desired,
            plan,
        };
        let done =
            done.into_iter().map(|planned| Done { planned, text: "add link gh-ams".to_owned() }).collect();
        Outcome { done, adopted: BTreeSet::new(), failed: Vec::new(), elapsed: Duration::ZERO, last }
    }

    fn told(chronicle: &mut Chronicle, second: u64, outcome: &Outcome) -> Vec<(EventKind, String)> {
        let at = Moment { up: Duration::from_secs(second), wall_ms: second * 1000 };
        let nothing = Causes::default();
        let turned = Turned { outcome, causes: &nothing, later: &nothing, at, spread: 0 };
        chronicle.tell(&turned).into_iter().map(|event| (event.kind, event.text)).collect()
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
