//! One machine on a virtual clock: an engine, a worker and a world, and the hand that moves the clock when all is quiet.

use std::time::Duration;

use dixmgr_engine::clock::{Clock, Timestamp, VirtualClock};
use dixmgr_engine::store::{StoreOptions, Synchronous};
use dixmgr_engine::{Engine, EngineOptions};
use dixmgr_model::ServiceSpec;
use dixmgr_workflows::{AlertGroupWorkflow, AlertInput, AlertWorkflow, NodeInput, NodeWorkflow, ServiceStatus};
use temporalio_client::tonic::IntoRequest;
use temporalio_client::{
    Client, ClientOptions, Connection, ConnectionOptions, RegisterNamespaceOptions, Url, WorkflowIdConflictPolicy,
    WorkflowQueryOptions, WorkflowSignalOptions, WorkflowStartOptions,
};
use temporalio_common::protos::temporal::api::common::v1::WorkflowExecution;
use temporalio_common::protos::temporal::api::history::v1::{HistoryEvent, history_event::Attributes};
use temporalio_common::protos::temporal::api::workflowservice::v1::{
    GetWorkflowExecutionHistoryRequest, RegisterNamespaceRequest,
};
use temporalio_sdk::{Runtime, Worker, WorkerOptions};

use super::world::{Activities, World};

const NAMESPACE: &str = "month";
const QUEUE: &str = "month";
/// Closed runs are looked at when the month is over.
const RETENTION: Duration = Duration::from_secs(90 * 24 * 3600);
/// Real time that one step may take before something must be stuck.
const PATIENCE: Duration = Duration::from_secs(30);

/// The machine. Lives on a `LocalSet`.
pub(crate) struct Machine {
    pub(crate) clock: VirtualClock,
    pub(crate) world: World,
    engine: Engine,
    client: Client,
    worker: tokio::task::JoinHandle<()>,
    _directory: tempfile::TempDir,
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.worker.abort();
    }
}

impl Machine {
    /// Starts one at `start`.
    pub(crate) async fn start(start: Timestamp) -> Self {
        let clock = VirtualClock::new(start);
        let world = World::new(clock.clone());
        let directory = tempfile::tempdir().expect("a temporary directory");
        let engine = Engine::open(EngineOptions {
            store: StoreOptions { synchronous: Synchronous::Off, ..StoreOptions::default() },
            clock: std::sync::Arc::new(clock.clone()),
            ..EngineOptions::new(directory.path().join("engine.db"))
        });
        let engine = engine.expect("an engine");
        let client = client(&engine).await;
        let worker = worker(client.clone(), Activities { world: world.clone() });
        Self { clock, world, engine, client, worker, _directory: directory }
    }

    /// Adds a unit that runs, and the workflow that keeps it.
    pub(crate) async fn keep(&self, spec: ServiceSpec) {
        self.world.add(spec.unit_name());
        let options = WorkflowStartOptions::new(QUEUE, spec.workflow_id.clone()).build();
        self.client.start_workflow(NodeWorkflow::run, NodeInput::new(spec), options).await.expect("it starts");
    }

    /// An alert fires.
    pub(crate) async fn raise(&self, input: AlertInput) {
        let id = input.raised.workflow_id.clone();
        let options =
            WorkflowStartOptions::new(QUEUE, id).id_conflict_policy(WorkflowIdConflictPolicy::UseExisting).build();
        let (run, signal) = (AlertWorkflow::run, AlertWorkflow::raise);
        let raised = self.client.signal_with_start_workflow(run, input.clone(), signal, input, options);
        raised.await.expect("it is raised");
    }

    /// An alert is over.
    pub(crate) async fn resolve(&self, id: &str) {
        let alert = self.client.get_workflow_handle::<AlertWorkflow>(id);
        alert.signal(AlertWorkflow::resolve, (), WorkflowSignalOptions::default()).await.expect("it is told");
    }

    pub(crate) async fn status(&self, workflow_id: &str) -> ServiceStatus {
        let handle = self.client.get_workflow_handle::<NodeWorkflow>(workflow_id);
        handle.query(NodeWorkflow::status, (), WorkflowQueryOptions::default()).await.expect("an answer")
    }

