//! `OwnWorkflow`: alerts about dixmgr itself are raised, and told, like those of services.
#![allow(missing_docs, reason = "workflow_methods expands every method to an undocumented constant")]

use std::collections::BTreeSet;
use std::time::Duration;

use dixmgr_activities::api::{ServiceActivities, WatchOwnRequest};
use serde::{Deserialize, Serialize};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::{
    ActivityExecutionError, ContinueAsNewOptions, WorkflowContext, WorkflowContextView, WorkflowResult,
    WorkflowTermination,
};

use crate::alert::order::carry_out;
use crate::options;
use crate::service::ServiceAlerts;

/// Wait before a watch that failed for good is started once more.
const RETRY: Duration = Duration::from_secs(30);

/// Input of [`OwnWorkflow`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct OwnInput {
    /// What fires, from the run before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carried: Option<ServiceAlerts>,
}

/// Watches dixmgr itself.
#[workflow]
#[derive(Debug)]
pub struct OwnWorkflow {
    alerts: ServiceAlerts,
}

#[workflow_methods]
impl OwnWorkflow {
    /// Begins with what fires.
    #[init]
    pub fn new(_ctx: &WorkflowContextView, input: OwnInput) -> Self {
        Self { alerts: input.carried.unwrap_or_default() }
    }

    /// Stays until it is cancelled.
    ///
    /// # Errors
    /// Only how Temporal spells a new run and a cancellation.
    #[run]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<()> {
        loop {
            while let Some(order) = ctx.state_mut(|this| this.alerts.next_order()) {
                carry_out(&*ctx, order).await;
            }
            if ctx.continue_as_new_suggested() {
                let carried = Some(ctx.state(|this| this.alerts.clone()));
                match ctx.continue_as_new(OwnInput { carried }, ContinueAsNewOptions::default())? {}
            }
            watch(ctx).await?;
        }
    }
}

/// Waits until the alerts that fire are others.
async fn watch(ctx: &mut WorkflowContext<OwnWorkflow>) -> Result<(), WorkflowTermination> {
    let request = WatchOwnRequest { alerts: ctx.state(|this| this.alerts.known()) };
    let token = ctx.cancellation_token().child_token();
    match ctx.execute_activity(ServiceActivities::watch_own, request, options::watch(token)).await {
        Ok(changes) => ctx.state_mut(|this| this.alerts.take(changes, BTreeSet::new())),
        Err(ActivityExecutionError::Cancelled(_)) => return Err(WorkflowTermination::cancelled()),
        Err(error) => {
            if !ctx.is_replaying() {
                tracing::warn!(target: "dixmgr::alert", %error, "dixmgr cannot look at itself: {error}");
            }
            ctx.timer(RETRY).await;
        }
    }
    Ok(())
}
