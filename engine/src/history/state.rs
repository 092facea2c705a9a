//! What an execution remembers besides its history, in the form in which it is stored.
//!
//! These are our own messages, encoded with prost like everything else in the store; a field, once released, keeps its
//! tag for ever. Times are nanoseconds since the epoch, 0 for "none".

use temporalio_common::protos::temporal::api::{
    common::v1::{ActivityType, Memo, Payloads, Priority, RetryPolicy, SearchAttributes},
    failure::v1::Failure,
    history::v1::{ActivityTaskScheduledEventAttributes, WorkflowExecutionStartedEventAttributes},
    sdk::v1::UserMetadata,
    workflow::v1::WorkflowExecutionVersioningInfo,
};

pub use super::{
    activity_control::ActivityPause,
    callback::CompletionCallback,
    effect::{Effect, SignalInput, Target},
    operation_state::{NexusCancellation, PendingOperation},
    pause::WorkflowPause,
};

/// Everything of an execution that is not one of its pending things.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct ExecutionInfo {
    /// Namespace, by name.
    #[prost(string, tag = "1")]
    pub namespace: String,
    /// Workflow id.
    #[prost(string, tag = "2")]
    pub workflow_id: String,
    /// Run id of this run.
    #[prost(string, tag = "3")]
    pub run_id: String,
    /// The start event's attributes without input and header, which stay in the history.
    #[prost(message, optional, tag = "4")]
    pub started: Option<WorkflowExecutionStartedEventAttributes>,
    /// `WorkflowExecutionStatus`.
    #[prost(int32, tag = "5")]
    pub status: i32,
    /// Id that the next event gets.
    #[prost(int64, tag = "6")]
    pub next_event_id: i64,
    /// When the run started.
    #[prost(int64, tag = "7")]
    pub start_time: i64,
    /// When the run may do its first workflow task (start delay).
    #[prost(int64, tag = "8")]
    pub execution_time: i64,
    /// When the run closed.
    #[prost(int64, tag = "9")]
    pub close_time: i64,
    /// Deadline of this run, 0 for none.
    #[prost(int64, tag = "10")]
    pub run_expiration: i64,
    /// Deadline of the whole chain of runs, 0 for none.
    #[prost(int64, tag = "11")]
    pub execution_expiration: i64,
    /// Bytes of history so far, encoded.
    #[prost(int64, tag = "12")]
    pub history_size: i64,
    /// Transactions so far.
    #[prost(int64, tag = "13")]
    pub state_transitions: i64,
    /// Whether cancellation was requested.
    #[prost(bool, tag = "14")]
    pub cancel_requested: bool,
    /// Request id of that cancellation.
    #[prost(string, tag = "15")]
    pub cancel_request_id: String,
    /// The workflow task that is scheduled or started, if any.
    #[prost(message, optional, tag = "16")]
    pub workflow_task: Option<WorkflowTask>,
    /// Attempt that the next workflow task will be.
    #[prost(int32, tag = "17")]
    pub workflow_task_attempt: i32,
    /// Started event of the last completed workflow task; what a sticky worker has seen.
    #[prost(int64, tag = "18")]
    pub last_started_event_id: i64,
    /// Sticky task queue of the worker that holds this execution in its cache; empty when none.
    #[prost(string, tag = "19")]
    pub sticky_queue: String,
    /// How long a task may wait on that queue, nanoseconds.
    #[prost(int64, tag = "20")]
    pub sticky_timeout: i64,
    /// Memo as it is now.
    #[prost(message, optional, tag = "21")]
    pub memo: Option<Memo>,
    /// Search attributes as they are now.
    #[prost(message, optional, tag = "22")]
    pub search_attributes: Option<SearchAttributes>,
    /// Request id of the start, for idempotent retries of it.
    #[prost(string, tag = "23")]
    pub start_request_id: String,
    /// Run that follows this one, once it has continued as new, failed with attempts left, or was one of a schedule.
    #[prost(string, tag = "24")]
    pub new_run_id: String,
    /// Initiated event in the parent, for a child.
    #[prost(int64, tag = "25")]
    pub parent_initiated_id: i64,
    /// Summary and details given at the start.
    #[prost(message, optional, tag = "26")]
    pub user_metadata: Option<UserMetadata>,
    /// Number of the next buffered event's row.
    #[prost(int64, tag = "27")]
    pub next_buffer_id: i64,
    /// Whether the first workflow task still waits for its start delay.
    #[prost(bool, tag = "28")]
    pub first_task_delayed: bool,
    /// Namespace, by id.
    #[prost(string, tag = "29")]
    pub namespace_id: String,
    /// Run in which this one goes on, once it has been reset.
    #[prost(string, tag = "30")]
    pub reset_run_id: String,
    /// When this run was made by a reset, 0 for a run that was not.
    #[prost(int64, tag = "31")]
    pub reset_time: i64,
    /// When the run with which its history begins started, 0 for a run that no reset has made.
    #[prost(int64, tag = "32")]
    pub original_start_time: i64,
    /// Request id of the reset that made this run.
    #[prost(string, tag = "33")]
    pub reset_request_id: String,
    /// Updates of a closed run, whose pending rows are gone.
    #[prost(message, repeated, tag = "34")]
    pub updates: Vec<UpdateInfo>,
    /// Who has paused the workflow, while it is paused; of a run that closed then, for ever.
    #[prost(message, optional, tag = "50")]
    pub pause: Option<WorkflowPause>,
    /// What is paused of the run, as listings show it. Not in the history: pausing an activity is no event.
    #[prost(string, repeated, tag = "51")]
    pub pauses: Vec<String>,
    /// Which version of workers it belongs to; none for those without versions.
    #[prost(message, optional, tag = "60")]
    pub versioning: Option<WorkflowExecutionVersioningInfo>,
    /// Who is told of its end.
    #[prost(message, repeated, tag = "70")]
    pub callbacks: Vec<CompletionCallback>,
    /// Request ids of starts that have found this run and were attached to it.
    #[prost(string, repeated, tag = "71")]
    pub attached_requests: Vec<String>,
}

