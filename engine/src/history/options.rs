//! Options of a running workflow that clients change: its priority, and how workers are chosen for it.

use temporalio_common::protos::temporal::api::{
    common::v1::Priority,
    history::v1::{WorkflowExecutionOptionsUpdatedEventAttributes, history_event::Attributes},
    workflow::v1::WorkflowExecutionOptions,
};

use super::{Execution, state::ExecutionInfo, time::Nanos, versioning::recorded};

impl ExecutionInfo {
    /// Its priority.
    pub(crate) fn priority(&self) -> Option<&Priority> {
        self.started.as_ref()?.priority.as_ref()
    }

    /// The options in force.
    pub fn options(&self) -> WorkflowExecutionOptions {
        WorkflowExecutionOptions {
            versioning_override: self
                .versioning
                .as_ref()
                .and_then(|info| info.versioning_override.as_ref())
                .map(recorded),
            priority: self.started.as_ref().and_then(|started| started.priority.clone()),
            ..WorkflowExecutionOptions::default()
        }
    }
}

/// The options that an event says.
pub(super) fn options_of_event(a: &WorkflowExecutionOptionsUpdatedEventAttributes) -> WorkflowExecutionOptions {
    WorkflowExecutionOptions {
        versioning_override: a.versioning_override.clone(),
        priority: a.priority.clone(),
        ..WorkflowExecutionOptions::default()
    }
}

impl Execution {
    /// Gives the run other options. Those that it has already are no event.
    pub fn update_options(&mut self, now: Nanos, options: WorkflowExecutionOptions, identity: &str) {
        if options == self.info.options() {
            return;
        }
        let attributes = WorkflowExecutionOptionsUpdatedEventAttributes {
            unset_versioning_override: options.versioning_override.is_none(),
            versioning_override: options.versioning_override,
            identity: identity.to_owned(),
            priority: options.priority,
            ..Default::default()
        };
        self.record(now, Attributes::WorkflowExecutionOptionsUpdatedEventAttributes(attributes));
    }

    /// The event has the options as a whole.
    pub(super) fn apply_options(&mut self, a: &WorkflowExecutionOptionsUpdatedEventAttributes) {
        self.apply_override(a.versioning_override.as_ref());
        if let Some(started) = self.info.started.as_mut() {
            started.priority.clone_from(&a.priority);
        }
        self.changes.dirty = true;
    }
}
