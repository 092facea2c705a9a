//! gRPC server reflection: what `grpcurl` and its like ask before they call anything.

use std::convert::Infallible;
use std::sync::{Arc, OnceLock};

use futures_util::future::{BoxFuture, FutureExt, ready};
use http::{Request, Response};
use tonic::Status;
use tonic::body::Body;
use tonic_reflection::server::{Builder, Error};
use tower::ServiceExt;

use crate::service::{HEALTH_SERVICE, OPERATOR_SERVICE, WORKFLOW_SERVICE};

/// Descriptions of Temporal's services and messages, as the protobuf compiler wrote them.
pub const DESCRIPTORS: &[u8] = include_bytes!(env!("TEMPORAL_DESCRIPTORS"));

/// What all reflection services are named.
const PREFIX: &str = "grpc.reflection.";

/// Answers reflection requests. The descriptions are read when somebody asks for the first time.
#[derive(Clone, Default)]
pub(super) struct Reflection {
    routes: Arc<OnceLock<Result<tonic::service::Routes, String>>>,
}

impl Reflection {
    /// Whether a service is one of reflection's.
    pub(super) fn serves(service: &str) -> bool {
        service.starts_with(PREFIX)
    }

    /// Answers one request.
    pub(super) fn call(&self, request: Request<Body>) -> BoxFuture<'static, Result<Response<Body>, Infallible>> {
        let routes = self.routes.get_or_init(|| routes().map_err(|error| error.to_string()));
        match routes {
            Ok(routes) => routes.clone().oneshot(request).boxed(),
            Err(error) => {
                let status = Status::internal(format!("the services cannot be described: {error}"));
                ready(Ok(status.into_http())).boxed()
            }
        }
    }
}

/// Both versions of the protocol, for the services that the engine has.
fn routes() -> Result<tonic::service::Routes, Error> {
    let builder = || {
        let builder = Builder::configure().register_encoded_file_descriptor_set(DESCRIPTORS);
        [WORKFLOW_SERVICE, OPERATOR_SERVICE, HEALTH_SERVICE].into_iter().fold(builder, Builder::with_service_name)
    };
    Ok(tonic::service::Routes::new(builder().build_v1()?).add_service(builder().build_v1alpha()?))
}