    /// Lets time pass until `end`; answers how often the clock was moved.
    pub(crate) async fn until(&self, end: Timestamp) -> u32 {
        let mut steps = 0;
        loop {
            let next = self.quiet().await.min(end);
            if self.clock.now() >= end {
                return steps;
            }
            self.clock.set(next);
            self.world.catch_up();
            steps += 1;
        }
    }

    /// Waits until nothing is under way but what waits for time to pass; answers when the next thing happens.
    ///
    /// Sound because whoever is about to act is counted somewhere: a task with the engine until its answer is durable, an
    /// activity with the engine until its result is, and among the sleepers only while it waits.
    async fn quiet(&self) -> Timestamp {
        let settled = async {
            loop {
                let outlook = self.engine.outlook().await.expect("the engine answers");
                let idle = outlook.workflow_tasks == 0 && outlook.activities_waiting == 0;
                let next = outlook.next_deadline.unwrap_or(Timestamp::MAX);
                if idle && next > self.clock.now() && outlook.activities_running.is_subset(&self.world.asleep()) {
                    return next.min(self.world.next().unwrap_or(Timestamp::MAX));
                }
                tokio::task::yield_now().await;
            }
        };
        let Ok(next) = tokio::time::timeout(PATIENCE, settled).await else {
            panic!("stuck at {}: {:?}, asleep {:?}", self.clock.now(), self.engine.outlook().await, self.world.asleep())
        };
        next
    }

    /// Histories of all runs of a workflow, oldest first.
    pub(crate) async fn runs(&self, workflow_id: &str) -> Vec<Vec<HistoryEvent>> {
        let (mut runs, mut run_id) = (Vec::new(), String::new());
        loop {
            let events = self.history(workflow_id, &run_id).await;
            let Some(Attributes::WorkflowExecutionStartedEventAttributes(started)) = &events[0].attributes else {
                panic!("a history begins with its start");
            };
            run_id.clone_from(&started.continued_execution_run_id);
            runs.insert(0, events);
            if run_id.is_empty() {
                return runs;
            }
        }
    }

    async fn history(&self, workflow_id: &str, run_id: &str) -> Vec<HistoryEvent> {
        let (mut events, mut next_page_token) = (Vec::new(), Vec::new());
        loop {
            let request = GetWorkflowExecutionHistoryRequest {
                namespace: NAMESPACE.to_owned(),
                execution: Some(WorkflowExecution { workflow_id: workflow_id.to_owned(), run_id: run_id.to_owned() }),
                next_page_token,
                ..Default::default()
            };
            let mut service = self.client.connection().workflow_service();
            let page = service.get_workflow_execution_history(request.into_request()).await.expect("a history");
            let page = page.into_inner();
            events.extend(page.history.unwrap_or_default().events);
            next_page_token = page.next_page_token;
            if next_page_token.is_empty() {
                return events;
            }
        }
    }
}

async fn client(engine: &Engine) -> Client {
    let options = ConnectionOptions::new("http://engine.invalid".parse::<Url>().expect("a URL"))
        .service_override(engine.grpc_service())
        .dns_load_balancing(None)
        .build();
    let connection = Connection::connect(options).await.expect("a connection");
    let client = Client::new(connection, ClientOptions::new(NAMESPACE).build()).expect("a client");
    let namespace = RegisterNamespaceOptions::builder()
        .namespace(NAMESPACE)
        .description("a month on a virtual clock")
        .workflow_execution_retention_period(RETENTION)
        .build();
    let request = RegisterNamespaceRequest::from(namespace).into_request();
    client.connection().workflow_service().register_namespace(request).await.expect("a namespace");
    client
}

fn worker(client: Client, activities: Activities) -> tokio::task::JoinHandle<()> {
    let runtime = Runtime::from_current_tokio(Default::default()).expect("an SDK runtime");
    let options = WorkerOptions::new(QUEUE)
        .register_activities(activities)
        .register_workflow::<NodeWorkflow>()
        .and_then(|options| options.register_workflow::<AlertWorkflow>())
        .and_then(|options| options.register_workflow::<AlertGroupWorkflow>())
        .expect("distinct workflow types")
        .build();
    let mut worker = Worker::new(&runtime, client, options).expect("a worker");
    tokio::task::spawn_local(async move {
        let _runtime = runtime;
        worker.run().await.expect("the worker runs");
    })
}
