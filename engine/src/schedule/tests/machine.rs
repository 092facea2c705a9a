//! Schedules as time goes by, with runs that end when the test says so.

use proptest::prelude::*;
use prost::Message as _;
use temporalio_common::protos::temporal::api::{
    common::v1::{Payload, Payloads, WorkflowExecution},
    enums::v1::{ScheduleOverlapPolicy as Policy, WorkflowExecutionStatus as RunStatus},
    failure::v1::Failure,
    schedule::v1::{
        BackfillRequest, ScheduleActionResult, SchedulePatch, SchedulePolicies, ScheduleSpec, ScheduleState,
        TriggerImmediatelyRequest,
    },
    workflow::v1::NewWorkflowExecutionInfo,
    workflowservice::v1::StartWorkflowExecutionRequest,
};

use super::{HOUR, SECOND, at, every, text};
use crate::{
    history::time::{Nanos, duration, timestamp},
    schedule::{Change, Closed, Machine, Order, Record, canonical},
};

const BEGIN: &str = "2026-11-21T00:00:00Z";

/// A schedule and what it has started.
struct World {
    machine: Machine,
    now: Nanos,
    /// When the next turn is due.
    next: Option<Nanos>,
    starts: Vec<StartWorkflowExecutionRequest>,
    cancelled: Vec<WorkflowExecution>,
    /// Refuses every start.
    refuses: bool,
}

fn change(spec: ScheduleSpec, policy: Policy) -> Change {
    let action = NewWorkflowExecutionInfo { workflow_id: "w".into(), ..Default::default() };
    Change {
        spec: canonical(spec).unwrap(),
        action: Some(action),
        policies: SchedulePolicies { overlap_policy: policy.into(), ..Default::default() },
        ..Default::default()
    }
}

impl World {
    fn new(change: Change) -> Self {
        let namespace_id = "01a1fcf3-f5de-748f-8849-abf4d881b326".to_owned();
        let record = Record { namespace: "n".into(), namespace_id, schedule_id: "s".into(), ..Record::default() };
        let now = at(BEGIN);
        let machine = Machine::create(record, change, now);
        let next = machine.next_turn(now);
        Self { machine, now, next, starts: Vec::new(), cancelled: Vec::new(), refuses: false }
    }

    fn hourly(policy: Policy) -> Self {
        Self::new(change(every(3_600), policy))
    }

    /// Lets time go by at once, and gives the schedule all turns that are due then.
    fn jump(&mut self, by: Nanos) {
        self.now += by;
        while self.next.is_some_and(|next| next <= self.now) && !self.machine.is_over(self.now) {
            self.turn();
        }
    }

    fn turn(&mut self) {
        loop {
            let turn = self.machine.turn(self.now);
            let again = turn.again || (self.refuses && turn.orders.iter().any(|o| matches!(o, Order::Start(_))));
            for order in turn.orders {
                self.carry_out(order);
            }
            if !again {
                break;
            }
        }
        self.next = self.machine.next_turn(self.now);
    }

    fn carry_out(&mut self, order: Order) {
        match order {
            Order::Start(order) if !self.refuses => {
                self.starts.push(order.request.clone());
                let run_id = format!("run {}", self.starts.len());
                self.machine.started(&order, &run_id, self.now);
            }
            Order::Start(_) => {}
            Order::Cancel(run) => self.cancelled.push(run),
            Order::Terminate(run) => self.close(run, RunStatus::Terminated, None, None),
        }
    }

    /// Ends the run that was started first.
    fn end(&mut self, status: RunStatus) {
        let run = self.machine.record().info.running_workflows.first().cloned();
        let result = (status == RunStatus::Completed).then(|| payloads("done"));
        let failure = (status == RunStatus::Failed).then(|| Failure { message: "no".into(), ..Default::default() });
        if let Some(run) = run {
            self.close(run, status, result, failure);
        }
    }

    fn close(&mut self, run: WorkflowExecution, status: RunStatus, result: Option<Payloads>, failure: Option<Failure>) {
        let (workflow_id, first_run_id) = (run.workflow_id, run.run_id);
        self.machine.closed(Closed { workflow_id, first_run_id, status, result, failure });
        self.turn();
    }

    fn patch(&mut self, patch: SchedulePatch) {
        self.machine.patch(patch, "", self.now);
        self.turn();
    }

    fn ids(&self) -> Vec<&str> {
        self.starts.iter().map(|start| start.workflow_id.as_str()).collect()
    }

    /// Actions, those skipped, those dropped, those missed, those waiting.
    fn counts(&self) -> (i64, i64, i64, i64, usize) {
        let record = self.machine.record();
        let info = &record.info;
        (info.action_count, info.overlap_skipped, info.buffer_dropped, info.missed_catchup_window, record.waiting.len())
    }
}

