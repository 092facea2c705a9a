//! Activities that stand alone: started by a client, run by workers, belonging to no workflow.
//!
//! | status | event | becomes |
//! |---|---|---|
//! | running | a worker completes, fails for good, or cancels it | completed, failed, cancelled |
//! | running, no worker holds it | a client asks for cancellation | cancelled |
//! | running | a timeout, and no other attempt | timed out |
//! | running | a client terminates it | terminated |
//! | running | a client pauses it ([`control`]) | paused, once no worker holds it |
//!
//! A pure state machine over a stored record. When attempts time out and whether another follows are the rules of
//! [`crate::history`]; there is no history here, and so no events.

mod control;
#[cfg(test)]
mod tests;

pub(crate) use control::{Phase, ResetActivity};

use temporalio_common::protos::temporal::api::{
    activity::v1::{ActivityExecutionOutcome, ActivityOptions, activity_execution_outcome::Value as Outcome},
    common::v1::{Header, Link, Payloads, SearchAttributes},
    enums::v1::{ActivityExecutionStatus as Status, RetryState, TimeoutType},
    failure::v1::{CanceledFailureInfo, Failure, TerminatedFailureInfo, failure::FailureInfo},
    sdk::v1::UserMetadata,
};

use crate::history::{
    ActivityOutcome, HeartbeatNews, TaskStart,
    activity_attempt::worker_gone,
    activity_policy::{due_timeout, last_deadline, next_timeout, start_deadline, timeout_failure},
    json_payload,
    state::PendingActivity,
    time::Nanos,
};

/// An activity execution, in the form in which it is stored; its input is apart. Times are nanoseconds, 0 for "none".
#[derive(Clone, PartialEq, ::prost::Message)]
pub(crate) struct Record {
    /// Namespace, by name.
    #[prost(string, tag = "1")]
    pub(crate) namespace: String,
    /// Its run id.
    #[prost(string, tag = "2")]
    pub(crate) run_id: String,
    /// What it is, and its attempts. A request for cancellation is noted as event 1.
    #[prost(message, required, tag = "3")]
    pub(crate) activity: PendingActivity,
    /// `ActivityExecutionStatus`.
    #[prost(enumeration = "Status", tag = "4")]
    pub(crate) status: i32,
    /// When it was started by the client.
    #[prost(int64, tag = "5")]
    pub(crate) schedule_time: i64,
    /// When it closed.
    #[prost(int64, tag = "6")]
    pub(crate) close_time: i64,
    /// What came of it.
    #[prost(message, optional, tag = "7")]
    pub(crate) outcome: Option<ActivityExecutionOutcome>,
    /// Search attributes.
    #[prost(message, optional, tag = "8")]
    pub(crate) search_attributes: Option<SearchAttributes>,
    /// Summary and details.
    #[prost(message, optional, tag = "9")]
    pub(crate) user_metadata: Option<UserMetadata>,
    /// Header for the worker.
    #[prost(message, optional, tag = "10")]
    pub(crate) header: Option<Header>,
    /// Request id of the start.
    #[prost(string, tag = "11")]
    pub(crate) start_request_id: String,
    /// Request id of the cancellation.
    #[prost(string, tag = "12")]
    pub(crate) cancel_request_id: String,
    /// Why its cancellation was asked for.
    #[prost(string, tag = "13")]
    pub(crate) cancel_reason: String,
    /// Request id of the termination.
    #[prost(string, tag = "14")]
    pub(crate) terminate_request_id: String,
    /// Transitions so far.
    #[prost(int64, tag = "15")]
    pub(crate) transitions: i64,
    /// Heartbeats so far.
    #[prost(int64, tag = "16")]
    pub(crate) heartbeats: i64,
    /// Who has asked for its cancellation.
    #[prost(string, tag = "17")]
    pub(crate) cancel_identity: String,
    /// Options with which it was started, once it has others.
    #[prost(message, optional, tag = "18")]
    pub(crate) original: Option<ActivityOptions>,
    /// Request id of the last unpause.
    #[prost(string, tag = "19")]
    pub(crate) unpause_request_id: String,
    /// What it is linked to.
    #[prost(message, repeated, tag = "20")]
    pub(crate) links: Vec<Link>,
    /// When its last attempt began.
    #[prost(int64, tag = "21")]
    pub(crate) last_started_time: i64,
}

