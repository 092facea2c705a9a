//! From an HTTP/2 request to a method: who asks, which method, its message and its answer.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt, ready};
use http::{HeaderMap, Request, Response};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;
use temporalio_client::callback_based::GrpcRequest;
use tonic::Status;
use tonic::body::Body;
use tonic::codec::CompressionEncoding;
use tonic::server::{Grpc, UnaryService};

use super::codec::EncodedCodec;
use super::reflection::Reflection;
use crate::service::{HEALTH_SERVICE, Service};

/// Largest request (gRPC's own default, which Temporal's frontend keeps). Payloads have lower limits of their own.
const MAX_REQUEST_BYTES: usize = 4 << 20;

/// Answers from this size on are compressed for those who take that; smaller ones cost more time than they save.
const COMPRESSED_FROM_BYTES: usize = 16 << 10;

/// Answers one connection's requests.
#[derive(Clone)]
pub(super) struct Frontend {
    service: Arc<Service>,
    reflection: Reflection,
    /// What those who have the key send as `authorization`.
    authorization: Option<Arc<SecretString>>,
}

impl Frontend {
    pub(super) fn new(service: Arc<Service>, api_key: Option<SecretString>) -> Self {
        let bearer = |key: SecretString| Arc::new(SecretString::from(format!("Bearer {}", key.expose_secret())));
        Self { service, reflection: Reflection::default(), authorization: api_key.map(bearer) }
    }

    /// Whether the request may be made: with the key, where there is one. Whether the engine serves may be asked by anyone.
    fn authorise(&self, service: &str, headers: &HeaderMap) -> Result<(), Status> {
        let Some(wanted) = self.authorization.as_ref().filter(|_| service != HEALTH_SERVICE) else { return Ok(()) };
        let given = headers.get(http::header::AUTHORIZATION).map(http::HeaderValue::as_bytes).unwrap_or_default();
        if bool::from(given.ct_eq(wanted.expose_secret().as_bytes())) {
            Ok(())
        } else {
            Err(Status::unauthenticated("the API key is missing or wrong; send it as `authorization: Bearer KEY`"))
        }
    }
}

impl tower::Service<Request<Body>> for Frontend {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Some((service, rpc)) = method(request.uri().path()) else {
            let path = request.uri().path();
            return refuse(&Status::unimplemented(format!("{path:?} names no method; it should be /service/method")));
        };
        let (service, rpc) = (service.to_owned(), rpc.to_owned());
        if let Err(status) = self.authorise(&service, request.headers()) {
            return refuse(&status);
        }
        if Reflection::serves(&service) {
            return self.reflection.call(request);
        }
        let unary = Unary { target: Arc::clone(&self.service), service, rpc };
        async move {
            let mut grpc = Grpc::new(EncodedCodec)
                .max_decoding_message_size(MAX_REQUEST_BYTES)
                .accept_compressed(CompressionEncoding::Gzip)
                .send_compressed(CompressionEncoding::Gzip);
            Ok(grpc.unary(unary, request).await)
        }
        .boxed()
    }
}

/// `/service/method`.
fn method(path: &str) -> Option<(&str, &str)> {
    let (service, rpc) = path.strip_prefix('/')?.split_once('/')?;
    (!service.is_empty() && !rpc.is_empty() && !rpc.contains('/')).then_some((service, rpc))
}

fn refuse(status: &Status) -> BoxFuture<'static, Result<Response<Body>, Infallible>> {
    ready(Ok(status.clone().into_http())).boxed()
}

/// One call of one method.
struct Unary {
    target: Arc<Service>,
    service: String,
    rpc: String,
}

impl UnaryService<Bytes> for Unary {
    type Response = Bytes;
    type Future = Pin<Box<dyn Future<Output = Result<tonic::Response<Bytes>, Status>> + Send>>;

    fn call(&mut self, request: tonic::Request<Bytes>) -> Self::Future {
        let target = Arc::clone(&self.target);
        let (service, rpc) = (std::mem::take(&mut self.service), std::mem::take(&mut self.rpc));
        Box::pin(async move {
            let (metadata, _, proto) = request.into_parts();
            let request = GrpcRequest { service, rpc, headers: metadata.into_headers(), proto };
            target.handle(&request).await.map(|answer| {
                let small = answer.len() < COMPRESSED_FROM_BYTES;
                let mut response = tonic::Response::new(Bytes::from(answer));
                if small {
                    response.disable_compression();
                }
                response
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_a_service_and_a_method() {
        assert_eq!(method("/a.b.C/D"), Some(("a.b.C", "D")));
        for path in ["", "/", "/a", "a/b", "/a/", "//b", "/a/b/c"] {
            assert_eq!(method(path), None, "{path:?}");
        }
    }
}
