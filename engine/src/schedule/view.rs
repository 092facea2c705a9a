//! What clients are shown of a schedule.

use temporalio_common::protos::temporal::api::schedule::v1::{
    Schedule, ScheduleAction, ScheduleInfo, ScheduleListInfo, schedule_action::Action,
};

use super::{Machine, canonical::spell_out};
use crate::history::time::{Nanos, timestamp};

/// Times to come that are told: to those who look at one schedule, and to those who list many.
const FUTURE_ACTIONS: usize = 10;
const LISTED_ACTIONS: usize = 5;
/// Calendars, intervals and exclusions that a listing shows, of each.
const LISTED_ENTRIES: usize = 10;
/// Times that one request lists (`maxListMatchingTimesCount`).
const MAX_MATCHING_TIMES: usize = 1_000;

type Timestamp = prost_wkt_types::Timestamp;

impl Machine {
    /// The schedule as it is now, and what has come of it.
    pub(crate) fn describe(&self, now: Nanos) -> (Schedule, ScheduleInfo) {
        let record = &self.record;
        let mut spec = record.spec.clone();
        spell_out(&mut spec);
        let schedule = Schedule {
            spec: Some(spec),
            action: Some(ScheduleAction { action: record.action.clone().map(Action::StartWorkflow) }),
            policies: Some(record.policies),
            state: Some(record.state.clone()),
        };
        let info = ScheduleInfo {
            future_action_times: self.future_action_times(FUTURE_ACTIONS, now),
            buffer_size: i64::try_from(record.waiting.len()).unwrap_or(i64::MAX),
            ..record.info.clone()
        };
        (schedule, info)
    }

    /// The schedule in short.
    pub(crate) fn list_info(&self, now: Nanos) -> ScheduleListInfo {
        let record = &self.record;
        let mut spec = record.spec.clone();
        spec.timezone_data = Vec::new();
        spec.structured_calendar.truncate(LISTED_ENTRIES);
        spec.exclude_structured_calendar.truncate(LISTED_ENTRIES);
        spec.interval.truncate(LISTED_ENTRIES);
        spell_out(&mut spec);
        let recent = &record.info.recent_actions;
        ScheduleListInfo {
            spec: Some(spec),
            workflow_type: record.action.as_ref().and_then(|action| action.workflow_type.clone()),
            notes: record.state.notes.clone(),
            paused: record.state.paused,
            recent_actions: recent[recent.len().saturating_sub(LISTED_ACTIONS)..].to_vec(),
            future_action_times: self.future_action_times(LISTED_ACTIONS, now),
            ..Default::default()
        }
    }

    /// Times of the specification after `start`, up to `end` and a bound; whether they were held back does not matter.
    pub(crate) fn matching_times(&self, start: Nanos, end: Nanos) -> Vec<Timestamp> {
        let times = self.times.iter().flat_map(|times| times.after(start));
        let until = times.map(|due| due.actual).take_while(|time| *time <= end);
        until.take(MAX_MATCHING_TIMES).filter_map(timestamp).collect()
    }

    fn future_action_times(&self, most: usize, now: Nanos) -> Vec<Timestamp> {
        let record = &self.record;
        let remaining = usize::try_from(record.state.remaining_actions).unwrap_or(0);
        let most = if record.state.limited_actions { most.min(remaining) } else { most };
        let times = self.times.iter().flat_map(|times| times.after(record.looked_at.max(now)));
        times.take(most).filter_map(|due| timestamp(due.actual)).collect()
    }
}
