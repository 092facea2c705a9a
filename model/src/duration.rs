//! Durations as people write them: `"30s"`, `"1m30s"`, `"250ms"`, `"24h"`, `"7d"`.
//!
//! Use as `#[serde(with = "dixmgr_model::duration")]`. The grammar is one or more `<integer><unit>`, the units being
//! those of systemd.time(7) that are unambiguous here: `ms`, `s`, `m`, `h`, `d`.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serializer};

/// Units from the largest to the smallest, in milliseconds.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Why a text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseDurationError {
    /// Nothing to read.
    #[error("a duration is empty; write a number and a unit, such as \"30s\"")]
    Empty,
    /// A unit without a number before it.
    #[error("duration {0:?}: a number is missing before the unit; write it like \"1m30s\"")]
    MissingNumber(String),
    /// A number without a unit, or with one that is not known.
    #[error("duration {text:?}: {unit:?} is not a unit; the units are ms, s, m, h and d")]
    UnknownUnit {
        /// The whole text.
        text: String,
        /// What stood where a unit should.
        unit: String,
    },
    /// More milliseconds than fit into 64 bits.
    #[error("duration {0:?} is too long")]
    TooLong(String),
}

/// Reads a duration.
///
/// # Errors
/// Says which part of `text` is not a number with a unit.
pub fn parse(text: &str) -> Result<Duration, ParseDurationError> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(ParseDurationError::Empty);
    }
    let too_long = || ParseDurationError::TooLong(text.to_owned());
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        if digits == 0 {
            return Err(ParseDurationError::MissingNumber(text.to_owned()));
        }
        let (number, tail) = rest.split_at(digits);
        let number: u64 = number.parse().map_err(|_| too_long())?;
        let letters = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let Some((_, factor)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(ParseDurationError::UnknownUnit { text: text.to_owned(), unit: unit.to_owned() });
        };
        total = number.checked_mul(*factor).and_then(|ms| total.checked_add(ms)).ok_or_else(too_long)?;
        rest = tail.trim_start();
    }
    Ok(Duration::from_millis(total))
}

/// Writes a duration in the form that [`parse`] reads; whole milliseconds, `"0s"` for nothing.
#[must_use]
pub fn format(duration: Duration) -> String {
    let mut left = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if left == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (unit, factor) in UNITS {
        let count = left / factor;
        left %= factor;
        if count > 0 {
            text.push_str(&format!("{count}{unit}"));
        }
    }
    text
}

/// For serde: writes the human form.
///
/// # Errors
/// Only what the serializer itself refuses.
pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format(*duration))
}

/// For serde: reads the human form.
///
/// # Errors
/// A text that [`parse`] refuses.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse(&text).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_people_write() {
        assert_eq!(parse("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(parse("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse(" 1h 5m "), Ok(Duration::from_mins(65)));
        assert_eq!(parse("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse("7d"), Ok(Duration::from_hours(168)));
    }

    #[test]
    fn says_what_is_wrong() {
        assert_eq!(parse(""), Err(ParseDurationError::Empty));
        assert_eq!(parse("s"), Err(ParseDurationError::MissingNumber("s".into())));
        assert!(matches!(parse("30"), Err(ParseDurationError::UnknownUnit { .. })));
        assert!(matches!(
            parse("30 fortnights"),
            Err(ParseDurationError::MissingNumber(_) | ParseDurationError::UnknownUnit { .. })
        ));
        assert!(matches!(parse("99999999999999999999s"), Err(ParseDurationError::TooLong(_))));
        assert!(matches!(parse("-3s"), Err(ParseDurationError::MissingNumber(_))));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(ms in 0u64..1_000_000_000_000) {
            let duration = Duration::from_millis(ms);
            prop_assert_eq!(parse(&format(duration)), Ok(duration));
        }

        #[test]
        fn never_panics(text in ".*") {
            let _ = parse(&text);
        }
    }
}
