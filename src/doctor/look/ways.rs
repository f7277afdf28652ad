//! Probes: through each tunnel, to its other end from its own address and from the route's, and large ones. Shell.
//!
//! A bounded number of packets leaves: [`MOST_TUNNELS`] times [`MOST_SMALL`] small ones and [`MOST_LARGE`] large ones.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use super::super::facts::{Asked, Host, Seen, Size, Trial, Trials};
use super::{Deadline, sentence};
use crate::api::dto::{TunnelState, TunnelView};
use crate::model::{Counters, Link, LinkKind, Method, Outcome, Target};
use crate::netlink::Netlink;
use crate::probe::engine::{Engine, Options};
use crate::probe::largest::{self, Ear, Largest, Way};
use crate::probe::{Ask, Pace, Report};

/// So many tunnels are probed.
pub const MOST_TUNNELS: usize = 16;

/// Small packets for one tunnel: three to each of three targets by two methods.
pub const MOST_SMALL: u32 = 3 * 3 * 2;

/// Large packets for one tunnel, and most of them only where full ones do not pass.
pub const MOST_LARGE: u32 = largest::MOST;

const COUNT: u32 = 3;
const METHODS: [Method; 2] = [Method::Icmp, Method::Stamp];

/// Longer than any path takes that a tunnel is used on.
const PACE: Pace = Pace { interval: Duration::from_millis(200), timeout: Duration::from_millis(1_000) };

/// How long answers to large packets are waited for, in each round.
const ROUND: Duration = Duration::from_millis(800);

/// What is asked for one tunnel.
#[derive(Clone, Debug)]
struct Subject {
    name: String,
    link: String,
    index: u32,
    local: Ipv4Addr,
    remote: Ipv4Addr,
    inside: Target,
    own: Target,
    plain: Option<(Ipv4Addr, Target)>,
    /// Bytes of a full packet, outer headers and all; or why there is no such size to try.
    wanted: Seen<u32>,
}

/// Tries all tunnels that are up, as many as are probed at once.
pub fn trials<'a>(
    tunnels: impl Iterator<Item = &'a TunnelView>,
    host: &Host,
    port: u16,
    deadline: Deadline,
) -> Seen<Trials> {
    let up = tunnels.filter(|tunnel| tunnel.state == TunnelState::Up);
    let all: Vec<Subject> = up.filter_map(|tunnel| subject(tunnel, host)).collect();
    let left_out = all.len().saturating_sub(MOST_TUNNELS);
    let subjects: Vec<Subject> = all.into_iter().take(MOST_TUNNELS).collect();
    if subjects.is_empty() {
        return Ok(Trials::default());
    }
    let tunnels = deadline.within(deadline.left(), move || tried(&subjects, port))?;
    Ok(Trials { tunnels, left_out })
}

/// `None`: what is known of it is not enough to probe it.
fn subject(tunnel: &TunnelView, host: &Host) -> Option<Subject> {
    let observed = &host.observed;
    let link = observed.link(&tunnel.link)?;
    let (local, remote) = (tunnel.local?, tunnel.remote?);
    let overlay: ipnetwork::Ipv4Network = tunnel.overlay.as_ref()?.parse().ok()?;
    let vrf = link.master.filter(|master| {
        observed.links.get(master).is_some_and(|master| matches!(master.kind, LinkKind::Vrf { .. }))
    });
    let inside = Target { address: tunnel.peer?, source: Some(overlay.ip()), link: Some(link.index), vrf };
    let own = Target { source: Some(local), ..Target::to(remote) };
    let source = observed.paths.get(&remote).and_then(|path| path.source).filter(|source| *source != local);
    let plain = source.map(|source| (source, Target { source: Some(source), ..Target::to(remote) }));
    let wanted = wanted(tunnel, link);
    let (name, link, index) = (tunnel.name.clone(), tunnel.link.clone(), link.index);
    Some(Subject { name, link, index, local, remote, inside, own, plain, wanted })
}

/// What is not sent with DF is cut into pieces where it does not fit, and no trial with DF tells of it.
fn wanted(tunnel: &TunnelView, link: &Link) -> Seen<u32> {
    if link.gre().is_some_and(|gre| !gre.pmtudisc) {
        return Err("it has pmtudisc = false: its packets may be fragmented on the way".to_owned());
    }
    let full = tunnel.mtu.map(|mtu| mtu + tunnel.overhead);
    full.ok_or_else(|| "its MTU is not known".to_owned())
}

