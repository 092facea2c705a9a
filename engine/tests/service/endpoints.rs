//! Nexus endpoints, as an operator keeps them: they are there after a crash, and keep the namespace that they lead to.

use temporalio_common::protos::temporal::api::{
    nexus::v1::{
        Endpoint, EndpointSpec, EndpointTarget,
        endpoint_target::{External, Variant, Worker},
    },
    operatorservice::v1::{
        CreateNexusEndpointRequest, CreateNexusEndpointResponse, DeleteNamespaceRequest, DeleteNamespaceResponse,
        DeleteNexusEndpointRequest, DeleteNexusEndpointResponse, ListNexusEndpointsRequest, ListNexusEndpointsResponse,
        UpdateNexusEndpointRequest, UpdateNexusEndpointResponse,
    },
    workflowservice::v1::{RegisterNamespaceRequest, RegisterNamespaceResponse},
};
use tonic::{Code, Status};

use crate::{
    hand::seconds,
    home::{Home, NAMESPACE},
};

fn spec(name: &str, namespace: &str) -> Option<EndpointSpec> {
    let worker = Worker { namespace: namespace.into(), task_queue: "q".into() };
    let target = Some(EndpointTarget { variant: Some(Variant::Worker(worker)) });
    Some(EndpointSpec { name: name.into(), target, ..Default::default() })
}

async fn create(home: &Home, spec: Option<EndpointSpec>) -> Result<Endpoint, Status> {
    let created: CreateNexusEndpointResponse =
        home.operate("CreateNexusEndpoint", CreateNexusEndpointRequest { spec }).await?;
    Ok(created.endpoint.unwrap())
}

async fn update(home: &Home, endpoint: &Endpoint, name: &str) -> Result<Endpoint, Status> {
    let (id, version) = (endpoint.id.clone(), endpoint.version);
    let request = UpdateNexusEndpointRequest { id, version, spec: spec(name, NAMESPACE) };
    let updated: UpdateNexusEndpointResponse = home.operate("UpdateNexusEndpoint", request).await?;
    Ok(updated.endpoint.unwrap())
}

async fn delete(home: &Home, endpoint: &Endpoint) {
    let request = DeleteNexusEndpointRequest { id: endpoint.id.clone(), version: endpoint.version };
    let _: DeleteNexusEndpointResponse = home.operate("DeleteNexusEndpoint", request).await.unwrap();
}

async fn all(home: &Home) -> Vec<Endpoint> {
    let listed: ListNexusEndpointsResponse =
        home.operate("ListNexusEndpoints", ListNexusEndpointsRequest::default()).await.unwrap();
    listed.endpoints
}

#[tokio::test]
async fn endpoints_survive_a_crash_as_they_were_last() {
    let mut home = Home::engine();
    let kept = create(&home, spec("kept", NAMESPACE)).await.unwrap();
    let changed = create(&home, spec("changed", NAMESPACE)).await.unwrap();
    let deleted = create(&home, spec("deleted", NAMESPACE)).await.unwrap();
    let changed = update(&home, &changed, "other").await.unwrap();
    delete(&home, &deleted).await;
    home.crash().await;
    assert_eq!(all(&home).await, [kept.clone(), changed.clone()]);
    let taken = update(&home, &changed, "kept").await.unwrap_err();
    assert_eq!(taken.code(), Code::AlreadyExists, "two endpoints of one name would be one too many");
    create(&home, spec("changed", NAMESPACE)).await.expect("a name that was given up is free");
}

#[tokio::test]
async fn a_namespace_that_an_endpoint_leads_to_is_not_deleted() {
    let home = Home::engine();
    let request = RegisterNamespaceRequest {
        namespace: "target".into(),
        workflow_execution_retention_period: seconds(86_400),
        ..Default::default()
    };
    let _: RegisterNamespaceResponse = home.call("RegisterNamespace", request).await.unwrap();
    let endpoint = create(&home, spec("leads-there", "target")).await.unwrap();
    let request = DeleteNamespaceRequest { namespace: "target".into(), ..Default::default() };
    let refused = home.operate::<_, DeleteNamespaceResponse>("DeleteNamespace", request.clone()).await.unwrap_err();
    assert_eq!(refused.message(), "cannot delete a namespace that is a target of a Nexus endpoint leads-there");
    delete(&home, &endpoint).await;
    home.operate::<_, DeleteNamespaceResponse>("DeleteNamespace", request).await.expect("nothing leads there any more");
}

#[tokio::test]
async fn what_would_have_to_be_called_over_http_is_refused_by_name() {
    let home = Home::engine();
    let external = External { url: "https://example.com/nexus".into() };
    let target = Some(EndpointTarget { variant: Some(Variant::External(external)) });
    let outside = Some(EndpointSpec { name: "outside".into(), target, ..Default::default() });
    let refused = create(&home, outside).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unimplemented);
    assert!(refused.message().contains("external target"), "{}", refused.message());
    assert_eq!(all(&home).await, []);
}
