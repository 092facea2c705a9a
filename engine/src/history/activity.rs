//! Activities: scheduled, started, heart-beaten, retried, ended.
//!
//! An activity's start is written to the history only when it ends, so that retries leave no trace there (every activity has
//! a retry policy: the server fills one in).

use temporalio_common::protos::temporal::api::{
    command::v1::ScheduleActivityTaskCommandAttributes,
    common::v1::{Payload, Payloads},
    enums::v1::{RetryState, TimeoutType},
    failure::v1::Failure,
    history::v1::{
        ActivityTaskCancelRequestedEventAttributes, ActivityTaskCanceledEventAttributes,
        ActivityTaskCompletedEventAttributes, ActivityTaskFailedEventAttributes, ActivityTaskScheduledEventAttributes,
        ActivityTaskStartedEventAttributes, ActivityTaskTimedOutEventAttributes, HistoryEvent,
        history_event::Attributes,
    },
    sdk::v1::UserMetadata,
    taskqueue::v1::TaskQueue,
};

use super::{
    Execution, TaskStart,
    activity_attempt::worker_gone,
    activity_policy::{Timeouts, due_timeout, next_deadline},
    retry_policy::complete_policy,
    state::{PendingActivity, PendingKind},
    time::{Nanos, duration, from_duration},
};

/// A started attempt, as its worker needs it.
#[derive(Debug, Clone)]
pub struct ActivityStart {
    /// The activity.
    pub activity: Box<PendingActivity>,
}

/// What a worker is told in answer to a heartbeat.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HeartbeatNews {
    /// The workflow has asked to cancel the activity.
    pub cancel_requested: bool,
    /// It is paused.
    pub paused: bool,
    /// It was reset, and its next attempt will be its first.
    pub reset: bool,
}

/// How an attempt ended, as its worker reports it.
#[derive(Debug, Clone)]
pub enum ActivityOutcome {
    /// With a result.
    Completed(Option<Payloads>),
    /// With a failure; the last heartbeat's details come along.
    Failed(Box<Failure>, Option<Payloads>),
    /// Cancelled, with details.
    Canceled(Option<Payloads>),
}

impl Execution {
    /// Schedules an activity; answers its scheduled event.
    #[allow(deprecated, reason = "the field is deprecated for SDKs, and still written by the server")]
    pub(super) fn schedule_activity(
        &mut self,
        now: Nanos,
        completed: i64,
        command: &ScheduleActivityTaskCommandAttributes,
        user_metadata: Option<UserMetadata>,
    ) -> i64 {
        let started = self.info.started.as_ref();
        let run_timeout = started.map_or(0, |s| from_duration(s.workflow_run_timeout.as_ref()));
        let limits = Timeouts::of(command, run_timeout);
        let queue = command.task_queue.as_ref().map(|queue| queue.name.clone()).filter(|name| !name.is_empty());
        let attributes = ActivityTaskScheduledEventAttributes {
            activity_id: command.activity_id.clone(),
            activity_type: command.activity_type.clone(),
            task_queue: Some(TaskQueue {
                name: queue.unwrap_or_else(|| self.task_queue().to_owned()),
                kind: temporalio_common::protos::temporal::api::enums::v1::TaskQueueKind::Normal.into(),
                normal_name: String::new(),
            }),
            header: command.header.clone(),
            input: command.input.clone(),
            schedule_to_close_timeout: duration(limits.schedule_to_close),
            schedule_to_start_timeout: duration(limits.schedule_to_start),
            start_to_close_timeout: duration(limits.start_to_close),
            heartbeat_timeout: duration(limits.heartbeat),
            workflow_task_completed_event_id: completed,
            retry_policy: Some(complete_policy(command.retry_policy.as_ref())),
            use_workflow_build_id: command.use_workflow_build_id,
            priority: command.priority.clone(),
        };
        self.record_with(now, Attributes::ActivityTaskScheduledEventAttributes(attributes), user_metadata)
    }

    /// Gives an attempt to a worker. `None` when there is none to give (it ended, is held, or backs off).
    pub fn start_activity(
        &mut self,
        now: Nanos,
        scheduled_event_id: i64,
        attempt: i32,
        start: &TaskStart,
    ) -> Option<ActivityStart> {
        if self.is_paused() {
            return None;
        }
        let activity = self.activities.get_mut(&scheduled_event_id)?;
        if !activity.begin(now, attempt, start) {
            return None;
        }
        let activity = activity.clone();
        self.touch(PendingKind::Activity, scheduled_event_id);
        Some(ActivityStart { activity })
    }

