//! Durable execution on one machine: Temporal's `WorkflowService` on SQLite.
//!
//! Official Temporal SDKs talk to it as to a server: in the same process without a socket ([`Engine::grpc_service`]), or from
//! anywhere over gRPC ([`Engine::listen`]). It knows workflows, activities, timers, signals and updates; it knows nothing of
//! what they are for.
//!
//! From the ground up: [`store`] (SQLite, one commit for many transitions), `history` (one execution as a state machine),
//! `matching` (task queues), `timers`, `cron`, [`visibility`] (the list filter), `core` (the one thread that owns it all),
//! `service` (one handler per method) and [`wire`] (the network).

pub mod clock;
mod core;
mod cron;
mod deployment;
#[cfg(any(test, feature = "fuzzing"))]
#[allow(clippy::expect_used, reason = "a fuzzer wants to hear of it")]
pub mod fuzzing;
pub mod history;
pub mod inspect;
mod matching;
mod metrics;
mod outlook;
mod schedule;
mod service;
mod standalone;
pub mod store;
mod timers;
pub mod visibility;
pub mod wire;
mod workers;

use std::{path::PathBuf, sync::Arc};

use temporalio_client::callback_based::{CallbackBasedGrpcService, GrpcRequest, GrpcSuccessResponse};

pub use crate::metrics::EngineMetrics;
pub use crate::outlook::{Outlook, RunningActivity};

use crate::{
    clock::{Clock, SystemClock},
    core::{Core, CoreHandle},
    service::{Caller, Service},
    store::{Store, StoreError, StoreOptions},
};

/// How an engine is opened.
pub struct EngineOptions {
    /// The database file, created when there is none; `None` keeps everything in memory, for as long as the engine runs.
    pub path: Option<PathBuf>,
    /// How the store behaves.
    pub store: StoreOptions,
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where the engine records what it does.
    pub metrics: EngineMetrics,
}

impl EngineOptions {
    /// The usual options for a database file.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: Some(path.into()), ..Self::in_memory() }
    }

    /// Options for an engine that keeps nothing when it ends.
    pub fn in_memory() -> Self {
        Self {
            path: None,
            store: StoreOptions::default(),
            clock: Arc::new(SystemClock::default()),
            metrics: EngineMetrics::default(),
        }
    }
}

impl Default for EngineOptions {
    /// `engine.db` in the working directory.
    fn default() -> Self {
        Self::new("engine.db")
    }
}

impl std::fmt::Debug for EngineOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EngineOptions").field("path", &self.path).field("store", &self.store).finish_non_exhaustive()
    }
}

/// Why an engine cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The store refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file is sound, and what it says is not.
    #[error(
        "the engine's store holds something unreadable ({0}); restore it from a backup, or move it away to start with an empty one"
    )]
    Damaged(String),
    /// The operating system gives no thread.
    #[error("cannot start the engine's thread: {0}")]
    Thread(String),
}

/// A running engine.
#[derive(Clone)]
pub struct Engine {
    core: CoreHandle,
    service: Arc<Service>,
    remote: Arc<Service>,
    metrics: EngineMetrics,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

impl Engine {
    /// Opens the store and goes on where it was.
    ///
    /// # Errors
    /// The store is locked, damaged, newer than this release, or cannot be read.
    pub fn open(options: EngineOptions) -> Result<Self, EngineError> {
        let (path, store) = (options.path, options.store);
        let open = move || match &path {
            Some(path) => Store::open(path, &store),
            None => Store::open_in_memory(&store),
        };
        let core = Core::spawn(open, options.clock, options.metrics.clone())?;
        let service = |in_process| Arc::new(Service::new(core.clone(), Caller { in_process }, options.metrics.clone()));
        let (service, remote) = (service(true), service(false));
        Ok(Self { core, service, remote, metrics: options.metrics })
    }

    /// The service for SDK clients and workers of this process (`ConnectionOptions::service_override`).
    pub fn grpc_service(&self) -> CallbackBasedGrpcService {
        let service = Arc::clone(&self.service);
        CallbackBasedGrpcService {
            callback: Arc::new(move |request: GrpcRequest| {
                let service = Arc::clone(&service);
                Box::pin(async move {
                    let proto = service.handle(&request).await?;
                    Ok(GrpcSuccessResponse { headers: http::HeaderMap::new(), proto })
                })
            }),
        }
    }

    /// The service for callers that reach it over the network.
    fn remote_service(&self) -> Arc<Service> {
        Arc::clone(&self.remote)
    }

    /// What is under way, once everything that was asked before is durable. For tests and tools that move a virtual clock.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED` when too many requests wait, `UNAVAILABLE` after shutdown.
    pub async fn outlook(&self) -> Result<Outlook, tonic::Status> {
        self.core.call(|core, reply| core.reply_with(reply, |core| Ok(core.outlook()))).await
    }

    /// Gives up the lock on time skipping that an engine with a [`clock::SkippingClock`] starts with, as a client would.
    ///
    /// # Errors
    /// `UNIMPLEMENTED` for an engine with another clock; else as [`Engine::outlook`].
    pub async fn unlock_time_skipping(&self) -> Result<(), tonic::Status> {
        self.service.change_skipping(Core::unlock_time_skipping).await
    }

    /// Brings the gauges of [`EngineMetrics`] up to date.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED` when too many requests wait, `UNAVAILABLE` after shutdown.
    pub async fn measure(&self) -> Result<(), tonic::Status> {
        self.core.measure().await
    }

    /// Commits since the engine was opened, and the seconds that they took together. Nothing when nobody counts.
    #[must_use]
    pub fn commits(&self) -> (u64, f64) {
        self.metrics.commits()
    }

    /// Copies the store to a new file at `to`, while work goes on. The copy is the store as it was at the end. Answers its bytes.
    ///
    /// # Errors
    /// `ALREADY_EXISTS` while another backup is under way; `RESOURCE_EXHAUSTED` when there is no room for it; `UNAVAILABLE` when
    /// it cannot be written, or after shutdown.
    pub async fn backup(&self, to: PathBuf) -> Result<u64, tonic::Status> {
        self.core.backup(to).await
    }

    /// Stops the engine once what it has accepted is durable. Requests after that are refused.
    pub async fn shutdown(&self) {
        self.core.stop().await;
    }
}
