//! What the commands that schedule and cancel Nexus operations may say (`components/nexusoperations/workflow/commands.go`).

use std::collections::BTreeSet;

use prost_wkt_types::Duration;
use temporalio_common::protos::temporal::api::{
    command::v1::ScheduleNexusOperationCommandAttributes, enums::v1::WorkflowTaskFailedCause as Cause,
};

use super::{CommandError, Execution, time::from_signed_duration};

/// Operations that one execution may have pending (`component.nexusoperations.limit.operation.concurrency`).
const MAX_OPERATIONS: usize = 30;
/// Longest name of a service or an operation, bytes.
const MAX_NAME: usize = 1_000;
/// Bytes of all headers together (`component.nexusoperations.limit.header.size`).
const MAX_HEADER: usize = 8_192;
/// Headers that are not the workflow's to set (`component.nexusoperations.disallowedHeaders`).
const DISALLOWED: [&str; 6] =
    ["request-timeout", "xdc-redirection-api", "xdc-redirection", "caller-name", "caller-type", "call-origin"];

/// Operations that are pending, before and among the commands of one task.
pub(super) struct Operations<'a> {
    execution: &'a Execution,
    scheduled: usize,
    cancelled: BTreeSet<i64>,
}

impl<'a> Operations<'a> {
    pub(super) fn new(execution: &'a Execution) -> Self {
        Self { execution, scheduled: 0, cancelled: BTreeSet::new() }
    }

    pub(super) fn schedule(&mut self, a: &ScheduleNexusOperationCommandAttributes) -> Result<(), CommandError> {
        let bad = |text: String| {
            let message =
                format!("BadScheduleNexusOperationAttributes: ScheduleNexusOperationCommandAttributes.{text}");
            Err(CommandError { cause: Cause::BadScheduleNexusOperationAttributes, message })
        };
        for (field, name) in [("Service", &a.service), ("Operation", &a.operation)] {
            if name.len() > MAX_NAME {
                return bad(format!("{field} exceeds length limit of {MAX_NAME}"));
            }
        }
        let is_negative = |length: Option<&Duration>| from_signed_duration(length) < 0;
        for (field, length) in [
            ("ScheduleToCloseTimeout", &a.schedule_to_close_timeout),
            ("ScheduleToStartTimeout", &a.schedule_to_start_timeout),
            ("StartToCloseTimeout", &a.start_to_close_timeout),
        ] {
            if is_negative(length.as_ref()) {
                return bad(format!("{field} is invalid: negative duration"));
            }
        }
        if let Some(name) = a.nexus_header.keys().find(|name| DISALLOWED.contains(&name.to_lowercase().as_str())) {
            return bad(format!("NexusHeader contains a disallowed header key: {name:?}"));
        }
        if a.nexus_header.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > MAX_HEADER {
            return bad("NexusHeader exceeds size limit".to_owned());
        }
        self.scheduled += 1;
        if self.execution.operations.len() + self.scheduled > MAX_OPERATIONS {
            let message = format!(
                "PendingNexusOperationsLimitExceeded: workflow has reached the pending nexus operation limit of {MAX_OPERATIONS} for this namespace"
            );
            return Err(CommandError { cause: Cause::PendingNexusOperationsLimitExceeded, message });
        }
        Ok(())
    }

    /// An operation that an earlier command of the task schedules has no number yet: any that is not given yet will do.
    pub(super) fn cancel(&mut self, scheduled_event_id: i64) -> Result<(), CommandError> {
        let bad = |text: String| {
            let message = format!("BadRequestCancelNexusOperationAttributes: {text}");
            Err(CommandError { cause: Cause::BadRequestCancelNexusOperationAttributes, message })
        };
        let new = self.scheduled != 0 && scheduled_event_id >= self.execution.info.next_event_id;
        if !new && !self.execution.knows_operation(scheduled_event_id) {
            return bad(format!(
                "requested cancelation for a non-existing or already completed operation with scheduled event ID of {scheduled_event_id}"
            ));
        }
        let operation = self.execution.operations.get(&scheduled_event_id);
        let before = operation.is_some_and(|operation| operation.cancellation.is_some());
        if !self.cancelled.insert(scheduled_event_id) || before {
            return bad(format!(
                "cancelation was already requested for an operation with scheduled event ID {scheduled_event_id}"
            ));
        }
        Ok(())
    }
}
