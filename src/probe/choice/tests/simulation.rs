//! How often a tunnel moves, in simulated hours. The table of bounds is printed by
//! `cargo test --lib probe::choice::tests::simulation::bounds -- --nocapture`.

use proptest::prelude::*;

use super::world::{Move, Ms, Weather, World, noise};
use super::*;

const SECOND: Ms = 1000;
const MINUTE: Ms = 60 * SECOND;
const HOUR: Ms = 60 * MINUTE;

/// Always there, at this round trip in milliseconds, give or take a little.
fn steady(ms: u64) -> Weather {
    when(ms, |_| true)
}

fn when(ms: u64, alive: impl Fn(Ms) -> bool + 'static) -> Weather {
    Box::new(move |now| (alive(now).then(|| 1000 * ms + (200.0 * noise(ms, now)) as u64), true))
}

/// Alive for the first half of each period.
fn flapping(ms: u64, period: Ms) -> Weather {
    when(ms, move |now| now % period < period / 2)
}

/// Exponential jitter of this mean, and one probe in `loss` lost.
fn jittery(seed: u64, ms: u64, jitter: f64, loss: f64) -> Weather {
    Box::new(move |now| {
        let late = -jitter * (1.0 - noise(seed, now)).ln();
        let lost = noise(seed + 1000, now) < loss;
        ((!lost).then_some(1000 * ms + (1000.0 * late) as u64), true)
    })
}

fn between(now: Ms, from: Ms, to: Ms) -> bool {
    (from..to).contains(&now)
}

fn moves(until: Ms, weather: Vec<Weather>) -> Vec<Move> {
    World::new(0, weather).run(until)
}

fn places(moves: &[Move]) -> Vec<usize> {
    moves.iter().map(|made| made.to).collect()
}

#[test]
fn two_equal_endpoints_with_jitter_for_an_hour_no_move() {
    for seed in 0..4 {
        for (jitter, loss) in [(0.1, 0.0), (1.0, 0.005), (5.0, 0.02), (10.0, 0.0), (30.0, 0.0)] {
            let pair = [0, 1].map(|n| jittery(2 * seed + n, 20, jitter, loss));
            let made = moves(HOUR, pair.into());
            assert!(made.is_empty(), "jitter {jitter}, loss {loss}, seed {seed}: {:?}", made[0]);
        }
    }
}

#[test]
fn a_latency_step_up_and_back_one_move_each() {
    let step = |now| if between(now, 10 * MINUTE, 30 * MINUTE) { 60_000 } else { 10_000 };
    let made = moves(HOUR, vec![Box::new(move |now| (Some(step(now)), true)), steady(30)]);
    assert_eq!(places(&made), [1, 0]);
    let (there, back) = (made[0].at - 10 * MINUTE, made[1].at - 30 * MINUTE);
    assert!(there < 50 * SECOND && back < 50 * SECOND, "after {there} and {back} ms");
}

#[test]
fn a_dead_endpoint_is_left_within_the_bound_and_returned_to_after_the_hold_down() {
    for death in (60_000..61_000).step_by(50) {
        let weather = vec![when(10, move |now| !between(now, death, 2 * MINUTE)), steady(30)];
        let made = moves(20 * MINUTE, weather);
        assert_eq!(places(&made), [1, 0], "dead at {death}");
        // (multiplier + 1) × interval + 100 ms from the last packet; a packet could pass until just before.
        assert!(made[0].at - death <= 4 * 300 + 100, "dead at {death}, left at {}", made[0].at);
        assert!(made[1].at >= 3 * MINUTE);
    }
}

#[test]
fn all_dead_no_move_and_none_when_all_come_back_at_once() {
    for outage in [2, 3, 5, 10, 60, 400, 1200] {
        for phase in (0..1000).step_by(100) {
            let (from, to) = (MINUTE + phase, MINUTE + phase + outage * SECOND);
            let weather = [20, 25, 30].map(|ms| when(ms, move |now| !between(now, from, to)));
            let made = moves(to + 10 * MINUTE, weather.into());
            assert!(made.is_empty(), "an outage of {outage} s at {phase}: {:?}", made[0]);
        }
    }
}

/// One that ends just as the tunnel is called down looks like a dead endpoint, until that would have answered, too.
#[test]
fn an_outage_of_our_own_upstream_as_short_as_the_detection_time_at_most_there_and_back() {
    let mut moved = 0;
    for outage in (100..2000).step_by(100) {
        for phase in (0..1000).step_by(100) {
            let (from, to) = (MINUTE + phase, MINUTE + phase + outage);
            let weather = [20, 25, 30].map(|ms| when(ms, move |now| !between(now, from, to)));
            let made = moves(10 * MINUTE, weather.into());
            assert!(made.len() <= 2, "{outage} ms at {phase}: {made:?}");
            moved += usize::from(!made.is_empty());
        }
    }
    println!("{moved} of 190 short outages made the tunnel move");
    assert!(moved <= 19);
}

