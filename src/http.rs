//! `/metrics`, `/healthz`, `/readyz`. Bound before anything is started, so that a taken port costs nothing.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use dixmgr_activities::manager::UnitManager;
use dixmgr_activities::metrics::Metrics;
use temporalio_client::Client;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::error::RunError;
use crate::health::Progress;
use crate::home;

/// Longest time that a health question may take; a probe that waits longer has given up.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the pages are made from.
#[derive(Clone)]
pub(crate) struct Surfaces {
    pub(crate) metrics: Metrics,
    pub(crate) progress: Progress,
    pub(crate) manager: Arc<dyn UnitManager>,
    /// The client, once there is one.
    pub(crate) client: watch::Receiver<Option<Client>>,
}

/// Takes the port.
pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener, RunError> {
    TcpListener::bind(address).await.map_err(|detail| RunError::Listen { address, detail })
}

/// Serves until the task is dropped.
pub(crate) async fn serve(listener: TcpListener, surfaces: Surfaces) {
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .with_state(surfaces);
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!(%error, "the HTTP surface has ended; /metrics is gone until dixmgr is started again: {error}");
    }
}

async fn metrics(State(surfaces): State<Surfaces>) -> Response {
    match surfaces.metrics.encode() {
        Ok(page) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], page).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

/// Whether the process is alive and durable execution answers.
async fn healthz(State(surfaces): State<Surfaces>) -> Response {
    match engine_answers(&surfaces).await {
        Ok(()) => "ok\n".into_response(),
        Err(detail) => unavailable(&[detail]),
    }
}

/// Whether services are being kept: everything of `/healthz`, the plan applied, the worker polling, the units reachable.
async fn readyz(State(surfaces): State<Surfaces>) -> Response {
    let mut missing: Vec<String> = surfaces.progress.missing().into_iter().map(str::to_owned).collect();
    let (engine, units) = tokio::join!(engine_answers(&surfaces), units_answer(&surfaces));
    missing.extend(engine.err());
    missing.extend(units.err());
    if missing.is_empty() { "ready\n".into_response() } else { unavailable(&missing) }
}

async fn engine_answers(surfaces: &Surfaces) -> Result<(), String> {
    let Some(client) = surfaces.client.borrow().clone() else { return Err("not connected yet".to_owned()) };
    match tokio::time::timeout(PATIENCE, home::ping(&client)).await {
        Ok(answer) => answer,
        Err(_) => Err("durable execution does not answer".to_owned()),
    }
}

async fn units_answer(surfaces: &Surfaces) -> Result<(), String> {
    match tokio::time::timeout(PATIENCE, surfaces.manager.statuses(&[])).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("the unit manager does not answer".to_owned()),
    }
}

fn unavailable(reasons: &[String]) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, reasons.join("\n") + "\n").into_response()
}
