//! Time behind one seam: every instant that the engine sees comes from a [`Clock`], so that a month of timers can be
//! tested in a second. This file is the only place of the crate that may ask the operating system for the time.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// An instant: nanoseconds since the Unix epoch. Covers the years 1678 to 2262; what lies outside saturates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The Unix epoch.
    pub const EPOCH: Self = Self(0);
    /// Later than every instant that occurs.
    pub const MAX: Self = Self(i64::MAX);

    /// The instant `seconds` after the Unix epoch.
    pub const fn from_secs(seconds: i64) -> Self {
        Self(seconds.saturating_mul(NANOS_PER_SECOND))
    }

    /// Reads the form of RFC 3339, such as `2026-01-31T12:00:00.5+01:00`: date, time and offset must all be there.
    pub fn from_rfc3339(text: &str) -> Option<Self> {
        // The parser below is lenient; who names half a date has slipped rather than wished for it.
        let bytes = text.as_bytes();
        let has_date_and_time = text.is_ascii() && bytes.len() >= 20 && matches!(bytes.get(10), Some(b'T' | b't'));
        has_date_and_time.then(|| text.parse::<prost_types::Timestamp>().ok()).flatten().map(Self::from)
    }

    /// Nanoseconds since the Unix epoch.
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// This instant plus `by`, or [`Timestamp::MAX`] where that cannot be represented.
    #[must_use]
    pub fn saturating_add(self, by: Duration) -> Self {
        Self(self.0.saturating_add(saturating_nanos(by)))
    }

    /// This instant minus `by`, saturating at the earliest instant.
    #[must_use]
    pub fn saturating_sub(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(saturating_nanos(by)))
    }

    /// The time from `earlier` to this instant; zero when `earlier` is not earlier.
    pub fn since(self, earlier: Self) -> Duration {
        let nanos = i128::from(self.0) - i128::from(earlier.0);
        Duration::from_nanos(u64::try_from(nanos.max(0)).unwrap_or(u64::MAX))
    }
}

fn saturating_nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => Self(saturating_nanos(after)),
            Err(before) => Self(saturating_nanos(before.duration()).saturating_neg()),
        }
    }
}

impl From<Timestamp> for SystemTime {
    fn from(time: Timestamp) -> Self {
        let distance = Duration::from_nanos(time.0.unsigned_abs());
        if time.0 >= 0 { UNIX_EPOCH + distance } else { UNIX_EPOCH - distance }
    }
}

impl From<prost_types::Timestamp> for Timestamp {
    fn from(time: prost_types::Timestamp) -> Self {
        let nanos = i128::from(time.seconds) * i128::from(NANOS_PER_SECOND) + i128::from(time.nanos);
        Self(i64::try_from(nanos).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX }))
    }
}

impl From<Timestamp> for prost_types::Timestamp {
    fn from(time: Timestamp) -> Self {
        let nanos = i32::try_from(time.0.rem_euclid(NANOS_PER_SECOND)).unwrap_or_default();
        Self { seconds: time.0.div_euclid(NANOS_PER_SECOND), nanos }
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        prost_types::Timestamp::from(*self).fmt(f)
    }
}

/// Called when virtual time has moved. Runs on the thread that moved it, so it must not block.
pub type Wake = Box<dyn Fn() + Send + Sync>;

/// Where the engine reads the time, and how it learns that a deadline may have come.
///
/// The core thread waits on its request channel for at most [`Clock::real_wait`] of its next deadline; where that is
/// `None`, only a request or a [`Wake`] can end the wait.
pub trait Clock: Send + Sync + 'static {
    /// The current instant. Never less than what an earlier call on the same clock returned, on any thread.
    fn now(&self) -> Timestamp;

    /// Real time until `deadline`, zero when it has passed; `None` when real time does not drive this clock.
    /// The wait may turn out too short: the caller compares with [`Clock::now`] again when it ends.
    fn real_wait(&self, deadline: Timestamp) -> Option<Duration>;

    /// Has the clock never show less than `floor`, which an earlier one has shown: the machine's clock may have been set back
    /// between two lives of the process.
    fn not_before(&self, floor: Timestamp);

    /// Registers `wake`, called after every jump of a clock that real time does not drive.
    fn subscribe(&self, wake: Wake);

    /// Whether the engine may move this clock on itself, by [`Clock::skip_to`], while nothing is under way.
    fn can_skip(&self) -> bool {
        false
    }

    /// Moves time on to `to`, and from there as before. Only for clocks that [`Clock::can_skip`].
    fn skip_to(&self, _to: Timestamp) {}
}

/// The machine's clock, made monotonic.
///
/// When the wall clock is set back, this clock goes on at half speed until the two meet. Standing still instead would
/// hold back every timer for as long as the jump was wide.
#[derive(Debug)]
pub struct SystemClock {
    last: Mutex<Reading>,
}

