//! What dixmgr tells Prometheus: names, labels and buckets as operators know them from the program before this one.
//!
//! Two kinds of series, by how many there are of them:
//! - those **of a service** (some twenty-five for each of perhaps ten thousand) are plain atomics in a [`ServiceMetrics`], with
//!   labels rendered once and written straight to the page. An update is one atomic store; a service costs a few hundred
//!   bytes, where one `prometheus` object per series would cost many times that. It also avoids that crate's key for a
//!   series, a hash of its label values run together, under which `("app1", "db")` and `("app", "1db")` are the same;
//! - those **of dixmgr itself** (workflows, activities, configuration) are few, and live in a [`prometheus::Registry`] where
//!   others may register more.
//!
//! Label values are bounded in length and, where a program chooses them, come from a closed set. Nothing here reads a clock.

mod alerts;
mod checks;
mod executions;
mod fired;
pub(crate) mod label;
mod own;
mod pieces;
mod registry;
mod sdk;
mod service;
mod text;
mod watching;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use dixmgr_alerting::fold::AlertFold;
use dixmgr_model::{AlertPolicy, ServiceSpec};
use prometheus::core::Collector;
use prometheus::{Gauge, IntGaugeVec, Opts, Registry};
use temporalio_common::telemetry::metrics::CoreMeter;

use crate::breakers::BreakerMetrics;
pub use alerts::{AlertMetrics, ChannelMetrics};
pub use executions::{ActivityMetrics, ActivityStatus, ErrorType, WorkflowMetrics, WorkflowStatus};
use executions::{ActivityVecs, WorkflowVecs};
pub(crate) use fired::Fired;
pub use pieces::Pieces;
use sdk::{SdkMeter, SdkSeries};
use service::Entry;
pub use service::ServiceMetrics;
pub use text::Format;
pub use watching::WatchMetrics;

/// Most distinct workflow or activity names; those beyond are counted together under [`OTHER`].
const MAX_NAMES: usize = 128;

/// Label value of everything beyond [`MAX_NAMES`].
const OTHER: &str = "other";

/// Why metrics could not be set up or written.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// The namespace cannot be the beginning of a metric's name.
    #[error("metrics namespace {0:?} is not valid; use letters, digits and underscores, beginning with a letter")]
    Namespace(String),
    /// Two metrics of one name, or another fault of the registry's contents.
    #[error("metrics registry: {0}")]
    Registry(#[from] prometheus::Error),
}

/// All metrics of one dixmgr. Cheap to clone; clones share everything.
#[derive(Debug, Clone)]
pub struct Metrics {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    namespace: String,
    registry: Registry,
    services: RwLock<BTreeMap<String, Entry>>,
    workflows: Named<WorkflowVecs, WorkflowMetrics>,
    activities: Named<ActivityVecs, ActivityMetrics>,
    alerts: Arc<AlertMetrics>,
    /// Alerts about dixmgr itself that fired.
    own_alerts: Fired,
    watching: Arc<WatchMetrics>,
    breakers: Arc<BreakerMetrics>,
    sdk: SdkSeries,
    /// Since when all of this counts, in seconds since the epoch.
    created: OnceLock<f64>,
    data_dir: OnceLock<PathBuf>,
    /// How long the families of the services were on the last page.
    lengths: [AtomicUsize; service::FAMILIES],
    reload_successful: Gauge,
    reload_timestamp: Gauge,
}

/// Ready-made handles by name, made from their vectors when first asked for.
#[derive(Debug)]
struct Named<V, H> {
    vecs: V,
    handles: RwLock<HashMap<String, Arc<H>>>,
}

impl Metrics {
    /// An empty set of metrics, all named `<namespace>_…`.
    ///
    /// # Errors
    /// The namespace cannot begin a metric's name.
    pub fn new(namespace: &str) -> Result<Self, MetricsError> {
        if !label::is_metric_name(namespace) {
            return Err(MetricsError::Namespace(namespace.to_owned()));
        }
        let registry = Registry::new();
        let named = |name: &str, help: &str| Opts::new(name, help).namespace(namespace);

        let build_info =
            IntGaugeVec::new(named("build_info", "Constant 1, labelled with the version of dixmgr."), &["version"])?;
        build_info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        register(&registry, &build_info)?;

        let reload_successful = Gauge::with_opts(named(
            "config_last_reload_successful",
            "Whether the last attempt to load the configuration succeeded (1) or not (0).",
        ))?;
        register(&registry, &reload_successful)?;
        let reload_timestamp = Gauge::with_opts(named(
            "config_last_reload_success_timestamp_seconds",
            "When the configuration was last loaded with success, in seconds since the epoch.",
        ))?;
        register(&registry, &reload_timestamp)?;
        let sdk = SdkSeries::default();
        register(&registry, &sdk)?;

        Ok(Self {
            inner: Arc::new(Inner {
                workflows: Named::new(WorkflowVecs::register(namespace, &registry)?),
                activities: Named::new(ActivityVecs::register(namespace, &registry)?),
                alerts: Arc::new(AlertMetrics::register(namespace, &registry)?),
                own_alerts: Fired::default(),
                watching: Arc::new(WatchMetrics::register(namespace, &registry)?),
                breakers: Arc::new(BreakerMetrics::register(namespace, &registry)?),
                created: OnceLock::new(),
                data_dir: OnceLock::new(),
                lengths: Default::default(),
                sdk,
                namespace: namespace.to_owned(),
                registry,
                services: RwLock::default(),
                reload_successful,
                reload_timestamp,
            }),
        })
    }

    /// What every name begins with.
    pub fn namespace(&self) -> &str {
        &self.inner.namespace
    }

