//! Activities that stand alone, as operators treat them while they are open: paused, unpaused, reset, given other options.
//!
//! | it is | pause | unpause | reset |
//! |---|---|---|---|
//! | waiting | paused | refused | its first attempt waits, without a backoff |
//! | with a worker | the worker is told; paused when the attempt has failed | refused | the worker is told; whatever the attempt comes to, unless it completes, the first attempt follows |
//! | paused | refused | it waits as before | unpaused, unless it is to stay so; its first attempt waits |
//! | with a worker, to be paused | refused | with a worker | as with a worker; the pause ends, unless it is to stay |
//! | to be cancelled | refused | refused | refused |
//!
//! Unlike activities of workflows, one that is paused still has only as long as it may take in all.

use temporalio_common::protos::temporal::api::{
    activity::v1::ActivityOptions,
    enums::v1::{ActivityExecutionStatus as Status, PendingActivityState},
    failure::v1::Failure,
};

use super::{Record, Refused, status_name};
use crate::history::{
    state::ActivityPause,
    time::{Nanos, from_duration},
};

/// How an open activity is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It waits for a worker, or for its backoff to end.
    Scheduled,
    /// A worker holds it.
    Started,
    /// It waits to be unpaused.
    Paused,
    /// A worker holds it that is told to pause.
    PauseRequested,
    /// A worker holds it that is told to begin anew.
    ResetRequested,
    /// A worker holds it that is told to cancel.
    CancelRequested,
}

/// How an activity is to begin anew.
#[derive(Debug, Clone, Default)]
pub(crate) struct ResetActivity {
    /// It stays paused.
    pub(crate) keep_paused: bool,
    /// The heartbeat's details are forgotten.
    pub(crate) reset_heartbeat: bool,
    /// It gets back the options with which it was started.
    pub(crate) restore_options: bool,
    /// How much later than it could its attempt is due.
    pub(crate) delay: Nanos,
}

impl Record {
    /// How it is, while it is open.
    pub(crate) fn phase(&self) -> Phase {
        let activity = &self.activity;
        match (activity.is_started(), activity.is_paused()) {
            _ if activity.cancel_requested_event_id != 0 => Phase::CancelRequested,
            (true, _) if activity.reset => Phase::ResetRequested,
            (true, true) => Phase::PauseRequested,
            (true, false) => Phase::Started,
            (false, true) => Phase::Paused,
            (false, false) => Phase::Scheduled,
        }
    }

    /// Its status as clients see it: one that is paused has its own.
    pub(crate) fn shown_status(&self) -> Status {
        if self.is_open() && self.phase() == Phase::Paused { Status::Paused } else { self.status() }
    }

    /// How it is, as clients see it.
    pub(crate) fn run_state(&self) -> PendingActivityState {
        if !self.is_open() {
            return PendingActivityState::Unspecified;
        }
        match self.phase() {
            Phase::Scheduled => PendingActivityState::Scheduled,
            Phase::ResetRequested if self.activity.is_paused() => PendingActivityState::PauseRequested,
            Phase::Started | Phase::ResetRequested => PendingActivityState::Started,
            Phase::Paused => PendingActivityState::Paused,
            Phase::PauseRequested => PendingActivityState::PauseRequested,
            Phase::CancelRequested => PendingActivityState::CancelRequested,
        }
    }