#[derive(Clone, Copy, Debug)]
struct Reading {
    time: Timestamp,
    taken: Instant,
}

impl Reading {
    /// The next reading, where the wall clock says `wall` and the monotonic clock `at`.
    fn next(self, wall: Timestamp, at: Instant) -> Self {
        let catching_up = self.time.saturating_add(at.saturating_duration_since(self.taken) / 2);
        Self { time: wall.max(catching_up), taken: at.max(self.taken) }
    }
}

impl SystemClock {
    /// A clock that starts at the present wall time.
    pub fn new() -> Self {
        Self { last: Mutex::new(Reading { time: SystemTime::now().into(), taken: Instant::now() }) }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let mut last = lock(&self.last);
        *last = last.next(SystemTime::now().into(), Instant::now());
        last.time
    }

    fn real_wait(&self, deadline: Timestamp) -> Option<Duration> {
        Some(deadline.since(self.now()))
    }

    fn not_before(&self, floor: Timestamp) {
        let mut last = lock(&self.last);
        last.time = last.time.max(floor);
    }

    fn subscribe(&self, _wake: Wake) {}
}

/// The machine's clock, except that the engine skips the time in which nothing happens: for tests of workflows.
#[derive(Debug, Default)]
pub struct SkippingClock {
    real: SystemClock,
    /// Nanoseconds that were skipped so far.
    skipped: Mutex<i64>,
}

impl Clock for SkippingClock {
    fn now(&self) -> Timestamp {
        let skipped = lock(&self.skipped);
        Timestamp(self.real.now().0.saturating_add(*skipped))
    }

    fn real_wait(&self, deadline: Timestamp) -> Option<Duration> {
        Some(deadline.since(self.now()))
    }

    fn not_before(&self, floor: Timestamp) {
        self.skip_to(floor);
    }

    fn subscribe(&self, _wake: Wake) {}

    fn can_skip(&self) -> bool {
        true
    }

    fn skip_to(&self, to: Timestamp) {
        let mut skipped = lock(&self.skipped);
        *skipped = (*skipped).max(to.0.saturating_sub(self.real.now().0));
    }
}

/// A clock that moves only when told to. Clones share one time.
#[derive(Clone)]
pub struct VirtualClock {
    shared: Arc<Mutex<VirtualTime>>,
}

struct VirtualTime {
    now: Timestamp,
    wakes: Vec<Arc<Wake>>,
}

impl VirtualClock {
    /// A clock that stands at `start`.
    pub fn new(start: Timestamp) -> Self {
        Self { shared: Arc::new(Mutex::new(VirtualTime { now: start, wakes: Vec::new() })) }
    }

    /// Moves time on by `by` and wakes every subscriber.
    pub fn advance(&self, by: Duration) {
        self.jump(|now| now.saturating_add(by));
    }

    /// Moves time to `to` and wakes every subscriber; an instant in the past leaves time where it is.
    pub fn set(&self, to: Timestamp) {
        self.jump(|now| now.max(to));
    }

    fn jump(&self, target: impl FnOnce(Timestamp) -> Timestamp) {
        // The lock is released before the subscribers run, so that one of them may read the time.
        let wakes = {
            let mut time = lock(&self.shared);
            time.now = target(time.now);
            time.wakes.clone()
        };
        for wake in wakes {
            wake();
        }
    }
}

impl fmt::Debug for VirtualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("VirtualClock").field(&self.now()).finish()
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        lock(&self.shared).now
    }

    fn real_wait(&self, deadline: Timestamp) -> Option<Duration> {
        (deadline <= self.now()).then_some(Duration::ZERO)
    }

    fn not_before(&self, floor: Timestamp) {
        let mut time = lock(&self.shared);
        time.now = time.now.max(floor);
    }

    fn subscribe(&self, wake: Wake) {
        lock(&self.shared).wakes.push(Arc::new(wake));
    }
}

impl<C: Clock> Clock for Arc<C> {
    fn now(&self) -> Timestamp {
        (**self).now()
    }

    fn real_wait(&self, deadline: Timestamp) -> Option<Duration> {
        (**self).real_wait(deadline)
    }

    fn not_before(&self, floor: Timestamp) {
        (**self).not_before(floor);
    }

    fn subscribe(&self, wake: Wake) {
        (**self).subscribe(wake);
    }

    fn can_skip(&self) -> bool {
        (**self).can_skip()
    }

    fn skip_to(&self, to: Timestamp) {
        (**self).skip_to(to);
    }
}

