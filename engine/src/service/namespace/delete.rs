//! Deleting a namespace with everything in it. It is gone for clients at once; its executions go bit by bit, see
//! `core::namespaces`.

use temporalio_common::protos::temporal::api::operatorservice::v1::{DeleteNamespaceRequest, DeleteNamespaceResponse};
use tonic::Status;

use super::{BUILT_IN, has_id, no_namespace, not_found};
use crate::{core::Core, service::Service};

/// Characters of the id that the name of a deleted namespace ends with.
const SUFFIX: usize = 5;

impl Service {
    pub(in crate::service) async fn delete_namespace(
        &self,
        request: DeleteNamespaceRequest,
    ) -> Result<DeleteNamespaceResponse, Status> {
        self.core
            .call(move |core, reply| {
                let answer = named(core, &request).and_then(|name| delete(core, &name));
                core.reply(reply, answer);
            })
            .await
    }
}

fn named(core: &Core, request: &DeleteNamespaceRequest) -> Result<String, Status> {
    match (request.namespace.as_str(), request.namespace_id.as_str()) {
        ("", "") => Err(no_namespace()),
        (name, "") => core.require_namespace(name).map(|()| name.to_owned()),
        ("", id) => {
            let found = core.namespaces.iter().find(|(_, namespace)| has_id(namespace, id));
            found.map(|(name, _)| name.clone()).ok_or_else(|| not_found(id))
        }
        _ => Err(Status::invalid_argument("Only one of namespace name or Id should be set on request.")),
    }
}

fn delete(core: &mut Core, name: &str) -> Result<DeleteNamespaceResponse, Status> {
    if BUILT_IN.contains(&name) {
        return Err(Status::failed_precondition("unable to delete system namespace"));
    }
    if let Some(spec) = core.endpoints.leading_to(name).and_then(|endpoint| endpoint.spec.as_ref()) {
        let message = format!("cannot delete a namespace that is a target of a Nexus endpoint {}", spec.name);
        return Err(Status::failed_precondition(message));
    }
    let id = core.namespace_id(name);
    // Its last characters: the first ones of our ids are a time, and much alike.
    let suffix = id.get(id.len().saturating_sub(SUFFIX)..).unwrap_or_default();
    core.delete_namespace(name);
    Ok(DeleteNamespaceResponse { deleted_namespace: format!("{name}-deleted-{suffix}") })
}
