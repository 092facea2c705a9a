//! What operators do to the model's execution and its activities.

use temporalio_common::protos::temporal::api::{
    activity::v1::ActivityOptions, common::v1::Priority, history::v1::history_event::Attributes,
};

use super::{
    model::{Model, SECOND},
    steps::Step,
};
use crate::history::{
    AlreadyPaused, NotPaused, WorkflowPauseRequest,
    state::ActivityPause,
    time::{Nanos, duration},
};

impl Model {
    /// What operators do.
    pub(super) fn control(&mut self, step: &Step) {
        let now = self.now;
        match step {
            Step::Pause => {
                let was = self.execution.is_paused();
                let paused = self.execution.pause(now, WorkflowPauseRequest::default());
                assert_eq!(paused, if was { Err(NotPaused) } else { Ok(()) });
            }
            Step::Unpause => {
                let was = self.execution.is_paused();
                let unpaused = self.execution.unpause(now, WorkflowPauseRequest::default());
                assert_eq!(unpaused, if was { Ok(()) } else { Err(NotPaused) });
            }
            Step::Options(number) => {
                let mut options = self.execution.info.options();
                options.priority = Some(Priority { priority_key: i32::from(*number), ..Priority::default() });
                self.execution.update_options(now, options, "someone");
            }
            Step::PauseActivity(which, request) => {
                let Some((id, _)) = self.activity(*which) else { return };
                let pause = ActivityPause { time: now, request_id: format!("pause {request}"), ..Default::default() };
                let before = self.execution.activities[&id].pause.clone();
                let other = before.is_some_and(|before| before.request_id != pause.request_id);
                let paused = self.execution.pause_activity(id, &pause);
                assert_eq!(paused, if other { Err(AlreadyPaused) } else { Ok(()) });
            }
            Step::UnpauseActivity(which, how) => {
                let Some((id, _)) = self.activity(*which) else { return };
                self.execution.unpause_activity(now, id, *how, 0);
                assert!(!self.execution.activities[&id].is_paused());
            }
            Step::ResetActivity(which, how, restore) => {
                let Some((id, _)) = self.activity(*which) else { return };
                let event = self.events.iter().find(|event| event.event_id == id);
                let original = match event.and_then(|event| event.attributes.as_ref()) {
                    Some(Attributes::ActivityTaskScheduledEventAttributes(a)) => a.clone(),
                    other => panic!("an activity was scheduled by {other:?}"),
                };
                self.execution.reset_activity(now, id, *how, restore.then_some(&original), SECOND);
                assert_eq!(self.execution.activities[&id].attempt, 1);
            }
            Step::ActivityOptions(which, limits) => {
                let Some((id, _)) = self.activity(*which) else { return };
                let seconds = |seconds: u8| duration(Nanos::from(seconds) * SECOND);
                let options = ActivityOptions {
                    schedule_to_close_timeout: seconds(limits.schedule_to_close),
                    schedule_to_start_timeout: seconds(limits.schedule_to_start),
                    start_to_close_timeout: seconds(limits.start_to_close),
                    heartbeat_timeout: seconds(limits.heartbeat),
                    ..self.execution.activities[&id].options()
                };
                self.execution.set_activity_options(now, id, options.clone());
                let found = self.execution.activities[&id].options();
                assert_eq!(found.start_to_close_timeout, options.start_to_close_timeout);
            }
            other => panic!("{other:?} is not what an operator does"),
        }
    }
}
