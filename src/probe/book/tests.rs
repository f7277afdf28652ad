//! Engines in virtual time: who is asked when, and whose a reply is.

use super::*;
use crate::model::Outcome;
use crate::probe::icmp::{Echo, Heard, Quoted};
use crate::probe::refusal::Cause;
use crate::probe::session::Question;
use crate::probe::stamp::{Reply, Request};

const MS: Duration = Duration::from_millis(1);
const DAY: Duration = Duration::from_secs(1_700_000_000);
const ROUTER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 254);

fn at(up: Duration) -> Moment {
    Moment { up, wall: DAY + up }
}

fn target(n: u32) -> Target {
    Target::to(Ipv4Addr::from(0xc633_6400 + n))
}

fn pace(interval: u32) -> Pace {
    Pace { interval: MS * interval, timeout: MS * 500 }
}

fn targets(count: u32, methods: &[Method], interval: u32) -> BTreeMap<Target, Ask> {
    (0..count).map(|n| (target(n), Ask::of(methods, pace(interval)))).collect()
}

fn book(rate: u32) -> Book {
    Book::new(Key::new(), Budget::new(rate, 64, Duration::ZERO), Duration::ZERO)
}

/// What a target makes of a probe.
fn answer(book: &mut Book, now: Moment, probe: &Outgoing) {
    match &probe.question {
        Question::Echo { sequence, cookie } => {
            let (from, ident) = (*probe.to.ip(), book.ident());
            let echo = Echo { ident, session: probe.number, sequence: *sequence, cookie: *cookie };
            book.heard(now, &Heard::Reply { from, ident, echo: Some(echo) }, None);
        }
        Question::Stamp(request) => book.received(now, probe.to, &reply(request).encode(), None),
    }
}

fn reply(request: &Request) -> Reply {
    Reply {
        sequence: request.sequence,
        timestamp: request.timestamp,
        error: request.error,
        session: 0,
        received: request.timestamp,
        sender_sequence: request.sequence,
        sender_timestamp: request.timestamp,
        sender_error: request.error,
        sender_ttl: 64,
    }
}

/// All probes from one time to another, in steps of a millisecond, each seen by `each` at once.
fn run(book: &mut Book, from: u32, to: u32, mut each: impl FnMut(&mut Book, Moment, &Outgoing)) -> u32 {
    let mut sent = 0;
    for ms in from..to {
        let now = at(MS * ms);
        book.turn(now.up);
        while let Some(probe) = book.question(now) {
            each(book, now, &probe);
            sent += 1;
        }
    }
    sent
}

#[test]
fn everybody_is_asked_in_every_round_and_every_probe_is_reported() {
    let mut book = book(100_000);
    book.ask(Duration::ZERO, &targets(100, &[Method::Icmp, Method::Stamp], 1_000));
    let sent = run(&mut book, 0, 10_500, answer);
    assert!((2_000..=2_300).contains(&sent), "200 a second for 10.5 s, and a round at once: {sent}");
    let reports = book.reports();
    assert_eq!(reports.len(), sent as usize);
    assert!(reports.iter().all(|report| matches!(report.sample.outcome, Outcome::Answered(_))));
    assert_eq!(book.census(), Census::default());
    let mut counts = BTreeMap::<_, u32>::new();
    reports.iter().for_each(|report| *counts.entry((&report.target, report.method)).or_default() += 1);
    assert!(counts.len() == 200 && counts.values().all(|count| (9..=13).contains(count)), "{counts:?}");
}

#[test]
fn rounds_are_spread_and_the_budget_is_never_exceeded() {
    let mut book = book(1_000);
    book.ask(Duration::ZERO, &targets(4_000, &[Method::Icmp], 1_000));
    let mut most = 0;
    for second in 0..5 {
        most = most.max(run(&mut book, second * 1_000, (second + 1) * 1_000, |_, _, _| {}));
    }
    assert!((900..=1_064).contains(&most), "{most}");
}

#[test]
fn one_target_is_asked_at_once() {
    let mut book = book(1_000);
    book.ask(MS * 77, &targets(1, &[Method::Icmp], 1_000));
    assert_eq!(run(&mut book, 77, 90, |_, _, _| {}), 1);
}

#[test]
fn who_is_to_be_asked_so_often_is_asked_no_more() {
    let mut book = book(1_000);
    let ask = Ask { count: Some(3), ..Ask::of(&[Method::Icmp, Method::Stamp], pace(100)) };
    book.ask(Duration::ZERO, &BTreeMap::from([(target(0), ask)]));
    assert_eq!(run(&mut book, 0, 5_000, |_, _, _| {}), 6);
    assert_eq!(book.reports().len(), 6);
    assert_eq!(book.next(), None, "and then there is nothing to do");
}

#[test]
fn silence_is_a_loss_after_its_time() {
    let mut book = book(1_000);
    book.ask(Duration::ZERO, &targets(1, &[Method::Stamp], 10_000));
    run(&mut book, 0, 500, |_, _, _| {});
    assert_eq!(book.reports(), []);
    run(&mut book, 500, 520, |_, _, _| {});
    let reports = book.reports();
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0].sample.outcome, Outcome::Lost);
}

#[test]
fn who_stays_keeps_what_is_under_way_and_who_goes_is_silent() {
    let mut book = book(1_000);
    let two = targets(2, &[Method::Icmp], 1_000);
    book.ask(Duration::ZERO, &two);
    let mut probes = Vec::new();
    run(&mut book, 0, 12, |_, _, probe| probes.push(probe.clone()));
    let mut one = two.clone();
    one.remove(&target(1));
    book.ask(MS * 12, &one);
    for probe in &probes {
        answer(&mut book, at(MS * 20), probe);
    }
    let reports = book.reports();
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0].target, target(0));
    assert_eq!(book.census().all.foreign, 1, "from an address that is not asked any more");
    // Numbers are given again, and what is left on the wheel of the last holder does no harm.
    book.ask(MS * 30, &two);
    assert!((2..=5).contains(&run(&mut book, 30, 2_030, answer)));
}

