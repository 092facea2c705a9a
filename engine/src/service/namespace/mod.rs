//! Namespaces: described, listed, registered; changed in [`update`], deleted in [`delete`].

mod delete;
mod update;

use std::collections::HashMap;

use prost::Message as _;
use temporalio_common::protos::temporal::api::{
    enums::v1::{ArchivalState, NamespaceState},
    errordetails::v1::{NamespaceAlreadyExistsFailure, NamespaceInvalidStateFailure, NamespaceNotFoundFailure},
    namespace::v1::{
        NamespaceConfig, NamespaceInfo,
        namespace_info::{Capabilities, Limits},
    },
    replication::v1::{ClusterReplicationConfig, NamespaceReplicationConfig},
    workflowservice::v1::{
        DescribeNamespaceRequest, DescribeNamespaceResponse, ListNamespacesRequest, ListNamespacesResponse,
        RegisterNamespaceRequest, RegisterNamespaceResponse,
    },
};
use tonic::{Code, Status};
use uuid::Uuid;

use super::{Service, require_id, status::with_detail};
use crate::{
    core::Core,
    history::time::{duration, from_duration},
};

/// Namespaces that are there from the start.
pub(crate) const BUILT_IN: &[&str] = &["default", "dotidx"];
/// Retention of those: three days for closed executions, the usual default of Temporal clusters.
const RETENTION: i64 = 72 * 3_600 * 1_000_000_000;
/// Namespaces that one engine may hold; all are kept in memory.
const MAX_NAMESPACES: usize = 1_000;

/// Most bytes of one, its description, data and search attributes together: an update adds to what is there.
const MAX_BYTES: usize = 128 << 10;

