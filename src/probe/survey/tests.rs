//! What a survey asks, and what it decides from the answers.

use super::*;
use crate::model::{Answer, Failure, Sample, Timing};
use crate::probe::liveness::State as Live;

const SEC: fn(u64) -> Duration = Duration::from_secs;
const MS: fn(u64) -> Duration = Duration::from_millis;
const NEAR: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const FAR: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

fn ams() -> TunnelName {
    TunnelName::new("ams").unwrap()
}

fn subject() -> Subject {
    Subject {
        candidates: vec![NEAR, FAR],
        current: NEAR,
        source: Some([198, 51, 100, 8].into()),
        inside: Some(Inside {
            link: 7,
            vrf: None,
            source: [169, 254, 10, 0].into(),
            peer: [169, 254, 10, 1].into(),
        }),
        held: false,
    }
}

fn survey(subject: Subject) -> Survey {
    survey_that_knows(Learnt::default(), subject)
}

fn survey_that_knows(learnt: Learnt, subject: Subject) -> Survey {
    let mut survey = Survey::new(Probing::default(), [(ams(), learnt)].into());
    survey.set(Duration::ZERO, &Probing::default(), [(ams(), subject)].into());
    survey
}

/// The tunnel failed at the near one so many minutes before the survey began.
fn failed(minutes_ago: i64, times: u32) -> Learnt {
    let failure = Failure { at_ms: -60_000 * minutes_ago, times };
    Learnt { peer: None, failures: [(NEAR, failure)].into() }
}

/// What is asked of this target, in milliseconds between probes.
fn paces(survey: &Survey, now: Duration, address: Ipv4Addr) -> BTreeMap<Method, u128> {
    let asks = survey.asks(now);
    let (_, ask) = asks.iter().find(|(target, _)| target.address == address).unwrap();
    ask.methods.iter().map(|(method, pace)| (*method, pace.interval.as_millis())).collect()
}

fn answer(rtt: Duration) -> Outcome {
    Outcome::Answered(Answer { rtt, timing: Timing::Kernel, reflected: None })
}

/// One probe that came to its end; `None`: lost.
fn report(target: &Target, method: Method, at: Duration, rtt: Option<Duration>) -> Report {
    let sequence = u32::try_from(at.as_millis()).unwrap();
    let outcome = rtt.map_or(Outcome::Lost, answer);
    Report { target: target.clone(), method, sample: Sample { sent: at, sequence, outcome } }
}

fn outer(address: Ipv4Addr) -> Target {
    subject().to(address)
}

fn inner() -> Target {
    subject().inner().unwrap()
}

/// A minute in which everybody answers, each after so many milliseconds.
fn a_quiet_minute(survey: &mut Survey, near: u64, far: u64) {
    for second in 0..60 {
        let at = SEC(second);
        survey.take(vec![
            report(&outer(NEAR), Method::Icmp, at, Some(MS(near))),
            report(&outer(FAR), Method::Icmp, at, Some(MS(far))),
            report(&inner(), Method::Stamp, at, Some(MS(near))),
            report(&inner(), Method::Stamp, at + MS(500), Some(MS(near))),
        ]);
        assert_eq!(survey.tick(at + MS(600)), []);
    }
}

#[test]
fn candidates_are_asked_by_every_method_and_the_peer_through_the_tunnel() {
    let mut survey = survey(subject());
    let both = [(Method::Icmp, 1_000), (Method::Stamp, 1_000)].into();
    assert_eq!(paces(&survey, Duration::ZERO, FAR), both, "the first ones");
    a_quiet_minute(&mut survey, 10, 20);
    let usual = [(Method::Icmp, 10_000), (Method::Stamp, 10_000)].into();
    let at = SEC(59) + MS(700);
    assert_eq!(paces(&survey, at, NEAR), usual);
    assert_eq!(paces(&survey, at, FAR), usual);
}

#[test]
fn a_peer_is_asked_both_ways_until_it_is_known_how_it_answers() {
    let survey = survey(subject());
    let both = [(Method::Icmp, 200), (Method::Stamp, 200)].into();
    assert_eq!(paces(&survey, Duration::ZERO, [169, 254, 10, 1].into()), both);
    assert!(survey.asks(SEC(1)).keys().all(|target| target.source.is_some()));
}

