//! An execution with everything around it that the engine has: a clock, a history that grows, workers, children.

use temporalio_common::protos::temporal::api::{
    command::v1::{
        CancelTimerCommandAttributes, CancelWorkflowExecutionCommandAttributes, Command,
        CompleteWorkflowExecutionCommandAttributes, ContinueAsNewWorkflowExecutionCommandAttributes,
        FailWorkflowExecutionCommandAttributes, ModifyWorkflowPropertiesCommandAttributes,
        ProtocolMessageCommandAttributes, RecordMarkerCommandAttributes, RequestCancelActivityTaskCommandAttributes,
        RequestCancelExternalWorkflowExecutionCommandAttributes, RequestCancelNexusOperationCommandAttributes,
        ScheduleActivityTaskCommandAttributes, SignalExternalWorkflowExecutionCommandAttributes,
        StartChildWorkflowExecutionCommandAttributes, StartTimerCommandAttributes,
        UpsertWorkflowSearchAttributesCommandAttributes, command::Attributes as C,
    },
    common::v1::{ActivityType, Memo, RetryPolicy, SearchAttributes, WorkflowExecution, WorkflowType},
    enums::v1::{
        CancelExternalWorkflowExecutionFailedCause, SignalExternalWorkflowExecutionFailedCause,
        StartChildWorkflowExecutionFailedCause, WorkflowTaskFailedCause,
    },
    history::v1::{
        HistoryEvent, WorkflowExecutionCancelRequestedEventAttributes, WorkflowExecutionStartedEventAttributes,
        history_event::Attributes,
    },
    taskqueue::v1::TaskQueue,
    update::v1::{Meta, Request},
};

use super::{
    operations::{schedule_operation, target_of_operation},
    parts::{closing, failure, field, payloads, pick, target},
    steps::{Beginning, Deed, Failing, Limits, Step},
};
use crate::history::{
    ActivityOutcome, CompletedTask, Execution, StartInput, TaskStart, UpdateNews,
    retry_policy::complete_policy,
    state::{Effect, PendingKind, SignalInput},
    time::{Nanos, duration},
};

pub(super) const SECOND: Nanos = 1_000_000_000;

/// The execution and its world.
pub(super) struct Model {
    pub(super) execution: Execution,
    /// All events that were ever written, as the store has them.
    pub(super) events: Vec<HistoryEvent>,
    /// Pending rows, as the store has them.
    pub(super) rows: std::collections::BTreeMap<(PendingKind, i64), Vec<u8>>,
    /// Start attributes of the runs that are to follow.
    pub(super) next_runs: Vec<WorkflowExecutionStartedEventAttributes>,
    /// What clients of updates have been told.
    pub(super) told: Vec<UpdateNews>,
    pub(super) now: Nanos,
    named: u32,
}

impl Model {
    /// A run that has just started, with its first task scheduled unless that has to wait.
    pub(super) fn new(beginning: Beginning) -> Self {
        let now = 1_700_000_000 * SECOND;
        let attributes = WorkflowExecutionStartedEventAttributes {
            workflow_type: Some(WorkflowType { name: "kind".into() }),
            task_queue: Some(TaskQueue { name: "queue".into(), ..Default::default() }),
            workflow_execution_timeout: duration(900 * SECOND),
            original_execution_run_id: "run".into(),
            first_execution_run_id: "run".into(),
            workflow_id: "id".into(),
            attempt: 1,
            workflow_run_timeout: duration(Nanos::from(beginning.run_timeout) * SECOND),
            first_workflow_task_backoff: duration(Nanos::from(beginning.delay) * SECOND),
            retry_policy: (beginning.attempts != 0)
                .then(|| RetryPolicy { maximum_attempts: beginning.attempts.into(), ..Default::default() })
                .map(|policy| complete_policy(Some(&policy))),
            cron_schedule: if beginning.every == 0 { String::new() } else { format!("@every {}s", beginning.every) },
            ..Default::default()
        };
        let input = StartInput {
            namespace: "ns".into(),
            namespace_id: "ns-id".into(),
            attributes,
            request_id: "start".into(),
            user_metadata: None,
            links: Vec::new(),
        };
        let execution = Execution::start(1, now, input);
        let mut model = Self {
            execution,
            events: Vec::new(),
            rows: std::collections::BTreeMap::new(),
            next_runs: Vec::new(),
            told: Vec::new(),
            now,
            named: 0,
        };
        model.execution.schedule_workflow_task(now);
        model.keep();
        model
    }

