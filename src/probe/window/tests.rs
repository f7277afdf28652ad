//! What a window remembers and what it comes to.

use proptest::prelude::*;

use super::*;

const MS: fn(u64) -> Duration = Duration::from_millis;

/// A probe a second from second 0; a letter each: a digit is an answer after so many ms, `x` lost, `r` refused.
fn window(story: &str) -> (Window, Duration) {
    let mut window = Window::new(Limits::default());
    for (second, letter) in story.chars().enumerate() {
        window.take(sample(second as u32, letter));
    }
    (window, Duration::from_secs(story.len() as u64))
}

fn sample(second: u32, letter: char) -> Sample {
    let outcome = match letter {
        'x' => Outcome::Lost,
        'r' => Outcome::Refused("10.0.0.1 says: no route".to_owned()),
        digit => answered(digit.to_digit(10).unwrap().into(), None),
    };
    Sample { sent: Duration::from_secs(second.into()), sequence: second.wrapping_sub(3), outcome }
}

fn answered(ms: u64, reflected: Option<u32>) -> Outcome {
    Outcome::Answered(Answer { rtt: MS(ms), timing: Timing::Kernel, reflected })
}

fn summary(story: &str) -> Summary {
    let (window, now) = window(story);
    window.summary(now)
}

#[test]
fn a_target_is_reachable_by_one_answer_and_unreachable_by_three_losses_or_one_refusal() {
    let table = [
        ("", "unknown"),
        ("x", "unknown"),
        ("xx", "unknown"),
        ("xxx", "3 probes in a row lost"),
        ("xxxx", "4 probes in a row lost"),
        ("5", "reachable"),
        ("5xx", "reachable"),
        ("5xxx", "3 probes in a row lost"),
        ("xxxx5", "reachable"),
        ("r", "10.0.0.1 says: no route"),
        ("5r", "10.0.0.1 says: no route"),
        ("5rx", "10.0.0.1 says: no route"),
        ("r5", "reachable"),
        ("r5xx", "reachable"),
    ];
    for (story, expected) in table {
        let said = match summary(story).state {
            State::Reachable => "reachable".to_owned(),
            State::Unknown => "unknown".to_owned(),
            State::Unreachable { why, .. } => why,
        };
        assert_eq!(said, expected, "{story}");
    }
}

#[test]
fn the_figures_of_a_window_are_these() {
    let summary = summary("2x48");
    assert_eq!((summary.sent, summary.answered, summary.loss()), (4, 3, 0.25));
    assert_eq!((summary.probed_at, summary.answered_at), (Some(MS(3000)), Some(MS(3000))));
    let rtt = summary.rtt.unwrap();
    let expected = Rtt {
        min: MS(2),
        median: MS(4),
        mean: Duration::from_nanos(4_666_666),
        p95: MS(8),
        jitter: MS(3),
        last: MS(8),
        smoothed: Duration::from_nanos(2_968_750),
    };
    assert_eq!(rtt, expected);
    assert_eq!(summary.directions, None, "who does not count cannot say where probes were lost");
}

#[test]
fn a_window_forgets_by_age_and_by_count() {
    let (mut window, _) = window(&"5".repeat(400));
    assert_eq!(window.summary(MS(400_000)).sent, 256);
    assert_eq!(window.summary(MS(600_000)).sent, 100);
    assert_eq!(window.summary(MS(900_000)).state, State::Unknown);
    window.take(sample(10, '9'));
    assert_eq!(window.summary(MS(400_000)).rtt.unwrap().p95, MS(5), "too old when it came");
}

#[test]
fn what_comes_late_is_put_where_it_was_sent_and_counts_once() {
    let mut window = Window::new(Limits::default());
    for second in [0, 2, 3, 1, 1, 0] {
        window.take(sample(second, char::from_digit(second + 1, 10).unwrap()));
    }
    window.take(sample(2, 'x'));
    assert_eq!(window.series(MS(4000), 3), [Some(MS(2)), Some(MS(3)), Some(MS(4))]);
    assert_eq!(window.summary(MS(4000)).answered, 4);
}