/// Why something is refused, in the server's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// It has closed.
    #[error("activity is in terminal state {0}")]
    Closed(&'static str),
    /// Another request has asked for that.
    #[error("cancellation already requested with request ID {0}")]
    CancelRequested(String),
    /// Another request has done that.
    #[error("already terminated with request ID {0}")]
    Terminated(String),
    /// It cannot be paused as it is.
    #[error("activity is in non-pausable state {0}")]
    Pause(&'static str),
    /// It is not paused.
    #[error("activity is in non-unpausable state {0}")]
    Unpause(&'static str),
    /// What has closed cannot begin anew.
    #[error("activity execution is not running")]
    ResetClosed,
    /// What is to end cannot begin anew.
    #[error("cannot reset an activity with a pending cancellation")]
    ResetCancelled,
    /// It has closed, or is to end.
    #[error("Cannot update options for activity in state {0}")]
    Options(&'static str),
    /// It was dispatched, or waits no longer.
    #[error("cannot update start_delay: the first activity attempt has already been dispatched")]
    Dispatched,
}

impl Record {
    /// Its id.
    pub(crate) fn activity_id(&self) -> &str {
        self.activity.activity_id()
    }

    /// Whether it has not closed.
    pub(crate) fn is_open(&self) -> bool {
        self.status() == Status::Running
    }

    /// Whether a worker may begin its attempt.
    pub(crate) fn waits_for_worker(&self) -> bool {
        self.is_open() && self.activity.is_due()
    }

    /// When something happens to it by itself, 0 for never.
    pub(crate) fn next_deadline(&self) -> Nanos {
        if !self.is_open() {
            return 0;
        }
        let rests = self.activity.is_paused() && !self.activity.is_started();
        if rests { last_deadline(&self.activity) } else { next_timeout(&self.activity) }
    }

    /// Gives an attempt to a worker; answers whether there was one to give.
    pub(crate) fn begin(&mut self, now: Nanos, attempt: i32, start: &TaskStart) -> bool {
        let begun = self.is_open() && self.activity.begin(now, attempt, start);
        if begun {
            self.transitions += 1;
            self.last_started_time = now;
        }
        begun
    }

    /// Takes a heartbeat. `None` when the attempt is not under way.
    pub(crate) fn heartbeat(
        &mut self,
        now: Nanos,
        attempt: Option<i32>,
        details: Option<Payloads>,
    ) -> Option<HeartbeatNews> {
        if !self.is_open() || !self.activity.beat(now, attempt, details) {
            return None;
        }
        self.heartbeats += 1;
        self.transitions += 1;
        let phase = self.phase();
        Some(HeartbeatNews {
            cancel_requested: phase == Phase::CancelRequested,
            paused: phase == Phase::PauseRequested,
            reset: phase == Phase::ResetRequested,
        })
    }

    /// Takes the end of an attempt; answers whether it was under way.
    pub(crate) fn end(&mut self, now: Nanos, attempt: Option<i32>, identity: &str, outcome: ActivityOutcome) -> bool {
        // Who names no attempt may end it before one has begun.
        if !self.is_open() || (attempt.is_some() && !self.activity.is_held(attempt)) {
            return false;
        }
        match outcome {
            ActivityOutcome::Completed(result) => {
                self.activity.last_attempt_complete_time = now;
                self.close(
                    now,
                    Status::Completed,
                    Outcome::Result(result.unwrap_or_default()),
                    RetryState::Unspecified,
                );
            }
            ActivityOutcome::Failed(failure, details) => {
                if details.is_some() {
                    self.activity.heartbeat_details = details;
                }
                self.fail(now, *failure);
            }
            ActivityOutcome::Canceled(details) => {
                // Who has asked for it comes before who has seen to it.
                let asked = std::mem::take(&mut self.cancel_identity);
                self.close_canceled(now, details, if asked.is_empty() { identity } else { &asked });
            }
        }
        true
    }

    fn fail(&mut self, now: Nanos, failure: Failure) {
        if self.phase() == Phase::ResetRequested {
            return self.begin_anew(now, failure);
        }
        // Whether another attempt follows does not depend on when it may.
        let pause = self.activity.pause.take();
        let state = self.activity.retry(now, &failure);
        self.activity.pause = pause;
        if state == RetryState::InProgress {
            self.transitions += 1;
            return;
        }
        self.activity.last_attempt_complete_time = now;
        self.activity.last_failure = Some(failure.clone());
        self.close(now, Status::Failed, Outcome::Failure(failure), state);
    }

    /// Does what is due.
    pub(crate) fn fire(&mut self, now: Nanos) {
        if !matches!(self.next_deadline(), deadline if deadline != 0 && deadline <= now) {
            return;
        }
        let Some(timeout_type) = due_timeout(&self.activity, now) else {
            self.activity.backing_off = false;
            return;
        };
        match timeout_type {
            TimeoutType::ScheduleToClose => self.run_out_of_time(now),
            timeout_type if self.phase() == Phase::ResetRequested => {
                let mut failure = timeout_failure(timeout_type);
                failure.source.clear();
                self.begin_anew(now, failure);
            }
            timeout_type => self.time_out_attempt(now, timeout_type),
        }
    }

    /// The attempt has waited, or taken, too long.
    fn time_out_attempt(&mut self, now: Nanos, timeout_type: TimeoutType) {
        let held = self.activity.is_started();
        let pause = self.activity.pause.take();
        let outcome = self.activity.time_out(now, timeout_type);
        self.activity.pause = pause;
        match outcome {
            None => {
                self.transitions += 1;
                // The server does not say here that the failure is its own.
                if let Some(failure) = self.activity.last_failure.as_mut() {
                    failure.source.clear();
                }
            }
            Some((mut failure, state)) => {
                failure.source.clear();
                if held {
                    self.activity.last_attempt_complete_time = now;
                    self.activity.last_failure = Some(failure.clone());
                }
                self.close(now, Status::TimedOut, Outcome::Failure(failure), state);
            }
        }
    }

    /// It has taken as long as it may in all. Where that is also how long it may wait for a worker, it has waited too long.
    fn run_out_of_time(&mut self, now: Nanos) {
        let attempt = &self.activity;
        let waited = self.waits_for_worker() && start_deadline(attempt) == last_deadline(attempt);
        let timeout_type = if waited { TimeoutType::ScheduleToStart } else { TimeoutType::ScheduleToClose };
        let mut failure = timeout_failure(timeout_type);
        failure.source.clear();
        failure.cause = attempt.last_failure.clone().map(Box::new);
        if let Some(FailureInfo::TimeoutFailureInfo(info)) = failure.failure_info.as_mut() {
            info.last_heartbeat_details.clone_from(&attempt.heartbeat_details);
        }
        self.close(now, Status::TimedOut, Outcome::Failure(failure), RetryState::Timeout);
    }

    /// The process of its worker has ended: the attempt has failed, and the next does not wait.
    pub(crate) fn abandon_in_process_worker(&mut self, now: Nanos) {
        if self.is_open() && self.activity.is_started() && self.activity.in_process {
            self.fail(now, worker_gone());
            self.activity.skip_backoff(now);
        }
    }

    /// Asks for its cancellation; one that no worker holds is cancelled at once. Answers whether that is new.
    ///
    /// # Errors
    /// It has closed, or another request has asked.
    pub(crate) fn request_cancel(
        &mut self,
        now: Nanos,
        request_id: &str,
        reason: &str,
        identity: &str,
    ) -> Result<bool, Refused> {
        if !self.is_open() {
            return Err(Refused::Closed(status_name(self.status())));
        }
        if self.activity.cancel_requested_event_id != 0 {
            if self.cancel_request_id != request_id {
                return Err(Refused::CancelRequested(self.cancel_request_id.clone()));
            }
            // The server counts it.
            self.transitions += 1;
            return Ok(false);
        }
        self.activity.cancel_requested_event_id = 1;
        request_id.clone_into(&mut self.cancel_request_id);
        reason.clone_into(&mut self.cancel_reason);
        identity.clone_into(&mut self.cancel_identity);
        if self.activity.is_started() {
            self.transitions += 1;
        } else {
            let details = json_payload(&serde_json::Value::from(reason).to_string());
            self.close_canceled(now, Some(details), identity);
        }
        Ok(true)
    }

    /// Ends it at once. Answers whether that is new.
    ///
    /// # Errors
    /// It has closed, or another request has ended it.
    pub(crate) fn terminate(
        &mut self,
        now: Nanos,
        request_id: &str,
        reason: &str,
        identity: &str,
    ) -> Result<bool, Refused> {
        if self.status() == Status::Terminated {
            let same = self.terminate_request_id == request_id;
            return if same { Ok(false) } else { Err(Refused::Terminated(self.terminate_request_id.clone())) };
        }
        if !self.is_open() {
            return Err(Refused::Closed(status_name(self.status())));
        }
        request_id.clone_into(&mut self.terminate_request_id);
        let failure = Failure {
            message: reason.to_owned(),
            failure_info: Some(FailureInfo::TerminatedFailureInfo(TerminatedFailureInfo {
                identity: identity.to_owned(),
            })),
            ..Default::default()
        };
        self.close(now, Status::Terminated, Outcome::Failure(failure), RetryState::Unspecified);
        Ok(true)
    }

    fn close_canceled(&mut self, now: Nanos, details: Option<Payloads>, identity: &str) {
        let failure = Failure {
            message: "Activity canceled".to_owned(),
            failure_info: Some(FailureInfo::CanceledFailureInfo(CanceledFailureInfo {
                details,
                identity: identity.to_owned(),
            })),
            ..Default::default()
        };
        self.close(now, Status::Canceled, Outcome::Failure(failure), RetryState::Unspecified);
    }

    fn close(&mut self, now: Nanos, status: Status, outcome: Outcome, state: RetryState) {
        self.status = status.into();
        self.close_time = now;
        self.outcome = Some(ActivityExecutionOutcome { value: Some(outcome), retry_state: state.into() });
        self.transitions += 1;
    }
}

/// A status as filters and messages have it: `TimedOut`.
pub(crate) fn status_name(status: Status) -> &'static str {
    match status {
        Status::Unspecified => "Unspecified",
        Status::Running => "Running",
        Status::Completed => "Completed",
        Status::Failed => "Failed",
        Status::Canceled => "Canceled",
        Status::Terminated => "Terminated",
        Status::TimedOut => "TimedOut",
        Status::Paused => "Paused",
    }
}
