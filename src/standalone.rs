//! `dixmgr engine`: the durable engine alone, for workers and clients of any Temporal SDK, with nothing to watch.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::Synchronous;
use crate::data_dir::DataDir;
use crate::error::RunError;
use crate::home::{EXEC_DATABASE, open_engine};
use crate::listen::ListenSettings;
use crate::notify;
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
}

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// What kept it from starting.
pub async fn serve(settings: EngineSettings) -> Result<(), RunError> {
    let mut signals = Signals::listen()?;
    let options = settings.listen.options()?;
    let data = DataDir::open(settings.data_dir.as_deref())?;
    let engine = open_engine(data.path().join(EXEC_DATABASE), settings.synchronous)?;
    let (tls, api_key) = (options.tls.is_some(), options.api_key.is_some());
    let listener = engine.listen(options).await?;
    let address = listener.address();
    tracing::info!(%address, tls, api_key, version = env!("CARGO_PKG_VERSION"), "the engine serves Temporal's API");
    notify::ready(&format!("serving on {address}"));
    let watchdog = tokio::spawn(notify::watchdog());
    let signal = signals.stop().await;
    tracing::info!(signal, "stopping");
    notify::stopping();
    watchdog.abort();
    listener.close(DRAIN).await;
    engine.shutdown().await;
    tracing::info!("stopped");
    Ok(())
}
