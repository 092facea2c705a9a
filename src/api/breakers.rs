//! `/api/v1/circuit-breakers`: which outside targets are left alone for a while, and closing a breaker by hand.

use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use dixmgr_activities::breakers::Shown;
use serde::Serialize;

use super::{Api, ApiError, rfc3339};

/// The routes of this file.
pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/api/v1/circuit-breakers", get(list))
        .route("/api/v1/circuit-breakers/{target}/reset", post(reset))
}

/// All breakers.
#[derive(Debug, Serialize)]
struct Breakers {
    breakers: Vec<Breaker>,
}

/// The breaker of one target.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Breaker {
    pub(crate) target: String,
    pub(crate) state: &'static str,
    /// RFC 3339.
    pub(crate) since: Option<String>,
    /// In a row, while it is closed.
    failures: u32,
    /// How often.
    opened: u64,
}

async fn list(State(api): State<Api>) -> Json<Breakers> {
    Json(Breakers { breakers: api.breakers.list().into_iter().map(Breaker::from).collect() })
}

async fn reset(State(api): State<Api>, Path(target): Path<String>) -> Result<Json<Breaker>, ApiError> {
    let closed = api.breakers.reset(&target);
    closed.map(|breaker| Json(breaker.into())).ok_or_else(|| ApiError::not_found("no circuit breaker has this target"))
}

impl From<Shown> for Breaker {
    fn from(shown: Shown) -> Self {
        Self {
            target: shown.target.to_string(),
            state: shown.state.name(),
            since: rfc3339(shown.since),
            failures: shown.failures,
            opened: shown.opened,
        }
    }
}
