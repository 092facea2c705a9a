//! Workflow updates: admitted, sent to a worker, accepted or rejected, completed.
//!
//! | update is | event | becomes |
//! |---|---|---|
//! | unknown | a client asks | admitted, and a speculative task is scheduled unless a task waits anyhow |
//! | admitted | a workflow task is handed out | sent, and with the next task again if that one fails |
//! | sent | the worker accepts | accepted: `UpdateAccepted` |
//! | sent | the worker rejects it, or says nothing of it | gone without a trace |
//! | accepted | the worker responds | completed: `UpdateCompleted` |
//! | any but completed | the run closes | refused, or failed when it was accepted |
//!
//! Only accepted and completed updates are in the history and so in the store (Temporal's `docs/architecture/workflow-update.md`).

use temporalio_common::protos::temporal::api::{
    enums::v1::WorkflowExecutionStatus,
    failure::v1::{ApplicationFailureInfo, Failure, failure::FailureInfo},
    protocol::v1::{Message, message::SequencingId},
    update::v1::{Outcome, Request, outcome::Value},
};

use super::{
    Execution, protocol,
    state::{ExecutionInfo, UpdateInfo},
    time::Nanos,
};

/// Updates of a run that may be under way (`history.maxInFlightUpdates`).
pub const MAX_IN_FLIGHT_UPDATES: usize = 10;
/// Updates that a run may take in all (`history.maxTotalUpdates`).
pub const MAX_TOTAL_UPDATES: usize = 2_000;
/// Updates from which a workflow is told to continue as new (`history.maxTotalUpdates.suggestContinueAsNewThreshold`: 0.9).
const MANY_UPDATES: usize = MAX_TOTAL_UPDATES / 10 * 9;
/// Attempt of a workflow task from which updates are refused at once (`failUpdateWorkflowTaskAttemptCount`).
const FAILING_ATTEMPT: i32 = 3;

/// An update that the workflow has not accepted or rejected yet.
#[derive(Debug, Clone, PartialEq)]
pub struct AdmittedUpdate {
    /// What the client asks.
    pub request: Request,
    /// Whether a worker has been told.
    pub sent: bool,
}

impl AdmittedUpdate {
    /// The update id.
    pub fn update_id(&self) -> &str {
        self.request.meta.as_ref().map_or("", |meta| meta.update_id.as_str())
    }
}

/// How far an update has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpdateStage {
    /// The workflow has not said anything yet.
    Admitted,
    /// The workflow has accepted it.
    Accepted,
    /// The workflow has completed it; the event has the outcome.
    Completed {
        /// Its completed event.
        event_id: i64,
    },
    /// It was accepted, and the run closed before it was completed.
    Abandoned,
}

/// Why an update is not carried out. The words are the server's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UpdateRefused {
    /// The workflow's tasks keep failing.
    #[error("Unable to perform workflow execution update due to Workflow Task in failed state.")]
    TaskFails,
    /// The workflow task that had it was refused.
    #[error("Unable to perform workflow execution update due to unexpected workflow task failure.")]
    TaskFailed,
    /// The run is about to close, or goes on in another.
    #[error("workflow operation can not be applied because workflow is closing")]
    Closing,
    /// The run closed before it accepted the update.
    #[error("workflow update was aborted by closing workflow")]
    Closed,
    /// Too many are under way.
    #[error("limit on number of concurrent in-flight updates has been reached ({MAX_IN_FLIGHT_UPDATES})")]
    TooManyInFlight,
    /// The run has had too many.
    #[error("limit on number of total updates has been reached ({MAX_TOTAL_UPDATES})")]
    TooMany,
}

/// What has become of an update.
#[derive(Debug, Clone, PartialEq)]
pub struct UpdateNews {
    /// The update.
    pub update_id: String,
    /// What is new.
    pub what: UpdateChange,
}

/// One step of an update.
#[derive(Debug, Clone, PartialEq)]
pub enum UpdateChange {
    /// The workflow has accepted it.
    Accepted,
    /// It is over, with that outcome; a rejection is a failure too.
    Ended(Box<Outcome>),
    /// It will not be carried out.
    Refused(UpdateRefused),
}

impl ExecutionInfo {
    /// How far an update of this closed run came, if the run had accepted it.
    pub fn closed_update(&self, update_id: &str) -> Option<UpdateStage> {
        let update = self.updates.iter().find(|update| update.update_id == update_id)?;
        Some(match update.completed_event_id {
            0 => UpdateStage::Abandoned,
            event_id => UpdateStage::Completed { event_id },
        })
    }
}

impl Execution {
    /// How far an update of this open run has come.
    pub fn update_stage(&self, update_id: &str) -> Option<UpdateStage> {
        if self.admitted.iter().any(|update| update.update_id() == update_id) {
            return Some(UpdateStage::Admitted);
        }
        self.accepted_update(update_id).map(|update| match update.completed_event_id {
            0 => UpdateStage::Accepted,
            event_id => UpdateStage::Completed { event_id },
        })
    }

    /// Takes an update, and sees to it that a workflow task brings it to a worker. One of an id that is known is that one.
    ///
    /// # Errors
    /// The run takes no updates now, or no more.
    pub fn admit_update(&mut self, now: Nanos, request: Request) -> Result<UpdateStage, UpdateRefused> {
        if self.info.workflow_task_attempt >= FAILING_ATTEMPT {
            return Err(UpdateRefused::TaskFails);
        }
        if self.close_attempted && self.has_started_workflow_task() {
            return Err(UpdateRefused::Closing);
        }
        let update = AdmittedUpdate { request, sent: false };
        if let Some(stage) = self.update_stage(update.update_id()) {
            return Ok(stage);
        }
        let accepted = self.updates.values().filter(|update| update.completed_event_id == 0).count();
        if self.admitted.len() + accepted >= MAX_IN_FLIGHT_UPDATES {
            return Err(UpdateRefused::TooManyInFlight);
        }
        if !self.takes_more_updates() {
            return Err(UpdateRefused::TooMany);
        }
        self.admitted.push(update);
        self.schedule_speculative_task(now);
        Ok(UpdateStage::Admitted)
    }

