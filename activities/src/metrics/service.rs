//! Series of the services: atomics that the watch sets, and how they are written to the page.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dixmgr_model::{AlertKind, ServiceSpec, Severity, UnitPhase};
use prometheus::core::{Atomic, AtomicF64};

use super::checks::Checks;
use super::fired::Fired;
use super::label;
use super::text::{Family, Kind, Page};

/// Phases in the order of their `state` series.
const PHASES: [UnitPhase; 10] = [
    UnitPhase::Unknown,
    UnitPhase::Missing,
    UnitPhase::Masked,
    UnitPhase::Inactive,
    UnitPhase::Completed,
    UnitPhase::Activating,
    UnitPhase::AutoRestart,
    UnitPhase::Active,
    UnitPhase::Deactivating,
    UnitPhase::Failed,
];

/// Label values of a node's block heights, as Substrate itself has them.
const BLOCKS: [&str; 3] = ["best", "finalized", "sync_target"];

/// Upper bounds of the dependency wait histogram, in seconds: 1 s × 2ⁿ.
const WAIT_BOUNDS: [f64; 12] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0];

/// Handles of one service's series. Every call is one or two atomic operations, with no lookup and no allocation.
#[derive(Debug)]
pub struct ServiceMetrics {
    health: AtomicU8,
    phase: AtomicU8,
    synced: AtomicU8,
    restarts: AtomicU64,
    downtime_seconds: AtomicF64,
    observed_seconds: AtomicF64,
    cpu_percent: AtomicF64,
    memory_bytes: AtomicU64,
    disk_read_rate: AtomicF64,
    disk_write_rate: AtomicF64,
    cpu_seconds: AtomicF64,
    read_bytes: AtomicU64,
    written_bytes: AtomicU64,
    peers: AtomicU64,
    /// In the order of [`BLOCKS`].
    blocks: [AtomicU64; BLOCKS.len()],
    fired: Fired,
    checks: Checks,
    /// What it needs and has waited for too long; absent until it has waited for anything.
    overdue: Mutex<Option<BTreeSet<String>>>,
}

impl ServiceMetrics {
    fn new() -> Self {
        Self {
            health: AtomicU8::new(0),
            phase: AtomicU8::new(0),
            synced: AtomicU8::new(0),
            restarts: AtomicU64::new(0),
            downtime_seconds: AtomicF64::new(0.0),
            observed_seconds: AtomicF64::new(0.0),
            cpu_percent: AtomicF64::new(0.0),
            memory_bytes: AtomicU64::new(0),
            disk_read_rate: AtomicF64::new(0.0),
            disk_write_rate: AtomicF64::new(0.0),
            cpu_seconds: AtomicF64::new(0.0),
            read_bytes: AtomicU64::new(0),
            written_bytes: AtomicU64::new(0),
            peers: AtomicU64::new(0),
            blocks: Default::default(),
            fired: Fired::default(),
            checks: Checks::default(),
            overdue: Mutex::default(),
        }
    }

    /// How many of those that it needs have kept it waiting for too long. `None` when nothing is known: it may have waited for
    /// a dixmgr before this one.
    pub fn overdue(&self, spec: &ServiceSpec) -> Option<usize> {
        let overdue = self.overdue.lock().unwrap_or_else(PoisonError::into_inner);
        overdue.as_ref().map(|overdue| spec.needs.iter().filter(|need| overdue.contains(&need.service)).count())
    }

    fn waited(&self, dependency: &str, timed_out: bool) {
        let mut overdue = self.overdue.lock().unwrap_or_else(PoisonError::into_inner);
        let overdue = overdue.get_or_insert_default();
        if timed_out {
            overdue.insert(dependency.to_owned());
        } else {
            overdue.remove(dependency);
        }
    }

    /// `service_health`: 1 when it runs and its checks pass.
    pub fn set_health(&self, healthy: bool) {
        self.health.store(u8::from(healthy), Ordering::Relaxed);
    }

    /// `service_unit_state`: 1 for this phase, 0 for all others.
    pub fn set_phase(&self, phase: UnitPhase) {
        let index = PHASES.iter().position(|known| *known == phase).unwrap_or(0);
        self.phase.store(u8::try_from(index).unwrap_or(0), Ordering::Relaxed);
    }

    /// `service_restarts_total`.
    pub fn add_restart(&self) {
        self.restarts.fetch_add(1, Ordering::Relaxed);
    }

    /// `service_downtime_seconds_total`: more time that it was down.
    pub fn add_downtime(&self, down: Duration) {
        self.downtime_seconds.inc_by(down.as_secs_f64());
    }

