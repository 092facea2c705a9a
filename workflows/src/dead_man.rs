//! `DeadManWorkflow`: somebody outside is told again and again that all is well, and notices when that ends.
//!
//! Each word is an activity after a durable timer, so it takes all that a message about an alert takes: the engine, its timers, a
//! worker, the way out. Whether services are looked at is for the activity to find out.
#![allow(missing_docs, reason = "workflow_methods expands every method to an undocumented constant")]

use std::time::Duration;

use dixmgr_activities::api::{DeadManRequest, ServiceActivities};
use dixmgr_model::duration;
use serde::{Deserialize, Serialize};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::workflows::select;
use temporalio_sdk::{
    ContinueAsNewOptions, SyncWorkflowContext, TimerOptions, WorkflowContext, WorkflowContextView, WorkflowResult,
    WorkflowTermination,
};

use crate::options;
use crate::service::Slot;

/// Input of [`DeadManWorkflow`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadManInput {
    /// Time between two words; nothing ends the workflow.
    #[serde(with = "duration")]
    pub interval: Duration,
}

/// Says again and again that all is well.
#[workflow]
#[derive(Debug)]
pub struct DeadManWorkflow {
    interval: Duration,
    /// It was told of another interval.
    changed: bool,
}

#[workflow_methods]
impl DeadManWorkflow {
    /// Begins with an interval.
    #[init]
    pub fn new(_ctx: &WorkflowContextView, input: DeadManInput) -> Self {
        Self { interval: input.interval, changed: false }
    }

    /// Stays until it is told to end.
    ///
    /// # Errors
    /// Only how Temporal spells a new run and a cancellation.
    #[run]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<()> {
        loop {
            let interval = ctx.state_mut(|this| {
                this.changed = false;
                this.interval
            });
            if interval.is_zero() {
                return Ok(());
            }
            if ctx.continue_as_new_suggested() {
                match ctx.continue_as_new(DeadManInput { interval }, ContinueAsNewOptions::default())? {}
            }
            if !say(&*ctx, interval).await {
                return Err(WorkflowTermination::cancelled());
            }
        }
    }

    /// The interval is another one from now on.
    #[signal]
    pub fn configure(&mut self, _ctx: &mut SyncWorkflowContext<Self>, input: DeadManInput) {
        self.changed = self.interval != input.interval;
        self.interval = input.interval;
    }
}

/// Says it once, and waits. False when cancelled.
async fn say(ctx: &WorkflowContext<DeadManWorkflow>, interval: Duration) -> bool {
    let token = ctx.cancellation_token().child_token();
    let request = DeadManRequest { interval };
    let said = ctx.execute_activity(ServiceActivities::dead_man_ping, request, options::dead_man(interval, token));
    if let Err(error) = said.await
        && !ctx.is_replaying()
    {
        tracing::warn!(target: "dixmgr::alert", %error, "the dead-man ping was not sent: {error}");
    }
    let token = ctx.cancellation_token().child_token();
    let timer = ctx.timer(TimerOptions::builder(interval).cancellation_token(token.clone()).build());
    let mut slot = Slot::empty();
    slot.fill(token, async { _ = timer.await });
    select! {
        waited = ctx.wait_condition(|this: &DeadManWorkflow| this.changed) => if waited.is_err() {
            return false;
        },
        () = &mut slot.future => {}
    }
    slot.cancel();
    true
}
