//! When a service's HTTP and sync checks run, and what becomes of their results. Pure; time is an argument.
//!
//! A check runs at once when the service has come up, then at its own interval, shifted by a share of it that differs from
//! check to check so that they do not all run together. Until it has passed for the first time in a run, it is repeated
//! sooner, so that readiness is seen when it is there and not an interval later; of failures in that time, only as many
//! count as there would have been at its interval, so that starting slowly is not mistaken for being ill.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use dixmgr_alerting::health::{CheckVerdict, HealthFold, HealthReason};
use dixmgr_alerting::sync::{SyncReading, SyncRule};
use dixmgr_model::{Health, HealthStatus, ServiceSpec, SyncState, SyncStatus};

/// First wait between two tries of a check that has not passed yet; it doubles up to the check's interval.
const STARTING_WAIT: Duration = Duration::from_millis(250);

/// Shortest interval that is honoured, whatever is configured.
const MIN_INTERVAL: Duration = Duration::from_millis(100);

/// Which check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ProbeId {
    /// The HTTP check at this place in the spec.
    Http(usize),
    /// The sync check.
    Sync,
}

/// What a check gave.
#[derive(Debug)]
pub(super) enum ProbeResult {
    /// Of an HTTP check.
    Http {
        /// The verdict.
        verdict: CheckVerdict,
        /// How long the answer took, if there was one.
        answered_in: Option<Duration>,
    },
    /// Of the sync check; or why there was no answer.
    Sync(Result<SyncReading, String>),
}

/// What a check's result says to alert rules beside its verdict.
pub(super) enum Facts {
    /// How long an answer took.
    Http(Option<Duration>),
    /// How many peers a node has.
    Sync(Option<u64>),
}

impl Facts {
    /// What is in a result.
    pub(super) fn of(result: &ProbeResult) -> Self {
        match result {
            ProbeResult::Http { answered_in, .. } => Self::Http(*answered_in),
            ProbeResult::Sync(answer) => Self::Sync(answer.as_ref().ok().map(|reading| reading.peers)),
        }
    }
}

/// All checks of one run of a service.
#[derive(Debug)]
pub(super) struct Readiness {
    health: HealthFold,
    sync: Option<SyncRule>,
    /// A sync verdict other than "not asked yet" is there.
    sync_judged: bool,
    probes: Vec<Probe>,
    failure_threshold: u32,
}

/// The timing of one check.
#[derive(Debug)]
struct Probe {
    id: ProbeId,
    interval: Duration,
    /// Part of the interval by which its regular runs are shifted.
    shift: Duration,
    ran: bool,
    passed: bool,
    failures: u32,
    wait: Duration,
    /// When a failure was last counted.
    counted: Option<Duration>,
}

impl Readiness {
    /// No check has run.
    pub(super) fn new(spec: &ServiceSpec) -> Self {
        let probes = &spec.probes;
        let mut timings: Vec<Probe> = probes
            .http
            .iter()
            .enumerate()
            .map(|(index, check)| Probe::new(spec, ProbeId::Http(index), check.interval.unwrap_or(probes.interval)))
            .collect();
        if let Some(sync) = &probes.sync {
            timings.push(Probe::new(spec, ProbeId::Sync, sync.interval.unwrap_or(probes.interval)));
        }
        Self {
            health: HealthFold::new(probes.http.len(), probes.failure_threshold),
            sync: probes.sync.as_ref().map(|_| SyncRule::new(probes.failure_threshold)),
            sync_judged: false,
            probes: timings,
            failure_threshold: probes.failure_threshold.max(1),
        }
    }

    /// Goes on from the folds of an earlier attempt, if they fit.
    pub(super) fn resume(&mut self, health: HealthFold, sync: Option<SyncRule>) {
        let checks = self.probes.iter().filter(|probe| matches!(probe.id, ProbeId::Http(_))).count();
        if health.fits(checks, self.failure_threshold) {
            self.health = health;
        }
        if let (Some(rule), Some(resumed)) = (&mut self.sync, sync) {
            self.sync_judged = resumed.verdict().status != SyncStatus::Unknown;
            *rule = resumed;
        }
    }

