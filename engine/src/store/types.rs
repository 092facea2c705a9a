//! The rows that the store keeps, as its callers see them. Blobs are opaque here: what is in them is known to the
//! layers above.

use std::collections::BTreeMap;

use crate::clock::Timestamp;

/// The row id of one run, unique in this store. Assigned by [`Store::next_key`](super::Store::next_key).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExecutionKey(pub i64);

/// What a pending row is about (an activity, a timer, a child, …). The numbers belong to the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PendingKind(pub u8);

/// One thing that an open run waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingRow {
    /// What kind of thing it is.
    pub kind: PendingKind,
    /// Its identity within the run and kind, such as the id of its scheduling event.
    pub id: i64,
    /// Its state, encoded by the caller.
    pub data: Vec<u8>,
}

/// One run, as it is written and read as a whole.
#[derive(Clone, Debug, PartialEq)]
pub struct ExecutionRow {
    /// Its row id.
    pub key: ExecutionKey,
    /// Name of the namespace it runs in.
    pub namespace: String,
    /// Its workflow id.
    pub workflow_id: String,
    /// Its run id.
    pub run_id: String,
    /// Its mutable state, encoded by the caller.
    pub state: Vec<u8>,
    /// What listing shows and filters by.
    pub visibility: VisibilityRow,
}

/// One open run, as it is read at start-up. Its visibility is read with
/// [`Store::load_execution`](super::Store::load_execution) where it is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenExecution {
    /// Its row id.
    pub key: ExecutionKey,
    /// Name of the namespace it runs in.
    pub namespace: String,
    /// Its workflow id.
    pub workflow_id: String,
    /// Its run id.
    pub run_id: String,
    /// Its mutable state, encoded by the caller.
    pub state: Vec<u8>,
    /// What it waits for, in the order of kind and id.
    pub pending: Vec<PendingRow>,
}

/// What listing shows of a run and filters by.
///
/// The run is open exactly as long as `close_time` is `None`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VisibilityRow {
    /// Name of the workflow type.
    pub workflow_type: String,
    /// Name of the task queue.
    pub task_queue: String,
    /// Number of `temporal.api.enums.v1.WorkflowExecutionStatus`.
    pub status: i32,
    /// When the run was started.
    pub start_time: Timestamp,
    /// When its first workflow task may run: `start_time` plus the start delay or cron backoff.
    pub execution_time: Timestamp,
    /// When it closed; `None` while it is open.
    pub close_time: Option<Timestamp>,
    /// Events in its history.
    pub history_length: i64,
    /// Bytes in its history.
    pub history_size_bytes: i64,
    /// Transitions that its mutable state went through.
    pub state_transition_count: i64,
    /// The run that started it as a child.
    pub parent: Option<RunRef>,
    /// The run at the top of its tree of children.
    pub root: Option<RunRef>,
    /// The memo, encoded by the caller.
    pub memo: Vec<u8>,
    /// Search attributes, for filters.
    pub search_attributes: BTreeMap<String, SearchValue>,
    /// The same search attributes, encoded by the caller in the form that clients are shown.
    pub encoded_search_attributes: Vec<u8>,
}

/// Names a run of the same namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunRef {
    /// Its workflow id.
    pub workflow_id: String,
    /// Its run id.
    pub run_id: String,
}

/// The value of a search attribute. A `NaN` and an empty list count as unset.
#[derive(Clone, Debug, PartialEq)]
pub enum SearchValue {
    /// Compared as a whole.
    Keyword(String),
    /// Compared word by word, without regard to case.
    Text(String),
    /// A whole number.
    Int(i64),
    /// A number.
    Double(f64),
    /// True or false.
    Bool(bool),
    /// An instant.
    Datetime(Timestamp),
    /// A set of keywords; a filter matches when one of them does.
    KeywordList(Vec<String>),
}

/// One result of a listing.
#[derive(Clone, Debug, PartialEq)]
pub struct VisibilityHit {
    /// Its workflow id.
    pub workflow_id: String,
    /// Its run id.
    pub run_id: String,
    /// Everything else that a listing shows.
    pub row: VisibilityRow,
}

/// One page of a listing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// The hits, in the order of the query.
    pub hits: Vec<VisibilityHit>,
    /// Where the next page begins; empty after the last one.
    pub next_page_token: Vec<u8>,
}

/// How many runs a query matches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// All that match.
    pub total: i64,
    /// Where the query says `GROUP BY`: what the runs of a group have in common, and how many they are, in order.
    pub groups: Vec<(Group, i64)>,
}

/// What the runs of a group have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Group {
    /// Number of `temporal.api.enums.v1.WorkflowExecutionStatus`.
    Status(i32),
    /// The division of the namespace; none for most.
    Division(Option<String>),
}

/// Where a run was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundRun {
    /// Its row id.
    pub key: ExecutionKey,
    /// Its run id.
    pub run_id: String,
    /// Whether it is still open.
    pub open: bool,
}

/// Consecutive events of one history, written together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryBatch {
    /// Id of the first event.
    pub first_event_id: i64,
    /// Id of the last event.
    pub last_event_id: i64,
    /// The events, encoded by the caller.
    pub events: Vec<u8>,
}

/// How much of a history one read may return. A read that finds anything returns at least one batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryLimit {
    /// Most batches.
    pub batches: usize,
    /// Most bytes of encoded events; the first batch may be larger.
    pub bytes: usize,
}

impl HistoryLimit {
    /// No limit: the whole history.
    pub const NONE: Self = Self { batches: usize::MAX, bytes: usize::MAX };
}

/// A schedule. The caller keeps all of them in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleRow {
    /// Name of the namespace it is in.
    pub namespace: String,
    /// Its id, unique in its namespace.
    pub schedule_id: String,
    /// Its state, encoded by the caller.
    pub data: Vec<u8>,
}

/// A batch operation. The caller keeps all of them in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchJobRow {
    /// Name of the namespace it is in.
    pub namespace: String,
    /// Its id, unique in its namespace.
    pub job_id: String,
    /// Its state, encoded by the caller.
    pub data: Vec<u8>,
}

/// A run of an activity that stands alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActivityRow {
    /// Its row id, of one sequence with those of [`ExecutionKey`].
    pub key: i64,
    /// Name of the namespace it runs in.
    pub namespace: String,
    /// Its activity id.
    pub activity_id: String,
    /// Its run id.
    pub run_id: String,
    /// When it closed; `None` while it is open.
    pub close_time: Option<Timestamp>,
    /// Its state, encoded by the caller.
    pub data: Vec<u8>,
}

/// A worker deployment with its versions. The caller keeps all of them in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeploymentRow {
    /// Name of the namespace it is in.
    pub namespace: String,
    /// Its name, unique in its namespace.
    pub name: String,
    /// Its state, encoded by the caller.
    pub data: Vec<u8>,
}

/// A namespace. All of them are small and few; the caller keeps them in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamespaceRow {
    /// Its name, unique.
    pub name: String,
    /// Its description and configuration, encoded by the caller.
    pub data: Vec<u8>,
}

/// A Nexus endpoint. The caller keeps all of them in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointRow {
    /// Its id.
    pub id: String,
    /// The endpoint, opaque; `None` to forget it.
    pub data: Option<Vec<u8>>,
}

/// What an operator has set of a task queue. The caller keeps all of it in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskQueueRow {
    /// Namespace, by name.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// 0: workflow tasks, 1: activity tasks, 2: requests to Nexus handlers.
    pub kind: u8,
    /// The settings, opaque; `None` to forget them.
    pub data: Option<Vec<u8>>,
}
