//! Task queues described and configured: who polls them, what waits, how fast it may go.

use std::collections::{BTreeMap, HashMap};

use temporalio_common::protos::temporal::api::{
    deployment::v1::WorkerDeploymentOptions,
    enums::v1::{BuildIdTaskReachability, DescribeTaskQueueMode, RateLimitSource, TaskQueueType, WorkerVersioningMode},
    taskqueue::v1::{
        ConfigMetadata, PollerInfo, RateLimitConfig, TaskQueueConfig, TaskQueuePartitionMetadata, TaskQueueStats,
        TaskQueueStatus, TaskQueueTypeInfo, TaskQueueVersionInfo, TaskQueueVersioningInfo,
    },
    workflowservice::v1::{
        DescribeTaskQueueRequest, DescribeTaskQueueResponse, ListTaskQueuePartitionsRequest,
        ListTaskQueuePartitionsResponse, UpdateTaskQueueConfigRequest, UpdateTaskQueueConfigResponse,
        describe_task_queue_response::EffectiveRateLimit, update_task_queue_config_request::RateLimitUpdate,
    },
};
use tonic::Status;

use super::{Service, refuse, require_id};
use crate::{
    core::{Core, POLLER_MEMORY},
    deployment::{UNVERSIONED, VersionId},
    history::time::{Nanos, duration, timestamp},
    matching::{QueueKey, QueueStats, Seen, TaskKind},
};

/// What a queue without a limit is said to give out in a second, as the server says of its pollers: the default of the field.
const NO_LIMIT: f32 = 100_000.0;
/// Priority key of a task that says nothing.
const DEFAULT_PRIORITY: i32 = 3;
/// Most weights that one request sets, and that one queue keeps (`matching.maxFairnessKeyWeightOverrides`).
const MAX_WEIGHTS: usize = 1_000;
/// Longest fairness key, in bytes, and longest reason.
const MAX_KEY: usize = 64;
const MAX_REASON: usize = 1_000;
/// What names of the server's own parts of queues begin with.
pub(super) const SYSTEM_PREFIX: &str = "/_sys/";

impl Service {
    pub(super) async fn describe_task_queue(
        &self,
        request: DescribeTaskQueueRequest,
    ) -> Result<DescribeTaskQueueResponse, Status> {
        let name = request.task_queue.as_ref().map(|queue| queue.name.clone()).unwrap_or_default();
        require_id(&name, "TaskQueue")?;
        self.core
            .call(move |core, reply| {
                let answer = core.require_namespace(&request.namespace).and_then(|()| describe(core, name, &request));
                core.reply(reply, answer);
            })
            .await
    }

    pub(super) async fn update_task_queue_config(
        &self,
        request: UpdateTaskQueueConfigRequest,
    ) -> Result<UpdateTaskQueueConfigResponse, Status> {
        check_update(&request)?;
        self.core
            .call(move |core, reply| {
                let answer = core.require_registered(&request.namespace).and_then(|()| update(core, request));
                core.reply(reply, answer);
            })
            .await
    }

    /// Every queue is in one piece here, which has the name of the queue.
    pub(super) async fn list_task_queue_partitions(
        &self,
        request: ListTaskQueuePartitionsRequest,
    ) -> Result<ListTaskQueuePartitionsResponse, Status> {
        self.core
            .call(move |core, reply| {
                let answer = core.require_namespace(&request.namespace).and_then(|()| {
                    let name = request.task_queue.map(|queue| queue.name).filter(|name| !name.is_empty());
                    let key = name.ok_or_else(|| Status::invalid_argument("taskQueue is not set"))?;
                    let only = vec![TaskQueuePartitionMetadata { key, ..Default::default() }];
                    Ok(ListTaskQueuePartitionsResponse {
                        activity_task_queue_partitions: only.clone(),
                        workflow_task_queue_partitions: only,
                    })
                });
                core.reply(reply, answer);
            })
            .await
    }
}

#[allow(deprecated, reason = "deprecated for clients; the server still answers it")]
fn describe(
    core: &Core,
    name: String,
    request: &DescribeTaskQueueRequest,
) -> Result<DescribeTaskQueueResponse, Status> {
    let kind = TaskKind::of(request.task_queue_type());
    let key = QueueKey { namespace: request.namespace.clone(), name, kind, version: None };
    if request.api_mode() == DescribeTaskQueueMode::Enhanced {
        return enhanced(core, &key, request);
    }
    let now = core.now();
    let limiting = core.queues.is_limiting(&key, now);
    let by_priority = core.queues.stats(&key, now, |_| true);
    let total = QueueStats::total(by_priority.values());
    Ok(DescribeTaskQueueResponse {
        pollers: pollers(core, &key, now, |_| true),
        stats: request.report_stats.then(|| stats(total, limiting)),
        stats_by_priority_key: if request.report_stats { stats_by_key(by_priority, limiting) } else { HashMap::new() },
        versioning_info: Some(versioning_info(core, &key)),
        config: request.report_config.then(|| core.task_queues.get(&key).cloned()).flatten(),
        effective_rate_limit: Some(rate_limit(core, &key)),
        task_queue_status: request.include_task_queue_status.then(|| TaskQueueStatus {
            backlog_count_hint: i64::try_from(total.waiting).unwrap_or(i64::MAX),
            rate_per_second: f64::from(rate_limit(core, &key).requests_per_second),
            ..TaskQueueStatus::default()
        }),
        ..Default::default()
    })
}

