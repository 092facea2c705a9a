//! Workers as they describe themselves: heartbeats, and what is told of them.

use temporalio_common::protos::temporal::api::{
    enums::v1::WorkerStatus,
    worker::v1::{WorkerHeartbeat, WorkerInfo, WorkerListInfo},
    workflowservice::v1::{
        CountWorkersRequest, CountWorkersResponse, DescribeWorkerRequest, DescribeWorkerResponse, ListWorkersRequest,
        ListWorkersResponse, RecordWorkerHeartbeatRequest, RecordWorkerHeartbeatResponse,
    },
};
use tonic::Status;

use super::{Service, page_size, status::not_found, visibility::MAX_PAGE, worker_filter::Filter};
use crate::core::Core;

/// What the names of the server's own task queues begin with.
const SYSTEM_QUEUES: &str = "temporal-sys-";

/// What a page's token calls the instance key of the last worker of the page; the server writes its token so too.
const LAST: &str = "l";

impl Service {
    pub(super) async fn record_worker_heartbeat(
        &self,
        request: RecordWorkerHeartbeatRequest,
    ) -> Result<RecordWorkerHeartbeatResponse, Status> {
        self.core
            .call(move |core, reply| {
                let answer = core.require_namespace(&request.namespace).map(|()| {
                    for heartbeat in request.worker_heartbeat {
                        core.record_worker(&request.namespace, heartbeat);
                    }
                    RecordWorkerHeartbeatResponse {}
                });
                core.reply(reply, answer);
            })
            .await
    }

    #[allow(deprecated, reason = "deprecated for clients; the server still fills it in")]
    pub(super) async fn list_workers(&self, request: ListWorkersRequest) -> Result<ListWorkersResponse, Status> {
        let after = page_token(&request.next_page_token)?;
        let filter = Filter::parse(&request.query)?;
        self.core
            .call(move |core, reply| {
                let size = page_size(request.page_size, MAX_PAGE);
                let answer = core.require_namespace(&request.namespace).map(|()| {
                    let all = wanted(core, &request.namespace, &filter, request.include_system_workers);
                    let later = |worker: &&WorkerHeartbeat| {
                        after.as_ref().is_none_or(|after| worker.worker_instance_key > *after)
                    };
                    page(all.into_iter().filter(later).take(size + 1).cloned().collect(), size)
                });
                core.reply(reply, answer);
            })
            .await
    }

    pub(super) async fn count_workers(&self, request: CountWorkersRequest) -> Result<CountWorkersResponse, Status> {
        let filter = Filter::parse(&request.query)?;
        self.core
            .call(move |core, reply| {
                let answer = core.require_namespace(&request.namespace).map(|()| {
                    let found = wanted(core, &request.namespace, &filter, request.include_system_workers).len();
                    CountWorkersResponse { count: i64::try_from(found).unwrap_or(i64::MAX) }
                });
                core.reply(reply, answer);
            })
            .await
    }

    pub(super) async fn describe_worker(
        &self,
        request: DescribeWorkerRequest,
    ) -> Result<DescribeWorkerResponse, Status> {
        self.core
            .call(move |core, reply| {
                let answer = core.require_namespace(&request.namespace).and_then(|()| {
                    let id = core.namespace_id(&request.namespace);
                    let key = request.worker_instance_key;
                    let found = core.workers.get(&id, &key).cloned();
                    let heartbeat = found.ok_or_else(|| not_found(&format!("Worker {key} not found")))?;
                    let worker_info = Some(WorkerInfo { worker_heartbeat: Some(heartbeat) });
                    Ok(DescribeWorkerResponse { worker_info })
                });
                core.reply(reply, answer);
            })
            .await
    }
}

impl Core {
    /// Takes what a worker says of itself.
    pub(super) fn record_worker(&mut self, namespace: &str, heartbeat: WorkerHeartbeat) {
        let (id, now) = (self.namespace_id(namespace), self.now());
        self.workers.record(&id, heartbeat, now);
    }
}

/// The workers of a namespace that a filter means, by instance key.
fn wanted<'a>(core: &'a Core, namespace: &str, filter: &Filter, system: bool) -> Vec<&'a WorkerHeartbeat> {
    let id = core.namespace_id(namespace);
    let shown = |worker: &&WorkerHeartbeat| system || !worker.task_queue.starts_with(SYSTEM_QUEUES);
    core.workers.of(&id).filter(shown).filter(|worker| filter.matches(worker)).collect()
}

#[allow(deprecated, reason = "deprecated for clients; the server still fills it in")]
fn page(mut found: Vec<WorkerHeartbeat>, size: usize) -> ListWorkersResponse {
    let more = found.len() > size;
    found.truncate(size);
    let last = found.last().filter(|_| more);
    let token = last.map(|worker| serde_json::json!({ LAST: worker.worker_instance_key }).to_string().into_bytes());
    ListWorkersResponse {
        workers: found.iter().map(list_info).collect(),
        workers_info: found.into_iter().map(|worker| WorkerInfo { worker_heartbeat: Some(worker) }).collect(),
        next_page_token: token.unwrap_or_default(),
    }
}

fn page_token(bytes: &[u8]) -> Result<Option<String>, Status> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let token: Option<serde_json::Value> = serde_json::from_slice(bytes).ok();
    let last = token.and_then(|token| Some(token.get(LAST)?.as_str()?.to_owned()));
    last.map(Some).ok_or_else(|| Status::invalid_argument("invalid next_page_token"))
}

/// A listing's line.
fn list_info(worker: &WorkerHeartbeat) -> WorkerListInfo {
    let host = worker.host_info.clone().unwrap_or_default();
    WorkerListInfo {
        worker_instance_key: worker.worker_instance_key.clone(),
        worker_identity: worker.worker_identity.clone(),
        task_queue: worker.task_queue.clone(),
        deployment_version: worker.deployment_version.clone(),
        sdk_name: worker.sdk_name.clone(),
        sdk_version: worker.sdk_version.clone(),
        status: worker.status,
        start_time: worker.start_time,
        host_name: host.host_name,
        worker_grouping_key: host.worker_grouping_key,
        process_id: host.process_id,
        plugins: worker.plugins.clone(),
        drivers: worker.drivers.clone(),
    }
}

/// A status as filters have it: `ShuttingDown`.
pub(super) fn status_name(status: WorkerStatus) -> &'static str {
    match status {
        WorkerStatus::Unspecified => "Unspecified",
        WorkerStatus::Running => "Running",
        WorkerStatus::ShuttingDown => "ShuttingDown",
        WorkerStatus::Shutdown => "Shutdown",
    }
}
