//! One service, as the hub knows it. Time is an argument.

mod checks;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use dixmgr_alerting::fold::Looked;
use dixmgr_model::{
    AlertKind, AlertPolicy, HealthStatus, ServiceSpec, ServiceState, Signal, SyncState, SyncStatus, UnitPhase,
    UnitStatus,
};
use tokio::sync::{oneshot, watch};

use super::alerts::Alerts;
use super::chatter::Chatter;
use super::downtime::Downtime;
use super::probe::{Readiness, health_of_stopped};
use super::telling::Telling;
use super::{Known, Registration, WatchProgress};
use crate::api::WatchReport;
use crate::metrics::ServiceMetrics;
use crate::proc::usage::{Meter, Usage};

/// How long a dead service's alerts wait for news of what it needs. They may have died of one cause, and are seen one by one.
const CAUSE_WAIT: Duration = Duration::from_millis(900);

/// A service. It outlives its watches, so that downtime and totals count on while a workflow acts.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) spec: Arc<ServiceSpec>,
    pub(super) meter: Meter,
    /// When it was last watched, after the epoch.
    pub(super) last_watched: Duration,
    pub(super) chatter: Chatter,
    /// Changes with every run and every spec; results of checks of another epoch are void.
    pub(super) epoch: u64,
    metrics: Arc<ServiceMetrics>,
    watcher: Option<Watcher>,
    unit: UnitStatus,
    /// Number of the newest look that was taken in.
    look: u64,
    readiness: Readiness,
    resume: Option<Arc<WatchProgress>>,
    /// What the workflow knew: holds for the same run until the checks have a verdict of their own.
    assumed: Option<ServiceState>,
    downtime: Downtime,
    /// From when to when its state is known, and counted as such.
    observed: Option<(Duration, Duration)>,
    alerts: Alerts,
    /// Services that it needs and that do not run, when that was last asked.
    lacks: BTreeSet<String>,
    /// Until then its death is no alert: the death of what it needs may be seen a moment later.
    alerts_held_until: Option<Duration>,
    telling: Telling,
    /// Something that decides may have changed since it was last told.
    moved: bool,
}

/// Who waits for a change.
#[derive(Debug)]
struct Watcher {
    known: Known,
    report: oneshot::Sender<WatchReport>,
    progress: watch::Sender<Option<Arc<WatchProgress>>>,
    /// First look that counts: earlier ones began before it asked.
    from_look: u64,
    /// It was weighed against such a look; from then on, only changes matter.
    weighed: bool,
}

/// What a look led to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// The unit's status is another one.
    pub(super) changed: bool,
    /// A run has begun that has to be checked from the start.
    pub(super) check: bool,
}

impl Entry {
    /// A service that was never looked at.
    pub(super) fn new(spec: Arc<ServiceSpec>, metrics: Arc<ServiceMetrics>, alerts: Alerts, telling: Telling) -> Self {
        Self {
            readiness: Readiness::new(&spec),
            spec,
            meter: Meter::default(),
            last_watched: Duration::ZERO,
            chatter: Chatter::default(),
            moved: false,
            epoch: 0,
            metrics,
            watcher: None,
            unit: UnitStatus::unknown(),
            look: 0,
            resume: None,
            assumed: None,
            downtime: Downtime::default(),
            observed: None,
            alerts,
            lacks: BTreeSet::new(),
            alerts_held_until: None,
            telling,
        }
    }

    /// Whether it is known not to run.
    pub(super) fn is_down(&self) -> bool {
        self.unit.phase != UnitPhase::Unknown && !self.has_processes() && !self.is_running()
    }

    /// The services that it needs and that do not run are these. Whether that is to be asked once more.
    pub(super) fn set_lacks(&mut self, lacks: BTreeSet<String>, now: Duration) -> bool {
        self.lacks = lacks;
        let known = !self.lacks.is_empty() || !self.is_down();
        if self.alerts_held_until.take_if(|until| known || now >= *until).is_some() {
            self.moved = true;
        }
        self.alerts_held_until.is_some()
    }

    /// A workflow watches it from look `from_look` on. Whether its checks have to begin anew, because they are other ones.
    pub(super) fn watch(
        &mut self,
        registration: Registration,
        metrics: Arc<ServiceMetrics>,
        from_look: u64,
        now: Duration,
    ) -> bool {
        let Registration { spec, known, resume, report, progress } = registration;
        let other_checks = spec.probes != self.spec.probes;
        let other_rules = other_checks || spec.labels != self.spec.labels;
        self.spec = spec;
        self.metrics = metrics;
        if other_rules {
            self.alerts.respecify(&self.spec, &self.metrics);
        }
        if other_checks {
            self.begin_run();
        }
        if self.unit.phase == UnitPhase::Unknown {
            if let Some(resume) = &resume {
                self.alerts.resume(&resume.alerts, &resume.restarts);
            }
            self.resume = resume;
        }
        self.alerts.known(&self.spec, &known.alerts, now);
        self.telling.alerts(self.alerts.take_news(), now);
        self.assumed.clone_from(&known.state);
        self.watcher = Some(Watcher { known, report, progress, from_look, weighed: false });
        other_checks && self.is_running()
    }

