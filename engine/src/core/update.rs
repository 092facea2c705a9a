//! Clients that wait for their updates. Who waits is in memory only: a client whose engine has died asks again, with the same
//! update id.

use temporalio_common::protos::temporal::api::{
    history::v1::history_event::Attributes,
    protocol::v1::Message,
    update::v1::{Outcome, Request},
};
use tonic::Status;

use super::{Core, Reply};
use crate::{
    history::{UpdateChange, UpdateNews, UpdateStage, abandoned_outcome},
    service::status::update_refused,
};

/// Clients that may wait for the updates of one execution.
const MAX_WAITERS: usize = 1_000;

/// How far a client wants to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum WaitFor {
    /// Not at all.
    Nothing,
    /// Until the workflow has accepted or rejected the update.
    Accepted,
    /// Until it is over.
    Completed,
}

/// A client that waits for an update.
#[derive(Debug)]
pub(crate) struct UpdateWait {
    /// Names this wait, to end it.
    pub(crate) id: u64,
    /// The update.
    pub(crate) update_id: String,
    /// What it waits for.
    pub(crate) until: WaitFor,
    /// The client.
    pub(crate) reply: Reply<Reached>,
}

/// An update and how far it has come, as clients see it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reached {
    /// The run that has it.
    pub(crate) run_id: String,
    /// How far it is.
    pub(crate) progress: Progress,
}

/// How far an update has come.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Progress {
    /// No word of the workflow yet.
    Admitted,
    /// It will have an outcome.
    Accepted,
    /// It has one.
    Ended(Box<Outcome>),
}

impl Core {
    /// Takes an update for a run, open or closed, and lets its client wait. An update id that the run knows is the update that
    /// it knows.
    pub(crate) fn admit_update(&mut self, key: i64, request: Request, wait: UpdateWait) {
        let open = self.live.get(&key).is_some_and(|live| live.execution.is_open());
        if !open {
            let closed = || Status::not_found("workflow execution already completed");
            return self.answer_from_closed(key, wait, closed);
        }
        if self.live.get(&key).is_some_and(|live| live.execution.is_paused()) {
            let refused = "Workflow is paused. Cannot update the workflow.";
            return self.reply(wait.reply, Err(Status::failed_precondition(refused)));
        }
        match self.update(key, |e, now| e.admit_update(now, request)) {
            Some(Ok(stage)) => self.await_update(key, stage, wait),
            Some(Err(refused)) => self.reply(wait.reply, Err(update_refused(refused))),
            None => self.reply(wait.reply, Err(Status::not_found("workflow execution not found"))),
        }
    }

    /// Lets a client wait for an update that is already there.
    pub(crate) fn poll_update(&mut self, key: i64, wait: UpdateWait) {
        let unknown = format!("update {:?} not found", wait.update_id);
        match self.live.get(&key).filter(|live| live.execution.is_open()) {
            Some(live) => match live.execution.update_stage(&wait.update_id) {
                Some(stage) => self.await_update(key, stage, wait),
                None => self.reply(wait.reply, Err(Status::not_found(unknown))),
            },
            None => self.answer_from_closed(key, wait, || Status::not_found(unknown)),
        }
    }

    fn answer_from_closed(&mut self, key: i64, wait: UpdateWait, unknown: impl FnOnce() -> Status) {
        match self.info(key).map(|info| info.closed_update(&wait.update_id)) {
            Ok(Some(stage)) => self.answer_update(key, stage, wait.reply),
            Ok(None) => self.reply(wait.reply, Err(unknown())),
            Err(status) => self.reply(wait.reply, Err(status)),
        }
    }

    /// Answers a client at once when there is nothing to wait for.
    fn await_update(&mut self, key: i64, stage: UpdateStage, wait: UpdateWait) {
        let reached = match stage {
            UpdateStage::Admitted => WaitFor::Nothing,
            UpdateStage::Accepted => WaitFor::Accepted,
            UpdateStage::Completed { .. } | UpdateStage::Abandoned => WaitFor::Completed,
        };
        if reached >= wait.until {
            return self.answer_update(key, stage, wait.reply);
        }
        let Some(live) = self.live.get_mut(&key) else { return };
        live.update_waits.retain(|wait| !wait.reply.is_closed());
        if live.update_waits.len() < MAX_WAITERS {
            live.update_waits.push(wait);
        } else {
            let _ =
                wait.reply.send(Err(Status::resource_exhausted("too many clients wait for this workflow's updates")));
        }
    }

    /// A client has waited long enough: it hears how far its update is.
    pub(crate) fn end_update_wait(&mut self, key: i64, id: u64) {
        let Some(live) = self.live.get_mut(&key) else { return };
        let Some(position) = live.update_waits.iter().position(|wait| wait.id == id) else { return };
        let wait = live.update_waits.swap_remove(position);
        self.poll_update(key, UpdateWait { until: WaitFor::Nothing, ..wait });
    }

    /// Tells clients what has become of their updates, once it is durable.
    pub(super) fn tell_update_clients(&mut self, key: i64, news: Vec<UpdateNews>) {
        for UpdateNews { update_id, what } in news {
            let (answer, until) = match what {
                UpdateChange::Accepted => (Ok(Progress::Accepted), WaitFor::Accepted),
                UpdateChange::Ended(outcome) => (Ok(Progress::Ended(outcome)), WaitFor::Completed),
                UpdateChange::Refused(refused) => (Err(update_refused(refused)), WaitFor::Completed),
            };
            let Some(live) = self.live.get_mut(&key) else { return };
            let run_id = live.execution.info.run_id.clone();
            let due: Vec<_> =
                live.update_waits.extract_if(.., |wait| wait.update_id == update_id && wait.until <= until).collect();
            for wait in due {
                let reached = answer.clone().map(|progress| Reached { run_id: run_id.clone(), progress });
                self.reply(wait.reply, reached);
            }
        }
    }

    /// The updates that go to a worker with the workflow task that it has just been given.
    pub(crate) fn send_updates(&mut self, key: i64, again: bool) -> Vec<Message> {
        self.live.get_mut(&key).map(|live| live.execution.send_updates(again)).unwrap_or_default()
    }

    fn answer_update(&mut self, key: i64, stage: UpdateStage, reply: Reply<Reached>) {
        self.reply_with(reply, move |core| {
            let progress = match stage {
                UpdateStage::Admitted => Progress::Admitted,
                UpdateStage::Accepted => Progress::Accepted,
                UpdateStage::Abandoned => Progress::Ended(Box::new(abandoned_outcome())),
                UpdateStage::Completed { event_id } => Progress::Ended(Box::new(core.update_outcome(key, event_id)?)),
            };
            Ok(Reached { run_id: core.info(key)?.run_id, progress })
        });
    }

    fn update_outcome(&self, key: i64, event_id: i64) -> Result<Outcome, Status> {
        match self.event(key, event_id)?.attributes {
            Some(Attributes::WorkflowExecutionUpdateCompletedEventAttributes(a)) => Ok(a.outcome.unwrap_or_default()),
            _ => Err(Status::data_loss("an update's completed event is something else")),
        }
    }
}
