//! `/config`: the configuration in force, and changing it. Whatever changes it needs the token, on loopback too.

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use serde::{Deserialize, Serialize};

use super::guard::Caller;
use super::{Api, ApiError, Params};
use crate::config::MAX_BYTES;
use crate::live::{Author, Change, Entry, Refused, Request, Shown, Wanted};
use crate::settings::Settings;

/// Changes in one answer unless another number is asked for, and the most that may be.
const LIMIT: usize = 50;
const MAX_LIMIT: usize = 500;

/// What TOML is called.
const TOML: &str = "application/toml";

/// The routes of this file.
pub(super) fn routes() -> Router<Api> {
    let room = DefaultBodyLimit::max(usize::try_from(MAX_BYTES).unwrap_or(usize::MAX));
    Router::new()
        .route("/config", get(show))
        .route("/config/history", get(history))
        .route("/config/update", post(update).layer(room))
        .route("/config/reload", post(reload))
        .route("/config/rollback", post(rollback))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    format: Option<Format>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Format {
    Json,
    Toml,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct How {
    #[serde(default)]
    dry_run: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Few {
    limit: Option<usize>,
}

/// Which revision is to be gone back to; the one before when none is named.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Back {
    revision: Option<u64>,
}

/// The configuration in force.
#[derive(Debug, Serialize)]
struct Current {
    revision: u64,
    since: String,
    author: Author,
    file: String,
    /// What only a restart takes up.
    needs_restart: Vec<String>,
    /// What dixmgr runs with since its start, flags included.
    running: Running,
    /// The document, secrets masked.
    configuration: serde_json::Value,
}

#[derive(Debug, Serialize)]
struct Running {
    mode: dixmgr_model::Mode,
    #[serde(skip_serializing_if = "Option::is_none")]
    temporal_host: Option<String>,
    temporal_namespace: String,
    task_queue: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    metrics_listen: Option<String>,
    metrics_namespace: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    api_listen: Option<String>,
    health_history: bool,
    alerts: bool,
}

/// What came of a change.
#[derive(Debug, Serialize)]
struct Changed {
    revision: u64,
    applied: bool,
    dry_run: bool,
    summary: String,
    changes: Vec<String>,
    needs_restart: Vec<String>,
}

#[derive(Debug, Serialize)]
struct History {
    changes: Vec<Past>,
}

/// A change that was, or was to be.
#[derive(Debug, Serialize)]
struct Past {
    #[serde(flatten)]
    entry: Entry,
    /// Whether one can go back to it.
    kept: bool,
}

async fn show(State(api): State<Api>, Params(form): Params<Form>, headers: HeaderMap) -> Result<Response, ApiError> {
    let shown = blocking(move || api.live.show()).await?.map_err(ApiError::unavailable)?;
    let accepted = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let wants_toml = || accepted.is_some_and(|accept| accept.contains("toml"));
    let tag = tag(shown.revision);
    if form.format.map_or_else(wants_toml, |format| format == Format::Toml) {
        let text = toml::to_string(&shown.document).map_err(|error| ApiError::unavailable(error.to_string()))?;
        return Ok(([(header::CONTENT_TYPE, HeaderValue::from_static(TOML)), tag], text).into_response());
    }
    Ok(([tag], Json(Current::of(shown)?)).into_response())
}

async fn history(State(api): State<Api>, Params(few): Params<Few>) -> Result<Json<History>, ApiError> {
    let limit = few.limit.unwrap_or(LIMIT);
    if limit == 0 || limit > MAX_LIMIT {
        return Err(ApiError::invalid(format!("limit is 1 to {MAX_LIMIT}")));
    }
    let changes = blocking(move || api.live.changes()).await?;
    let changes = changes.into_iter().take(limit).map(|(entry, kept)| Past { entry, kept });
    Ok(Json(History { changes: changes.collect() }))
}

async fn update(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Params(how): Params<How>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    let author = author(&caller)?;
    change(api, author, wanted(&headers, &body)?, &headers, how.dry_run).await
}

async fn reload(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Params(how): Params<How>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    change(api, author(&caller)?, Wanted::File, &headers, how.dry_run).await
}

async fn rollback(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Params(how): Params<How>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    let author = author(&caller)?;
    let back = if body.is_empty() { Ok(Back::default()) } else { serde_json::from_slice(&body) };
    let back = back.map_err(|error| ApiError::invalid(format!("write {{\"revision\": 7}} or nothing: {error}")))?;
    change(api, author, Wanted::Revision(back.revision), &headers, how.dry_run).await
}

async fn change(
    api: Api,
    author: Author,
    wanted: Wanted,
    headers: &HeaderMap,
    dry_run: bool,
) -> Result<Response, ApiError> {
    let request = Request { author, wanted, if_revision: if_match(headers)?, dry_run };
    let Change { revision, applied, summary, changes, needs_restart } =
        blocking(move || api.live.change(request)).await?.map_err(ApiError::from)?;
    let changed = Changed { revision, applied, dry_run, summary, changes, needs_restart };
    Ok(([tag(revision)], Json(changed)).into_response())
}

/// Who changes the configuration: whoever has the token.
fn author(caller: &Caller) -> Result<Author, ApiError> {
    match &caller.token {
        Some(token) => Ok(Author { name: format!("token {token}"), address: caller.address.clone() }),
        None if caller.guarded => Err(ApiError::unauthenticated()),
        None => Err(ApiError::forbidden(
            "changing the configuration needs a token, and none is configured: write token = \"file:/path\" in [api] and reload with SIGHUP",
        )),
    }
}

/// A TOML document, or a JSON merge patch.
fn wanted(headers: &HeaderMap, body: &[u8]) -> Result<Wanted, ApiError> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    match kind.split(';').next().unwrap_or_default().trim() {
        TOML => String::from_utf8(body.to_vec())
            .map(Wanted::Text)
            .map_err(|_| ApiError::invalid("the document is not UTF-8")),
        "application/json" | "application/merge-patch+json" => serde_json::from_slice(body)
            .map(Wanted::Patch)
            .map_err(|error| ApiError::invalid(format!("the patch is not JSON: {error}"))),
        _ => Err(ApiError::unreadable(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            format!("send {TOML} (a whole document) or application/merge-patch+json (what is to be otherwise)"),
        )),
    }
}

/// The revision that the client has seen.
fn if_match(headers: &HeaderMap) -> Result<Option<u64>, ApiError> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let number = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).and_then(|text| text.parse().ok());
    number.map(Some).ok_or_else(|| ApiError::invalid("If-Match is one revision, such as \"7\", with its quotes"))
}

