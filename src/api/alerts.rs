//! `/api/v1/alerts`: the alerts, one with its whole story, taking care of one and silencing one. `/api/v2/alerts` and
//! `/api/v2/alerts/groups`: the same in Alertmanager's form. The status page asks and acts here too.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::{Path, RawQuery, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use dixmgr_alerting::channel::rfc3339;
use dixmgr_alerting::incident::{Incident, Note};
use dixmgr_alerting::silence::{SilenceError, Silences, check_matchers, matches};
use dixmgr_model::{AlertStatus, Matcher};
use dixmgr_workflows::SilenceRequest;
use serde::Deserialize;
use serde_json::{Value, json};
use temporalio_client::NamespacedClient as _;

use super::alertmanager::{Asked, Refusal, client};
use super::silences::desk;
use super::{Api, ApiError, Body};
use crate::incidents::{self, ID_PREFIX, IncidentError};
use crate::silences::now;

/// Longest name and comment of somebody who takes care of an alert, in characters.
const MAX_NOTE: usize = 500;
/// How long after its last news Alertmanager's clients take an alert to be over, in milliseconds: ours say themselves when they are.
const FRESH: u64 = 5 * 60_000;

/// The routes of this file.
pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/api/v1/alerts", get(list))
        .route("/api/v1/alerts/{fingerprint}", get(one))
        .route("/api/v1/alerts/{fingerprint}/ack", post(ack))
        .route("/api/v1/alerts/{fingerprint}/silence", post(mute))
        .route("/api/v2/alerts", get(list_v2))
        .route("/api/v2/alerts/groups", get(groups_v2))
}

/// Who takes care of an alert.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Taking {
    by: String,
    #[serde(default)]
    comment: String,
}

/// Who wants nobody to be told of an alert, and for how long.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Muting {
    by: String,
    #[serde(default)]
    comment: String,
    #[serde(with = "dixmgr_model::duration")]
    duration: Duration,
}

/// Alerts, and the silences that are for them.
pub(crate) struct Known {
    /// The worst first, then those that are there for longest.
    pub(crate) incidents: Vec<Incident>,
    silences: Silences,
    /// As of when, in milliseconds since the epoch.
    pub(crate) now: u64,
}

async fn list(State(api): State<Api>) -> Result<Json<Value>, ApiError> {
    let known = Known::ask(&api).await.map_err(ApiError::from)?;
    let alerts: Vec<Value> = known.incidents.iter().map(|incident| known.brief(incident)).collect();
    Ok(Json(json!({ "total": alerts.len(), "alerts": alerts })))
}

async fn one(State(api): State<Api>, Path(fingerprint): Path<String>) -> Result<Json<Value>, ApiError> {
    let client = client(&api).map_err(ApiError::from)?;
    let incident = incidents::find(&client, &workflow_id(&api, &fingerprint)?).await?;
    let group = incidents::group(&client, &incident).await;
    Ok(Json(incidents::story(&incident, group)))
}

async fn ack(
    State(api): State<Api>,
    Path(fingerprint): Path<String>,
    Body(Taking { by, comment }): Body<Taking>,
) -> Result<Json<Value>, ApiError> {
    acknowledge(&api, &fingerprint, Note { by, comment }).await?;
    Ok(Json(json!({ "done": "acknowledged", "alert": fingerprint })))
}

async fn mute(
    State(api): State<Api>,
    Path(fingerprint): Path<String>,
    Body(Muting { by, comment, duration }): Body<Muting>,
) -> Result<Json<Value>, ApiError> {
    silence(&api, &fingerprint, duration, Note { by, comment }).await?;
    let done = if duration.is_zero() { "not silenced" } else { "silenced" };
    Ok(Json(json!({ "done": done, "alert": fingerprint })))
}

/// Somebody takes care of an alert.
pub(crate) async fn acknowledge(api: &Api, fingerprint: &str, note: Note) -> Result<(), ApiError> {
    let (note, workflow_id) = (signed(&note)?, workflow_id(api, fingerprint)?);
    Ok(incidents::acknowledge(&client(api).map_err(ApiError::from)?, &workflow_id, note).await?)
}