/// A workflow task that is scheduled or started.
#[allow(clippy::struct_excessive_bools, reason = "a stored message only grows")]
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct WorkflowTask {
    /// Its scheduled event, or for a transient task (attempt > 1) the id that event will get.
    #[prost(int64, tag = "1")]
    pub scheduled_event_id: i64,
    /// Its started event likewise, 0 while it is not started.
    #[prost(int64, tag = "2")]
    pub started_event_id: i64,
    /// Attempt, from 1.
    #[prost(int32, tag = "3")]
    pub attempt: i32,
    /// When it was scheduled.
    #[prost(int64, tag = "4")]
    pub scheduled_time: i64,
    /// When it was started, 0 before.
    #[prost(int64, tag = "5")]
    pub started_time: i64,
    /// Longest time from start to close, nanoseconds.
    #[prost(int64, tag = "6")]
    pub timeout: i64,
    /// Poll request that started it.
    #[prost(string, tag = "7")]
    pub request_id: String,
    /// Worker that holds it.
    #[prost(string, tag = "8")]
    pub identity: String,
    /// Queue on which it waits.
    #[prost(string, tag = "9")]
    pub queue: String,
    /// Whether that queue is a sticky one.
    #[prost(bool, tag = "10")]
    pub sticky: bool,
    /// History size told to the worker.
    #[prost(int64, tag = "11")]
    pub history_size: i64,
    /// Whether the worker was told to continue as new.
    #[prost(bool, tag = "12")]
    pub suggest_continue_as_new: bool,
    /// First scheduling of a task that was heart-beaten by forced new tasks.
    #[prost(int64, tag = "13")]
    pub original_scheduled_time: i64,
    /// Whether the worker lives in this very process, so that it is gone when the process is.
    #[prost(bool, tag = "14")]
    pub in_process: bool,
    /// Whether it is speculative: it has no events, and is never stored, until something else makes it a normal one.
    #[prost(bool, tag = "15")]
    pub speculative: bool,
}

/// An activity that is scheduled or started.
#[allow(clippy::struct_excessive_bools, reason = "a stored message only grows")]
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct PendingActivity {
    /// Scheduled event's attributes without input and header.
    #[prost(message, optional, tag = "1")]
    pub scheduled: Option<ActivityTaskScheduledEventAttributes>,
    /// Its scheduled event.
    #[prost(int64, tag = "2")]
    pub scheduled_event_id: i64,
    /// When that was.
    #[prost(int64, tag = "3")]
    pub scheduled_time: i64,
    /// Attempt, from 1.
    #[prost(int32, tag = "4")]
    pub attempt: i32,
    /// When the current attempt was put on its queue (or will be, while it backs off).
    #[prost(int64, tag = "5")]
    pub attempt_scheduled_time: i64,
    /// When the current attempt was started, 0 while it is not.
    #[prost(int64, tag = "6")]
    pub started_time: i64,
    /// Poll request that started it.
    #[prost(string, tag = "7")]
    pub request_id: String,
    /// Worker of the last started attempt.
    #[prost(string, tag = "8")]
    pub identity: String,
    /// Whether the current attempt waits for its backoff to end.
    #[prost(bool, tag = "9")]
    pub backing_off: bool,
    /// Last heartbeat of the current attempt, 0 for none.
    #[prost(int64, tag = "10")]
    pub last_heartbeat_time: i64,
    /// Details of the last heartbeat, kept over attempts.
    #[prost(message, optional, tag = "11")]
    pub heartbeat_details: Option<Payloads>,
    /// Why the last attempt failed.
    #[prost(message, optional, tag = "12")]
    pub last_failure: Option<Failure>,
    /// Event of the request to cancel it, 0 for none.
    #[prost(int64, tag = "13")]
    pub cancel_requested_event_id: i64,
    /// Whether the worker lives in this very process.
    #[prost(bool, tag = "14")]
    pub in_process: bool,
    /// When the last attempt ended, 0 for never.
    #[prost(int64, tag = "15")]
    pub last_attempt_complete_time: i64,
    /// Who has paused it, while it is paused.
    #[prost(message, optional, tag = "30")]
    pub pause: Option<ActivityPause>,
    /// Whether it was reset while its worker held it, which the worker is told.
    #[prost(bool, tag = "31")]
    pub reset: bool,
    /// Whether the next attempt begins without the details of a heartbeat.
    #[prost(bool, tag = "32")]
    pub reset_heartbeat: bool,
}

