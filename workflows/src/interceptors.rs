//! Counts runs of workflows as they close. Terminated and timed-out runs close without their worker and are not seen here.

use std::time::Duration;

use dixmgr_activities::metrics::{Metrics, WorkflowStatus};
use temporalio_sdk::WorkflowTermination;
use temporalio_sdk::workflow_interceptors::{
    ExecuteWorkflowInput, ExecuteWorkflowResult, WorkflowInterceptor, WorkflowInterceptorConstructor,
    WorkflowInterceptorContext, WorkflowInterceptorFuture, WorkflowNext,
};

/// Records `workflow_executions_total` and `workflow_duration_seconds` of every run that closes, once and not on replay.
///
/// A run's duration is measured in workflow time, from its first task to the task that closes it.
#[must_use]
pub fn interceptors(metrics: Metrics) -> WorkflowInterceptorConstructor {
    WorkflowInterceptorConstructor::new(move |_| Recorder { metrics: metrics.clone() })
}

struct Recorder {
    metrics: Metrics,
}

impl WorkflowInterceptor for Recorder {
    fn execute<'a>(
        &'a self,
        ctx: WorkflowInterceptorContext,
        input: ExecuteWorkflowInput,
        next: WorkflowNext<'a, ExecuteWorkflowInput, WorkflowInterceptorFuture<'a, ExecuteWorkflowResult>>,
    ) -> WorkflowInterceptorFuture<'a, ExecuteWorkflowResult> {
        WorkflowInterceptorFuture::new(async move {
            let begun = ctx.workflow_time();
            let result = next.run(input).await;
            if !ctx.is_replaying()
                && let Some(status) = status(&result)
            {
                let elapsed = begun.zip(ctx.workflow_time()).and_then(|(begun, now)| now.duration_since(begun).ok());
                self.metrics.workflow(ctx.workflow_type()).record(status, elapsed.unwrap_or(Duration::ZERO));
            }
            result
        })
    }
}

/// How a run closed; `None` when it did not, because it is only leaving the cache.
fn status(result: &ExecuteWorkflowResult) -> Option<WorkflowStatus> {
    match result {
        Ok(_) => Some(WorkflowStatus::Completed),
        Err(WorkflowTermination::Cancelled { .. }) => Some(WorkflowStatus::Canceled),
        Err(WorkflowTermination::ContinueAsNew(_)) => Some(WorkflowStatus::ContinuedAsNew),
        Err(WorkflowTermination::Failed(_)) => Some(WorkflowStatus::Failed),
        Err(WorkflowTermination::Evicted) => None,
    }
}
