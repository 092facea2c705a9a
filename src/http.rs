//! `/metrics`, `/healthz`, `/readyz`. Bound before anything is started, so that a taken port costs nothing.
//! An engine that runs alone has the first two.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use dixmgr_activities::manager::UnitManager;
use dixmgr_activities::metrics::Metrics;
use dixmgr_engine::Engine;
use temporalio_client::Client;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::error::RunError;
use crate::exposition::{self, Exposition};
use crate::health::Progress;
use crate::home;

/// Longest time that a health question may take; a probe that waits longer has given up.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often an address that is in use is tried before that is told, and the time between.
const TAKES: u32 = 5;
const BETWEEN_TAKES: Duration = Duration::from_millis(200);

/// Said when a health question gets no answer.
const SILENT: &str = "durable execution does not answer";

/// What `/metrics` is made from.
#[derive(Clone)]
pub(crate) struct Pages {
    pub(crate) metrics: Metrics,
    /// The engine of this process, whose gauges are brought up to date for each page.
    pub(crate) engine: Option<Engine>,
}

/// What the pages of a daemon are made from.
#[derive(Clone)]
pub(crate) struct Surfaces {
    pub(crate) pages: Pages,
    pub(crate) progress: Progress,
    pub(crate) manager: Arc<dyn UnitManager>,
    /// The client, once there is one.
    pub(crate) client: watch::Receiver<Option<Client>>,
}

/// Takes the port.
pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener, RunError> {
    take(address).await.map_err(|detail| RunError::Listen { address, detail })
}

/// Takes the API's port.
pub(crate) async fn bind_api(address: SocketAddr) -> Result<TcpListener, RunError> {
    take(address).await.map_err(|detail| RunError::ListenApi { address, detail })
}

/// Listens on an address. Who holds it may be on the way out, as a predecessor that was killed: it is given a moment, as nginx
/// gives it (`ngx_open_listening_sockets`).
async fn take(address: SocketAddr) -> io::Result<TcpListener> {
    for _ in 0..TAKES {
        match TcpListener::bind(address).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => tokio::time::sleep(BETWEEN_TAKES).await,
            taken => return taken,
        }
    }
    TcpListener::bind(address).await
}

/// Serves a daemon's pages until the task is dropped.
pub(crate) async fn serve(listener: TcpListener, surfaces: Surfaces) {
    let health =
        Router::new().route("/healthz", get(healthz)).route("/readyz", get(readyz)).with_state(surfaces.clone());
    run(listener, health.merge(metrics_page(surfaces.pages))).await;
}

/// Serves the pages of an engine that runs alone until the task is dropped.
pub(crate) async fn serve_engine(listener: TcpListener, pages: Pages) {
    let health = Router::new().route("/healthz", get(engine_healthz)).with_state(pages.clone());
    run(listener, health.merge(metrics_page(pages))).await;
}

fn metrics_page(pages: Pages) -> Router {
    Router::new().route("/metrics", get(metrics)).with_state(pages)
}

async fn run(listener: TcpListener, router: Router) {
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!(%error, "the HTTP surface has ended; /metrics is gone until dixmgr is started again: {error}");
    }
}

async fn metrics(State(pages): State<Pages>, request: HeaderMap) -> Response {
    if let Err(error) = pages.measure().await {
        // The page is worth having without the engine's gauges, more than ever when the engine does not answer.
        tracing::debug!(%error, "the engine's gauges are as they were");
    }
    let (format, compressed) = (exposition::format(&request), exposition::wants_gzip(&request));
    let begun = tokio::task::spawn_blocking(move || Exposition::begin(&pages.metrics, format, compressed)).await;
    let page = match begun {
        Ok(Ok(page)) => Body::from_stream(page.stream()),
        Ok(Err(error)) => return failed(&error),
        Err(error) => return failed(&error),
    };
    let encoding = compressed.then_some([(header::CONTENT_ENCODING, "gzip")]);
    (exposition::headers(format), encoding, page).into_response()
}

fn failed(error: &dyn std::error::Error) -> Response {
    (StatusCode::INTERNAL_SERVER_ERROR, format!("the page was not written: {error}\n")).into_response()
}

impl Pages {
    /// Brings the engine's gauges up to date, where the engine is in this process.
    async fn measure(&self) -> Result<(), String> {
        let Some(engine) = &self.engine else { return Ok(()) };
        match tokio::time::timeout(PATIENCE, engine.measure()).await {
            Ok(answer) => answer.map_err(|status| status.message().to_owned()),
            Err(_) => Err(SILENT.to_owned()),
        }
    }
}

async fn engine_healthz(State(pages): State<Pages>) -> Response {
    match pages.measure().await {
        Ok(()) => "ok\n".into_response(),
        Err(detail) => unavailable(&[detail]),
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
        Err(_) => Err(SILENT.to_owned()),
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
