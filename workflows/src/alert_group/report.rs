//! How an alert's workflow says to a group how the alert is.

use dixmgr_alerting::incident::GroupReport;
use temporalio_sdk::{
    ChildWorkflowStartError, SignalWorkflowOptions, StartChildWorkflowExecutionFailedCause as Cause, WorkflowContext,
};

use super::{AlertGroupWorkflow, GroupInput};
use crate::options;

/// Says to a group how an alert is. A group that has to hear it is started if it does not run. False when that failed, to be
/// tried again: a group may end between the two.
pub(crate) async fn report<W: 'static>(ctx: &WorkflowContext<W>, report: GroupReport) -> bool {
    let workflow_id = report.group.workflow_id.clone();
    let told = ctx.external_workflow(&workflow_id, None).signal(
        AlertGroupWorkflow::report,
        report.clone(),
        SignalWorkflowOptions::default(),
    );
    if told.await.is_ok() || !report.opens() {
        return true;
    }
    let input = GroupInput { report: Some(report), carried: None };
    match ctx.start_child_workflow(AlertGroupWorkflow::run, input, options::child(&workflow_id)).await {
        Ok(_) => true,
        Err(error) => {
            let exists =
                matches!(error, ChildWorkflowStartError::StartFailed { cause: Cause::WorkflowAlreadyExists, .. });
            if !exists && !ctx.is_replaying() {
                tracing::warn!(target: "dixmgr::alert", %workflow_id, %error, "an alert cannot be told yet: {error}");
            }
            false
        }
    }
}