fn payloads(text: &str) -> Payloads {
    Payloads { payloads: vec![Payload { data: text.into(), ..Default::default() }] }
}

fn trigger(policy: Policy) -> SchedulePatch {
    let trigger = TriggerImmediatelyRequest { overlap_policy: policy.into(), scheduled_time: None };
    SchedulePatch { trigger_immediately: Some(trigger), ..Default::default() }
}

fn backfill(from: &str, to: &str, policy: Policy) -> SchedulePatch {
    let request =
        BackfillRequest { start_time: timestamp(at(from)), end_time: timestamp(at(to)), overlap_policy: policy.into() };
    SchedulePatch { backfill_request: vec![request], ..Default::default() }
}

#[test]
fn a_start_has_the_time_that_it_came_due_at() {
    let mut world = World::hourly(Policy::Skip);
    world.jump(HOUR + 1);
    assert_eq!(world.ids(), ["w-2026-11-21T01:00:00Z"]);
    let start = &world.starts[0];
    assert_eq!(start.identity, "temporal-scheduler-n-s");
    let attributes = &start.search_attributes.as_ref().unwrap().indexed_fields;
    assert_eq!(attributes["TemporalScheduledById"].data, b"\"s\"");
    assert_eq!(attributes["TemporalScheduledStartTime"].data, b"\"2026-11-21T01:00:00Z\"");
    let action = &world.machine.record().info.recent_actions[0];
    assert_eq!(action.schedule_time, timestamp(at("2026-11-21T01:00:00Z")));
    assert_eq!(action.actual_time, timestamp(world.now));
    assert_eq!(world.machine.next_turn(world.now).map(text).as_deref(), Some("2026-11-21T02:00:00Z"));
}

#[test]
fn a_run_learns_what_the_last_one_left() {
    let mut world = World::hourly(Policy::Skip);
    world.jump(HOUR);
    assert_eq!(world.starts[0].last_completion_result, None);
    world.end(RunStatus::Completed);
    world.jump(HOUR);
    assert_eq!(world.starts[1].last_completion_result, Some(payloads("done")));
    world.end(RunStatus::Failed);
    world.jump(HOUR);
    assert_eq!(world.starts[2].last_completion_result, Some(payloads("done")));
    assert_eq!(world.starts[2].continued_failure.as_ref().unwrap().message, "no");
    world.end(RunStatus::Completed);
    world.patch(trigger(Policy::AllowAll));
    assert_eq!(world.starts[3].last_completion_result, None, "a run of its own has nothing before it");
    world.jump(HOUR);
    assert_eq!(world.starts[4].continued_failure, None);
    let told = world.machine.record().info.recent_actions.iter().map(ScheduleActionResult::start_workflow_status);
    let (done, open) = (RunStatus::Completed, RunStatus::Running);
    assert_eq!(told.collect::<Vec<_>>(), [done, RunStatus::Failed, done, open, open]);
}

#[test]
fn runs_that_overlap_wait_for_their_turn_or_end_the_other() {
    let mut all = World::hourly(Policy::BufferAll);
    all.jump(4 * HOUR);
    assert_eq!(all.counts(), (1, 0, 0, 0, 3));
    all.end(RunStatus::Completed);
    assert_eq!(all.ids(), ["w-2026-11-21T01:00:00Z", "w-2026-11-21T02:00:00Z"]);
    let mut cancel = World::hourly(Policy::CancelOther);
    cancel.jump(HOUR);
    cancel.jump(2 * HOUR);
    assert_eq!((cancel.cancelled.len(), cancel.counts()), (1, (1, 0, 0, 0, 2)));
    cancel.end(RunStatus::Canceled);
    assert_eq!(cancel.ids(), ["w-2026-11-21T01:00:00Z", "w-2026-11-21T03:00:00Z"], "the last one counts");
    let mut terminate = World::hourly(Policy::TerminateOther);
    terminate.jump(HOUR);
    terminate.jump(HOUR);
    assert_eq!(terminate.ids().len(), 2);
    assert_eq!(terminate.machine.record().info.running_workflows.len(), 1);
}

#[test]
fn what_was_missed_is_made_up_for_within_the_window() {
    let policies = SchedulePolicies {
        overlap_policy: Policy::AllowAll.into(),
        catchup_window: duration(2 * HOUR),
        ..Default::default()
    };
    let mut world = World::new(Change { policies, ..change(every(3_600), Policy::AllowAll) });
    world.jump(5 * HOUR + HOUR / 2);
    assert_eq!(world.ids(), ["w-2026-11-21T04:00:00Z", "w-2026-11-21T05:00:00Z"]);
    assert_eq!(world.counts(), (2, 0, 0, 3, 0));
    world.jump(HOUR);
    assert_eq!(world.counts(), (3, 0, 0, 3, 0), "missed once");
}