fn tried(subjects: &[Subject], port: u16) -> Seen<BTreeMap<String, Seen<Trial>>> {
    let links: BTreeSet<u32> = subjects.iter().map(|subject| subject.index).collect();
    let mut kernel = Netlink::open().map_err(|error| error.in_full())?;
    let ear = Ear::open().map_err(sentence)?;
    let before = kernel.counters(&links).map_err(|error| error.in_full())?;
    let asked = ask(subjects, port)?;
    let after = kernel.counters(&links).map_err(|error| error.in_full())?;
    let said = ear.heard();
    let trial = |subject: &Subject| {
        let counters = |of: &BTreeMap<u32, Counters>| of.get(&subject.index).copied().unwrap_or_default();
        let of = |target: &Target| asked.get(target).cloned().unwrap_or_default();
        Trial {
            link: subject.link.clone(),
            local: Some(subject.local),
            remote: Some(subject.remote),
            inside: of(&subject.inside),
            own: of(&subject.own),
            plain: subject.plain.as_ref().map(|(source, target)| (*source, of(target))),
            counters: (counters(&before), counters(&after)),
            // Several tunnels may lead to one remote, and only one of them be refused.
            said: said.get(&(subject.local, subject.remote)).cloned().unwrap_or_default(),
            size: None,
        }
    };
    let mut trials: Vec<(&Subject, Trial)> =
        subjects.iter().map(|subject| (subject, trial(subject))).collect();
    sizes(&mut trials);
    Ok(trials.into_iter().map(|(subject, trial)| (subject.name.clone(), Ok(trial))).collect())
}

/// What came of all probes, by target.
fn ask(subjects: &[Subject], port: u16) -> Seen<BTreeMap<Target, Asked>> {
    let targets = subjects.iter().flat_map(|subject| {
        let plain = subject.plain.as_ref().map(|(_, target)| target);
        [&subject.inside, &subject.own].into_iter().chain(plain)
    });
    let ask = Ask { port, count: Some(COUNT), ..Ask::of(&METHODS, PACE) };
    let asks: BTreeMap<Target, Ask> = targets.map(|target| (target.clone(), ask.clone())).collect();
    let (tell, told) = channel();
    let engine =
        Engine::start(Options::default(), move |reports| drop(tell.send(reports))).map_err(sentence)?;
    let mut missing = asks.len() * METHODS.len() * COUNT as usize;
    // What was begun within this time has ended: the first probes of many targets are spread a little.
    let end = Instant::now() + PACE.interval * (COUNT + 2) + PACE.timeout * 2;
    engine.ask(asks).map_err(sentence)?;
    let mut asked: BTreeMap<Target, Asked> = BTreeMap::new();
    while missing > 0 {
        let Ok(reports) = told.recv_timeout(end.saturating_duration_since(Instant::now())) else { break };
        missing = missing.saturating_sub(reports.len());
        reports.into_iter().for_each(|report| count(&mut asked, report));
    }
    Ok(asked)
}

fn count(asked: &mut BTreeMap<Target, Asked>, report: Report) {
    let Report { target, sample, .. } = report;
    // Who says that nobody listens on a port has heard of us, and can tell us so.
    let heard = format!("port unreachable, says {}", target.address);
    let one = asked.entry(target).or_default();
    one.sent += 1;
    match sample.outcome {
        Outcome::Answered(_) => one.answered += 1,
        Outcome::Lost => {}
        Outcome::Refused(why) => {
            one.answered += u32::from(why == heard);
            one.why = Some(why);
        }
    }
}

/// The large packets, all tunnels at once; only where somebody answers small ones.
fn sizes(trials: &mut [(&Subject, Trial)]) {
    std::thread::scope(|scope| {
        for (subject, trial) in trials {
            match &subject.wanted {
                Err(why) => trial.size = Some(Err(why.clone())),
                Ok(wanted) if trial.own.answered > 0 => {
                    let way = Way { to: subject.remote, source: subject.local, wanted: *wanted };
                    scope.spawn(move || trial.size = Some(size(&way)));
                }
                Ok(_) => {}
            }
        }
    });
}

fn size(way: &Way) -> Seen<Size> {
    let Largest { passed, told, own } = largest::largest(way, ROUND).map_err(sentence)?;
    let nobody = || format!("{} answers no ICMP echo from {}", way.to, way.source);
    Ok(Size { wanted: way.wanted, passed: passed.ok_or_else(nobody)?, told, own })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Gre, Tuple};

    #[test]
    fn only_what_may_not_be_fragmented_is_tried_for_its_size() {
        let tuple = Tuple { local: [198, 51, 100, 8].into(), remote: [203, 0, 113, 1].into(), key: None };
        let link = |pmtudisc| Link {
            index: 7,
            name: "gh-ams".to_owned(),
            kind: LinkKind::Gre(Gre { pmtudisc, ..Gre::new(tuple) }),
            mtu: 1476,
            group: 0,
            up: true,
            multicast: false,
            master: None,
            addrgen_none: true,
        };
        let tunnel = TunnelView { mtu: Some(1476), overhead: 24, ..crate::api::tests::tunnel("ams") };
        assert_eq!(wanted(&tunnel, &link(true)), Ok(1500));
        assert!(wanted(&tunnel, &link(false)).unwrap_err().contains("pmtudisc = false"));
        assert!(wanted(&TunnelView { mtu: None, ..tunnel }, &link(true)).is_err());
    }
}
