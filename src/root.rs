//! The root workflow: started if it does not run, and told that there is a plan.

use std::time::Duration;

use dixmgr_model::Mode;
use dixmgr_workflows::{INFRASTRUCTURE_ID, InfrastructureInput, InfrastructureWorkflow};
use temporalio_client::{Client, WorkflowIdConflictPolicy, WorkflowStartOptions};

use crate::config::WATCH_PREFIX;
use crate::worker::chain;

const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Starts the root workflow unless it runs, and tells it the plan's revision, in one step. Tries until it is done.
pub(crate) async fn apply_plan(client: &Client, task_queue: &str, mode: Mode, revision: &str) {
    let workflow_id = match mode {
        Mode::Exec => INFRASTRUCTURE_ID.to_owned(),
        Mode::Watch => format!("{WATCH_PREFIX}{INFRASTRUCTURE_ID}"),
    };
    let mut wait = FIRST_WAIT;
    loop {
        let options = WorkflowStartOptions::new(task_queue, workflow_id.as_str())
            .id_conflict_policy(WorkflowIdConflictPolicy::UseExisting)
            .build();
        let attempt = client.signal_with_start_workflow(
            InfrastructureWorkflow::run,
            InfrastructureInput::default(),
            InfrastructureWorkflow::plan_changed,
            revision.to_owned(),
            options,
        );
        match attempt.await {
            Ok(_) => return,
            Err(error) => {
                tracing::warn!(error = chain(&error), "cannot hand over the plan yet; trying again");
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(LONGEST_WAIT);
            }
        }
    }
}
