//! A circuit breaker: after so many failures in a row, a target is left alone for a while, and then tried carefully. Pure; time is an
//! argument (time since the epoch, or since anything else that stands still).
//!
//! | state | may one call? | success | failure |
//! |---|---|---|---|
//! | closed | yes | forgets failures | counts; the last of [`Settings::failures`] opens |
//! | open | no, until [`Settings::open_for`] is over; then it is half-open | a trial that went well: half-open | – |
//! | half-open | one at a time | the last of [`Settings::trials`] closes | opens again |
//!
//! Calls that were made all the same (because their result matters more than the target's rest) count like any other.
//! A trial of which nothing is heard counts as lost after [`Settings::open_for`], so that no caller can hold the door shut.

use std::time::Duration;

/// When a breaker opens, and when it closes again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Failures in a row that open it; 0 counts as 1.
    pub failures: u32,
    /// How long it stays open.
    pub open_for: Duration,
    /// Successful trials that close it; 0 counts as 1.
    pub trials: u32,
}

impl Settings {
    /// Unless a configuration says otherwise: 5 failures, 60 s, 3 trials.
    pub const DEFAULT: Self = Self { failures: 5, open_for: Duration::from_mins(1), trials: 3 };
}

impl Default for Settings {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// How a breaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Calls are made.
    Closed,
    /// One call at a time is made.
    HalfOpen,
    /// No calls are made.
    Open,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Closed, Self::HalfOpen, Self::Open];

    /// Its name in labels and JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half_open",
            Self::Open => "open",
        }
    }
}

/// The breaker of one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CircuitBreaker {
    settings: Settings,
    inner: Inner,
    /// When it came into its state.
    since: Duration,
    /// How often it opened.
    opened: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Inner {
    Closed {
        failures: u32,
    },
    Open,
    HalfOpen {
        successes: u32,
        /// When the trial that is under way began.
        trial: Option<Duration>,
    },
}

impl CircuitBreaker {
    /// A closed one.
    #[must_use]
    pub fn new(settings: Settings, now: Duration) -> Self {
        Self { settings, inner: Inner::Closed { failures: 0 }, since: now, opened: 0 }
    }

    /// How it stands at `now`: what was open for long enough is half-open.
    #[must_use]
    pub fn state(&self, now: Duration) -> State {
        match self.inner {
            Inner::Closed { .. } => State::Closed,
            Inner::Open if now < self.since.saturating_add(self.settings.open_for) => State::Open,
            Inner::Open | Inner::HalfOpen { .. } => State::HalfOpen,
        }
    }

    /// When it came into its state, as far as calls were made since.
    #[must_use]
    pub fn since(&self) -> Duration {
        self.since
    }

    /// How often it opened.
    #[must_use]
    pub fn opened(&self) -> u64 {
        self.opened
    }

    /// Failures in a row while it is closed.
    #[must_use]
    pub fn failures(&self) -> u32 {
        match self.inner {
            Inner::Closed { failures } => failures,
            _ => 0,
        }
    }

    /// Asks for a call at `now`. While it is half-open, whoever is admitted makes the trial.
    ///
    /// # Errors
    /// How long to wait before it is worth asking again.
    pub fn admit(&mut self, now: Duration) -> Result<(), Duration> {
        if matches!(self.inner, Inner::Open) && self.state(now) == State::HalfOpen {
            self.enter(Inner::HalfOpen { successes: 0, trial: None }, now);
        }
        let open_for = self.settings.open_for;
        match &mut self.inner {
            Inner::Closed { .. } => Ok(()),
            Inner::Open => Err(self.since.saturating_add(open_for).saturating_sub(now)),
            Inner::HalfOpen { trial, .. } => {
                let lost_in = trial.and_then(|begun| begun.saturating_add(open_for).checked_sub(now));
                if let Some(lost_in) = lost_in.filter(|wait| !wait.is_zero()) {
                    return Err(lost_in);
                }
                *trial = Some(now);
                Ok(())
            }
        }
    }

    /// The target answered.
    pub fn succeeded(&mut self, now: Duration) {
        let trials = self.settings.trials.max(1);
        match &mut self.inner {
            Inner::Closed { failures } => *failures = 0,
            Inner::Open if trials == 1 => self.enter(Inner::Closed { failures: 0 }, now),
            Inner::Open => self.enter(Inner::HalfOpen { successes: 1, trial: None }, now),
            Inner::HalfOpen { successes, trial } => {
                *successes += 1;
                *trial = None;
                if *successes >= trials {
                    self.enter(Inner::Closed { failures: 0 }, now);
                }
            }
        }
    }

    /// The target could not be reached, or did not answer.
    pub fn failed(&mut self, now: Duration) {
        let most = self.settings.failures.max(1);
        match &mut self.inner {
            Inner::Closed { failures } => {
                *failures += 1;
                if *failures >= most {
                    self.open(now);
                }
            }
            // A late answer to a call from before says nothing new.
            Inner::Open => {}
            Inner::HalfOpen { .. } => self.open(now),
        }
    }

