//! One case's own worker, task queue and world, and short words for what cases say again and again.

use std::fmt::Debug;
use std::rc::Rc;
use std::time::Duration;

use dixmgr_activities::metrics::Metrics;
use dixmgr_model::{Dependency, Labels, Probes, Replicas, RestartPolicy, ServiceSpec, Target};
use dixmgr_testkit::eventually_async;
use dixmgr_workflows::{
    AlertGroupWorkflow, AlertWorkflow, ClusterInput, ClusterStatus, ClusterWorkflow, DependentWorkflow,
    InfrastructureInput, InfrastructureStatus, InfrastructureWorkflow, NodeInput, NodeWorkflow, ServiceStatus,
    SilencesWorkflow, interceptors,
};
use temporalio_client::{
    Client, WorkflowDescribeOptions, WorkflowFetchHistoryOptions, WorkflowHandle, WorkflowHistory,
    WorkflowQueryOptions, WorkflowSignalOptions, WorkflowStartOptions,
};
use temporalio_sdk::{Runtime, Worker, WorkerOptions};

use super::silences::Listener;
use super::world::{Activities, World};

/// A machine that runs other tests at the same time is slow.
const PATIENCE: Duration = Duration::from_secs(60);

/// One case's surroundings.
pub struct Harness {
    pub client: Client,
    pub world: World,
    pub metrics: Metrics,
    /// Task queue, and prefix of every workflow id and unit of the case.
    pub queue: String,
    worker: Rc<RunningWorker>,
}

/// A worker; ends with its last holder.
pub struct RunningWorker(tokio::task::JoinHandle<()>);

impl Drop for RunningWorker {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Harness {
    /// Starts the case's worker on the current `LocalSet`.
    pub fn start(client: Client, name: &str, cached_workflows: usize) -> Self {
        let world = World::new();
        let metrics = Metrics::new("dixmgr").expect("metrics");
        let runtime = Runtime::from_current_tokio(Default::default()).expect("an SDK runtime");
        let options = WorkerOptions::new(name)
            .max_cached_workflows(cached_workflows)
            .register_activities(Activities { world: world.clone() })
            .register_workflow_interceptors(vec![interceptors(metrics.clone())])
            .register_workflow::<NodeWorkflow>()
            .and_then(|options| options.register_workflow::<DependentWorkflow>())
            .and_then(|options| options.register_workflow::<ClusterWorkflow>())
            .and_then(|options| options.register_workflow::<InfrastructureWorkflow>())
            .and_then(|options| options.register_workflow::<AlertWorkflow>())
            .and_then(|options| options.register_workflow::<AlertGroupWorkflow>())
            .and_then(|options| options.register_workflow::<SilencesWorkflow>())
            .and_then(|options| options.register_workflow::<Listener>())
            .expect("distinct workflow types")
            .build();
        let mut worker = Worker::new(&runtime, client.clone(), options).expect("a worker");
        let worker = tokio::task::spawn_local(async move {
            let _runtime = runtime;
            worker.run().await.expect("the worker runs");
        });
        Self { client, world, metrics, queue: name.to_owned(), worker: Rc::new(RunningWorker(worker)) }
    }

    /// Keeps the worker running beyond the case.
    pub fn keep_worker(&self) -> Rc<RunningWorker> {
        Rc::clone(&self.worker)
    }

    /// Workflow id of a service of this case.
    pub fn id(&self, service: &str) -> String {
        format!("{}.{service}", self.queue)
    }

    /// How many runs of `NodeWorkflow` closed with this status, as the metrics have it.
    pub fn closed_nodes(&self, status: &str) -> u64 {
        let page = self.metrics.encode().expect("a page");
        let series = format!("dixmgr_workflow_executions_total{{status=\"{status}\",workflow=\"NodeWorkflow\"}} ");
        let value = page.lines().find_map(|line| line.strip_prefix(&series));
        value.map_or(0, |value| value.parse().expect("a count"))
    }

