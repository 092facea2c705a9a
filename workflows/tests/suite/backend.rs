//! Where the suite runs: the engine in this process, or a real Temporal server.

use std::time::Duration;

use dixmgr_engine::{Engine, EngineOptions};
use dixmgr_testkit::TemporalServer;
use tempfile::TempDir;
use temporalio_client::{Client, ClientOptions, Connection, ConnectionOptions, RetryOptions, Url};

/// A home for workflows; dropping it ends it.
pub enum Backend {
    /// The embedded engine, and the directory of its file.
    Engine { engine: Engine, _directory: TempDir },
    /// A server.
    Server(TemporalServer),
}

impl Backend {
    pub fn engine() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let engine = Engine::open(EngineOptions::new(directory.path().join("engine.db"))).expect("an engine");
        Self::Engine { engine, _directory: directory }
    }

    /// `None` when this machine has no Temporal server.
    pub fn server() -> Option<Self> {
        TemporalServer::start().map(Self::Server)
    }

    pub async fn client(&self) -> Client {
        match self {
            Self::Engine { engine, .. } => {
                let options = ConnectionOptions::new(url("http://engine.invalid"))
                    .service_override(engine.grpc_service())
                    .dns_load_balancing(None)
                    .build();
                connect(options).await
            }
            Self::Server(server) => connect(ConnectionOptions::new(url(&server.url())).build()).await,
        }
    }
}

/// A client that holds on for as long as a server may take to come back.
pub async fn patient_client(server: &TemporalServer) -> Client {
    let mut retries = RetryOptions::default();
    retries.max_elapsed_time = Some(Duration::from_secs(300));
    retries.max_retries = 1_000;
    retries.max_interval = Duration::from_secs(1);
    connect(ConnectionOptions::new(url(&server.url())).retry_options(retries).build()).await
}

async fn connect(options: ConnectionOptions) -> Client {
    let connection = Connection::connect(options).await.expect("a connection");
    Client::new(connection, ClientOptions::new(dixmgr_testkit::temporal::NAMESPACE).build()).expect("a client")
}

fn url(text: &str) -> Url {
    text.parse().expect("a URL")
}
