//! Opaque tokens that clients carry back to us.

use prost::Message;
use tonic::Status;

/// Names a task that a worker holds.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct TaskToken {
    /// The execution.
    #[prost(int64, tag = "1")]
    pub(crate) key: i64,
    /// Scheduled event of the workflow task or activity.
    #[prost(int64, tag = "2")]
    pub(crate) scheduled_event_id: i64,
    /// Started event of the workflow task.
    #[prost(int64, tag = "3")]
    pub(crate) started_event_id: i64,
    /// The attempt.
    #[prost(int32, tag = "4")]
    pub(crate) attempt: i32,
    /// The query, for a query task.
    #[prost(uint64, tag = "5")]
    pub(crate) query_id: u64,
    /// Whether it is an activity's.
    #[prost(bool, tag = "6")]
    pub(crate) activity: bool,
    /// When the workflow task was started: a speculative task may leave its event ids to the next.
    #[prost(int64, tag = "7")]
    pub(crate) started_time: i64,
    /// The id of an activity that stands alone, empty for one of a workflow.
    #[prost(string, tag = "8")]
    pub(crate) standalone: String,
    /// Whether it is of a request to a Nexus handler.
    #[prost(bool, tag = "9")]
    pub(crate) nexus: bool,
    /// Whether that is to cancel the operation.
    #[prost(bool, tag = "10")]
    pub(crate) cancel: bool,
}

/// Names the next page of a history.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct HistoryToken {
    /// The execution.
    #[prost(int64, tag = "1")]
    pub(crate) key: i64,
    /// First event of the page.
    #[prost(int64, tag = "2")]
    pub(crate) next_event_id: i64,
    /// Last event of the history as it was at the first page; 0 for as far as it goes.
    #[prost(int64, tag = "3")]
    pub(crate) last_event_id: i64,
    /// Whether the events of a transient workflow task follow.
    #[prost(bool, tag = "4")]
    pub(crate) transient: bool,
    /// The run, for a check.
    #[prost(string, tag = "5")]
    pub(crate) run_id: String,
}

/// A token that clients carry.
pub(crate) trait Token: Message + Default {
    /// Its bytes.
    fn to_bytes(&self) -> Vec<u8> {
        self.encode_to_vec()
    }

    /// The token in `bytes`.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT`: not one of ours.
    fn read(bytes: &[u8]) -> Result<Self, Status> {
        if bytes.is_empty() {
            return Err(Status::invalid_argument("Task token not set on request."));
        }
        <Self as Message>::decode(bytes).map_err(|_| Status::invalid_argument("Invalid TaskToken."))
    }
}

impl Token for TaskToken {}
impl Token for HistoryToken {}
