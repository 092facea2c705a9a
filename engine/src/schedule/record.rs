//! What a schedule remembers, in the form in which it is stored. A field, once released, keeps its tag for ever. Times are
//! nanoseconds since the epoch.

use temporalio_common::protos::temporal::api::{
    common::v1::{Memo, Payloads, SearchAttributes},
    enums::v1::ScheduleOverlapPolicy,
    failure::v1::Failure,
    schedule::v1::{ScheduleInfo, SchedulePolicies, ScheduleSpec, ScheduleState},
    workflow::v1::NewWorkflowExecutionInfo,
};

/// A schedule.
#[derive(Clone, PartialEq, ::prost::Message)]
pub(crate) struct Record {
    /// Namespace, by name.
    #[prost(string, tag = "1")]
    pub(crate) namespace: String,
    /// Namespace, by id.
    #[prost(string, tag = "2")]
    pub(crate) namespace_id: String,
    /// Id of the schedule, unique in its namespace.
    #[prost(string, tag = "3")]
    pub(crate) schedule_id: String,
    /// When it comes due, in canonical form.
    #[prost(message, required, tag = "4")]
    pub(crate) spec: ScheduleSpec,
    /// What it starts then, if anything.
    #[prost(message, optional, tag = "5")]
    pub(crate) action: Option<NewWorkflowExecutionInfo>,
    /// How it deals with overlaps, delays and failures; complete.
    #[prost(message, required, tag = "6")]
    pub(crate) policies: SchedulePolicies,
    /// Whether it is paused, and how many starts are left.
    #[prost(message, required, tag = "7")]
    pub(crate) state: ScheduleState,
    /// What has come of it so far.
    #[prost(message, required, tag = "8")]
    pub(crate) info: ScheduleInfo,
    /// Counts the changes that an update may not overlook.
    #[prost(int64, tag = "9")]
    pub(crate) conflict_token: i64,
    /// Up to when the specification has been looked at.
    #[prost(int64, tag = "10")]
    pub(crate) looked_at: i64,
    /// Starts that wait for their turn.
    #[prost(message, repeated, tag = "11")]
    pub(crate) waiting: Vec<Waiting>,
    /// Backfills under way, in the order in which they were asked for.
    #[prost(message, repeated, tag = "12")]
    pub(crate) backfills: Vec<Backfill>,
    /// Result of the last run that had one.
    #[prost(message, optional, tag = "13")]
    pub(crate) last_result: Option<Payloads>,
    /// Failure of the run after that, if it failed.
    #[prost(message, optional, tag = "14")]
    pub(crate) last_failure: Option<Failure>,
    /// The schedule's own memo.
    #[prost(message, optional, tag = "15")]
    pub(crate) memo: Option<Memo>,
    /// The schedule's own search attributes.
    #[prost(message, optional, tag = "16")]
    pub(crate) search_attributes: Option<SearchAttributes>,
    /// The request that created it.
    #[prost(string, tag = "17")]
    pub(crate) create_request_id: String,
    /// Requests that have changed it, the latest last.
    #[prost(string, repeated, tag = "18")]
    pub(crate) seen_requests: Vec<String>,
}

/// A start that waits for its turn.
#[derive(Clone, PartialEq, ::prost::Message)]
pub(crate) struct Waiting {
    /// The time that the specification says.
    #[prost(int64, tag = "1")]
    pub(crate) nominal: i64,
    /// That time with its jitter.
    #[prost(int64, tag = "2")]
    pub(crate) actual: i64,
    /// What the request for it says of overlaps; nothing for the schedule's own policy.
    #[prost(enumeration = "ScheduleOverlapPolicy", tag = "3")]
    pub(crate) overlap_policy: i32,
    /// Whether a client has asked for it: a pause does not hold it back then.
    #[prost(bool, tag = "4")]
    pub(crate) manual: bool,
}

/// A stretch of time whose starts are made up for.
#[derive(Clone, PartialEq, ::prost::Message)]
pub(crate) struct Backfill {
    /// What is left begins after this.
    #[prost(int64, tag = "1")]
    pub(crate) after: i64,
    /// Its last instant.
    #[prost(int64, tag = "2")]
    pub(crate) end: i64,
    /// What the request says of overlaps; nothing for the schedule's own policy.
    #[prost(enumeration = "ScheduleOverlapPolicy", tag = "3")]
    pub(crate) overlap_policy: i32,
}