    /// The name of its state in messages.
    fn state_name(&self) -> &'static str {
        if !self.is_open() {
            return status_name(self.status());
        }
        match self.phase() {
            Phase::Scheduled => "Scheduled",
            Phase::Started => "Started",
            Phase::Paused => "Paused",
            Phase::PauseRequested => "PauseRequested",
            Phase::ResetRequested => "ResetRequested",
            Phase::CancelRequested => "CancelRequested",
        }
    }

    /// Pauses it. The same request again changes nothing, and is counted.
    ///
    /// # Errors
    /// It has closed, is paused, or is to be reset or cancelled.
    pub(crate) fn pause(&mut self, pause: ActivityPause) -> Result<(), Refused> {
        let same = self.activity.pause.as_ref().is_some_and(|before| before.request_id == pause.request_id);
        if self.is_open() && same {
            self.transitions += 1;
            return Ok(());
        }
        if !self.is_open() || !matches!(self.phase(), Phase::Scheduled | Phase::Started) {
            return Err(Refused::Pause(self.state_name()));
        }
        self.activity.pause = Some(pause);
        self.transitions += 1;
        Ok(())
    }

    /// Unpauses it: its attempt is due when it would have been, but not before now and `delay`. The same request again changes
    /// nothing, and is counted.
    ///
    /// # Errors
    /// It has closed, or is not paused.
    pub(crate) fn unpause(&mut self, now: Nanos, request_id: &str, delay: Nanos) -> Result<(), Refused> {
        if !self.is_open() {
            return Err(Refused::Closed(self.state_name()));
        }
        match self.phase() {
            Phase::Paused => {
                let due = self.activity.attempt_scheduled_time.max(now).saturating_add(delay);
                self.wait_until(now, due);
            }
            Phase::PauseRequested => {}
            Phase::Scheduled | Phase::Started if self.unpause_request_id == request_id => {}
            _ => return Err(Refused::Unpause(self.state_name())),
        }
        self.activity.pause = None;
        request_id.clone_into(&mut self.unpause_request_id);
        self.transitions += 1;
        Ok(())
    }

    /// Has it begin anew with its first attempt, at once or when the worker is done with the one under way.
    ///
    /// # Errors
    /// It has closed, or is to be cancelled.
    pub(crate) fn reset(&mut self, now: Nanos, how: &ResetActivity) -> Result<(), Refused> {
        if !self.is_open() {
            return Err(Refused::ResetClosed);
        }
        if self.phase() == Phase::CancelRequested {
            return Err(Refused::ResetCancelled);
        }
        if how.restore_options {
            self.restore_options();
        }
        if !how.keep_paused {
            self.activity.pause = None;
        }
        self.transitions += 1;
        if self.activity.is_started() {
            self.activity.reset = true;
            self.activity.reset_heartbeat |= how.reset_heartbeat;
            return Ok(());
        }
        self.activity.attempt = 1;
        if how.reset_heartbeat {
            self.activity.forget_heartbeat();
        }
        let due = self.activity.scheduled_time.max(now).saturating_add(how.delay);
        self.wait_until(now, due);
        Ok(())
    }

    /// The attempt under way has come to nothing, and a reset was asked for meanwhile: the first follows, whatever the policy says.
    pub(super) fn begin_anew(&mut self, now: Nanos, failure: Failure) {
        let activity = &mut self.activity;
        activity.attempt = 1;
        activity.started_time = 0;
        activity.last_attempt_complete_time = now;
        activity.last_failure = Some(failure);
        activity.request_id.clear();
        activity.in_process = false;
        activity.reset = false;
        if std::mem::take(&mut activity.reset_heartbeat) {
            activity.forget_heartbeat();
        }
        self.wait_until(now, now);
        self.transitions += 1;
    }

    /// Whether its options can be changed.
    ///
    /// # Errors
    /// It has closed, or is to be cancelled.
    pub(crate) fn check_options(&self) -> Result<(), Refused> {
        if self.is_open() && self.phase() != Phase::CancelRequested {
            return Ok(());
        }
        Err(Refused::Options(self.state_name()))
    }

    /// Gives it other options, and back its first ones where none are given. Answers those that are in force.
    ///
    /// # Errors
    /// As [`Self::check_options`]; or a start delay is given, and its first attempt was handed out.
    pub(crate) fn change_options(
        &mut self,
        now: Nanos,
        options: Option<ActivityOptions>,
        delays: bool,
    ) -> Result<ActivityOptions, Refused> {
        self.check_options()?;
        let Some(options) = options else {
            self.restore_options();
            self.transitions += 1;
            return Ok(self.activity.options());
        };
        if delays && !self.is_delayed() {
            return Err(Refused::Dispatched);
        }
        if self.original.is_none() {
            self.original = Some(self.activity.options());
        }
        if delays {
            let due = self.schedule_time.saturating_add(from_duration(options.start_delay.as_ref()));
            self.activity.scheduled_time = due;
            self.wait_until(now, due);
        }
        self.activity.set_options(options);
        self.transitions += 1;
        Ok(self.activity.options())
    }

    fn restore_options(&mut self) {
        if let Some(original) = self.original.clone() {
            self.activity.set_options(original);
        }
    }

    /// Whether its first attempt was never handed out, and waits for the start delay to end.
    fn is_delayed(&self) -> bool {
        self.activity.attempt == 1 && self.activity.identity.is_empty() && self.activity.backing_off
    }

    fn wait_until(&mut self, now: Nanos, due: Nanos) {
        self.activity.attempt_scheduled_time = due;
        self.activity.backing_off = due > now;
    }
}
