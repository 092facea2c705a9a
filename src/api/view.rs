//! The history as JSON: times RFC 3339, durations in seconds.

use dixmgr_activities::history::read::{self, Step};
use serde::Serialize;

/// All that is known of a service.
#[derive(Debug, Serialize)]
pub(crate) struct ServiceHistory {
    pub(crate) service: String,
    pub(crate) window_seconds: u64,
    /// Periods and the uptime go up to here.
    pub(crate) counted_until: Option<String>,
    pub(crate) uptime: Option<Uptime>,
    pub(crate) step_seconds: u64,
    pub(crate) periods: Vec<Period>,
    pub(crate) changes: Vec<Change>,
    pub(crate) incidents: Vec<Incident>,
    pub(crate) actions: Vec<Action>,
}

/// How long services were up.
#[derive(Debug, Serialize)]
pub(crate) struct Uptimes {
    pub(crate) window_seconds: u64,
    pub(crate) counted_until: Option<String>,
    pub(crate) services: Vec<Uptime>,
}

/// How long a service was up.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Uptime {
    pub(crate) service: String,
    pub(crate) up_seconds: f64,
    pub(crate) down_seconds: f64,
    pub(crate) unknown_seconds: f64,
    /// Of the time that was seen; absent when none was.
    pub(crate) percent: Option<f64>,
}

/// A minute, an hour or a day of a service.
#[derive(Debug, Serialize)]
pub(crate) struct Period {
    pub(crate) start: Option<String>,
    pub(crate) up_seconds: f64,
    pub(crate) down_seconds: f64,
    pub(crate) unknown_seconds: f64,
    pub(crate) cpu_percent_avg: Option<f64>,
    pub(crate) cpu_percent_max: Option<f64>,
    pub(crate) memory_bytes_avg: Option<f64>,
    pub(crate) memory_bytes_max: Option<f64>,
    pub(crate) response_seconds_avg: Option<f64>,
    pub(crate) response_seconds_max: Option<f64>,
}

/// A change of what a service was seen to be.
#[derive(Debug, Serialize)]
pub(crate) struct Change {
    pub(crate) id: i64,
    pub(crate) at: Option<String>,
    pub(crate) availability: String,
    pub(crate) state: String,
    pub(crate) phase: String,
    pub(crate) result: String,
    pub(crate) detail: String,
}

/// A page of incidents.
#[derive(Debug, Serialize)]
pub(crate) struct Incidents {
    pub(crate) incidents: Vec<Incident>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_before: Option<i64>,
}

/// A time in which a service was down.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Incident {
    pub(crate) id: i64,
    pub(crate) service: String,
    pub(crate) started_at: Option<String>,
    pub(crate) ended_at: Option<String>,
    /// Absent while it goes on.
    pub(crate) seconds: Option<f64>,
    /// Part of it in which dixmgr was away.
    pub(crate) unknown_seconds: f64,
    pub(crate) cause: String,
    pub(crate) detail: String,
}

/// A page of actions.
#[derive(Debug, Serialize)]
pub(crate) struct Actions {
    pub(crate) actions: Vec<Action>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_before: Option<i64>,
}

/// Something that dixmgr did.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Action {
    pub(crate) id: i64,
    pub(crate) service: String,
    pub(crate) at: Option<String>,
    pub(crate) verb: String,
    pub(crate) reason: String,
    pub(crate) outcome: String,
    pub(crate) detail: String,
}

/// A page of alerts of the past.
#[derive(Debug, Serialize)]
pub(crate) struct Alerts {
    pub(crate) alerts: Vec<Alert>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_before: Option<i64>,
}

/// An alert of the past, or one that fires.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Alert {
    pub(crate) id: i64,
    pub(crate) service: String,
    pub(crate) fingerprint: String,
    pub(crate) kind: String,
    pub(crate) severity: String,
    pub(crate) fired_at: Option<String>,
    pub(crate) resolved_at: Option<String>,
}

/// Milliseconds since the epoch as RFC 3339; absent for none.
pub(crate) fn time(millis: u64) -> Option<String> {
    super::services::rfc3339(std::time::Duration::from_millis(millis))
}

fn seconds(millis: u64) -> f64 {
    millis as f64 / 1000.0
}

impl From<read::Uptime> for Uptime {
    fn from(uptime: read::Uptime) -> Self {
        let percent = uptime.percent();
        let read::Uptime { service, up_ms, down_ms, unknown_ms } = uptime;
        let (up_seconds, down_seconds, unknown_seconds) = (seconds(up_ms), seconds(down_ms), seconds(unknown_ms));
        Self { service, up_seconds, down_seconds, unknown_seconds, percent }
    }
}

impl Period {
    pub(crate) fn of(period: &read::Period, step: Step) -> Self {
        Self {
            start: time(period.start),
            up_seconds: seconds(period.up_ms),
            down_seconds: seconds(period.down_ms),
            unknown_seconds: seconds(step.millis().saturating_sub(period.up_ms + period.down_ms)),
            cpu_percent_avg: period.cpu_avg,
            cpu_percent_max: period.cpu_max,
            memory_bytes_avg: period.memory_avg,
            memory_bytes_max: period.memory_max,
            response_seconds_avg: period.response_avg,
            response_seconds_max: period.response_max,
        }
    }
}

impl From<read::Change> for Change {
    fn from(change: read::Change) -> Self {
        let read::Change { id, at, availability, condition, phase, result, detail } = change;
        Self { id, at: time(at), availability, state: condition, phase, result, detail }
    }
}

impl From<read::Incident> for Incident {
    fn from(incident: read::Incident) -> Self {
        let read::Incident { id, service, started_at, ended_at, cause, detail, unknown_ms } = incident;
        Self {
            id,
            service,
            started_at: time(started_at),
            ended_at: ended_at.and_then(time),
            seconds: ended_at.map(|ended_at| seconds(ended_at.saturating_sub(started_at))),
            unknown_seconds: seconds(unknown_ms),
            cause,
            detail,
        }
    }
}

impl From<read::Action> for Action {
    fn from(action: read::Action) -> Self {
        let read::Action { id, service, at, verb, reason, outcome, detail } = action;
        Self { id, service, at: time(at), verb, reason, outcome, detail }
    }
}

impl From<read::PastAlert> for Alert {
    fn from(alert: read::PastAlert) -> Self {
        let read::PastAlert { id, service, fingerprint, kind, severity, fired_at, resolved_at } = alert;
        let (fired_at, resolved_at) = (time(fired_at), resolved_at.and_then(time));
        Self { id, service, fingerprint, kind, severity, fired_at, resolved_at }
    }
}
