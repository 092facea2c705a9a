//! How a group hears of silences: it subscribes to the workflow that keeps them.

use std::time::Duration;

use temporalio_sdk::workflows::select;
use temporalio_sdk::{SignalWorkflowOptions, WorkflowContext};

use super::AlertGroupWorkflow;
use crate::{SILENCES_ID, SilencesWorkflow};

/// Longest wait for the silences before a first message: late news is worse than a message too many.
const PATIENCE: Duration = Duration::from_secs(2);

/// What every group's id has before its hash, and after what its dixmgr's ids begin with.
const ID: &str = "alert-group.";

/// Asks to be told of silences. With `wait`, until they are there, or nobody keeps any.
pub(super) async fn subscribe(ctx: &WorkflowContext<AlertGroupWorkflow>, wait: bool) {
    let Some((own, keeper)) = ids(ctx) else { return };
    let keeper = ctx.external_workflow(&keeper, None);
    let asked = keeper.signal(SilencesWorkflow::subscribe, own, SignalWorkflowOptions::default()).await;
    if asked.is_err() || !wait {
        return;
    }
    select! {
        _ = ctx.wait_condition(|this: &AlertGroupWorkflow| this.silences.is_some()) => {}
        _ = ctx.timer(PATIENCE) => {}
    }
}

/// Wants to hear no more.
pub(super) async fn unsubscribe(ctx: &WorkflowContext<AlertGroupWorkflow>) {
    if let Some((own, keeper)) = ids(ctx) {
        let keeper = ctx.external_workflow(&keeper, None);
        _ = keeper.signal(SilencesWorkflow::unsubscribe, own, SignalWorkflowOptions::default()).await;
    }
}

/// Our own id, and that of the workflow that keeps the silences of our dixmgr.
fn ids(ctx: &WorkflowContext<AlertGroupWorkflow>) -> Option<(String, String)> {
    let own = ctx.state(|this| this.group.as_ref().map(|group| group.group.workflow_id.clone()))?;
    let keeper = own.split_once(ID).map(|(prefix, _)| format!("{prefix}{SILENCES_ID}"))?;
    Some((own, keeper))
}
