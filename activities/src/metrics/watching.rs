//! How well the watch itself does: whether the unit manager answers, how fast, and whether checks run when they should.

use std::time::Duration;

use prometheus::{Gauge, Histogram, HistogramOpts, IntGauge, Opts, Registry};

use super::{MetricsError, register};

/// Seconds.
const LOOK_BUCKETS: [f64; 11] = [0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 25.0];
/// Seconds.
const DELAY_BUCKETS: [f64; 9] = [0.001, 0.01, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0];

/// Series of the hub.
#[derive(Debug)]
pub struct WatchMetrics {
    last_look: Gauge,
    reachable: IntGauge,
    look_duration: Histogram,
    check_delay: Histogram,
}

impl WatchMetrics {
    pub(super) fn register(namespace: &str, registry: &Registry) -> Result<Self, MetricsError> {
        let named = |name: &str, help: &str| Opts::new(format!("watch_{name}"), help).namespace(namespace);
        let last_look = Gauge::with_opts(named(
            "last_look_timestamp_seconds",
            "When the unit manager last said how services are, in seconds since the epoch; 0 before the first time.",
        ))?;
        let reachable = IntGauge::with_opts(named(
            "manager_reachable",
            "Whether the unit manager answered when it was last asked (1) or not (0).",
        ))?;
        let histogram =
            |opts: Opts, buckets: &[f64]| Histogram::with_opts(HistogramOpts::from(opts).buckets(buckets.to_vec()));
        let look_duration = named("look_duration_seconds", "Time that the unit manager took to answer one look.");
        let look_duration = histogram(look_duration, &LOOK_BUCKETS)?;
        let check_delay = named("check_delay_seconds", "How long after its time an HTTP or sync check began.");
        let check_delay = histogram(check_delay, &DELAY_BUCKETS)?;
        register(registry, &last_look)?;
        register(registry, &reachable)?;
        register(registry, &look_duration)?;
        register(registry, &check_delay)?;
        Ok(Self { last_look, reachable, look_duration, check_delay })
    }

    /// The unit manager has said at `now`, since the epoch, how services are.
    pub fn looked(&self, now: Duration) {
        self.last_look.set(now.as_secs_f64());
        self.reachable.set(1);
    }

    /// It could not be asked.
    pub fn blind(&self) {
        self.reachable.set(0);
    }

    /// A look was answered, or refused, after `took`.
    pub fn answered(&self, took: Duration) {
        self.look_duration.observe(took.as_secs_f64());
    }

    /// A check begins `delay` after its time.
    pub fn check_begins(&self, delay: Duration) {
        self.check_delay.observe(delay.as_secs_f64());
    }
}
