//! `GET /api/v1/services` and `/api/v1/services/{name}`: what is kept, and how it is now.

use std::time::Duration;

use axum::extract::{Path, State};
use axum::routing::get;
use axum::{Json, Router};
use dixmgr_activities::watch::board::Live;
use dixmgr_model::{Condition, Health, Replicas, ServiceSpec, SyncState, Target, UnitPhase};
use serde::{Deserialize, Serialize};

use super::{Api, ApiError, Params};

/// Services in one answer unless another number is asked for, and the most that may be.
const LIMIT: usize = 500;
const MAX_LIMIT: usize = 2000;

/// The routes of this file.
pub(super) fn routes() -> Router<Api> {
    Router::new().route("/api/v1/services", get(list)).route("/api/v1/services/{name}", get(one))
}

/// What services are asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// Part of the name, in any case.
    q: Option<String>,
    state: Option<Condition>,
    r#type: Option<String>,
    chain: Option<String>,
    limit: Option<usize>,
    offset: Option<usize>,
}

/// A page of services.
#[derive(Debug, Serialize)]
struct Page {
    services: Vec<Service>,
    /// How many there are of those that were asked for.
    total: usize,
    /// Where the next page begins; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_offset: Option<usize>,
}

/// A service, for people and programs outside.
#[derive(Debug, Serialize)]
pub(crate) struct Service {
    pub(crate) name: String,
    pub(crate) r#type: String,
    pub(crate) chain: String,
    pub(crate) state: Condition,
    /// Since when it is in that state, RFC 3339; absent before the first look.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) since: Option<String>,
    /// When it was last looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) seen: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) unit: Option<Unit>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) health: Option<Health>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sync: Option<SyncState>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cpu_percent: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) memory_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) disk_read_bytes_per_second: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) disk_write_bytes_per_second: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) response_time_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) peers: Option<u64>,
    /// Runs that took the place of another since this dixmgr watches it.
    pub(crate) restarts: u64,
    pub(crate) needs: Vec<String>,
    pub(crate) workflow_id: String,
    /// Equal services that this one is a group of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) replicas: Option<Group>,
}

/// What runs a service.
#[derive(Debug, Serialize)]
pub(crate) struct Unit {
    /// The unit; of a command, its program.
    pub(crate) name: String,
    pub(crate) phase: UnitPhase,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) result: String,
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) main_pid: u32,
}

/// The replicas of a service.
#[derive(Debug, Serialize)]
pub(crate) struct Group {
    pub(crate) count: u32,
    pub(crate) quorum: u32,
    pub(crate) ready: usize,
    pub(crate) services: Vec<Service>,
}

async fn list(State(api): State<Api>, Params(wanted): Params<Wanted>) -> Result<Json<Page>, ApiError> {
    let limit = wanted.limit.unwrap_or(LIMIT);
    if limit == 0 || limit > MAX_LIMIT {
        return Err(ApiError::invalid(format!("limit is 1 to {MAX_LIMIT}")));
    }
    let offset = wanted.offset.unwrap_or(0);
    let plan = std::sync::Arc::clone(&api.in_force.borrow().plan);
    let chosen: Vec<&ServiceSpec> = plan.services.iter().filter(|spec| wanted.wants(spec, &api)).collect();
    let end = offset.saturating_add(limit);
    let services = chosen.iter().skip(offset).take(limit).map(|spec| describe(spec, &api)).collect();
    Ok(Json(Page { services, total: chosen.len(), next_offset: (end < chosen.len()).then_some(end) }))
}

async fn one(State(api): State<Api>, Path(name): Path<String>) -> Result<Json<Service>, ApiError> {
    let plan = std::sync::Arc::clone(&api.in_force.borrow().plan);
    let own = plan.services.iter().find(|spec| spec.name == name).map(|spec| describe(spec, &api));
    let replica = || plan.services.iter().flat_map(replicas).find(|spec| spec.name == name);
    own.or_else(|| replica().map(|spec| describe(&spec, &api))).map(Json).ok_or_else(|| unknown(&name))
}

