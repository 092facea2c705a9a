//! A schedule as a state machine: what requests and the ends of runs change. What time brings is in [`super::turn`].

use temporalio_common::protos::temporal::api::{
    common::v1::{Memo, Payloads, SearchAttributes, WorkflowExecution},
    enums::v1::{ScheduleOverlapPolicy as Policy, WorkflowExecutionStatus as RunStatus},
    failure::v1::Failure,
    schedule::v1::{BackfillRequest, SchedulePatch, SchedulePolicies, ScheduleSpec, ScheduleState},
    workflow::v1::NewWorkflowExecutionInfo,
};

use super::{
    Record, StartOrder, Times,
    record::{Backfill, Waiting},
    start,
    times::Due,
};
use crate::history::time::{Nanos, duration, from_duration, from_timestamp, timestamp};

const SECOND: Nanos = 1_000_000_000;
/// How late a start may come that could not come in time: unless the policy says so, and at the least.
const DEFAULT_CATCHUP_WINDOW: Nanos = 365 * 86_400 * SECOND;
const MIN_CATCHUP_WINDOW: Nanos = 10 * SECOND;
/// Starts that wait, and backfills under way, at the most; what comes on top is dropped and counted.
pub(super) const MAX_WAITING: usize = 1_000;
/// Starts that are told of.
const RECENT_ACTIONS: usize = 10;
/// Requests that are remembered, so that one that is repeated is not carried out again.
const MAX_SEEN_REQUESTS: usize = 100;
/// Conflict token of a new schedule.
const FIRST_TOKEN: i64 = 1;
/// A backfill begins so long before its first instant, which belongs to it.
const MILLISECOND: Nanos = 1_000_000;

/// A schedule.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    pub(super) record: Record,
    /// When it comes due; `None` when the specification cannot be read any more, as when a time zone has gone.
    pub(super) times: Option<Times>,
    /// Whether the specification is yet to be looked at up to the present.
    pub(super) behind: bool,
    /// Whether there is something to store.
    pub(super) changed: bool,
}

/// A schedule as a client wants it; the specification is canonical.
#[derive(Debug, Clone, Default)]
pub(crate) struct Change {
    pub(crate) spec: ScheduleSpec,
    pub(crate) action: Option<NewWorkflowExecutionInfo>,
    pub(crate) policies: SchedulePolicies,
    pub(crate) state: ScheduleState,
    /// `None` leaves them as they are.
    pub(crate) search_attributes: Option<SearchAttributes>,
    /// `None` leaves it as it is.
    pub(crate) memo: Option<Memo>,
    /// Request id, empty for none.
    pub(crate) request_id: String,
}

/// A run of the schedule, and all that followed from it, has ended.
#[derive(Debug, Clone)]
pub(crate) struct Closed {
    pub(crate) workflow_id: String,
    /// The first run of its chain.
    pub(crate) first_run_id: String,
    pub(crate) status: RunStatus,
    pub(crate) result: Option<Payloads>,
    pub(crate) failure: Option<Failure>,
}

/// The schedule has changed since the client has read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("mismatched conflict token")]
pub(crate) struct Refused;

impl Machine {
    /// A new schedule; the identity is that of `record`.
    pub(crate) fn create(record: Record, change: Change, now: Nanos) -> Self {
        let create_request_id = change.request_id.clone();
        let record = Record { conflict_token: FIRST_TOKEN, looked_at: now, create_request_id, ..record };
        let mut machine = Self { record, times: None, behind: false, changed: true };
        machine.record.info.create_time = timestamp(now);
        machine.apply(change);
        machine
    }

    /// A schedule as it was stored.
    pub(crate) fn load(record: Record) -> Self {
        let mut machine = Self { record, times: None, behind: false, changed: false };
        machine.read_spec();
        machine
    }

    /// Its state.
    pub(crate) fn record(&self) -> &Record {
        &self.record
    }

    /// Whether there is something to store, since it was asked last.
    pub(crate) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Who starts, cancels and terminates for it.
    pub(crate) fn identity(&self) -> String {
        start::identity(&self.record)
    }

    /// Replaces the schedule. A request that was seen before changes nothing.
    ///
    /// # Errors
    /// It has changed since the client read the `token`, 0 for none.
    pub(crate) fn update(&mut self, change: Change, token: i64, now: Nanos) -> Result<(), Refused> {
        if self.has_seen(&change.request_id) {
            return Ok(());
        }
        self.look(now);
        if token != 0 && token != self.record.conflict_token {
            return Err(Refused);
        }
        self.remember(&change.request_id);
        self.apply(change);
        self.record.info.update_time = timestamp(now);
        self.record.conflict_token += 1;
        // Times from before are looked at again, for those that their jitter moves past this change; no longer than that.
        let jitter = self.times.as_ref().map_or(0, Times::jitter);
        self.record.looked_at = self.record.looked_at.max(now.saturating_sub(jitter).saturating_sub(SECOND));
        Ok(())
    }

    /// Pauses or unpauses the schedule, and orders starts besides its times. A request that was seen before changes nothing.
    pub(crate) fn patch(&mut self, patch: SchedulePatch, request_id: &str, now: Nanos) {
        if self.has_seen(request_id) {
            return;
        }
        self.remember(request_id);
        self.look(now);
        if let Some(trigger) = patch.trigger_immediately {
            let time = trigger.scheduled_time.as_ref().map_or(now, |time| from_timestamp(Some(time)));
            self.wait(Due { nominal: time, actual: time }, trigger.overlap_policy(), true);
        }
        patch.backfill_request.iter().for_each(|request| self.make_up_for(request));
        for (notes, paused) in [(patch.pause, true), (patch.unpause, false)] {
            if !notes.is_empty() {
                self.record.state.paused = paused;
                self.record.state.notes = notes;
                self.record.conflict_token += 1;
            }
        }
        self.changed = true;
    }