/// Nobody is to be told for so long that an alert fires; no time ends that.
pub(crate) async fn silence(api: &Api, fingerprint: &str, duration: Duration, note: Note) -> Result<(), ApiError> {
    let (note, workflow_id) = (signed(&note)?, workflow_id(api, fingerprint)?);
    let request = SilenceRequest { duration, note };
    Ok(incidents::silence(&client(api).map_err(ApiError::from)?, &workflow_id, request).await?)
}

/// A note of somebody, as long as notes may be.
fn signed(note: &Note) -> Result<Note, ApiError> {
    if note.by.trim().is_empty() {
        return Err(ApiError::invalid("by says who does it"));
    }
    let cut = |text: &str| text.trim().chars().take(MAX_NOTE).collect();
    Ok(Note { by: cut(&note.by), comment: cut(&note.comment) })
}

async fn list_v2(State(api): State<Api>, RawQuery(query): RawQuery) -> Result<Json<Vec<Value>>, Refusal> {
    let wanted = Wanted::read(query.as_deref())?;
    let known = Known::ask(&api).await?;
    let fitting = known.incidents.iter().filter(|incident| wanted.wants(incident, &known));
    Ok(Json(fitting.map(|incident| known.form(incident)).collect()))
}

async fn groups_v2(State(api): State<Api>, RawQuery(query): RawQuery) -> Result<Json<Vec<Value>>, Refusal> {
    let wanted = Wanted::read(query.as_deref())?;
    let known = Known::ask(&api).await?;
    let mut groups: BTreeMap<(&str, &str), (&Incident, Vec<Value>)> = BTreeMap::new();
    for incident in known.incidents.iter().filter(|incident| wanted.wants(incident, &known)) {
        for channel in incident.channels() {
            let group = groups.entry((&incident.group.workflow_id, channel)).or_insert((incident, Vec::new()));
            group.1.push(known.form(incident));
        }
    }
    let form = |((_, channel), (first, alerts)): ((&str, &str), (&Incident, Vec<Value>))| json!({ "labels": first.group.labels, "receiver": { "name": channel }, "alerts": alerts });
    Ok(Json(groups.into_iter().map(form).collect()))
}

/// Id of an alert's workflow.
fn workflow_id(api: &Api, fingerprint: &str) -> Result<String, ApiError> {
    let hex = fingerprint.len() == 16 && fingerprint.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !hex {
        return Err(ApiError::invalid("a fingerprint is 16 hexadecimal digits"));
    }
    Ok(format!("{}{ID_PREFIX}{fingerprint}", api.alerting.id_prefix))
}

/// Which alerts are asked for.
struct Wanted {
    filters: Vec<Matcher>,
    receiver: Option<Matcher>,
    active: bool,
    silenced: bool,
    inhibited: bool,
}

impl Wanted {
    fn read(query: Option<&str>) -> Result<Self, Refusal> {
        let asked = Asked::read(query);
        Ok(Self {
            filters: asked.filters()?,
            receiver: asked.text("receiver").filter(|text| !text.is_empty()).map(receiver).transpose()?,
            active: asked.switch("active")?,
            silenced: asked.switch("silenced")?,
            inhibited: asked.switch("inhibited")?,
        })
    }

    fn wants(&self, incident: &Incident, known: &Known) -> bool {
        let (silenced, inhibited) = (!known.silenced_by(incident).is_empty(), incident.is_suppressed());
        let told = |matcher: &Matcher| {
            let named = |channel: &str| BTreeMap::from([(matcher.name.clone(), channel.to_owned())]);
            incident.channels().any(|channel| matches(std::slice::from_ref(matcher), &named(channel)))
        };
        incident.status == AlertStatus::Firing
            && matches(&self.filters, &incident.alert.labels)
            && self.receiver.as_ref().is_none_or(told)
            && (self.active || silenced || inhibited)
            && (self.silenced || !silenced)
            && (self.inhibited || !inhibited)
    }
}

/// An expression for the name of a channel.
fn receiver(text: &str) -> Result<Matcher, Refusal> {
    let matcher = Matcher { name: "receiver".to_owned(), value: text.to_owned(), is_regex: true, is_equal: true };
    // Which channels there are is no secret, so an expression for all of them is none to be refused.
    match check_matchers(std::slice::from_ref(&matcher)) {
        Ok(()) | Err(SilenceError::MatchesAll) => Ok(matcher),
        Err(error) => Err(Refusal::invalid(error.to_string())),
    }
}