#[test]
fn a_long_rest_is_looked_through_in_bounded_turns() {
    let mut world = World::new(change(every(1), Policy::BufferAll));
    world.now += 30_000 * SECOND;
    let first = world.machine.turn(world.now);
    assert_eq!((first.orders.len(), world.machine.next_turn(world.now)), (0, Some(world.now)));
    world.jump(0);
    assert_eq!(world.counts(), (1, 0, 29_000, 0, 999));
}

#[test]
fn a_pause_holds_back_what_comes_due_and_not_what_is_asked_for() {
    let mut world = World::hourly(Policy::Skip);
    world.patch(SchedulePatch { pause: "enough".into(), ..Default::default() });
    assert_eq!(world.machine.next_turn(world.now), None);
    world.jump(10 * HOUR);
    world.patch(trigger(Policy::Unspecified));
    assert_eq!(world.ids(), ["w-2026-11-21T10:00:00Z"]);
    world.end(RunStatus::Completed);
    world.patch(SchedulePatch { unpause: "go".into(), ..Default::default() });
    assert_eq!(world.machine.record().state.notes, "go");
    assert_eq!(world.machine.record().conflict_token, 3);
    world.jump(HOUR);
    assert_eq!(world.counts(), (2, 0, 0, 0, 0), "what was paused is not made up for");
}

#[test]
fn a_schedule_stops_after_its_last_action_and_is_forgotten() {
    let state = ScheduleState { limited_actions: true, remaining_actions: 2, ..Default::default() };
    let mut world = World::new(Change { state, ..change(every(3_600), Policy::AllowAll) });
    assert_eq!(world.machine.describe(world.now).1.future_action_times.len(), 2);
    world.patch(trigger(Policy::Unspecified));
    world.jump(5 * HOUR);
    assert_eq!(world.starts.len(), 3, "one was asked for, and two came due");
    assert_eq!(world.machine.record().state.remaining_actions, 0);
    assert_eq!(world.machine.record().conflict_token, 3);
    let end = world.machine.next_turn(world.now).unwrap();
    assert_eq!(end, world.now + 7 * 24 * HOUR);
    assert!(!world.machine.is_over(end - 1) && world.machine.is_over(end));
}

#[test]
fn a_failure_pauses_the_schedule_if_it_is_to() {
    let policies = SchedulePolicies { pause_on_failure: true, ..Default::default() };
    let mut world = World::new(Change { policies, ..change(every(3_600), Policy::Skip) });
    world.jump(HOUR);
    world.end(RunStatus::Canceled);
    assert!(!world.machine.record().state.paused, "to cancel is not to fail");
    world.jump(HOUR);
    world.end(RunStatus::Failed);
    let state = world.machine.record().state.clone();
    assert!(state.paused);
    assert_eq!(state.notes, "paused due to workflow failure: w-2026-11-21T02:00:00Z: no");
    world.jump(HOUR);
    assert_eq!(world.starts.len(), 2);
}

#[test]
fn backfills_begin_with_their_first_instant_and_take_their_time() {
    let mut world = World::hourly(Policy::Skip);
    world.patch(backfill("2026-01-02T00:00:00Z", "2026-01-02T20:00:00Z", Policy::AllowAll));
    assert_eq!((world.ids()[0], world.starts.len()), ("w-2026-01-02T00:00:00Z", 10));
    world.jump(SECOND);
    world.jump(SECOND);
    assert_eq!((world.ids()[20], world.starts.len()), ("w-2026-01-02T20:00:00Z", 21));
    world.jump(SECOND);
    assert_eq!(world.starts.len(), 21);
    let mut one = World::hourly(Policy::BufferAll);
    one.patch(backfill("2026-01-02T00:00:00Z", "2026-01-02T20:00:00Z", Policy::Unspecified));
    assert_eq!(one.counts(), (1, 0, 0, 0, 9), "the rest comes with the ends of runs");
    for _ in 0..30 {
        one.end(RunStatus::Completed);
    }
    assert_eq!(one.starts.len(), 21);
    one.refuses = true;
    one.patch(backfill("2026-01-02T00:00:00Z", "2026-01-02T20:00:00Z", Policy::Unspecified));
    one.jump(3 * SECOND);
    assert_eq!(one.machine.record().backfills.len(), 0, "starts that are refused hold nothing up");
}

