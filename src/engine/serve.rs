//! Serving: the durable engine alone, for workers and clients of any Temporal SDK, with nothing to watch.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dixmgr_activities::metrics::Metrics;
use dixmgr_engine::clock::SkippingClock;
use dixmgr_engine::{Engine, EngineMetrics};
use tokio::task::JoinSet;

use crate::config::Synchronous;
use crate::control;
use crate::data_dir::DataDir;
use crate::error::RunError;
use crate::heap;
use crate::home::{EXEC_DATABASE, engine_metrics, engine_options};
use crate::http::{self, Pages};
use crate::listen::ListenSettings;
use crate::notify;
use crate::settings::METRICS_NAMESPACE;
use crate::signals::Signals;

/// Longest time that requests under way get when the engine stops. Workers' polls are not waited for longer: they come back.
const DRAIN: Duration = Duration::from_millis(500);

/// How the engine runs alone.
#[derive(Debug, Clone)]
pub struct EngineSettings {
    /// The data directory that was asked for; the default rule decides when absent.
    pub data_dir: Option<PathBuf>,
    /// How it writes.
    pub synchronous: Synchronous,
    /// Where it is reached.
    pub listen: ListenSettings,
    /// Where `/metrics` and `/healthz` are served; not at all when absent.
    pub metrics: Option<SocketAddr>,
    /// Whether time is skipped, for tests of workflows.
    pub time_skipping: Option<TimeSkipping>,
}

/// How an engine begins that skips time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum TimeSkipping {
    /// With one lock, which the client of a test gives up while it waits for a result.
    Locked,
    /// With none.
    Unlocked,
}

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// What kept it from starting.
pub(super) async fn serve(settings: EngineSettings) -> Result<(), RunError> {
    let mut signals = Signals::listen()?;
    let listen = settings.listen.listen;
    if settings.time_skipping.is_some() && !listen.ip().is_loopback() {
        return Err(RunError::SkippingExposed { listen });
    }
    let options = settings.listen.options()?;
    let data = data_dir(&settings)?;
    let pages_listener = match settings.metrics {
        Some(address) => Some(http::bind(address).await?),
        None => None,
    };
    let metrics = Metrics::new(METRICS_NAMESPACE)
        .map_err(|error| RunError::Setup { what: "metrics", detail: error.to_string() })?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    metrics.began(now);
    metrics.config_loaded(now);
    if let Some(data) = &data {
        metrics.watch_disk(data.path().to_owned());
    }
    let engine = open(&settings, data.as_ref(), engine_metrics(&metrics)?).await?;
    let (tls, api_key) = (options.tls.is_some(), options.api_key.is_some());
    let listener = engine.listen(options).await?;
    let address = listener.address();
    tracing::info!(%address, tls, api_key, version = env!("CARGO_PKG_VERSION"), "the engine serves Temporal's API");
    notify::ready(&format!("serving on {address}"));
    let mut tasks = JoinSet::new();
    tasks.spawn(notify::watchdog());
    tasks.spawn(heap::keep_small());
    if let Some(data) = &data {
        tasks.spawn(control::serve(data.path().to_owned(), engine.clone()));
    }
    if let Some(listener) = pages_listener {
        tasks.spawn(http::serve_engine(listener, Pages { metrics, engine: Some(engine.clone()) }));
    }
    let signal = signals.stop().await;
    tracing::info!(signal, "stopping");
    notify::stopping();
    tasks.abort_all();
    listener.close(DRAIN).await;
    engine.shutdown().await;
    tracing::info!("stopped");
    Ok(())
}

/// The data directory; none where time is skipped and none was asked for.
fn data_dir(settings: &EngineSettings) -> Result<Option<DataDir>, RunError> {
    if settings.time_skipping.is_some() && settings.data_dir.is_none() {
        return Ok(None);
    }
    DataDir::open(settings.data_dir.as_deref()).map(Some)
}

async fn open(settings: &EngineSettings, data: Option<&DataDir>, metrics: EngineMetrics) -> Result<Engine, RunError> {
    let mut options = engine_options(data.map(|data| data.path().join(EXEC_DATABASE)), settings.synchronous, metrics);
    if settings.time_skipping.is_some() {
        options.clock = Arc::new(SkippingClock::default());
    }
    let failed = |detail: String| RunError::Engine(detail);
    let engine = Engine::open(options).map_err(|error| failed(error.to_string()))?;
    if settings.time_skipping == Some(TimeSkipping::Unlocked) {
        engine.unlock_time_skipping().await.map_err(|status| failed(status.message().to_owned()))?;
    }
    Ok(engine)
}