    /// Takes a heartbeat; answers what the worker is told. `None` when the attempt is no longer under way.
    pub fn heartbeat(
        &mut self,
        now: Nanos,
        scheduled_event_id: i64,
        attempt: Option<i32>,
        details: Option<Payloads>,
    ) -> Option<HeartbeatNews> {
        let activity = self.activities.get_mut(&scheduled_event_id)?;
        if !activity.beat(now, attempt, details) {
            return None;
        }
        let news = HeartbeatNews {
            cancel_requested: activity.cancel_requested_event_id != 0,
            paused: activity.is_paused(),
            reset: activity.reset,
        };
        self.touch(PendingKind::Activity, scheduled_event_id);
        Some(news)
    }

    /// Takes the end of an attempt. Answers whether it was under way (`attempt` `None` stands for any, when reported by id).
    pub fn end_activity(
        &mut self,
        now: Nanos,
        scheduled_event_id: i64,
        attempt: Option<i32>,
        identity: &str,
        outcome: ActivityOutcome,
    ) -> bool {
        let Some(activity) = self.activities.get(&scheduled_event_id) else { return false };
        if !activity.is_held(attempt) {
            return false;
        }
        match outcome {
            ActivityOutcome::Completed(result) => {
                let started_event_id = self.record_activity_started(scheduled_event_id);
                let attributes = ActivityTaskCompletedEventAttributes {
                    result,
                    scheduled_event_id,
                    started_event_id,
                    identity: identity.to_owned(),
                    ..Default::default()
                };
                self.record(now, Attributes::ActivityTaskCompletedEventAttributes(attributes));
            }
            ActivityOutcome::Failed(failure, details) => {
                if let Some(activity) = self.activities.get_mut(&scheduled_event_id).filter(|_| details.is_some()) {
                    activity.heartbeat_details = details;
                }
                return self.fail_activity(now, scheduled_event_id, *failure, identity);
            }
            ActivityOutcome::Canceled(details) => {
                self.record_activity_canceled(now, scheduled_event_id, details, identity);
            }
        }
        self.schedule_workflow_task(now);
        true
    }

    fn fail_activity(&mut self, now: Nanos, scheduled_event_id: i64, failure: Failure, identity: &str) -> bool {
        let retry_state = self.retry_activity(now, scheduled_event_id, &failure);
        if retry_state == RetryState::InProgress {
            return true;
        }
        let started_event_id = self.record_activity_started(scheduled_event_id);
        let attributes = ActivityTaskFailedEventAttributes {
            failure: Some(failure),
            scheduled_event_id,
            started_event_id,
            identity: identity.to_owned(),
            retry_state: retry_state.into(),
            ..Default::default()
        };
        self.record(now, Attributes::ActivityTaskFailedEventAttributes(attributes));
        self.schedule_workflow_task(now);
        true
    }

    /// Puts a failed attempt back for another try, if its policy allows one.
    fn retry_activity(&mut self, now: Nanos, scheduled_event_id: i64, failure: &Failure) -> RetryState {
        let Some(activity) = self.activities.get_mut(&scheduled_event_id) else {
            return RetryState::InternalServerError;
        };
        let state = activity.retry(now, failure);
        if state == RetryState::InProgress {
            self.touch(PendingKind::Activity, scheduled_event_id);
        }
        state
    }

    /// Asks for an activity's cancellation; one that no worker holds is cancelled at once.
    pub(super) fn request_cancel_activity(
        &mut self,
        now: Nanos,
        completed: i64,
        scheduled_event_id: i64,
        identity: &str,
    ) {
        let started = match self.activities.get(&scheduled_event_id) {
            Some(activity) if activity.cancel_requested_event_id != 0 => return,
            Some(activity) => activity.is_started(),
            // Its end is buffered, so the worker that asks cannot know of it, and replay wants to see that it asked
            // (`HasActivityFinishEvent`).
            None if self.buffered.values().any(|event| ended_activity(event) == Some(scheduled_event_id)) => true,
            None => return,
        };
        let attributes = ActivityTaskCancelRequestedEventAttributes {
            scheduled_event_id,
            workflow_task_completed_event_id: completed,
        };
        self.record(now, Attributes::ActivityTaskCancelRequestedEventAttributes(attributes));
        if !started {
            // `activityCancellationMsgActivityNotStarted`
            let details = json_payload("\"ACTIVITY_ID_NOT_STARTED\"");
            self.record_activity_canceled(now, scheduled_event_id, Some(details), identity);
        }
    }

