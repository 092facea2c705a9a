//! The messages by which a worker answers updates: decoded, checked as a whole, carried out.
//!
//! An acceptance or a response is usually pointed to by a command, so that its event stands where the workflow's code did it;
//! rejections, and what no command points to, come after all commands.

use std::collections::BTreeMap;

use prost_wkt_types::Any;
use temporalio_common::protos::temporal::api::{
    enums::v1::WorkflowTaskFailedCause as Cause,
    history::v1::{
        WorkflowExecutionUpdateAcceptedEventAttributes, WorkflowExecutionUpdateCompletedEventAttributes,
        history_event::Attributes,
    },
    protocol::v1::Message,
    update::v1::{Acceptance, Rejection, Request, Response},
};

use super::{AdmittedUpdate, CommandError, CompletedTask, Execution, time::Nanos, update::UpdateChange};

/// Where the messages of updates are defined.
const PACKAGE: &str = "temporal.api.update.v1.";

/// A worker's message.
#[derive(Debug, Clone)]
pub(super) struct Incoming {
    /// Its id, by which commands point to it.
    id: String,
    /// The update.
    update_id: String,
    body: Body,
}

#[derive(Debug, Clone)]
enum Body {
    Accept(Box<Acceptance>),
    Reject(Box<Rejection>),
    Respond(Box<Response>),
}

impl Body {
    /// Its type, as the server's messages name it.
    fn name(&self) -> &'static str {
        match self {
            Self::Accept(_) => "*update.Acceptance",
            Self::Reject(_) => "*update.Rejection",
            Self::Respond(_) => "*update.Response",
        }
    }
}

impl Incoming {
    /// Whether it leaves no trace in the history.
    pub(super) fn is_rejection(&self) -> bool {
        matches!(self.body, Body::Reject(_))
    }
}

/// The id of the message that brings an update to a worker.
pub(super) fn request_message_id(update_id: &str) -> String {
    format!("{update_id}/request")
}

/// An update's request as a message's body.
pub(super) fn pack(request: &Request) -> Any {
    Any { type_url: format!("type.googleapis.com/{PACKAGE}Request"), value: prost::Message::encode_to_vec(request) }
}

/// Decodes what a worker sent.
///
/// # Errors
/// A message that is not one of an update.
pub(super) fn decode(messages: Vec<Message>) -> Result<Vec<Incoming>, CommandError> {
    messages.into_iter().map(incoming).collect()
}

fn incoming(message: Message) -> Result<Incoming, CommandError> {
    let any = message.body.unwrap_or_default();
    let full = any.type_url.rsplit('/').next().unwrap_or_default();
    let body = match full.strip_prefix(PACKAGE) {
        Some("Acceptance") => read(&any).map(|accept| Body::Accept(Box::new(accept)))?,
        Some("Rejection") => read(&any).map(|reject| Body::Reject(Box::new(reject)))?,
        Some("Response") => read(&any).map(|respond| Body::Respond(Box::new(respond)))?,
        Some(other) => return Err(bad(&format!("Message type *update.{other} not supported"))),
        None => return Err(bad(&format!("unsupported protocol type {full}"))),
    };
    Ok(Incoming { id: message.id, update_id: message.protocol_instance_id, body })
}

fn read<M: prost::Message + Default>(any: &Any) -> Result<M, CommandError> {
    M::decode(any.value.as_slice()).map_err(|error| bad(&format!("unable to unmarshal request: {error}")))
}

/// Takes the message that a command points to.
pub(super) fn take(messages: &mut Vec<Incoming>, id: &str) -> Option<Incoming> {
    let position = messages.iter().position(|message| message.id == id)?;
    Some(messages.remove(position))
}

/// How far an update would be, were the messages so far carried out. Named as the server names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Admitted,
    Sent,
    ProvisionallyAccepted,
    Accepted,
    ProvisionallyCompleted,
    Completed,
}

/// Checks messages one by one, in the order in which they would be carried out.
pub(super) struct Check<'a> {
    execution: &'a Execution,
    left: Vec<Incoming>,
    steps: BTreeMap<String, Step>,
}

impl<'a> Check<'a> {
    /// A check of `messages` against the state before them.
    pub(super) fn new(execution: &'a Execution, messages: &[Incoming]) -> Self {
        Self { execution, left: messages.to_vec(), steps: BTreeMap::new() }
    }

    /// Checks the message that a command points to.
    ///
    /// # Errors
    /// There is none, or it cannot be carried out.
    pub(super) fn command(&mut self, id: &str) -> Result<(), CommandError> {
        if id.is_empty() {
            return Err(bad("MessageID is not set on ProtocolMessageCommand."));
        }
        match take(&mut self.left, id) {
            Some(message) => self.message(&message),
            None => Err(bad(&format!("ProtocolMessageCommand referenced absent message ID {id}"))),
        }
    }

    /// Checks the messages that no command pointed to. Once the workflow is closed, only rejections count.
    ///
    /// # Errors
    /// One of them cannot be carried out.
    pub(super) fn rest(&mut self, closes: bool) -> Result<(), CommandError> {
        let left = std::mem::take(&mut self.left);
        left.iter().filter(|message| !closes || message.is_rejection()).try_for_each(|message| self.message(message))
    }

