//! What an endpoint may be (`NexusEndpointClient.validateUpsertSpec`). All faults of a request are told together.

use temporalio_common::protos::temporal::api::nexus::v1::{EndpointSpec, EndpointTarget, endpoint_target::Variant};
use tonic::Status;
use url::Url;
use uuid::Uuid;

use crate::{
    core::Core,
    service::{MAX_ID_LENGTH, refuse, task_queue::SYSTEM_PREFIX},
};

/// Longest name, bytes (`limit.endpointNameLength`).
const MAX_NAME: usize = 200;
/// Largest description, bytes encoded (`limit.endpointDescriptionSize`).
const MAX_DESCRIPTION: usize = 20_000;
/// Longest URL of an external target, bytes (`limit.endpointExternalURLLength`).
const MAX_URL: usize = 4_096;

/// Checks what an endpoint is to be.
///
/// # Errors
/// `INVALID_ARGUMENT` with every fault, `FAILED_PRECONDITION` for a namespace that is not there, `UNIMPLEMENTED` for a target
/// outside of this engine, which would have to be called over HTTP.
pub(super) fn check_spec(core: &Core, spec: &EndpointSpec) -> Result<(), Status> {
    let mut faults = name_faults(&spec.name);
    let Some(Variant::Worker(worker)) = spec.target.as_ref().and_then(|target| target.variant.as_ref()) else {
        faults.extend(target_fault(spec.target.as_ref()));
        faults.extend(description_fault(spec));
        told(&faults)?;
        return refuse(true, "a Nexus endpoint with an external target");
    };
    if worker.namespace.is_empty() {
        faults.push("target namespace not set".to_owned());
    } else if let Err(status) = core.require_namespace(&worker.namespace) {
        let message = format!("could not verify namespace referenced by target exists: {}", status.message());
        return Err(Status::failed_precondition(message));
    }
    faults.extend(queue_fault(&worker.task_queue).map(|fault| format!("invalid target task queue: {fault:?}")));
    faults.extend(description_fault(spec));
    told(&faults)
}

/// Checks the id, and for a deletion the version, that a request names.
///
/// # Errors
/// `INVALID_ARGUMENT` with every fault.
pub(super) fn check_named(id: &str, version: Option<i64>) -> Result<(), Status> {
    let mut faults = Vec::new();
    if id.is_empty() {
        faults.push("endpoint ID not set".to_owned());
    } else if Uuid::parse_str(id).is_err() {
        let why = if id.len() == 36 {
            "invalid UUID format".to_owned()
        } else {
            format!("invalid UUID length: {}", id.len())
        };
        faults.push(format!("malformed endpoint ID: {why:?}"));
    }
    if version.is_some_and(|version| version <= 0) {
        faults.push("endpoint version is non-positive".to_owned());
    }
    told(&faults)
}

fn told(faults: &[String]) -> Result<(), Status> {
    if faults.is_empty() { Ok(()) } else { Err(Status::invalid_argument(faults.join(", "))) }
}

fn name_faults(name: &str) -> Vec<String> {
    if name.is_empty() {
        return vec!["endpoint name not set".to_owned()];
    }
    let mut faults = Vec::new();
    if name.len() > MAX_NAME {
        faults.push(format!("endpoint name exceeds length limit of {MAX_NAME}"));
    }
    if !is_name(name) {
        faults.push(r#"endpoint name must match the regex: "^[a-zA-Z][a-zA-Z0-9\\-]*[a-zA-Z0-9]$""#.to_owned());
    }
    faults
}

/// Whether it is a letter, and then letters, digits and hyphens, the last of which is no hyphen.
fn is_name(name: &str) -> bool {
    let (Some(first), Some(last)) = (name.bytes().next(), name.bytes().last()) else { return false };
    name.len() > 1
        && first.is_ascii_alphabetic()
        && last.is_ascii_alphanumeric()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn queue_fault(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        return Some("taskQueue is not set");
    }
    if name.len() > MAX_ID_LENGTH {
        return Some("taskQueue length exceeds limit");
    }
    name.starts_with(SYSTEM_PREFIX).then_some("task queue name cannot start with reserved prefix /_sys/")
}

fn target_fault(target: Option<&EndpointTarget>) -> Option<String> {
    let Some(Variant::External(external)) = target.and_then(|target| target.variant.as_ref()) else {
        return Some("empty target variant".to_owned());
    };
    if external.url.is_empty() {
        return Some("empty target URL".to_owned());
    }
    if external.url.len() > MAX_URL {
        return Some(format!("target URL length exceeds limit of {MAX_URL}"));
    }
    let scheme = match Url::parse(&external.url) {
        Ok(url) => url.scheme().to_owned(),
        Err(url::ParseError::RelativeUrlWithoutBase) => String::new(),
        Err(error) => return Some(format!("invalid target URL: {error}")),
    };
    let known = scheme == "http" || scheme == "https";
    (!known).then(|| format!("invalid target URL scheme: {scheme:?}, expected http or https"))
}

fn description_fault(spec: &EndpointSpec) -> Option<String> {
    let size = spec.description.as_ref().map_or(0, prost::Message::encoded_len);
    (size > MAX_DESCRIPTION).then(|| format!("description size exceeds limit of {MAX_DESCRIPTION}"))
}