impl Known {
    /// The alerts of this daemon, as they are now.
    async fn ask(api: &Api) -> Result<Self, Refusal> {
        let client = client(api)?;
        let prefix = format!("{}{ID_PREFIX}", api.alerting.id_prefix);
        let found = incidents::list(&client, &client.namespace(), |id| id.starts_with(&prefix)).await?;
        let incidents = found.into_iter().map(|(_, incident)| incident).collect();
        Ok(Self { incidents, silences: desk(api)?.list().await?.into(), now: now() })
    }

    /// Those of [`Known::ask`], for the status page, or why there are none to be had.
    pub(crate) async fn for_page(api: &Api) -> Result<Self, String> {
        Self::ask(api).await.map_err(Refusal::into_message)
    }

    /// How an alert is, in one word.
    pub(crate) fn state(&self, incident: &Incident) -> &'static str {
        match incidents::state(incident) {
            "firing" | "acknowledged" if !self.silenced_by(incident).is_empty() => "silenced",
            state => state,
        }
    }

    /// Ids of the silences that are for an alert now. One of its own has its fingerprint for an id.
    pub(crate) fn silenced_by(&self, incident: &Incident) -> Vec<String> {
        let own = incident.silenced.as_ref().filter(|silence| silence.until > self.now);
        let own = own.map(|_| incident.alert.fingerprint.clone());
        let by_matchers = self.silences.muting(&incident.alert.labels, self.now).map(|silence| silence.id.clone());
        own.into_iter().chain(by_matchers).collect()
    }

    /// An alert in our own form.
    fn brief(&self, incident: &Incident) -> Value {
        let silenced_by = self.silenced_by(incident);
        json!({
            "fingerprint": incident.alert.fingerprint,
            "state": self.state(incident),
            "severity": incident.alert.severity,
            "type": incident.alert.kind,
            "service": incident.alert.service,
            "rule": incident.alert.rule,
            "labels": incident.alert.labels,
            "annotations": incident.alert.annotations,
            "starts_at": rfc3339(incident.alert.starts_at),
            "ends_at": incident.ends_at.map(rfc3339),
            "acknowledged": incident.acknowledged,
            "silenced_by": silenced_by,
            "causes": incident.causes,
            "channels": incident.channels().collect::<Vec<_>>(),
        })
    }

    /// An alert in Alertmanager's form.
    fn form(&self, incident: &Incident) -> Value {
        let silenced_by = self.silenced_by(incident);
        let suppressed = !silenced_by.is_empty() || incident.is_suppressed();
        let updated_at = incident.ledger.entries.back().map_or(incident.alert.starts_at, |last| last.at);
        let receivers: Vec<Value> = incident.channels().map(|name| json!({ "name": name })).collect();
        json!({
            "fingerprint": incident.alert.fingerprint,
            "labels": incident.alert.labels,
            "annotations": incident.alert.annotations,
            "startsAt": rfc3339(incident.alert.starts_at),
            "endsAt": rfc3339(incident.ends_at.unwrap_or(self.now + FRESH)),
            "updatedAt": rfc3339(updated_at),
            "generatorURL": "",
            "receivers": receivers,
            "status": {
                "state": if suppressed { "suppressed" } else { "active" },
                "silencedBy": silenced_by,
                "inhibitedBy": incident.causes,
            },
        })
    }
}

impl From<IncidentError> for Refusal {
    fn from(error: IncidentError) -> Self {
        Self::unavailable(error.to_string())
    }
}

impl From<IncidentError> for ApiError {
    fn from(error: IncidentError) -> Self {
        match error {
            IncidentError::Unknown(_) => Self::not_found(error.to_string()),
            IncidentError::Away(_) => Self::unavailable(error.to_string()),
        }
    }
}

impl From<Refusal> for ApiError {
    /// Only what is not there yet is refused where our own form is asked for.
    fn from(refusal: Refusal) -> Self {
        Self::unavailable(refusal.into_message())
    }
}
