//! The workflows that are there once: started if they do not run, and told that there is a plan.

use std::time::Duration;

use dixmgr_model::Mode;
use dixmgr_workflows::{
    DEAD_MAN_ID, DeadManInput, DeadManWorkflow, INFRASTRUCTURE_ID, InfrastructureInput, InfrastructureWorkflow, OWN_ID,
    OwnInput, OwnWorkflow, SILENCES_ID, SilencesInput, SilencesWorkflow,
};
use temporalio_client::errors::WorkflowStartError;
use temporalio_client::{Client, WorkflowDescribeOptions, WorkflowIdConflictPolicy, WorkflowStartOptions};

use crate::config::WATCH_PREFIX;
use crate::worker::chain;

const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Starts the root workflow unless it runs, and tells it the plan's revision, in one step; before that the workflow of
/// silences, since alerts ask it. Tries until it is done, longer and longer apart.
pub(crate) async fn apply_plan(
    client: &Client,
    task_queue: &str,
    mode: Mode,
    revision: &str,
    dead_man: Option<Duration>,
) {
    let mut wait = FIRST_WAIT;
    while let Err(error) = hand_over(client, task_queue, mode, revision, dead_man).await {
        tracing::warn!(error = chain(&error), "cannot hand over the plan yet; trying again");
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

async fn hand_over(
    client: &Client,
    task_queue: &str,
    mode: Mode,
    revision: &str,
    dead_man: Option<Duration>,
) -> Result<(), WorkflowStartError> {
    let options = |id: &str| {
        WorkflowStartOptions::new(task_queue, id_of(id, mode))
            .id_conflict_policy(WorkflowIdConflictPolicy::UseExisting)
            .build()
    };
    let (run, input, signal) = (SilencesWorkflow::run, SilencesInput::default(), SilencesWorkflow::refresh);
    client.signal_with_start_workflow(run, input, signal, (), options(SILENCES_ID)).await?;
    // Whoever wants no such word any more starts one that ends at once, or ends the one that runs.
    let input = DeadManInput { interval: dead_man.unwrap_or_default() };
    if dead_man.is_some() || runs(client, &id_of(DEAD_MAN_ID, mode)).await {
        let (run, signal) = (DeadManWorkflow::run, DeadManWorkflow::configure);
        client.signal_with_start_workflow(run, input, signal, input, options(DEAD_MAN_ID)).await?;
    }
    client.start_workflow(OwnWorkflow::run, OwnInput::default(), options(OWN_ID)).await?;
    let (run, input) = (InfrastructureWorkflow::run, InfrastructureInput::default());
    let (signal, argument) = (InfrastructureWorkflow::plan_changed, revision.to_owned());
    client.signal_with_start_workflow(run, input, signal, argument, options(INFRASTRUCTURE_ID)).await.map(drop)
}

/// Whether there is a workflow of this id.
async fn runs(client: &Client, id: &str) -> bool {
    let handle = client.get_workflow_handle::<DeadManWorkflow>(id);
    handle.describe(WorkflowDescribeOptions::default()).await.is_ok()
}

/// Id of a workflow that is there once. A dry run has its own.
pub(crate) fn id_of(id: &str, mode: Mode) -> String {
    match mode {
        Mode::Exec => id.to_owned(),
        Mode::Watch => format!("{WATCH_PREFIX}{id}"),
    }
}
