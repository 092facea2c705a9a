//! Resetting and forgetting runs: what changes a run that has closed, or puts another in its place.

use prost::Message as _;
use temporalio_common::protos::temporal::api::{
    common::v1::WorkflowExecution,
    enums::v1::EventType,
    history::v1::{HistoryEvent, history_event::Attributes},
};
use tonic::Status;
use uuid::Uuid;

use super::Core;
use crate::{
    history::{Execution, Reapplied, ResetError, ResetInput, time::Nanos},
    store::HistoryLimit,
};

/// Runs that one reset looks through for signals, and that a child's parent is followed through, at the most.
const MAX_CHAIN: usize = 1_000;

/// What happens to a closed run in the batch under way.
#[derive(Debug, Clone)]
pub(crate) enum ClosedChange {
    /// It is forgotten.
    Delete,
    /// It has this state.
    State(Vec<u8>),
}

/// A reset, as it is asked for.
#[derive(Debug, Clone)]
pub(crate) struct ResetRequest {
    /// Namespace, by name.
    pub(crate) namespace: String,
    /// The run; the current one of its id without a run id.
    pub(crate) execution: WorkflowExecution,
    /// Why.
    pub(crate) reason: String,
    /// First event that the new run does not have.
    pub(crate) finish_event_id: i64,
    /// Request id, so that a repeated request is not a second reset.
    pub(crate) request_id: String,
    /// What is taken over of what came later.
    pub(crate) reapplied: Reapplied,
}

impl Core {
    /// Ends the current run of a workflow id and starts one that goes on from a point of the history of `request`'s run. Answers
    /// its run id.
    ///
    /// # Errors
    /// There is no such run, or it cannot be reset to that point.
    pub(crate) fn reset(&mut self, request: &ResetRequest) -> Result<String, Status> {
        self.require_namespace(&request.namespace)?;
        let base = self.find(&request.namespace, &request.execution)?;
        let base_info = self.info(base.key)?;
        let finish = request.finish_event_id;
        if finish <= 1 || finish >= base_info.next_event_id {
            return Err(Status::invalid_argument("Workflow task finish ID must be > 1 && <= workflow last event ID."));
        }
        let current = WorkflowExecution { workflow_id: base_info.workflow_id.clone(), run_id: String::new() };
        let current = self.find(&request.namespace, &current)?;
        let current_info = self.info(current.key)?;
        if current_info.reset_request_id == request.request_id {
            return Ok(current_info.run_id);
        }
        let new_run_id = Uuid::now_v7().to_string();
        let input = ResetInput {
            namespace: request.namespace.clone(),
            namespace_id: self.namespace_id(&request.namespace),
            base_run_id: base_info.run_id.clone(),
            new_run_id: new_run_id.clone(),
            reason: request.reason.clone(),
            start_request_id: base_info.start_request_id.clone(),
            request_id: request.request_id.clone(),
        };
        let prefix = self.written_events(base.key, 1, finish - 1)?;
        let now = self.now();
        let key = self.next_key();
        let mut execution = Execution::reset(key, now, prefix, input).map_err(|error| refused(error, finish))?;
        self.update(current.key, |e, now| e.end_by_reset(now, &request.reason));
        if let Err(status) = self.continue_in(base.key, &new_run_id) {
            self.fail_batch(status.clone());
            return Err(status);
        }
        if let Err(status) = self.reapply(&mut execution, now, (base.key, finish), request.reapplied) {
            self.fail_batch(status.clone());
            return Err(status);
        }
        execution.schedule_workflow_task(now);
        self.adopt(execution);
        self.settle(key);
        Ok(new_run_id)
    }

    /// The event to which a batch resets a run: its first or its last completed workflow task; where none has completed, the
    /// one after the scheduling of the first.
    ///
    /// # Errors
    /// There is no such run, or no workflow task in it.
    pub(crate) fn reset_point(
        &self,
        namespace: &str,
        execution: &WorkflowExecution,
        last: bool,
    ) -> Result<i64, Status> {
        let key = self.find(namespace, execution)?.key;
        let events = self.written_events(key, 1, i64::MAX)?;
        let completed = |event: &&HistoryEvent| event.event_type() == EventType::WorkflowTaskCompleted;
        let found = if last { events.iter().rfind(completed) } else { events.iter().find(completed) };
        let scheduled = || events.iter().find(|event| event.event_type() == EventType::WorkflowTaskScheduled);
        found
            .map(|event| event.event_id)
            .or_else(|| scheduled().map(|event| event.event_id + 1))
            .ok_or_else(|| Status::failed_precondition("unable to find any scheduled or completed task"))
    }

