//! `/api/v2/silences` and `/api/v2/silence/{id}`: silences in Alertmanager's form.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, RawQuery, State};
use axum::routing::get;
use axum::{Json, Router};
use dixmgr_alerting::channel::rfc3339;
use dixmgr_alerting::silence::matches;
use dixmgr_model::{Matcher, Silence, SilenceState};
use dixmgr_workflows::SILENCES_ID;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Api;
use super::alertmanager::{Asked, Refusal, WrittenMatcher, client};
use crate::silences::{SilenceDesk, now};

/// The routes of this file.
pub(super) fn routes() -> Router<Api> {
    Router::new().route("/api/v2/silences", get(list).post(put)).route("/api/v2/silence/{id}", get(one).delete(expire))
}

/// A silence that somebody wants.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wanted {
    #[serde(default)]
    id: String,
    matchers: Vec<WrittenMatcher>,
    starts_at: String,
    ends_at: String,
    created_by: String,
    comment: String,
}

/// A silence as it is.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    id: String,
    status: Status,
    updated_at: String,
    matchers: Vec<WrittenMatcher>,
    starts_at: String,
    ends_at: String,
    created_by: String,
    comment: String,
}

#[derive(Debug, Serialize)]
struct Status {
    state: SilenceState,
}

async fn list(State(api): State<Api>, RawQuery(query): RawQuery) -> Result<Json<Vec<Shown>>, Refusal> {
    let filters = Asked::read(query.as_deref()).filters()?;
    let (mut found, now) = (desk(&api)?.list().await?, now());
    found.retain(|silence| matches(&filters, &labels(silence)));
    // Those in force first, the one that ends first before the others; what is over last, the newest first.
    found.sort_by_key(|silence| match silence.state(now) {
        SilenceState::Active => (0, silence.ends_at, Reverse(0)),
        SilenceState::Pending => (1, silence.starts_at, Reverse(0)),
        SilenceState::Expired => (2, 0, Reverse(silence.ends_at)),
    });
    Ok(Json(found.into_iter().map(|silence| Shown::of(silence, now)).collect()))
}

async fn put(State(api): State<Api>, body: Result<Json<Wanted>, JsonRejection>) -> Result<Json<Value>, Refusal> {
    let Json(wanted) = body.map_err(|error| Refusal::invalid(error.body_text()))?;
    let id = desk(&api)?.put(wanted.try_into()?).await?;
    Ok(Json(json!({ "silenceID": id })))
}

async fn one(State(api): State<Api>, Path(id): Path<String>) -> Result<Json<Shown>, Refusal> {
    Ok(Json(Shown::of(desk(&api)?.find(&id).await?, now())))
}

async fn expire(State(api): State<Api>, Path(id): Path<String>) -> Result<(), Refusal> {
    Ok(desk(&api)?.expire(&id).await?)
}

/// Where silences are asked for.
pub(super) fn desk(api: &Api) -> Result<SilenceDesk, Refusal> {
    Ok(SilenceDesk::new(&client(api)?, format!("{}{SILENCES_ID}", api.alerting.id_prefix)))
}

/// What filters look at: what a silence asks of which label.
fn labels(silence: &Silence) -> BTreeMap<String, String> {
    silence.matchers.iter().map(|Matcher { name, value, .. }| (name.clone(), value.clone())).collect()
}

impl Shown {
    fn of(silence: Silence, now: u64) -> Self {
        Self {
            status: Status { state: silence.state(now) },
            id: silence.id,
            updated_at: rfc3339(silence.updated_at),
            matchers: silence.matchers.into_iter().map(WrittenMatcher::from).collect(),
            starts_at: rfc3339(silence.starts_at),
            ends_at: rfc3339(silence.ends_at),
            created_by: silence.created_by,
            comment: silence.comment,
        }
    }
}

impl TryFrom<Wanted> for Silence {
    type Error = Refusal;

    fn try_from(wanted: Wanted) -> Result<Self, Refusal> {
        Ok(Self {
            id: wanted.id,
            matchers: wanted.matchers.into_iter().map(Matcher::from).collect(),
            starts_at: millis("startsAt", &wanted.starts_at)?,
            ends_at: millis("endsAt", &wanted.ends_at)?,
            created_by: wanted.created_by,
            comment: wanted.comment,
            updated_at: 0,
        })
    }
}

/// Milliseconds since the epoch. What lies before 1970 has begun, or is over, in any case.
fn millis(name: &str, text: &str) -> Result<u64, Refusal> {
    let time: Timestamp = text.parse().map_err(|error| Refusal::invalid(format!("{name} is no time: {error}")))?;
    Ok(u64::try_from(time.as_millisecond()).unwrap_or(0))
}