#[test]
fn a_faster_pace_begins_at_once() {
    let mut book = book(1_000);
    book.ask(Duration::ZERO, &targets(1, &[Method::Icmp], 60_000));
    run(&mut book, 0, 100, answer);
    book.ask(MS * 100, &targets(1, &[Method::Icmp], 100));
    let sent = run(&mut book, 100, 1_100, answer);
    assert!((9..=12).contains(&sent), "{sent}");
}

#[test]
fn two_ways_to_one_address_are_told_apart() {
    let mut book = book(1_000);
    let ways =
        [None, Some(7)].map(|link| (Target { link, ..target(0) }, Ask::of(&[Method::Stamp], pace(1_000))));
    book.ask(Duration::ZERO, &BTreeMap::from(ways));
    run(&mut book, 0, 50, |book, now, probe| {
        if probe.link.is_some() {
            answer(book, now, probe);
        }
    });
    let reports = book.reports();
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0].target.link, Some(7));
}

#[test]
fn replies_of_forgers_and_strangers_are_counted() {
    let mut book = book(1_000);
    book.ask(Duration::ZERO, &targets(1, &[Method::Icmp, Method::Stamp], 1_000));
    run(&mut book, 0, 50, |book, now, probe| {
        let mut elsewhere = probe.clone();
        elsewhere.to = SocketAddrV4::new(ROUTER, 862);
        answer(book, now, &elsewhere);
        if let Question::Stamp(request) = &probe.question {
            let reply = reply(request).encode();
            book.received(now, SocketAddrV4::new(*probe.to.ip(), 863), &reply, None);
            book.received(now, probe.to, &reply[..43], None);
        } else {
            let (from, ident) = (*probe.to.ip(), book.ident());
            book.heard(now, &Heard::Reply { from, ident, echo: None }, None);
            // Not ours at all.
            book.heard(now, &Heard::Reply { from, ident: !ident, echo: None }, None);
        }
    });
    let all = book.census().all;
    assert_eq!((all.foreign, all.forged, all.late, all.duplicated), (2, 3, 0, 0));
    assert_eq!(book.reports(), []);
}

#[test]
fn a_complaint_ends_its_probe_only_when_it_quotes_it() {
    let cause = Cause::new(3, 1);
    for whole in [true, false] {
        let mut book = book(1_000);
        book.ask(Duration::ZERO, &targets(2, &[Method::Icmp, Method::Stamp], 1_000));
        run(&mut book, 0, 50, |book, _, probe| match &probe.question {
            Question::Echo { sequence, cookie } => {
                let (to, ident) = (*probe.to.ip(), book.ident());
                let echo = Echo { ident, session: probe.number, sequence: *sequence, cookie: *cookie };
                let low = u16::try_from(sequence & 0xffff).unwrap();
                let mut complain = |echo, low, ident| {
                    let quoted = Quoted { to, ident, low, echo };
                    book.heard(at(MS), &Heard::Error { from: ROUTER, cause, quoted }, None);
                };
                complain(Some(Echo { cookie: cookie ^ 1, ..echo }), low, ident);
                complain(None, low.wrapping_add(1), ident);
                complain(None, low, !ident);
                complain(whole.then_some(echo), low, ident);
            }
            Question::Stamp(request) => {
                let quoted = request.encode();
                let other = Request { sequence: request.sequence.wrapping_add(1), ..*request }.encode();
                book.undelivered(*probe.to.ip(), &other, cause, ROUTER);
                book.undelivered(*probe.to.ip(), if whole { &quoted } else { &[] }, cause, ROUTER);
            }
        });
        let reports = book.reports();
        assert_eq!(reports.len(), 4, "{reports:?}");
        let why = Outcome::Refused("host unreachable, says 192.0.2.254".to_owned());
        assert!(reports.iter().all(|report| report.sample.outcome == why), "{reports:?}");
        assert_eq!(book.census().all.forged, 4);
    }
}

#[test]
fn who_sleeps_as_told_misses_nothing() {
    let mut book = book(500);
    book.ask(Duration::ZERO, &targets(50, &[Method::Icmp], 100));
    let (mut now, mut sent) = (Duration::ZERO, 0);
    while now < MS * 2_000 {
        book.turn(now);
        while let Some(probe) = book.question(at(now)) {
            answer(&mut book, at(now), &probe);
            sent += 1;
        }
        now = book.next().unwrap().max(now + Duration::from_micros(1));
    }
    assert!((950..=1_070).contains(&sent), "500 a second: {sent}");
}

#[test]
fn a_probe_that_this_host_had_no_room_for_is_sent_again_where_they_are_counted() {
    let mut book = book(1_000);
    let ask = Ask { count: Some(1), ..Ask::of(&[Method::Icmp], pace(100)) };
    book.ask(Duration::ZERO, &[(target(0), ask)].into());
    let (mut asked, mut ended) = (0, 0);
    for ms in 0..2_000 {
        let now = Moment { up: MS * ms, wall: MS * ms };
        book.turn(now.up);
        while let Some(probe) = book.question(now) {
            asked += 1;
            if asked == 1 {
                book.unsent(probe.number, probe.question.sequence());
            } else {
                answer(&mut book, now, &probe);
            }
        }
        ended += book.reports().len();
    }
    assert_eq!((asked, ended), (2, 1));
}
