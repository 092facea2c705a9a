//! Where raw requests go: an engine in this process on a clock that the test moves, or a Temporal server. Both answer the
//! same methods, so a scenario can be had from both.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use dixmgr_engine::{
    Engine, EngineOptions,
    clock::{SkippingClock, Timestamp, VirtualClock},
    store::StoreOptions,
};
use dixmgr_testkit::TemporalServer;
use prost::Message;
use tempfile::TempDir;
use temporalio_client::callback_based::GrpcRequest;
use temporalio_common::protos::temporal::api::workflowservice::v1::{
    DescribeNamespaceRequest, DescribeNamespaceResponse,
};
use tonic::{
    Status,
    client::Grpc,
    codegen::http::uri::PathAndQuery,
    transport::{Channel, Endpoint},
};
use tonic_prost::ProstCodec;

/// Namespace of all requests, present in both homes.
pub(crate) const NAMESPACE: &str = "dotidx";
const SERVICE: &str = "temporal.api.workflowservice.v1.WorkflowService";
const OPERATOR_SERVICE: &str = "temporal.api.operatorservice.v1.OperatorService";
const TEST_SERVICE: &str = "temporal.api.testservice.v1.TestService";
/// When the virtual clock starts.
const EPOCH: Timestamp = Timestamp::from_secs(1_700_000_000);

/// A home of workflows.
pub(crate) enum Home {
    Engine(Embedded),
    Server { channel: Channel, _server: TemporalServer },
}

/// An engine with its files.
pub(crate) struct Embedded {
    directory: TempDir,
    file: PathBuf,
    lives: u32,
    store: StoreOptions,
    clock: VirtualClock,
    engine: Engine,
}

impl Home {
    /// An engine with an empty file.
    pub(crate) fn engine() -> Self {
        Self::engine_with(StoreOptions::default())
    }

    /// An engine with an empty file, opened with `store`.
    pub(crate) fn engine_with(store: StoreOptions) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("0.db");
        let clock = VirtualClock::new(EPOCH);
        let engine = open(&file, store, &clock);
        Self::Engine(Embedded { directory, file, lives: 1, store, clock, engine })
    }

    /// An engine that skips time, in memory. Its clock is not the test's to move.
    pub(crate) fn skipping() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options = EngineOptions { clock: Arc::new(SkippingClock::default()), ..EngineOptions::in_memory() };
        let (file, store, clock) = (directory.path().join("none.db"), options.store, VirtualClock::new(EPOCH));
        Self::Engine(Embedded { directory, file, lives: 1, store, clock, engine: Engine::open(options).unwrap() })
    }

    /// A server, where this machine has one.
    pub(crate) async fn server() -> Option<Self> {
        let server = tokio::task::spawn_blocking(TemporalServer::start).await.unwrap()?;
        let channel = Endpoint::from_shared(server.url()).unwrap().connect().await.unwrap();
        Some(Self::Server { channel, _server: server })
    }

    /// Sends one request to the workflow service.
    pub(crate) async fn call<Q, A>(&self, method: &str, request: Q) -> Result<A, Status>
    where
        Q: Message + Send + Sync + 'static,
        A: Message + Default + Send + Sync + 'static,
    {
        self.call_service(SERVICE, method, request).await
    }

    /// Sends one request to the operators' service.
    pub(crate) async fn operate<Q, A>(&self, method: &str, request: Q) -> Result<A, Status>
    where
        Q: Message + Send + Sync + 'static,
        A: Message + Default + Send + Sync + 'static,
    {
        self.call_service(OPERATOR_SERVICE, method, request).await
    }

    /// Sends one request to the service of Temporal's test server.
    pub(crate) async fn test<Q, A>(&self, method: &str, request: Q) -> Result<A, Status>
    where
        Q: Message + Send + Sync + 'static,
        A: Message + Default + Send + Sync + 'static,
    {
        self.call_service(TEST_SERVICE, method, request).await
    }

    async fn call_service<Q, A>(&self, service: &str, method: &str, request: Q) -> Result<A, Status>
    where
        Q: Message + Send + Sync + 'static,
        A: Message + Default + Send + Sync + 'static,
    {
        match self {
            Self::Engine(embedded) => {
                let proto = embedded.raw(service, method, request.encode_to_vec()).await?;
                Ok(A::decode(proto.as_slice()).expect("an answer of that type"))
            }
            Self::Server { channel, .. } => {
                let mut grpc = Grpc::new(channel.clone());
                grpc.ready().await.expect("a channel");
                let path = PathAndQuery::try_from(format!("/{service}/{method}")).unwrap();
                let codec: ProstCodec<Q, A> = ProstCodec::default();
                let mut request = tonic::Request::new(request);
                request.set_timeout(Duration::from_mins(1));
                Ok(grpc.unary(request, path, codec).await?.into_inner())
            }
        }
    }

    /// Lets time go by, and what falls due happen.
    pub(crate) async fn pass(&self, time: Duration) {
        match self {
            Self::Engine(embedded) => {
                embedded.clock.advance(time);
                self.settle().await;
            }
            Self::Server { .. } => tokio::time::sleep(time).await,
        }
    }

    /// Waits until the engine has done what it was asked.
    pub(crate) async fn settle(&self) {
        let request = DescribeNamespaceRequest { namespace: NAMESPACE.into(), ..Default::default() };
        let _: DescribeNamespaceResponse = self.call("DescribeNamespace", request).await.unwrap();
    }

    /// The engine behind this home.
    pub(crate) fn embedded(&mut self) -> &mut Embedded {
        match self {
            Self::Engine(embedded) => embedded,
            Self::Server { .. } => panic!("not an engine"),
        }
    }

    /// The process dies without a word and comes back: see [`Embedded::crash`].
    pub(crate) async fn crash(&mut self) {
        self.embedded().crash().await;
    }
}

