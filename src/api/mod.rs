//! The HTTP API and the status page, on a port of its own (loopback unless a token guards it).
//!
//! [`router`] is where everything comes together: each file beside this one brings the routes of one subject, over the same
//! [`Api`]; [`guard`] stands before all of them, and every error has the one form of [`error`]. Nothing here decides about a
//! service: what is seen comes from the hub's board, what is done goes through workflows.

mod alertmanager;
mod alerts;
mod breakers;
mod config;
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
use dixmgr_activities::disk::Disk;
use dixmgr_activities::history::Reader;
use dixmgr_activities::in_force::InForce;
use dixmgr_activities::watch::board::Board;
use temporalio_client::Client;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tower_http::compression::CompressionLayer;

pub(crate) use self::alertmanager::Alerting;
pub(crate) use self::alerts::{Known as AlertsNow, acknowledge, silence};
pub(crate) use self::breakers::Breaker;
pub(crate) use self::error::ApiError;
pub(crate) use self::extract::{Body, Params};
pub(crate) use self::guard::Doorkeeper;
pub(crate) use self::history::{ask as ask_history, fitting, of_service, uptimes};
pub(crate) use self::services::{Service, describe, rfc3339};
pub(crate) use self::view::{Action, Alert as PastAlert, Incident, Uptime};
use crate::live::Live;
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
    /// The services that are kept, and what is done about alerts.
    pub(crate) in_force: watch::Receiver<Arc<InForce>>,
    /// Where the configuration is changed.
    pub(crate) live: Live,
    /// The client, once there is one.
    pub(crate) client: watch::Receiver<Option<Client>>,
    /// How services were; absent when no history is kept.
    pub(crate) history: Option<Reader>,
    /// How full the disk of dixmgr's data is, and was.
    pub(crate) disk: Disk,
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
        .merge(config::routes())
        .route("/api/v1/openapi.json", get(openapi))
}

/// What the API has, in its own words. A test holds it against the routes and their answers.
async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}

/// The API behind its guard.
fn router(api: Api, status: Option<&StatusSettings>) -> Router {
    let public = status.map(|status| page::public_routes(api.clone(), status)).unwrap_or_default();
    let door = api.live.doorkeeper();
    let guarded = routes()
        .fallback(|| async { ApiError::not_found("there is nothing under this path") })
        .method_not_allowed_fallback(|| async { ApiError::method_not_allowed() })
        .with_state(api.clone())
        .merge(page::routes(api))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn(in_time))
        .layer(from_fn_with_state(door, guard::admit));
    guarded.merge(public).layer(CompressionLayer::new())
}

/// Serves the API until the task is dropped.
pub(crate) fn serve(listener: TcpListener, settings: &ApiSettings, api: Api) -> impl Future<Output = ()> + use<> {
    let router = router(api, settings.public.as_ref());
    let service = router.into_make_service_with_connect_info::<connections::Peer>();
    async move {
        if let Err(error) = axum::serve(connections::Bounded::new(listener), service).await {
            tracing::error!(%error, "the API has ended; it is gone until dixmgr is started again: {error}");
        }
    }
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