/// No such service.
pub(super) fn unknown(name: &str) -> ApiError {
    ApiError::not_found(format!("no service is called {name:?}"))
}

impl Wanted {
    fn wants(&self, spec: &ServiceSpec, api: &Api) -> bool {
        let is = |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|wanted| wanted == found);
        let part = |q: &String| spec.name.to_lowercase().contains(&q.to_lowercase());
        self.q.as_ref().is_none_or(part)
            && is(&self.r#type, &spec.labels.kind)
            && is(&self.chain, &spec.labels.chain)
            && self.state.is_none_or(|state| describe(spec, api).state == state)
    }
}

/// How a service of the plan is now.
pub(crate) fn describe(spec: &ServiceSpec, api: &Api) -> Service {
    let live = api.board.get(&spec.name).unwrap_or_default();
    let mut service = from_live(spec, live);
    if let Some(Replicas { count, quorum }) = spec.replicas {
        let services: Vec<Service> = replicas(spec).map(|spec| describe(&spec, api)).collect();
        let ready = services.iter().filter(|replica| replica.state == Condition::Up).count();
        service.state = state_of_group(&services, ready, quorum);
        service.unit = None;
        service.restarts = services.iter().map(|replica| replica.restarts).sum();
        service.replicas = Some(Group { count, quorum, ready, services });
    }
    service
}

fn from_live(spec: &ServiceSpec, live: Live) -> Service {
    let (state, since, seen) = (live.condition(), live.since, live.seen);
    let (unit, health, sync) = match live.state {
        Some(state) => (Some(state.unit), Some(state.health), state.sync),
        None => (None, None, None),
    };
    Service {
        name: spec.name.clone(),
        r#type: spec.labels.kind.clone(),
        chain: spec.labels.chain.clone(),
        state,
        since: rfc3339(since),
        seen: rfc3339(seen),
        unit: unit.map(|unit| Unit {
            name: target(&spec.target),
            phase: unit.phase,
            result: unit.result,
            main_pid: unit.main_pid,
        }),
        health,
        sync,
        cpu_percent: live.cpu_percent,
        memory_bytes: live.memory_bytes,
        disk_read_bytes_per_second: live.disk.map(|(read, _)| read),
        disk_write_bytes_per_second: live.disk.map(|(_, write)| write),
        response_time_seconds: live.response_time.map(|time| time.as_secs_f64()),
        peers: live.peers,
        restarts: live.restarts,
        needs: spec.needs.iter().map(|need| need.service.clone()).collect(),
        workflow_id: spec.workflow_id.clone(),
        replicas: None,
    }
}

/// A command's arguments may be nobody's business; its program is enough to know it by.
fn target(target: &Target) -> String {
    match target {
        Target::Unit(unit) => unit.clone(),
        Target::Command(command) => command.argv.first().cloned().unwrap_or_default(),
    }
}

/// A group is up with its quorum; otherwise it is as the worst of its replicas.
fn state_of_group(replicas: &[Service], ready: usize, quorum: u32) -> Condition {
    if ready >= quorum as usize {
        return Condition::Up;
    }
    let worst = Condition::ALL.into_iter().find(|state| replicas.iter().any(|replica| replica.state == *state));
    worst.unwrap_or(Condition::Unknown)
}

/// The replicas of a service, each as a service of its own.
fn replicas(spec: &ServiceSpec) -> impl Iterator<Item = ServiceSpec> + '_ {
    let count = spec.replicas.map_or(0, |replicas| replicas.count as usize);
    (0..count).map(move |index| dixmgr_workflows::replica_spec(spec, index))
}

/// Time since the epoch as RFC 3339 to the millisecond; absent for none.
pub(crate) fn rfc3339(time: Duration) -> Option<String> {
    let millis = i64::try_from(time.as_millis()).ok().filter(|millis| *millis > 0)?;
    jiff::Timestamp::from_millisecond(millis).ok().map(|time| format!("{time:.3}"))
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}
