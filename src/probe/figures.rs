//! Spans of time as people and as JSON read them. Pure.

use std::fmt;
use std::time::Duration;

use serde::Serializer;

/// A span for people: `0.12 ms`, `12.3 ms`, `1.05 s`, `5 min`, `2 h 5 min`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs_f64();
        let text = match self.0.as_micros() {
            0 => "0 ms".to_owned(),
            1..10_000 => format!("{:.2} ms", seconds * 1e3),
            10_000..1_000_000 => format!("{:.1} ms", seconds * 1e3),
            1_000_000..10_000_000 => format!("{seconds:.2} s"),
            10_000_000..60_000_000 => format!("{seconds:.0} s"),
            _ => minutes(self.0.as_secs() / 60),
        };
        f.pad(&text)
    }
}

fn minutes(all: u64) -> String {
    match (all / 60, all % 60) {
        (0, minutes) => format!("{minutes} min"),
        (hours, 0) => format!("{hours} h"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}

/// Milliseconds, to the microsecond.
pub fn ms(span: Duration) -> f64 {
    span.as_micros() as f64 / 1e3
}

/// For `serialize_with`: milliseconds as a number.
pub fn as_ms<S: Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(ms(*span))
}

/// For `serialize_with`: milliseconds as a number, or null.
pub fn as_ms_or_null<S: Serializer>(span: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    match span {
        Some(span) => as_ms(span, serializer),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_three_figures_and_a_unit() {
        let table = [
            (0, "0 ms"),
            (123, "0.12 ms"),
            (1_204, "1.20 ms"),
            (12_340, "12.3 ms"),
            (999_900, "999.9 ms"),
            (1_050_000, "1.05 s"),
            (42_000_000, "42 s"),
            (60_000_000, "1 min"),
            (7_500_000_000, "2 h 5 min"),
            (7_200_000_000, "2 h"),
        ];
        for (micros, text) in table {
            assert_eq!(Span(Duration::from_micros(micros)).to_string(), text);
        }
    }
}
