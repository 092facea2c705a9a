//! `dixmgr history` and `dixmgr uptime`: the health history as text or JSON. The file is only read, also while a dixmgr writes it.

use std::time::Duration;

use dixmgr_activities::history::read::Query;

use crate::api::{Incident, Uptime, fitting, of_service, uptimes};
use crate::cli::{HistoryArgs, HistoryPlace, UptimeArgs};
use crate::data_dir::DataDir;
use crate::settings::HISTORY;
use crate::workflow::WorkflowError;
use crate::workflow::output::Output;
use crate::workflow::{table, text};

/// Answers `dixmgr history`.
///
/// # Errors
/// The history cannot be read, or does not know the service.
pub fn history(args: &HistoryArgs) -> Result<(), WorkflowError> {
    let query = open(&args.place)?;
    let failed = |error: dixmgr_activities::history::HistoryError| WorkflowError::Failed(error.to_string());
    let found = of_service(&query, &args.service, args.since, fitting(args.since)).map_err(failed)?;
    let Some(found) = found else {
        return Err(WorkflowError::Wrong(format!("the history knows no service called {:?}", args.service)));
    };
    let mut out = Output::new(args.place.json);
    if out.is_json() {
        out.value(&serde_json::to_value(&found).map_err(|error| WorkflowError::Failed(error.to_string()))?)?;
        return out.flush();
    }
    if let Some(uptime) = &found.uptime {
        out.line(&format!("{}: {}", found.service, sentence(uptime)))?;
    }
    section(&mut out, "INCIDENTS", &found.incidents, |incident| [when(incident.started_at.as_ref()), story(incident)])?;
    section(&mut out, "ACTIONS", &found.actions, |action| {
        let why = if action.detail.is_empty() { String::new() } else { format!(" ({})", action.detail) };
        [when(action.at.as_ref()), format!("{} for {}: {}{why}", action.verb, action.reason, action.outcome)]
    })?;
    section(&mut out, "CHANGES", &found.changes, |change| {
        let words = [change.state.as_str(), change.phase.as_str(), change.result.as_str(), change.detail.as_str()];
        let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
        [when(change.at.as_ref()), words.join(", ")]
    })?;
    out.flush()
}

/// Answers `dixmgr uptime`.
///
/// # Errors
/// The history cannot be read.
pub fn uptime(args: &UptimeArgs) -> Result<(), WorkflowError> {
    let found = uptimes(&open(&args.place)?, args.window).map_err(|error| WorkflowError::Failed(error.to_string()))?;
    let mut out = Output::new(args.place.json);
    if out.is_json() {
        out.value(&serde_json::to_value(&found).map_err(|error| WorkflowError::Failed(error.to_string()))?)?;
        return out.flush();
    }
    let head = [("SERVICE", true), ("UPTIME", false), ("UP", false), ("DOWN", false), ("UNKNOWN", false)];
    let rows: Vec<[String; 5]> = found
        .services
        .iter()
        .map(|one| {
            let [up, down, unknown] = [one.up_seconds, one.down_seconds, one.unknown_seconds].map(length);
            [one.service.clone(), percent(one.percent), up, down, unknown]
        })
        .collect();
    for line in table::lines(head, &rows, out.width()) {
        out.line(&line)?;
    }
    out.flush()
}

fn open(place: &HistoryPlace) -> Result<Query, WorkflowError> {
    let path = place.health_history_db.clone();
    let path = path.unwrap_or_else(|| DataDir::existing(place.data_dir.as_deref()).join(HISTORY));
    Query::open(&path).map_err(|error| WorkflowError::Failed(error.to_string()))
}

fn section<T>(
    out: &mut Output,
    name: &'static str,
    rows: &[T],
    row: impl Fn(&T) -> [String; 2],
) -> Result<(), WorkflowError> {
    if rows.is_empty() {
        return Ok(());
    }
    out.line("")?;
    let rows: Vec<[String; 2]> = rows.iter().map(row).collect();
    for line in table::lines([(name, false), ("", true)], &rows, out.width()) {
        out.line(&line)?;
    }
    Ok(())
}

fn sentence(uptime: &Uptime) -> String {
    let [up, down, unknown] = [uptime.up_seconds, uptime.down_seconds, uptime.unknown_seconds].map(length);
    format!("up {} of the time that was seen ({up} up, {down} down, {unknown} not seen)", percent(uptime.percent))
}

fn story(incident: &Incident) -> String {
    let length = incident.seconds.map_or_else(|| "goes on".to_owned(), length);
    let why = if incident.detail.is_empty() { String::new() } else { format!(": {}", incident.detail) };
    let unseen = match incident.unknown_seconds {
        0.0 => String::new(),
        seconds => format!(" ({} of it not seen)", self::length(seconds)),
    };
    format!("{length}, {}{why}{unseen}", incident.cause)
}

/// Times to the second, as people write them.
fn when(time: Option<&String>) -> String {
    time.map(|time| text::time(&serde_json::Value::from(time.as_str()))).unwrap_or_default()
}

fn length(seconds: f64) -> String {
    let length = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    let rounded = if length.as_secs() > 0 { Duration::from_secs(length.as_secs()) } else { length };
    dixmgr_model::duration::format(rounded)
}

/// Three decimals, and never 100 when there was any downtime.
pub(crate) fn percent(percent: Option<f64>) -> String {
    let Some(percent) = percent else { return "not seen".to_owned() };
    let floor = (percent * 1000.0).floor() / 1000.0;
    format!("{floor:.3} %")
}