    fn message(&mut self, message: &Incoming) -> Result<(), CommandError> {
        let id = message.update_id.as_str();
        let step = match self.steps.get(id) {
            Some(step) => *step,
            None => self.step(message)?,
        };
        let next = match &message.body {
            Body::Accept(accept) if matches!(step, Step::Admitted | Step::Sent) => {
                set(accept.accepted_request_sequencing_event_id != 0, message, "accepted_request_sequencing_event_id")?;
                set(!accept.accepted_request_message_id.is_empty(), message, "accepted_request_message_id")?;
                Step::ProvisionallyAccepted
            }
            Body::Reject(_) if matches!(step, Step::Admitted | Step::Sent) => Step::ProvisionallyCompleted,
            Body::Respond(respond) if matches!(step, Step::ProvisionallyAccepted | Step::Accepted) => {
                check_response(message, respond)?;
                Step::ProvisionallyCompleted
            }
            body => {
                return Err(bad(&format!(
                    "invalid state transition attempted for Update {id}: received {} message while in state {step:?}",
                    body.name()
                )));
            }
        };
        self.steps.insert(id.to_owned(), next);
        Ok(())
    }

    /// How far the update of a message is before all messages. One that is not known comes back when the message says what was
    /// asked: the client may have given up, or the process may have died since (`TryResurrect`).
    fn step(&self, message: &Incoming) -> Result<Step, CommandError> {
        let id = message.update_id.as_str();
        if let Some(update) = self.execution.admitted.iter().find(|update| update.update_id() == id) {
            return Ok(if update.sent { Step::Sent } else { Step::Admitted });
        }
        if let Some(update) = self.execution.accepted_update(id) {
            return Ok(if update.completed_event_id == 0 { Step::Accepted } else { Step::Completed });
        }
        if !self.execution.takes_more_updates() {
            return Err(bad(&super::UpdateRefused::TooMany.to_string()));
        }
        let known = match &message.body {
            Body::Accept(accept) => accept.accepted_request.is_some(),
            Body::Reject(reject) => reject.rejected_request.is_some(),
            Body::Respond(_) => false,
        };
        known.then_some(Step::Admitted).ok_or_else(|| {
            bad(&format!(
                "update {id} wasn't found on the server. This is most likely a transient error which will be resolved \
                 automatically by retries"
            ))
        })
    }
}

impl Execution {
    /// Whether a task was only asked about updates and rejects them all, so that it need not be in the history
    /// (`skipWorkflowTaskCompletedEvent`). For an older worker, its events would have to come right after the last completed
    /// task: that worker cannot forget the events between.
    pub(super) fn leaves_no_trace(&self, task: &CompletedTask, messages: &[Incoming]) -> bool {
        self.info.workflow_task.as_ref().is_some_and(|current| current.speculative)
            && task.commands.is_empty()
            && !task.force_new_task
            && (task.forgets_with_events || self.info.next_event_id == self.info.last_started_event_id + 2)
            && messages.iter().all(Incoming::is_rejection)
    }

    /// Carries out the rejections among `messages`.
    pub(super) fn take_rejections(&mut self, messages: &mut Vec<Incoming>) {
        for message in messages.extract_if(.., |message| message.is_rejection()) {
            if let Body::Reject(reject) = message.body {
                self.take_admitted(&message.update_id);
                self.end_update(&message.update_id, reject.failure);
            }
        }
    }

    /// Carries out one message that was checked.
    pub(super) fn take_message(&mut self, now: Nanos, message: Incoming) {
        match message.body {
            Body::Accept(accept) => self.accept_update(now, &message.update_id, *accept),
            Body::Respond(respond) => self.complete_update(now, &message.update_id, *respond),
            Body::Reject(_) => {}
        }
    }

    fn accept_update(&mut self, now: Nanos, update_id: &str, accept: Acceptance) {
        let request = self.take_admitted(update_id).map(|AdmittedUpdate { request, .. }| request);
        let attributes = WorkflowExecutionUpdateAcceptedEventAttributes {
            protocol_instance_id: update_id.to_owned(),
            accepted_request_message_id: request_message_id(update_id),
            accepted_request_sequencing_event_id: accept.accepted_request_sequencing_event_id,
            accepted_request: request.or(accept.accepted_request),
        };
        self.record(now, Attributes::WorkflowExecutionUpdateAcceptedEventAttributes(attributes));
        self.tell(update_id, UpdateChange::Accepted);
    }

    fn complete_update(&mut self, now: Nanos, update_id: &str, respond: Response) {
        let outcome = respond.outcome.clone().unwrap_or_default();
        let attributes = WorkflowExecutionUpdateCompletedEventAttributes {
            meta: respond.meta,
            accepted_event_id: self.accepted_update(update_id).map_or(0, |update| update.accepted_event_id),
            outcome: respond.outcome,
        };
        self.record(now, Attributes::WorkflowExecutionUpdateCompletedEventAttributes(attributes));
        self.tell(update_id, UpdateChange::Ended(Box::new(outcome)));
    }
}

fn check_response(message: &Incoming, respond: &Response) -> Result<(), CommandError> {
    set(respond.meta.is_some(), message, "meta")?;
    let id = respond.meta.as_ref().map_or("", |meta| meta.update_id.as_str());
    set(!id.is_empty(), message, "meta.update_id")?;
    if id != message.update_id {
        let (name, own) = (message.body.name(), &message.update_id);
        return Err(bad(&format!("invalid {name}: meta.update_id != {own}")));
    }
    set(respond.outcome.is_some(), message, "outcome")
}

fn set(is_set: bool, message: &Incoming, field: &str) -> Result<(), CommandError> {
    let error = || bad(&format!("invalid {}: {field} is not set", message.body.name()));
    is_set.then_some(()).ok_or_else(error)
}

fn bad(message: &str) -> CommandError {
    CommandError {
        cause: Cause::BadUpdateWorkflowExecutionMessage,
        message: format!("BadUpdateWorkflowExecutionMessage: {message}"),
    }
}