    fn record_activity_canceled(
        &mut self,
        now: Nanos,
        scheduled_event_id: i64,
        details: Option<Payloads>,
        identity: &str,
    ) {
        let Some(activity) = self.activities.get(&scheduled_event_id) else { return };
        let latest_cancel_requested_event_id = activity.cancel_requested_event_id;
        let started_event_id = if activity.is_started() { self.record_activity_started(scheduled_event_id) } else { 0 };
        let attributes = ActivityTaskCanceledEventAttributes {
            details,
            latest_cancel_requested_event_id,
            scheduled_event_id,
            started_event_id,
            identity: identity.to_owned(),
            ..Default::default()
        };
        self.record(now, Attributes::ActivityTaskCanceledEventAttributes(attributes));
    }

    /// Writes the start that an ending activity has owed, at the time it happened.
    fn record_activity_started(&mut self, scheduled_event_id: i64) -> i64 {
        let Some(activity) = self.activities.get(&scheduled_event_id) else { return 0 };
        let (started_time, attributes) = (
            activity.started_time,
            ActivityTaskStartedEventAttributes {
                scheduled_event_id,
                identity: activity.identity.clone(),
                request_id: activity.request_id.clone(),
                attempt: activity.attempt,
                last_failure: activity.last_failure.clone(),
                ..Default::default()
            },
        );
        self.record(started_time, Attributes::ActivityTaskStartedEventAttributes(attributes))
    }

    pub(super) fn fire_activity_deadlines(&mut self, now: Nanos) {
        let due: Vec<i64> = self
            .activities
            .iter()
            .filter(|(_, a)| matches!(next_deadline(a), d if d != 0 && d <= now))
            .map(|(id, _)| *id)
            .collect();
        for id in due {
            let Some(activity) = self.activities.get_mut(&id) else { continue };
            match due_timeout(activity, now) {
                None => {
                    activity.backing_off = false;
                    self.touch(PendingKind::Activity, id);
                }
                Some(timeout_type) => self.time_out_activity(now, id, timeout_type),
            }
        }
    }

    fn time_out_activity(&mut self, now: Nanos, scheduled_event_id: i64, timeout_type: TimeoutType) {
        let Some(activity) = self.activities.get_mut(&scheduled_event_id) else { return };
        let Some((failure, retry_state)) = activity.time_out(now, timeout_type) else {
            return self.touch(PendingKind::Activity, scheduled_event_id);
        };
        let Some(activity) = self.activities.get(&scheduled_event_id) else { return };
        let started_event_id = if activity.is_started() { self.record_activity_started(scheduled_event_id) } else { 0 };
        let attributes = ActivityTaskTimedOutEventAttributes {
            failure: Some(failure),
            scheduled_event_id,
            started_event_id,
            retry_state: retry_state.into(),
        };
        self.record(now, Attributes::ActivityTaskTimedOutEventAttributes(attributes));
        self.schedule_workflow_task(now);
    }

    pub(super) fn abandon_in_process_activities(&mut self, now: Nanos) {
        let held: Vec<i64> =
            self.activities.iter().filter(|(_, a)| a.is_started() && a.in_process).map(|(id, _)| *id).collect();
        for id in held {
            self.fail_activity(now, id, worker_gone(), "");
            if let Some(activity) = self.activities.get_mut(&id) {
                activity.skip_backoff(now);
            }
        }
    }

    /// Finds an activity by the id that the workflow gave it.
    pub fn activity_by_id(&self, activity_id: &str) -> Option<i64> {
        self.activities.iter().find(|(_, activity)| activity.activity_id() == activity_id).map(|(id, _)| *id)
    }
}

/// A payload of JSON text, as the server encodes its own (`payloads.EncodeString`).
pub(crate) fn json_payload(text: &str) -> Payloads {
    let metadata = std::iter::once(("encoding".to_owned(), b"json/plain".to_vec())).collect();
    Payloads { payloads: vec![Payload { metadata, data: text.as_bytes().to_vec(), ..Default::default() }] }
}

/// The activity that an event ends, by the id of its scheduled event.
fn ended_activity(event: &HistoryEvent) -> Option<i64> {
    match event.attributes.as_ref()? {
        Attributes::ActivityTaskCompletedEventAttributes(a) => Some(a.scheduled_event_id),
        Attributes::ActivityTaskFailedEventAttributes(a) => Some(a.scheduled_event_id),
        Attributes::ActivityTaskTimedOutEventAttributes(a) => Some(a.scheduled_event_id),
        Attributes::ActivityTaskCanceledEventAttributes(a) => Some(a.scheduled_event_id),
        _ => None,
    }
}
