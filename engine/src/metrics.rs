//! What the engine tells Prometheus of itself: requests by method, commits and how long the disk took for them, what waits.
//!
//! Counters and histograms are recorded where the fact arises. Gauges are what is there at the moment, so they are brought up
//! to date when somebody asks for the page ([`crate::Engine::measure`]), and cost nothing otherwise. Label values come from
//! closed sets: names of methods, gRPC's codes, kinds of tasks.

use std::{sync::Arc, time::Duration};

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, core::Collector,
};
use tonic::Code;

use crate::{matching::TaskKind, store::StoreError};

/// Seconds. Long polls wait for a minute.
const REQUEST_BUCKETS: &[f64] =
    &[0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
/// Seconds.
const COMMIT_BUCKETS: &[f64] =
    &[0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];
/// Executions.
const BATCH_BUCKETS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];
/// Method of everything that is not in the tables of methods.
pub(crate) const OTHER_METHOD: &str = "other";

/// The engine's series. Cheap to clone; clones share everything. The default records nothing.
#[derive(Debug, Clone, Default)]
pub struct EngineMetrics {
    series: Option<Arc<Series>>,
}

#[derive(Debug)]
struct Series {
    requests: IntCounterVec,
    request_duration: HistogramVec,
    commit_duration: Histogram,
    commit_sync: Histogram,
    commit_executions: Histogram,
    commit_errors: IntCounterVec,
    timer_lag: Histogram,
    open_executions: IntGauge,
    requests_waiting: IntGauge,
    tasks_waiting: IntGaugeVec,
    pollers_waiting: IntGaugeVec,
    store_bytes: IntGaugeVec,
}

/// What is there at the moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Gauges {
    pub(crate) open_executions: usize,
    /// Requests that wait for the core thread.
    pub(crate) requests_waiting: usize,
    /// Tasks that wait for a worker, and workers that wait for a task: workflow tasks, activity tasks,
    /// requests to Nexus handlers.
    pub(crate) tasks: [usize; 3],
    pub(crate) pollers: [usize; 3],
    /// Size of the database file and of its log.
    pub(crate) database_bytes: u64,
    pub(crate) log_bytes: u64,
}

impl EngineMetrics {
    /// The series `<namespace>_engine_…`, on the page of `registry`.
    ///
    /// # Errors
    /// The namespace cannot begin a metric's name, or the registry has an engine's series already.
    pub fn register(namespace: &str, registry: &Registry) -> prometheus::Result<Self> {
        let series = Series::named(namespace)?;
        for collector in series.collectors() {
            registry.register(collector)?;
        }
        Ok(Self { series: Some(Arc::new(series)) })
    }

    /// Notes an answered request; `method` is one of the table's names or [`OTHER_METHOD`].
    pub(crate) fn request(&self, method: &str, code: Code, elapsed: Duration) {
        let Some(series) = &self.series else { return };
        series.requests.with_label_values(&[method, code_name(code)]).inc();
        series.request_duration.with_label_values(&[method]).observe(elapsed.as_secs_f64());
    }

    /// Notes a commit of changes of that many executions.
    pub(crate) fn commit(&self, executions: usize, elapsed: Duration, sync: Duration) {
        let Some(series) = &self.series else { return };
        series.commit_duration.observe(elapsed.as_secs_f64());
        series.commit_sync.observe(sync.as_secs_f64());
        #[allow(clippy::cast_precision_loss, reason = "a batch is of some hundred executions")]
        series.commit_executions.observe(executions as f64);
    }

    /// Commits, and the seconds that they took together.
    pub(crate) fn commits(&self) -> (u64, f64) {
        let commits = self.series.as_ref().map(|series| &series.commit_duration);
        commits.map(|commits| (commits.get_sample_count(), commits.get_sample_sum())).unwrap_or_default()
    }

    /// Notes a commit that failed.
    pub(crate) fn commit_error(&self, error: &StoreError) {
        let Some(series) = &self.series else { return };
        series.commit_errors.with_label_values(&[reason(error)]).inc();
    }

    /// Notes that something due was acted on that long after its time.
    pub(crate) fn timer(&self, lag: Duration) {
        let Some(series) = &self.series else { return };
        series.timer_lag.observe(lag.as_secs_f64());
    }

    /// Sets what is there at the moment.
    pub(crate) fn set(&self, gauges: Gauges) {
        if let Some(series) = &self.series {
            series.set(gauges);
        }
    }
}

impl Series {
    fn collectors(&self) -> [Box<dyn Collector>; 12] {
        [
            Box::new(self.requests.clone()),
            Box::new(self.request_duration.clone()),
            Box::new(self.commit_duration.clone()),
            Box::new(self.commit_sync.clone()),
            Box::new(self.commit_executions.clone()),
            Box::new(self.commit_errors.clone()),
            Box::new(self.timer_lag.clone()),
            Box::new(self.open_executions.clone()),
            Box::new(self.requests_waiting.clone()),
            Box::new(self.tasks_waiting.clone()),
            Box::new(self.pollers_waiting.clone()),
            Box::new(self.store_bytes.clone()),
        ]
    }