    /// The updates that a worker gets with the started workflow task. With `again`, also those that were sent before: the
    /// worker of that task has not seen them, or has forgotten them.
    pub fn send_updates(&mut self, again: bool) -> Vec<Message> {
        let started = self.info.workflow_task.as_ref().map_or(0, |task| task.started_event_id);
        let mut messages = Vec::new();
        for update in self.admitted.iter_mut().filter(|update| again || !update.sent) {
            update.sent = true;
            messages.push(Message {
                id: protocol::request_message_id(update.update_id()),
                protocol_instance_id: update.update_id().to_owned(),
                sequencing_id: Some(SequencingId::EventId(started - 1)),
                body: Some(protocol::pack(&update.request)),
            });
        }
        messages
    }

    /// Refuses the updates that a worker had when its answer was refused: with the next task it would be the same again.
    pub fn abort_sent_updates(&mut self) {
        for update in std::mem::take(&mut self.admitted) {
            if update.sent {
                self.tell(update.update_id(), UpdateChange::Refused(UpdateRefused::TaskFailed));
            } else {
                self.admitted.push(update);
            }
        }
    }

    /// Whether the run may take yet another update.
    pub(super) fn takes_more_updates(&self) -> bool {
        self.admitted.len() + self.updates.len() < MAX_TOTAL_UPDATES
    }

    /// Whether the workflow should continue as new for its number of updates.
    pub(super) fn has_many_updates(&self) -> bool {
        self.admitted.len() + self.updates.len() >= MANY_UPDATES
    }

    /// An update that this run has accepted.
    pub(super) fn accepted_update(&self, update_id: &str) -> Option<&UpdateInfo> {
        self.updates.values().find(|update| update.update_id == update_id)
    }

    /// Takes an update from those that wait for the workflow's word.
    pub(super) fn take_admitted(&mut self, update_id: &str) -> Option<AdmittedUpdate> {
        let position = self.admitted.iter().position(|update| update.update_id() == update_id)?;
        Some(self.admitted.remove(position))
    }

    /// Rejects what a worker was sent and said nothing of: else it would be sent for ever (`RejectUnprocessed`).
    pub(super) fn reject_unprocessed_updates(&mut self) {
        for update in std::mem::take(&mut self.admitted) {
            if update.sent {
                self.end_update(update.update_id(), Some(unprocessed()));
            } else {
                self.admitted.push(update);
            }
        }
    }

    /// Sees to it that updates that came during a workflow task get the next one. When the worker takes that at once, it may
    /// be a speculative one.
    pub(super) fn schedule_task_for_updates(&mut self, now: Nanos, taken_at_once: bool) {
        if self.admitted.is_empty() {
            return;
        }
        if taken_at_once || self.info.first_task_delayed {
            self.schedule_speculative_task(now);
        } else {
            self.schedule_workflow_task(now);
        }
    }

    /// The run has closed: nothing more comes of its updates. Accepted ones fail, for their clients may count on an outcome;
    /// the others may go to the next run, if there is one (`reasonStateMatrix`).
    pub(super) fn abort_updates(&mut self) {
        let refused = match self.status() {
            WorkflowExecutionStatus::ContinuedAsNew => UpdateRefused::Closing,
            _ => UpdateRefused::Closed,
        };
        for update in std::mem::take(&mut self.admitted) {
            self.tell(update.update_id(), UpdateChange::Refused(refused));
        }
        let abandoned = self.updates.values().filter(|update| update.completed_event_id == 0);
        for update_id in abandoned.map(|update| update.update_id.clone()).collect::<Vec<_>>() {
            self.tell(&update_id, UpdateChange::Ended(Box::new(abandoned_outcome())));
        }
    }

    /// An update is over with a failure that is not in the history.
    pub(super) fn end_update(&mut self, update_id: &str, failure: Option<Failure>) {
        let outcome = Outcome { value: Some(Value::Failure(failure.unwrap_or_default())) };
        self.tell(update_id, UpdateChange::Ended(Box::new(outcome)));
    }

    /// Lets the clients of an update know.
    pub(super) fn tell(&mut self, update_id: &str, what: UpdateChange) {
        self.changes.updates.push(UpdateNews { update_id: update_id.to_owned(), what });
    }
}

/// Outcome of an update that was accepted by a run that closed before completing it.
pub fn abandoned_outcome() -> Outcome {
    let failure = server_failure(
        "Workflow Update failed because the Workflow completed before the Update completed.",
        "AcceptedUpdateCompletedWorkflow",
    );
    Outcome { value: Some(Value::Failure(failure)) }
}

fn unprocessed() -> Failure {
    server_failure(
        "Workflow Update is rejected because it wasn't processed by worker. \
         Probably, Workflow Update is not supported by the worker.",
        "UnprocessedUpdate",
    )
}

fn server_failure(message: &str, kind: &str) -> Failure {
    let info = ApplicationFailureInfo { r#type: kind.to_owned(), non_retryable: true, ..Default::default() };
    Failure {
        message: message.to_owned(),
        source: "Server".to_owned(),
        failure_info: Some(FailureInfo::ApplicationFailureInfo(info)),
        ..Default::default()
    }
}
