//! The alert rules of one service, as the hub looks at them: which look gives a value for which rule. Time is an argument.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use dixmgr_alerting::fold::{Active, AlertFold, Looked, SavedRule, Seen};
use dixmgr_model::{
    AlertChanges, AlertPolicy, HealthStatus, KnownAlerts, ServiceSpec, ServiceState, Signal, SyncStatus, UnitPhase,
};

use crate::history::event::millis;
use crate::metrics::{AlertMetrics, ServiceMetrics};
use crate::proc::usage::Usage;

/// Restarts that are remembered; no rule can count more.
const MAX_RESTARTS: usize = 64;

/// Looks that may be missing before the time between two of them counts as not seen.
const MISSED_LOOKS: u32 = 3;

/// The rules of one service, and what they count.
#[derive(Debug)]
pub(super) struct Alerts {
    policy: Arc<AlertPolicy>,
    fold: AlertFold,
    /// In milliseconds since the epoch.
    restarts: VecDeque<u64>,
    metrics: Arc<AlertMetrics>,
    /// What the gauge shows.
    active: Vec<Active>,
    /// What the history has not been told.
    news: Vec<AlertNews>,
}

/// An alert that began, or is over.
#[derive(Debug)]
pub(super) struct AlertNews {
    pub(super) alert: Active,
    pub(super) fires: bool,
}

impl Alerts {
    /// The rules of `policy` for this service, none looked at yet. The series of its alerts exist from now on.
    pub(super) fn new(
        policy: Arc<AlertPolicy>,
        spec: &ServiceSpec,
        service: &ServiceMetrics,
        metrics: Arc<AlertMetrics>,
    ) -> Self {
        let fold = AlertFold::new(&policy, spec);
        service.expect_alerts(fold.possible(&policy));
        Self { policy, fold, restarts: VecDeque::new(), metrics, active: Vec::new(), news: Vec::new() }
    }

    /// The service is another one: rules that are still for it go on.
    pub(super) fn respecify(&mut self, spec: &ServiceSpec, service: &ServiceMetrics) {
        let saved = self.fold.save(&self.policy);
        self.fold = AlertFold::new(&self.policy, spec);
        self.fold.resume(&self.policy, &saved);
        service.expect_alerts(self.fold.possible(&self.policy));
    }

    /// Judges by another policy: rules that still look at the same go on, whatever their thresholds. `known` are the alerts that the
    /// workflow has raised. Whether it is another policy.
    pub(super) fn judge_by(
        &mut self,
        policy: &Arc<AlertPolicy>,
        spec: &ServiceSpec,
        service: &ServiceMetrics,
        known: Option<&KnownAlerts>,
        now: Duration,
    ) -> bool {
        if *policy == self.policy {
            return false;
        }
        let looks_at = |policy: &AlertPolicy, name: &str| {
            let rule = policy.rules.iter().find(|rule| rule.name == name);
            rule.map(|rule| (rule.signal, rule.comparison))
        };
        let mut saved = self.fold.save(&self.policy);
        saved.retain(|saved| looks_at(&self.policy, &saved.rule) == looks_at(policy, &saved.rule));
        self.policy = Arc::clone(policy);
        self.fold = AlertFold::new(&self.policy, spec);
        self.fold.resume(&self.policy, &saved);
        service.expect_alerts(self.fold.possible(&self.policy));
        if let Some(known) = known {
            self.fold.known(&self.policy, spec, known, millis(now));
        }
        self.follow(spec, None);
        true
    }

    /// Goes on from a heartbeat.
    pub(super) fn resume(&mut self, saved: &[SavedRule], restarts: &[u64]) {
        self.fold.resume(&self.policy, saved);
        self.restarts = restarts.iter().rev().take(MAX_RESTARTS).rev().copied().collect();
    }

    /// For a heartbeat.
    pub(super) fn save(&self) -> (Vec<SavedRule>, Vec<u64>) {
        (self.fold.save(&self.policy), self.restarts.iter().copied().collect())
    }