    /// `service_observed_seconds_total`: more time over which it was known whether it was up or down.
    pub fn add_observed(&self, observed: Duration) {
        self.observed_seconds.inc_by(observed.as_secs_f64());
    }

    /// `service_cpu_percent`: 100 is one core busy.
    pub fn set_cpu_percent(&self, percent: f64) {
        self.cpu_percent.set(percent);
    }

    /// `service_memory_bytes`: resident memory.
    pub fn set_memory_bytes(&self, bytes: u64) {
        self.memory_bytes.store(bytes, Ordering::Relaxed);
    }

    /// `service_disk_io_bytes_per_second`, both directions.
    pub fn set_disk_rates(&self, read: f64, write: f64) {
        self.disk_read_rate.set(read);
        self.disk_write_rate.set(write);
    }

    /// `service_cpu_seconds_total`: more CPU time used. Anything that is not a positive number is ignored.
    pub fn add_cpu_seconds(&self, delta: f64) {
        if delta > 0.0 && delta.is_finite() {
            self.cpu_seconds.inc_by(delta);
        }
    }

    /// `service_read_bytes_total` and `service_written_bytes_total`: more bytes from and to disks.
    pub fn add_disk_bytes(&self, read: u64, written: u64) {
        self.read_bytes.fetch_add(read, Ordering::Relaxed);
        self.written_bytes.fetch_add(written, Ordering::Relaxed);
    }

    /// `node_sync_status`: 1 when synced. Shown only for services with a sync check.
    pub fn set_synced(&self, synced: bool) {
        self.synced.store(u8::from(synced), Ordering::Relaxed);
    }

    /// `node_peer_count`. Shown only for services with a sync check.
    pub fn set_peers(&self, peers: u64) {
        self.peers.store(peers, Ordering::Relaxed);
    }

    /// `node_block_height`: numbers of its best block, of the last finalized one, and of the highest that it has heard of. What
    /// is not known stays as it was.
    pub fn set_blocks(&self, blocks: [Option<u64>; 3]) {
        for (height, block) in self.blocks.iter().zip(blocks) {
            if let Some(block) = block {
                height.store(block, Ordering::Relaxed);
            }
        }
    }

    /// `service_check_…`: a check ran. They are counted from 0, the HTTP checks first and in their order, then the sync check.
    /// `took`: how long the answer took, if there was one.
    pub fn check_ran(&self, check: usize, passed: bool, took: Option<Duration>) {
        self.checks.ran(check, passed, took);
    }

    /// These series of `alerts_fired_total` exist from now on.
    pub fn expect_alerts(&self, alerts: impl Iterator<Item = (AlertKind, Severity)>) {
        self.fired.expect(alerts);
    }

    /// `alerts_fired_total`: an alert fires, or has become worse. Ignored when it was not expected.
    pub fn add_alert(&self, kind: AlertKind, severity: Severity) {
        self.fired.add(kind, severity);
    }

    /// `service_restarts_total` now.
    pub fn restarts(&self) -> u64 {
        self.restarts.load(Ordering::Relaxed)
    }

    /// `service_downtime_seconds_total` now.
    pub fn downtime_seconds(&self) -> f64 {
        self.downtime_seconds.get()
    }
}

/// A service on the page: its values, and its labels in rendered form.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) metrics: Arc<ServiceMetrics>,
    kind: String,
    chain: String,
    /// `service`.
    service: String,
    /// `service`, `type`.
    labels: String,
    /// `service`, `type`, `chain`.
    labels_with_chain: String,
    /// `node`, `chain`, when it has a sync check.
    node_labels: Option<String>,
    waits: Vec<DependencyWaits>,
}

/// Waits for one dependency.
#[derive(Debug)]
struct DependencyWaits {
    dependency: String,
    labels: String,
    /// Observations by the first bound that holds them (not cumulative); those beyond the last bound are in `count` alone.
    buckets: [AtomicU64; WAIT_BOUNDS.len()],
    count: AtomicU64,
    sum: AtomicF64,
    timeouts: AtomicU64,
}

