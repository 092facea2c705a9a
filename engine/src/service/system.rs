//! What the engine says of itself.

use temporalio_common::protos::{
    grpc::health::v1::{HealthCheckResponse, health_check_response::ServingStatus},
    temporal::api::workflowservice::v1::{
        GetClusterInfoRequest, GetClusterInfoResponse, GetSystemInfoRequest, GetSystemInfoResponse,
        get_system_info_response::Capabilities,
    },
};
use tonic::Status;

use super::Service;

/// Version of Temporal's server whose behaviour is reproduced.
const SERVER_VERSION: &str = "1.32.0";

impl Service {
    #[allow(clippy::unused_async, reason = "a method like its siblings")]
    pub(super) async fn get_system_info(&self, _: GetSystemInfoRequest) -> Result<GetSystemInfoResponse, Status> {
        Ok(GetSystemInfoResponse {
            server_version: SERVER_VERSION.to_owned(),
            capabilities: Some(Capabilities {
                signal_and_query_header: true,
                internal_error_differentiation: true,
                activity_failure_include_heartbeat: true,
                encoded_failure_attributes: true,
                supports_schedules: true,
                upsert_memo: true,
                sdk_metadata: true,
                count_group_by_execution_status: true,
                eager_workflow_start: true,
                nexus: true,
                ..Default::default()
            }),
        })
    }

    #[allow(clippy::unused_async, reason = "a method like its siblings")]
    pub(super) async fn get_cluster_info(&self, _: GetClusterInfoRequest) -> Result<GetClusterInfoResponse, Status> {
        Ok(GetClusterInfoResponse {
            server_version: SERVER_VERSION.to_owned(),
            cluster_name: "active".to_owned(),
            history_shard_count: 1,
            persistence_store: "sqlite".to_owned(),
            visibility_store: "sqlite".to_owned(),
            initial_failover_version: 1,
            failover_version_increment: 10,
            ..Default::default()
        })
    }

    /// Serving, when the core thread answers.
    pub(super) async fn check_health(&self) -> Result<HealthCheckResponse, Status> {
        self.core.call(|core, reply| core.reply(reply, Ok(()))).await?;
        Ok(HealthCheckResponse { status: ServingStatus::Serving.into() })
    }
}
