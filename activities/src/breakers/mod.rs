//! Circuit breakers of every outside target: the unit manager, what HTTP checks ask, nodes' RPC, and notification channels.
//!
//! When one opens and closes is decided in [`dixmgr_alerting::circuit_breaker`]. Here are the targets, the clock, and what a
//! refusal means for each kind:
//!
//! - A **check** that was not made says nothing: no reading is folded in. So only checks whose service was judged by answers (or by
//!   their absence) before are spared; any other is made although the breaker is open, and the breaker learns from it. A dead service is
//!   found as soon as without breakers.
//! - A refused connection, a bad status or a wrong body is an **answer of the target** about itself. What counts as a failure
//!   is that nothing came: no name, no connection, no time.
//! - A **message** stays where it is and is tried again when the breaker lets it through, which is never later than its own
//!   retries would let it wait in the end.
//! - The **unit manager** rests for a second at most: restarts wait for it.

mod manager;
mod metrics;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use dixmgr_alerting::circuit_breaker::{CircuitBreaker, Settings, State};
use reqwest::Url;

pub use self::manager::GuardedManager;
pub use self::metrics::BreakerMetrics;

/// Targets that have a breaker. Further ones are called as if there were none.
pub const MAX_TARGETS: usize = 4096;
/// Longest rest of the unit manager.
const MANAGER_REST: Duration = Duration::from_secs(1);
/// Longest rest of a channel: the longest time that a message waits between two tries in any case.
const CHANNEL_REST: Duration = Duration::from_mins(5);

/// Least wait before a check that was spared is thought of again.
const LEAST_WAIT: Duration = Duration::from_millis(100);

/// Something outside that is called.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// The unit manager.
    UnitManager,
    /// What HTTP checks ask: host and port.
    Http(String),
    /// A node's JSON-RPC: host and port.
    Rpc(String),
    /// A notification channel.
    Channel(String),
}

impl Target {
    /// What an HTTP check of this URL asks; nothing when it is none.
    #[must_use]
    pub fn http(url: &str) -> Option<Self> {
        authority(url).map(Self::Http)
    }

    /// The node at this endpoint; nothing when it is none.
    #[must_use]
    pub fn rpc(endpoint: &str) -> Option<Self> {
        authority(endpoint).map(Self::Rpc)
    }

    /// What there is of a rest for it.
    fn settings(&self, settings: Settings) -> Settings {
        let rest = |most: Duration| settings.open_for.min(most);
        match self {
            Self::UnitManager => Settings { open_for: rest(MANAGER_REST), trials: 1, ..settings },
            Self::Channel(_) => Settings { open_for: rest(CHANNEL_REST), ..settings },
            Self::Http(_) | Self::Rpc(_) => settings,
        }
    }
}

impl fmt::Display for Target {
    /// Its name in the API, in labels and on the command line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnitManager => f.write_str("unit-manager"),
            Self::Http(host) => write!(f, "http:{host}"),
            Self::Rpc(host) => write!(f, "rpc:{host}"),
            Self::Channel(name) => write!(f, "channel:{name}"),
        }
    }
}

/// Host and port: all of a URL that may be shown.
fn authority(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    Some(format!("{}:{}", url.host_str()?, url.port_or_known_default()?))
}

/// The breakers of a daemon. Cheap to clone; clones share everything. The default has none: every call is made.
#[derive(Debug, Clone, Default)]
pub struct CircuitBreakers {
    inner: Option<Arc<Inner>>,
}

#[derive(Debug)]
struct Inner {
    settings: Settings,
    targets: Mutex<BTreeMap<Target, CircuitBreaker>>,
    metrics: Arc<BreakerMetrics>,
    origin: Instant,
    epoch: Duration,
}

/// A breaker as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Its target.
    pub target: Target,
    /// How it stands.
    pub state: State,
    /// Since when, after the epoch.
    pub since: Duration,
    /// Failures in a row while it is closed.
    pub failures: u32,
    /// How often it opened.
    pub opened: u64,
}

/// Why a call is not to be made now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// When it is worth asking again.
    pub retry_in: Duration,
}

/// A call that is being made. Dropped without a word, it says nothing about the target.
#[derive(Debug)]
pub struct Call {
    open: Option<(Arc<Inner>, Target)>,
    /// It was admitted, and may be the trial of a half-open breaker.
    admitted: bool,
}

impl CircuitBreakers {
    /// Breakers with these settings, all closed.
    #[must_use]
    pub fn new(settings: Settings, metrics: Arc<BreakerMetrics>) -> Self {
        let epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let inner = Inner { settings, targets: Mutex::default(), metrics, origin: Instant::now(), epoch };
        Self { inner: Some(Arc::new(inner)) }
    }

    /// Makes targets known, so that they are shown before anything has gone wrong.
    pub fn expect(&self, targets: impl IntoIterator<Item = Target>) {
        let Some(inner) = &self.inner else { return };
        for target in targets {
            inner.with(&target, |_, _| ());
        }
    }

