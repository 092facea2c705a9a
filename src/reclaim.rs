//! After a crash, on a cluster: activities that our dead predecessor held are failed at once, so that they are retried
//! with their heartbeat details instead of waiting for the heartbeat timeout. The embedded engine does that by itself.

use futures_util::{StreamExt, stream};
use temporalio_client::{
    ActivityIdentifier, Client, RpcOptions, UntypedWorkflow, WorkflowDescribeOptions, WorkflowListOptions,
};
use temporalio_common::error::ApplicationFailure;
use temporalio_common::protos::temporal::api::enums::v1::PendingActivityState;
use temporalio_common::protos::temporal::api::workflow::v1::PendingActivityInfo;

use crate::home::Identity;

/// Calls under way at once.
const CONCURRENCY: usize = 16;

/// Fails every activity that a dead dixmgr of this host was at work on. Call it before our own worker polls.
pub(crate) async fn reclaim(client: &Client, task_queue: &str, identity: &Identity) {
    let query = format!("TaskQueue = '{}' AND ExecutionStatus = 'Running'", task_queue.replace('\'', "''"));
    let running = client.list_workflows(query, WorkflowListOptions::default());
    let reclaimed = running
        .map(|found| async move {
            match found {
                Ok(execution) => reclaim_from(client, execution.id(), execution.run_id(), identity).await,
                Err(error) => {
                    tracing::warn!(%error, "cannot list workflows; activities of a dead dixmgr wait for their heartbeat timeout: {error}");
                    0
                }
            }
        })
        .buffer_unordered(CONCURRENCY)
        .fold(0usize, |sum, count| async move { sum + count })
        .await;
    if reclaimed > 0 {
        tracing::info!(activities = reclaimed, "took over from a dixmgr that died");
    }
}

/// Number of activities of one run that were taken back.
async fn reclaim_from(client: &Client, workflow_id: &str, run_id: &str, identity: &Identity) -> usize {
    let handle = client.get_workflow_handle::<UntypedWorkflow>(workflow_id);
    let description = match handle.describe(WorkflowDescribeOptions::default()).await {
        Ok(description) => description,
        Err(error) => {
            tracing::warn!(workflow_id, %error, "cannot look for activities of a dead dixmgr: {error}");
            return 0;
        }
    };
    let orphans = description.raw_description.pending_activities.iter().filter(|a| is_orphan(a, identity));
    let failed = stream::iter(orphans).then(|activity| {
        let id = ActivityIdentifier::by_id_workflow(workflow_id, run_id, &activity.activity_id);
        let predecessor = activity.last_worker_identity.clone();
        async move {
            let failure = ApplicationFailure::new(format!("{predecessor} died while it was at work on this"));
            let handle = client.get_async_activity_handle(id);
            match handle.fail(failure, None::<()>, RpcOptions::default()).await {
                Ok(()) => 1,
                Err(error) => {
                    tracing::warn!(workflow_id, %error, "cannot take over an activity of a dead dixmgr: {error}");
                    0
                }
            }
        }
    });
    failed.fold(0, |sum, count| async move { sum + count }).await
}

/// Whether an activity is being worked on by a dixmgr of this host that is not there any more. Our own identity counts:
/// we do not poll yet, so it can only be that of a predecessor with our process id, as in a container.
fn is_orphan(activity: &PendingActivityInfo, identity: &Identity) -> bool {
    let started = activity.state() == PendingActivityState::Started;
    let holder = identity.sibling(&activity.last_worker_identity);
    started && holder.is_some_and(|pid| pid == identity.pid() || !is_dixmgr(pid))
}

/// Whether a living process is a dixmgr, by the name the kernel keeps of it: process ids are used again.
fn is_dixmgr(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim_end() == "dixmgr")
}