    /// Forgets a run; ends it first when it is open.
    ///
    /// # Errors
    /// There is no such run.
    pub(crate) fn delete(&mut self, namespace: &str, execution: &WorkflowExecution) -> Result<(), Status> {
        self.require_namespace(namespace)?;
        let found = self.find(namespace, execution)?;
        if self.live.get(&found.key).is_some_and(|live| live.execution.is_open()) {
            self.update(found.key, |e, now| {
                e.terminate(now, "Delete workflow execution", None, super::effects::SENDER);
            });
        }
        self.closed_changes.insert(found.key, ClosedChange::Delete);
        Ok(())
    }

    /// Whether a run that was reset goes on in the run of that id.
    pub(super) fn goes_on_in(&self, namespace: &str, execution: &WorkflowExecution, run_id: &str) -> bool {
        let mut execution = execution.clone();
        for _ in 0..MAX_CHAIN {
            if execution.run_id == run_id {
                return true;
            }
            let Some(next) = self.reset_run_of(namespace, &execution) else { return false };
            execution.run_id = next;
        }
        false
    }

    /// The open run in which a run goes on: itself, or the one that it was reset to.
    pub(super) fn open_run_of(&self, namespace: &str, execution: &WorkflowExecution) -> Option<i64> {
        let mut execution = execution.clone();
        for _ in 0..MAX_CHAIN {
            if let Ok(key) = self.find_open(namespace, &execution) {
                return Some(key);
            }
            execution.run_id = self.reset_run_of(namespace, &execution)?;
        }
        None
    }

    fn reset_run_of(&self, namespace: &str, execution: &WorkflowExecution) -> Option<String> {
        let info = self.find(namespace, execution).and_then(|found| self.info(found.key)).ok()?;
        Some(info.reset_run_id).filter(|run_id| !run_id.is_empty())
    }

    /// Notes that the run `key`, open or closed, goes on in `new_run_id`.
    fn continue_in(&mut self, key: i64, new_run_id: &str) -> Result<(), Status> {
        if let Some(live) = self.live.get_mut(&key) {
            new_run_id.clone_into(&mut live.execution.info.reset_run_id);
            self.touched.insert(key);
            return Ok(());
        }
        let mut info = self.info(key)?;
        new_run_id.clone_into(&mut info.reset_run_id);
        self.closed_changes.insert(key, ClosedChange::State(info.encode_to_vec()));
        Ok(())
    }

    /// Takes over what came to the run `key` from the event `from` on, and to the runs as which it continued: what is wanted, and
    /// options.
    fn reapply(
        &self,
        execution: &mut Execution,
        now: Nanos,
        (mut key, mut from): (i64, i64),
        wanted: Reapplied,
    ) -> Result<(), Status> {
        for _ in 0..MAX_CHAIN {
            let events = self.written_events(key, from, i64::MAX)?;
            for event in &events {
                execution.reapply(now, event, wanted);
            }
            let Some(Attributes::WorkflowExecutionContinuedAsNewEventAttributes(a)) =
                events.last().and_then(|event| event.attributes.as_ref())
            else {
                return Ok(());
            };
            let (workflow_id, run_id) = (execution.info.workflow_id.clone(), a.new_execution_run_id.clone());
            let next = WorkflowExecution { workflow_id, run_id };
            let Ok(found) = self.find(&execution.info.namespace, &next) else { return Ok(()) };
            (key, from) = (found.key, 1);
        }
        Ok(())
    }

    /// Events `from..=to` of a run, those of the batch under way among them.
    fn written_events(&self, key: i64, from: i64, to: i64) -> Result<Vec<HistoryEvent>, Status> {
        let mut events = self.events(key, from, to, HistoryLimit::NONE)?;
        if let Some(live) = self.live.get(&key) {
            let wanted = |event: &&HistoryEvent| event.event_id >= from && event.event_id <= to;
            events.extend(live.unsaved_events.iter().filter(wanted).cloned());
        }
        Ok(events)
    }
}

fn refused(error: ResetError, finish: i64) -> Status {
    match error {
        ResetError::NoWorkflowTask => Status::invalid_argument(format!(
            "Can only reset workflow to event ID in range [WorkflowTaskScheduled +1, WorkflowTaskStarted + 1]: {finish}"
        )),
        ResetError::Underway => {
            Status::unimplemented(format!("a reset to event ID {finish} is not supported by this engine: {error}"))
        }
    }
}
