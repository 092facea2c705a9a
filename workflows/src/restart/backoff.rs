//! The wait between two restarts: exponential, capped, with jitter.

use std::time::Duration;

use dixmgr_model::RestartPolicy;

/// How long to wait before the restart that follows `streak` restarts in a row (at least 1).
///
/// With `b = min(initial_backoff × backoff_coefficient^(streak − 1), max_backoff)` the wait is taken from
/// `[b × (1 − jitter), b]`, at `draw` in `[0, 1)`: a crowd that died together does not return together.
#[must_use]
pub fn backoff(policy: &RestartPolicy, streak: u32, draw: f64) -> Duration {
    let longest = policy.max_backoff.as_secs_f64();
    let steps = i32::try_from(streak.saturating_sub(1)).unwrap_or(i32::MAX);
    let grown = policy.initial_backoff.as_secs_f64() * policy.backoff_coefficient.max(1.0).powi(steps);
    let capped = if grown.is_finite() { grown.min(longest) } else { longest };
    let share = policy.jitter.clamp(0.0, 1.0) * draw.clamp(0.0, 1.0);
    Duration::from_secs_f64(capped * (1.0 - share))
}
