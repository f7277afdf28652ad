//! What a session believes, what it counts, and that every probe ends once.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::*;
use crate::model::Timing;

const MS: Duration = Duration::from_millis(1);
const DAY: Duration = Duration::from_secs(1_700_000_000);
const NUMBER: u32 = 3;

fn at(ms: u32) -> Moment {
    Moment { up: MS * ms, wall: DAY + MS * ms }
}

fn session(method: Method) -> (Session, Key) {
    let target = Target::to(Ipv4Addr::new(192, 0, 2, 1));
    (Session::new(target, method, MS * 100, u32::MAX - 1), Key::new())
}

/// What a target makes of a question. `counted`: a stateful reflector's number.
fn echo(question: Question) -> Echo {
    let Question::Echo { sequence, cookie } = question else { panic!("{question:?}") };
    Echo { ident: 1, session: NUMBER, sequence, cookie }
}

fn reply(question: Question, counted: Option<u32>) -> Reply {
    let Question::Stamp(request) = question else { panic!("{question:?}") };
    Reply {
        sequence: counted.unwrap_or(request.sequence),
        timestamp: Timestamp::ntp(DAY + MS * 60),
        error: ErrorEstimate(1),
        session: 0,
        received: Timestamp::ntp(DAY + MS * 50),
        sender_sequence: request.sequence,
        sender_timestamp: request.timestamp,
        sender_error: request.error,
        sender_ttl: 60,
    }
}

fn answered(verdict: Verdict) -> (Sample, Answer) {
    match verdict {
        Verdict::Ended(sample) => match sample.outcome.clone() {
            Outcome::Answered(answer) => (sample, answer),
            other => panic!("{other:?}"),
        },
        Verdict::Odd(oddity) => panic!("{oddity:?}"),
    }
}

#[test]
fn an_echo_is_measured_by_the_kernels_stamps() {
    let (mut session, key) = session(Method::Icmp);
    let question = session.send(&key, NUMBER, at(10));
    session.left(question.sequence(), DAY + MS * 12);
    let verdict = session.receive(&key, NUMBER, at(40), Returned::Echo(&echo(question)), Some(DAY + MS * 37));
    let (sample, answer) = answered(verdict);
    assert_eq!((sample.sent, sample.sequence), (MS * 10, u32::MAX - 1));
    assert_eq!(answer, Answer { rtt: MS * 25, timing: Timing::Kernel, reflected: None });
    assert_eq!(session.oddities, Oddities::default());
}

#[test]
fn the_reflectors_time_is_no_part_of_the_round_trip() {
    let (mut session, key) = session(Method::Stamp);
    let question = session.send(&key, NUMBER, at(10));
    let (_, answer) =
        answered(session.receive(&key, NUMBER, at(40), Returned::Stamp(&reply(question, None)), None));
    // 30 ms between our readings, of which the reflector had it for 10.
    let tenth = Duration::from_micros(1);
    assert!(answer.rtt.abs_diff(MS * 20) < tenth, "{answer:?}");
    assert_eq!((answer.timing, answer.reflected), (Timing::Monotonic, None), "one that copies the number");
}

#[test]
fn a_reflector_that_counts_says_how_far_it_got() {
    let (mut session, key) = session(Method::Stamp);
    let question = session.send(&key, NUMBER, at(10));
    let reply = reply(question, Some(7));
    let (_, answer) = answered(session.receive(&key, NUMBER, at(40), Returned::Stamp(&reply), None));
    assert_eq!(answer.reflected, Some(7));
}

#[test]
fn a_second_reply_is_a_duplicate_and_one_after_its_time_late() {
    let (mut session, key) = session(Method::Icmp);
    let first = session.send(&key, NUMBER, at(0));
    let second = session.send(&key, NUMBER, at(50));
    let receive = |session: &mut Session, question, ms| {
        session.receive(&key, NUMBER, at(ms), Returned::Echo(&echo(question)), None)
    };
    answered(receive(&mut session, first, 60));
    assert_eq!(receive(&mut session, first, 61), Verdict::Odd(Oddity::Duplicated));
    assert_eq!(session.expire(MS * 149), None);
    let lost = Sample { sent: MS * 50, sequence: u32::MAX, outcome: Outcome::Lost };
    assert_eq!(session.expire(MS * 150), Some(lost));
    assert_eq!(receive(&mut session, second, 151), Verdict::Odd(Oddity::Late));
    assert_eq!(session.oddities, Oddities { duplicated: 1, late: 1, ..Oddities::default() });
    assert_eq!(session.expire(MS * 1_000), None, "lost once");
}