/// The older form: by version, of which there is only that of workers without one.
#[allow(deprecated, reason = "deprecated for clients; the server still answers it")]
fn enhanced(
    core: &Core,
    key: &QueueKey,
    request: &DescribeTaskQueueRequest,
) -> Result<DescribeTaskQueueResponse, Status> {
    let build_ids = request.versions.as_ref().is_some_and(|versions| !versions.build_ids.is_empty());
    refuse(build_ids, "a description of build ids")?;
    let all = request.task_queue_types.is_empty();
    let kinds =
        if all { vec![TaskQueueType::Workflow, TaskQueueType::Activity] } else { request.task_queue_types().collect() };
    let now = core.now();
    let unversioned = |version: Option<&VersionId>| version.is_none();
    let info = |kind: TaskQueueType| {
        let key = QueueKey { kind: TaskKind::of(kind), ..key.clone() };
        let total = QueueStats::total(core.queues.stats(&key, now, unversioned).values());
        let stats = request.report_stats.then(|| stats(total, core.queues.is_limiting(&key, now)));
        let pollers = if request.report_pollers { pollers(core, &key, now, unversioned) } else { Vec::new() };
        (i32::from(kind), TaskQueueTypeInfo { pollers, stats })
    };
    let reachable = if request.report_task_reachability {
        BuildIdTaskReachability::Reachable
    } else {
        BuildIdTaskReachability::Unspecified
    };
    let version =
        TaskQueueVersionInfo { types_info: kinds.into_iter().map(info).collect(), task_reachability: reachable.into() };
    Ok(DescribeTaskQueueResponse { versions_info: [(String::new(), version)].into(), ..Default::default() })
}

fn rate_limit(core: &Core, key: &QueueKey) -> EffectiveRateLimit {
    #[allow(clippy::cast_possible_truncation, reason = "shown in the API's precision")]
    let limit = core.queues.rate_limit(key).map(|(rate, source)| (rate as f32, source));
    let (requests_per_second, source) = limit.unwrap_or((NO_LIMIT, RateLimitSource::System));
    EffectiveRateLimit { requests_per_second, rate_limit_source: source.into() }
}

fn stats(stats: QueueStats, limiting: bool) -> TaskQueueStats {
    TaskQueueStats {
        approximate_backlog_count: i64::try_from(stats.waiting).unwrap_or(i64::MAX),
        approximate_backlog_age: duration(stats.age),
        tasks_add_rate: stats.added,
        tasks_dispatch_rate: stats.dispatched,
        rate_limiting_active: limiting,
    }
}

fn stats_by_key(mut found: BTreeMap<i32, QueueStats>, limiting: bool) -> HashMap<i32, TaskQueueStats> {
    if found.is_empty() {
        found.insert(DEFAULT_PRIORITY, QueueStats::default());
    }
    found.into_iter().map(|(key, found)| (key, stats(found, limiting))).collect()
}

#[allow(deprecated, reason = "deprecated for clients; the server still fills it in")]
fn pollers(core: &Core, key: &QueueKey, now: Nanos, part: impl Fn(Option<&VersionId>) -> bool) -> Vec<PollerInfo> {
    let rate = core.queues.worker_rate(key).unwrap_or(f64::from(NO_LIMIT));
    let info = |seen: Seen| PollerInfo {
        last_access_time: timestamp(seen.last_poll),
        identity: seen.identity,
        rate_per_second: rate,
        deployment_options: seen.version.map(|version| WorkerDeploymentOptions {
            deployment_name: version.deployment,
            build_id: version.build_id,
            worker_versioning_mode: WorkerVersioningMode::Versioned.into(),
        }),
        ..Default::default()
    };
    let seen = core.queues.pollers(key, now.saturating_sub(POLLER_MEMORY));
    seen.into_iter().filter(|seen| part(seen.version.as_ref())).map(info).collect()
}

/// Where the new work of a queue goes.
#[allow(deprecated, reason = "deprecated for clients; the server still fills it in")]
fn versioning_info(core: &Core, key: &QueueKey) -> TaskQueueVersioningInfo {
    let (current, ramping) = core.deployments.routing(&key.namespace, &key.name, key.kind.queue_type());
    let name = |version: Option<&VersionId>| version.map_or_else(|| UNVERSIONED.to_owned(), VersionId::old_name);
    let version = current.as_ref().and_then(|current| current.version.as_ref());
    let part = ramping.as_ref().and_then(|ramping| ramping.version.as_ref());
    let since =
        current.iter().chain(&ramping).map(|routing| routing.since).max_by_key(|time| (time.seconds, time.nanos));
    TaskQueueVersioningInfo {
        current_deployment_version: version.map(VersionId::message),
        current_version: name(version),
        ramping_deployment_version: part.map(VersionId::message),
        ramping_version: ramping.as_ref().map(|_| name(part)).unwrap_or_default(),
        ramping_version_percentage: ramping.as_ref().map_or(0.0, |ramping| ramping.percentage),
        update_time: since,
    }
}

