//! Times and durations of the state machine: nanoseconds in `i64`, and how they stand in protobuf.

use prost_wkt_types::{Duration, Timestamp};

/// Nanoseconds: since the epoch for a time, or as a length. 0 is "none" for both.
pub type Nanos = i64;

const PER_SECOND: i64 = 1_000_000_000;

/// A time as protobuf has it; `None` for "none".
pub fn timestamp(time: Nanos) -> Option<Timestamp> {
    (time != 0).then(|| Timestamp {
        seconds: time.div_euclid(PER_SECOND),
        nanos: i32::try_from(time.rem_euclid(PER_SECOND)).unwrap_or(0),
    })
}

/// A time from protobuf.
pub fn from_timestamp(time: Option<&Timestamp>) -> Nanos {
    time.map_or(0, |t| t.seconds.saturating_mul(PER_SECOND).saturating_add(i64::from(t.nanos)))
}

/// A length as protobuf has it. The server writes zero lengths out, so this is never `None`.
#[allow(clippy::unnecessary_wraps, reason = "protobuf fields are optional")]
pub fn duration(length: Nanos) -> Option<Duration> {
    Some(Duration { seconds: length / PER_SECOND, nanos: i32::try_from(length % PER_SECOND).unwrap_or(0) })
}

/// A length from protobuf; 0 when absent or negative.
pub fn from_duration(length: Option<&Duration>) -> Nanos {
    from_signed_duration(length).max(0)
}

/// A length from protobuf, which may be negative; 0 when absent.
pub fn from_signed_duration(length: Option<&Duration>) -> Nanos {
    length.map_or(0, |d| d.seconds.saturating_mul(PER_SECOND).saturating_add(i64::from(d.nanos)))
}

/// The deadline `length` after `start`; 0 when there is no limit.
pub fn deadline(start: Nanos, length: Nanos) -> Nanos {
    if length == 0 { 0 } else { start.saturating_add(length) }
}

/// The shorter of two lengths, 0 standing for "no limit".
pub fn shorter(a: Nanos, b: Nanos) -> Nanos {
    match (a, b) {
        (0, other) | (other, 0) => other,
        (a, b) => a.min(b),
    }
}
