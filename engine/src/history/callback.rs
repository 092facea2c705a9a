//! Completion callbacks: who is told of a workflow's end. They come with the start, or are attached to a run that is open
//! already; whatever follows the run by itself has them too, and only the last run tells.

use temporalio_common::protos::temporal::api::{
    common::v1::{Callback, Link},
    enums::v1::CallbackState,
    failure::v1::Failure,
    history::v1::{
        WorkflowExecutionOptionsUpdatedEventAttributes, WorkflowExecutionStartedEventAttributes,
        history_event::Attributes,
    },
};

use super::{Execution, time::Nanos};

/// A completion callback, and what has become of it. That is not in the history: the run has closed by then.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct CompletionCallback {
    /// Where to.
    #[prost(message, optional, tag = "1")]
    pub callback: Option<Callback>,
    /// When it was given.
    #[prost(int64, tag = "2")]
    pub registration_time: i64,
    /// When the end was told, 0 before.
    #[prost(int64, tag = "3")]
    pub complete_time: i64,
    /// Why it could not be told.
    #[prost(message, optional, tag = "4")]
    pub failure: Option<Failure>,
}

impl CompletionCallback {
    fn new(callback: &Callback, registration_time: Nanos) -> Self {
        Self { callback: Some(callback.clone()), registration_time, ..Self::default() }
    }

    /// How far it has come.
    pub(crate) fn state(&self) -> CallbackState {
        match (self.complete_time, &self.failure) {
            (0, _) => CallbackState::Standby,
            (_, None) => CallbackState::Succeeded,
            (_, Some(_)) => CallbackState::Failed,
        }
    }
}

/// What a start that finds an open run leaves there (`OnConflictOptions`).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Attachment {
    /// Id of the request, when that is attached.
    pub request_id: String,
    /// Callbacks, when those are attached.
    pub callbacks: Vec<Callback>,
    /// Links, when those are attached.
    pub links: Vec<Link>,
}

/// Whether an event only attaches something: one that changes options says what they all are.
pub(super) fn is_attachment(a: &WorkflowExecutionOptionsUpdatedEventAttributes) -> bool {
    !a.unset_versioning_override && a.versioning_override.is_none()
}

impl Execution {
    /// Takes what comes with a start that has found this run. A request that was attached before changes nothing.
    pub fn attach(&mut self, now: Nanos, attachment: Attachment) {
        if !attachment.request_id.is_empty() && self.info.attached_requests.contains(&attachment.request_id) {
            return;
        }
        let attributes = WorkflowExecutionOptionsUpdatedEventAttributes {
            attached_request_id: attachment.request_id,
            attached_completion_callbacks: attachment.callbacks,
            ..Default::default()
        };
        let attributes = Attributes::WorkflowExecutionOptionsUpdatedEventAttributes(attributes);
        self.record_linked(now, attributes, None, attachment.links);
    }

    pub(super) fn apply_callbacks(&mut self, a: &WorkflowExecutionStartedEventAttributes, time: Nanos) {
        let callbacks = a.completion_callbacks.iter();
        self.info.callbacks = callbacks.map(|callback| CompletionCallback::new(callback, time)).collect();
    }

    pub(super) fn apply_attachment(&mut self, a: &WorkflowExecutionOptionsUpdatedEventAttributes, time: Nanos) {
        if !a.attached_request_id.is_empty() {
            self.info.attached_requests.push(a.attached_request_id.clone());
        }
        let callbacks = a.attached_completion_callbacks.iter();
        self.info.callbacks.extend(callbacks.map(|callback| CompletionCallback::new(callback, time)));
        if let Some(started) = self.info.started.as_mut() {
            // The run that follows this one begins with all of them.
            started.completion_callbacks.extend(a.attached_completion_callbacks.iter().cloned());
        }
        self.changes.dirty = true;
    }
}
