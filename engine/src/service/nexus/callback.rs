//! What comes with a start for the sake of Nexus: completion callbacks, links, and what a start that finds an open run leaves there.

use prost::Message as _;
use temporalio_common::protos::temporal::api::{
    common::v1::{
        Callback, Link,
        callback::Variant,
        link::workflow_event::{Reference, RequestIdReference},
    },
    enums::v1::EventType,
    workflowservice::v1::StartWorkflowExecutionRequest,
};
use tonic::Status;

use crate::{
    core::{Core, SYSTEM_CALLBACK, event_link, started_link},
    history::{Attachment, state::ExecutionInfo},
    service::refuse,
};

/// Callbacks of one execution (`system.maxCallbacksPerExecution`).
const MAX_CALLBACKS: usize = 2_000;
/// Longest URL of a callback, bytes, and bytes of all its headers together (`component.callbacks`).
const MAX_URL: usize = 1_000;
const MAX_HEADER: usize = 8_192;
/// Links that one request attaches, and bytes of each (`frontend.maxLinksPerRequest`, `frontend.linkMaxSize`).
const MAX_LINKS: usize = 10;
const MAX_LINK: usize = 4_000;

/// Checks what is to be attached to a run.
///
/// # Errors
/// `INVALID_ARGUMENT` in the words of Temporal's frontend; `UNIMPLEMENTED` for a callback of another kind.
pub(in crate::service) fn check_attached(request: &StartWorkflowExecutionRequest) -> Result<(), Status> {
    let invalid = |text: String| Err(Status::invalid_argument(text));
    if request.links.len() > MAX_LINKS {
        return invalid(format!("cannot attach more than {MAX_LINKS} links per request, got {}", request.links.len()));
    }
    if let Some(link) = request.links.iter().find(|link| link.encoded_len() > MAX_LINK) {
        return invalid(format!("link exceeds allowed size of {MAX_LINK}, got {}", link.encoded_len()));
    }
    if request.completion_callbacks.len() > MAX_CALLBACKS {
        return invalid(format!("cannot attach more than {MAX_CALLBACKS} callbacks to an execution"));
    }
    request.completion_callbacks.iter().try_for_each(check_callback)?;
    match &request.on_conflict_options {
        Some(options) if options.attach_completion_callbacks && !options.attach_request_id => {
            invalid("attaching request ID is required for attaching completion callbacks".to_owned())
        }
        _ => Ok(()),
    }
}

/// An engine calls nobody but itself.
fn check_callback(callback: &Callback) -> Result<(), Status> {
    let invalid = |text: String| Err(Status::invalid_argument(text));
    let nexus = match &callback.variant {
        Some(Variant::Nexus(nexus)) => nexus,
        Some(Variant::Internal(_)) => {
            return invalid("unsupported callback variant: *common.Callback_Internal_".to_owned());
        }
        Some(Variant::NexusHandler(_)) => return refuse(true, "a completion callback to a Nexus handler"),
        None => return Err(Status::unimplemented("unknown callback variant: <nil>")),
    };
    let url = nexus.url.as_str();
    if url.len() > MAX_URL {
        return invalid(format!("invalid url: url length longer than max length allowed of {MAX_URL}"));
    }
    if url != SYSTEM_CALLBACK {
        let http = url.starts_with("http://") || url.starts_with("https://");
        let why = if http { "url does not match any configured callback address" } else { "unknown scheme" };
        return invalid(format!("invalid url: {why}: {url}"));
    }
    if nexus.header.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > MAX_HEADER {
        return invalid(format!("invalid header: header size longer than max allowed size of {MAX_HEADER}"));
    }
    Ok(())
}

/// The links of a start that its callbacks do not have already.
pub(in crate::service) fn own_links(request: &StartWorkflowExecutionRequest) -> Vec<Link> {
    let of_callbacks: Vec<&Link> = request.completion_callbacks.iter().flat_map(|callback| &callback.links).collect();
    request.links.iter().filter(|link| !of_callbacks.contains(link)).cloned().collect()
}

/// What a start leaves at an open run that it finds, if it is to leave anything.
pub(in crate::service) fn attachment(request: &StartWorkflowExecutionRequest) -> Option<Attachment> {
    let options = request.on_conflict_options.as_ref()?;
    let attachment = Attachment {
        request_id: if options.attach_request_id { request.request_id.clone() } else { String::new() },
        callbacks: if options.attach_completion_callbacks { request.completion_callbacks.clone() } else { Vec::new() },
        links: if options.attach_links { own_links(request) } else { Vec::new() },
    };
    (attachment != Attachment::default()).then_some(attachment)
}

/// Leaves at an open run what a start has for it. Answers where that stands.
///
/// # Errors
/// `FAILED_PRECONDITION`: it has as many callbacks as it may.
pub(in crate::service) fn attach(
    core: &mut Core,
    key: i64,
    info: &ExecutionInfo,
    attachment: Option<Attachment>,
) -> Result<Option<Link>, Status> {
    let Some(attachment) = attachment else { return Ok(Some(started_link(info))) };
    let request_id = attachment.request_id.clone();
    if !info.attached_requests.contains(&request_id) {
        check_room(info.callbacks.len(), attachment.callbacks.len())?;
    }
    core.update(key, |e, now| e.attach(now, attachment));
    let event_type = EventType::WorkflowExecutionOptionsUpdated.into();
    Ok(Some(event_link(info, Reference::RequestIdRef(RequestIdReference { request_id, event_type }))))
}

/// Checks that a run has room for more callbacks.
///
/// # Errors
/// `FAILED_PRECONDITION`: it has as many as it may.
fn check_room(attached: usize, more: usize) -> Result<(), Status> {
    if more == 0 || attached + more <= MAX_CALLBACKS {
        return Ok(());
    }
    let message = format!(
        "cannot attach more than {MAX_CALLBACKS} callbacks to a workflow ({attached} callbacks already attached)"
    );
    Err(Status::failed_precondition(message))
}
