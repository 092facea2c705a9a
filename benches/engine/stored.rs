//! Stores with many executions: how soon they open, and whether an operation on them costs more than on an empty one.

use std::path::{Path, PathBuf};
use std::time::Instant;

use dixmgr_engine::{Engine, EngineOptions, store};
use futures_util::stream::{self, StreamExt};
use temporalio_client::grpc::WorkflowService;
use temporalio_client::tonic::IntoRequest;
use temporalio_client::{Client, ClientOptions, Connection, ConnectionOptions};
use temporalio_common::protos::temporal::api::common::v1::{WorkflowExecution, WorkflowType};
use temporalio_common::protos::temporal::api::taskqueue::v1::TaskQueue;
use temporalio_common::protos::temporal::api::workflowservice::v1::{
    StartWorkflowExecutionRequest, TerminateWorkflowExecutionRequest,
};
use url::Url;

use crate::load::Driver;
use crate::server::Server;
use crate::table::{Comparison, Table};

const NAMESPACE: &str = "default";
/// Requests under way at once while the store is filled: they share commits.
const AT_ONCE: usize = 400;
/// Closed executions for each that is open.
const CLOSED: usize = 10;
/// Workflows that tell what one costs.
const SAMPLE: usize = 1000;

/// Fills a store with `closed` closed executions and a tenth as many open ones, and measures the engine on it. `alone` is the CPU
/// that a workflow of one activity cost on a store with little else, in milliseconds.
pub(crate) fn measure(table: &mut Table, closed: usize, alone: f64) {
    let open = closed / CLOSED;
    println!("a store with {open} open and {closed} closed executions ...");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let store = directory.path().join("engine.db");
    fill(&store, open, closed);
    let began = Instant::now();
    let server = Server::engine_on(&store);
    let took = began.elapsed().as_secs_f64();
    table.add(Comparison::ours(&format!("opening {open} open, {closed} closed"), took, "s").under(3.0));
    let driver = Driver::start(&server);
    driver.throughput(SAMPLE / CLOSED, 50);
    let cost = driver.throughput(SAMPLE, 50).cpu;
    table.add(Comparison::ours("its CPU for each workflow, to an empty one's", cost / alone, "x"));
    let resident = server.usage().resident as f64 / 1e6;
    table.add(Comparison::ours("its memory", resident, "MB"));
}

/// Starts executions that nobody works on, and ends most of them.
fn fill(path: &Path, open: usize, closed: usize) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let engine = Engine::open(options(path.to_owned())).expect("an engine");
        let client = connect(&engine).await;
        for (count, ends) in [(closed, true), (open, false)] {
            let each = stream::iter(0..count).map(|index| one(&client, format!("{ends}-{index}"), ends));
            each.buffer_unordered(AT_ONCE).for_each(async |()| {}).await;
        }
        drop(client);
        engine.shutdown().await;
    });
}

/// Filling need not outlive a power cut.
fn options(path: PathBuf) -> EngineOptions {
    let mut options = EngineOptions::new(path);
    options.store.synchronous = store::Synchronous::Normal;
    options
}

async fn one(client: &Client, workflow_id: String, ends: bool) {
    let start = StartWorkflowExecutionRequest {
        namespace: NAMESPACE.to_owned(),
        workflow_id: workflow_id.clone(),
        workflow_type: Some(WorkflowType { name: "Stored".to_owned() }),
        task_queue: Some(TaskQueue { name: "nobody".to_owned(), ..Default::default() }),
        request_id: workflow_id.clone(),
        ..Default::default()
    };
    client.clone().start_workflow_execution(start.into_request()).await.expect("a start");
    if ends {
        let end = TerminateWorkflowExecutionRequest {
            namespace: NAMESPACE.to_owned(),
            workflow_execution: Some(WorkflowExecution { workflow_id, ..Default::default() }),
            ..Default::default()
        };
        client.clone().terminate_workflow_execution(end.into_request()).await.expect("an end");
    }
}

async fn connect(engine: &Engine) -> Client {
    let options = ConnectionOptions::new(Url::parse("http://engine.invalid").expect("an address"))
        .service_override(engine.grpc_service())
        .dns_load_balancing(None)
        .identity("bench".to_owned())
        .build();
    let connection = Connection::connect(options).await.expect("a connection");
    Client::new(connection, ClientOptions::new(NAMESPACE).build()).expect("a client")
}
