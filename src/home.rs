//! Where durability lives: the embedded engine in this process, or a Temporal cluster. The only place that knows which.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dixmgr_activities::metrics::Metrics;
use dixmgr_engine::wire::Listener;
use dixmgr_engine::{Engine, EngineMetrics, EngineOptions, store};
use temporalio_client::tonic::{Code, IntoRequest};
use temporalio_client::{Client, ClientOptions, Connection, ConnectionOptions, RegisterNamespaceOptions, RetryOptions};
use temporalio_common::protos::temporal::api::workflowservice::v1::{
    DescribeNamespaceRequest, RegisterNamespaceRequest,
};
use temporalio_common::telemetry::TaskQueueLabelStrategy;
use temporalio_common::telemetry::metrics::{NewAttributes, TemporalMeter};
use url::Url;

use crate::config::Synchronous;
use crate::error::RunError;
use crate::settings::Settings;

/// First wait between two attempts to reach a cluster; doubled up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// Longest absence of a cluster that requests under way live through.
const OUTAGE: Duration = Duration::from_mins(30);
/// Longest time for one attempt.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Memory for pages of the embedded engine's database: what rests is read back from the system's own cache when it is wanted.
const PAGE_CACHE: u64 = 2 << 20;

/// Longest time that others' requests under way get when the engine closes.
const LAST_REQUESTS: Duration = Duration::from_millis(300);

/// How long the embedded engine keeps histories of workflows that have ended.
const RETENTION: Duration = Duration::from_hours(3 * 24);

/// Name of the embedded engine's database in the data directory.
pub(crate) const EXEC_DATABASE: &str = "engine.db";
/// The same of a dry run, which has one of its own.
pub(crate) const WATCH_DATABASE: &str = "watch.db";

/// Where durability lives.
pub(crate) enum Home {
    /// In this process; the engine closes when this is dropped or shut down.
    Embedded(Engine, Option<Listener>),
    /// At `host:port`; the SDK counts requests there. (The embedded engine counts its own.)
    Cluster(String, TemporalMeter),
}

impl Home {
    /// Opens the engine, or notes where the cluster is.
    pub(crate) async fn open(settings: &Settings, data_dir: &Path, metrics: &Metrics) -> Result<Self, RunError> {
        let Some(host) = &settings.temporal_host else {
            let metrics = engine_metrics(metrics)?;
            let engine = open_engine(data_dir.join(settings.database()), settings.synchronous, metrics)?;
            let listener = match &settings.listen {
                Some(listen) => Some(engine.listen(listen.options()?).await?),
                None => None,
            };
            return Ok(Self::Embedded(engine, listener));
        };
        if settings.listen.is_some() {
            tracing::warn!("[engine] listen is not used: workflows live on the Temporal cluster at {host}");
        }
        let meter =
            TemporalMeter::new(metrics.sdk_meter(), NewAttributes::default(), TaskQueueLabelStrategy::UseNormal);
        Ok(Self::Cluster(host.clone(), meter))
    }