impl Embedded {
    /// Sends bytes as they are.
    pub(crate) async fn raw(&self, service: &str, method: &str, proto: Vec<u8>) -> Result<Vec<u8>, Status> {
        let request = GrpcRequest {
            service: service.to_owned(),
            rpc: method.to_owned(),
            headers: http::HeaderMap::new(),
            proto: proto.into(),
        };
        Ok((self.engine.grpc_service().callback)(request).await?.proto)
    }

    /// Takes the files as they are at this moment, as the kernel keeps them when a process is killed, and goes on with them
    /// in a new engine. The old one and its callers are gone.
    async fn crash(&mut self) {
        let file = self.directory.path().join(format!("{}.db", self.lives));
        self.lives += 1;
        fs::copy(&self.file, &file).unwrap();
        let log = |file: &Path| file.with_extension("db-wal");
        fs::copy(log(&self.file), log(&file)).unwrap();
        let old = std::mem::replace(&mut self.engine, open(&file, self.store, &self.clock));
        old.shutdown().await;
        self.file = file;
    }

    /// Lets time go by, and does not wait for what falls due.
    pub(crate) fn advance(&self, time: Duration) {
        self.clock.advance(time);
    }

    /// Stops in order, lets time go by, and opens the same file again.
    pub(crate) async fn sleep(&mut self, time: Duration) {
        self.engine.shutdown().await;
        self.clock.advance(time);
        self.engine = open(&self.file, self.store, &self.clock);
    }

    /// Stops in order and opens the same file again, with `store`.
    pub(crate) async fn reopen(&mut self, store: StoreOptions) {
        self.engine.shutdown().await;
        self.store = store;
        self.engine = open(&self.file, store, &self.clock);
    }

    /// Its file.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// The engine itself.
    pub(crate) fn handle(&self) -> &Engine {
        &self.engine
    }
}

fn open(path: &Path, store: StoreOptions, clock: &VirtualClock) -> Engine {
    Engine::open(EngineOptions { store, clock: Arc::new(clock.clone()), ..EngineOptions::new(path) }).unwrap()
}
