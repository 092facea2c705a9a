//! Serving: the durable engine alone, for workers and clients of any Temporal SDK, with nothing to watch.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dixmgr_activities::metrics::Metrics;
use tokio::task::JoinSet;

use crate::config::Synchronous;
use crate::control;
use crate::data_dir::DataDir;
use crate::error::RunError;
use crate::home::{EXEC_DATABASE, engine_metrics, open_engine};
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
}

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// What kept it from starting.
pub(super) async fn serve(settings: EngineSettings) -> Result<(), RunError> {
    let mut signals = Signals::listen()?;
    let options = settings.listen.options()?;
    let data = DataDir::open(settings.data_dir.as_deref())?;
    let pages_listener = match settings.metrics {
        Some(address) => Some(http::bind(address).await?),
        None => None,
    };
    let metrics = Metrics::new(METRICS_NAMESPACE)
        .map_err(|error| RunError::Setup { what: "metrics", detail: error.to_string() })?;
    metrics.config_loaded(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default());
    let engine = open_engine(data.path().join(EXEC_DATABASE), settings.synchronous, engine_metrics(&metrics)?)?;
    let (tls, api_key) = (options.tls.is_some(), options.api_key.is_some());
    let listener = engine.listen(options).await?;
    let address = listener.address();
    tracing::info!(%address, tls, api_key, version = env!("CARGO_PKG_VERSION"), "the engine serves Temporal's API");
    notify::ready(&format!("serving on {address}"));
    let mut tasks = JoinSet::new();
    tasks.spawn(notify::watchdog());
    tasks.spawn(control::serve(data.path().to_owned(), engine.clone()));
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