    /// The workflow has raised these.
    pub(super) fn known(&mut self, spec: &ServiceSpec, known: &KnownAlerts, now: Duration) {
        self.fold.known(&self.policy, spec, known, millis(now));
        self.follow(spec, None);
    }

    /// What the workflow has to be told.
    pub(super) fn changes(&self, spec: &ServiceSpec, known: &KnownAlerts, state: &ServiceState) -> AlertChanges {
        self.fold.changes(&self.policy, spec, known, state)
    }

    /// A new run has taken the place of another.
    pub(super) fn restarted(&mut self, now: Duration) {
        if self.restarts.len() == MAX_RESTARTS {
            self.restarts.pop_front();
        }
        self.restarts.push_back(millis(now));
    }

    /// A look at the unit.
    pub(super) fn unit(
        &mut self,
        spec: &ServiceSpec,
        phase: UnitPhase,
        service: &ServiceMetrics,
        now: Duration,
    ) -> Looked {
        let restarts = std::mem::take(&mut self.restarts);
        let at = millis(now);
        let looked = self.look(spec, service, now, |rule| match rule.signal {
            Signal::Down => down(phase),
            Signal::Restarts => {
                let since = at.saturating_sub(millis(rule.window));
                let count = restarts.iter().filter(|restart| **restart > since).count();
                Seen::Value(count as f64)
            }
            Signal::DependencyWait => service.overdue(spec).map_or(Seen::Unknown, |count| Seen::Value(count as f64)),
            // Who does not run uses nothing, but that is no good news about what it used.
            _ if down(phase) == Seen::Value(1.0) => Seen::Unknown,
            _ => Seen::Nothing,
        });
        self.restarts = restarts;
        looked
    }

    /// What the processes used.
    pub(super) fn used(
        &mut self,
        spec: &ServiceSpec,
        usage: &Usage,
        service: &ServiceMetrics,
        now: Duration,
    ) -> Looked {
        let rates = usage.disk_rates();
        self.look(spec, service, now, |rule| match (rule.signal, rates) {
            (Signal::Cpu, _) => Seen::Value(usage.cpu_percent),
            (Signal::Memory, _) => Seen::Value(usage.memory_bytes as f64),
            (Signal::Disk, Some((read, write))) => Seen::Value(read + write),
            (Signal::DiskRead, Some((read, _))) => Seen::Value(read),
            (Signal::DiskWrite, Some((_, write))) => Seen::Value(write),
            (Signal::Disk | Signal::DiskRead | Signal::DiskWrite, None) => Seen::Unknown,
            _ => Seen::Nothing,
        })
    }

    /// The verdict of the health checks, and how long the last answer took.
    pub(super) fn health(
        &mut self,
        spec: &ServiceSpec,
        health: HealthStatus,
        answered_in: Option<Duration>,
        service: &ServiceMetrics,
        now: Duration,
    ) -> Looked {
        self.look(spec, service, now, |rule| match rule.signal {
            Signal::Unhealthy => match health {
                HealthStatus::Unknown => Seen::Unknown,
                HealthStatus::Healthy => Seen::Value(0.0),
                HealthStatus::Unhealthy => Seen::Value(1.0),
            },
            Signal::ResponseTime => answered_in.map_or(Seen::Unknown, |time| Seen::Value(time.as_secs_f64())),
            _ => Seen::Nothing,
        })
    }

    /// The verdict of the sync check, and how many peers the node has.
    pub(super) fn sync(
        &mut self,
        spec: &ServiceSpec,
        sync: Option<SyncStatus>,
        peers: Option<u64>,
        service: &ServiceMetrics,
        now: Duration,
    ) -> Looked {
        self.look(spec, service, now, |rule| match rule.signal {
            Signal::Stalled => match sync {
                None | Some(SyncStatus::Unknown) => Seen::Unknown,
                Some(SyncStatus::Stalled) => Seen::Value(1.0),
                Some(SyncStatus::Syncing | SyncStatus::Synced) => Seen::Value(0.0),
            },
            Signal::Peers => peers.map_or(Seen::Unknown, |peers| Seen::Value(peers as f64)),
            _ => Seen::Nothing,
        })
    }