fn tag(revision: u64) -> (header::HeaderName, HeaderValue) {
    // Digits and quotes are always a value.
    (header::ETAG, HeaderValue::try_from(format!("\"{revision}\"")).unwrap_or(HeaderValue::from_static("\"\"")))
}

/// What waits for disks waits on a thread of its own.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, ApiError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| ApiError::unavailable("the change was not carried out"))
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        let message = refused.to_string();
        match refused {
            Refused::Faults(_) | Refused::Unusable(_) | Refused::Patch(_) => Self::invalid(message),
            Refused::Moved { .. } => Self::precondition_failed(message),
            Refused::Unread { .. } | Refused::NothingBefore(_) => Self::conflict(message),
            Refused::NotKept(_) => Self::not_found(message),
            Refused::NotWritten { .. } => Self::unavailable(message),
        }
    }
}

impl Current {
    fn of(shown: Shown) -> Result<Self, ApiError> {
        let Shown { revision, since, author, file, needs_restart, document, running } = shown;
        let configuration = serde_json::to_value(document).map_err(|error| ApiError::unavailable(error.to_string()))?;
        let (file, running) = (file.display().to_string(), Running::of(&running));
        Ok(Self { revision, since, author, file, needs_restart, running, configuration })
    }
}

impl Running {
    fn of(settings: &Settings) -> Self {
        Self {
            mode: settings.mode,
            temporal_host: settings.temporal_host.clone(),
            temporal_namespace: settings.namespace.clone(),
            task_queue: settings.task_queue.clone(),
            metrics_listen: settings.metrics.map(|address| address.to_string()),
            metrics_namespace: settings.metrics_namespace.clone(),
            api_listen: settings.api.as_ref().map(|api| api.listen.to_string()),
            health_history: settings.history.is_some(),
            alerts: settings.alerts.enabled,
        }
    }
}