    /// A service with short durations and without checks.
    pub fn spec(&self, service: &str) -> ServiceSpec {
        ServiceSpec {
            name: service.to_owned(),
            workflow_id: self.id(service),
            ready_signal: format!("ready:svc:{service}"),
            labels: Labels::default(),
            target: Target::Unit(format!("{service}.service")),
            needs: Vec::new(),
            dependents: Vec::new(),
            dependency_timeout: Duration::from_secs(3600),
            probes: Probes::default(),
            restart: RestartPolicy {
                max_restarts: 3,
                window: Duration::from_secs(600),
                initial_backoff: Duration::from_millis(300),
                max_backoff: Duration::from_secs(1),
                backoff_coefficient: 2.0,
                jitter: 0.2,
                stable_after: Duration::from_secs(600),
                quarantine_retry: Duration::from_secs(600),
                on_unhealthy: false,
            },
            operation_timeout: Duration::from_secs(10),
            replicas: None,
        }
    }

    /// A service that needs another.
    pub fn needing(&self, service: &str, needs: &[&str]) -> ServiceSpec {
        let needs = needs.iter().map(|need| Dependency { service: (*need).to_owned(), workflow_id: self.id(need) });
        ServiceSpec { needs: needs.collect(), ..self.spec(service) }
    }

    /// A group.
    pub fn group(&self, service: &str, count: u32, quorum: u32) -> ServiceSpec {
        ServiceSpec {
            target: Target::Unit(format!("{service}@{{i}}.service")),
            replicas: Some(Replicas { count, quorum }),
            ..self.spec(service)
        }
    }

    pub async fn start_node(&self, spec: ServiceSpec) -> Node {
        self.start_input(NodeInput::new(spec)).await
    }

    pub async fn start_input(&self, input: NodeInput) -> Node {
        let options = WorkflowStartOptions::new(&self.queue, input.spec.workflow_id.clone()).build();
        let started = self.client.start_workflow(NodeWorkflow::run, input.clone(), options).await;
        Node { handle: self.client.get_workflow_handle(started.map(|_| input.spec.workflow_id).expect("it starts")) }
    }

    pub async fn start_dependent(&self, spec: ServiceSpec) -> Node {
        let id = spec.workflow_id.clone();
        let options = WorkflowStartOptions::new(&self.queue, id.clone()).build();
        self.client.start_workflow(DependentWorkflow::run, NodeInput::new(spec), options).await.expect("it starts");
        Node { handle: self.client.get_workflow_handle(id) }
    }

    pub async fn start_cluster(&self, spec: ServiceSpec) -> WorkflowHandle<Client, ClusterWorkflow> {
        let id = spec.workflow_id.clone();
        let options = WorkflowStartOptions::new(&self.queue, id.clone()).build();
        self.client.start_workflow(ClusterWorkflow::run, ClusterInput::new(spec), options).await.expect("it starts");
        self.client.get_workflow_handle(id)
    }

    pub async fn start_infrastructure(
        &self,
        history_limit: Option<u32>,
    ) -> WorkflowHandle<Client, InfrastructureWorkflow> {
        let input = InfrastructureInput { carry: None, history_limit };
        let id = self.id("infra");
        let options = WorkflowStartOptions::new(&self.queue, id.clone()).build();
        self.client.start_workflow(InfrastructureWorkflow::run, input, options).await.expect("it starts");
        self.client.get_workflow_handle(id)
    }

    /// A service's workflow that something else started. Its signals and query are the same whatever its type.
    pub fn node(&self, service: &str) -> Node {
        Node { handle: self.client.get_workflow_handle(self.id(service)) }
    }

    /// Waits until the scripted world is as `expected` says.
    pub async fn until(&self, what: &str, mut expected: impl FnMut(&World) -> bool) {
        eventually_async(what, PATIENCE, || {
            let reached = expected(&self.world);
            async move { reached.then_some(()) }
        })
        .await;
    }
}

/// A service's workflow.
pub struct Node {
    pub handle: WorkflowHandle<Client, NodeWorkflow>,
}

impl Node {
    pub async fn status(&self) -> Option<ServiceStatus> {
        self.handle.query(NodeWorkflow::status, (), WorkflowQueryOptions::default()).await.ok()
    }

