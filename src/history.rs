//! `dixmgr history` and `dixmgr uptime`: the health history as text or JSON, which is only read, also while a dixmgr writes it;
//! and `dixmgr import-history`, from a file into a database.

use std::path::Path;
use std::time::Duration;

use dixmgr_activities::history::read::Query;
use dixmgr_activities::history::{self, HistoryError, Place};
use serde::Serialize;
use serde_json::Value;

use crate::api::{Incident, Uptime, fitting, of_service, uptimes};
use crate::cli::{HistoryArgs, HistoryPlace, ImportHistoryArgs, StoreArgs, UptimeArgs};
use crate::config::{self, FileSettings};
use crate::data_dir::DataDir;
use crate::progress::Progress;
use crate::settings::{HISTORY, HistorySettings};
use crate::workflow::WorkflowError;
use crate::workflow::output::Output;
use crate::workflow::{table, text};

/// Answers `dixmgr history`.
///
/// # Errors
/// The history cannot be read, or does not know the service.
pub fn history(args: &HistoryArgs) -> Result<(), WorkflowError> {
    let query = open(&args.place)?;
    let found = of_service(&query, &args.service, args.since, fitting(args.since)).map_err(|error| failed(&error))?;
    let Some(found) = found else {
        return Err(WorkflowError::Wrong(format!("the history knows no service called {:?}", args.service)));
    };
    let mut out = Output::new(args.place.json);
    if out.is_json() {
        out.value(&as_json(&found)?)?;
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
    let place = named(&args.place, &args.place.store)?;
    if args.all_hosts && matches!(place, Place::File(_)) {
        return Err(no_database());
    }
    let mut query = Query::open(&place).map_err(|error| failed(&error))?;
    if args.all_hosts {
        return uptime_of_all(&mut query, args);
    }
    let found = uptimes(&query, args.window).map_err(|error| failed(&error))?;
    let mut out = Output::new(args.place.json);
    if out.is_json() {
        out.value(&as_json(&found)?)?;
        return out.flush();
    }
    let head = [("SERVICE", true), ("UPTIME", false), ("UP", false), ("DOWN", false), ("UNKNOWN", false)];
    let rows: Vec<[String; 5]> = found.services.iter().map(row).collect();
    for line in table::lines(head, &rows, out.width()) {
        out.line(&line)?;
    }
    out.flush()
}

/// Answers `dixmgr import-history`.
///
/// # Errors
/// No database is named, it has a history of the host already, or one of the two cannot be used.
pub fn import(args: &ImportHistoryArgs) -> Result<(), WorkflowError> {
    let StoreArgs { health_history_db: path, health_history_postgres, host } = &args.place.store;
    let data = args.place.data_dir.as_deref();
    let to = StoreArgs {
        health_history_db: None,
        health_history_postgres: health_history_postgres.clone(),
        host: host.clone(),
    };
    let Place::Postgres(to) = named(&args.place, &to)? else {
        let text =
            "name the database that the history goes to: -health-history-postgres, or -conf with [history] postgres";
        return Err(WorkflowError::Wrong(text.to_owned()));
    };
    let from = path.clone().unwrap_or_else(|| DataDir::existing(data).join(HISTORY));
    let mut progress = Progress::of("rows copied");
    let rows = history::import(&from, &to, |done, all| progress.is(done, all)).map_err(|error| failed(&error))?;
    drop(progress);
    let mut out = Output::new(args.place.json);
    if out.is_json() {
        out.value(&serde_json::json!({ "host": to.host(), "rows": rows }))?;
    } else {
        out.line(&format!("{rows} rows of {} are in the database, as those of host {}", from.display(), to.host()))?;
    }
    out.flush()
}

/// One table of all hosts, each with its own dixmgr's word for it.
fn uptime_of_all(query: &mut Query, args: &UptimeArgs) -> Result<(), WorkflowError> {
    let mut out = Output::new(args.place.json);
    let (mut rows, mut values) = (Vec::new(), Vec::new());
    for host in query.hosts().map_err(|error| failed(&error))?.unwrap_or_default() {
        query.turn_to(&host);
        let found = uptimes(query, args.window).map_err(|error| failed(&error))?;
        rows.extend(found.services.iter().map(|one| {
            let [service, uptime, up, down, unknown] = row(one);
            [host.clone(), service, uptime, up, down, unknown]
        }));
        let mut value = as_json(&found)?;
        value["host"] = host.into();
        values.push(value);
    }
    if out.is_json() {
        out.value(&serde_json::json!({ "hosts": values }))?;
        return out.flush();
    }
    let head =
        [("HOST", true), ("SERVICE", true), ("UPTIME", false), ("UP", false), ("DOWN", false), ("UNKNOWN", false)];
    for line in table::lines(head, &rows, out.width()) {
        out.line(&line)?;
    }
    out.flush()
}

fn row(one: &Uptime) -> [String; 5] {
    let [up, down, unknown] = [one.up_seconds, one.down_seconds, one.unknown_seconds].map(length);
    [one.service.clone(), percent(one.percent), up, down, unknown]
}

/// Where the history is that flags, or else a configuration, name.
///
/// # Errors
/// A host is named, and no database.
pub(crate) fn place(
    store: &StoreArgs,
    file: Option<&FileSettings>,
    data_dir: Option<&Path>,
) -> Result<Place, WorkflowError> {
    let of_file = FileSettings::default();
    let mut file = file.unwrap_or(&of_file).clone();
    file.history_host = store.host.clone().or(file.history_host);
    let settings = HistorySettings::of(store.health_history_db.as_ref(), store.health_history_postgres.as_ref(), &file);
    let place = settings.place(&DataDir::existing(data_dir));
    if store.host.is_some() && matches!(place, Place::File(_)) {
        return Err(no_database());
    }
    Ok(place)
}

fn no_database() -> WorkflowError {
    let text = "a file has one host's history; name a database with -health-history-postgres, or -conf";
    WorkflowError::Wrong(text.to_owned())
}

fn open(place: &HistoryPlace) -> Result<Query, WorkflowError> {
    Query::open(&named(place, &place.store)?).map_err(|error| failed(&error))
}

/// Where the history is that flags, or the configuration that a command names, lead to.
fn named(place: &HistoryPlace, store: &StoreArgs) -> Result<Place, WorkflowError> {
    let config = place.conf.as_deref().map(config::load_for_command).transpose()?;
    self::place(store, config.as_ref().map(|config| &config.settings), place.data_dir.as_deref())
}

fn failed(error: &HistoryError) -> WorkflowError {
    WorkflowError::Failed(error.to_string())
}

fn as_json(value: &impl Serialize) -> Result<Value, WorkflowError> {
    serde_json::to_value(value).map_err(|error| WorkflowError::Failed(error.to_string()))
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
