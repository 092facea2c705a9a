//! dixmgr looks at itself: whether messages arrive, the engine is fast, its disk has room, and services are looked at in time.
//!
//! What is seen is judged by the alert rules, as the hub judges services. There is one such look for a daemon; a second watch
//! waits until the first is over.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dixmgr_alerting::disk::day_and_hour;
use dixmgr_alerting::fold::{Active, AlertFold, SavedRule, Seen};
use dixmgr_alerting::forecast::hours_after;
use dixmgr_alerting::own;
use dixmgr_model::{AlertChanges, AlertKind, AlertPolicy, KnownAlerts, Rule, ServiceSpec, Signal};
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, sleep};

use crate::api::WatchOwnRequest;
use crate::disk::{Disk, Room};
use crate::history::event::millis;
use crate::in_force::InForce;
use crate::metrics::Metrics;
use crate::notify::Notifier;
use crate::watch::activity::heartbeat_interval;
use crate::watch::board::Board;

/// Time between two looks.
const INTERVAL: Duration = Duration::from_secs(5);
/// Looks that may be missing before the time between two counts as not seen.
const LONGEST_GAP: Duration = Duration::from_secs(15);
/// A service is looked at late only beyond this: machines are busy.
const SLACK: Duration = Duration::from_secs(1);

/// What dixmgr looks at when it looks at itself.
#[derive(Debug, Clone)]
pub(crate) struct Sources {
    /// The configuration, as it is now.
    pub(crate) in_force: watch::Receiver<Arc<InForce>>,
    pub(crate) board: Board,
    pub(crate) metrics: Metrics,
    /// Where its data is, and how full that was.
    pub(crate) disk: Disk,
    /// How long the engine, or the cluster, took lately; absent when it had nothing to do.
    pub(crate) engine: watch::Receiver<Option<Duration>>,
}

/// dixmgr's look at itself.
#[derive(Debug)]
pub(crate) struct OwnWatch(Mutex<Own>);

#[derive(Debug)]
struct Own {
    sources: Sources,
    /// The configuration that the policy is of.
    in_force: Arc<InForce>,
    policy: AlertPolicy,
    spec: ServiceSpec,
    fold: AlertFold,
    /// What the gauge shows.
    active: Vec<Active>,
    /// When looking began: before that nothing is late.
    began: Instant,
    /// When the disk is full, if it fills: milliseconds since the epoch.
    disk_full_at: Option<u64>,
}

impl OwnWatch {
    /// Nothing looked at yet. The series of its alerts exist from now on.
    pub(crate) fn new(sources: Sources) -> Self {
        let in_force = Arc::clone(&sources.in_force.borrow());
        let (policy, spec) = (own::policy(&in_force.alerts, &in_force.notifier.channels()), own::spec());
        let fold = AlertFold::new(&policy, &spec);
        sources.metrics.own_alerts().expect(fold.possible(&policy));
        Self(Mutex::new(Own {
            sources,
            in_force,
            policy,
            spec,
            fold,
            active: Vec::new(),
            began: Instant::now(),
            disk_full_at: None,
        }))
    }

    /// Looks again and again until the alerts that fire are others than those that are known.
    pub(crate) async fn watch(
        &self,
        context: &ActivityContext,
        request: WatchOwnRequest,
    ) -> Result<AlertChanges, ActivityError> {
        let mut own = tokio::select! {
            own = self.0.lock() => own,
            () = context.cancelled() => return Err(ActivityError::cancelled()),
        };
        // Progress that cannot be read is of another version: the watch begins anew, which is safe.
        let saved = context.heartbeat_details().deserialize::<Vec<SavedRule>>().ok().flatten();
        own.begin(&saved.unwrap_or_default(), &request.alerts);
        let every = heartbeat_interval(context.info().heartbeat_timeout);
        let mut beaten = Instant::now();
        loop {
            own.follow_configuration(&request.alerts);
            let moved = own.look();
            let changes = own.fold.changes(&own.policy, &own.spec, &request.alerts, &own::state());
            if !changes.is_empty() {
                return Ok(own.described(changes));
            }
            if moved || beaten.elapsed() >= every {
                beaten = Instant::now();
                if let Err(error) = context.record_heartbeat(own.fold.save(&own.policy)).await {
                    tracing::debug!(%error, "a heartbeat could not be written");
                }
            }
            tokio::select! {
                () = context.cancelled() => return Err(ActivityError::cancelled()),
                () = sleep(INTERVAL.min(every)) => {}
            }
        }
    }
}