#[test]
fn everything_comes_back_after_one_by_one_died_one_move_per_tunnel_and_not_all_together() {
    let mut returns = Vec::new();
    for spread in (0..=1000).step_by(100) {
        let dies = |ms, at| when(ms, move |now| !between(now, at, 10 * MINUTE));
        let weather = vec![dies(10, MINUTE), dies(60, 3 * MINUTE), dies(110, 5 * MINUTE)];
        let mut world = World::new(spread, weather);
        assert_eq!(places(&world.run(10 * MINUTE)), [1, 2]);
        let back = world.run(25 * MINUTE);
        assert!(back.len() <= 2 && back[0].at >= 11 * MINUTE, "{back:?}");
        returns.push(back[0].at);
    }
    returns.dedup();
    assert!(returns.len() >= 8, "they return together: {returns:?}");
}

#[test]
fn a_block_of_gre_alone_one_move_then_away() {
    for begin in (60_000..61_000).step_by(100) {
        let blocked: Weather = Box::new(move |now| (Some(10_000), now < begin));
        let made = moves(30 * MINUTE, vec![blocked, steady(30)]);
        assert_eq!(places(&made), [1], "blocked at {begin}");
        assert!(made[0].at - begin <= 1300);
    }
}

#[test]
fn gre_blocked_at_the_next_one_too_is_found_out_by_moving_there_once() {
    let blocked: Weather = Box::new(|_| (Some(20_000), false));
    let made = moves(30 * MINUTE, vec![when(10, |now| now < MINUTE), blocked, steady(50)]);
    assert_eq!(places(&made), [1, 2]);
}

#[test]
fn a_held_tunnel_never_moves_by_itself() {
    let mut world = World::new(0, vec![when(10, |now| now < MINUTE), steady(30)]);
    world.chooser.hold();
    assert!(world.run(10 * MINUTE).is_empty());
    world.chooser.unhold();
    assert_eq!(places(&world.run(11 * MINUTE)), [1]);
}

/// The periods of flapping, in milliseconds, and the most moves in an hour that are allowed: when the other
/// endpoint is steady, and when it flaps the other way round.
const BOUNDS: [(Ms, usize, usize); 14] = [
    (200, 1, 1),
    (500, 1, 1),
    (1_000, 1, 1),
    (2_000, 1, 130),
    (5_000, 1, 130),
    (10_000, 1, 130),
    (20_000, 1, 130),
    (60_000, 1, 130),
    (120_000, 10, 130),
    (240_000, 10, 130),
    (360_000, 10, 130),
    (600_000, 10, 130),
    (900_000, 10, 130),
    (1_800_000, 10, 130),
];

#[test]
fn bounds() {
    println!("{:>8}  {:>22}  {:>22}", "period", "moves/h, other steady", "moves/h, both flap");
    let mut over = Vec::new();
    for (period, alone, both) in BOUNDS {
        // The other is much further away, so that returning is always tempting.
        let one = moves(HOUR, vec![flapping(10, period), steady(200)]).len();
        let other = when(200, move |now| now % period >= period / 2);
        let two = moves(HOUR, vec![flapping(10, period), other]).len();
        let shown = |made, bound| format!("{made} (at most {bound})");
        println!("{:>6} s  {:>22}  {:>22}", period as f64 / 1e3, shown(one, alone), shown(two, both));
        if one > alone || two > both {
            over.push(period);
        }
    }
    assert!(over.is_empty(), "over the bound: {over:?}");
}

/// Up to four outages of a candidate: when, for how long, and of GRE alone?
fn outages() -> impl Strategy<Value = Vec<(Ms, Ms, bool)>> {
    prop::collection::vec((0..15 * MINUTE, 100..5 * MINUTE, any::<bool>()), 0..5)
}

fn weather(ms: u64, outages: Vec<(Ms, Ms, bool)>) -> Weather {
    Box::new(move |now| {
        let is = |gre| outages.iter().any(|(at, span, only)| *only == gre && between(now, *at, at + span));
        ((!is(false)).then_some(1000 * ms), !is(true))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_happens(
        candidates in prop::collection::vec((1u64..300, outages()), 1..5), spread in 0u32..=1000,
    ) {
        let deaths: usize = candidates.iter().map(|(_, outages)| outages.len()).sum();
        let build = || candidates.iter().map(|(ms, outages)| weather(*ms, outages.clone())).collect::<Vec<_>>();
        let made = World::new(spread, build()).run(20 * MINUTE);
        let again = World::new(spread, build()).run(20 * MINUTE);
        prop_assert_eq!(places(&made), places(&again), "the same story has the same end");

        let mut last = None;
        let sky = build();
        for Move { at, to, decision } in &made {
            prop_assert_ne!(decision.current.address, super::world::address(*to));
            let alive = (0..=4).any(|ago| sky[*to](at.saturating_sub(ago * SECOND)).0.is_some());
            prop_assert!(alive, "to a dead one: {decision}");
            if let Verdict::Move { why: Why::Better { .. }, .. } = decision.verdict {
                prop_assert!(last.is_none_or(|last| at - last >= MINUTE), "{decision}");
            }
            last = Some(*at);
        }
        // Each outage drives a tunnel away once, and once back.
        prop_assert!(made.len() <= 2 * deaths + 1, "{} moves by {deaths} outages: {made:#?}", made.len());
    }
}