#[test]
fn a_genuine_reply_is_late_however_long_it_took() {
    for method in [Method::Icmp, Method::Stamp] {
        let (mut session, key) = session(method);
        let first = session.send(&key, NUMBER, at(0));
        for round in 1..100 {
            session.expire(MS * 1_000 * round);
            session.send(&key, NUMBER, at(1_000 * round));
        }
        let verdict = match method {
            Method::Icmp => session.receive(&key, NUMBER, at(99_001), Returned::Echo(&echo(first)), None),
            Method::Stamp => {
                session.receive(&key, NUMBER, at(99_001), Returned::Stamp(&reply(first, None)), None)
            }
        };
        assert_eq!(verdict, Verdict::Odd(Oddity::Late), "{method}");
        assert!(session.flights.len() <= REMEMBERED + 1, "{}", session.flights.len());
    }
}

#[test]
fn who_guesses_is_a_forger() {
    let (mut icmp, key) = session(Method::Icmp);
    let genuine = echo(icmp.send(&key, NUMBER, at(0)));
    let forged = Echo { cookie: genuine.cookie ^ 1, ..genuine };
    let verdict = icmp.receive(&key, NUMBER, at(1), Returned::Echo(&forged), None);
    assert_eq!(verdict, Verdict::Odd(Oddity::Forged));
    answered(icmp.receive(&key, NUMBER, at(2), Returned::Echo(&genuine), None));

    let (mut stamp, key) = session(Method::Stamp);
    let genuine = reply(stamp.send(&key, NUMBER, at(0)), None);
    let forged = [
        Reply { sender_sequence: genuine.sender_sequence.wrapping_add(1), ..genuine },
        Reply { sender_timestamp: Timestamp(genuine.sender_timestamp.0 ^ 1), ..genuine },
        // Keyed as it must be, but not the probe's own.
        Reply {
            sender_timestamp: key.stamp(stamp.target.address, genuine.sender_sequence, Timestamp(1 << 40)),
            ..genuine
        },
    ];
    for forged in forged {
        let verdict = stamp.receive(&key, NUMBER, at(1), Returned::Stamp(&forged), None);
        assert_eq!(verdict, Verdict::Odd(Oddity::Forged));
    }
    answered(stamp.receive(&key, NUMBER, at(2), Returned::Stamp(&genuine), None));
    assert_eq!(stamp.oddities.forged, 3);
}

#[test]
fn a_refusal_ends_a_probe_under_way_and_no_other() {
    let (mut session, key) = session(Method::Icmp);
    let sequence = session.send(&key, NUMBER, at(0)).sequence();
    let low = u16::try_from(sequence & 0xffff).unwrap();
    assert_eq!(session.waiting_with(low), Some(sequence));
    let sample = session.refuse(sequence, "no route".to_owned()).unwrap();
    assert_eq!(sample.outcome, Outcome::Refused("no route".to_owned()));
    assert_eq!(session.refuse(sequence, "again".to_owned()), None);
    assert_eq!(session.waiting_with(low), None);
    assert_eq!(session.refuse(sequence.wrapping_add(9), "never sent".to_owned()), None);
}

/// What happens to a session; numbers pick among the probes sent so far.
#[derive(Clone, Debug)]
enum Event {
    Send,
    Reply(usize),
    Refuse(usize),
    Wait(u32),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        Just(Event::Send),
        (0..8_usize).prop_map(Event::Reply),
        (0..8_usize).prop_map(Event::Refuse),
        (1..80_u32).prop_map(Event::Wait),
    ]
}

proptest! {
    #[test]
    fn every_probe_ends_exactly_once(events in prop::collection::vec(event(), 0..200)) {
        let (mut session, key) = session(Method::Stamp);
        let (mut sent, mut ended, mut now) = (Vec::new(), BTreeMap::<u32, u32>::new(), 0);
        let mut end = |sample: Sample| *ended.entry(sample.sequence).or_default() += 1;
        for event in events {
            let recent = |back: usize| sent.iter().rev().nth(back).copied();
            match event {
                Event::Send => sent.push(session.send(&key, NUMBER, at(now))),
                Event::Reply(back) => {
                    if let Some(question) = recent(back)
                        && let Verdict::Ended(sample) = session.receive(
                            &key, NUMBER, at(now), Returned::Stamp(&reply(question, None)), None)
                    {
                        end(sample);
                    }
                }
                Event::Refuse(back) => {
                    if let Some(question) = recent(back) {
                        session.refuse(question.sequence(), String::new()).into_iter().for_each(&mut end);
                    }
                }
                Event::Wait(ms) => {
                    now += ms;
                    std::iter::from_fn(|| session.expire(MS * now)).for_each(&mut end);
                }
            }
        }
        std::iter::from_fn(|| session.expire(MS * (now + 1_000))).for_each(&mut end);
        let sequences: Vec<u32> = sent.iter().map(Question::sequence).collect();
        prop_assert_eq!(ended.len(), sequences.len());
        prop_assert!(sequences.iter().all(|sequence| ended.get(sequence) == Some(&1)));
    }
}