    /// Looks are judged by this policy from now on.
    pub(super) fn judge_by(&mut self, policy: &Arc<AlertPolicy>, now: Duration) {
        let known = self.watcher.as_ref().map(|watcher| &watcher.known.alerts);
        if self.alerts.judge_by(policy, &self.spec, &self.metrics, known, now) {
            self.moved = true;
            self.telling.alerts(self.alerts.take_news(), now);
            self.tell_progress();
        }
    }

    /// Whether a workflow waits for a change of it.
    pub(super) fn is_watched(&self) -> bool {
        self.watcher.as_ref().is_some_and(|watcher| !watcher.report.is_closed())
    }

    /// Whether it is up, so that it can be checked and sampled.
    pub(super) fn is_running(&self) -> bool {
        matches!(self.unit.phase, UnitPhase::Active | UnitPhase::Completed)
    }

    /// Whether processes of it may exist.
    pub(super) fn has_processes(&self) -> bool {
        matches!(self.unit.phase, UnitPhase::Active | UnitPhase::Activating | UnitPhase::Deactivating)
    }

    /// Takes in what look number `look` saw, and records it. A look that began before the newest one is void.
    pub(super) fn seen(&mut self, status: UnitStatus, look: u64, now: Duration) -> Seen {
        if look < self.look {
            return Seen::default();
        }
        self.look = look;
        let status = self.unless_forgotten(status);
        let changed = status != self.unit;
        let mut check = false;
        if self.replaces_run(&status) {
            self.alerts.restarted(now);
            self.telling.restarted();
        }
        if changed {
            let first = self.unit.phase == UnitPhase::Unknown;
            let other_run = status.invocation_id != self.unit.invocation_id;
            let was_running = self.is_running();
            if !first {
                self.log(&status);
            }
            self.unit = status;
            if was_running && !self.is_running() && !self.spec.needs.is_empty() {
                self.alerts_held_until = Some(now + CAUSE_WAIT);
            }
            check = self.is_running() && (other_run || !was_running);
            if check || was_running != self.is_running() {
                self.begin_run();
            }
            if first {
                self.resume_folds();
            }
            self.metrics.set_phase(self.unit.phase);
            self.moved = true;
        }
        self.chatter.answered(changed, now);
        let looked = self.alerts.unit(&self.spec, self.unit.phase, &self.metrics, now);
        self.judged(looked, now);
        self.record(now);
        Seen { changed, check }
    }

    /// Takes in what its processes used, and records it.
    pub(super) fn used(&mut self, usage: &Usage, now: Duration) {
        self.metrics.set_cpu_percent(usage.cpu_percent);
        self.metrics.set_memory_bytes(usage.memory_bytes);
        self.metrics.add_cpu_seconds(usage.cpu_seconds);
        if let (Some(io), Some((read, write))) = (usage.io, usage.disk_rates()) {
            self.metrics.set_disk_rates(read, write);
            self.metrics.add_disk_bytes(io.read_bytes, io.written_bytes);
        }
        self.telling.used(usage, now);
        if self.is_running() {
            let looked = self.alerts.used(&self.spec, usage, &self.metrics, now);
            self.judged(looked, now);
        }
    }

    /// Takes in what the history says of it, as it does `every` so often.
    pub(super) fn foretold(&mut self, signals: &[(Signal, Option<f64>)], every: Duration, now: Duration) {
        let looked = self.alerts.foretold(&self.spec, signals, every, &self.metrics, now);
        self.judged(looked, now);
    }

    /// Takes in what a look meant for the alerts.
    fn judged(&mut self, looked: Looked, now: Duration) {
        if looked.alerts_changed {
            self.moved = true;
            self.telling.alerts(self.alerts.take_news(), now);
        }
        if looked.moved {
            self.tell_progress();
        }
    }

    /// Whether this is another run of the unit than the last that was seen, perhaps before dixmgr was started anew.
    fn replaces_run(&self, status: &UnitStatus) -> bool {
        let before = match (&self.resume, self.unit.phase) {
            (Some(resume), UnitPhase::Unknown) => &resume.state.unit.invocation_id,
            _ => &self.unit.invocation_id,
        };
        !before.is_empty() && !status.invocation_id.is_empty() && *before != status.invocation_id
    }

    /// It could not be looked at.
    pub(super) fn unseen(&mut self, now: Duration) {
        self.telling.unseen(now);
    }

    /// It is watched no more: its alerts are over.
    pub(super) fn forgotten(&mut self, now: Duration) {
        self.telling.alerts(self.alerts.all_over(), now);
        self.telling.forgotten(now);
    }

