//! Single values that are no addresses: names, choices, numbers, durations.

use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::at::At;
use super::diagnostics::Problem;
use super::either::Scalar;
use super::nearest;
use crate::model::{InvalidName, Tos, Ttl};

/// The longest duration, in days: so that a time and a duration after it have a year of four digits.
const MOST_DAYS: u64 = 3650;

/// A value, or what is wrong with it and what to write instead.
pub type Value<T> = Result<At<T>, Problem>;

pub fn name<T>(text: &At<String>, new: fn(&str) -> Result<T, InvalidName>) -> Value<T> {
    let name = new(&text.value);
    name.map(|name| text.with(name)).map_err(|InvalidName { text: given, what, rule }| {
        Problem::new(&text.span, format!("{given:?} is not a {what}"), rule)
    })
}

pub fn choice<T: Copy>(text: &At<String>, key: &str, choices: &[(&str, T)]) -> Value<T> {
    let known: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
    if let Some((_, value)) = choices.iter().find(|(word, _)| *word == text.value) {
        return Ok(text.with(*value));
    }
    let help = match nearest::nearest(&text.value, &known) {
        Some(near) => format!("did you mean {near:?}?"),
        None => format!("write one of {known:?}"),
    };
    Err(Problem::new(&text.span, format!("`{key}` cannot be {:?}", text.value), help))
}

pub fn number<T: TryFrom<i64>>(number: &At<i64>, key: &str, range: RangeInclusive<i64>) -> Value<T> {
    let (first, last) = (*range.start(), *range.end());
    let value = Some(number.value).filter(|value| range.contains(value)).and_then(|n| T::try_from(n).ok());
    value.map(|value| number.with(value)).ok_or_else(|| {
        let message = format!("`{key}` cannot be {}", number.value);
        Problem::new(&number.span, message, format!("write a number from {first} to {last}"))
    })
}

pub fn ttl(scalar: &At<Scalar>) -> Value<Ttl> {
    let ttl = match &scalar.value {
        Scalar::Number(number) => u8::try_from(*number).ok().filter(|ttl| *ttl > 0).map(Ttl::Fixed),
        Scalar::Text(text) => (text == "inherit").then_some(Ttl::Inherit),
    };
    let help = "write a number from 1 to 255, or \"inherit\" to take the inner packet's";
    ttl.map(|ttl| scalar.with(ttl)).ok_or_else(|| unusable(scalar, "ttl", help))
}

pub fn tos(scalar: &At<Scalar>) -> Value<Tos> {
    let tos = match &scalar.value {
        Scalar::Number(number) => u8::try_from(*number).ok().filter(|tos| tos % 2 == 0).map(Tos::Fixed),
        Scalar::Text(text) => (text == "inherit").then_some(Tos::Inherit),
    };
    let help = "write an even number from 0 to 254 such as 0xb8 (bit 0 means \"inherit\" to the kernel), or \"inherit\"";
    tos.map(|tos| scalar.with(tos)).ok_or_else(|| unusable(scalar, "tos", help))
}

/// A number, or the same as a dotted quad: what iproute2 takes.
pub fn key(scalar: &At<Scalar>) -> Value<u32> {
    let key = match &scalar.value {
        Scalar::Number(number) => u32::try_from(*number).ok(),
        Scalar::Text(text) => text.parse().ok().or_else(|| text.parse::<Ipv4Addr>().map(u32::from).ok()),
    };
    let help = "write a number from 0 to 4294967295, or a dotted quad such as \"0.0.0.42\"";
    key.map(|key| scalar.with(key)).ok_or_else(|| unusable(scalar, "key", help))
}

pub fn duration(text: &At<String>, key: &str) -> Value<Duration> {
    let Some(duration) = span(text).filter(|span| span.subsec_millis() == 0) else {
        let help = "write a whole number and s, m, h or d, such as 90s, 15m, 1h or 2d; 0s for none";
        let message = format!("`{key}`: {:?} is not a duration", text.value);
        return Err(Problem::new(&text.span, message, help));
    };
    if duration > Duration::from_secs(MOST_DAYS * 86400) {
        let message = format!("`{key}`: {} is too long", text.value);
        return Err(Problem::new(&text.span, message, format!("write at most {MOST_DAYS}d")));
    }
    Ok(text.with(duration))
}

/// A short duration, in a range.
pub fn short(text: &At<String>, key: &str, range: RangeInclusive<Duration>) -> Value<Duration> {
    let found = span(text).filter(|span| range.contains(span));
    found.map(|span| text.with(span)).ok_or_else(|| {
        let shown = |span: &Duration| humantime::format_duration(*span).to_string().replace(' ', "");
        let (first, last) = (shown(range.start()), shown(range.end()));
        let message = format!("`{key}` cannot be {:?}", text.value);
        let help = format!("write a whole number and ms, s, m, h or d, from {first} to {last}");
        Problem::new(&text.span, message, help)
    })
}

fn span(text: &At<String>) -> Option<Duration> {
    let units = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
    let number = |unit| text.value.strip_suffix(unit)?.parse::<u32>().ok();
    let (count, ms) = units.into_iter().find_map(|(unit, ms)| Some((number(unit)?, ms)))?;
    Some(Duration::from_millis(u64::from(count) * ms))
}

fn unusable(scalar: &At<Scalar>, key: &str, help: &str) -> Problem {
    let given = match &scalar.value {
        Scalar::Number(number) => number.to_string(),
        Scalar::Text(text) => format!("{text:?}"),
    };
    Problem::new(&scalar.span, format!("`{key}` cannot be {given}"), help)
}
