//! What operators ask: which search attributes there are, and which clusters.

use temporalio_common::protos::temporal::api::{
    operatorservice::v1::{
        AddSearchAttributesRequest, AddSearchAttributesResponse, ClusterMetadata, ListClustersRequest,
        ListClustersResponse, ListSearchAttributesRequest, ListSearchAttributesResponse, RemoveSearchAttributesRequest,
        RemoveSearchAttributesResponse,
    },
    workflowservice::v1::{GetSearchAttributesRequest, GetSearchAttributesResponse},
};
use tonic::Status;

use super::{
    Service,
    namespace::CLUSTER,
    search_attributes::{add, all_fields, numbered, registered, remove, system},
};
use crate::core::Core;

impl Service {
    pub(super) async fn add_search_attributes(
        &self,
        request: AddSearchAttributesRequest,
    ) -> Result<AddSearchAttributesResponse, Status> {
        self.core
            .call(move |core, reply| {
                let answer = require_named(core, &request.namespace).and_then(|()| {
                    core.change_namespace(&request.namespace, |namespace| {
                        namespace.config = Some(add(namespace, &request.search_attributes)?);
                        Ok(())
                    })
                });
                core.reply(reply, answer.map(|_| AddSearchAttributesResponse {}));
            })
            .await
    }

    pub(super) async fn remove_search_attributes(
        &self,
        request: RemoveSearchAttributesRequest,
    ) -> Result<RemoveSearchAttributesResponse, Status> {
        self.core
            .call(move |core, reply| {
                let answer = require_named(core, &request.namespace).and_then(|()| {
                    core.change_namespace(&request.namespace, |namespace| {
                        namespace.config = Some(remove(namespace, &request.search_attributes)?);
                        Ok(())
                    })
                });
                core.reply(reply, answer.map(|_| RemoveSearchAttributesResponse {}));
            })
            .await
    }

    pub(super) async fn list_search_attributes(
        &self,
        request: ListSearchAttributesRequest,
    ) -> Result<ListSearchAttributesResponse, Status> {
        self.core
            .call(move |core, reply| {
                let answer = require_named(core, &request.namespace).map(|()| ListSearchAttributesResponse {
                    custom_attributes: core
                        .namespaces
                        .get(&request.namespace)
                        .map(|namespace| numbered(registered(namespace)))
                        .unwrap_or_default(),
                    system_attributes: numbered(system()),
                    ..Default::default()
                });
                core.reply(reply, answer);
            })
            .await
    }

    /// Asks for no namespace, and so answers with fields instead of the names that a namespace has for them.
    #[allow(clippy::unused_async, reason = "a method like its siblings")]
    pub(super) async fn get_search_attributes(
        &self,
        _: GetSearchAttributesRequest,
    ) -> Result<GetSearchAttributesResponse, Status> {
        Ok(GetSearchAttributesResponse { keys: numbered(system().chain(all_fields())) })
    }

    #[allow(clippy::unused_async, reason = "a method like its siblings")]
    pub(super) async fn list_clusters(&self, _: ListClustersRequest) -> Result<ListClustersResponse, Status> {
        let only = ClusterMetadata {
            cluster_name: CLUSTER.to_owned(),
            initial_failover_version: 1,
            history_shard_count: 1,
            is_connection_enabled: true,
            ..Default::default()
        };
        Ok(ListClustersResponse { clusters: vec![only], ..Default::default() })
    }
}

/// In the words that this service has for a namespace that is not given.
fn require_named(core: &Core, namespace: &str) -> Result<(), Status> {
    if namespace.is_empty() {
        return Err(Status::invalid_argument("Namespace is not set on request."));
    }
    core.require_namespace(namespace)
}
