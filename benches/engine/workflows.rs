//! The workflows of the load.
#![allow(clippy::unused_async, reason = "the macros want async functions")]

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use temporalio_macros::{activities, workflow, workflow_methods};
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use temporalio_sdk::{ActivityOptions, SyncWorkflowContext, WorkflowContext, WorkflowResult};

/// When something of a workflow ran, by its id: what a worker sees, and a client can only guess at.
static MOMENTS: LazyLock<Mutex<HashMap<String, Vec<Instant>>>> = LazyLock::new(Mutex::default);

fn note(id: &str) {
    let mut moments = MOMENTS.lock().unwrap_or_else(PoisonError::into_inner);
    moments.entry(id.to_owned()).or_default().push(Instant::now());
}

/// The moments noted so far; they are forgotten.
pub(crate) fn take_moments() -> HashMap<String, Vec<Instant>> {
    std::mem::take(&mut MOMENTS.lock().unwrap_or_else(PoisonError::into_inner))
}

fn options() -> ActivityOptions {
    ActivityOptions::start_to_close_timeout(Duration::from_mins(1))
}

/// What the workflows have done.
pub struct Deeds;

#[activities]
impl Deeds {
    #[activity]
    pub async fn echo(_ctx: ActivityContext, text: String) -> Result<String, ActivityError> {
        Ok(text)
    }

    /// Notes that a loop has come round.
    #[activity]
    pub async fn tick(ctx: ActivityContext) -> Result<(), ActivityError> {
        if let Some(id) = &ctx.info().workflow_id {
            note(id);
        }
        Ok(())
    }
}

/// One activity.
#[workflow]
#[derive(Default)]
pub struct One;

#[workflow_methods]
impl One {
    #[run]
    pub async fn run(ctx: &mut WorkflowContext<Self>, text: String) -> WorkflowResult<String> {
        Ok(ctx.execute_activity(Deeds::echo, text, options()).await?)
    }
}

/// A timer of one second and an activity, so many times.
#[workflow]
#[derive(Default)]
pub struct Ticks;

#[workflow_methods]
impl Ticks {
    #[run]
    pub async fn run(ctx: &mut WorkflowContext<Self>, times: u32) -> WorkflowResult<()> {
        for _ in 0..times {
            ctx.timer(Duration::from_secs(1)).await;
            ctx.execute_activity(Deeds::tick, (), options()).await?;
        }
        Ok(())
    }
}

/// Waits until it is told to end, and counts what it is told before.
#[workflow]
#[derive(Default)]
pub struct Waits {
    told: u32,
    ended: bool,
}

/// What the handle of a [`Waits`] is of.
pub(crate) type WaitsRun = waits::Run;

#[workflow_methods]
impl Waits {
    #[run]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<u32> {
        ctx.wait_condition(|waits| waits.ended).await?;
        Ok(ctx.state(|waits| waits.told))
    }

    #[signal]
    pub fn tell(&mut self, _ctx: &mut SyncWorkflowContext<Self>) {
        self.told += 1;
    }

    #[signal]
    pub fn end(&mut self, _ctx: &mut SyncWorkflowContext<Self>) {
        self.ended = true;
    }
}

/// Says when it runs for the first time, and ends. Not how a workflow is to be written: it looks at a clock.
#[workflow]
#[derive(Default)]
pub struct Stamps;

#[workflow_methods]
impl Stamps {
    #[run]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<()> {
        note(ctx.workflow_id());
        Ok(())
    }
}