    /// Its checks, to be run at once.
    pub(super) fn probes(&self) -> impl Iterator<Item = ProbeId> + '_ {
        self.probes.iter().map(|probe| probe.id)
    }

    /// Whether every check has run.
    pub(super) fn is_complete(&self) -> bool {
        self.probes.iter().all(|probe| probe.ran)
    }

    /// The folds.
    pub(super) fn folds(&self) -> (&HealthFold, Option<&SyncRule>) {
        (&self.health, self.sync.as_ref())
    }

    /// The health verdict; unknown while no check has failed often enough nor all have passed.
    pub(super) fn health(&self) -> Health {
        self.health.verdict()
    }

    /// Since when, after the epoch, it has been unhealthy.
    pub(super) fn unhealthy_since(&self) -> Option<Duration> {
        match self.health.reason() {
            HealthReason::Failing { since, .. } => Some(since),
            _ => None,
        }
    }

    /// The sync verdict, once there is one.
    pub(super) fn sync(&self) -> Option<&SyncState> {
        self.sync.as_ref().filter(|_| self.sync_judged).map(SyncRule::verdict)
    }

    /// The interval of a check that has failed so often in a row that its verdict is there, and one failure more is no news.
    pub(super) fn settled(&self, id: ProbeId) -> Option<Duration> {
        let probe = self.probes.iter().find(|probe| probe.id == id)?;
        (probe.failures >= self.failure_threshold).then_some(probe.interval)
    }

    /// Takes in a result at `now` (since the epoch), and answers the wait until the check's next run.
    pub(super) fn fold(&mut self, id: ProbeId, result: ProbeResult, now: Duration) -> Option<Duration> {
        let probe = self.probes.iter_mut().find(|probe| probe.id == id)?;
        let passed = match &result {
            ProbeResult::Http { verdict, .. } => *verdict == CheckVerdict::Passed,
            ProbeResult::Sync(answer) => answer.is_ok(),
        };
        let (counts, next) = probe.ran(passed, now);
        let failures = probe.failures;
        match (id, result) {
            (ProbeId::Http(index), ProbeResult::Http { verdict, .. }) if counts => {
                self.health.fold(index, verdict, now);
            }
            (ProbeId::Sync, ProbeResult::Sync(answer)) if counts => {
                if let Some(rule) = &mut self.sync {
                    match answer {
                        Ok(reading) => rule.answered(&reading, now),
                        Err(error) => rule.unanswered(&error),
                    };
                    self.sync_judged |= passed || failures >= self.failure_threshold;
                }
            }
            _ => {}
        }
        Some(next)
    }
}

impl Probe {
    fn new(spec: &ServiceSpec, id: ProbeId, interval: Duration) -> Self {
        let interval = interval.max(MIN_INTERVAL);
        let mut hasher = DefaultHasher::new();
        (&spec.name, matches!(id, ProbeId::Sync)).hash(&mut hasher);
        if let ProbeId::Http(index) = id {
            index.hash(&mut hasher);
        }
        let share = (hasher.finish() % 1_000) as f64 / 1_000.0;
        Self {
            id,
            interval,
            shift: interval.mul_f64(share),
            ran: false,
            passed: false,
            failures: 0,
            wait: STARTING_WAIT.min(interval),
            counted: None,
        }
    }

    /// Notes a run. Whether its result counts, and how long until the next.
    fn ran(&mut self, passed: bool, now: Duration) -> (bool, Duration) {
        self.ran = true;
        if passed {
            let first = !self.passed;
            self.passed = true;
            self.failures = 0;
            // The first regular run comes at its share of the interval, all others an interval apart.
            return (true, if first { self.shift.max(MIN_INTERVAL) } else { self.interval });
        }
        if self.passed {
            self.failures += 1;
            return (true, self.interval);
        }
        let counts = self.counted.is_none_or(|counted| now.saturating_sub(counted) >= self.interval);
        if counts {
            self.counted = Some(now);
            self.failures += 1;
        }
        let wait = self.wait;
        self.wait = (wait * 2).min(self.interval);
        (counts, wait)
    }
}

