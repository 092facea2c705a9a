//! The two homes of the suite: the engine in this process, and a real Temporal server.

use std::{thread, time::Duration};

use dixmgr_engine::{Engine, EngineOptions};
use dixmgr_testkit::TemporalServer;
use tempfile::TempDir;
use temporalio_client::{Client, ClientOptions, Connection, ConnectionOptions};
use temporalio_sdk::{Runtime, Worker, WorkerOptions, runtime::RuntimeOptions};
use url::Url;

/// Namespace of the suite, present in both.
pub(crate) const NAMESPACE: &str = "dotidx";

/// Where the suite runs.
pub(crate) enum Backend {
    /// The embedded engine; the directory holds its file.
    Engine(Engine, #[allow(dead_code, reason = "kept for as long as the engine")] TempDir),
    /// A server.
    Server(TemporalServer),
}

impl Backend {
    pub(crate) fn engine() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let engine = Engine::open(EngineOptions::new(directory.path().join("engine.db"))).expect("an engine");
        Self::Engine(engine, directory)
    }

    pub(crate) fn server() -> Option<Self> {
        TemporalServer::start().map(Self::Server)
    }

    pub(crate) async fn client(&self) -> Client {
        let url = |text: &str| Url::parse(text).expect("a url");
        let options = match self {
            Self::Engine(engine, _) => ConnectionOptions::new(url("http://engine.invalid"))
                .service_override(engine.grpc_service())
                .dns_load_balancing(None)
                .identity("suite".to_owned())
                .build(),
            Self::Server(server) => ConnectionOptions::new(url(&server.url())).identity("suite".to_owned()).build(),
        };
        let connection = Connection::connect(options).await.expect("a connection");
        Client::new(connection, ClientOptions::new(NAMESPACE).build()).expect("a client")
    }
}

/// A worker on a thread of its own; dropping it shuts it down.
pub(crate) struct Running {
    stop: Option<Box<dyn FnOnce() + Send>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Running {
    pub(crate) fn start(client: Client, options: WorkerOptions) -> Self {
        let (handles, handle) = std::sync::mpsc::channel();
        let thread = thread::spawn(move || {
            let tokio =
                tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
            tokio.block_on(async {
                let runtime = Runtime::from_current_tokio(
                    RuntimeOptions::builder().heartbeat_interval(None).build().expect("options"),
                )
                .expect("an SDK runtime");
                let mut worker = Worker::new(&runtime, client, options).expect("a worker");
                let shutdown: Box<dyn FnOnce() + Send> = Box::new(worker.shutdown_handle());
                handles.send(shutdown).expect("the test waits");
                worker.run().await.expect("the worker runs");
            });
            tokio.shutdown_timeout(Duration::from_secs(1));
        });
        let stop = handle.recv_timeout(Duration::from_secs(30)).expect("the worker starts");
        Self { stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            stop();
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