#[test]
fn a_peer_that_answers_stamp_is_asked_by_it_and_at_once_by_icmp_when_an_answer_is_overdue() {
    let mut survey = survey(subject());
    let changes = survey.take(vec![report(&inner(), Method::Stamp, SEC(1), Some(MS(10)))]);
    assert!(matches!(changes[..], [(_, Change { from: Live::Unknown, to: Live::Up })]));
    let peer = [169, 254, 10, 1].into();
    assert_eq!(paces(&survey, SEC(1), peer), [(Method::Icmp, 1_000), (Method::Stamp, 300)].into());
    let overdue = SEC(1) + MS(500);
    assert_eq!(paces(&survey, overdue, peer), [(Method::Icmp, 150), (Method::Stamp, 300)].into());
    assert_eq!(paces(&survey, overdue, FAR)[&Method::Icmp], 200, "there may soon be a move to it");
    assert!(survey.next(SEC(1)).unwrap() <= overdue);
    assert!(survey.next(overdue).unwrap() > overdue, "it would be asked again and again");
    // Its daemon is being restarted, its kernel answers.
    let changes = survey.take(vec![report(&inner(), Method::Icmp, overdue, Some(MS(10)))]);
    assert_eq!(changes, []);
    assert_eq!(survey.tick(SEC(1) + MS(1_100)), [], "it answered");
}

#[test]
fn a_peer_that_never_answers_is_found_out_and_asked_seldom() {
    let mut survey = survey(subject());
    let changes = survey.tick(SEC(30));
    assert!(matches!(changes[..], [(_, Change { from: Live::Unknown, to: Live::Silent })]));
    let seldom = [(Method::Icmp, 10_000), (Method::Stamp, 10_000)].into();
    assert_eq!(paces(&survey, SEC(30), [169, 254, 10, 1].into()), seldom);
    assert_eq!(survey.decide(SEC(30)), []);
}

#[test]
fn a_tunnel_that_dies_moves_to_who_is_known_to_be_alive_since() {
    let mut survey = survey(subject());
    a_quiet_minute(&mut survey, 10, 20);
    assert_eq!(survey.decide(SEC(60)), []);
    let dead = SEC(60) + MS(700);
    let alive = report(&outer(FAR), Method::Icmp, dead, Some(MS(20)));
    survey.take(vec![alive]);
    let changes = survey.tick(dead);
    assert!(matches!(changes[..], [(_, Change { from: Live::Up, to: Live::Down(_) })]), "{changes:?}");
    let moves = survey.decide(dead);
    assert_eq!(moves.len(), 1);
    assert_eq!(moves[0].1.to(), Some(FAR));
    survey.moved(dead, &ams(), FAR);
    assert_eq!(survey.decide(dead + MS(1)), []);
    assert_eq!(survey.briefs(dead)[&ams()].liveness, Live::Unknown, "a fresh verdict");
}

#[test]
fn a_better_one_is_moved_to_after_its_time_and_a_held_tunnel_stays() {
    let better = |held: bool| {
        let mut survey = survey(Subject { held, ..subject() });
        let mut moved = None;
        for second in 0..600 {
            let at = SEC(second);
            let inside = |ms| report(&inner(), Method::Stamp, at + MS(ms), Some(MS(40)));
            survey.take(vec![
                report(&outer(NEAR), Method::Stamp, at, Some(MS(40))),
                report(&outer(FAR), Method::Stamp, at, Some(MS(10))),
                inside(0),
                inside(500),
            ]);
            survey.tick(at + MS(600));
            if let Some((_, decision)) = survey.decide(at + MS(700)).first() {
                moved = moved.or(decision.to().map(|to| (second, to)));
            }
        }
        (moved, survey)
    };
    let (moved, _) = better(false);
    let (second, to) = moved.unwrap();
    assert!(to == FAR && (300..420).contains(&second), "{second}");
    let (moved, survey) = better(true);
    assert_eq!(moved, None);
    let brief = &survey.briefs(SEC(600))[&ams()];
    assert!(brief.held && brief.decision.as_ref().unwrap().to_string().contains("held"));
}

