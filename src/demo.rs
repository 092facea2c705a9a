//! A web server small enough for the demonstration: it answers `/healthz` and nothing else.

use std::net::SocketAddr;

use axum::Router;
use axum::routing::get;
use tokio::net::TcpListener;

/// Serves until the process ends.
///
/// # Errors
/// The address cannot be listened on.
pub async fn serve(listen: SocketAddr) -> std::io::Result<()> {
    let listener = TcpListener::bind(listen).await?;
    tracing::info!(%listen, "serving /healthz");
    let page = || async { axum::Json(serde_json::json!({ "status": { "healthy": true } })) };
    axum::serve(listener, Router::new().route("/healthz", get(page))).await
}