impl Entry {
    /// A service as `spec` has it, with the values of what stood there before.
    pub(super) fn new(spec: &ServiceSpec, previous: Option<Self>) -> Self {
        let (metrics, mut old_waits) = match previous {
            Some(previous) => (previous.metrics, previous.waits),
            None => (Arc::new(ServiceMetrics::new()), Vec::new()),
        };
        let mut service = String::new();
        label::render(&mut service, "service", &spec.name);
        let mut labels = service.clone();
        label::render(&mut labels, "type", &spec.labels.kind);
        let mut labels_with_chain = labels.clone();
        label::render(&mut labels_with_chain, "chain", &spec.labels.chain);
        let node_labels = spec.probes.sync.is_some().then(|| {
            let mut labels = String::new();
            label::render(&mut labels, "node", &spec.name);
            label::render(&mut labels, "chain", &spec.labels.chain);
            labels
        });
        let mut waits: Vec<DependencyWaits> = Vec::with_capacity(spec.needs.len());
        for need in &spec.needs {
            // A dependency that is named twice is one series; twice on the page would spoil the page.
            if waits.iter().any(|known| known.dependency == need.service) {
                continue;
            }
            let kept = old_waits.iter().position(|old| old.dependency == need.service);
            waits.push(match kept {
                Some(index) => old_waits.swap_remove(index),
                None => DependencyWaits::new(&spec.name, &need.service),
            });
        }
        metrics.checks.expect(spec);
        let (kind, chain) = (spec.labels.kind.clone(), spec.labels.chain.clone());
        Self { metrics, kind, chain, service, labels, labels_with_chain, node_labels, waits }
    }

    /// Whether nothing that is on the page has changed in `spec`.
    pub(super) fn describes(&self, spec: &ServiceSpec) -> bool {
        self.kind == spec.labels.kind
            && self.chain == spec.labels.chain
            && self.node_labels.is_some() == spec.probes.sync.is_some()
            && self.metrics.checks.describes(spec)
            && spec.needs.iter().all(|need| self.waits.iter().any(|known| known.dependency == need.service))
            && self.waits.iter().all(|known| spec.needs.iter().any(|need| known.dependency == need.service))
    }

    pub(super) fn record_wait(&self, dependency: &str, waited: Duration, timed_out: bool) -> bool {
        let Some(waits) = self.waits.iter().find(|waits| waits.dependency == dependency) else {
            return false;
        };
        waits.record(waited, timed_out);
        self.metrics.waited(dependency, timed_out);
        true
    }
}

impl DependencyWaits {
    fn new(service: &str, dependency: &str) -> Self {
        let mut labels = String::new();
        label::render(&mut labels, "service", service);
        label::render(&mut labels, "dependency", dependency);
        Self {
            dependency: dependency.to_owned(),
            labels,
            buckets: Default::default(),
            count: AtomicU64::new(0),
            sum: AtomicF64::new(0.0),
            timeouts: AtomicU64::new(0),
        }
    }