/// GRE alone is blocked: the terminations answer, the peer inside does not.
fn blocked(survey: &mut Survey, at: Duration) -> Vec<(TunnelName, Decision)> {
    let alive = |address, ms| report(&outer(address), Method::Icmp, at, Some(MS(ms)));
    survey.take(vec![alive(NEAR, 10), alive(FAR, 20)]);
    assert!(matches!(survey.tick(at)[..], [(_, Change { to: Live::Down(_), .. })]));
    survey.decide(at)
}

#[test]
fn what_is_learnt_is_told_once() {
    let mut survey = survey(subject());
    a_quiet_minute(&mut survey, 10, 20);
    survey.decide(SEC(60));
    let peer = Some([169, 254, 10, 1].into());
    let learnt = |failures| [(ams(), Learnt { peer, failures })].into();
    assert_eq!(survey.lessons(), learnt(BTreeMap::new()));
    assert_eq!(survey.lessons(), BTreeMap::new());
    let dead = SEC(60) + MS(700);
    assert_eq!(blocked(&mut survey, dead)[0].1.to(), Some(FAR));
    assert_eq!(survey.lessons(), learnt([(NEAR, Failure { at_ms: 60_700, times: 1 })].into()));
    survey.moved(dead, &ams(), FAR);
    let near = survey.rows(dead, 1).into_iter().find(|row| row.entry.address == NEAR);
    let shunned = near.unwrap().shunned.unwrap().to_string();
    assert!(shunned.starts_with("this tunnel failed there: not moved to for being better"), "{shunned}");
}

#[test]
fn a_failure_before_the_beginning_is_as_long_ago_as_it_was() {
    let returns = |learnt| {
        let mut survey = survey_that_knows(learnt, Subject { current: FAR, ..subject() });
        let mut minutes = 0..;
        minutes.find(|minute| {
            let at = SEC(60 * minute);
            let outer = |address, ms| report(&outer(address), Method::Icmp, at, Some(MS(ms)));
            survey.take(vec![
                outer(NEAR, 10),
                outer(FAR, 60),
                report(&inner(), Method::Icmp, at, Some(MS(60))),
            ]);
            survey.decide(at).iter().any(|(_, decision)| decision.to() == Some(NEAR))
        })
    };
    // Half an hour, and up to a quarter more; or an hour the second time.
    assert!((30..40).contains(&returns(failed(0, 1)).unwrap()));
    assert!((10..20).contains(&returns(failed(20, 1)).unwrap()));
    assert!((40..60).contains(&returns(failed(20, 2)).unwrap()));
    let unburdened = returns(Learnt::default());
    assert_eq!(returns(failed(1_000_000_000, 1)), unburdened, "however long ago");
    assert!(unburdened < Some(10));
}

#[test]
fn a_peer_that_answered_before_the_beginning_is_called_dead_when_it_does_not() {
    let after = |peer: [u8; 4]| {
        let learnt = Learnt { peer: Some(peer.into()), ..Learnt::default() };
        survey_that_knows(learnt, subject()).tick(SEC(30)).remove(0).1.to
    };
    assert!(matches!(after([169, 254, 10, 1]), Live::Down(_)));
    assert_eq!(after([169, 254, 10, 9]), Live::Silent, "it was another peer");
}

#[test]
fn what_a_tunnel_learnt_goes_with_its_declaration() {
    let mut survey = survey_that_knows(failed(0, 1), Subject { current: FAR, ..subject() });
    let shunned = |survey: &Survey| survey.rows(SEC(1), 1).iter().any(|row| row.shunned.is_some());
    assert!(shunned(&survey));
    // Not kept for a while, as when flushed.
    survey.forget_all_but(|_| true);
    survey.set(SEC(1), &Probing::default(), BTreeMap::new());
    let away = || [(ams(), Subject { current: FAR, ..subject() })].into();
    survey.set(SEC(1), &Probing::default(), away());
    assert!(shunned(&survey));
    survey.forget_all_but(|_| false);
    survey.set(SEC(1), &Probing::default(), BTreeMap::new());
    survey.set(SEC(1), &Probing::default(), away());
    assert!(!shunned(&survey));
}

#[test]
fn rows_are_ranked_and_say_which_is_in_use() {
    let mut survey = survey(subject());
    a_quiet_minute(&mut survey, 30, 20);
    let rows = survey.rows(SEC(60), 3);
    let order: Vec<_> = rows.iter().map(|row| (row.entry.address, row.in_use)).collect();
    assert_eq!(order, [(FAR, false), (NEAR, true)]);
    let (method, summary, series) = &rows[0].methods[0];
    assert_eq!((*method, summary.answered, series.len()), (Method::Icmp, 60, 3));
    assert!(rows[0].entry.latency().unwrap() < rows[1].entry.latency().unwrap());
}

