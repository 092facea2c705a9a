//! Attributes that workflows set: for themselves, for children, and for the run that goes on from theirs.

use temporalio_common::protos::temporal::api::{
    command::v1::{
        Command, ContinueAsNewWorkflowExecutionCommandAttributes, StartChildWorkflowExecutionCommandAttributes,
        command::Attributes as C,
    },
    common::v1::SearchAttributes,
    enums::v1::WorkflowTaskFailedCause as Cause,
};

use super::admit::{Refused, Unset, admit};
use crate::{core::Core, history::CommandError};

/// Why commands are refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RefusedCommand {
    /// What the workflow task fails with.
    pub(crate) error: CommandError,
    /// Whether the workflow ends as well: the server does not let one go on that asks for more than may be stored.
    pub(crate) ends_workflow: bool,
}

/// One command's attributes, and what the server says of them when they are refused.
struct Target<'a> {
    attributes: &'a mut SearchAttributes,
    namespace: String,
    unset: Unset,
    /// What a task fails with whose attributes are too large; the name of the cause begins the message.
    too_large: (Cause, &'static str),
    /// The command and what it is about, around the fault of a value.
    around: Option<(&'static str, String)>,
}

/// Checks the attributes that the commands of the run `key` set, and completes them.
///
/// # Errors
/// The first command that cannot be carried out; the commands are not to be used then.
pub(crate) fn admit_commands(core: &Core, key: i64, commands: &mut [Command]) -> Result<(), RefusedCommand> {
    let namespace = core.live.get(&key).map_or("", |live| &live.execution.info.namespace);
    commands.iter().try_for_each(check_upsert)?;
    for target in commands.iter_mut().filter_map(|command| target(command, namespace)) {
        let schema = core.schema(&target.namespace);
        if let Err(refused) = admit(target.attributes, &target.namespace, &schema, target.unset) {
            return Err(explain(&refused, target.too_large, target.around));
        }
    }
    Ok(())
}

/// An upsert has to set something.
fn check_upsert(command: &Command) -> Result<(), RefusedCommand> {
    let Some(C::UpsertWorkflowSearchAttributesCommandAttributes(a)) = &command.attributes else { return Ok(()) };
    let missing = match &a.search_attributes {
        None => "SearchAttributes",
        Some(attributes) if attributes.indexed_fields.is_empty() => "IndexedFields",
        Some(_) => return Ok(()),
    };
    let message = format!("BadSearchAttributes: {missing} is not set on UpsertWorkflowSearchAttributesCommand.");
    Err(RefusedCommand { error: CommandError { cause: Cause::BadSearchAttributes, message }, ends_workflow: false })
}

fn target<'a>(command: &'a mut Command, namespace: &str) -> Option<Target<'a>> {
    match command.attributes.as_mut()? {
        C::UpsertWorkflowSearchAttributesCommandAttributes(a) => Some(Target {
            attributes: a.search_attributes.as_mut()?,
            namespace: namespace.to_owned(),
            unset: Unset::Kept,
            too_large: (Cause::BadSearchAttributes, "BadSearchAttributes"),
            around: None,
        }),
        C::StartChildWorkflowExecutionCommandAttributes(a) => of_child(a, namespace),
        C::ContinueAsNewWorkflowExecutionCommandAttributes(a) => of_next_run(a, namespace),
        _ => None,
    }
}

#[allow(deprecated, reason = "deprecated for SDKs; servers still have to honour it")]
fn of_child<'a>(a: &'a mut StartChildWorkflowExecutionCommandAttributes, namespace: &str) -> Option<Target<'a>> {
    let namespace = if a.namespace.is_empty() { namespace } else { &a.namespace }.to_owned();
    let kind = a.workflow_type.as_ref().map_or("", |kind| &kind.name);
    let about = format!("WorkflowId={} WorkflowType={kind} Namespace={namespace}", a.workflow_id);
    Some(Target {
        attributes: a.search_attributes.as_mut()?,
        namespace,
        unset: Unset::Dropped,
        too_large: (Cause::BadStartChildExecutionAttributes, "BadStartChildExecutionAttributes"),
        around: Some(("StartChildWorkflowCommand", about)),
    })
}

fn of_next_run<'a>(a: &'a mut ContinueAsNewWorkflowExecutionCommandAttributes, namespace: &str) -> Option<Target<'a>> {
    let kind = a.workflow_type.as_ref().map_or("", |kind| &kind.name);
    let queue = a.task_queue.as_ref().map_or("", |queue| &queue.name);
    let about = format!("WorkflowType={kind} TaskQueue={queue}");
    Some(Target {
        attributes: a.search_attributes.as_mut()?,
        namespace: namespace.to_owned(),
        unset: Unset::Dropped,
        too_large: (Cause::BadContinueAsNewAttributes, "BadContinueAsNewAttributes"),
        around: Some(("ContinueAsNewWorkflowExecutionCommand", about)),
    })
}

fn explain(
    refused: &Refused,
    too_large: (Cause, &'static str),
    around: Option<(&'static str, String)>,
) -> RefusedCommand {
    let fault = refused.message();
    let (cause, message) = match (refused, around) {
        (Refused::TooLarge(_), _) => (too_large.0, format!("{}: {fault}", too_large.1)),
        (Refused::Invalid(_), Some((command, about))) => {
            let message = format!("BadSearchAttributes: invalid SearchAttributes on {command}: {fault}. {about}");
            (Cause::BadSearchAttributes, message)
        }
        _ => (Cause::BadSearchAttributes, format!("BadSearchAttributes: {fault}")),
    };
    RefusedCommand { error: CommandError { cause, message }, ends_workflow: matches!(refused, Refused::TooLarge(_)) }
}
