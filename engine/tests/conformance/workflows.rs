//! Workflows and activities that use each feature of the engine once.
#![allow(clippy::unused_self, clippy::trivially_copy_pass_by_ref, reason = "the macros say how a validator looks")]
#![allow(unreachable_pub, clippy::unused_async, reason = "the macros want public items and async functions")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use temporalio_common::RetryPolicy;
use temporalio_macros::{activities, workflow, workflow_methods};
use temporalio_sdk::{
    ActivityOptions, CancellableFuture, ChildWorkflowOptions, ContinueAsNewOptions, LocalActivityOptions,
    ParentClosePolicy, SignalWorkflowOptions, SyncWorkflowContext, WorkflowContext, WorkflowContextView,
    WorkflowResult,
    activities::{ActivityContext, ActivityError},
};

fn short() -> ActivityOptions {
    ActivityOptions::start_to_close_timeout(Duration::from_secs(10))
}

fn retried(attempts: u32) -> ActivityOptions {
    ActivityOptions::with_start_to_close_timeout(Duration::from_secs(10))
        .retry_policy(
            RetryPolicy::builder()
                .initial_interval(Duration::from_millis(50))
                .backoff_coefficient(1.0)
                .maximum_attempts(attempts)
                .build(),
        )
        .build()
}

/// Activities of the suite.
#[derive(Default)]
pub struct Deeds {
    calls: AtomicU32,
}

#[activities]
impl Deeds {
    #[activity]
    pub async fn echo(_ctx: ActivityContext, text: String) -> Result<String, ActivityError> {
        Ok(text)
    }

    /// Fails twice, then succeeds.
    #[activity]
    pub async fn third_time_lucky(self: Arc<Self>, _ctx: ActivityContext) -> Result<u32, ActivityError> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst) % 3;
        if call < 2 { Err(anyhow::anyhow!("not yet").into()) } else { Ok(call) }
    }

    #[activity]
    pub async fn fail(_ctx: ActivityContext) -> Result<(), ActivityError> {
        Err(anyhow::anyhow!("never").into())
    }

    /// Heartbeats until it is cancelled.
    #[activity]
    pub async fn wait_for_cancel(ctx: ActivityContext) -> Result<(), ActivityError> {
        loop {
            ctx.record_heartbeat("here").await?;
            tokio::select! {
                () = ctx.cancelled() => return Err(ActivityError::cancelled()),
                () = tokio::time::sleep(Duration::from_millis(50)) => {}
            }
        }
    }

    /// Stops heart-beating on its first attempt; the second knows what the first had told.
    #[activity]
    pub async fn lost_once(ctx: ActivityContext) -> Result<String, ActivityError> {
        if ctx.info().attempt == 1 {
            ctx.record_heartbeat("halfway").await?;
            tokio::time::sleep(Duration::from_secs(4)).await;
        }
        Ok(ctx.heartbeat_details().deserialize::<String>()?.unwrap_or_default())
    }
}

#[workflow]
#[derive(Default)]
pub struct Plain;

#[workflow_methods]
impl Plain {
    #[run]
    pub async fn run(ctx: &mut WorkflowContext<Self>, text: String) -> WorkflowResult<String> {
        Ok(ctx.execute_activity(Deeds::echo, text, short()).await?)
    }
}

#[workflow]
#[derive(Default)]
pub struct Retries;

#[workflow_methods]
impl Retries {
    #[run]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<u32> {
        let lucky = ctx.execute_activity(Deeds::third_time_lucky, (), retried(0)).await?;
        let failed = ctx.execute_activity(Deeds::fail, (), retried(2)).await;
        Ok(lucky + u32::from(failed.is_err()))
    }
}

#[workflow]
#[derive(Default)]
pub struct Timers;

#[workflow_methods]
impl Timers {
    #[run]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<String> {
        ctx.timer(Duration::from_millis(100)).await;
        let long = ctx.timer(Duration::from_mins(10));
        ctx.timer(Duration::from_millis(50)).await;
        long.cancel();
        let ended = long.await;
        let local = LocalActivityOptions::builder().start_to_close_timeout(Duration::from_secs(5)).build();
        let echoed = ctx.execute_local_activity(Deeds::echo, "near".to_owned(), local).await?;
        let patched = ctx.patched("new-way");
        Ok(format!("{ended:?} {echoed} {patched}"))
    }
}

#[workflow]
#[derive(Default)]
pub struct Signals {
    seen: Vec<String>,
}

#[workflow_methods]
impl Signals {
    #[run]
    pub async fn run(ctx: &mut WorkflowContext<Self>, wanted: usize) -> WorkflowResult<Vec<String>> {
        ctx.wait_condition(|s| s.seen.len() >= wanted).await?;
        Ok(ctx.state(|s| s.seen.clone()))
    }

    #[signal]
    pub fn note(&mut self, _ctx: &mut SyncWorkflowContext<Self>, text: String) {
        self.seen.push(text);
    }

    #[query]
    pub fn count(&self, _ctx: &WorkflowContextView) -> usize {
        self.seen.len()
    }
}

/// A sum that updates change, until it is large enough.
#[workflow]
#[derive(Default)]
pub struct Sums {
    sum: i32,
    over: bool,
}

