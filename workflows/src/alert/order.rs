//! What the workflow of a service wants done about its alerts: their workflows started, or told.

use std::collections::BTreeSet;
use std::time::Duration;

use dixmgr_model::RaisedAlert;
use serde::{Deserialize, Serialize};
use temporalio_sdk::{
    ChildWorkflowStartError, SignalWorkflowOptions, StartChildWorkflowExecutionFailedCause as Cause, WorkflowContext,
};

use super::{AlertInput, AlertWorkflow};
use crate::options;

/// How often, and how far apart, an alert is tried to be raised.
const TRIES: u32 = 60;
const PAUSE: Duration = Duration::from_secs(1);

/// Something to be done about an alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Order {
    /// It fires, or is of another severity.
    Raise(Box<AlertInput>),
    /// It is over.
    Resolve {
        /// Its workflow.
        workflow_id: String,
    },
    /// Its causes are others.
    Causes {
        /// Its workflow.
        workflow_id: String,
        /// The services that it comes from.
        causes: BTreeSet<String>,
    },
}

impl Order {
    /// Raises an alert.
    pub(crate) fn raise(raised: RaisedAlert, causes: BTreeSet<String>) -> Self {
        Self::Raise(Box::new(AlertInput { raised, causes, carried: None }))
    }
}

/// Carries one order out. An alert's workflow that does not run has nothing to be told.
pub(crate) async fn carry_out<W: 'static>(ctx: &WorkflowContext<W>, order: Order) {
    let signal = SignalWorkflowOptions::default();
    match order {
        Order::Raise(input) => raise(ctx, *input).await,
        Order::Resolve { workflow_id } => {
            _ = ctx.external_workflow(&workflow_id, None).signal(AlertWorkflow::resolve, (), signal).await;
        }
        Order::Causes { workflow_id, causes } => {
            _ = ctx.external_workflow(&workflow_id, None).signal(AlertWorkflow::causes, causes, signal).await;
        }
    }
}

/// Starts the alert's workflow, or tells the one that runs. Between the two it may end, so both are tried in turn.
async fn raise<W: 'static>(ctx: &WorkflowContext<W>, input: AlertInput) {
    let workflow_id = input.raised.workflow_id.clone();
    for _ in 0..TRIES {
        match ctx.start_child_workflow(AlertWorkflow::run, input.clone(), options::child(&workflow_id)).await {
            Ok(_) => return,
            Err(ChildWorkflowStartError::StartFailed { cause: Cause::WorkflowAlreadyExists, .. }) => {
                let alert = ctx.external_workflow(&workflow_id, None);
                if alert.signal(AlertWorkflow::raise, input.clone(), SignalWorkflowOptions::default()).await.is_ok() {
                    return;
                }
            }
            Err(error) => {
                if !ctx.is_replaying() {
                    tracing::warn!(target: "dixmgr::alert", %workflow_id, %error, "an alert could not be raised yet: {error}");
                }
            }
        }
        ctx.timer(PAUSE).await;
    }
    if !ctx.is_replaying() {
        tracing::error!(target: "dixmgr::alert", %workflow_id, "an alert could not be raised");
    }
}