    /// A call was not made after all, or says nothing about the target: the next one may be.
    pub fn abandoned(&mut self) {
        if let Inner::HalfOpen { trial, .. } = &mut self.inner {
            *trial = None;
        }
    }

    /// Closes it by hand.
    pub fn reset(&mut self, now: Duration) {
        self.enter(Inner::Closed { failures: 0 }, now);
    }

    fn open(&mut self, now: Duration) {
        self.opened += 1;
        self.enter(Inner::Open, now);
    }

    fn enter(&mut self, inner: Inner, now: Duration) {
        self.inner = inner;
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn broken() -> CircuitBreaker {
        let mut breaker = CircuitBreaker::new(Settings::DEFAULT, s(0));
        (1..=5).for_each(|second| breaker.failed(s(second)));
        breaker
    }

    #[test]
    fn five_failures_in_a_row_open_it() {
        let mut breaker = CircuitBreaker::new(Settings::DEFAULT, s(0));
        for _ in 0..3 {
            (0..4).for_each(|_| breaker.failed(s(1)));
            assert_eq!((breaker.state(s(1)), breaker.failures()), (State::Closed, 4));
            breaker.succeeded(s(1));
        }
        assert_eq!(broken().state(s(5)), State::Open);
        assert_eq!(broken().admit(s(15)), Err(s(50)));
        assert_eq!(broken().opened(), 1);
    }

    #[test]
    fn after_its_time_one_call_at_a_time_is_tried_and_three_close_it() {
        let mut breaker = broken();
        for trial in 0..3 {
            assert_eq!(breaker.state(s(65)), State::HalfOpen, "before trial {trial}");
            assert_eq!(breaker.admit(s(65)), Ok(()));
            assert_eq!(breaker.admit(s(66)), Err(s(59)), "one is under way");
            breaker.succeeded(s(66));
        }
        assert_eq!(breaker.state(s(66)), State::Closed);
        assert_eq!(breaker.admit(s(66)), Ok(()));
    }

    #[test]
    fn a_trial_that_fails_opens_it_again_for_the_whole_time() {
        let mut breaker = broken();
        assert_eq!(breaker.admit(s(70)), Ok(()));
        breaker.succeeded(s(70));
        assert_eq!(breaker.admit(s(71)), Ok(()));
        breaker.failed(s(75));
        assert_eq!((breaker.admit(s(76)), breaker.opened()), (Err(s(59)), 2));
    }

    #[test]
    fn a_trial_that_is_lost_or_abandoned_holds_nobody_up() {
        let mut breaker = broken();
        assert_eq!(breaker.admit(s(65)), Ok(()));
        assert_eq!(breaker.admit(s(125)), Ok(()), "nothing was heard of the first");
        breaker.abandoned();
        assert_eq!(breaker.admit(s(126)), Ok(()));
    }

    #[test]
    fn an_answer_while_it_is_open_is_a_trial_that_went_well() {
        let mut breaker = broken();
        breaker.succeeded(s(10));
        assert_eq!(breaker.state(s(10)), State::HalfOpen);
        breaker.reset(s(11));
        assert_eq!(breaker.state(s(11)), State::Closed);
    }

    #[derive(Debug, Clone, Copy)]
    enum Step {
        Wait(u64),
        Call,
        Succeed,
        Fail,
        Abandon,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let wait = (0_u64..90).prop_map(Step::Wait);
        let others = [Step::Call, Step::Succeed, Step::Fail, Step::Abandon].map(Just);
        let [call, succeed, fail, abandon] = others;
        proptest::collection::vec(prop_oneof![wait, call, succeed, fail, abandon], 0..200)
    }

    proptest! {
        #[test]
        fn it_never_closes_without_trials_nor_stays_shut(steps in steps(), failures in 0_u32..7, trials in 0_u32..5) {
            let settings = Settings { failures, open_for: s(60), trials };
            let mut breaker = CircuitBreaker::new(settings, s(0));
            let (mut now, mut in_a_row, mut well) = (s(0), 0, 0);
            for step in steps {
                let before = breaker.state(now);
                match step {
                    Step::Wait(seconds) => now += s(seconds),
                    Step::Call => match breaker.admit(now) {
                        Ok(()) => prop_assert_ne!(before, State::Open),
                        // Whatever happens meanwhile, nobody is sent away for longer than that.
                        Err(wait) => prop_assert!(wait > Duration::ZERO && wait <= s(60) && before != State::Closed),
                    },
                    Step::Succeed => breaker.succeeded(now),
                    Step::Fail => breaker.failed(now),
                    Step::Abandon => breaker.abandoned(),
                }
                match step {
                    Step::Succeed => { in_a_row = 0; well += 1; }
                    Step::Fail => { in_a_row += 1; well = 0; }
                    _ => {}
                }
                let after = breaker.state(now);
                if before == State::Closed && after != State::Closed {
                    prop_assert!(in_a_row >= failures.max(1), "opened after {} failures", in_a_row);
                }
                if before != State::Closed && after == State::Closed {
                    prop_assert!(well >= trials.max(1), "closed after {} trials", well);
                }
            }
            // An hour without a word, and somebody may call.
            prop_assert_eq!(breaker.admit(now + s(3_600)), Ok(()));
        }
    }
}