    /// Where others register series of their own (the engine). They appear on the page of
    /// [`Metrics::encode`]; the services' series do not appear in what this registry gathers.
    pub fn registry(&self) -> &Registry {
        &self.inner.registry
    }

    /// The service's series, all of which exist from now on (counters at zero, health 0, unit state `unknown`).
    ///
    /// Asking again gives the same handle; labels, sync check and dependencies follow the newest spec.
    pub fn service(&self, spec: &ServiceSpec) -> Arc<ServiceMetrics> {
        {
            let services = self.inner.services.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(entry) = services.get(&spec.name)
                && entry.describes(spec)
            {
                return Arc::clone(&entry.metrics);
            }
        }
        let mut services = self.inner.services.write().unwrap_or_else(PoisonError::into_inner);
        let previous = services.remove(&spec.name);
        let entry = Entry::new(spec, previous);
        let metrics = Arc::clone(&entry.metrics);
        services.insert(spec.name.clone(), entry);
        metrics
    }

    /// The service's series, and those of all alerts that the policy can raise for it.
    pub fn service_with_alerts(&self, spec: &ServiceSpec, policy: &AlertPolicy) -> Arc<ServiceMetrics> {
        let service = self.service(spec);
        service.expect_alerts(AlertFold::new(policy, spec).possible(policy));
        service
    }

    /// Takes a service's series off the page. Handles that are still held become harmless.
    pub fn forget_service(&self, name: &str) {
        self.inner.services.write().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    /// Counts one wait for a dependency. Whether it could be: `false` when [`Metrics::service`] was never asked for this
    /// service with this dependency.
    pub fn dependency_wait(&self, service: &str, dependency: &str, waited: Duration, timed_out: bool) -> bool {
        let services = self.inner.services.read().unwrap_or_else(PoisonError::into_inner);
        services.get(service).is_some_and(|entry| entry.record_wait(dependency, waited, timed_out))
    }

    /// The series of one workflow type.
    pub fn workflow(&self, name: &str) -> Arc<WorkflowMetrics> {
        self.inner.workflows.get(name, WorkflowVecs::handle)
    }

    /// The series of one activity type.
    pub fn activity(&self, name: &str) -> Arc<ActivityMetrics> {
        self.inner.activities.get(name, ActivityVecs::handle)
    }

    /// The series of alerts.
    pub fn alerts(&self) -> Arc<AlertMetrics> {
        Arc::clone(&self.inner.alerts)
    }

    /// How often alerts about dixmgr itself fired.
    pub(crate) fn own_alerts(&self) -> &Fired {
        &self.inner.own_alerts
    }

    /// The series of the watch itself.
    pub fn watching(&self) -> Arc<WatchMetrics> {
        Arc::clone(&self.inner.watching)
    }

    /// The series of circuit breakers.
    pub fn breakers(&self) -> Arc<BreakerMetrics> {
        Arc::clone(&self.inner.breakers)
    }

    /// What the SDK counts its own with: `temporal_…`, on the same page.
    pub fn sdk_meter(&self) -> Arc<dyn CoreMeter> {
        Arc::new(SdkMeter(self.inner.sdk.clone()))
    }

    /// Says once when counting began, in time since the epoch: what OpenMetrics calls the creation of every counter.
    pub fn began(&self, now: Duration) {
        let _ = self.inner.created.set(now.as_secs_f64());
    }

    /// Shows from now on how full the file system of this directory is. The first directory stays.
    pub fn watch_disk(&self, data_dir: PathBuf) {
        let _ = self.inner.data_dir.set(data_dir);
    }

    /// Notes that the configuration was loaded, at `now` since the epoch.
    pub fn config_loaded(&self, now: Duration) {
        self.inner.reload_successful.set(1.0);
        self.inner.reload_timestamp.set(now.as_secs_f64());
    }

    /// Notes that a new configuration was refused; the one before it stays.
    pub fn config_refused(&self) {
        self.inner.reload_successful.set(0.0);
    }

    /// The whole page, in Prometheus' text format 0.0.4.
    ///
    /// # Errors
    /// Something that was registered from outside cannot be written.
    pub fn encode(&self) -> Result<String, MetricsError> {
        self.page(Format::Text)
    }

    /// The whole page.
    ///
    /// # Errors
    /// Something that was registered from outside cannot be written.
    pub fn page(&self, format: Format) -> Result<String, MetricsError> {
        Ok(self.pieces(format)?.collect())
    }

    /// The page in pieces, each written when it is asked for. What can go wrong has by the time that they are there.
    ///
    /// # Errors
    /// Something that was registered from outside cannot be written.
    pub fn pieces(&self, format: Format) -> Result<Pieces, MetricsError> {
        Pieces::new(self, format)
    }
}

impl<V, H> Named<V, H> {
    fn new(vecs: V) -> Self {
        Self { vecs, handles: RwLock::default() }
    }

    fn get(&self, name: &str, make: fn(&V, &str) -> H) -> Arc<H> {
        let found = self.handles.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        if let Some(handle) = found {
            return handle;
        }
        let mut handles = self.handles.write().unwrap_or_else(PoisonError::into_inner);
        let name = if handles.len() < MAX_NAMES || handles.contains_key(name) { name } else { OTHER };
        let handle =
            handles.entry(name.to_owned()).or_insert_with(|| Arc::new(make(&self.vecs, &label::bounded(name))));
        Arc::clone(handle)
    }
}

pub(crate) fn register<C: Collector + Clone + 'static>(registry: &Registry, collector: &C) -> Result<(), MetricsError> {
    Ok(registry.register(Box::new(collector.clone()))?)
}

#[cfg(test)]
mod tests;
