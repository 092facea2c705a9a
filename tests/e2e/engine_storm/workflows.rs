//! The workflows of the storm: signals, timers, activities and children, all of which count.
#![allow(clippy::unused_async, unreachable_pub, reason = "the macros want async and public functions")]

use std::collections::VecDeque;
use std::time::Duration;

use temporalio_common::RetryPolicy;
use temporalio_macros::{activities, workflow, workflow_methods};
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use temporalio_sdk::{
    ActivityOptions, ChildWorkflowOptions, SyncWorkflowContext, WorkflowContext, WorkflowContextView, WorkflowResult,
};

/// What the workflows have done.
pub struct Deeds;

#[activities]
impl Deeds {
    /// Enters a number into the book: gives it back.
    #[activity]
    pub async fn enter(_ctx: ActivityContext, number: u32) -> Result<u32, ActivityError> {
        Ok(number)
    }
}

/// How long a task may take: one that was handed out by an engine that died before its worker heard of it is tried again then.
pub const LOST: Duration = Duration::from_secs(1);

fn patient() -> ActivityOptions {
    let retry = RetryPolicy::builder().initial_interval(LOST / 10).maximum_interval(LOST).build();
    ActivityOptions::with_start_to_close_timeout(LOST).retry_policy(retry).build()
}

/// A book of the numbers that it is told, in their order. Complete when it has as many as it is asked for.
#[workflow]
pub struct Book {
    size: usize,
    told: VecDeque<u32>,
}

#[workflow_methods]
impl Book {
    #[init]
    pub fn new(_view: &WorkflowContextView, size: usize) -> Self {
        Self { size, told: VecDeque::new() }
    }

    #[run]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<Vec<u32>> {
        let (size, mut entered) = (ctx.state(|book| book.size), Vec::new());
        while entered.len() < size {
            ctx.wait_condition(|book| !book.told.is_empty()).await?;
            let Some(number) = ctx.state_mut(|book| book.told.pop_front()) else { continue };
            ctx.timer(Duration::from_millis(1 + u64::from(number % 3))).await;
            let number = if number % 4 == 0 {
                let options = ChildWorkflowOptions::builder()
                    .workflow_id(format!("{}-{number}", ctx.workflow_id()))
                    .task_timeout(LOST)
                    .build();
                ctx.start_child_workflow(Page::run, number, options).await?.result().await?
            } else {
                ctx.execute_activity(Deeds::enter, number, patient()).await?
            };
            entered.push(number);
        }
        Ok(entered)
    }

    /// Tells a number.
    #[signal]
    pub fn tell(&mut self, _ctx: &mut SyncWorkflowContext<Self>, number: u32) {
        self.told.push_back(number);
    }
}

/// A child that enters one number.
#[workflow]
#[derive(Default)]
pub struct Page;

#[workflow_methods]
impl Page {
    #[run]
    pub async fn run(ctx: &mut WorkflowContext<Self>, number: u32) -> WorkflowResult<u32> {
        Ok(ctx.execute_activity(Deeds::enter, number, patient()).await?)
    }
}