/// A new namespace of that name.
pub(crate) fn new(name: &str) -> DescribeNamespaceResponse {
    DescribeNamespaceResponse {
        namespace_info: Some(NamespaceInfo {
            name: name.to_owned(),
            state: NamespaceState::Registered.into(),
            id: Uuid::now_v7().to_string(),
            ..Default::default()
        }),
        config: Some(NamespaceConfig {
            workflow_execution_retention_ttl: duration(RETENTION),
            history_archival_state: ArchivalState::Disabled.into(),
            visibility_archival_state: ArchivalState::Disabled.into(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

impl Core {
    /// # Errors
    /// `NOT_FOUND`, with the detail that SDKs look for.
    pub(crate) fn require_namespace(&self, name: &str) -> Result<(), Status> {
        if name.is_empty() {
            return Err(Status::invalid_argument("Namespace not set on request."));
        }
        if self.namespaces.contains_key(name) { Ok(()) } else { Err(not_found(name)) }
    }

    /// For what only a namespace in use takes: the start of a workflow.
    ///
    /// # Errors
    /// As [`Core::require_namespace`]; `FAILED_PRECONDITION` when it is deprecated.
    pub(crate) fn require_registered(&self, name: &str) -> Result<(), Status> {
        self.require_namespace(name)?;
        let info = self.namespaces.get(name).and_then(|namespace| namespace.namespace_info.as_ref());
        if info.is_none_or(|info| info.state() != NamespaceState::Deprecated) {
            return Ok(());
        }
        let detail = NamespaceInvalidStateFailure {
            namespace: name.to_owned(),
            state: NamespaceState::Deprecated.into(),
            allowed_states: vec![NamespaceState::Registered.into()],
        };
        let message = "Namespace has invalid state: Deprecated. Must be Registered.";
        let kind = "temporal.api.errordetails.v1.NamespaceInvalidStateFailure";
        Err(with_detail(Code::FailedPrecondition, message, kind, &detail))
    }
}

fn not_found(name: &str) -> Status {
    let detail = NamespaceNotFoundFailure { namespace: name.to_owned() };
    let message = format!("Namespace {name} is not found.");
    with_detail(Code::NotFound, &message, "temporal.api.errordetails.v1.NamespaceNotFoundFailure", &detail)
}

fn check_size(namespace: &DescribeNamespaceResponse) -> Result<(), Status> {
    match namespace.encoded_len() {
        size if size > MAX_BYTES => {
            Err(Status::invalid_argument(format!("Namespace of {size} bytes exceeds size limit of {MAX_BYTES} bytes.")))
        }
        _ => Ok(()),
    }
}

fn no_namespace() -> Status {
    Status::invalid_argument("Namespace not set on request.")
}

fn has_id(namespace: &DescribeNamespaceResponse, id: &str) -> bool {
    namespace.namespace_info.as_ref().is_some_and(|info| info.id == id)
}

/// Shortest time for which closed executions may be kept (`namespace.MinRetentionLocal`).
const MIN_RETENTION: i64 = 3_600 * 1_000_000_000;

fn check_retention(retention: Option<&prost_wkt_types::Duration>) -> Result<(), Status> {
    if from_duration(retention) >= MIN_RETENTION {
        return Ok(());
    }
    Err(Status::invalid_argument("A valid retention period is not set on request."))
}

/// Name of the only cluster there is, as a server without replication has it.
pub(super) const CLUSTER: &str = "active";

/// Refuses clusters that there are not.
fn check_clusters<'a>(active: &'a str, mut others: impl Iterator<Item = &'a str>) -> Result<(), Status> {
    let active = Some(active).filter(|name| !name.is_empty() && *name != CLUSTER);
    match active.or_else(|| others.find(|name| *name != CLUSTER)) {
        Some(other) => Err(Status::invalid_argument(format!("Invalid cluster name: {other}"))),
        None => Ok(()),
    }
}

/// What this engine can do, as namespaces tell it.
fn with_capabilities(mut namespace: DescribeNamespaceResponse) -> DescribeNamespaceResponse {
    if let Some(info) = namespace.namespace_info.as_mut() {
        info.capabilities = Some(Capabilities {
            eager_workflow_start: true,
            workflow_pause: true,
            sync_update: true,
            async_update: true,
            worker_heartbeats: true,
            standalone_activities: true,
            standalone_activity_start_delay: true,
            worker_poll_complete_on_shutdown: true,
            ..Default::default()
        });
        info.limits =
            Some(Limits { blob_size_limit_error: 2 << 20, memo_size_limit_error: 2 << 20, ..Default::default() });
    }
    // Tools read it without asking whether it is there.
    namespace.replication_config = Some(NamespaceReplicationConfig {
        active_cluster_name: CLUSTER.to_owned(),
        clusters: vec![ClusterReplicationConfig { cluster_name: CLUSTER.to_owned(), ..Default::default() }],
        ..Default::default()
    });
    namespace
}

impl Service {
    pub(super) async fn describe_namespace(
        &self,
        request: DescribeNamespaceRequest,
    ) -> Result<DescribeNamespaceResponse, Status> {
        self.core
            .call(move |core, reply| {
                let found = match request.namespace.as_str() {
                    "" => core.namespaces.values().find(|namespace| has_id(namespace, &request.id)),
                    name => core.namespaces.get(name),
                };
                let name = if request.namespace.is_empty() { &request.id } else { &request.namespace };
                let answer = found.cloned().map(with_capabilities).ok_or_else(|| not_found(name));
                core.reply(reply, answer);
            })
            .await
    }

    pub(super) async fn list_namespaces(
        &self,
        request: ListNamespacesRequest,
    ) -> Result<ListNamespacesResponse, Status> {
        self.core
            .call(move |core, reply| {
                let after = String::from_utf8_lossy(&request.next_page_token).into_owned();
                let size = usize::try_from(request.page_size).ok().filter(|size| *size > 0).unwrap_or(100);
                let mut names: Vec<_> =
                    core.namespaces.iter().filter(|(name, _)| **name > after).take(size + 1).collect();
                let more = names.len() > size;
                names.truncate(size);
                let next_page_token =
                    names.last().filter(|_| more).map(|(name, _)| name.as_bytes().to_vec()).unwrap_or_default();
                let namespaces = names.into_iter().map(|(_, namespace)| with_capabilities(namespace.clone())).collect();
                core.reply(reply, Ok(ListNamespacesResponse { namespaces, next_page_token }));
            })
            .await
    }

    pub(super) async fn register_namespace(
        &self,
        request: RegisterNamespaceRequest,
    ) -> Result<RegisterNamespaceResponse, Status> {
        if request.namespace.is_empty() {
            return Err(no_namespace());
        }
        require_id(&request.namespace, "Namespace")?;
        if request.is_global_namespace {
            return Err(Status::invalid_argument("Cannot register global namespace when not enabled"));
        }
        let clusters = request.clusters.iter().map(|cluster| cluster.cluster_name.as_str());
        check_clusters(&request.active_cluster_name, clusters)?;
        self.core
            .call(move |core, reply| {
                let answer = register(core, request);
                core.reply(reply, answer);
            })
            .await
    }
}

fn register(core: &mut Core, request: RegisterNamespaceRequest) -> Result<RegisterNamespaceResponse, Status> {
    check_retention(request.workflow_execution_retention_period.as_ref())?;
    if core.namespaces.contains_key(&request.namespace) {
        let message = format!("Namespace {:?} already exists", request.namespace);
        let kind = "temporal.api.errordetails.v1.NamespaceAlreadyExistsFailure";
        return Err(with_detail(Code::AlreadyExists, &message, kind, &NamespaceAlreadyExistsFailure {}));
    }
    if core.is_being_deleted(&request.namespace) {
        return Err(Status::unavailable("a namespace of that name is being deleted; ask again"));
    }
    if core.namespace_count() >= MAX_NAMESPACES {
        return Err(Status::resource_exhausted(format!("an engine holds at most {MAX_NAMESPACES} namespaces")));
    }
    let mut namespace = new(&request.namespace);
    if let Some(info) = namespace.namespace_info.as_mut() {
        info.description = request.description;
        info.owner_email = request.owner_email;
        info.data = request.data.into_iter().collect::<HashMap<_, _>>();
    }
    if let (Some(config), Some(retention)) = (namespace.config.as_mut(), request.workflow_execution_retention_period) {
        config.workflow_execution_retention_ttl = Some(retention);
    }
    check_size(&namespace)?;
    core.unsaved_namespaces.insert(request.namespace.clone());
    core.namespaces.insert(request.namespace, namespace);
    Ok(RegisterNamespaceResponse {})
}