    /// Does what the engine does for `step`: nothing where the step has no object, or the run has closed.
    pub(super) fn take(&mut self, step: &Step) {
        if let Step::Pass(seconds) = step {
            self.now += Nanos::from(*seconds) * SECOND;
        } else {
            // Two things never happen at the same nanosecond.
            self.now += 1;
        }
        if self.execution.is_open() {
            self.act(step);
        }
        self.keep();
    }

    fn act(&mut self, step: &Step) {
        let now = self.now;
        let start = TaskStart { identity: "worker".into(), request_id: "poll".into(), in_process: true };
        match step {
            Step::Signal(number) => {
                let request_id = format!("request {number}");
                let signal = SignalInput { name: "signal".into(), request_id, ..SignalInput::default() };
                self.execution.signal(now, signal, None);
                self.execution.schedule_workflow_task(now);
            }
            Step::SignalEarly(number) => {
                let request_id = format!("request {number}");
                let signal = SignalInput { name: "signal".into(), request_id, ..SignalInput::default() };
                self.execution.signal(now, signal, None);
                self.execution.schedule_workflow_task_early(now);
            }
            Step::RequestCancel => {
                let request = WorkflowExecutionCancelRequestedEventAttributes::default();
                self.execution.request_cancel(now, request, "cancel");
            }
            Step::Update(number) => {
                let meta = Some(Meta { update_id: format!("update {number}"), ..Meta::default() });
                let _ = self.execution.admit_update(now, Request { meta, ..Request::default() });
            }
            Step::Terminate => self.execution.terminate(now, "enough", None, "someone"),
            Step::StartTask => {
                if self.execution.start_workflow_task(now, &start).is_some() {
                    self.execution.send_updates(true);
                }
            }
            Step::Complete(deeds) => self.complete(deeds),
            Step::FailTask => {
                if self.execution.has_started_workflow_task() {
                    let cause = WorkflowTaskFailedCause::WorkflowWorkerUnhandledFailure;
                    self.execution.fail_workflow_task(now, cause, None, "worker");
                }
            }
            Step::ClearSticky => self.execution.clear_sticky(),
            Step::Abandon => self.execution.abandon_in_process_workers(now),
            Step::StartActivity(which) => {
                if let Some((id, attempt)) = self.activity(*which) {
                    let _ = self.execution.start_activity(now, id, attempt, &start);
                }
            }
            Step::Heartbeat(which) => {
                if let Some((id, attempt)) = self.activity(*which) {
                    let _ = self.execution.heartbeat(now, id, Some(attempt), Some(payloads(b"half")));
                }
            }
            Step::CompleteActivity(which) => self.end(*which, ActivityOutcome::Completed(Some(payloads(b"done")))),
            Step::FailActivity(which, how) => {
                let failure = failure(matches!(how, Failing::ForGood));
                self.end(*which, ActivityOutcome::Failed(Box::new(failure), None));
            }
            Step::CancelActivity(which) => self.end(*which, ActivityOutcome::Canceled(None)),
            Step::ChildStarts(which) => {
                if let Some(id) = pick(self.unstarted_children(), *which) {
                    self.execution.child_started(now, id, "child run", None);
                }
            }
            Step::ChildCannotStart(which) => {
                if let Some(id) = pick(self.unstarted_children(), *which) {
                    let cause = StartChildWorkflowExecutionFailedCause::WorkflowAlreadyExists;
                    self.execution.child_start_failed(now, id, cause);
                }
            }
            Step::ChildCloses(which, how) => {
                let started = self.execution.children.iter().filter(|(_, child)| !child.run_id.is_empty());
                if let Some(id) = pick(started.map(|(id, _)| *id).collect(), *which) {
                    self.execution.child_closed(now, id, "child run", &closing(*how));
                }
            }
            Step::SignalArrives(which, arrives) => {
                if let Some(id) = pick(self.execution.signals.keys().copied().collect(), *which) {
                    let cause = SignalExternalWorkflowExecutionFailedCause::ExternalWorkflowExecutionNotFound;
                    let result = arrives.then_some(()).ok_or(cause);
                    self.execution.signal_delivered(now, id, &target(), result);
                }
            }
            Step::CancelArrives(which, arrives) => {
                if let Some(id) = pick(self.execution.cancels.keys().copied().collect(), *which) {
                    let cause = CancelExternalWorkflowExecutionFailedCause::ExternalWorkflowExecutionNotFound;
                    let result = arrives.then_some(()).ok_or(cause);
                    self.execution.cancel_delivered(now, id, &target(), result);
                }
            }
            Step::Answer(which, how) => self.answer(*which, *how),
            Step::OperationEnds(which, how) => self.end_operation(*which, *how),
            Step::Pause
            | Step::Unpause
            | Step::Options(_)
            | Step::PauseActivity(..)
            | Step::UnpauseActivity(..)
            | Step::ResetActivity(..)
            | Step::ActivityOptions(..) => self.control(step),
            Step::Pass(_) => {
                // As the engine does: until nothing is due. One thing can bring the next about, never for ever.
                let due = |execution: &Execution| matches!(execution.next_deadline(), due if due != 0 && due <= now);
                for _ in 0..8 {
                    if due(&self.execution) {
                        self.execution.fire_due(now, || "next run".to_owned());
                    }
                }
                assert!(!due(&self.execution), "a deadline at {} is left behind", self.execution.next_deadline());
            }
        }
    }

