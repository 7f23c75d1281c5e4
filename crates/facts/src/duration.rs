//! Durations as Postfix and fail2ban write them: `300s`, `5m`, `35d`, `1d12h`, `1mo`; and `100ms`.

use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serializer};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const WEEK: u64 = 7 * DAY;
// fail2ban's jail.conf(5): a year has 365.25 days, a month is its twelfth.
const YEAR: u64 = 31_557_600;
const MONTH: u64 = YEAR / 12;

/// The duration that `text` spells: numbers, each with its unit, added up. A bare number counts seconds.
///
/// # Errors
/// A sentence that says what is wrong with `text`.
pub fn parse(text: &str) -> Result<Duration, String> {
    let mut rest = text.trim();
    let mut duration = Duration::ZERO;
    if rest.is_empty() {
        return Err("a duration is missing: write 300s, 5m, 2h, 35d or 1w".into());
    }
    while !rest.is_empty() {
        let (number, after) = split_at_first(rest, |c| !c.is_ascii_digit());
        let (unit, after) = split_at_first(after.trim_start(), |c| !c.is_ascii_alphabetic());
        let number: u64 = number.parse().map_err(|_| format!("\"{text}\" is not a duration like 300s, 5m or 35d"))?;
        let more = if unit == "ms" {
            Some(Duration::from_millis(number))
        } else {
            let unit =
                unit_seconds(unit).ok_or_else(|| format!("\"{unit}\" is not a unit of time: use s, m, h, d or w"))?;
            number.checked_mul(unit).map(Duration::from_secs)
        };
        duration =
            more.and_then(|more| duration.checked_add(more)).ok_or_else(|| format!("\"{text}\" is too long a time"))?;
        rest = after.trim_start();
    }
    Ok(duration)
}

fn split_at_first(text: &str, stop: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(stop).unwrap_or(text.len()))
}

fn unit_seconds(unit: &str) -> Option<u64> {
    Some(match unit {
        "" | "s" | "sec" | "second" | "seconds" => 1,
        "m" | "min" | "minute" | "minutes" => MINUTE,
        "h" | "hour" | "hours" => HOUR,
        "d" | "day" | "days" => DAY,
        "w" | "week" | "weeks" => WEEK,
        "mo" | "mon" | "month" | "months" => MONTH,
        "y" | "year" | "years" => YEAR,
        _ => return None,
    })
}

/// `duration` in the largest unit that divides it: `5m`, `36h`, `90s`; `1500ms` below a second.
#[must_use]
pub fn format(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if duration.subsec_nanos() != 0 {
        return format!("{}ms", duration.as_millis());
    }
    let units = [(WEEK, "w"), (DAY, "d"), (HOUR, "h"), (MINUTE, "m")];
    match units.iter().find(|(unit, _)| seconds >= *unit && seconds.is_multiple_of(*unit)) {
        Some((unit, name)) => format!("{}{name}", seconds / unit),
        None => format!("{seconds}s"),
    }
}

/// For `#[serde(with = "facts::duration")]`.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format(*duration))
}

/// For `#[serde(with = "facts::duration")]`: takes `"5m"` and the bare number of seconds `300`.
///
/// # Errors
/// What [`parse`] says, or that neither a text nor a number stands there.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a duration: write \"300s\", \"5m\", \"2h\", \"35d\" or \"1w\"")]
    enum Notation {
        Text(String),
        Seconds(u64),
    }
    match Notation::deserialize(deserializer)? {
        Notation::Text(text) => parse(&text).map_err(D::Error::custom),
        Notation::Seconds(seconds) => Ok(Duration::from_secs(seconds)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notations() {
        for (text, seconds) in [
            ("300", 300),
            ("300s", 300),
            ("5m", 300),
            ("2h", 7200),
            ("35d", 3_024_000),
            ("1w", 604_800),
            ("1d 12h", 129_600),
            ("1h30m", 5400),
            ("1mo", 2_629_800),
            ("1 year", 31_557_600),
            ("0", 0),
        ] {
            assert_eq!(parse(text).unwrap().as_secs(), seconds, "{text}");
        }
        for bad in ["", " ", "m", "5x", "-1", "5.5m", "99999999999999999999", "9999999999999999y"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for duration in [0, 1, 100, 1_500, 60_000, 86_400_000].map(Duration::from_millis) {
            assert_eq!(parse(&format(duration)), Ok(duration));
        }
    }

    #[test]
    fn the_largest_unit_that_divides() {
        for (seconds, text) in [(0, "0s"), (90, "90s"), (300, "5m"), (129_600, "36h"), (604_800, "1w")] {
            assert_eq!(format(Duration::from_secs(seconds)), text);
        }
    }
}
