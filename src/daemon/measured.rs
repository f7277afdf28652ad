//! What was measured, as it is shown.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::api::dto::{LatencyView, MethodView, NotBelievedView, ProbeView, ReflectorView, TerminationView};
use crate::model::{Method, Oddities};
use crate::probe::figures::ms;
use crate::probe::liveness;
use crate::probe::score::Latency;
use crate::probe::survey::{Brief, Row, Survey};
use crate::probe::window::{State, Summary};
use crate::probe::{Census, Reflected};

/// So many round trips of each method are shown one by one, to people.
pub const SERIES: usize = 30;

/// How far away every termination is `now`, and what time that is; the last `series` round trips one by one.
pub fn latency(
    survey: &Survey,
    census: &Census,
    reflected: Option<Reflected>,
    (now, at_ms): (Duration, u64),
    series: usize,
) -> LatencyView {
    let rows = survey.rows(now, series).into_iter();
    let rows = rows.map(|row| termination(row, census, now));
    LatencyView {
        at_ms,
        terminations: rows.collect(),
        not_believed: not_believed(census.all),
        reflector: reflected.map(reflector),
    }
}

fn not_believed(oddities: Oddities) -> NotBelievedView {
    let Oddities { forged, late, duplicated, foreign } = oddities;
    NotBelievedView { forged, late, duplicated, foreign }
}

fn reflector(reflected: Reflected) -> ReflectorView {
    let Reflected { answered, malformed, forbidden, echoing, limited, elsewhere, unsent } = reflected;
    ReflectorView { answered, malformed, forbidden, echoing, limited, elsewhere, unsent }
}

fn termination(row: Row, census: &Census, now: Duration) -> TerminationView {
    let Row { entry, target, in_use, shunned, methods } = row;
    let odd = |method| census.each.get(&(target.clone(), method)).copied().unwrap_or_default();
    let method = |(method, summary, series): (Method, Summary, Vec<Option<Duration>>)| {
        method_view(method, &summary, &series, odd(method), now)
    };
    TerminationView {
        device: entry.device.clone(),
        interface: entry.interface.clone(),
        termination: entry.address,
        source: target.source,
        in_use,
        latency_ms: entry.latency().map(Latency::span).map(ms),
        result: entry.health.standing.to_string(),
        shunned: shunned.map(|shunned| shunned.to_string()),
        methods: methods.into_iter().map(method).collect(),
    }
}

fn method_view(
    method: Method,
    summary: &Summary,
    series: &[Option<Duration>],
    odd: Oddities,
    now: Duration,
) -> MethodView {
    let Summary {
        sent,
        answered,
        directions: _,
        rtt,
        probed_at,
        answered_at: _,
        answering_since: _,
        state,
        stepped,
    } = summary;
    let (state, why) = match state {
        State::Reachable => ("reachable", None),
        State::Unreachable { why, since: _ } => ("unreachable", Some(why.clone())),
        State::Unknown => ("unknown", None),
    };
    let ago = |at: Duration| u64::try_from(now.saturating_sub(at).as_millis()).unwrap_or(u64::MAX);
    MethodView {
        method: method.to_string(),
        state: state.to_owned(),
        why,
        sent: *sent as u64,
        answered: *answered as u64,
        loss: summary.loss(),
        loss_forward: summary.loss_forward(),
        loss_backward: summary.loss_backward(),
        min_ms: rtt.map(|rtt| ms(rtt.min)),
        median_ms: rtt.map(|rtt| ms(rtt.median)),
        mean_ms: rtt.map(|rtt| ms(rtt.mean)),
        p95_ms: rtt.map(|rtt| ms(rtt.p95)),
        jitter_ms: rtt.map(|rtt| ms(rtt.jitter)),
        last_ms: rtt.map(|rtt| ms(rtt.last)),
        smoothed_ms: rtt.map(|rtt| ms(rtt.smoothed)),
        probed_ago_ms: probed_at.map(ago),
        stepped: *stepped as u64,
        not_believed: not_believed(odd),
        series_ms: series.iter().map(|rtt| rtt.map(ms)).collect(),
    }
}

/// Where each tunnel stands, by its name.
pub fn probes(survey: &Survey, now: Duration) -> BTreeMap<String, ProbeView> {
    survey.briefs(now).into_iter().map(|(tunnel, brief)| (tunnel.to_string(), probe(brief))).collect()
}

fn probe(brief: Brief) -> ProbeView {
    let Brief { liveness, inside, health, decision, held } = brief;
    let why = match &liveness {
        liveness::State::Down(cause) => Some(cause.to_string()),
        liveness::State::Unknown | liveness::State::Silent | liveness::State::Up => None,
    };
    let word = match &liveness {
        liveness::State::Down(_) => "down",
        liveness::State::Unknown => "unknown",
        liveness::State::Silent => "silent",
        liveness::State::Up => "up",
    };
    // The newest of what was answered.
    let answered = inside.iter().filter_map(|(_, summary)| Some((summary.answered_at?, summary.rtt?.last)));
    ProbeView {
        liveness: word.to_owned(),
        liveness_why: why,
        inside_ms: answered.max().map(|(_, rtt)| ms(rtt)),
        latency_ms: health.latency().map(Latency::span).map(ms),
        latency_why: health.latency().is_none().then(|| health.standing.to_string()),
        decided: decision.as_ref().and_then(|decision| serde_json::to_value(decision).ok()),
        decision: decision.map(|decision| decision.to_string()),
        held,
    }
}
