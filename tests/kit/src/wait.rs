//! Waiting for the world to reach a state, with a limit, instead of sleeping and hoping.

use std::future::Future;
use std::time::{Duration, Instant};

/// Time between two looks.
const PAUSE: Duration = Duration::from_millis(10);

/// Looks again and again until `reached` is true; false when `timeout` passes first.
pub fn wait_until(timeout: Duration, mut reached: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + timeout;
    loop {
        if reached() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(PAUSE);
    }
}

/// Asks `attempt` again and again until it answers a value.
///
/// # Panics
/// When `timeout` passes first; the message says what was waited for.
#[track_caller]
pub fn eventually<T>(what: &str, timeout: Duration, mut attempt: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + timeout;
    loop {
        if let Some(value) = attempt() {
            return value;
        }
        assert!(Instant::now() < deadline, "within {timeout:?} not seen: {what}");
        std::thread::sleep(PAUSE);
    }
}

/// [`eventually`] for asynchronous tests.
///
/// # Panics
/// When `timeout` passes first; the message says what was waited for.
pub async fn eventually_async<T, F>(what: &str, timeout: Duration, mut attempt: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let deadline = Instant::now() + timeout;
    loop {
        if let Some(value) = attempt().await {
            return value;
        }
        assert!(Instant::now() < deadline, "within {timeout:?} not seen: {what}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// The kernel's monotonic clock, with which systemd stamps what happens to a unit (`…TimestampMonotonic`).
#[must_use]
pub fn monotonic_now() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Duration::try_from(now).expect("the monotonic clock never stands before its beginning")
}
