//! Activities as operators treat them while they are pending: paused, unpaused, reset, given other options.
//!
//! | an attempt is | pause | unpause | reset |
//! |---|---|---|---|
//! | waiting for a worker or its backoff | it waits on | it is due anew | the first attempt is due anew |
//! | with a worker | told by its heartbeat; a failure is not tried again | nothing changes | told by its heartbeat |
//!
//! None of it has an event: as with attempts and heartbeats, it is kept beside the history. The order of things is that of
//! `PauseActivity`, `UnpauseActivity`, `ResetActivity` and `RegenerateActivityRetryTask` in Temporal's history service.

use temporalio_common::protos::temporal::api::{
    activity::v1::ActivityOptions, enums::v1::TaskQueueKind, history::v1::ActivityTaskScheduledEventAttributes,
    taskqueue::v1::TaskQueue,
};

use super::{
    Execution,
    retry_policy::interval_of_attempt,
    state::{PendingActivity, PendingKind},
    time::Nanos,
};

/// Who has paused an activity, in the form in which it is stored.
#[derive(Clone, PartialEq, Eq, ::prost::Message)]
pub struct ActivityPause {
    /// When.
    #[prost(int64, tag = "1")]
    pub time: i64,
    /// Who.
    #[prost(string, tag = "2")]
    pub identity: String,
    /// Why.
    #[prost(string, tag = "3")]
    pub reason: String,
    /// The request, so that a repeated one is no second pause.
    #[prost(string, tag = "4")]
    pub request_id: String,
}

/// What unpausing does besides.
#[derive(Debug, Clone, Copy, Default)]
pub struct ActivityUnpause {
    /// Attempts are counted from one again.
    pub reset_attempts: bool,
    /// The heartbeat's details are forgotten.
    pub reset_heartbeat: bool,
}

/// What resetting does besides counting attempts from one again.
#[derive(Debug, Clone, Copy, Default)]
pub struct ActivityReset {
    /// The heartbeat's details are forgotten, once the attempt under way has ended.
    pub reset_heartbeat: bool,
    /// A paused activity stays so.
    pub keep_paused: bool,
}

impl Execution {
    /// Pauses an activity. The same request again changes nothing.
    ///
    /// # Errors
    /// Another request has paused it.
    pub fn pause_activity(&mut self, id: i64, pause: &ActivityPause) -> Result<(), AlreadyPaused> {
        let Some(activity) = self.activities.get_mut(&id) else { return Ok(()) };
        match &activity.pause {
            Some(before) if before.request_id == pause.request_id => return Ok(()),
            Some(_) => return Err(AlreadyPaused),
            None => activity.pause = Some(pause.clone()),
        }
        self.activity_pause_changed(id);
        Ok(())
    }

    /// Unpauses an activity, which is due `delay` from now if no worker holds it. One that is not paused stays as it is.
    pub fn unpause_activity(&mut self, now: Nanos, id: i64, how: ActivityUnpause, delay: Nanos) {
        let Some(activity) = self.activities.get_mut(&id).filter(|activity| activity.pause.is_some()) else { return };
        activity.pause = None;
        if how.reset_attempts {
            activity.attempt = 1;
        }
        if how.reset_heartbeat {
            activity.forget_heartbeat();
        }
        if activity.is_waiting() {
            activity.schedule_at(now, now.saturating_add(delay));
        }
        self.activity_pause_changed(id);
    }

    /// Has an activity begin again with its first attempt, `delay` from now unless a worker holds it or it stays paused. With
    /// `original`, it gets back the options with which it was scheduled.
    pub fn reset_activity(
        &mut self,
        now: Nanos,
        id: i64,
        how: ActivityReset,
        original: Option<&ActivityTaskScheduledEventAttributes>,
        delay: Nanos,
    ) {
        let Some(activity) = self.activities.get_mut(&id) else { return };
        activity.attempt = 1;
        activity.reset = true;
        activity.reset_heartbeat |= how.reset_heartbeat;
        if let Some(original) = original {
            activity.set_options(options_of(original));
        }
        let running = activity.is_started() && activity.cancel_requested_event_id == 0;
        let stays_paused = activity.is_paused() && how.keep_paused;
        if !running && !stays_paused {
            activity.pause = None;
            if activity.is_waiting() {
                activity.schedule_at(now, now.saturating_add(delay));
            }
        }
        self.activity_pause_changed(id);
    }