    fn record(&self, waited: Duration, timed_out: bool) {
        let seconds = waited.as_secs_f64();
        if let Some(index) = WAIT_BOUNDS.iter().position(|bound| seconds <= *bound) {
            self.buckets[index].fetch_add(1, Ordering::Relaxed);
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        self.sum.inc_by(seconds);
        if timed_out {
            self.timeouts.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn write_histogram(&self, family: &mut Family<'_>) {
        let mut seen = 0;
        let cumulative: [u64; WAIT_BOUNDS.len()] = std::array::from_fn(|index| {
            seen += self.buckets[index].load(Ordering::Relaxed);
            seen
        });
        // A wait that is being recorded may be in its bucket and not in the count yet.
        let count = self.count.load(Ordering::Relaxed).max(seen);
        family.histogram(&self.labels, WAIT_BOUNDS.into_iter().zip(cumulative), count, self.sum.get());
    }
}

/// The family that dixmgr itself has a part in, and how it is called there.
const FIRED: &str = "alerts_fired_total";
const OWN: &str = "service=\"dixmgr\"";

/// One family of the services: its name, type, help, and the value that each service has in it.
type Column = (&'static str, Kind, &'static str, fn(&mut Family<'_>, &Entry));

/// How many families the services have.
pub(super) const FAMILIES: usize = COLUMNS.len();

const COLUMNS: [Column; 20] = [
    (
        "service_health",
        Kind::Gauge,
        "Whether the service runs and its health checks pass (1) or not (0).",
        |family, entry| {
            family.integer(&[&entry.labels_with_chain], entry.metrics.health.load(Ordering::Relaxed).into());
        },
    ),
    (
        "service_unit_state",
        Kind::Gauge,
        "State of the service's unit: 1 for the state it is in, 0 for the others.",
        |family, entry| {
            let current = usize::from(entry.metrics.phase.load(Ordering::Relaxed));
            for (index, phase) in PHASES.iter().enumerate() {
                family.integer(&[&entry.labels, ",state=\"", phase.name(), "\""], u64::from(index == current));
            }
        },
    ),
    ("service_restarts_total", Kind::Counter, "Restarts of the service by dixmgr.", |family, entry| {
        family.integer(&[&entry.labels], entry.metrics.restarts.load(Ordering::Relaxed));
    }),
    ("service_downtime_seconds_total", Kind::Counter, "Time that the service was down.", |family, entry| {
        family.float(&[&entry.labels], entry.metrics.downtime_seconds.get());
    }),
    (
        "service_observed_seconds_total",
        Kind::Counter,
        "Time over which it was known whether the service was up or down.",
        |family, entry| {
            family.float(&[&entry.labels], entry.metrics.observed_seconds.get());
        },
    ),
    (
        "service_check_success",
        Kind::Gauge,
        "Whether the check passed when it last ran (1) or not (0).",
        |family, entry| {
            entry.metrics.checks.write_success(family, &entry.labels);
        },
    ),
    ("service_check_failures_total", Kind::Counter, "Runs of the check that it did not pass.", |family, entry| {
        entry.metrics.checks.write_failures(family, &entry.labels);
    }),
    ("service_check_duration_seconds", Kind::Gauge, "How long the last answer to the check took.", |family, entry| {
        entry.metrics.checks.write_duration(family, &entry.labels);
    }),
    (
        "service_cpu_percent",
        Kind::Gauge,
        "CPU used by all processes of the service; 100 is one core.",
        |family, entry| {
            family.float(&[&entry.labels], entry.metrics.cpu_percent.get());
        },
    ),
    ("service_cpu_seconds_total", Kind::Counter, "CPU time used by all processes of the service.", |family, entry| {
        family.float(&[&entry.labels], entry.metrics.cpu_seconds.get());
    }),
    ("service_memory_bytes", Kind::Gauge, "Resident memory of all processes of the service.", |family, entry| {
        family.integer(&[&entry.labels], entry.metrics.memory_bytes.load(Ordering::Relaxed));
    }),
    (
        "service_disk_io_bytes_per_second",
        Kind::Gauge,
        "Disk traffic of all processes of the service.",
        |family, entry| {
            let metrics = &entry.metrics;
            family.float(&[&entry.labels, ",direction=\"read\""], metrics.disk_read_rate.get());
            family.float(&[&entry.labels, ",direction=\"write\""], metrics.disk_write_rate.get());
        },
    ),
    ("service_read_bytes_total", Kind::Counter, "Bytes that the service read from disks.", |family, entry| {
        family.integer(&[&entry.labels], entry.metrics.read_bytes.load(Ordering::Relaxed));
    }),
    ("service_written_bytes_total", Kind::Counter, "Bytes that the service wrote to disks.", |family, entry| {
        family.integer(&[&entry.labels], entry.metrics.written_bytes.load(Ordering::Relaxed));
    }),
    (
        "node_sync_status",
        Kind::Gauge,
        "Whether the node is at the head of its chain (1) or not (0).",
        |family, entry| {
            if let Some(labels) = &entry.node_labels {
                family.integer(&[labels], entry.metrics.synced.load(Ordering::Relaxed).into());
            }
        },
    ),
    ("node_peer_count", Kind::Gauge, "Peers that the node is connected to.", |family, entry| {
        if let Some(labels) = &entry.node_labels {
            family.integer(&[labels], entry.metrics.peers.load(Ordering::Relaxed));
        }
    }),
    ("node_block_height", Kind::Gauge, "Numbers of the blocks that the node knows.", |family, entry| {
        let Some(labels) = &entry.node_labels else { return };
        for (status, height) in BLOCKS.iter().zip(&entry.metrics.blocks) {
            family.integer(&[labels, ",status=\"", status, "\""], height.load(Ordering::Relaxed));
        }
    }),
    (FIRED, Kind::Counter, "Alerts that fired, or became worse.", |family, entry| {
        entry.metrics.fired.write(family, &entry.service);
    }),
    (
        "dependency_timeouts_total",
        Kind::Counter,
        "Waits for a dependency that outlasted dependency_timeout.",
        |family, entry| {
            for waits in &entry.waits {
                family.integer(&[&waits.labels], waits.timeouts.load(Ordering::Relaxed));
            }
        },
    ),
    (
        "dependency_wait_time_seconds",
        Kind::Histogram,
        "Time that a service waited for a dependency to be ready.",
        |family, entry| {
            for waits in &entry.waits {
                waits.write_histogram(family);
            }
        },
    ),
];

/// Writes one family of the services, of [`FAMILIES`]; `own` are the alerts about dixmgr itself.
pub(super) fn write(page: &mut Page, namespace: &str, family: usize, services: &BTreeMap<String, Entry>, own: &Fired) {
    let Some((name, kind, help, column)) = COLUMNS.get(family) else { return };
    let mut family = Family::begin(page, &format!("{namespace}_{name}"), *kind, help);
    for entry in services.values() {
        column(&mut family, entry);
    }
    if *name == FIRED {
        own.write(&mut family, OWN);
    }
}