/// A panic of another holder cannot leave a time half written, so poisoning carries no information here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use std::sync::atomic::{AtomicI64, Ordering};

    #[test]
    fn instants_are_read_in_full() {
        assert_eq!(Timestamp::from_rfc3339("1970-01-01T00:00:01Z"), Some(Timestamp(1_000_000_000)));
        assert_eq!(Timestamp::from_rfc3339("1970-01-01T01:00:00.5+01:00"), Some(Timestamp(500_000_000)));
        for text in
            ["1970-01-01", "yesterday", "1970-13-01T00:00:00Z", "1970-01-01 00:00:00 UTC", "1970-01-01T00:00:00"]
        {
            assert_eq!(Timestamp::from_rfc3339(text), None, "{text}");
        }
    }

    #[test]
    fn conversions_keep_the_instant_before_and_after_the_epoch() {
        for nanos in [0, 1, -1, 1_700_000_000_123_456_789, -62_000_000_001, i64::MAX, i64::MIN + 1] {
            let time = Timestamp(nanos);
            assert_eq!(Timestamp::from(prost_types::Timestamp::from(time)), time);
            assert_eq!(Timestamp::from(SystemTime::from(time)), time);
        }
    }

    #[test]
    fn instants_outside_the_range_saturate() {
        assert_eq!(Timestamp::from(prost_types::Timestamp { seconds: i64::MAX, nanos: 5 }), Timestamp::MAX);
        assert_eq!(Timestamp(5).saturating_add(Duration::MAX), Timestamp::MAX);
        assert_eq!(Timestamp(-5).saturating_sub(Duration::MAX), Timestamp(i64::MIN));
        assert_eq!(Timestamp(5).since(Timestamp(9)), Duration::ZERO);
        assert_eq!(Timestamp::MAX.since(Timestamp(i64::MIN)), Duration::from_nanos(u64::MAX));
    }

    #[test]
    fn a_wall_clock_set_back_slows_time_and_never_reverses_it() {
        let taken = Instant::now();
        let later = |seconds| taken + Duration::from_secs(seconds);
        let start = Reading { time: Timestamp::from_secs(1_000), taken };

        let after_jump = start.next(Timestamp::from_secs(400), later(10));
        assert_eq!(after_jump.time, Timestamp::from_secs(1_005));
        let met = after_jump.next(Timestamp::from_secs(1_010), later(20));
        assert_eq!(met.time, Timestamp::from_secs(1_010));
        let forward = met.next(Timestamp::from_secs(9_000), later(21));
        assert_eq!(forward.time, Timestamp::from_secs(9_000));
    }

    #[test]
    fn the_system_clock_never_decreases() {
        let clock = SystemClock::new();
        let readings: Vec<_> = (0..1_000).map(|_| clock.now()).collect();
        assert!(readings.is_sorted());
        assert_eq!(clock.real_wait(Timestamp::EPOCH), Some(Duration::ZERO));
    }

    #[test]
    fn time_goes_on_from_where_an_earlier_life_has_left_it() {
        let clock = SystemClock::new();
        let ahead = clock.now().saturating_add(Duration::from_hours(1));
        clock.not_before(ahead);
        assert!(clock.now() >= ahead);
        clock.not_before(Timestamp::EPOCH);
        assert!(clock.now() >= ahead);
        let virtual_clock = VirtualClock::new(Timestamp::from_secs(10));
        virtual_clock.not_before(Timestamp::from_secs(7));
        assert_eq!(virtual_clock.now(), Timestamp::from_secs(10));
        virtual_clock.not_before(Timestamp::from_secs(17));
        assert_eq!(virtual_clock.now(), Timestamp::from_secs(17));
    }

    #[test]
    fn a_skipping_clock_goes_on_from_where_it_was_moved_to() {
        let clock = SkippingClock::default();
        let month = clock.now().saturating_add(Duration::from_hours(30 * 24));
        clock.skip_to(month);
        let after = clock.now();
        assert!(after >= month && after.since(month) < Duration::from_mins(1), "{after}");
        clock.skip_to(Timestamp::EPOCH);
        assert!(clock.now() >= after);
        assert!(clock.real_wait(after.saturating_add(Duration::from_hours(1))).unwrap() <= Duration::from_hours(1));
    }

    #[test]
    fn a_virtual_clock_wakes_its_subscribers_after_the_jump() {
        let clock = VirtualClock::new(Timestamp::from_secs(10));
        let seen = Arc::new(AtomicI64::new(0));
        clock.subscribe({
            let (clock, seen) = (clock.clone(), Arc::clone(&seen));
            Box::new(move || seen.store(clock.now().as_nanos(), Ordering::SeqCst))
        });

        assert_eq!(clock.real_wait(Timestamp::from_secs(11)), None);
        clock.advance(Duration::from_secs(5));
        assert_eq!(seen.load(Ordering::SeqCst), Timestamp::from_secs(15).as_nanos());
        assert_eq!(clock.real_wait(Timestamp::from_secs(11)), Some(Duration::ZERO));

        clock.set(Timestamp::from_secs(1));
        assert_eq!(clock.now(), Timestamp::from_secs(15));
    }
}