/// A timer that has not fired.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct PendingTimer {
    /// The workflow's name for it.
    #[prost(string, tag = "1")]
    pub timer_id: String,
    /// Its started event.
    #[prost(int64, tag = "2")]
    pub started_event_id: i64,
    /// When it fires.
    #[prost(int64, tag = "3")]
    pub fire_time: i64,
}

/// A child workflow that has not closed.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct PendingChild {
    /// Its initiated event.
    #[prost(int64, tag = "1")]
    pub initiated_event_id: i64,
    /// Its started event, 0 before.
    #[prost(int64, tag = "2")]
    pub started_event_id: i64,
    /// Workflow id.
    #[prost(string, tag = "3")]
    pub workflow_id: String,
    /// Run id, once started.
    #[prost(string, tag = "4")]
    pub run_id: String,
    /// Workflow type.
    #[prost(string, tag = "5")]
    pub workflow_type: String,
    /// `ParentClosePolicy`.
    #[prost(int32, tag = "6")]
    pub parent_close_policy: i32,
}

/// A signal to, or cancellation of, another execution that is under way.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct PendingExternal {
    /// Its initiated event.
    #[prost(int64, tag = "1")]
    pub initiated_event_id: i64,
}

/// Request id of a signal that was taken, so that a repeated request is not a second signal.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct SeenRequest {
    /// The request id.
    #[prost(string, tag = "1")]
    pub request_id: String,
}

/// An update that the workflow has accepted.
#[derive(Clone, PartialEq, Eq, ::prost::Message)]
pub struct UpdateInfo {
    /// The update id.
    #[prost(string, tag = "1")]
    pub update_id: String,
    /// Its accepted event.
    #[prost(int64, tag = "2")]
    pub accepted_event_id: i64,
    /// Its completed event, which has the outcome; 0 before.
    #[prost(int64, tag = "3")]
    pub completed_event_id: i64,
}

/// Kinds of rows that hang off an execution in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum PendingKind {
    /// [`PendingActivity`], by scheduled event.
    Activity = 1,
    /// [`PendingTimer`], by started event.
    Timer = 2,
    /// [`PendingChild`], by initiated event.
    Child = 3,
    /// [`PendingExternal`] signal, by initiated event.
    Signal = 4,
    /// [`PendingExternal`] cancellation, by initiated event.
    Cancel = 5,
    /// A buffered [`HistoryEvent`], by running number.
    Buffered = 6,
    /// [`SeenRequest`], by running number.
    SeenRequest = 7,
    /// [`UpdateInfo`], by accepted event.
    Update = 8,
    /// [`PendingOperation`], by scheduled event.
    Operation = 9,
}

impl PendingKind {
    /// The kinds of which a history says all: what is pending of them follows from it.
    pub const OF_HISTORY: [Self; 7] =
        [Self::Activity, Self::Timer, Self::Child, Self::Signal, Self::Cancel, Self::Update, Self::Operation];
}

impl WorkflowTask {
    /// Whether the history does not hold its events, as those of a transient and of a speculative task.
    pub fn is_unwritten(&self) -> bool {
        self.attempt > 1 || self.speculative
    }
}

impl PendingActivity {
    /// The activity id that the workflow gave it.
    pub fn activity_id(&self) -> &str {
        self.scheduled.as_ref().map_or("", |s| s.activity_id.as_str())
    }

    /// Its type.
    pub fn activity_type(&self) -> Option<&ActivityType> {
        self.scheduled.as_ref().and_then(|s| s.activity_type.as_ref())
    }

    /// Its own priority.
    pub fn priority(&self) -> Option<&Priority> {
        self.scheduled.as_ref()?.priority.as_ref()
    }

    /// Its retry policy; the server always gives one.
    pub fn retry_policy(&self) -> Option<&RetryPolicy> {
        self.scheduled.as_ref().and_then(|s| s.retry_policy.as_ref())
    }

    /// Its task queue.
    pub fn task_queue(&self) -> &str {
        self.scheduled.as_ref().and_then(|s| s.task_queue.as_ref()).map_or("", |q| q.name.as_str())
    }

    /// Whether an attempt is under way.
    pub fn is_started(&self) -> bool {
        self.started_time != 0
    }
}
