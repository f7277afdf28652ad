//! When a tunnel moves, told one look at a time; and how often it does, in simulated hours.

mod simulation;
mod world;

use super::*;
use crate::probe::liveness::Cause;
use crate::probe::rank::tests::{entry, measured};
use crate::probe::score::Health;

/// Seconds of a story, which begins when the tunnel has been there for a while.
fn at(second: u64) -> Duration {
    Duration::from_secs(1000 + second)
}

/// The tunnel of these stories: it uses 192.0.2.1 at first, and looks around when it is told to.
struct Tunnel {
    chooser: Chooser,
    liveness: Liveness,
    /// Since when all that are unreachable are lost, in seconds, …
    lost_since: u64,
    /// … and since when all that are measured answer.
    back: u64,
}

impl Tunnel {
    fn new() -> Self {
        Self {
            chooser: Chooser::new(Rules::default(), 0, address(1), Duration::ZERO),
            liveness: Liveness::Up,
            lost_since: 0,
            back: 0,
        }
    }

    /// What it decides at this second, when the candidates 1, 2, … have such latencies in milliseconds; `None`
    /// is an unreachable one. What is measured was answered just now.
    fn decide(&mut self, second: u64, latencies: &[Option<u64>]) -> Decision {
        let since = at(self.lost_since);
        let lost = || Standing::Unreachable { why: "icmp: lost".to_owned(), since };
        let entries = latencies.iter().zip(1..).map(|(latency, last)| {
            let standing = latency.map_or_else(lost, measured);
            let answered_at = latency.map(|_| at(second));
            let answering_since = latency.map(|_| at(self.back));
            Entry { health: Health { standing, answered_at, answering_since }, ..entry(last, lost()) }
        });
        let ranking = Ranking::new(entries.collect());
        let sight = Sight { ranking: &ranking, liveness: &self.liveness, upstream: None };
        let decision = self.chooser.decide(at(second), sight);
        if let Some(to) = decision.to() {
            self.chooser.moved(at(second), to);
            self.liveness = Liveness::Up;
        }
        decision
    }

    fn down(&mut self, since: u64, after_move: bool) {
        let gone = at(since);
        let silent = Duration::from_millis(1050);
        let (refused, last_rtt, interval) = (None, None, Duration::from_secs(2));
        self.liveness = Liveness::Down(Cause { silent, after_move, refused, last_rtt, gone, interval });
    }
}

fn address(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, last)
}

#[test]
fn a_better_one_is_better_by_both_margins_for_the_whole_hold_time() {
    // In use, the other, and what the other may have at most.
    let table = [(100, 80, 80), (100, 81, 80), (20, 15, 15), (20, 16, 15), (6, 1, 1), (6, 2, 1)];
    for (current, other, most) in table {
        let mut tunnel = Tunnel::new();
        let latencies = [Some(current), Some(other)];
        let first = tunnel.decide(0, &latencies);
        assert_eq!(tunnel.decide(29, &latencies).to(), None);
        let moves = tunnel.decide(30, &latencies).to().is_some();
        assert_eq!(moves, other <= most, "{first}");
    }
    assert_eq!(Rules::default().needed(Duration::from_millis(5)), None, "nothing is better than that");
}

#[test]
fn a_break_begins_the_hold_time_anew() {
    let mut tunnel = Tunnel::new();
    for second in 0..100 {
        let other = if second % 25 == 0 { 49 } else { 20 };
        assert_eq!(tunnel.decide(second, &[Some(50), Some(other)]).to(), None);
    }
}

#[test]
fn a_moment_without_a_figure_is_no_break() {
    let mut tunnel = Tunnel::new();
    for second in 0..30 {
        let current = (second % 3 > 0).then_some(50);
        assert_eq!(tunnel.decide(second, &[current, Some(20)]).to(), None);
    }
    assert_eq!(tunnel.decide(31, &[Some(50), Some(20)]).to(), Some(address(2)));
}