    fn named(namespace: &str) -> prometheus::Result<Self> {
        let opts = |name: &str, help: &str| Opts::new(format!("engine_{name}"), help).namespace(namespace);
        let histogram = |name: &str, help: &str, buckets: &[f64]| {
            Histogram::with_opts(HistogramOpts::from(opts(name, help)).buckets(buckets.to_vec()))
        };
        let series = Self {
            requests: IntCounterVec::new(
                opts("requests_total", "Requests that the engine has answered, by method and gRPC code."),
                &["method", "code"],
            )?,
            request_duration: HistogramVec::new(
                HistogramOpts::from(opts(
                    "request_duration_seconds",
                    "Time from a request to its answer, by method. Polls wait for a task, up to a minute.",
                ))
                .buckets(REQUEST_BUCKETS.to_vec()),
                &["method"],
            )?,
            commit_duration: histogram(
                "commit_duration_seconds",
                "Time of a commit as a whole: rows written, log written and synced.",
                COMMIT_BUCKETS,
            )?,
            commit_sync: histogram(
                "commit_sync_seconds",
                "Of a commit's time, that for which the log was written and synced.",
                COMMIT_BUCKETS,
            )?,
            commit_executions: histogram(
                "commit_executions",
                "Workflow executions changed by one commit: what shares one sync of the disk.",
                BATCH_BUCKETS,
            )?,
            commit_errors: IntCounterVec::new(
                opts("commit_errors_total", "Commits that failed, whose requests were refused, by reason."),
                &["reason"],
            )?,
            timer_lag: histogram(
                "timer_lag_seconds",
                "How long after its time a timer, timeout or retry was acted on.",
                COMMIT_BUCKETS,
            )?,
            open_executions: IntGauge::with_opts(opts("open_executions", "Workflow executions that are open."))?,
            requests_waiting: IntGauge::with_opts(opts(
                "requests_waiting",
                "Requests that wait for the engine's thread.",
            ))?,
            tasks_waiting: IntGaugeVec::new(
                opts("tasks_waiting", "Tasks that wait for a worker, by kind."),
                &["kind"],
            )?,
            pollers_waiting: IntGaugeVec::new(
                opts("pollers_waiting", "Polls of workers that wait for a task, by kind."),
                &["kind"],
            )?,
            store_bytes: IntGaugeVec::new(
                opts("store_bytes", "Size of the engine's files: the database, and the log of what is not yet in it."),
                &["part"],
            )?,
        };
        series.set(Gauges::default());
        for reason in REASONS {
            series.commit_errors.with_label_values(&[reason]);
        }
        Ok(series)
    }

    fn set(&self, gauges: Gauges) {
        self.open_executions.set(number(gauges.open_executions));
        self.requests_waiting.set(number(gauges.requests_waiting));
        for kind in [TaskKind::Workflow, TaskKind::Activity, TaskKind::Nexus] {
            let (tasks, pollers) = (gauges.tasks[kind as usize], gauges.pollers[kind as usize]);
            self.tasks_waiting.with_label_values(&[kind_name(kind)]).set(number(tasks));
            self.pollers_waiting.with_label_values(&[kind_name(kind)]).set(number(pollers));
        }
        self.store_bytes.with_label_values(&["database"]).set(i64::try_from(gauges.database_bytes).unwrap_or(i64::MAX));
        self.store_bytes.with_label_values(&["log"]).set(i64::try_from(gauges.log_bytes).unwrap_or(i64::MAX));
    }
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn kind_name(kind: TaskKind) -> &'static str {
    match kind {
        TaskKind::Workflow => "workflow",
        TaskKind::Activity => "activity",
        TaskKind::Nexus => "nexus",
    }
}

const REASONS: [&str; 5] = ["full", "io", "corrupt", "contradiction", "other"];

fn reason(error: &StoreError) -> &'static str {
    let [full, io, corrupt, contradiction, other] = REASONS;
    match error {
        StoreError::Full { .. } => full,
        StoreError::Io { .. } => io,
        StoreError::Corrupt { .. } => corrupt,
        StoreError::Misuse(_) => contradiction,
        _ => other,
    }
}

/// gRPC's own name of a code, as its other programs' metrics have it.
fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "Canceled",
        Code::Unknown => "Unknown",
        Code::InvalidArgument => "InvalidArgument",
        Code::DeadlineExceeded => "DeadlineExceeded",
        Code::NotFound => "NotFound",
        Code::AlreadyExists => "AlreadyExists",
        Code::PermissionDenied => "PermissionDenied",
        Code::ResourceExhausted => "ResourceExhausted",
        Code::FailedPrecondition => "FailedPrecondition",
        Code::Aborted => "Aborted",
        Code::OutOfRange => "OutOfRange",
        Code::Unimplemented => "Unimplemented",
        Code::Internal => "Internal",
        Code::Unavailable => "Unavailable",
        Code::DataLoss => "DataLoss",
        Code::Unauthenticated => "Unauthenticated",
    }
}