    /// What the history says is unusual, or ahead.
    pub(super) fn foretold(
        &mut self,
        spec: &ServiceSpec,
        signals: &[(Signal, Option<f64>)],
        every: Duration,
        service: &ServiceMetrics,
        now: Duration,
    ) -> Looked {
        let found = |signal| signals.iter().find(|(known, _)| *known == signal);
        self.look_each(spec, every, service, now, |rule| match found(rule.signal) {
            Some((_, value)) => value.map_or(Seen::Unknown, Seen::Value),
            None => Seen::Nothing,
        })
    }

    /// What has begun, or is over, since this was last asked.
    pub(super) fn take_news(&mut self) -> Vec<AlertNews> {
        std::mem::take(&mut self.news)
    }

    /// All that fires, as over: its service is watched no more.
    pub(super) fn all_over(&self) -> Vec<AlertNews> {
        self.active.iter().map(|alert| AlertNews { alert: alert.clone(), fires: false }).collect()
    }

    fn look(
        &mut self,
        spec: &ServiceSpec,
        service: &ServiceMetrics,
        now: Duration,
        value: impl Fn(&dixmgr_model::Rule) -> Seen,
    ) -> Looked {
        self.look_each(spec, longest_interval(spec), service, now, value)
    }

    /// A look of a kind that comes once in `interval`.
    fn look_each(
        &mut self,
        spec: &ServiceSpec,
        interval: Duration,
        service: &ServiceMetrics,
        now: Duration,
        value: impl Fn(&dixmgr_model::Rule) -> Seen,
    ) -> Looked {
        let gap = interval.saturating_mul(MISSED_LOOKS);
        let looked = self.fold.look(&self.policy, millis(now), millis(gap), value, |rule, reason, value| {
            tracing::debug!(service = %spec.name, rule = %rule.name, reason = reason.name(), value, "an alert rule moved");
        });
        if looked.alerts_changed {
            self.follow(spec, Some(service));
        }
        looked
    }

    /// Brings the gauge, and with `service` the counters of what is new, up to what fires.
    fn follow(&mut self, spec: &ServiceSpec, service: Option<&ServiceMetrics>) {
        let active = self.fold.active(&self.policy, spec);
        for over in self.active.iter().filter(|before| !active.contains(before)) {
            self.metrics.ended(over.kind, over.severity);
            self.news.push(AlertNews { alert: over.clone(), fires: false });
        }
        for new in active.iter().filter(|alert| !self.active.contains(alert)) {
            self.metrics.began(new.kind, new.severity);
            self.news.push(AlertNews { alert: new.clone(), fires: true });
            if let Some(service) = service {
                service.add_alert(new.kind, new.severity);
            }
        }
        self.active = active;
    }
}

impl Drop for Alerts {
    fn drop(&mut self) {
        for alert in &self.active {
            self.metrics.ended(alert.kind, alert.severity);
        }
    }
}

/// A unit that is on its way up or down is neither.
fn down(phase: UnitPhase) -> Seen {
    match phase {
        UnitPhase::Unknown | UnitPhase::Activating | UnitPhase::Deactivating => Seen::Unknown,
        UnitPhase::Active | UnitPhase::Completed => Seen::Value(0.0),
        UnitPhase::Missing | UnitPhase::Masked | UnitPhase::Inactive | UnitPhase::AutoRestart | UnitPhase::Failed => {
            Seen::Value(1.0)
        }
    }
}

/// The longest time between two looks of one kind.
fn longest_interval(spec: &ServiceSpec) -> Duration {
    let http = spec.probes.http.iter().filter_map(|check| check.interval);
    let sync = spec.probes.sync.iter().filter_map(|check| check.interval);
    http.chain(sync).fold(spec.probes.interval, Duration::max)
}