    /// Where others reach the embedded engine.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Embedded(_, listener) => listener.as_ref().map(Listener::address),
            Self::Cluster(..) => None,
        }
    }

    /// The embedded engine, where it is ours.
    pub(crate) fn engine(&self) -> Option<Engine> {
        match self {
            Self::Embedded(engine, _) => Some(engine.clone()),
            Self::Cluster(..) => None,
        }
    }

    /// In words, for the log.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Embedded(..) => "the embedded engine".to_owned(),
            Self::Cluster(host, _) => format!("the Temporal cluster at {host}"),
        }
    }

    pub(crate) fn is_cluster(&self) -> bool {
        matches!(self, Self::Cluster(..))
    }

    /// Closes the engine: what was promised is on disk already, so nothing waits here.
    pub(crate) async fn close(self) {
        if let Self::Embedded(engine, listener) = self {
            if let Some(listener) = listener {
                listener.close(LAST_REQUESTS).await;
            }
            engine.shutdown().await;
        }
    }

    /// A client of this home. Waits for a cluster that is away, for as long as it takes.
    pub(crate) async fn connect(&self, namespace: &str, identity: &str) -> Result<Client, RunError> {
        let mut wait = FIRST_WAIT;
        loop {
            let error = match self.attempt(namespace, identity).await {
                Ok(client) => return Ok(client),
                Err(Attempt::Hopeless(error)) => return Err(error),
                Err(Attempt::Later(detail)) => detail,
            };
            let retry_in = dixmgr_model::duration::format(wait);
            tracing::warn!(home = %self.name(), %error, retry_in, "not reachable; trying again: {error}");
            crate::notify::status(&format!("waiting for {}", self.name()));
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    async fn attempt(&self, namespace: &str, identity: &str) -> Result<Client, Attempt> {
        let options = self.connection_options(identity).map_err(Attempt::Hopeless)?;
        let refused = |detail: String| match self {
            Self::Embedded(..) => Attempt::Hopeless(RunError::Temporal { what: self.name(), detail }),
            Self::Cluster(..) => Attempt::Later(detail),
        };
        let connection = Connection::connect(options).await.map_err(|error| refused(error.to_string()))?;
        let client = Client::new(connection, ClientOptions::new(namespace).build())
            .map_err(|error| refused(error.to_string()))?;
        if let Self::Embedded(..) = self {
            make_namespace(&client).await.map_err(refused)?;
        }
        ping(&client).await.map_err(refused)?;
        Ok(client)
    }

    fn connection_options(&self, identity: &str) -> Result<ConnectionOptions, RunError> {
        let unusable = |detail: String| RunError::Temporal { what: self.name(), detail };
        let (target, service, meter) = match self {
            Self::Embedded(engine, _) => ("http://embedded.invalid".to_owned(), Some(engine.grpc_service()), None),
            Self::Cluster(host, meter) if host.contains("://") => (host.clone(), None, Some(meter.clone())),
            Self::Cluster(host, meter) => (format!("http://{host}"), None, Some(meter.clone())),
        };
        let target = Url::parse(&target)
            .map_err(|error| unusable(format!("{error}; write -temporal-host like \"localhost:7233\"")))?;
        Ok(ConnectionOptions::new(target)
            .identity(identity)
            .maybe_service_override(service)
            .maybe_metrics_meter(meter)
            .dns_load_balancing(None)
            .connect_timeout(CONNECT_TIMEOUT)
            .retry_options(patient())
            .build())
    }
}

/// A worker's answers are worth keeping for as long as a cluster may be away: what a watch has seen is lost with them.
fn patient() -> RetryOptions {
    let mut options = RetryOptions::default();
    options.max_elapsed_time = Some(OUTAGE);
    options.max_retries = usize::MAX;
    options
}

/// How one attempt to connect failed.
enum Attempt {
    /// Waiting does not help.
    Hopeless(RunError),
    /// It may work later, for this reason not now.
    Later(String),
}

/// The embedded engine has no operator who would make a namespace beforehand.
async fn make_namespace(client: &Client) -> Result<(), String> {
    let options = RegisterNamespaceOptions::builder()
        .namespace(client.options().namespace.clone())
        .description("made by dixmgr")
        .workflow_execution_retention_period(RETENTION)
        .build();
    let request = RegisterNamespaceRequest::from(options).into_request();
    match client.connection().workflow_service().register_namespace(request).await {
        Ok(_) => Ok(()),
        Err(status) if status.code() == Code::AlreadyExists => Ok(()),
        Err(status) => Err(format!("{}: {}", status.code(), status.message())),
    }
}

/// Opens the embedded engine's file, the same way for whoever does.
pub(crate) fn open_engine(file: PathBuf, synchronous: Synchronous, metrics: EngineMetrics) -> Result<Engine, RunError> {
    let options = engine_options(Some(file), synchronous, metrics);
    Engine::open(options).map_err(|error| RunError::Engine(error.to_string()))
}

/// How an engine is opened, in `file` or in memory.
pub(crate) fn engine_options(file: Option<PathBuf>, synchronous: Synchronous, metrics: EngineMetrics) -> EngineOptions {
    let mut options = file.map_or_else(EngineOptions::in_memory, EngineOptions::new);
    options.store.synchronous = match synchronous {
        Synchronous::Full => store::Synchronous::Full,
        Synchronous::Normal => store::Synchronous::Normal,
        Synchronous::Off => store::Synchronous::Off,
    };
    options.store.cache_bytes = PAGE_CACHE;
    options.metrics = metrics;
    options
}

/// The engine's series, on the page of `metrics`.
pub(crate) fn engine_metrics(metrics: &Metrics) -> Result<EngineMetrics, RunError> {
    EngineMetrics::register(metrics.namespace(), metrics.registry())
        .map_err(|error| RunError::Setup { what: "the engine's metrics", detail: error.to_string() })
}

/// Asks for the namespace: whether the service answers, and whether we can work there.
pub(crate) async fn ping(client: &Client) -> Result<(), String> {
    let namespace = client.options().namespace.clone();
    let request = DescribeNamespaceRequest { namespace: namespace.clone(), ..DescribeNamespaceRequest::default() };
    match client.connection().workflow_service().describe_namespace(request.into_request()).await {
        Ok(_) => Ok(()),
        Err(status) if status.code() == Code::NotFound => Err(format!(
            "the namespace {namespace:?} does not exist; make it with \
             `temporal operator namespace create --namespace {namespace}`, or name another with -temporal-namespace"
        )),
        Err(status) => Err(format!("{}: {}", status.code(), status.message())),
    }
}

/// Who we are to a cluster: `dixmgr@<host>:<pid>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    host: String,
    pid: u32,
}

impl Identity {
    /// Ours.
    pub(crate) fn own() -> Self {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Self { host, pid: std::process::id() }
    }

    /// The process id of another dixmgr on this host, when that is what `identity` names.
    pub(crate) fn sibling(&self, identity: &str) -> Option<u32> {
        identity.strip_prefix("dixmgr@")?.strip_prefix(self.host.as_str())?.strip_prefix(':')?.parse().ok()
    }

    /// Our own process id.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }
}

impl std::fmt::Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "dixmgr@{}:{}", self.host, self.pid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn siblings_are_dixmgrs_of_the_same_host() {
        let identity = Identity { host: "node-1".to_owned(), pid: 7 };
        assert_eq!(identity.to_string(), "dixmgr@node-1:7");
        assert_eq!(identity.sibling("dixmgr@node-1:42"), Some(42));
        for other in ["dixmgr@node-10:42", "dixmgr@node-2:42", "42@node-1", "dixmgr@node-1:", "dixmgr@node-1:x", ""] {
            assert_eq!(identity.sibling(other), None, "{other}");
        }
    }
}