#[test]
fn what_stays_keeps_what_is_known_and_what_goes_is_forgotten() {
    let mut survey = survey(subject());
    a_quiet_minute(&mut survey, 10, 20);
    survey.set(SEC(60), &Probing::default(), [(ams(), subject())].into());
    assert_eq!(survey.rows(SEC(60), 1).len(), 2);
    let fewer = Subject { candidates: vec![NEAR], ..subject() };
    survey.set(SEC(60), &Probing::default(), [(ams(), fewer)].into());
    let rows = survey.rows(SEC(60), 1);
    assert!(rows.len() == 1 && !rows[0].methods.is_empty());
    let patient = Probing { interval: SEC(60), ..Probing::default() };
    survey.set(SEC(60), &patient, [(ams(), subject())].into());
    assert!(!survey.rows(SEC(60), 1)[0].methods.is_empty(), "other figures forget nothing");
    survey.set(SEC(60), &Probing::default(), BTreeMap::new());
    assert!(survey.asks(SEC(60)).is_empty() && survey.next(SEC(60)).is_none());
    // Late news of who is not asked any more.
    assert_eq!(survey.take(vec![report(&outer(FAR), Method::Icmp, SEC(61), None)]), []);
}

#[test]
fn time_is_always_ahead_whatever_happens() {
    let mut survey = survey(subject());
    a_quiet_minute(&mut survey, 10, 20);
    for ms in 0..5_000 {
        let now = SEC(60) + MS(ms);
        if ms == 700 {
            survey.take(vec![report(&outer(FAR), Method::Icmp, now, Some(MS(20)))]);
        }
        survey.tick(now);
        if let [(_, decision)] = &survey.decide(now)[..] {
            survey.moved(now, &ams(), decision.to().unwrap());
        }
        assert!(survey.next(now).is_none_or(|at| at > now), "{ms} ms");
    }
    assert!(survey.rows(SEC(65), 1).iter().any(|row| row.in_use && row.entry.address == FAR));
}

#[test]
fn who_is_not_in_the_kernel_is_not_judged() {
    let away = Subject { inside: None, ..subject() };
    let mut survey = survey(away.clone());
    survey.set(SEC(1), &Probing::default(), [(ams(), away)].into());
    assert_eq!(survey.tick(SEC(60)), []);
    assert_eq!((survey.decide(SEC(60)), survey.next(SEC(60))), (vec![], None));
    // Made, and then made anew: what its peer answers is known, and asked for again.
    survey.set(SEC(61), &Probing::default(), [(ams(), subject())].into());
    survey.take(vec![report(&inner(), Method::Stamp, SEC(62), Some(MS(10)))]);
    let other = Inside { link: 8, ..subject().inside.unwrap() };
    survey.set(SEC(63), &Probing::default(), [(ams(), Subject { inside: Some(other), ..subject() })].into());
    let changes = survey.tick(SEC(70));
    assert!(matches!(changes[..], [(_, Change { from: Live::Unknown, to: Live::Down(_) })]), "{changes:?}");
}

#[test]
fn after_a_move_it_is_asked_again_how_the_peer_answers() {
    let mut survey = survey(subject());
    a_quiet_minute(&mut survey, 10, 20);
    let peer = [169, 254, 10, 1].into();
    let at = SEC(59) + MS(600);
    assert_eq!(paces(&survey, at, peer)[&Method::Stamp], 300);
    survey.moved(at, &ams(), FAR);
    assert_eq!(paces(&survey, at, peer), [(Method::Icmp, 200), (Method::Stamp, 200)].into());
    // Its reflector is switched off, its kernel answers.
    survey.take(vec![report(&inner(), Method::Stamp, SEC(61), Some(MS(10)))]);
    assert_eq!(paces(&survey, SEC(61), peer)[&Method::Stamp], 300);
    survey.take((62..80).map(|second| report(&inner(), Method::Icmp, SEC(second), Some(MS(10)))).collect());
    assert_eq!(paces(&survey, SEC(79), peer)[&Method::Stamp], 1_000);
}