/// Checks what the request says by itself, in the server's words.
fn check_update(request: &UpdateTaskQueueConfigRequest) -> Result<(), Status> {
    let invalid = |text: String| Err(Status::invalid_argument(text));
    if request.task_queue.starts_with(SYSTEM_PREFIX) {
        return invalid(format!("task queue family name cannot have prefix {SYSTEM_PREFIX} {}", request.task_queue));
    }
    require_id(&request.task_queue, "TaskQueue")?;
    if request.task_queue_type() == TaskQueueType::Workflow {
        if request.update_queue_rate_limit.is_some() {
            return invalid("Setting rate limit on workflow task queues is not allowed.".to_owned());
        }
        if request.update_fairness_key_rate_limit_default.is_some() {
            return invalid("Setting fairness key rate limit on workflow task queues is not allowed.".to_owned());
        }
    }
    check_limit(request.update_queue_rate_limit.as_ref(), "UpdateQueueRateLimit")?;
    check_limit(request.update_fairness_key_rate_limit_default.as_ref(), "UpdateFairnessKeyRateLimitDefault")?;
    check_weights(request)
}

fn check_limit(update: Option<&RateLimitUpdate>, field: &str) -> Result<(), Status> {
    let Some(update) = update else { return Ok(()) };
    let rate = update.rate_limit.map_or(0.0, |limit| limit.requests_per_second);
    if rate < 0.0 || !rate.is_finite() {
        let message = format!("RequestsPerSecond for {field} rate limit must be non-negative.");
        return Err(Status::invalid_argument(message));
    }
    if update.reason.len() > MAX_REASON {
        let message = format!("{field}.Reason field too long (max {MAX_REASON} characters).");
        return Err(Status::invalid_argument(message));
    }
    Ok(())
}

fn check_weights(request: &UpdateTaskQueueConfigRequest) -> Result<(), Status> {
    let invalid = |text: String| Err(Status::invalid_argument(text));
    let (set, unset) = (&request.set_fairness_weight_overrides, &request.unset_fairness_weight_overrides);
    let count = set.len() + unset.len();
    if count > MAX_WEIGHTS {
        return invalid(format!("too many fairness weight overrides in request: got {count}, maximum {MAX_WEIGHTS}"));
    }
    if let Some(key) = unset.iter().find(|key| set.contains_key(*key)) {
        return invalid(format!("fairness weight override key {key:?} present in both set and unset lists"));
    }
    if let Some(key) = set.keys().find(|key| key.len() > MAX_KEY) {
        return invalid(format!("fairness key {key:?} is longer than {MAX_KEY} bytes"));
    }
    match set.iter().find(|(_, weight)| **weight <= 0.0 || !weight.is_finite()) {
        Some((key, _)) => invalid(format!("invalid fairness weight weight for key {key:?}: must be greater than zero")),
        None => Ok(()),
    }
}

fn update(core: &mut Core, request: UpdateTaskQueueConfigRequest) -> Result<UpdateTaskQueueConfigResponse, Status> {
    let kind = TaskKind::of(request.task_queue_type());
    let key = QueueKey { namespace: request.namespace, name: request.task_queue, kind, version: None };
    let before = core.task_queues.get(&key).cloned().unwrap_or_default();
    let mut config = before.clone();
    let limit = |update: RateLimitUpdate| RateLimitConfig {
        rate_limit: update.rate_limit,
        metadata: Some(ConfigMetadata {
            reason: update.reason,
            update_identity: request.identity.clone(),
            update_time: timestamp(core.now()),
        }),
    };
    if let Some(update) = request.update_queue_rate_limit {
        config.queue_rate_limit = Some(limit(update));
    }
    if let Some(update) = request.update_fairness_key_rate_limit_default {
        config.fairness_keys_rate_limit_default = Some(limit(update));
    }
    for key in &request.unset_fairness_weight_overrides {
        config.fairness_weight_overrides.remove(key);
    }
    config.fairness_weight_overrides.extend(request.set_fairness_weight_overrides);
    if config.fairness_weight_overrides.len() > MAX_WEIGHTS {
        let message = format!("a task queue has {MAX_WEIGHTS} fairness weight overrides at the most");
        return Err(Status::invalid_argument(message));
    }
    if config != TaskQueueConfig::default() && config != before {
        core.configure_task_queue(&key, config.clone())?;
    }
    Ok(UpdateTaskQueueConfigResponse { config: Some(config) })
}
