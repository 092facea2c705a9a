//! Changing a namespace: what it says of itself, how long it keeps closed executions, its search attributes, whether it is
//! still to be used (`UpdateNamespace`, `DeprecateNamespace`).

use temporalio_common::protos::temporal::api::{
    enums::v1::NamespaceState,
    namespace::v1::{NamespaceConfig, NamespaceInfo, UpdateNamespaceInfo},
    workflowservice::v1::{
        DeprecateNamespaceRequest, DeprecateNamespaceResponse, DescribeNamespaceResponse, UpdateNamespaceRequest,
        UpdateNamespaceResponse,
    },
};
use tonic::Status;

use super::{check_clusters, check_retention, check_size, no_namespace, with_capabilities};
use crate::{
    core::Core,
    service::{Service, refuse, search_attributes::merge_aliases},
};

impl Service {
    pub(in crate::service) async fn update_namespace(
        &self,
        request: UpdateNamespaceRequest,
    ) -> Result<UpdateNamespaceResponse, Status> {
        check(&request)?;
        self.core
            .call(move |core, reply| {
                let answer = update(core, request).map(|namespace| {
                    let namespace = with_capabilities(namespace);
                    UpdateNamespaceResponse {
                        namespace_info: namespace.namespace_info,
                        config: namespace.config,
                        replication_config: namespace.replication_config,
                        ..Default::default()
                    }
                });
                core.reply(reply, answer);
            })
            .await
    }

    pub(in crate::service) async fn deprecate_namespace(
        &self,
        request: DeprecateNamespaceRequest,
    ) -> Result<DeprecateNamespaceResponse, Status> {
        self.core
            .call(move |core, reply| {
                let answer = core.change_namespace(&request.namespace, |namespace| {
                    namespace.namespace_info.get_or_insert_default().state = NamespaceState::Deprecated.into();
                    Ok(())
                });
                core.reply(reply, answer.map(|_| DeprecateNamespaceResponse {}));
            })
            .await
    }
}

impl Core {
    /// Changes a namespace as a whole or not at all; answers what it is then.
    ///
    /// # Errors
    /// There is no such namespace, it becomes too large, or what `change` refuses.
    pub(in crate::service) fn change_namespace(
        &mut self,
        name: &str,
        change: impl FnOnce(&mut DescribeNamespaceResponse) -> Result<(), Status>,
    ) -> Result<DescribeNamespaceResponse, Status> {
        self.require_namespace(name)?;
        let mut namespace = self.namespaces.get(name).cloned().unwrap_or_default();
        change(&mut namespace)?;
        check_size(&namespace)?;
        self.namespaces.insert(name.to_owned(), namespace.clone());
        self.unsaved_namespaces.insert(name.to_owned());
        Ok(namespace)
    }
}

/// Refuses what this engine, or a server with one cluster, does not do.
fn check(request: &UpdateNamespaceRequest) -> Result<(), Status> {
    if request.namespace.is_empty() {
        return Err(no_namespace());
    }
    if request.promote_namespace {
        let message = "global namespace is not enabled on this cluster, cannot update global namespace or promote local namespace";
        return Err(Status::invalid_argument(format!("{message}: {}", request.namespace)));
    }
    if !request.delete_bad_binary.is_empty() {
        let message = format!("Bad binary checksum {} doesn't exists.", request.delete_bad_binary);
        return Err(Status::invalid_argument(message));
    }
    let binaries = request.config.as_ref().and_then(|config| config.bad_binaries.as_ref());
    refuse(binaries.is_some_and(|bad| !bad.binaries.is_empty()), "BadBinaries")?;
    let Some(replication) = request.replication_config.as_ref() else { return Ok(()) };
    let clusters = replication.clusters.iter().map(|cluster| cluster.cluster_name.as_str());
    check_clusters(&replication.active_cluster_name, clusters)
}

fn update(core: &mut Core, request: UpdateNamespaceRequest) -> Result<DescribeNamespaceResponse, Status> {
    core.change_namespace(&request.namespace, |namespace| {
        if let Some(given) = request.update_info {
            update_info(namespace.namespace_info.get_or_insert_default(), given)?;
        }
        match request.config {
            Some(given) => update_config(namespace.config.get_or_insert_default(), given),
            None => Ok(()),
        }
    })
}

/// What is not given stays as it is; data is merged.
fn update_info(info: &mut NamespaceInfo, given: UpdateNamespaceInfo) -> Result<(), Status> {
    let state = given.state();
    if state != NamespaceState::Unspecified && state != info.state() {
        // Executions go with a namespace: what deletes it is `DeleteNamespace`, not a change of its state.
        if (info.state(), state) != (NamespaceState::Registered, NamespaceState::Deprecated) {
            return Err(Status::invalid_argument("Invalid namespace state update."));
        }
        info.state = state.into();
    }
    if !given.description.is_empty() {
        info.description = given.description;
    }
    if !given.owner_email.is_empty() {
        info.owner_email = given.owner_email;
    }
    info.data.extend(given.data);
    Ok(())
}

/// Archival is left alone: there is no archive, and the server without one says nothing of it either.
fn update_config(config: &mut NamespaceConfig, given: NamespaceConfig) -> Result<(), Status> {
    if let Some(retention) = given.workflow_execution_retention_ttl {
        check_retention(Some(&retention))?;
        config.workflow_execution_retention_ttl = Some(retention);
    }
    merge_aliases(config, given.custom_search_attribute_aliases)
}
