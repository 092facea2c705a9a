//! The engine on the network, asked by a client that knows nothing but gRPC: who is let in, what is described, what is too
//! much.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use dixmgr_engine::wire::{Listener, TlsOptions, WireError, WireOptions};
use dixmgr_engine::{Engine, EngineOptions};
use prost::Message;
use rcgen::{CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use secrecy::SecretString;
use tempfile::TempDir;
use temporalio_common::protos::grpc::health::v1::{HealthCheckRequest, HealthCheckResponse};
use temporalio_common::protos::temporal::api::common::v1::{Payload, Payloads, WorkflowType};
use temporalio_common::protos::temporal::api::taskqueue::v1::TaskQueue;
use temporalio_common::protos::temporal::api::workflowservice::v1::{
    DescribeNamespaceRequest, DescribeNamespaceResponse, StartWorkflowExecutionRequest, StartWorkflowExecutionResponse,
};
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};

const SERVICE: &str = "temporal.api.workflowservice.v1.WorkflowService";
const OPERATOR: &str = "temporal.api.operatorservice.v1.OperatorService";
const HEALTH: &str = "grpc.health.v1.Health";

/// A listening engine with an empty file.
struct Served {
    _directory: TempDir,
    engine: Engine,
    listener: Listener,
}

impl Served {
    async fn with(tls: Option<TlsOptions>, api_key: Option<&str>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let engine = Engine::open(EngineOptions::new(directory.path().join("engine.db"))).unwrap();
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let options = WireOptions { listen, tls, api_key: api_key.map(SecretString::from) };
        let listener = engine.listen(options).await.unwrap();
        Self { _directory: directory, engine, listener }
    }

    fn endpoint(&self, scheme: &str) -> Endpoint {
        let port = self.listener.address().port();
        Endpoint::from_shared(format!("{scheme}://localhost:{port}")).unwrap().timeout(Duration::from_secs(10))
    }

    async fn channel(&self) -> Channel {
        self.endpoint("http").connect().await.unwrap()
    }
}

/// Calls any method, with a key if there is one.
async fn call<Q, A>(channel: &Channel, service: &str, rpc: &str, message: Q, key: Option<&str>) -> Result<A, Status>
where
    Q: Message + 'static,
    A: Message + Default + 'static,
{
    let mut grpc = Grpc::new(channel.clone());
    grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let mut request = Request::new(message);
    if let Some(key) = key {
        request.metadata_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
    }
    let path = PathAndQuery::try_from(format!("/{service}/{rpc}")).unwrap();
    grpc.unary(request, path, ProstCodec::default()).await.map(tonic::Response::into_inner)
}

