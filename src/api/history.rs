//! What happened: `/api/v1/services/{name}/history`, `/api/v1/uptime`, `/api/v1/incidents`, `/api/v1/actions` and
//! `/api/v1/history/alerts`. Pages go from the newest back; `next_before` of one is `before` of the next.

use std::time::Duration;

use axum::extract::{Path, State};
use axum::routing::get;
use axum::{Json, Router};
use dixmgr_activities::history::read::{Page, Query, Step};
use dixmgr_activities::history::{HistoryError, Reader};
use serde::Deserialize;

use super::view::{Actions, Alerts, Incidents, ServiceHistory, Uptimes};
use super::{Api, ApiError, Params, services, view};
use crate::silences::now;

/// Rows of a page unless another number is asked for, and the most that may be.
const LIMIT: u32 = 100;
const MAX_LIMIT: u32 = 1000;
/// Periods in one answer: a month of hours, a day of minutes, some years of days.
const MAX_PERIODS: u32 = 1500;
/// Longest window.
const MAX_WINDOW: Duration = Duration::from_hours(24 * 3660);

/// The routes of this file.
pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/api/v1/services/{name}/history", get(service))
        .route("/api/v1/uptime", get(uptime))
        .route("/api/v1/incidents", get(incidents))
        .route("/api/v1/actions", get(actions))
        .route("/api/v1/history/alerts", get(alerts))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Window {
    window: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Past {
    window: Option<String>,
    step: Option<StepName>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StepName {
    Minute,
    Hour,
    Day,
}

/// Which rows.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rows {
    service: Option<String>,
    #[serde(default)]
    open: bool,
    before: Option<i64>,
    window: Option<String>,
    limit: Option<u32>,
}

async fn service(
    State(api): State<Api>,
    Path(name): Path<String>,
    Params(past): Params<Past>,
) -> Result<Json<ServiceHistory>, ApiError> {
    let window = window(past.window.as_deref(), Duration::from_hours(24))?;
    let step = match past.step {
        Some(StepName::Minute) => Step::Minute,
        Some(StepName::Hour) => Step::Hour,
        Some(StepName::Day) => Step::Day,
        None => fitting(window),
    };
    let answer = ask(&api, move |query| of_service(query, &name, window, step).map(|found| found.ok_or(name))).await?;
    answer.map(Json).map_err(|name| services::unknown(&name))
}

/// All that the history knows of a service; nothing when it does not know it.
pub(crate) fn of_service(
    query: &Query,
    name: &str,
    window: Duration,
    step: Step,
) -> Result<Option<ServiceHistory>, HistoryError> {
    if !query.knows(name)? {
        return Ok(None);
    }
    let (now, until) = (now(), query.counted_until()?);
    let from = before(now, window);
    let from = from - from % step.millis();
    let periods = query.periods(name, step, from, now, MAX_PERIODS)?;
    let page = Page { service: Some(name.to_owned()), since: before(now, window), limit: LIMIT, ..Page::default() };
    let uptime = query.uptime(before(now, window))?.into_iter().find(|uptime| uptime.service == name);
    Ok(Some(ServiceHistory {
        service: name.to_owned(),
        window_seconds: window.as_secs(),
        counted_until: view::time(until),
        uptime: uptime.map(view::Uptime::from),
        step_seconds: step.millis() / 1000,
        periods: periods.iter().map(|period| view::Period::of(period, step)).collect(),
        changes: query.changes(&page)?.into_iter().map(view::Change::from).collect(),
        incidents: query.incidents(&page)?.into_iter().map(view::Incident::from).collect(),
        actions: query.actions(&page)?.into_iter().map(view::Action::from).collect(),
    }))
}

/// The length of periods with which a window has a few hundred of them.
pub(crate) fn fitting(window: Duration) -> Step {
    match window.as_secs() {
        0..=43_200 => Step::Minute,
        43_201..=2_678_400 => Step::Hour,
        _ => Step::Day,
    }
}

async fn uptime(State(api): State<Api>, Params(asked): Params<Window>) -> Result<Json<Uptimes>, ApiError> {
    let window = window(asked.window.as_deref(), Duration::from_hours(30 * 24))?;
    ask(&api, move |query| uptimes(query, window)).await.map(Json)
}

/// How long all services were up.
pub(crate) fn uptimes(query: &Query, window: Duration) -> Result<Uptimes, HistoryError> {
    let services = query.uptime(before(now(), window))?.into_iter().map(view::Uptime::from).collect();
    let counted_until = view::time(query.counted_until()?);
    Ok(Uptimes { window_seconds: window.as_secs(), counted_until, services })
}

async fn incidents(State(api): State<Api>, Params(rows): Params<Rows>) -> Result<Json<Incidents>, ApiError> {
    let page = rows.page()?;
    let found = ask(&api, move |query| Ok((query.incidents(&page)?, page.limit))).await?;
    let next_before = next(&found.0, found.1, |incident| incident.id);
    Ok(Json(Incidents { incidents: found.0.into_iter().map(view::Incident::from).collect(), next_before }))
}

async fn actions(State(api): State<Api>, Params(rows): Params<Rows>) -> Result<Json<Actions>, ApiError> {
    let page = rows.page()?;
    let found = ask(&api, move |query| Ok((query.actions(&page)?, page.limit))).await?;
    let next_before = next(&found.0, found.1, |action| action.id);
    Ok(Json(Actions { actions: found.0.into_iter().map(view::Action::from).collect(), next_before }))
}

async fn alerts(State(api): State<Api>, Params(rows): Params<Rows>) -> Result<Json<Alerts>, ApiError> {
    let page = rows.page()?;
    let found = ask(&api, move |query| Ok((query.alerts(&page)?, page.limit))).await?;
    let next_before = next(&found.0, found.1, |alert| alert.id);
    Ok(Json(Alerts { alerts: found.0.into_iter().map(view::Alert::from).collect(), next_before }))
}

impl Rows {
    fn page(self) -> Result<Page, ApiError> {
        let limit = self.limit.unwrap_or(LIMIT);
        if limit == 0 || limit > MAX_LIMIT {
            return Err(ApiError::invalid(format!("limit is 1 to {MAX_LIMIT}")));
        }
        let since = match &self.window {
            Some(text) => before(now(), window(Some(text), Duration::ZERO)?),
            None => 0,
        };
        Ok(Page { service: self.service, open: self.open, before: self.before, since, limit })
    }
}

/// The number that the next page ends before; absent when this one was not full.
fn next<T>(rows: &[T], limit: u32, id: fn(&T) -> i64) -> Option<i64> {
    let full = rows.len() == limit as usize;
    rows.last().filter(|_| full).map(id)
}

/// Asks the history.
pub(crate) async fn ask<T: Send + 'static>(
    api: &Api,
    question: impl FnOnce(&Query) -> Result<T, HistoryError> + Send + 'static,
) -> Result<T, ApiError> {
    let reader: &Reader = api.history.as_ref().ok_or_else(|| {
        ApiError::unavailable("this dixmgr keeps no health history (-health-history=false, or see its log)")
    })?;
    reader.ask(question).await.map_err(|error| ApiError::unavailable(error.to_string()))
}

fn window(text: Option<&str>, usual: Duration) -> Result<Duration, ApiError> {
    let Some(text) = text else { return Ok(usual) };
    match dixmgr_model::duration::parse(text) {
        Ok(window) if !window.is_zero() && window <= MAX_WINDOW => Ok(window),
        Ok(_) => Err(ApiError::invalid("a window is longer than nothing and at most ten years")),
        Err(error) => Err(ApiError::invalid(format!("window: {error}"))),
    }
}

/// The beginning of a window that ends at `now`.
fn before(now: u64, window: Duration) -> u64 {
    now.saturating_sub(u64::try_from(window.as_millis()).unwrap_or(u64::MAX))
}
