//! The worker: workflows and activities of this daemon, on its task queue.

use std::time::Duration;

use dixmgr_activities::activities::Activities;
use dixmgr_activities::interceptor::CountingInterceptor;
use dixmgr_activities::metrics::Metrics;
use dixmgr_model::Plan;
use dixmgr_workflows::{
    AlertGroupWorkflow, AlertWorkflow, ClusterWorkflow, DeadManWorkflow, DependentWorkflow, InfrastructureWorkflow,
    NodeWorkflow, OwnWorkflow, SilencesWorkflow, interceptors,
};
use temporalio_client::Client;
use temporalio_common::worker::WorkerDeploymentOptions;
use temporalio_sdk::runtime::PollerBehavior;
use temporalio_sdk::runtime::worker_tuner::{FixedSizeSlotSupplier, TunerHolder};
use temporalio_sdk::workflows::WorkflowRegistrationError;
use temporalio_sdk::{Runtime, Worker, WorkerOptions};

use crate::error::RunError;

/// Workflows kept in memory, some 50 kB each. Most wait for months: the others are replayed, from a history of a few dozen
/// events, when something happens to them.
const CACHED_WORKFLOWS: usize = 100;
/// Workflow tasks under way at once.
const WORKFLOW_SLOTS: usize = 200;
/// Activity slots besides those of the services, for one-shot checks.
const SPARE_SLOTS: usize = 100;
/// How long a workflow task may wait for the worker that remembers its workflow, before any other may have it. After a
/// crash that worker is gone for good.
const STICKY_PATIENCE: Duration = Duration::from_secs(3);
/// Longest time that a heartbeat is held back.
const HEARTBEAT_THROTTLE: Duration = Duration::from_mins(1);

/// Options of the worker for a plan.
pub(crate) fn options(
    task_queue: &str,
    plan: &Plan,
    activities: Activities,
    metrics: &Metrics,
    cancel_on_drain: bool,
) -> Result<WorkerOptions, RunError> {
    let fixed = FixedSizeSlotSupplier::new;
    let tuner = TunerHolder::builder()
        .workflow_task_slot_supplier(fixed(WORKFLOW_SLOTS))
        .activity_task_slot_supplier(fixed(activity_slots(plan)))
        .local_activity_task_slot_supplier(fixed(SPARE_SLOTS))
        .nexus_task_slot_supplier(fixed(1))
        .build();
    let mut options = WorkerOptions::new(task_queue)
        .register_activities(activities)
        .workflow_interceptor(interceptors(metrics.clone()))
        .activity_inbound_interceptor(CountingInterceptor::new(metrics.clone()))
        .deployment_options(WorkerDeploymentOptions::from_build_id(env!("CARGO_PKG_VERSION").to_owned()))
        .max_cached_workflows(CACHED_WORKFLOWS)
        .tuner(tuner)
        .workflow_task_poller_behavior(PollerBehavior::SimpleMaximum(8))
        .activity_task_poller_behavior(PollerBehavior::SimpleMaximum(8))
        .sticky_queue_schedule_to_start_timeout(STICKY_PATIENCE)
        .max_heartbeat_throttle_interval(HEARTBEAT_THROTTLE)
        .maybe_graceful_shutdown_period(cancel_on_drain.then_some(Duration::ZERO))
        .build();
    // All of them are on the page before the first has run: what is absent looks like what never fails.
    for name in Activities::NAMES {
        let _ = metrics.activity(name);
    }
    register_workflows(&mut options, metrics)
        .map_err(|error| RunError::Setup { what: "the worker", detail: error.to_string() })?;
    Ok(options)
}

fn register_workflows(options: &mut WorkerOptions, metrics: &Metrics) -> Result<(), WorkflowRegistrationError> {
    macro_rules! register {
        ($($workflow:ident),* $(,)?) => {$(
            options.register_workflow::<$workflow>()?;
            let _ = metrics.workflow(stringify!($workflow));
        )*};
    }
    register!(
        InfrastructureWorkflow,
        NodeWorkflow,
        DependentWorkflow,
        ClusterWorkflow,
        AlertWorkflow,
        AlertGroupWorkflow,
        SilencesWorkflow,
        DeadManWorkflow,
        OwnWorkflow,
    );
    Ok(())
}

/// One slot for the watch of each service or replica, one for an action on it, and some to spare.
fn activity_slots(plan: &Plan) -> usize {
    let services: usize = plan.services.iter().map(|spec| spec.replicas.map_or(1, |r| r.count as usize)).sum();
    services * 2 + SPARE_SLOTS
}

/// A worker that has not begun to poll.
pub(crate) fn worker(runtime: &Runtime, client: &Client, options: &WorkerOptions) -> Result<Worker, RunError> {
    Worker::new(runtime, client.clone(), options.clone())
        .map_err(|error| RunError::Setup { what: "the worker", detail: error.to_string() })
}

/// An error with all that caused it, in one line.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| {
        let cause = cause.to_string();
        if text.contains(&cause) { text } else { format!("{text}: {cause}") }
    })
}