    fn complete(&mut self, deeds: &[Deed]) {
        if !self.execution.has_started_workflow_task() {
            return;
        }
        let (messages, commands) = (self.messages(deeds), self.commands(deeds));
        let sticky = Some(("sticky".to_owned(), 10 * SECOND));
        let operations = commands.iter().map(|_| target_of_operation()).collect();
        let identity = "worker".to_owned();
        let task = CompletedTask { commands, messages, identity, sticky, operations, ..CompletedTask::default() };
        let before = self.execution.clone();
        if let Err(error) = self.execution.complete_workflow_task(self.now, task, || "next run".to_owned()) {
            assert_eq!(self.execution.info, before.info, "refused commands change nothing");
            self.execution.fail_workflow_task(self.now, error.cause, None, "worker");
            self.execution.abort_sent_updates();
        }
    }

    /// The commands for `deeds`; a close only at the end, as a worker sends it.
    fn commands(&mut self, deeds: &[Deed]) -> Vec<Command> {
        let mut commands = Vec::new();
        for deed in deeds {
            let attributes = self.command(deed);
            let closes = matches!(deed, Deed::Complete | Deed::Fail | Deed::Cancel | Deed::ContinueAsNew);
            commands
                .extend(attributes.map(|attributes| Command { attributes: Some(attributes), ..Command::default() }));
            if closes {
                break;
            }
        }
        commands
    }

