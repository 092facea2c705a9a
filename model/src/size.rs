//! Sizes as people write them: `"2GiB"`, `"100MB"`, `"4096"`.
//!
//! Use as `#[serde(with = "dixmgr_model::size")]`. Binary units (`KiB`, `MiB`, `GiB`, `TiB`) are powers of 1024, decimal
//! ones (`kB`, `MB`, `GB`, `TB`) powers of 1000, as IEC 80000-13 has them; `B` and no unit are bytes.

use serde::{Deserialize, Deserializer, Serializer};

const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

/// Why a text is not a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseSizeError {
    /// No leading number.
    #[error("size {0:?} does not begin with a number; write it like \"2GiB\"")]
    MissingNumber(String),
    /// What follows the number is not a unit.
    #[error("size {text:?}: {unit:?} is not a unit; the units are B, kB, MB, GB, TB, KiB, MiB, GiB and TiB")]
    UnknownUnit {
        /// The whole text.
        text: String,
        /// What stood where a unit should.
        unit: String,
    },
    /// More bytes than fit into 64 bits.
    #[error("size {0:?} is too large")]
    TooLarge(String),
}

/// Reads a size in bytes.
///
/// # Errors
/// Says which part of `text` is not a number with a unit.
pub fn parse(text: &str) -> Result<u64, ParseSizeError> {
    let trimmed = text.trim();
    let digits = trimmed.find(|c: char| !c.is_ascii_digit()).unwrap_or(trimmed.len());
    if digits == 0 {
        return Err(ParseSizeError::MissingNumber(text.to_owned()));
    }
    let (number, unit) = trimmed.split_at(digits);
    let unit = unit.trim_start();
    let factor = match UNITS.iter().find(|(name, _)| *name == unit) {
        Some((_, factor)) => *factor,
        None if unit.is_empty() => 1,
        None => return Err(ParseSizeError::UnknownUnit { text: text.to_owned(), unit: unit.to_owned() }),
    };
    let too_large = || ParseSizeError::TooLarge(text.to_owned());
    number.parse::<u64>().map_err(|_| too_large())?.checked_mul(factor).ok_or_else(too_large)
}

/// Writes a size in the largest binary unit that divides it, in the form that [`parse`] reads.
#[must_use]
pub fn format(bytes: u64) -> String {
    let unit = UNITS[..4].iter().find(|(_, factor)| bytes > 0 && bytes.is_multiple_of(*factor));
    match unit {
        Some((name, factor)) => format!("{}{name}", bytes / factor),
        None => format!("{bytes}B"),
    }
}

/// For serde: writes the human form.
///
/// # Errors
/// Only what the serializer itself refuses.
pub fn serialize<S: Serializer>(bytes: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format(*bytes))
}

/// For serde: reads the human form.
///
/// # Errors
/// A text that [`parse`] refuses.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse(&text).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_both_families_of_units() {
        assert_eq!(parse("2GiB"), Ok(2 << 30));
        assert_eq!(parse("100MB"), Ok(100_000_000));
        assert_eq!(parse("1024"), Ok(1024));
        assert_eq!(parse("1 KiB"), Ok(1024));
    }

    #[test]
    fn says_what_is_wrong() {
        assert!(matches!(parse("GiB"), Err(ParseSizeError::MissingNumber(_))));
        assert!(matches!(parse("2gigs"), Err(ParseSizeError::UnknownUnit { .. })));
        assert!(matches!(parse("99999999TiB"), Err(ParseSizeError::TooLarge(_))));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(bytes: u64) {
            prop_assert_eq!(parse(&format(bytes)), Ok(bytes));
        }

        #[test]
        fn never_panics(text in ".*") {
            let _ = parse(&text);
        }
    }
}