#[test]
fn decisions_read_as_sentences() {
    let mut tunnel = Tunnel::new();
    let table: [(u64, &[Option<u64>], &str); 8] = [
        (0, &[Some(20), Some(30)], "stays at 192.0.2.1 (20.0 ms): no other is lower"),
        (
            1,
            &[Some(20), Some(19)],
            "stays at 192.0.2.1 (20.0 ms): 192.0.2.2 (19.0 ms) is lower, but not down to 15.0 ms",
        ),
        (
            2,
            &[Some(20), Some(3)],
            "stays at 192.0.2.1 (20.0 ms): 192.0.2.2 (3.00 ms) is better, and has to stay so for another 30 s",
        ),
        (
            32,
            &[Some(20), Some(3)],
            "moves from 192.0.2.1 (20.0 ms) to 192.0.2.2 (3.00 ms): it has been better for 30 s",
        ),
        (
            33,
            &[Some(1), Some(20)],
            "stays at 192.0.2.2 (20.0 ms): 192.0.2.1 (1.00 ms) is better, but this tunnel has just come here, \
             and stays for another 59 s",
        ),
        (
            34,
            &[Some(1), None],
            "stays at 192.0.2.2: it is not known to be dead, and has no latency to compare",
        ),
        (36, &[None, None], "stays at 192.0.2.2: it is dead (icmp: lost), and no other is known to be alive"),
        (
            37,
            &[Some(1), None],
            "stays at 192.0.2.2: it is dead (icmp: lost), and 192.0.2.1 (1.00 ms) has to settle \
             for another 2.00 s",
        ),
    ];
    for (second, latencies, sentence) in table {
        if second == 36 {
            tunnel.liveness = Liveness::Silent;
            (tunnel.lost_since, tunnel.back) = (36, 37);
        }
        assert_eq!(tunnel.decide(second, latencies).to_string(), sentence);
    }
    tunnel.chooser.hold();
    let held = "stays at 192.0.2.2: it is held, though its endpoint is dead (icmp: lost)";
    assert_eq!(tunnel.decide(60, &[Some(1), None]).to_string(), held);
    tunnel.chooser.unhold();
    let moved = "moves from 192.0.2.2 to 192.0.2.1 (1.00 ms): the old one is dead (icmp: lost)";
    assert_eq!(tunnel.decide(61, &[Some(1), None]).to_string(), moved);
}

#[test]
fn from_a_dead_one_it_moves_at_once() {
    let mut tunnel = Tunnel::new();
    tunnel.decide(10, &[Some(10), Some(90), Some(80)]);
    tunnel.down(8, false);
    assert_eq!(tunnel.decide(11, &[Some(10), Some(90), Some(80)]).to(), Some(address(3)));
}

#[test]
fn it_does_not_move_to_one_that_has_not_answered_since() {
    let mut tunnel = Tunnel::new();
    tunnel.down(12, false);
    assert_eq!(tunnel.decide(11, &[Some(10), Some(20)]).to(), None, "our own upstream may be dead");
    tunnel.back = 13;
    let other = tunnel.decide(13, &[None, Some(20)]);
    assert!(matches!(other.verdict, Verdict::Stay { why: Stay::Settling { .. } }), "{other}");
    assert_eq!(tunnel.chooser.next(), Some(at(16)));
    assert_eq!(tunnel.decide(15, &[None, Some(20)]).to(), None);
    assert_eq!(tunnel.decide(16, &[None, Some(20)]).to(), Some(address(2)));
}

#[test]
fn after_it_was_dead_one_waits_for_the_hold_down() {
    let mut tunnel = Tunnel::new();
    tunnel.down(5, false);
    tunnel.decide(10, &[None, Some(90)]);
    let waits = tunnel.decide(11, &[Some(10), Some(90)]);
    assert_eq!(waits.current.address, address(2));
    assert_eq!(tunnel.decide(69, &[Some(10), Some(90)]).to(), None);
    assert_eq!(tunnel.chooser.next(), Some(at(70)));
    assert_eq!(tunnel.decide(70, &[Some(10), Some(90)]).to(), Some(address(1)));
}

