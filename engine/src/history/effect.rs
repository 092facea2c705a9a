//! What a transition of one execution does to others.

use temporalio_common::protos::temporal::api::{
    command::v1::StartChildWorkflowExecutionCommandAttributes,
    common::v1::{Header, Payloads},
    history::v1::{HistoryEvent, WorkflowExecutionStartedEventAttributes},
    sdk::v1::UserMetadata,
};

use super::state::PendingChild;

/// Something that must happen to another execution, or because of it, in the same transaction.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Start a child.
    StartChild {
        /// Initiated event in the parent.
        initiated_event_id: i64,
        /// The command.
        command: Box<StartChildWorkflowExecutionCommandAttributes>,
        /// Summary and details for the child.
        user_metadata: Option<UserMetadata>,
    },
    /// Signal another execution.
    Signal {
        /// Initiated event here.
        initiated_event_id: i64,
        /// Whom.
        target: Target,
        /// What.
        signal: Box<SignalInput>,
    },
    /// Cancel another execution.
    Cancel {
        /// Initiated event here.
        initiated_event_id: i64,
        /// Whom.
        target: Target,
        /// Why.
        reason: String,
    },
    /// This run has closed.
    Closed {
        /// The closing event.
        event: Box<HistoryEvent>,
        /// Children to which their parent-close policy applies.
        children: Vec<PendingChild>,
    },
    /// Start the run that continues this one.
    ContinueAsNew {
        /// Its start event's attributes.
        started: Box<WorkflowExecutionStartedEventAttributes>,
    },
    /// Start the run that does this one's work again, by the retry policy or the cron schedule.
    RunAgain {
        /// Its start event's attributes, but for input and header, which are this run's.
        started: Box<WorkflowExecutionStartedEventAttributes>,
    },
}

/// Another execution, as a command names it.
#[derive(Debug, Clone)]
pub struct Target {
    /// Namespace, by name.
    pub namespace: String,
    /// Workflow id.
    pub workflow_id: String,
    /// Run id; empty for the current run.
    pub run_id: String,
    /// Whether only a child of the sender will do.
    pub child_only: bool,
}

/// A signal's content.
#[derive(Debug, Clone, Default)]
pub struct SignalInput {
    /// Signal name.
    pub name: String,
    /// Arguments.
    pub input: Option<Payloads>,
    /// Header.
    pub header: Option<Header>,
    /// Sender.
    pub identity: String,
    /// Request id; empty for none.
    pub request_id: String,
}
