//! Asks the API for what `dixmgr top` shows, again and again, in a task of its own: keys are answered while it waits.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dixmgr_model::Condition;
use serde::Deserialize;
use tokio::sync::watch;

use crate::client::ApiClient;
use crate::workflow::WorkflowError;

/// Past events of a service that are shown.
const EVENTS: usize = 50;

/// A service.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) state: Condition,
    pub(super) since: Option<String>,
    pub(super) unit: Option<Unit>,
    pub(super) health: Option<Verdict>,
    pub(super) sync: Option<Verdict>,
    pub(super) cpu_percent: Option<f64>,
    pub(super) memory_bytes: Option<u64>,
    #[serde(default)]
    pub(super) restarts: u64,
    pub(super) response_time_seconds: Option<f64>,
    #[serde(default)]
    pub(super) needs: Vec<String>,
}

/// What runs it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Unit {
    pub(super) name: String,
    pub(super) phase: String,
    #[serde(default)]
    pub(super) result: String,
}

/// What a check says.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Verdict {
    #[serde(default)]
    pub(super) detail: String,
}

/// The newest that is known.
#[derive(Debug, Default)]
pub(super) struct News {
    pub(super) services: Vec<Row>,
    /// Of the service that is shown in depth.
    pub(super) depth: Option<Depth>,
    /// Why it is not as of now.
    pub(super) trouble: Option<String>,
}

/// A service in depth.
#[derive(Debug, Default)]
pub(super) struct Depth {
    pub(super) service: String,
    /// Its alerts that fire, one line each.
    pub(super) alerts: Vec<String>,
    /// What happened, the newest first: when, and what.
    pub(super) events: Vec<(String, String)>,
}

#[derive(Deserialize)]
struct Alerts {
    alerts: Vec<Alert>,
}

#[derive(Deserialize)]
struct Alert {
    service: String,
    severity: String,
    state: String,
    r#type: String,
    #[serde(default)]
    annotations: std::collections::BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct History {
    changes: Vec<Change>,
    actions: Vec<Action>,
}

#[derive(Deserialize)]
struct Change {
    at: Option<String>,
    state: String,
    phase: String,
    #[serde(default)]
    result: String,
    #[serde(default)]
    detail: String,
}

#[derive(Deserialize)]
struct Action {
    at: Option<String>,
    verb: String,
    reason: String,
    outcome: String,
}

/// All services, now.
///
/// # Errors
/// The API does not answer, or refuses.
pub(super) async fn services(api: &ApiClient) -> Result<Vec<Row>, WorkflowError> {
    api.services(None).await
}

/// Asks until nobody listens. `wanted` is the service that is shown in depth.
pub(super) async fn run(
    api: ApiClient,
    every: Duration,
    mut wanted: watch::Receiver<Option<String>>,
    news: watch::Sender<Arc<News>>,
) {
    while !news.is_closed() {
        let begun = Instant::now();
        let service = wanted.borrow_and_update().clone();
        let depth = async {
            match service {
                Some(service) => Some(depth(&api, service).await),
                None => None,
            }
        };
        let (services, depth) = tokio::join!(services(&api), depth);
        let newer = match services {
            Ok(services) => News { services, depth, trouble: None },
            Err(error) => {
                let known = news.borrow().services.clone();
                News { services: known, depth, trouble: Some(error.to_string()) }
            }
        };
        news.send_replace(Arc::new(newer));
        // What takes long to be asked is asked less often.
        let pause = every.max(begun.elapsed());
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            changed = wanted.changed() => if changed.is_err() { return },
            () = news.closed() => return,
        }
    }
}

/// What is there of a service; what is not (no history is kept, alerts cannot be asked for) says so in its place.
async fn depth(api: &ApiClient, service: String) -> Depth {
    let path = ["api", "v1", "services", &service, "history"];
    let (history, alerts) = tokio::join!(
        api.get::<History>(&path, &[("window", "24h")]),
        api.get::<Alerts>(&["api", "v1", "alerts"], &[]),
    );
    let alerts = match alerts {
        Ok(all) => {
            all.alerts.iter().filter(|alert| alert.service == service && alert.state != "resolved").map(line).collect()
        }
        Err(error) => vec![error.to_string()],
    };
    let events = history.map_or_else(|error| vec![(String::new(), error.to_string())], events);
    Depth { service, alerts, events }
}

fn line(alert: &Alert) -> String {
    let summary = alert.annotations.get("summary").filter(|text| !text.is_empty());
    format!("{} ({}): {}", alert.severity, alert.state, summary.unwrap_or(&alert.r#type))
}

fn events(history: History) -> Vec<(String, String)> {
    let changes = history.changes.into_iter().map(|Change { at, state, phase, result, detail }| {
        let why = [result, detail].into_iter().filter(|text| !matches!(text.as_str(), "" | "success"));
        let why: Vec<String> = why.collect();
        let colon = if why.is_empty() { "" } else { ": " };
        (at.unwrap_or_default(), format!("{state} (unit {phase}){colon}{}", why.join(", ")))
    });
    let actions = history.actions.into_iter().map(|action| {
        let why = action.reason.replace('_', " ");
        (action.at.unwrap_or_default(), format!("{}: {}, because {why}", action.verb, action.outcome.replace('_', " ")))
    });
    let mut events: Vec<(String, String)> = changes.chain(actions).collect();
    // RFC 3339 in one zone and of one length is ordered as text.
    events.sort_by(|one, other| other.0.cmp(&one.0));
    events.truncate(EVENTS);
    events
}
