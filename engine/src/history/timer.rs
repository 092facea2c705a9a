//! User timers.

use temporalio_common::protos::temporal::api::{
    command::v1::StartTimerCommandAttributes,
    history::v1::{
        TimerCanceledEventAttributes, TimerFiredEventAttributes, TimerStartedEventAttributes, history_event::Attributes,
    },
    sdk::v1::UserMetadata,
};

use super::{Execution, state::PendingKind, time::Nanos};

impl Execution {
    pub(super) fn start_timer(
        &mut self,
        now: Nanos,
        completed: i64,
        command: &StartTimerCommandAttributes,
        user_metadata: Option<UserMetadata>,
    ) {
        let attributes = TimerStartedEventAttributes {
            timer_id: command.timer_id.clone(),
            start_to_fire_timeout: command.start_to_fire_timeout,
            workflow_task_completed_event_id: completed,
        };
        self.record_with(now, Attributes::TimerStartedEventAttributes(attributes), user_metadata);
    }

    /// Cancels a timer. One that has fired while the worker held the task is taken back: its event is still buffered, and the
    /// workflow has not seen it.
    pub(super) fn cancel_timer(&mut self, now: Nanos, completed: i64, timer_id: &str, identity: &str) {
        let pending = self.timers.values().find(|timer| timer.timer_id == timer_id).map(|timer| timer.started_event_id);
        let Some(started_event_id) = pending.or_else(|| self.take_buffered_timer(timer_id)) else { return };
        let attributes = TimerCanceledEventAttributes {
            timer_id: timer_id.to_owned(),
            started_event_id,
            workflow_task_completed_event_id: completed,
            identity: identity.to_owned(),
        };
        self.record(now, Attributes::TimerCanceledEventAttributes(attributes));
    }

    /// Whether the timer exists or has fired unseen.
    pub(super) fn knows_timer(&self, timer_id: &str) -> bool {
        self.timers.values().any(|timer| timer.timer_id == timer_id) || self.buffered_timer(timer_id).is_some()
    }

    fn buffered_timer(&self, timer_id: &str) -> Option<(i64, i64)> {
        self.buffered.iter().find_map(|(id, event)| match event.attributes.as_ref() {
            Some(Attributes::TimerFiredEventAttributes(a)) if a.timer_id == timer_id => Some((*id, a.started_event_id)),
            _ => None,
        })
    }

    fn take_buffered_timer(&mut self, timer_id: &str) -> Option<i64> {
        let (id, started_event_id) = self.buffered_timer(timer_id)?;
        self.buffered.remove(&id);
        self.touch(PendingKind::Buffered, id);
        Some(started_event_id)
    }

    pub(super) fn fire_timers(&mut self, now: Nanos) {
        let mut due: Vec<_> = self
            .timers
            .values()
            .filter(|timer| timer.fire_time <= now)
            .map(|timer| (timer.fire_time, timer.started_event_id))
            .collect();
        if due.is_empty() {
            return;
        }
        due.sort_unstable();
        for (_, started_event_id) in due {
            let Some(timer_id) = self.timers.get(&started_event_id).map(|timer| timer.timer_id.clone()) else {
                continue;
            };
            let attributes = TimerFiredEventAttributes { timer_id, started_event_id };
            self.record(now, Attributes::TimerFiredEventAttributes(attributes));
        }
        self.schedule_workflow_task(now);
    }
}