/// A health verdict for a service that is not running.
pub(super) fn health_of_stopped(spec: &ServiceSpec) -> Health {
    if spec.probes.http.is_empty() {
        return Health::healthy();
    }
    Health { status: HealthStatus::Unknown, detail: "it does not run".to_owned() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;
    use crate::watch::entry::tests::spec;

    const INTERVAL: Duration = Duration::from_secs(30);

    fn checked() -> Readiness {
        let mut spec = spec("a");
        spec.probes.interval = INTERVAL;
        spec.probes.failure_threshold = 3;
        spec.probes.http = vec![serde_json::from_str(r#"{"url": "http://localhost/"}"#).unwrap()];
        Readiness::new(&spec)
    }

    fn failed() -> ProbeResult {
        ProbeResult::Http { verdict: CheckVerdict::Failed("refused".into()), answered_in: None }
    }

    fn passed() -> ProbeResult {
        ProbeResult::Http { verdict: CheckVerdict::Passed, answered_in: None }
    }

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn a_starting_service_is_asked_often_and_judged_slowly() {
        let mut readiness = checked();
        let mut now = Duration::from_secs(1_000);
        let begin = now;
        let mut tries = 0;
        while readiness.health().status == HealthStatus::Unknown {
            assert_eq!(readiness.settled(ProbeId::Http(0)), None, "what is not judged yet is not spared");
            now += readiness.fold(ProbeId::Http(0), failed(), now).unwrap();
            tries += 1;
        }
        // Three failures an interval apart, as if it had been asked at its interval only.
        let taken = now.saturating_sub(begin);
        assert!(taken >= 2 * INTERVAL, "judged after {taken:?}");
        assert!(tries > 6, "{tries} tries");
        assert_eq!(readiness.unhealthy_since(), Some(begin));
        assert_eq!(readiness.settled(ProbeId::Http(0)), Some(INTERVAL), "it may be spared");
        readiness.fold(ProbeId::Http(0), passed(), now);
        assert_eq!(readiness.health().status, HealthStatus::Healthy);
        assert_eq!(readiness.settled(ProbeId::Http(0)), None);
    }

    #[test]
    fn readiness_is_seen_soon() {
        let mut readiness = checked();
        assert!(!readiness.is_complete());
        assert_eq!(readiness.fold(ProbeId::Http(0), failed(), ms(0)), Some(ms(250)));
        assert!(readiness.is_complete());
        assert_eq!(readiness.fold(ProbeId::Http(0), failed(), ms(250)), Some(ms(500)));
        let next = readiness.fold(ProbeId::Http(0), passed(), ms(750)).unwrap();
        assert!(next <= INTERVAL);
        assert_eq!(readiness.fold(ProbeId::Http(0), passed(), ms(20_000)), Some(INTERVAL));
        assert_eq!(readiness.fold(ProbeId::Http(0), failed(), ms(50_000)), Some(INTERVAL));
        assert_eq!(readiness.health().status, HealthStatus::Healthy, "one failure is not enough");
    }

    #[test]
    fn folds_of_an_earlier_attempt_go_on() {
        let mut first = checked();
        first.fold(ProbeId::Http(0), passed(), ms(0));
        first.fold(ProbeId::Http(0), failed(), ms(1));
        first.fold(ProbeId::Http(0), failed(), ms(2));
        let (health, _) = first.folds();
        let mut second = checked();
        second.resume(health.clone(), None);
        assert_eq!(second.health().status, HealthStatus::Healthy);
        second.fold(ProbeId::Http(0), failed(), ms(3));
        assert_eq!(second.health().status, HealthStatus::Unhealthy, "the third failure in a row");
    }
}
