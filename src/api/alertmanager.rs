//! Alertmanager's own API, version 2 (its `api/v2/openapi.yaml`), so that `amtool` and whatever else speaks it works with
//! dixmgr. Here is what its parts share: errors, filters, and what it says of itself. A group's receivers are our channels.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use dixmgr_alerting::channel::rfc3339;
use dixmgr_alerting::silence::text;
use dixmgr_model::Matcher;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use temporalio_client::Client;

use super::Api;
use crate::silences::DeskError;

/// Most filters of one request.
const MAX_FILTERS: usize = 16;

/// What the API knows of alerting.
#[derive(Debug, Clone, Default)]
pub(crate) struct Alerting {
    /// Before the ids of workflows: dry runs keep to themselves.
    pub(crate) id_prefix: String,
    /// When this dixmgr was started, in milliseconds since the epoch.
    pub(crate) started: u64,
}

/// The routes of this file.
pub(super) fn routes() -> Router<Api> {
    Router::new().route("/api/v2/status", get(status)).route("/api/v2/receivers", get(receivers))
}

/// Why a request was not answered as it was asked; its body is a JSON text, as Alertmanager's clients read it.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    message: String,
}

impl Refusal {
    /// 400: the request is wrong.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, message: message.into() }
    }

    /// What is said about it.
    pub(super) fn into_message(self) -> String {
        self.message
    }

    /// 503: not now.
    pub(super) fn unavailable(message: impl Into<String>) -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE, message: message.into() }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(self.message)).into_response()
    }
}

impl From<DeskError> for Refusal {
    fn from(error: DeskError) -> Self {
        let status = match error {
            DeskError::Wrong(_) => StatusCode::BAD_REQUEST,
            DeskError::Unknown(_) => StatusCode::NOT_FOUND,
            // What Alertmanager answers; its clients know no other.
            DeskError::Expired(_) => StatusCode::INTERNAL_SERVER_ERROR,
            DeskError::Nobody | DeskError::Away(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self { status, message: error.to_string() }
    }
}

/// The client, once durable execution is there.
pub(super) fn client(api: &Api) -> Result<Client, Refusal> {
    let client = api.client.borrow().clone();
    client.ok_or_else(|| Refusal::unavailable("durable execution is not there yet"))
}

/// A matcher, as Alertmanager writes it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WrittenMatcher {
    name: String,
    value: String,
    is_regex: bool,
    #[serde(default = "fits")]
    is_equal: bool,
}

/// Clients of old know nothing else.
fn fits() -> bool {
    true
}

impl From<Matcher> for WrittenMatcher {
    fn from(Matcher { name, value, is_regex, is_equal }: Matcher) -> Self {
        Self { name, value, is_regex, is_equal }
    }
}

impl From<WrittenMatcher> for Matcher {
    fn from(WrittenMatcher { name, value, is_regex, is_equal }: WrittenMatcher) -> Self {
        Self { name, value, is_regex, is_equal }
    }
}

/// The query of a URL, in which a key may stand more than once.
pub(super) struct Asked {
    pairs: Vec<(String, String)>,
}

impl Asked {
    /// Reads a query.
    pub(super) fn read(query: Option<&str>) -> Self {
        let pairs = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        Self { pairs: pairs.into_owned().collect() }
    }

    /// The matchers `filter=…`.
    pub(super) fn filters(&self) -> Result<Vec<Matcher>, Refusal> {
        let written = self.pairs.iter().filter(|(name, _)| name == "filter");
        let filters = written.take(MAX_FILTERS + 1).map(|(_, text)| text::matcher(text));
        let filters: Vec<Matcher> =
            filters.collect::<Result<_, _>>().map_err(|error| Refusal::invalid(error.to_string()))?;
        if filters.len() > MAX_FILTERS {
            return Err(Refusal::invalid(format!("there may be {MAX_FILTERS} filters")));
        }
        Ok(filters)
    }

    /// A switch, which is on unless it says otherwise.
    pub(super) fn switch(&self, name: &str) -> Result<bool, Refusal> {
        match self.text(name) {
            None | Some("true") => Ok(true),
            Some("false") => Ok(false),
            Some(_) => Err(Refusal::invalid(format!("{name} is true or false"))),
        }
    }

    /// A text.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

async fn status(State(api): State<Api>) -> Json<Value> {
    let version = env!("CARGO_PKG_VERSION");
    let unknown = "";
    Json(json!({
        "cluster": { "status": "disabled" },
        "versionInfo": {
            "version": version, "revision": unknown, "branch": unknown, "buildUser": unknown, "buildDate": unknown,
            "goVersion": unknown,
        },
        // The configuration is not for everyone: it says where messages go.
        "config": { "original": "" },
        "uptime": rfc3339(api.alerting.started),
    }))
}

async fn receivers(State(api): State<Api>) -> Json<Vec<Value>> {
    Json(api.in_force.borrow().notifier.channels().into_iter().map(|name| json!({ "name": name })).collect())
}