    /// Tells who waits, if there is something to decide.
    pub(super) fn report(&mut self) {
        let moved = std::mem::take(&mut self.moved);
        let Some(mut watcher) = self.watcher.take_if(|watcher| !watcher.report.is_closed()) else {
            self.watcher = None;
            return;
        };
        if self.unit.phase == UnitPhase::Unknown || self.look < watcher.from_look || (watcher.weighed && !moved) {
            self.watcher = Some(watcher);
            return;
        }
        watcher.weighed = true;
        let state = self.state();
        let complete = !self.is_running() || self.readiness.is_complete();
        let mut alerts = self.alerts.changes(&self.spec, &watcher.known.alerts, &state);
        alerts.raised.retain_mut(|raised| {
            // That it lacks something is what the one about waiting is about.
            let caused = raised.alert.kind != AlertKind::DependencyTimeout;
            if caused {
                raised.lacking.clone_from(&self.lacks);
            }
            !caused || self.alerts_held_until.is_none()
        });
        let differs = |known: &ServiceState| state.differs(known) || !alerts.is_empty();
        if watcher.known.state.as_ref().map_or(complete, differs) {
            // Whoever waited may have been cancelled just now.
            let _ = watcher.report.send(WatchReport { state, alerts });
        } else {
            self.watcher = Some(watcher);
        }
    }

    /// All that decides, as it is now.
    pub(super) fn state(&self) -> ServiceState {
        let assumed = self.assumed.as_ref().filter(|known| known.unit.invocation_id == self.unit.invocation_id);
        let health = if self.is_running() {
            let verdict = self.readiness.health();
            match assumed {
                Some(known) if verdict.status == HealthStatus::Unknown => known.health.clone(),
                _ => verdict,
            }
        } else {
            health_of_stopped(&self.spec)
        };
        let sync = self.spec.probes.sync.as_ref().map(|_| match self.readiness.sync() {
            _ if !self.is_running() => unknown_sync("it does not run"),
            Some(verdict) => verdict.clone(),
            None => assumed.and_then(|known| known.sync.clone()).unwrap_or_else(|| unknown_sync("not asked yet")),
        });
        ServiceState { unit: self.unit.clone(), health, sync }
    }

    /// A unit that is not running and has no invocation, where it had one a moment ago: systemd has dropped it from memory
    /// (the connection that held it there was lost). Nothing else has happened to it, so what was known of it holds.
    fn unless_forgotten(&self, status: UnitStatus) -> UnitStatus {
        let idle = matches!(self.unit.phase, UnitPhase::Inactive | UnitPhase::Completed);
        if idle && status.phase == UnitPhase::Inactive && status.invocation_id.is_empty() {
            return self.unit.clone();
        }
        status
    }

    fn begin_run(&mut self) {
        self.epoch += 1;
        self.readiness = Readiness::new(&self.spec);
    }

    fn resume_folds(&mut self) {
        if let Some(resume) = self.resume.take()
            && resume.state.unit.invocation_id == self.unit.invocation_id
        {
            self.readiness.resume(resume.health.clone(), resume.sync.clone());
        }
    }

    fn record(&mut self, now: Duration) {
        if self.unit.phase == UnitPhase::Unknown {
            return;
        }
        let health = self.state_of_health();
        let up = self.is_running();
        self.metrics.set_health(up && health == HealthStatus::Healthy);
        let synced = self.readiness.sync().is_some_and(|sync| sync.status == SyncStatus::Synced);
        self.metrics.set_synced(up && synced);
        let unhealthy = up && health == HealthStatus::Unhealthy;
        let (from, to) = *self.observed.get_or_insert((now, now));
        // What a dixmgr before this one saw, it has counted.
        let since = self.readiness.unhealthy_since().filter(|_| unhealthy).map(|since| since.max(from));
        let down = self.downtime.observe(!up || unhealthy, since, now);
        self.metrics.add_downtime(down);
        self.metrics.add_observed(now.saturating_sub(to));
        self.observed = Some((from, now.max(to)));
        self.telling.seen(self.state(), since.unwrap_or(now), now);
    }

    /// The status of [`Entry::state`]'s health, without its words.
    fn state_of_health(&self) -> HealthStatus {
        match self.readiness.health().status {
            HealthStatus::Unknown => self.state().health.status,
            verdict => verdict,
        }
    }

    fn tell_progress(&self) {
        let Some(watcher) = &self.watcher else { return };
        let (health, sync) = self.readiness.folds();
        let told = watcher.progress.borrow().clone();
        let (alerts, restarts) = self.alerts.save();
        if told.is_some_and(|told| {
            told.health == *health && told.sync.as_ref() == sync && told.alerts == alerts && told.restarts == restarts
        }) {
            return;
        }
        let progress =
            WatchProgress { state: self.state(), health: health.clone(), sync: sync.cloned(), alerts, restarts };
        watcher.progress.send_replace(Some(Arc::new(progress)));
    }

    fn log(&self, status: &UnitStatus) {
        tracing::debug!(
            service = %self.spec.name,
            unit = %self.spec.unit_name(),
            from = self.unit.phase.name(),
            to = status.phase.name(),
            result = %status.result,
            invocation = %status.invocation_id,
            main_pid = status.main_pid,
            "unit changed"
        );
    }
}

fn unknown_sync(detail: &str) -> SyncState {
    SyncState { status: SyncStatus::Unknown, detail: detail.to_owned() }
}

#[cfg(test)]
#[path = "entry_tests.rs"]
pub(crate) mod tests;