    /// Asks for a call.
    ///
    /// # Errors
    /// The breaker is open, or another call is on trial.
    pub fn admit(&self, target: &Target) -> Result<Call, Refused> {
        let Some(inner) = &self.inner else { return Ok(Call::unguarded()) };
        match inner.with(target, CircuitBreaker::admit) {
            Some(Err(retry_in)) => Err(Refused { retry_in }),
            Some(Ok(())) => Ok(Call { open: Some((Arc::clone(inner), target.clone())), admitted: true }),
            None => Ok(Call::unguarded()),
        }
    }

    /// A call that is made in any case. The breaker learns from it.
    #[must_use]
    pub fn watch(&self, target: &Target) -> Call {
        self.expect([target.clone()]);
        Call { open: self.inner.as_ref().map(|inner| (Arc::clone(inner), target.clone())), admitted: false }
    }

    /// Asks for a check of a target. `settled` is its interval when its verdict is there already; without, it is made in any case.
    ///
    /// # Errors
    /// It is spared; the time until it is worth asking again, its interval at most.
    pub(crate) fn check(&self, target: Option<Target>, settled: Option<Duration>) -> Result<Call, Duration> {
        match (target, settled) {
            (Some(target), Some(interval)) => {
                self.admit(&target).map_err(|refused| refused.retry_in.min(interval).max(LEAST_WAIT))
            }
            (Some(target), None) => Ok(self.watch(&target)),
            (None, _) => Ok(Call::unguarded()),
        }
    }

    /// All breakers, those that are not closed first.
    #[must_use]
    pub fn list(&self) -> Vec<Shown> {
        let Some(inner) = &self.inner else { return Vec::new() };
        let now = inner.now();
        let targets = inner.targets();
        let mut shown: Vec<Shown> = targets.iter().map(|(target, breaker)| inner.show(target, breaker, now)).collect();
        shown.sort_by_key(|one| std::cmp::Reverse(one.state));
        shown
    }

    /// Closes the breaker of the target that has this name. Answers how it stands then; nothing when there is none.
    pub fn reset(&self, name: &str) -> Option<Shown> {
        let inner = self.inner.as_ref()?;
        let target = inner.targets().keys().find(|target| target.to_string() == name).cloned()?;
        inner.with(&target, CircuitBreaker::reset)?;
        tracing::info!(target: "dixmgr::circuit_breaker", %target, "the circuit breaker was closed by hand");
        let now = inner.now();
        inner.targets().get(&target).map(|breaker| inner.show(&target, breaker, now))
    }
}

impl Inner {
    fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    fn targets(&self) -> MutexGuard<'_, BTreeMap<Target, CircuitBreaker>> {
        self.targets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something to a target's breaker, which is there from now on; nothing when there are too many.
    fn with<R>(&self, target: &Target, act: impl FnOnce(&mut CircuitBreaker, Duration) -> R) -> Option<R> {
        let now = self.now();
        let mut targets = self.targets();
        if !targets.contains_key(target) {
            if targets.len() >= MAX_TARGETS {
                return None;
            }
            targets.insert(target.clone(), CircuitBreaker::new(target.settings(self.settings), now));
            self.metrics.is(&target.to_string(), State::Closed);
        }
        let breaker = targets.get_mut(target)?;
        let (before, opened) = (breaker.state(now), breaker.opened());
        let done = act(breaker, now);
        let after = breaker.state(now);
        if before != after || opened != breaker.opened() {
            self.metrics.moved(&target.to_string(), after, breaker.opened() - opened);
            tell(target, before, after);
        }
        Some(done)
    }

    fn show(&self, target: &Target, breaker: &CircuitBreaker, now: Duration) -> Shown {
        Shown {
            target: target.clone(),
            state: breaker.state(now),
            since: self.epoch + breaker.since(),
            failures: breaker.failures(),
            opened: breaker.opened(),
        }
    }
}

fn tell(target: &Target, before: State, after: State) {
    const LOG: &str = "dixmgr::circuit_breaker";
    match after {
        State::Open => tracing::warn!(target: LOG, %target, "too many failures in a row: the circuit breaker is open"),
        State::Closed if before != State::Closed => {
            tracing::info!(target: LOG, %target, "the target answers again: the circuit breaker is closed");
        }
        _ => {}
    }
}

impl Call {
    /// One that no breaker hears of.
    fn unguarded() -> Self {
        Self { open: None, admitted: false }
    }

    /// The call has ended: something came from the target, nothing did, or the fault was ours.
    pub(crate) fn ended(self, reached: Option<bool>) {
        match reached {
            Some(true) => self.succeeded(),
            Some(false) => self.failed(),
            None => drop(self),
        }
    }

    /// The target answered, whatever it said.
    pub fn succeeded(self) {
        self.end(CircuitBreaker::succeeded);
    }

    /// The target could not be reached, or did not answer.
    pub fn failed(self) {
        self.end(CircuitBreaker::failed);
    }

    fn end(mut self, how: impl FnOnce(&mut CircuitBreaker, Duration)) {
        if let Some((inner, target)) = self.open.take() {
            inner.with(&target, how);
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if let Some((inner, target)) = self.open.take().filter(|_| self.admitted) {
            inner.with(&target, |breaker, _| breaker.abandoned());
        }
    }
}