    /// Gives an activity other options. One that waits for a worker is due when they say.
    pub fn set_activity_options(&mut self, now: Nanos, id: i64, options: ActivityOptions) {
        let Some(activity) = self.activities.get_mut(&id) else { return };
        activity.set_options(options);
        if activity.is_waiting() {
            let due = activity.due_by_policy();
            activity.schedule_at(now, due);
        }
        self.touch(PendingKind::Activity, id);
    }

    fn activity_pause_changed(&mut self, id: i64) {
        self.touch(PendingKind::Activity, id);
        self.note_pauses();
    }
}

/// Another request has paused the activity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AlreadyPaused;

impl PendingActivity {
    /// Whether it is paused.
    pub fn is_paused(&self) -> bool {
        self.pause.is_some()
    }

    /// Whether its next attempt could go to a worker.
    pub fn is_due(&self) -> bool {
        !self.is_started() && !self.backing_off && !self.is_paused()
    }

    /// Its options as they are now.
    pub fn options(&self) -> ActivityOptions {
        self.scheduled.as_ref().map(options_of).unwrap_or_default()
    }

    /// Whether no worker holds it, and nobody has asked to cancel it.
    fn is_waiting(&self) -> bool {
        !self.is_started() && self.cancel_requested_event_id == 0
    }

    pub(crate) fn set_options(&mut self, options: ActivityOptions) {
        let scheduled = self.scheduled.get_or_insert_default();
        scheduled.task_queue = options.task_queue.map(|queue| normal_queue(queue.name));
        scheduled.schedule_to_close_timeout = options.schedule_to_close_timeout;
        scheduled.schedule_to_start_timeout = options.schedule_to_start_timeout;
        scheduled.start_to_close_timeout = options.start_to_close_timeout;
        scheduled.heartbeat_timeout = options.heartbeat_timeout;
        scheduled.retry_policy = options.retry_policy;
        scheduled.priority = options.priority;
    }

    /// Has the next attempt begin at `due`, whatever it waited for before (`RegenerateActivityRetryTask`, which forgets the last
    /// failure too).
    fn schedule_at(&mut self, now: Nanos, due: Nanos) {
        if self.reset_heartbeat {
            self.forget_heartbeat();
        }
        self.reset = false;
        self.reset_heartbeat = false;
        self.attempt_scheduled_time = due;
        self.backing_off = due > now;
        self.last_failure = None;
    }

    /// When the attempt is due by the policy in force (`GetNextScheduledTime`).
    fn due_by_policy(&self) -> Nanos {
        let interval = self.retry_policy().map_or(0, |policy| interval_of_attempt(policy, self.attempt));
        if self.attempt > 1 && interval > 0 {
            self.last_attempt_complete_time.saturating_add(interval)
        } else {
            self.attempt_scheduled_time
        }
    }

    pub(crate) fn forget_heartbeat(&mut self) {
        self.heartbeat_details = None;
        self.last_heartbeat_time = 0;
    }
}

/// The options that stand in a scheduled event.
pub fn options_of(scheduled: &ActivityTaskScheduledEventAttributes) -> ActivityOptions {
    ActivityOptions {
        task_queue: scheduled
            .task_queue
            .as_ref()
            .map(|queue| TaskQueue { name: queue.name.clone(), ..TaskQueue::default() }),
        schedule_to_close_timeout: scheduled.schedule_to_close_timeout,
        schedule_to_start_timeout: scheduled.schedule_to_start_timeout,
        start_to_close_timeout: scheduled.start_to_close_timeout,
        heartbeat_timeout: scheduled.heartbeat_timeout,
        retry_policy: scheduled.retry_policy.clone(),
        priority: scheduled.priority.clone(),
        ..ActivityOptions::default()
    }
}

/// A task queue as the server writes one that is not sticky.
pub fn normal_queue(name: String) -> TaskQueue {
    TaskQueue { name, kind: TaskQueueKind::Normal.into(), normal_name: String::new() }
}