impl Own {
    fn begin(&mut self, saved: &[SavedRule], known: &KnownAlerts) {
        self.fold.resume(&self.policy, saved);
        self.fold.known(&self.policy, &self.spec, known, millis(now()));
        self.follow(false);
    }

    /// Judges by the rules that are in force now; those that still are go on.
    fn follow_configuration(&mut self, known: &KnownAlerts) {
        let in_force = Arc::clone(&self.sources.in_force.borrow());
        if Arc::ptr_eq(&in_force, &self.in_force) {
            return;
        }
        let saved = self.fold.save(&self.policy);
        self.policy = own::policy(&in_force.alerts, &in_force.notifier.channels());
        self.fold = AlertFold::new(&self.policy, &self.spec);
        self.sources.metrics.own_alerts().expect(self.fold.possible(&self.policy));
        self.in_force = in_force;
        self.begin(&saved, known);
    }

    /// One look. Whether there is something that a heartbeat should carry.
    fn look(&mut self) -> bool {
        let at = now();
        let readings = Readings::take(&self.sources, self.began, at);
        self.disk_full_at = readings.disk_full_at(at);
        let looked = self.fold.look(
            &self.policy,
            millis(at),
            millis(LONGEST_GAP),
            |rule| readings.of(&self.in_force.notifier, rule),
            |rule, reason, value| {
                tracing::debug!(rule = %rule.name, reason = reason.name(), value, "a rule about dixmgr itself moved");
            },
        );
        if looked.alerts_changed {
            self.follow(true);
        }
        looked.moved
    }

    /// Brings the gauge up to what fires; what is `new` is counted.
    fn follow(&mut self, new: bool) {
        let active = self.fold.active(&self.policy, &self.spec);
        let (alerts, fired) = (self.sources.metrics.alerts(), self.sources.metrics.own_alerts());
        for over in self.active.iter().filter(|before| !active.contains(before)) {
            alerts.ended(over.kind, over.severity);
        }
        for begun in active.iter().filter(|alert| !self.active.contains(alert)) {
            alerts.began(begun.kind, begun.severity);
            if new {
                fired.add(begun.kind, begun.severity);
            }
        }
        self.active = active;
    }

    /// An alert about a channel says what went wrong there, and one about what is ahead, when that is.
    fn described(&self, mut changes: AlertChanges) -> AlertChanges {
        for raised in &mut changes.raised {
            let ahead = || match raised.alert.kind {
                AlertKind::LimitAhead => Some(format!("full on {}", day_and_hour(self.disk_full_at?)?)),
                _ => None,
            };
            let detail = raised.alert.labels.get(own::CHANNEL).and_then(|name| self.in_force.notifier.trouble(name));
            let detail = detail.or_else(ahead);
            if let Some(detail) = detail {
                raised.alert.annotations.entry("description".to_owned()).or_insert(detail);
            }
        }
        changes
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        for alert in &self.active {
            self.sources.metrics.alerts().ended(alert.kind, alert.severity);
        }
    }
}

/// What one look gave.
struct Readings {
    engine: Option<Duration>,
    /// In percent.
    disk_free: Option<f64>,
    /// Hours.
    disk_forecast: Option<f64>,
    /// Absent when nothing has to be looked at.
    look_delay: Option<Duration>,
}

impl Readings {
    fn take(sources: &Sources, began: Instant, at: Duration) -> Self {
        let plan = Arc::clone(&sources.in_force.borrow().plan);
        let room = sources.disk.room();
        let last = at.saturating_sub(sources.board.last_look()).min(began.elapsed());
        Self {
            engine: *sources.engine.borrow(),
            disk_free: room.map(Room::free_percent),
            disk_forecast: room.and_then(|room| sources.disk.look(room, millis(at))),
            look_delay: plan.shortest_interval().map(|interval| last.saturating_sub(interval + SLACK)),
        }
    }

    /// When the disk is full, if it fills.
    fn disk_full_at(&self, at: Duration) -> Option<u64> {
        hours_after(millis(at), self.disk_forecast?)
    }

    fn of(&self, notifier: &Notifier, rule: &Rule) -> Seen {
        let value = match rule.signal {
            Signal::Undelivered => own::channel(rule).and_then(|channel| notifier.failures(channel)).map(f64::from),
            Signal::EngineLatency => self.engine.map(|took| took.as_secs_f64()),
            Signal::DiskFree => self.disk_free,
            Signal::DiskForecast => self.disk_forecast,
            Signal::LookDelay => self.look_delay.map(|delay| delay.as_secs_f64()),
            _ => return Seen::Nothing,
        };
        value.map_or(Seen::Unknown, Seen::Value)
    }
}

/// Time since the epoch.
fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
