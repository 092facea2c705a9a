//! An activity that stands alone, described; a describer may wait until it has moved on.

use prost::Message as _;
use temporalio_common::protos::temporal::api::{
    activity::v1::ActivityExecutionInfo,
    workflowservice::v1::{DescribeActivityExecutionRequest, DescribeActivityExecutionResponse},
};
use tonic::Status;

use super::{Service, search_attributes::shown, standalone::check_ids};
use crate::{
    core::Core,
    history::time::{duration, from_duration, timestamp},
    standalone::Record,
};

/// How far a describer has seen an activity move on.
#[derive(Clone, PartialEq, Eq, prost::Message)]
struct LongPollToken {
    #[prost(int64, tag = "1")]
    transitions: i64,
}

impl Service {
    pub(super) async fn describe_activity_execution(
        &self,
        request: DescribeActivityExecutionRequest,
    ) -> Result<DescribeActivityExecutionResponse, Status> {
        check_ids(&request.activity_id, &request.run_id)?;
        let seen = match request.long_poll_token.as_slice() {
            [] => None,
            _ if request.run_id.is_empty() => {
                return Err(Status::invalid_argument("run id is required when long poll token is provided"));
            }
            token => {
                let token = LongPollToken::decode(token);
                Some(token.map_err(|_| Status::invalid_argument("invalid long poll token"))?.transitions)
            }
        };
        let (namespace, activity_id, run_id) =
            (request.namespace.clone(), request.activity_id.clone(), request.run_id.clone());
        let Some((key, record)) = self.look_until(namespace, activity_id, run_id, seen).await? else {
            return Ok(DescribeActivityExecutionResponse::default());
        };
        self.core
            .call(move |core, reply| {
                core.reply_with(reply, move |core| described(core, key, record, &request));
            })
            .await
    }
}

fn described(
    core: &Core,
    key: i64,
    record: Record,
    request: &DescribeActivityExecutionRequest,
) -> Result<DescribeActivityExecutionResponse, Status> {
    let input = if request.include_input { core.activity_input(key)? } else { None };
    let mut info = info(core, &record);
    if !request.include_heartbeat_details {
        info.heartbeat_details = None;
    }
    if !request.include_last_failure {
        info.last_failure = None;
    }
    Ok(DescribeActivityExecutionResponse {
        run_id: record.run_id.clone(),
        input,
        long_poll_token: LongPollToken { transitions: record.transitions }.encode_to_vec(),
        info: Some(info),
        outcome: record.outcome.filter(|_| request.include_outcome),
        ..Default::default()
    })
}

fn info(core: &Core, record: &Record) -> ActivityExecutionInfo {
    let activity = &record.activity;
    let scheduled = activity.scheduled.clone().unwrap_or_default();
    let limit = from_duration(scheduled.schedule_to_close_timeout.as_ref());
    let waits = record.is_open() && activity.backing_off && !activity.is_paused();
    let retries = waits && activity.attempt > 1;
    let search_attributes = record.search_attributes.clone().unwrap_or_default();
    ActivityExecutionInfo {
        activity_id: scheduled.activity_id,
        run_id: record.run_id.clone(),
        activity_type: scheduled.activity_type,
        status: record.shown_status().into(),
        run_state: record.run_state().into(),
        task_queue: scheduled.task_queue.map(|queue| queue.name).unwrap_or_default(),
        schedule_to_close_timeout: scheduled.schedule_to_close_timeout,
        schedule_to_start_timeout: scheduled.schedule_to_start_timeout,
        start_to_close_timeout: scheduled.start_to_close_timeout,
        heartbeat_timeout: scheduled.heartbeat_timeout,
        retry_policy: scheduled.retry_policy,
        heartbeat_details: activity.heartbeat_details.clone(),
        last_heartbeat_time: timestamp(activity.last_heartbeat_time),
        last_started_time: timestamp(activity.started_time.max(record.last_started_time)),
        attempt: activity.attempt,
        execution_duration: execution_duration(record),
        schedule_time: timestamp(record.schedule_time),
        expiration_time: (limit != 0).then(|| timestamp(activity.scheduled_time.saturating_add(limit))).flatten(),
        close_time: timestamp(record.close_time),
        last_failure: activity.last_failure.clone(),
        last_worker_identity: activity.identity.clone(),
        current_retry_interval: retries
            .then(|| duration(activity.attempt_scheduled_time - activity.last_attempt_complete_time))
            .flatten(),
        last_attempt_complete_time: timestamp(activity.last_attempt_complete_time),
        next_attempt_schedule_time: waits.then(|| timestamp(activity.attempt_scheduled_time)).flatten(),
        priority: scheduled.priority,
        state_transition_count: record.transitions,
        state_size_bytes: i64::try_from(record.encoded_len()).unwrap_or(i64::MAX),
        search_attributes: Some(shown(search_attributes, &core.schema(&record.namespace))),
        header: record.header.clone(),
        user_metadata: record.user_metadata.clone(),
        canceled_reason: record.cancel_reason.clone(),
        links: record.links.clone(),
        total_heartbeat_count: record.heartbeats,
        start_delay: Some(activity.scheduled_time - record.schedule_time)
            .filter(|delay| *delay != 0)
            .and_then(duration),
        execution_time: timestamp(activity.scheduled_time),
        ..Default::default()
    }
}

/// How long it took, once it has closed.
pub(super) fn execution_duration(record: &Record) -> Option<prost_wkt_types::Duration> {
    if record.is_open() { None } else { duration(record.close_time - record.activity.scheduled_time) }
}
