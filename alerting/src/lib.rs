//! Rules about what was seen: pure folds from observations over time to verdicts with reasons.
//!
//! May not read a clock, spawn, or do I/O (`clippy.toml` beside this crate sees to it): time is an argument, a [`std::time::Duration`]
//! since the Unix epoch. The states of the folds are serialisable, because they ride in heartbeats and outlive the process that
//! made them; their fields, like those of `model/`, are only ever added.

pub mod backtest;
pub mod baseline;
pub mod beyond;
pub mod channel;
pub mod circuit_breaker;
pub mod defaults;
pub mod disk;
pub mod fold;
pub mod forecast;
pub mod group;
pub mod health;
pub mod incident;
pub mod ledger;
pub mod message;
pub mod own;
pub mod route;
pub mod rule;
pub mod silence;
pub mod sync;
pub mod template;

use std::time::Duration;

/// Longest detail that a verdict carries, in characters: details stand in heartbeats and workflow histories.
const MAX_DETAIL: usize = 256;

/// `text` on one line, cut to [`MAX_DETAIL`].
fn detail(text: &str) -> String {
    text.chars().take(MAX_DETAIL).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Whole milliseconds.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
