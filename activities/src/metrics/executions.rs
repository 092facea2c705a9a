//! Series of workflows and activities, by type. Few names, closed sets of statuses: handles are made once per name.

use std::time::Duration;

use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry};

use super::{MetricsError, register};

/// How a workflow execution closed, in Temporal's words.
///
/// No status name ends with another's: `prometheus` tells series apart by their label values run together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkflowStatus {
    /// It returned.
    Completed,
    /// It failed.
    Failed,
    /// It was cancelled.
    Canceled,
    /// It was terminated from outside.
    Terminated,
    /// It ran out of time.
    TimedOut,
    /// It goes on in a new run.
    ContinuedAsNew,
}

/// How an activity attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActivityStatus {
    /// It returned.
    Completed,
    /// It failed (and may be tried again).
    Failed,
    /// It was cancelled.
    Canceled,
}

/// What kind of error an activity failed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorType {
    /// The unit manager (systemd, the bus) could not be reached.
    Unreachable,
    /// Something did not answer in time.
    Timeout,
    /// An HTTP exchange failed.
    Http,
    /// A node gave no usable answer.
    Rpc,
    /// The input can never work.
    BadInput,
    /// It panicked.
    Panic,
    /// None of these.
    Unclassified,
}

/// Series of one workflow type.
#[derive(Debug)]
pub struct WorkflowMetrics {
    executions: [IntCounter; WorkflowStatus::ALL.len()],
    duration: Histogram,
}

/// Series of one activity type.
#[derive(Debug)]
pub struct ActivityMetrics {
    executions: [IntCounter; ActivityStatus::ALL.len()],
    errors: [IntCounter; ErrorType::ALL.len()],
    duration: Histogram,
}

impl WorkflowMetrics {
    /// Counts an execution that closed `elapsed` after it began.
    pub fn record(&self, status: WorkflowStatus, elapsed: Duration) {
        self.executions[status as usize].inc();
        self.duration.observe(elapsed.as_secs_f64());
    }
}

impl ActivityMetrics {
    /// Counts an attempt that ended `elapsed` after it began.
    pub fn record(&self, status: ActivityStatus, elapsed: Duration) {
        self.executions[status as usize].inc();
        self.duration.observe(elapsed.as_secs_f64());
    }

    /// Counts an error. An attempt that failed is counted by [`ActivityMetrics::record`] too; errors inside an attempt
    /// that goes on (a bus that is away for a while) are counted here alone.
    pub fn error(&self, error: ErrorType) {
        self.errors[error as usize].inc();
    }
}

impl WorkflowStatus {
    /// In the order of their discriminants.
    pub const ALL: [Self; 6] =
        [Self::Completed, Self::Failed, Self::Canceled, Self::Terminated, Self::TimedOut, Self::ContinuedAsNew];

    /// Label value.
    pub fn name(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
            Self::Terminated => "terminated",
            Self::TimedOut => "timed_out",
            Self::ContinuedAsNew => "continued_as_new",
        }
    }
}

impl ActivityStatus {
    /// In the order of their discriminants.
    pub const ALL: [Self; 3] = [Self::Completed, Self::Failed, Self::Canceled];

    /// Label value.
    pub fn name(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }
}

impl ErrorType {
    /// In the order of their discriminants.
    pub const ALL: [Self; 7] =
        [Self::Unreachable, Self::Timeout, Self::Http, Self::Rpc, Self::BadInput, Self::Panic, Self::Unclassified];

    /// Label value.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::Http => "http",
            Self::Rpc => "rpc",
            Self::BadInput => "bad_input",
            Self::Panic => "panic",
            Self::Unclassified => "unclassified",
        }
    }
}

/// The families that workflow handles are made from.
#[derive(Debug)]
pub(super) struct WorkflowVecs {
    executions: IntCounterVec,
    duration: HistogramVec,
}

impl WorkflowVecs {
    pub(super) fn register(namespace: &str, registry: &Registry) -> Result<Self, MetricsError> {
        let executions = counters(
            namespace,
            "workflow_executions_total",
            "Workflow executions that closed, by how they closed.",
            &["workflow", "status"],
        )?;
        let duration = histograms(
            namespace,
            "workflow_duration_seconds",
            "Time from the start of a workflow execution to its close.",
            "workflow",
            prometheus::exponential_buckets(1.0, 2.0, 10)?,
        )?;
        register(registry, &executions)?;
        register(registry, &duration)?;
        Ok(Self { executions, duration })
    }

    pub(super) fn handle(&self, name: &str) -> WorkflowMetrics {
        WorkflowMetrics {
            executions: WorkflowStatus::ALL.map(|status| self.executions.with_label_values(&[name, status.name()])),
            duration: self.duration.with_label_values(&[name]),
        }
    }
}

/// The families that activity handles are made from.
#[derive(Debug)]
pub(super) struct ActivityVecs {
    executions: IntCounterVec,
    errors: IntCounterVec,
    duration: HistogramVec,
}

impl ActivityVecs {
    pub(super) fn register(namespace: &str, registry: &Registry) -> Result<Self, MetricsError> {
        let executions = counters(
            namespace,
            "activity_executions_total",
            "Activity attempts that ended, by how they ended.",
            &["activity", "status"],
        )?;
        let errors = counters(
            namespace,
            "activity_errors_total",
            "Errors met by activities, by kind.",
            &["activity", "error_type"],
        )?;
        // The eight buckets that dashboards know (0.1 s × 2ⁿ), and finer ones below: most activities end in milliseconds.
        let mut buckets = vec![0.001, 0.0025, 0.005, 0.01, 0.025, 0.05];
        buckets.extend(prometheus::exponential_buckets(0.1, 2.0, 8)?);
        let duration = histograms(
            namespace,
            "activity_duration_seconds",
            "Time from the start of an activity attempt to its end.",
            "activity",
            buckets,
        )?;
        register(registry, &executions)?;
        register(registry, &errors)?;
        register(registry, &duration)?;
        Ok(Self { executions, errors, duration })
    }

    pub(super) fn handle(&self, name: &str) -> ActivityMetrics {
        ActivityMetrics {
            executions: ActivityStatus::ALL.map(|status| self.executions.with_label_values(&[name, status.name()])),
            errors: ErrorType::ALL.map(|error| self.errors.with_label_values(&[name, error.name()])),
            duration: self.duration.with_label_values(&[name]),
        }
    }
}

fn counters(namespace: &str, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, MetricsError> {
    Ok(IntCounterVec::new(Opts::new(name, help).namespace(namespace), labels)?)
}

fn histograms(
    namespace: &str,
    name: &str,
    help: &str,
    label: &str,
    buckets: Vec<f64>,
) -> Result<HistogramVec, MetricsError> {
    Ok(HistogramVec::new(HistogramOpts::new(name, help).namespace(namespace).buckets(buckets), &[label])?)
}