    /// Has the starts of a stretch of time wait for their turn, bit by bit.
    fn make_up_for(&mut self, request: &BackfillRequest) {
        let backfill = Backfill {
            after: from_timestamp(request.start_time.as_ref()).saturating_sub(MILLISECOND),
            end: from_timestamp(request.end_time.as_ref()),
            overlap_policy: request.overlap_policy,
        };
        if self.record.backfills.len() < MAX_WAITING {
            self.record.backfills.push(backfill);
        } else {
            self.record.info.buffer_dropped += 1;
        }
    }

    /// Notes that a start was made.
    pub(crate) fn started(&mut self, order: &StartOrder, run_id: &str, now: Nanos) {
        let result = order.result(run_id, now);
        let info = &mut self.record.info;
        info.action_count += 1;
        if order.tracked {
            info.running_workflows.extend(result.start_workflow_result.clone());
        }
        info.recent_actions.push(result);
        let old = info.recent_actions.len().saturating_sub(RECENT_ACTIONS);
        info.recent_actions.drain(..old);
        self.changed = true;
    }

    /// Notes the end of a run. One that later starts do not overlap with changes nothing.
    pub(crate) fn closed(&mut self, closed: Closed) {
        let is_it =
            |run: &WorkflowExecution| run.workflow_id == closed.workflow_id && run.run_id == closed.first_run_id;
        let info = &mut self.record.info;
        let Some(at) = info.running_workflows.iter().position(is_it) else { return };
        info.running_workflows.remove(at);
        for action in &mut info.recent_actions {
            if action.start_workflow_result.as_ref().is_some_and(is_it) {
                action.start_workflow_status = closed.status.into();
            }
        }
        self.pause_after(&closed);
        // A run without a result leaves those before it.
        if closed.result.is_some() {
            self.record.last_result = closed.result;
            self.record.last_failure = None;
        } else if closed.failure.is_some() {
            self.record.last_failure = closed.failure;
        }
        self.changed = true;
    }

    fn pause_after(&mut self, closed: &Closed) {
        let id = &closed.workflow_id;
        let notes = match closed.status {
            RunStatus::Failed => {
                let message = closed.failure.as_ref().map_or("", |failure| failure.message.as_str());
                format!("paused due to workflow failure: {id}: {message}")
            }
            RunStatus::TimedOut => format!("paused due to workflow timeout: {id}"),
            _ => return,
        };
        if self.record.policies.pause_on_failure && !self.record.state.paused {
            self.record.state.paused = true;
            self.record.state.notes = notes;
            self.record.conflict_token += 1;
        }
    }

    /// Has a start wait for its turn.
    pub(super) fn wait(&mut self, due: Due, overlap_policy: Policy, manual: bool) {
        self.changed = true;
        if self.record.waiting.len() >= MAX_WAITING {
            self.record.info.buffer_dropped += 1;
            return;
        }
        let overlap_policy = overlap_policy.into();
        self.record.waiting.push(Waiting { nominal: due.nominal, actual: due.actual, overlap_policy, manual });
    }

    /// How late a start may come.
    pub(super) fn catchup_window(&self) -> Nanos {
        from_duration(self.record.policies.catchup_window.as_ref())
    }

    /// The schedule's own policy of overlaps.
    pub(super) fn overlap_policy(&self) -> Policy {
        self.record.policies.overlap_policy()
    }

    fn apply(&mut self, change: Change) {
        let record = &mut self.record;
        record.spec = change.spec;
        record.action = change.action;
        record.policies = completed(change.policies);
        record.state = change.state;
        record.search_attributes = change.search_attributes.or(record.search_attributes.take());
        record.memo = change.memo.or(record.memo.take());
        self.read_spec();
        self.changed = true;
    }

    #[allow(deprecated, reason = "deprecated for clients; servers still write it")]
    fn read_spec(&mut self) {
        let seed = format!("{}-{}", self.record.namespace_id, self.record.schedule_id);
        let times = Times::new(&self.record.spec, seed);
        self.record.info.invalid_schedule_error = times.as_ref().err().map(ToString::to_string).unwrap_or_default();
        self.times = times.ok();
    }

    fn has_seen(&self, request_id: &str) -> bool {
        !request_id.is_empty() && self.record.seen_requests.iter().any(|seen| seen == request_id)
    }

    fn remember(&mut self, request_id: &str) {
        let seen = &mut self.record.seen_requests;
        if !request_id.is_empty() {
            seen.push(request_id.to_owned());
            let old = seen.len().saturating_sub(MAX_SEEN_REQUESTS);
            seen.drain(..old);
        }
    }
}

/// Policies as they are shown: what is not said is written out.
fn completed(policies: SchedulePolicies) -> SchedulePolicies {
    let overlap = match policies.overlap_policy() {
        Policy::Unspecified => Policy::Skip,
        given => given,
    };
    let window = match &policies.catchup_window {
        None => DEFAULT_CATCHUP_WINDOW,
        given => from_duration(given.as_ref()).max(MIN_CATCHUP_WINDOW),
    };
    SchedulePolicies { overlap_policy: overlap.into(), catchup_window: duration(window), ..policies }
}
