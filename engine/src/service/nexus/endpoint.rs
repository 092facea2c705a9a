//! `OperatorService`'s methods for Nexus endpoints, as Temporal's frontend and matching service answer them.

use temporalio_common::protos::temporal::api::{
    nexus::v1::{Endpoint, EndpointSpec},
    operatorservice::v1::{
        CreateNexusEndpointRequest, CreateNexusEndpointResponse, DeleteNexusEndpointRequest,
        DeleteNexusEndpointResponse, GetNexusEndpointRequest, GetNexusEndpointResponse, ListNexusEndpointsRequest,
        ListNexusEndpointsResponse, UpdateNexusEndpointRequest, UpdateNexusEndpointResponse,
    },
};
use tonic::Status;
use uuid::Uuid;

use super::endpoint_check::{check_named, check_spec};
use crate::{core::Core, history::time::timestamp, service::Service};

/// Endpoints in all namespaces together.
const MAX_ENDPOINTS: usize = 10_000;
/// Endpoints of a page that does not say (`limit.endpointListDefaultPageSize`), and the most of one that does
/// (`limit.endpointListMaxPageSize`).
const PAGE: usize = 100;
const MAX_PAGE: usize = 1_000;

impl Service {
    pub(in crate::service) async fn create_nexus_endpoint(
        &self,
        request: CreateNexusEndpointRequest,
    ) -> Result<CreateNexusEndpointResponse, Status> {
        let spec = request.spec.unwrap_or_default();
        self.core
            .call(move |core, reply| {
                let answer = create(core, spec);
                core.reply(reply, answer.map(|endpoint| CreateNexusEndpointResponse { endpoint: Some(endpoint) }));
            })
            .await
    }

    pub(in crate::service) async fn update_nexus_endpoint(
        &self,
        request: UpdateNexusEndpointRequest,
    ) -> Result<UpdateNexusEndpointResponse, Status> {
        self.core
            .call(move |core, reply| {
                let answer = update(core, &request.id, request.version, request.spec.unwrap_or_default());
                core.reply(reply, answer.map(|endpoint| UpdateNexusEndpointResponse { endpoint: Some(endpoint) }));
            })
            .await
    }

    /// The version has to be given and, as on a server, is not looked at.
    pub(in crate::service) async fn delete_nexus_endpoint(
        &self,
        request: DeleteNexusEndpointRequest,
    ) -> Result<DeleteNexusEndpointResponse, Status> {
        check_named(&request.id, Some(request.version))?;
        self.core
            .call(move |core, reply| {
                let missing = || Status::not_found(format!("error deleting nexus endpoint with ID: {}", request.id));
                let answer = if core.endpoints.remove(&request.id) { Ok(()) } else { Err(missing()) };
                core.reply(reply, answer.map(|()| DeleteNexusEndpointResponse {}));
            })
            .await
    }

    pub(in crate::service) async fn get_nexus_endpoint(
        &self,
        request: GetNexusEndpointRequest,
    ) -> Result<GetNexusEndpointResponse, Status> {
        check_named(&request.id, None)?;
        self.core
            .call(move |core, reply| {
                let missing = || Status::not_found(format!("Nexus endpoint with ID `{}` not found", request.id));
                let answer = core.endpoints.get(&request.id).cloned().ok_or_else(missing);
                core.reply(reply, answer.map(|endpoint| GetNexusEndpointResponse { endpoint: Some(endpoint) }));
            })
            .await
    }

    pub(in crate::service) async fn list_nexus_endpoints(
        &self,
        request: ListNexusEndpointsRequest,
    ) -> Result<ListNexusEndpointsResponse, Status> {
        self.core
            .call(move |core, reply| {
                let answer = list(core, &request);
                core.reply(reply, answer);
            })
            .await
    }
}

fn create(core: &mut Core, spec: EndpointSpec) -> Result<Endpoint, Status> {
    check_spec(core, &spec)?;
    check_free(core, "creating", &spec.name, "")?;
    if core.endpoints.len() >= MAX_ENDPOINTS {
        let message = format!("an engine keeps {MAX_ENDPOINTS} Nexus endpoints at the most");
        return Err(Status::resource_exhausted(message));
    }
    let id = Uuid::now_v7().to_string();
    let endpoint = Endpoint {
        version: 1,
        url_prefix: format!("/nexus/endpoints/{id}/services"),
        id,
        spec: Some(spec),
        created_time: timestamp(core.now()),
        last_modified_time: None,
    };
    core.endpoints.put(endpoint.clone());
    Ok(endpoint)
}

/// Changes an endpoint. As on a server, one that was changed does not know when it was made.
fn update(core: &mut Core, id: &str, version: i64, spec: EndpointSpec) -> Result<Endpoint, Status> {
    check_spec(core, &spec)?;
    let missing = || Status::not_found(format!("error updating Nexus endpoint. endpoint ID {id} not found"));
    let before = core.endpoints.get(id).cloned().ok_or_else(missing)?;
    if version != before.version {
        let expected = before.version;
        let message = format!("nexus endpoint version mismatch. received: {version} expected {expected}");
        return Err(Status::failed_precondition(message));
    }
    check_free(core, "updating", &spec.name, id)?;
    let endpoint = Endpoint {
        version: version + 1,
        spec: Some(spec),
        created_time: None,
        last_modified_time: timestamp(core.now()),
        ..before
    };
    core.endpoints.put(endpoint.clone());
    Ok(endpoint)
}

/// Checks that no endpoint but the one of that id has the name.
fn check_free(core: &Core, doing: &str, name: &str, id: &str) -> Result<(), Status> {
    match core.endpoints.named(name) {
        Some(other) if other.id != id => {
            let message = format!("error {doing} Nexus endpoint. Endpoint with name {name} already registered");
            Err(Status::already_exists(message))
        }
        _ => Ok(()),
    }
}

/// One page, or the endpoint of a name, whatever the page.
fn list(core: &Core, request: &ListNexusEndpointsRequest) -> Result<ListNexusEndpointsResponse, Status> {
    if !request.name.is_empty() {
        let endpoints = core.endpoints.named(&request.name).cloned().into_iter().collect();
        return Ok(ListNexusEndpointsResponse { endpoints, ..Default::default() });
    }
    let size = match usize::try_from(request.page_size) {
        Err(_) => return Err(Status::invalid_argument("page_size is negative")),
        Ok(0) => PAGE,
        Ok(size) if size > MAX_PAGE => {
            return Err(Status::invalid_argument(format!("page_size exceeds limit of {MAX_PAGE}")));
        }
        Ok(size) => size,
    };
    let from = std::str::from_utf8(&request.next_page_token)
        .map_err(|_| Status::invalid_argument("Invalid NextPageToken."))?;
    let mut rest = core.endpoints.from(from);
    let endpoints = rest.by_ref().take(size).cloned().collect();
    let next_page_token = rest.next().map(|next| next.id.clone().into_bytes()).unwrap_or_default();
    Ok(ListNexusEndpointsResponse { next_page_token, endpoints })
}