    fn command(&mut self, deed: &Deed) -> Option<C> {
        Some(match deed {
            Deed::Activity { limits, attempts } => self.schedule(*limits, *attempts),
            Deed::CancelActivity(which) => {
                let scheduled_event_id = pick(self.execution.activities.keys().copied().collect(), *which)?;
                C::RequestCancelActivityTaskCommandAttributes(RequestCancelActivityTaskCommandAttributes {
                    scheduled_event_id,
                })
            }
            Deed::Operation(limits) => schedule_operation(*limits),
            Deed::CancelOperation(which) => {
                let scheduled_event_id = pick(self.execution.operations.keys().copied().collect(), *which)?;
                C::RequestCancelNexusOperationCommandAttributes(RequestCancelNexusOperationCommandAttributes {
                    scheduled_event_id,
                })
            }
            Deed::Timer(seconds) => C::StartTimerCommandAttributes(StartTimerCommandAttributes {
                timer_id: self.name("timer"),
                start_to_fire_timeout: duration(Nanos::from(*seconds) * SECOND),
            }),
            Deed::CancelTimer(which) => {
                let known = self.execution.timers.values().map(|timer| timer.timer_id.clone());
                let fired = self.execution.buffered.values().filter_map(|event| match event.attributes.as_ref() {
                    Some(Attributes::TimerFiredEventAttributes(a)) => Some(a.timer_id.clone()),
                    _ => None,
                });
                C::CancelTimerCommandAttributes(CancelTimerCommandAttributes {
                    timer_id: pick(known.chain(fired).collect(), *which)?,
                })
            }
            Deed::Child(policy) => {
                C::StartChildWorkflowExecutionCommandAttributes(StartChildWorkflowExecutionCommandAttributes {
                    workflow_id: self.name("child"),
                    workflow_type: Some(WorkflowType { name: "child".into() }),
                    parent_close_policy: i32::from(policy % 4),
                    ..Default::default()
                })
            }
            Deed::Marker => C::RecordMarkerCommandAttributes(RecordMarkerCommandAttributes {
                marker_name: "marker".into(),
                ..Default::default()
            }),
            Deed::SignalOther => {
                C::SignalExternalWorkflowExecutionCommandAttributes(SignalExternalWorkflowExecutionCommandAttributes {
                    execution: Some(WorkflowExecution { workflow_id: "other".into(), run_id: String::new() }),
                    signal_name: "signal".into(),
                    ..Default::default()
                })
            }
            Deed::CancelOther => C::RequestCancelExternalWorkflowExecutionCommandAttributes(
                RequestCancelExternalWorkflowExecutionCommandAttributes {
                    workflow_id: "other".into(),
                    ..Default::default()
                },
            ),
            Deed::Memo(number) => {
                C::ModifyWorkflowPropertiesCommandAttributes(ModifyWorkflowPropertiesCommandAttributes {
                    upserted_memo: Some(Memo { fields: field(*number) }),
                })
            }
            Deed::Attribute(number) => {
                C::UpsertWorkflowSearchAttributesCommandAttributes(UpsertWorkflowSearchAttributesCommandAttributes {
                    search_attributes: Some(SearchAttributes { indexed_fields: field(*number) }),
                })
            }
            Deed::Complete => {
                C::CompleteWorkflowExecutionCommandAttributes(CompleteWorkflowExecutionCommandAttributes::default())
            }
            Deed::Fail => C::FailWorkflowExecutionCommandAttributes(FailWorkflowExecutionCommandAttributes {
                failure: Some(failure(true)),
            }),
            Deed::Cancel => {
                C::CancelWorkflowExecutionCommandAttributes(CancelWorkflowExecutionCommandAttributes::default())
            }
            Deed::ContinueAsNew => C::ContinueAsNewWorkflowExecutionCommandAttributes(
                ContinueAsNewWorkflowExecutionCommandAttributes::default(),
            ),
            // As messages; every second one with a command that points to it.
            Deed::AcceptUpdate(which, true) => C::ProtocolMessageCommandAttributes(ProtocolMessageCommandAttributes {
                message_id: format!("{} Acceptance", self.sent_update(*which)),
            }),
            Deed::AcceptUpdate(..) | Deed::RejectUpdate(_) | Deed::CompleteUpdate(_) => return None,
            Deed::Nonsense => C::StartTimerCommandAttributes(StartTimerCommandAttributes::default()),
        })
    }

    fn schedule(&mut self, limits: Limits, attempts: u8) -> C {
        let seconds = |seconds: u8| duration(Nanos::from(seconds) * SECOND);
        C::ScheduleActivityTaskCommandAttributes(ScheduleActivityTaskCommandAttributes {
            activity_id: self.name("activity"),
            activity_type: Some(ActivityType { name: "deed".into() }),
            schedule_to_close_timeout: seconds(limits.schedule_to_close),
            schedule_to_start_timeout: seconds(limits.schedule_to_start),
            start_to_close_timeout: seconds(limits.start_to_close),
            heartbeat_timeout: seconds(limits.heartbeat),
            retry_policy: Some(RetryPolicy { maximum_attempts: attempts.into(), ..Default::default() }),
            ..Default::default()
        })
    }

    fn end(&mut self, which: u8, outcome: ActivityOutcome) {
        if let Some((id, attempt)) = self.activity(which) {
            self.execution.end_activity(self.now, id, Some(attempt), "worker", outcome);
        }
    }

    pub(super) fn activity(&self, which: u8) -> Option<(i64, i32)> {
        pick(self.execution.activities.iter().map(|(id, activity)| (*id, activity.attempt)).collect(), which)
    }

    fn unstarted_children(&self) -> Vec<i64> {
        self.execution.children.iter().filter(|(_, child)| child.run_id.is_empty()).map(|(id, _)| *id).collect()
    }

    fn name(&mut self, kind: &str) -> String {
        self.named += 1;
        format!("{kind} {}", self.named)
    }

    /// Takes what a transaction changed into the history and the rows, as the engine's commit does.
    fn keep(&mut self) {
        self.execution.end_transaction(self.now);
        let changes = self.execution.take_changes();
        for effect in &changes.effects {
            if let Effect::ContinueAsNew { started } | Effect::RunAgain { started } = effect {
                self.next_runs.push(started.as_ref().clone());
            }
        }
        self.told.extend(changes.updates);
        self.events.extend(changes.events);
        for (kind, id) in changes.pending {
            match self.execution.encode_pending(kind, id) {
                Some(bytes) => drop(self.rows.insert((kind, id), bytes)),
                None => drop(self.rows.remove(&(kind, id))),
            }
        }
    }
}