#[test]
fn an_update_replaces_the_schedule_for_the_future() {
    let mut world = World::hourly(Policy::Skip);
    world.jump(HOUR / 2);
    let spec = ScheduleSpec { jitter: duration(30 * SECOND), ..every(60) };
    let update = Change { request_id: "u".into(), ..change(spec, Policy::AllowAll) };
    assert!(world.machine.update(update.clone(), 9, world.now).is_err());
    world.machine.update(update.clone(), 1, world.now).unwrap();
    assert_eq!(world.machine.record().conflict_token, 2);
    world.turn();
    assert_eq!(world.starts.len(), 0, "nothing from before");
    world.jump(2 * 60 * SECOND);
    assert!(matches!(world.starts.len(), 1..=2), "{}", world.starts.len());
    world.machine.update(update, 9, world.now).expect("a request that was seen before");
    assert_eq!(world.machine.record().conflict_token, 2);
}

#[test]
fn times_to_come_are_told() {
    let world = World::hourly(Policy::Skip);
    let (schedule, info) = world.machine.describe(world.now);
    assert_eq!(info.future_action_times.len(), 10);
    assert_eq!(schedule.policies.unwrap().catchup_window, duration(365 * 24 * HOUR));
    assert_eq!(world.machine.list_info(world.now).future_action_times.len(), 5);
    let listed = world.machine.matching_times(at("2026-01-01T00:00:00Z"), at("2027-01-01T00:00:00Z"));
    assert_eq!(listed.len(), 1_000);
}

#[derive(Debug, Clone)]
enum Step {
    Jump(u32),
    End(bool),
    Trigger(i32),
    Backfill(u32, u32, i32),
    Pause(bool),
    Update(u32, i32, bool),
    Refuse(bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0_u32..20_000).prop_map(Step::Jump),
        4 => any::<bool>().prop_map(Step::End),
        2 => (0_i32..8).prop_map(Step::Trigger),
        2 => (0_u32..50_000, 0_u32..50_000, 0_i32..8).prop_map(|(from, to, policy)| Step::Backfill(from, to, policy)),
        1 => any::<bool>().prop_map(Step::Pause),
        1 => (1_u32..4_000, 0_i32..8, any::<bool>()).prop_map(|(length, policy, limit)| Step::Update(length, policy, limit)),
        1 => any::<bool>().prop_map(Step::Refuse),
    ];
    proptest::collection::vec(step, 1..40)
}

impl World {
    fn step(&mut self, step: &Step) {
        let policy = |number: i32| Policy::try_from(number).unwrap_or_default();
        match *step {
            Step::Jump(seconds) => self.jump(i64::from(seconds) * SECOND),
            Step::End(well) => self.end(if well { RunStatus::Completed } else { RunStatus::Failed }),
            Step::Trigger(number) => self.patch(trigger(policy(number))),
            Step::Backfill(from, to, number) => {
                let time = |seconds: u32| text(at(BEGIN) + i64::from(seconds) * SECOND);
                self.patch(backfill(&time(from), &time(to), policy(number)));
            }
            Step::Pause(true) => self.patch(SchedulePatch { pause: "p".into(), ..Default::default() }),
            Step::Pause(false) => self.patch(SchedulePatch { unpause: "u".into(), ..Default::default() }),
            Step::Update(length, number, limited_actions) => {
                let state = ScheduleState { limited_actions, remaining_actions: 5, ..Default::default() };
                let change = Change { state, ..change(every(length.into()), policy(number)) };
                self.machine.update(change, 0, self.now).unwrap();
                self.turn();
            }
            Step::Refuse(refuses) => self.refuses = refuses,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    /// One schedule is read back from what is stored of it after every step, and the other is not.
    #[test]
    fn what_is_stored_is_enough_to_go_on_with(steps in steps()) {
        let (mut kept, mut read) = (World::hourly(Policy::Skip), World::hourly(Policy::Skip));
        for step in &steps {
            kept.step(step);
            read.step(step);
            let bytes = read.machine.record().encode_to_vec();
            read.machine = Machine::load(Record::decode(bytes.as_slice()).unwrap());
            prop_assert_eq!(kept.ids(), read.ids());
            prop_assert_eq!(kept.machine.record(), read.machine.record());
            prop_assert_eq!(kept.machine.next_turn(kept.now), read.machine.next_turn(read.now));
            let record = kept.machine.record();
            prop_assert!(record.waiting.len() <= 1_000 && record.info.recent_actions.len() <= 10);
            prop_assert!(record.waiting.is_empty() || !record.info.running_workflows.is_empty());
            prop_assert!(record.state.remaining_actions >= 0);
        }
    }
}
