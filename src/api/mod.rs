//! The HTTP API and the status page, on a port of its own (loopback unless a token guards it).
//!
//! [`router`] is where everything comes together: each file beside this one brings the routes of one subject, over the same
//! [`Api`]; [`guard`] stands before all of them, and every error has the one form of [`error`]. Nothing here decides about a
//! service: what is seen comes from the hub's board, what is done goes through workflows.

mod alertmanager;
mod alerts;
mod breakers;
mod connections;
mod error;
mod extract;
mod guard;
mod history;
mod services;
mod silences;
mod view;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::header;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use dixmgr_activities::breakers::CircuitBreakers;
use dixmgr_activities::history::Reader;
use dixmgr_activities::watch::board::Board;
use dixmgr_model::Plan;
use temporalio_client::Client;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tower_http::compression::CompressionLayer;

pub(crate) use self::alertmanager::Alerting;
pub(crate) use self::alerts::{Known as AlertsNow, acknowledge, silence};
pub(crate) use self::breakers::Breaker;
pub(crate) use self::error::ApiError;
pub(crate) use self::extract::{Body, Params};
use self::guard::Guard;
pub(crate) use self::history::{ask as ask_history, fitting, now as now_millis, of_service, uptimes};
pub(crate) use self::services::{Service, describe, rfc3339};
pub(crate) use self::view::{Action, Alert as PastAlert, Incident, Uptime};
use crate::error::RunError;
use crate::page;
use crate::settings::{ApiSettings, StatusSettings};

/// The API's description.
const OPENAPI: &str = include_str!("openapi.json");
/// Largest body of a request.
const MAX_BODY: usize = 256 << 10;
/// Longest time until an answer begins.
const PATIENCE: Duration = Duration::from_secs(15);

/// What answers are made from. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Api {
    /// How services are now.
    pub(crate) board: Board,
    /// The services that are kept.
    pub(crate) plan: watch::Receiver<Arc<Plan>>,
    /// The client, once there is one.
    pub(crate) client: watch::Receiver<Option<Client>>,
    /// How services were; absent when no history is kept.
    pub(crate) history: Option<Reader>,
    /// What is left alone for a while.
    pub(crate) breakers: CircuitBreakers,
    /// What there is to be said about alerting.
    pub(crate) alerting: Arc<Alerting>,
}

/// Everything that is served. Routes of further subjects are merged here.
fn routes() -> Router<Api> {
    Router::new()
        .merge(services::routes())
        .merge(history::routes())
        .merge(alertmanager::routes())
        .merge(alerts::routes())
        .merge(silences::routes())
        .merge(breakers::routes())
        .route("/api/v1/openapi.json", get(openapi))
}

/// What the API has, in its own words. A test holds it against the routes and their answers.
async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}

/// The API behind its guard.
fn router(api: Api, guard: Guard, status: Option<&StatusSettings>) -> Router {
    let public = status.map(|status| page::public_routes(api.clone(), status)).unwrap_or_default();
    let guarded = routes()
        .fallback(|| async { ApiError::not_found("there is nothing under this path") })
        .method_not_allowed_fallback(|| async { ApiError::method_not_allowed() })
        .with_state(api.clone())
        .merge(page::routes(api))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn(in_time))
        .layer(from_fn_with_state(Arc::new(guard), guard::admit));
    guarded.merge(public).layer(CompressionLayer::new())
}

/// Serves the API until the task is dropped.
///
/// # Errors
/// The token's reference leads nowhere.
pub(crate) fn serve(
    listener: TcpListener,
    settings: &ApiSettings,
    api: Api,
) -> Result<impl Future<Output = ()> + use<>, RunError> {
    let router = router(api, Guard::new(settings)?, settings.public.as_ref());
    Ok(async move {
        if let Err(error) = axum::serve(connections::Bounded::new(listener), router).await {
            tracing::error!(%error, "the API has ended; it is gone until dixmgr is started again: {error}");
        }
    })
}

/// An answer that does not come in time is an error that says so.
async fn in_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(PATIENCE, next.run(request)).await {
        Ok(response) => response,
        Err(_) => ApiError::unavailable("the answer takes too long").into_response(),
    }
}

#[cfg(test)]
mod tests;
