//! Numbers as people read them. Pure; without spaces, so that the columns of a table can be cut.

use std::time::{Duration, UNIX_EPOCH};

/// Bytes: exact up to 1023, then in powers of 1024 with one digit after the point.
pub fn bytes(bytes: u64) -> String {
    if bytes < 1024 {
        return format!("{bytes}B");
    }
    scaled(bytes, 1024.0, &["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"])
}

/// How many: exact up to 9999, then in powers of 1000 with one digit after the point.
pub fn count(count: u64) -> String {
    if count < 10_000 {
        return count.to_string();
    }
    scaled(count, 1000.0, &["k", "M", "G", "T", "P", "E"])
}

/// A span of time: its two largest units.
pub fn span(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{}s", seconds % 60),
        (0, ..) => format!("{hours}h{}m", minutes % 60),
        _ => format!("{days}d{}h", hours % 24),
    }
}

/// A time as a part of a file's name: UTC, to the second (RFC 3339), without what a name cannot have.
pub fn stamp(seconds: u64) -> String {
    let at = UNIX_EPOCH + Duration::from_secs(seconds);
    humantime::format_rfc3339_seconds(at).to_string().replace([':', '-'], "")
}

#[allow(clippy::cast_precision_loss, reason = "one digit after the point is shown")]
fn scaled(number: u64, step: f64, units: &[&str]) -> String {
    let mut value = number as f64 / step;
    let mut units = units.iter().peekable();
    let mut unit = units.next();
    // What would be rounded up to a whole step is shown in the next unit.
    while value >= step - 0.05 && units.peek().is_some() {
        value /= step;
        unit = units.next();
    }
    format!("{value:.1}{}", unit.unwrap_or(&""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_in_powers_of_1024() {
        let table = [
            (0, "0B"),
            (1023, "1023B"),
            (1024, "1.0KiB"),
            (1536, "1.5KiB"),
            (1_048_575, "1.0MiB"),
            (5 << 30, "5.0GiB"),
            (u64::MAX, "16.0EiB"),
        ];
        table.iter().for_each(|(number, text)| assert_eq!(bytes(*number), *text));
    }

    #[test]
    fn counts_are_read_in_powers_of_1000() {
        let table = [
            (0, "0"),
            (9999, "9999"),
            (10_000, "10.0k"),
            (999_940, "999.9k"),
            (999_960, "1.0M"),
            (12_345_678, "12.3M"),
            (u64::MAX, "18.4E"),
        ];
        table.iter().for_each(|(number, text)| assert_eq!(count(*number), *text));
    }

    #[test]
    fn spans_have_two_units() {
        let table = [
            (0, "0s"),
            (59, "59s"),
            (60, "1m0s"),
            (3599, "59m59s"),
            (3600, "1h0m"),
            (90_061, "1d1h"),
            (4_000_000, "46d7h"),
        ];
        table.iter().for_each(|(seconds, text)| assert_eq!(span(*seconds), *text));
    }
}