    /// Waits until its status is as `expected` says.
    pub async fn until(&self, what: &str, expected: impl Fn(&ServiceStatus) -> bool) -> ServiceStatus {
        let mut last = None;
        let found = tokio::time::timeout(PATIENCE, async {
            loop {
                last = self.status().await;
                if let Some(status) = last.clone().filter(&expected) {
                    return status;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        let found = found.await;
        match found {
            Ok(status) => status,
            Err(tokio::time::error::Elapsed { .. }) => panic!("within {PATIENCE:?} not seen: {what}; last {last:?}"),
        }
    }

    pub async fn restart_now(&self) {
        self.handle.signal(NodeWorkflow::restart_now, (), WorkflowSignalOptions::default()).await.expect("signal");
    }

    pub async fn pause(&self) {
        self.handle.signal(NodeWorkflow::pause, (), WorkflowSignalOptions::default()).await.expect("signal");
    }

    pub async fn resume(&self) {
        self.handle.signal(NodeWorkflow::resume, (), WorkflowSignalOptions::default()).await.expect("signal");
    }

    pub async fn stop_watching(&self) {
        self.handle.signal(NodeWorkflow::stop_watching, (), WorkflowSignalOptions::default()).await.expect("signal");
    }

    pub async fn update_spec(&self, spec: ServiceSpec) {
        self.handle.signal(NodeWorkflow::update_spec, spec, WorkflowSignalOptions::default()).await.expect("signal");
    }

    pub async fn is_running(&self) -> bool {
        let described = self.handle.describe(WorkflowDescribeOptions::default()).await;
        described.is_ok_and(|description| format!("{:?}", description.status()).contains("Running"))
    }

    /// Waits until the workflow has ended.
    pub async fn until_closed(&self) {
        eventually_async("the workflow ends", PATIENCE, || async { (!self.is_running().await).then_some(()) }).await;
    }

    /// How many events the current run has.
    pub async fn events(&self) -> usize {
        events(self.handle.fetch_history(WorkflowFetchHistoryOptions::default())).await
    }

    /// Writes the run's history for the replay test, where `DIXMGR_RECORD_HISTORIES` names a directory.
    pub async fn record(&self, name: &str) {
        record(self.handle.fetch_history(WorkflowFetchHistoryOptions::default()), name).await;
    }
}

/// Waits until a cluster's status is as `expected` says.
pub async fn until_cluster(
    cluster: &WorkflowHandle<Client, ClusterWorkflow>,
    what: &str,
    expected: impl Fn(&ClusterStatus) -> bool,
) {
    eventually_async(what, PATIENCE, || async {
        let status = cluster.query(ClusterWorkflow::status, (), WorkflowQueryOptions::default()).await.ok();
        status.filter(&expected).map(drop)
    })
    .await;
}

/// Waits until the infrastructure's status is as `expected` says.
pub async fn until_infrastructure(
    infrastructure: &WorkflowHandle<Client, InfrastructureWorkflow>,
    what: &str,
    expected: impl Fn(&InfrastructureStatus) -> bool,
) {
    eventually_async(what, PATIENCE, || async {
        let status =
            infrastructure.query(InfrastructureWorkflow::services, (), WorkflowQueryOptions::default()).await.ok();
        status.filter(&expected).map(drop)
    })
    .await;
}

/// How many events a history has.
pub async fn events(history: WorkflowHistory) -> usize {
    history.into_events().await.expect("history").len()
}

/// Writes a history for the replay test, where `DIXMGR_RECORD_HISTORIES` names a directory.
pub async fn record(history: WorkflowHistory, name: &str) {
    if let Some(directory) = std::env::var_os("DIXMGR_RECORD_HISTORIES") {
        let file = std::path::Path::new(&directory).join(format!("{name}.json"));
        let mut events: serde_json::Value =
            serde_json::from_slice(&history.to_json().await.expect("history")).expect("JSON");
        forget_machine(&mut events);
        let text = serde_json::to_string_pretty(&events).expect("JSON");
        std::fs::write(file, text).expect("the directory can be written");
    }
}

/// A worker's identity and its sticky queue name the machine, `<pid>@<host>`: no history that is kept should.
fn forget_machine(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::String(text) => {
            let identity = text.split_once('@').is_some_and(|(pid, _)| pid.parse::<u32>().is_ok());
            *text = if identity { "worker".to_owned() } else { std::mem::take(text) };
        }
        serde_json::Value::Array(values) => values.iter_mut().for_each(forget_machine),
        serde_json::Value::Object(fields) => fields.values_mut().for_each(forget_machine),
        _ => {}
    }
}

/// For assertions on sets.
pub fn sorted<T: Ord + Debug>(values: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort();
    values
}
