//! When a peer is up, when it is down, and when nobody can say.

use proptest::prelude::*;

use super::*;
use crate::model::{Answer, Timing};

const MS: fn(u64) -> Duration = Duration::from_millis;
const RTT: u64 = 20;

fn stamp() -> Liveness {
    Liveness::new(Pace::usual(Method::Stamp), MS(0))
}

fn sample(sent: u64, outcome: Outcome) -> Sample {
    Sample { sent: MS(sent), sequence: sent as u32, outcome }
}

fn answered(sent: u64) -> Sample {
    sample(sent, Outcome::Answered(Answer { rtt: MS(RTT), timing: Timing::Kernel, reflected: None }))
}

/// When it is called down by its own deadline, after the last answer.
fn down_at(liveness: &mut Liveness) -> Duration {
    let at = liveness.next().unwrap();
    assert_eq!(liveness.tick(at - MS(1)), None);
    assert!(matches!(liveness.tick(at).unwrap().to, State::Down(_)));
    at
}

#[test]
fn a_peer_that_answers_is_up_and_one_that_stops_is_down_within_its_detection_time() {
    for (interval, multiplier) in [(100, 3), (300, 3), (1000, 5), (60_000, 20)] {
        let mut liveness = Liveness::new(Pace::new(MS(interval), multiplier).unwrap(), MS(0));
        assert_eq!(liveness.take(&answered(0)).unwrap().to, State::Up);
        assert_eq!(liveness.take(&answered(interval)), None);
        // It dies as soon as it has answered the probe of `interval`.
        let death = interval + RTT / 2;
        let bound = (u64::from(multiplier) + 1) * interval + 100;
        assert!(down_at(&mut liveness) <= MS(death + bound));
    }
}

#[test]
fn paces_outside_the_range_are_refused() {
    for (interval, multiplier) in [(99, 3), (100, 2), (60_001, 3), (100, 21), (0, 0)] {
        assert!(Pace::new(MS(interval), multiplier).is_err());
    }
    let text = Pace::new(MS(50), 3).unwrap_err().to_string();
    assert_eq!(text, "a liveness of 50.0 ms x 3 is out of range: 100 ms to 1 min, times 3 to 20");
}

#[test]
fn a_peer_that_never_answers_is_found_out_and_not_called_dead() {
    let mut liveness = stamp();
    (0..4).for_each(|n| assert_eq!(liveness.take(&sample(n * 300, Outcome::Lost)), None));
    let change = liveness.tick(MS(1050)).unwrap();
    assert_eq!(change.to.to_string(), "peer answers no overlay probe");
    assert_eq!((liveness.next(), liveness.tick(MS(99_000))), (None, None));
    liveness.moved(MS(100_000));
    assert_eq!(liveness.tick(MS(102_000)).unwrap().to, State::Silent);
    assert_eq!(liveness.take(&answered(103_000)).unwrap().to, State::Up);
}

#[test]
fn who_answered_before_the_move_and_not_after_is_down() {
    let mut liveness = stamp();
    liveness.take(&answered(0));
    liveness.moved(MS(500));
    assert_eq!(liveness.state(), &State::Unknown);
    assert_eq!(liveness.take(&answered(400)), None, "a probe of before the move says nothing of after");
    liveness.take(&sample(800, Outcome::Refused("192.0.2.9 says: protocol unreachable".to_owned())));
    let State::Down(cause) = liveness.tick(MS(1550)).unwrap().to else { panic!("it is not down") };
    assert!(cause.after_move);
    assert_eq!(cause.gone, MS(800));
    assert_eq!(
        cause.to_string(),
        "no answer through the tunnel for 1.05 s, none since the move; 192.0.2.9 says: protocol unreachable"
    );
    assert_eq!(liveness.take(&answered(1600)).unwrap().to, State::Up);
}

#[test]
fn doubt_begins_with_the_first_missing_answer() {
    let mut liveness = stamp();
    assert!(!liveness.in_doubt(MS(900)), "who never answered is not missed");
    liveness.take(&answered(1000));
    assert!(!liveness.in_doubt(MS(1300 + RTT)));
    assert!(liveness.in_doubt(MS(1451 + RTT)));
    assert!(MS(1451 + RTT) < down_at(&mut liveness));
    assert!(!liveness.in_doubt(MS(9000)), "down is no doubt");
}

proptest! {
    /// With fewer losses in a row than the multiplier, a peer is never called down.
    #[test]
    fn sparse_loss_is_not_death(losses in prop::collection::vec(0u64..3, 1..100), rtt in 0u64..400) {
        let mut liveness = stamp();
        let mut sent = 0;
        for lost in losses {
            let outcome = Outcome::Answered(Answer { rtt: MS(rtt), timing: Timing::Kernel, reflected: None });
            prop_assert_eq!(liveness.tick(MS(sent + rtt)).map(|change| change.to), None);
            liveness.take(&sample(sent, outcome));
            sent += 300 * (lost + 1);
        }
        prop_assert_eq!(liveness.state(), &State::Up);
    }

    /// Samples may come late or out of order: only the newest answer counts.
    #[test]
    fn the_order_of_answers_does_not_matter(sent in Just((0u64..20).collect::<Vec<_>>()).prop_shuffle()) {
        let mut liveness = stamp();
        sent.iter().for_each(|n| { liveness.take(&answered(n * 300)); });
        prop_assert_eq!(down_at(&mut liveness), MS(19 * 300 + RTT + 1050));
    }
}
