//! Schedules on the core thread: their turns, the workflows that they start and end, and what they learn of them. A start and the
//! schedule that made it are stored in one transaction, so that neither is there without the other.

mod table;

use prost::Message as _;
use temporalio_common::protos::temporal::api::{
    common::v1::WorkflowExecution,
    enums::v1::{WorkflowExecutionStatus as RunStatus, WorkflowIdConflictPolicy as Conflict},
    history::v1::{HistoryEvent, WorkflowExecutionCancelRequestedEventAttributes, history_event::Attributes},
    workflowservice::v1::StartWorkflowExecutionRequest,
};
use tonic::Status;
use uuid::Uuid;

pub(crate) use table::Schedules;

use super::{Core, lookup::RETRY_COMMIT, run::MAX_BATCH};
use crate::{
    history::Execution,
    schedule::{Closed, Machine, Order, Record, StartOrder},
    service::start::{begin, start_of},
    store::ScheduleRow,
};

/// Schedules of one engine.
const MAX_SCHEDULES: usize = 10_000;

impl Core {
    /// Takes in a new schedule. The caller gives it its first turn.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED`: there are too many.
    pub(crate) fn add_schedule(&mut self, machine: Machine) -> Result<i64, Status> {
        if self.schedules.len() >= MAX_SCHEDULES {
            let message = format!("this engine holds {MAX_SCHEDULES} schedules and takes no more");
            return Err(Status::resource_exhausted(message));
        }
        Ok(self.schedules.insert(machine))
    }

    /// Gives a schedule its turn, and carries out what it orders.
    pub(crate) fn run_schedule(&mut self, key: i64) {
        let now = self.now();
        loop {
            let Some(machine) = self.schedules.get_mut(key) else { return };
            if machine.is_over(now) {
                return self.schedules.delete(key);
            }
            let turn = machine.turn(now);
            let mut again = turn.again;
            for order in turn.orders {
                again |= !self.carry_out_order(key, order);
            }
            if !again {
                break;
            }
        }
        self.schedules.settle(key, now);
    }

    /// Gives those schedules their turn that are due, or as many of them as one commit takes.
    pub(super) fn run_due_schedules(&mut self) {
        for key in self.schedules.take_due(self.now(), MAX_BATCH) {
            self.run_schedule(key);
            self.pump();
        }
    }

    /// Tells the schedule that has started a run of its end, unless it goes on in another run.
    pub(super) fn tell_schedule(&mut self, run: i64, close: &HistoryEvent) {
        let Some(live) = self.live.get(&run) else { return };
        let info = &live.execution.info;
        let Some(key) = self.schedules.starter(&info.namespace, &info.workflow_id) else { return };
        if !info.new_run_id.is_empty() {
            return;
        }
        let (result, failure) = match &close.attributes {
            Some(Attributes::WorkflowExecutionCompletedEventAttributes(a)) => (a.result.clone(), None),
            Some(Attributes::WorkflowExecutionFailedEventAttributes(a)) => (None, a.failure.clone()),
            _ => (None, None),
        };
        let closed = Closed {
            workflow_id: info.workflow_id.clone(),
            first_run_id: first_run_id(&live.execution),
            status: RunStatus::try_from(info.status).unwrap_or_default(),
            result,
            failure,
        };
        if let Some(machine) = self.schedules.get_mut(key) {
            machine.closed(closed);
            self.run_schedule(key);
        }
    }

    /// Carries out one order. Answers whether it could be.
    fn carry_out_order(&mut self, key: i64, order: Order) -> bool {
        match order {
            Order::Start(order) => return self.start_scheduled(key, &order),
            Order::Cancel(run) => {
                let Some((run, identity)) = self.open_scheduled(key, &run) else { return true };
                let request = WorkflowExecutionCancelRequestedEventAttributes {
                    cause: "cancelled by schedule overlap policy".to_owned(),
                    identity,
                    ..Default::default()
                };
                self.update(run, |e, now| e.request_cancel(now, request, &Uuid::now_v7().to_string()));
            }
            Order::Terminate(run) => {
                let Some((run, identity)) = self.open_scheduled(key, &run) else { return true };
                let reason = "terminated by schedule overlap policy";
                self.update(run, |e, now| e.terminate(now, reason, None, &identity));
            }
        }
        true
    }

    fn start_scheduled(&mut self, key: i64, order: &StartOrder) -> bool {
        let request_id = Uuid::now_v7().to_string();
        let request = StartWorkflowExecutionRequest { request_id, ..order.request.clone() };
        let workflow_id = request.workflow_id.clone();
        let started = start_of(request, Conflict::Fail).and_then(|start| begin(self, start, None));
        let now = self.now();
        match (started, self.schedules.get_mut(key)) {
            (Ok(started), Some(machine)) => {
                machine.started(order, &started.run_id, now);
                true
            }
            (Ok(_), None) => true,
            (Err(status), _) => {
                tracing::warn!(%workflow_id, %status, "a schedule cannot start its workflow: {status}");
                false
            }
        }
    }

    /// The open run of a chain that the schedule has started, and who acts for the schedule.
    fn open_scheduled(&self, key: i64, chain: &WorkflowExecution) -> Option<(i64, String)> {
        let machine = self.schedules.get(key)?;
        let run = self.current_open(&machine.record().namespace, &chain.workflow_id)?;
        let live = self.live.get(&run)?;
        (first_run_id(&live.execution) == chain.run_id).then(|| (run, machine.identity()))
    }

    pub(super) fn load_schedules(&mut self) -> Result<(), crate::EngineError> {
        let now = self.now();
        for row in self.store.load_schedules()? {
            let key = self.schedules.insert(decode(&row).map_err(crate::EngineError::Damaged)?);
            // What was missed while the engine was down is due.
            self.schedules.wait(key, now);
        }
        Ok(())
    }

    /// The commit failed: the schedules that it was to change go back to what is stored.
    pub(super) fn revert_schedules(&mut self) {
        let soon = self.now().saturating_add(RETRY_COMMIT);
        for (namespace, schedule_id) in self.schedules.take_unsaved() {
            if let Some(key) = self.schedules.key(&namespace, &schedule_id) {
                self.schedules.remove(key);
            }
            let found = self.store.find_schedule(&namespace, &schedule_id).map_err(|error| error.to_string());
            match found.and_then(|row| row.as_ref().map(decode).transpose()) {
                Ok(None) => {}
                Ok(Some(machine)) => {
                    let key = self.schedules.insert(machine);
                    self.schedules.wait(key, soon);
                }
                Err(error) => tracing::error!(%error, "cannot read a schedule back: {error}"),
            }
        }
    }
}

fn first_run_id(execution: &Execution) -> String {
    execution.info.started.as_ref().map(|started| started.first_execution_run_id.clone()).unwrap_or_default()
}

fn decode(row: &ScheduleRow) -> Result<Machine, String> {
    let record = Record::decode(row.data.as_slice());
    record.map(Machine::load).map_err(|error| format!("schedule {}: {error}", row.schedule_id))
}
