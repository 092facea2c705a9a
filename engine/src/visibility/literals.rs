//! From what was written to what is compared: each kind of field takes certain literals, in certain forms.

use super::{
    SearchType,
    ast::Value,
    fields::{Field, FieldKind},
};
use crate::clock::Timestamp;

/// A value as it was written.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Literal {
    Text(String),
    Int(i64),
    Double(f64),
    Bool(bool),
}

/// Names of `temporal.api.enums.v1.WorkflowExecutionStatus` with their numbers.
const STATUSES: [(&str, &str, i64); 9] = [
    ("Unspecified", "UNSPECIFIED", 0),
    ("Running", "RUNNING", 1),
    ("Completed", "COMPLETED", 2),
    ("Failed", "FAILED", 3),
    ("Canceled", "CANCELED", 4),
    ("Terminated", "TERMINATED", 5),
    ("ContinuedAsNew", "CONTINUED_AS_NEW", 6),
    ("TimedOut", "TIMED_OUT", 7),
    ("Paused", "PAUSED", 8),
];

/// The value that `literal` means for `field`; the error says what the field takes.
pub(super) fn convert(field: &Field, literal: Literal) -> Result<Value, String> {
    let kind = field.kind();
    let value = match (kind, literal) {
        (
            FieldKind::Attribute(SearchType::Keyword | SearchType::KeywordList | SearchType::Text),
            Literal::Text(text),
        ) => Some(Value::Text(text)),
        (FieldKind::Attribute(SearchType::Int | SearchType::Double), Literal::Int(number)) => Some(Value::Int(number)),
        (FieldKind::Attribute(SearchType::Int | SearchType::Double), Literal::Double(number)) => {
            Some(Value::Double(number))
        }
        (FieldKind::Attribute(SearchType::Bool), Literal::Bool(truth)) => Some(Value::Int(i64::from(truth))),
        (FieldKind::Attribute(SearchType::Datetime), Literal::Text(text)) => {
            Timestamp::from_rfc3339(&text).map(|time| Value::Int(time.as_nanos()))
        }
        (FieldKind::Attribute(SearchType::Datetime) | FieldKind::Duration, Literal::Int(nanos)) => {
            Some(Value::Int(nanos))
        }
        (FieldKind::Status, Literal::Text(name)) => status(&name).map(Value::Int),
        (FieldKind::Status, Literal::Int(number)) => {
            STATUSES.iter().any(|(_, _, known)| *known == number).then_some(Value::Int(number))
        }
        (FieldKind::Duration, Literal::Text(text)) => duration(&text).map(Value::Int),
        _ => None,
    };
    value.ok_or_else(|| format!("{} takes {}", field.name(), expected(kind)))
}

fn expected(kind: FieldKind) -> &'static str {
    match kind {
        FieldKind::Attribute(SearchType::Keyword | SearchType::KeywordList | SearchType::Text) => "a quoted text",
        FieldKind::Attribute(SearchType::Int | SearchType::Double) => "a number",
        FieldKind::Attribute(SearchType::Bool) => "true or false",
        FieldKind::Attribute(SearchType::Datetime) => {
            "a time such as '2026-01-31T12:00:00Z' (RFC 3339), or nanoseconds since 1970"
        }
        FieldKind::Status => {
            "a status: 'Running', 'Completed', 'Failed', 'Canceled', 'Terminated', 'ContinuedAsNew', 'TimedOut', \
             'Paused', or its number"
        }
        FieldKind::Duration => "a duration such as '1h30m' or '01:30:00', or nanoseconds",
    }
}

fn status(name: &str) -> Option<i64> {
    let full = name.strip_prefix("WORKFLOW_EXECUTION_STATUS_");
    STATUSES.iter().find(|(short, long, _)| *short == name || full == Some(long)).map(|(_, _, number)| *number)
}

/// Nanoseconds of a duration: Go's form with days (`1d2h3m4.5s`), `hours:minutes:seconds`, or a plain number.
fn duration(text: &str) -> Option<i64> {
    if let Ok(nanos) = text.parse() {
        return Some(nanos);
    }
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let nanos = if rest.contains(':') { clock_duration(rest) } else { unit_duration(rest) }?;
    i64::try_from(if negative { -nanos } else { nanos }).ok()
}

const NANOS_PER_SECOND: i128 = 1_000_000_000;

fn clock_duration(text: &str) -> Option<i128> {
    let mut parts = text.splitn(3, ':').map(|part| whole(part).map(i128::from));
    let (hours, minutes, seconds) = (parts.next()??, parts.next()??, parts.next()??);
    (minutes < 60 && seconds < 60).then_some((hours * 3600 + minutes * 60 + seconds) * NANOS_PER_SECOND)
}

/// Longer units first: the first that fits is taken.
const UNITS: [(&str, i128); 9] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", NANOS_PER_SECOND),
    ("m", 60 * NANOS_PER_SECOND),
    ("h", 3_600 * NANOS_PER_SECOND),
    ("d", 86_400 * NANOS_PER_SECOND),
];

fn unit_duration(text: &str) -> Option<i128> {
    let mut rest = text;
    let mut total = 0_i128;
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| !(c.is_ascii_digit() || c == '.'))?);
        let (unit, nanos) = UNITS.into_iter().find(|(unit, _)| after.starts_with(unit))?;
        total = total.checked_add(scaled(number, nanos)?)?;
        rest = &after[unit.len()..];
    }
    (!text.is_empty()).then_some(total)
}

/// The decimal `number` times `unit`, what is below a nanosecond cut off.
fn scaled(number: &str, unit: i128) -> Option<i128> {
    let (integer, fraction) = number.split_once('.').unwrap_or((number, ""));
    if integer.is_empty() && fraction.is_empty() {
        return None;
    }
    let integer = if integer.is_empty() { 0 } else { whole(integer)? };
    // 14 digits are finer than a nanosecond of a day.
    let fraction = &fraction[..fraction.len().min(14)];
    let divisor = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let fraction = if fraction.is_empty() { 0 } else { whole(fraction)? };
    Some(i128::from(integer) * unit + i128::from(fraction) * unit / divisor)
}

/// A number of digits alone, without a sign.
fn whole(digits: &str) -> Option<u64> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn durations_in_every_form() {
        for (text, seconds) in [
            ("90s", 90.0),
            ("1h30m", 5_400.0),
            ("1d", 86_400.0),
            ("1.5h", 5_400.0),
            (".5s", 0.5),
            ("01:30:05", 5_405.0),
            ("-2m", -120.0),
            ("250ms", 0.25),
            ("1000000000", 1.0),
            ("3µs", 0.000_003),
        ] {
            let nanos = duration(text).unwrap();
            assert!((nanos as f64 / 1e9 - seconds).abs() < 1e-12, "{text}: {nanos}");
        }
        for text in
            ["", "-", "5", "h", "1x", "1h3", "1:2", "1:2:3:4", "00:61:00", ".s", "1..5s", "99999999999d", "+-1s"]
        {
            let accepted = duration(text);
            assert_eq!(accepted, (text == "5").then_some(5), "{text}");
        }
    }

    #[test]
    fn statuses_by_short_and_full_name() {
        assert_eq!(status("ContinuedAsNew"), Some(6));
        assert_eq!(status("WORKFLOW_EXECUTION_STATUS_TIMED_OUT"), Some(7));
        assert_eq!(status("running"), None);
        assert_eq!(status("WORKFLOW_EXECUTION_STATUS_Running"), None);
    }
}