async fn describe(channel: &Channel, key: Option<&str>) -> Result<DescribeNamespaceResponse, Status> {
    let request = DescribeNamespaceRequest { namespace: "default".to_owned(), ..Default::default() };
    call(channel, SERVICE, "DescribeNamespace", request, key).await
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_key_only_those_who_have_it_are_let_in() {
    let served = Served::with(None, Some("right")).await;
    let channel = served.channel().await;
    for key in [None, Some("wrong"), Some(""), Some("right and more")] {
        assert_eq!(describe(&channel, key).await.unwrap_err().code(), Code::Unauthenticated, "{key:?}");
    }
    assert_eq!(describe(&channel, Some("right")).await.unwrap().namespace_info.unwrap().name, "default");
    // Whoever looks after the machine may ask whether it serves.
    let health: HealthCheckResponse =
        call(&channel, HEALTH, "Check", HealthCheckRequest::default(), None).await.unwrap();
    assert_eq!(health.status, 1, "SERVING");
}

/// An authority, and what it signs.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate and its key.
    fn signed(&self, purpose: ExtendedKeyUsagePurpose) -> (String, String) {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.extended_key_usages.push(purpose);
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_an_authority_only_its_clients_are_let_in() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let (certificate, key) = ours.signed(ExtendedKeyUsagePurpose::ServerAuth);
    let tls = TlsOptions {
        certificate: certificate.into_bytes(),
        key: SecretString::from(key),
        client_ca: Some(ours.pem().into_bytes()),
    };
    let served = Served::with(Some(tls), None).await;
    let attempt = async |client: Option<&Authority>| {
        let mut config = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ours.pem()));
        if let Some(authority) = client {
            let (certificate, key) = authority.signed(ExtendedKeyUsagePurpose::ClientAuth);
            config = config.identity(Identity::from_pem(certificate, key));
        }
        let channel = served.endpoint("https").tls_config(config).unwrap().connect().await;
        describe(&channel.map_err(|error| Status::unavailable(error.to_string()))?, None).await
    };
    assert!(attempt(Some(&ours)).await.is_ok());
    assert!(attempt(None).await.is_err(), "no certificate");
    assert!(attempt(Some(&theirs)).await.is_err(), "another authority's");
    let plain = served.endpoint("http").connect().await;
    let spoken = match plain {
        Ok(channel) => describe(&channel, None).await.is_ok(),
        Err(_) => false,
    };
    assert!(!spoken, "in the clear");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_or_too_much_is_refused() {
    let served = Served::with(None, None).await;
    let channel = served.channel().await;
    let unknown = call::<_, HealthCheckResponse>(&channel, SERVICE, "Nonsense", HealthCheckRequest::default(), None);
    let unknown = unknown.await.unwrap_err();
    assert_eq!(unknown.code(), Code::Unimplemented);
    assert!(unknown.message().contains("Nonsense"), "{unknown}");
    let large = StartWorkflowExecutionRequest {
        namespace: "default".to_owned(),
        workflow_id: "large".to_owned(),
        workflow_type: Some(WorkflowType { name: "T".to_owned() }),
        task_queue: Some(TaskQueue { name: "q".to_owned(), ..Default::default() }),
        input: Some(Payloads { payloads: vec![Payload { data: vec![7; 5 << 20], ..Default::default() }] }),
        ..Default::default()
    };
    let refused = call::<_, StartWorkflowExecutionResponse>(&channel, SERVICE, "StartWorkflowExecution", large, None);
    let refused = refused.await.unwrap_err();
    assert!(matches!(refused.code(), Code::OutOfRange | Code::ResourceExhausted), "{refused:?}");
    assert!(describe(&channel, None).await.is_ok(), "the connection lives on");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_services_describe_themselves() {
    let served = Served::with(None, None).await;
    let mut reflection = ServerReflectionClient::new(served.channel().await);
    let mut ask = async |message_request: MessageRequest| {
        let request = ServerReflectionRequest { message_request: Some(message_request), ..Default::default() };
        let answers = reflection.server_reflection_info(tokio_stream::once(request)).await.unwrap();
        let answer: Option<ServerReflectionResponse> = answers.into_inner().message().await.unwrap();
        answer.unwrap().message_response.unwrap()
    };
    let MessageResponse::ListServicesResponse(list) = ask(MessageRequest::ListServices(String::new())).await else {
        panic!("a list was asked for")
    };
    let names: Vec<&str> = list.service.iter().map(|service| service.name.as_str()).collect();
    assert!([SERVICE, OPERATOR, HEALTH].iter().all(|service| names.contains(service)), "{names:?}");
    let symbol = MessageRequest::FileContainingSymbol(format!("{SERVICE}.StartWorkflowExecution"));
    assert!(matches!(ask(symbol).await, MessageResponse::FileDescriptorResponse(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_address_and_a_bad_certificate_are_said_to_be_so() {
    let served = Served::with(None, None).await;
    let taken = WireOptions::new(served.listener.address());
    let error = served.engine.listen(taken).await.unwrap_err();
    assert!(matches!(error, WireError::Bind { .. }), "{error}");
    let garbage = TlsOptions { certificate: b"garbage".to_vec(), key: SecretString::from("garbage"), client_ca: None };
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let options = WireOptions { listen, tls: Some(garbage), api_key: None };
    let error = served.engine.listen(options).await.unwrap_err();
    assert!(matches!(error, WireError::Tls(_)), "{error}");
}
