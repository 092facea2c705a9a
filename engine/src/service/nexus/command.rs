//! Commands of workflows that need an endpoint: found by name before the workflow task is completed.

use prost::Message as _;
use temporalio_common::protos::temporal::api::{
    command::v1::{Command, command::Attributes as C},
    enums::v1::WorkflowTaskFailedCause as Cause,
};
use uuid::Uuid;

use crate::{
    core::Core,
    history::{CommandError, OperationTarget},
    service::{limits::MAX_BLOB_BYTES, search_attributes::RefusedCommand},
};

/// The endpoints of the operations that commands schedule, in their order, each with an id for its requests.
///
/// # Errors
/// There is no endpoint of that name, or the input is too large, which ends the workflow.
pub(in crate::service) fn targets(core: &Core, commands: &[Command]) -> Result<Vec<OperationTarget>, RefusedCommand> {
    let mut targets = Vec::new();
    for command in commands {
        let Some(C::ScheduleNexusOperationCommandAttributes(a)) = &command.attributes else { continue };
        let Some(endpoint) = core.endpoints.named(&a.endpoint) else {
            return Err(refused(&format!("endpoint {:?} not found", a.endpoint), false));
        };
        if a.input.as_ref().is_some_and(|input| input.encoded_len() > MAX_BLOB_BYTES) {
            return Err(refused("ScheduleNexusOperationCommandAttributes.Input exceeds size limit", true));
        }
        targets.push(OperationTarget { endpoint_id: endpoint.id.clone(), request_id: Uuid::now_v7().to_string() });
    }
    Ok(targets)
}

fn refused(text: &str, ends_workflow: bool) -> RefusedCommand {
    let message = format!("BadScheduleNexusOperationAttributes: {text}");
    RefusedCommand { error: CommandError { cause: Cause::BadScheduleNexusOperationAttributes, message }, ends_workflow }
}