#[workflow_methods]
impl Sums {
    #[run]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<i32> {
        ctx.wait_condition(|s| s.over).await?;
        Ok(ctx.state(|s| s.sum))
    }

    #[signal]
    pub fn finish(&mut self, _ctx: &mut SyncWorkflowContext<Self>) {
        self.over = true;
    }

    #[update_validator(add)]
    fn validate_add(
        &self,
        _ctx: &WorkflowContextView,
        number: &i32,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        if *number < 0 { Err("not less than nothing".into()) } else { Ok(()) }
    }

    #[update]
    pub fn add(&mut self, _ctx: &mut SyncWorkflowContext<Self>, number: i32) -> i32 {
        self.sum += number;
        self.sum
    }

    /// Is accepted at once, and completed later.
    #[update]
    pub async fn add_slowly(ctx: &mut WorkflowContext<Self>, number: i32) -> i32 {
        ctx.timer(Duration::from_millis(100)).await;
        let _ = ctx.execute_activity(Deeds::echo, "added".to_owned(), short()).await;
        ctx.state_mut(|s| s.sum += number);
        ctx.state(|s| s.sum)
    }

    /// Never comes to an end.
    #[update]
    pub async fn add_never(ctx: &mut WorkflowContext<Self>, number: i32) -> i32 {
        ctx.timer(Duration::from_hours(1)).await;
        number
    }
}

#[workflow]
#[derive(Default)]
pub struct Fails;

#[workflow_methods]
impl Fails {
    #[run]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<()> {
        ctx.execute_activity(Deeds::fail, (), retried(1)).await?;
        Ok(())
    }
}

#[workflow]
#[derive(Default)]
pub struct Parent;

#[workflow_methods]
impl Parent {
    #[run]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<String> {
        let id = ctx.workflow_id().to_owned();
        let good = ctx
            .start_child_workflow(
                Plain::run,
                "child".to_owned(),
                ChildWorkflowOptions::workflow_id(format!("{id}.good")),
            )
            .await?;
        let good = good.result().await?;
        let bad =
            ctx.start_child_workflow(Fails::run, (), ChildWorkflowOptions::workflow_id(format!("{id}.bad"))).await?;
        let bad = bad.result().await.is_err();
        let left = ChildWorkflowOptions::builder()
            .workflow_id(format!("{id}.left"))
            .parent_close_policy(ParentClosePolicy::Abandon)
            .build();
        let left = ctx.start_child_workflow(Signals::run, 1usize, left).await?;
        let doomed = ChildWorkflowOptions::workflow_id(format!("{id}.doomed"));
        ctx.start_child_workflow(Signals::run, 1usize, doomed).await?;
        let signalled =
            left.signal(Signals::note, "from parent".to_owned(), SignalWorkflowOptions::default()).await.is_ok();
        left.result().await?;
        let missing = ctx
            .external_workflow("nobody-of-that-name", None)
            .signal(Signals::note, "lost".to_owned(), SignalWorkflowOptions::default())
            .await
            .is_err();
        Ok(format!("{good} {bad} {signalled} {missing}"))
    }
}

#[workflow]
#[derive(Default)]
pub struct Continues;

#[workflow_methods]
impl Continues {
    #[run]
    pub async fn run(ctx: &mut WorkflowContext<Self>, left: u32) -> WorkflowResult<String> {
        ctx.timer(Duration::from_millis(1100)).await;
        if left > 0 {
            ctx.continue_as_new(left - 1, ContinueAsNewOptions::default())?;
        }
        Ok("done".to_owned())
    }
}

#[workflow]
#[derive(Default)]
pub struct Cancelled;

#[workflow_methods]
impl Cancelled {
    #[run]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<()> {
        let options = ActivityOptions::with_start_to_close_timeout(Duration::from_mins(1))
            .heartbeat_timeout(Duration::from_millis(400))
            .cancellation_type(temporalio_sdk::ActivityCancellationType::WaitCancellationCompleted)
            .build();
        ctx.execute_activity(Deeds::wait_for_cancel, (), options).await?;
        Ok(())
    }
}

#[workflow]
#[derive(Default)]
pub struct Heartbeats;

#[workflow_methods]
impl Heartbeats {
    #[run]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<String> {
        let options = ActivityOptions::with_start_to_close_timeout(Duration::from_mins(1))
            .heartbeat_timeout(Duration::from_secs(1))
            .retry_policy(
                RetryPolicy::builder().initial_interval(Duration::from_millis(50)).maximum_attempts(2).build(),
            )
            .build();
        Ok(ctx.execute_activity(Deeds::lost_once, (), options).await?)
    }
}

/// Fails until its third attempt.
#[workflow]
#[derive(Default)]
pub struct Persists;

#[workflow_methods]
impl Persists {
    #[run]
    pub async fn run(ctx: &mut WorkflowContext<Self>, text: String) -> WorkflowResult<String> {
        let attempt = ctx.info().attempt();
        if attempt < 3 {
            ctx.execute_activity(Deeds::fail, (), retried(1)).await?;
        }
        Ok(format!("{text} {attempt}"))
    }
}