#[test]
fn where_the_tunnel_failed_it_does_not_return_though_probes_are_answered() {
    let (day, mut tunnel) = (86_400, Tunnel::new());
    let mut moves = Vec::new();
    for second in 0u64..day {
        // Every move to the first one fails; its probes say that it is by far the better one.
        if tunnel.chooser.current() == address(1) {
            tunnel.down(second.saturating_sub(3), second > 0);
        }
        moves.extend(tunnel.decide(second, &[Some(10), Some(90)]).to().map(|_| second));
    }
    let tries: Vec<u64> = moves.iter().skip(1).step_by(2).map(|second| second / 60).collect();
    assert_eq!(tries, [30, 90, 210, 450, 930], "after half an hour, and twice as long each time");
}

#[test]
fn when_all_fail_the_tries_become_rare() {
    let mut tunnel = Tunnel::new();
    let mut moves = Vec::new();
    for second in 0u64..3600 {
        tunnel.down(second.saturating_sub(3), second > 0);
        moves.extend(tunnel.decide(second, &[Some(10), Some(20)]).to().map(|_| second));
    }
    assert!(moves.len() <= 14, "{moves:?}");
}

#[test]
fn one_that_works_is_not_dead_because_it_answers_no_probes() {
    let mut tunnel = Tunnel::new();
    assert_eq!(tunnel.decide(0, &[None, Some(5)]).to(), None);
    tunnel.liveness = Liveness::Silent;
    assert_eq!(tunnel.decide(2, &[None, Some(5)]).to(), Some(address(2)));
}

#[test]
fn one_in_doubt_is_the_last_resort_and_only_when_our_upstream_is_alive() {
    for (upstream, then) in [(None, None), (Some(at(8)), None), (Some(at(9)), Some(address(2)))] {
        let mut tunnel = Tunnel::new();
        tunnel.down(9, false);
        let ranking = Ranking::new(vec![entry(1, Standing::Unknown), entry(2, Standing::Unknown)]);
        let sight = Sight { ranking: &ranking, liveness: &tunnel.liveness, upstream };
        assert_eq!(tunnel.chooser.decide(at(10), sight).to(), None);
        assert_eq!(tunnel.chooser.decide(at(12), sight).to(), then);
    }
}

#[test]
fn a_move_by_hand_stays_for_the_hold_down_and_a_refused_one_is_not_tried_again_at_once() {
    let mut tunnel = Tunnel::new();
    tunnel.chooser.moved(at(100), address(2));
    assert!((100..160).all(|second| tunnel.decide(second, &[Some(10), Some(90)]).to().is_none()));
    tunnel.chooser.could_not_move(at(160), address(1));
    assert!((160..1900).all(|second| tunnel.decide(second, &[Some(10), Some(90)]).to().is_none()));
}

#[test]
fn what_is_no_candidate_any_more_is_left() {
    let mut tunnel = Tunnel::new();
    tunnel.chooser.moved(at(0), address(9));
    let decision = tunnel.decide(1, &[Some(10), Some(90)]);
    assert_eq!(
        decision.to_string(),
        "moves from 192.0.2.9 to 192.0.2.1 (10.0 ms): the old one is dead (it is no candidate any more)"
    );
}

#[test]
fn decisions_are_data() {
    let decision = Tunnel::new().decide(0, &[Some(20), Some(3)]);
    let json = serde_json::to_string(&decision).unwrap();
    let expected = r#"{"current":{"address":"192.0.2.1","latency_ms":20.0},"verdict":"stay","why":{"reason":"waiting","other":{"address":"192.0.2.2","latency_ms":3.0},"wait":"hold","left_ms":30000.0}}"#;
    assert_eq!(json, expected);
}
