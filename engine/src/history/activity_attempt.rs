//! One attempt of an activity after the other: begun, heart-beaten, put back for another try. One set of rules for activities of
//! workflows and those that stand alone.

use temporalio_common::protos::temporal::api::{
    common::v1::Payloads,
    enums::v1::{RetryState, TimeoutType},
    failure::v1::{ApplicationFailureInfo, Failure, failure::FailureInfo},
};

use super::{
    TaskStart,
    activity_policy::{next_backoff, timeout_failure},
    state::PendingActivity,
    time::Nanos,
};

/// What Temporal's history service says of an activity whose schedule-to-close timeout leaves no other attempt.
const NO_TIME_TO_RETRY: &str =
    "Not enough time to schedule next retry before activity ScheduleToClose timeout, giving up retrying";

impl PendingActivity {
    /// Gives the attempt to a worker. Answers whether there was one to give.
    pub(crate) fn begin(&mut self, now: Nanos, attempt: i32, start: &TaskStart) -> bool {
        if !self.is_due() || self.attempt != attempt {
            return false;
        }
        self.started_time = now;
        self.identity.clone_from(&start.identity);
        self.request_id.clone_from(&start.request_id);
        self.in_process = start.in_process;
        true
    }

    /// Whether a worker holds that attempt (`None` stands for any).
    pub(crate) fn is_held(&self, attempt: Option<i32>) -> bool {
        self.is_started() && attempt.is_none_or(|attempt| attempt == self.attempt)
    }

    /// Takes a heartbeat; answers whether the attempt is under way.
    pub(crate) fn beat(&mut self, now: Nanos, attempt: Option<i32>, details: Option<Payloads>) -> bool {
        if !self.is_held(attempt) {
            return false;
        }
        self.last_heartbeat_time = now;
        self.heartbeat_details = details;
        true
    }

    /// Puts a failed attempt back for another try, if its policy allows one.
    pub(crate) fn retry(&mut self, now: Nanos, failure: &Failure) -> RetryState {
        let backoff = match next_backoff(self, now, failure) {
            Ok(backoff) => backoff,
            Err(state) => return state,
        };
        self.attempt += 1;
        if let Some(backoff) = backoff {
            self.attempt_scheduled_time = now.saturating_add(backoff);
            self.backing_off = true;
        }
        self.started_time = 0;
        self.last_attempt_complete_time = now;
        if self.reset_heartbeat {
            self.forget_heartbeat();
        }
        self.reset = false;
        self.reset_heartbeat = false;
        self.last_failure = Some(failure.clone());
        self.request_id.clear();
        self.in_process = false;
        RetryState::InProgress
    }

    /// A timeout is due: another attempt follows, or this is the failure that ends the activity, and why none does.
    pub(crate) fn time_out(&mut self, now: Nanos, timeout_type: TimeoutType) -> Option<(Failure, RetryState)> {
        let mut failure = timeout_failure(timeout_type);
        let state = match timeout_type {
            TimeoutType::StartToClose | TimeoutType::Heartbeat => self.retry(now, &failure),
            _ => RetryState::Timeout,
        };
        if state == RetryState::InProgress {
            return None;
        }
        if state == RetryState::Timeout && timeout_type != TimeoutType::ScheduleToStart {
            // Whatever ran out first, it is the schedule-to-close timeout that ends the activity, and is reported.
            failure = timeout_failure(TimeoutType::ScheduleToClose);
            NO_TIME_TO_RETRY.clone_into(&mut failure.message);
        }
        failure.cause = self.last_failure.clone().map(Box::new);
        if let Some(FailureInfo::TimeoutFailureInfo(info)) = failure.failure_info.as_mut() {
            info.last_heartbeat_details.clone_from(&self.heartbeat_details);
        }
        Some((failure, state))
    }

    /// Does not wait for the next attempt: the failure was the process's, and the process is back.
    pub(crate) fn skip_backoff(&mut self, now: Nanos) {
        if self.backing_off {
            self.backing_off = false;
            self.attempt_scheduled_time = now;
        }
    }
}

/// Why an attempt fails whose worker lived in a process that has ended.
pub(crate) fn worker_gone() -> Failure {
    Failure {
        message: "the worker's process ended while it held this activity".to_owned(),
        source: "Server".to_owned(),
        failure_info: Some(FailureInfo::ApplicationFailureInfo(ApplicationFailureInfo {
            r#type: "WorkerGone".to_owned(),
            ..Default::default()
        })),
        ..Default::default()
    }
}