#[test]
fn it_answers_since_the_last_loss() {
    for (story, since) in [("555", Some(0)), ("5x55", Some(2)), ("5r5", Some(2)), ("55x", None), ("", None)] {
        assert_eq!(summary(story).answering_since, since.map(Duration::from_secs), "{story}");
    }
}

#[test]
fn unreachable_since_the_second_loss() {
    let (window, now) = window("55xxxx");
    let State::Unreachable { since, .. } = window.summary(now).state else { panic!("it is reachable") };
    assert_eq!(since, Duration::from_secs(3));
}

#[test]
fn a_stateful_reflector_tells_the_ways_apart() {
    // For each probe: what the reflector counted when it answered; `None` is lost.
    type Case = (&'static str, &'static [Option<u32>], Option<(u64, u64, u64)>);
    let table: [Case; 7] = [
        ("no loss", &[Some(0), Some(1), Some(2)], Some((2, 0, 0))),
        ("one lost there", &[Some(0), None, Some(1)], Some((2, 1, 0))),
        ("one lost back", &[Some(0), None, Some(2)], Some((2, 0, 1))),
        ("each way one", &[Some(7), None, None, Some(9)], Some((3, 1, 1))),
        ("over the wrap", &[Some(u32::MAX), None, Some(0), Some(1)], Some((3, 1, 0))),
        (
            "a restart says nothing of its stretch",
            &[Some(8), Some(9), None, Some(0), Some(1)],
            Some((2, 0, 0)),
        ),
        ("before the first and after the last nobody knows", &[None, Some(4), None], None),
    ];
    for (name, numbers, expected) in table {
        let mut window = Window::new(Limits::default());
        for (n, number) in numbers.iter().enumerate() {
            let outcome = number.map_or(Outcome::Lost, |number| answered(5, Some(number)));
            let sequence = u32::MAX.wrapping_add(n as u32);
            window.take(Sample { sent: MS(1000 * n as u64), sequence, outcome });
        }
        let found = window.summary(MS(9000)).directions;
        assert_eq!(found.map(|d| (d.sent, d.forward, d.backward)), expected, "{name}");
    }
}

proptest! {
    #[test]
    fn the_order_of_arrival_does_not_matter(
        mixed in "[0-9xr]{1,80}".prop_flat_map(|story| {
            Just(story.chars().enumerate().collect::<Vec<_>>()).prop_shuffle()
        }),
    ) {
        let mut sorted = mixed.clone();
        sorted.sort_unstable();
        let [straight, mixed] = [sorted, mixed].map(|samples| {
            let mut window = Window::new(Limits::default());
            samples.iter().for_each(|(second, letter)| window.take(sample(*second as u32, *letter)));
            window.summary(Duration::from_secs(80))
        });
        prop_assert_eq!(straight, mixed);
    }

    #[test]
    fn figures_are_in_order_and_losses_add_up(answers in prop::collection::vec((0u64..1000, any::<bool>(), any::<bool>()), 1..300)) {
        let (mut window, mut counted) = (Window::new(Limits::default()), 4_294_967_200u32);
        for (n, (ms, there, back)) in answers.iter().enumerate() {
            counted = counted.wrapping_add(u32::from(*there));
            let outcome = if *there && *back { answered(*ms, Some(counted)) } else { Outcome::Lost };
            window.take(Sample { sent: MS(1000 * n as u64), sequence: n as u32, outcome });
        }
        let summary = window.summary(MS(1000 * answers.len() as u64));
        if let Some(Rtt { min, median, mean, p95, jitter: _, last, smoothed }) = summary.rtt {
            prop_assert!(min <= median && median <= p95);
            prop_assert!(min <= mean && min <= last);
            prop_assert!(smoothed + Duration::from_nanos(300) >= min);
        }
        let lost = (summary.sent - summary.answered) as u64;
        if let Some(Directions { sent, forward, backward }) = summary.directions {
            prop_assert!(forward + backward <= lost && sent < summary.sent as u64);
        }
    }
}
