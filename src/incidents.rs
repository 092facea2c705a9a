//! The alerts of a daemon, for those who ask from outside: the API and the command line. Each lives in a workflow of its own;
//! here is how these are found, asked and told.

use std::time::Duration;

use dixmgr_alerting::group::Group;
use dixmgr_alerting::incident::{Incident, Note};
use dixmgr_model::AlertStatus;
use dixmgr_workflows::{AlertGroupWorkflow, AlertWorkflow, SilenceRequest};
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use temporalio_client::errors::{WorkflowInteractionError, WorkflowQueryError};
use temporalio_client::tonic::Status;
use temporalio_client::{Client, WorkflowHandle, WorkflowQueryOptions, WorkflowSignalOptions};
use temporalio_common::protos::temporal::api::workflowservice::v1::ListWorkflowExecutionsRequest;

use crate::silences::now;
use crate::worker::chain;

/// Alerts that are listed at most.
pub(crate) const LIST: usize = 1_000;
/// Before a fingerprint, it is the id of an alert's workflow.
pub(crate) const ID_PREFIX: &str = "alert.";
/// Alerts that are asked at the same time: some have to be read from their history.
const AT_ONCE: usize = 16;
/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why alerts were not shown, or one was not told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IncidentError {
    /// There is none of this id.
    #[error("there is no alert {0}")]
    Unknown(String),
    /// It does not answer.
    #[error("alerts cannot be asked for now: {0}")]
    Away(String),
}

/// The alerts that fire, or that are not over for long, by workflow id; the worst first, then those that are there for longest.
///
/// # Errors
/// They cannot be asked for.
pub(crate) async fn list(
    client: &Client,
    namespace: &str,
    wanted: impl Fn(&str) -> bool,
) -> Result<Vec<(String, Incident)>, IncidentError> {
    let mut request = temporalio_client::tonic::Request::new(ListWorkflowExecutionsRequest {
        namespace: namespace.to_owned(),
        page_size: i32::try_from(LIST).unwrap_or(i32::MAX),
        query: "WorkflowType = 'AlertWorkflow' AND ExecutionStatus = 'Running'".to_owned(),
        ..ListWorkflowExecutionsRequest::default()
    });
    request.set_timeout(PATIENCE);
    let mut service = client.connection().workflow_service();
    let page = service.list_workflow_executions(request).await?.into_inner();
    let ids = page.executions.into_iter().filter_map(|info| info.execution).map(|execution| execution.workflow_id);
    let ids: Vec<String> = ids.filter(|id| wanted(id)).collect();
    // One that ended meanwhile is none any more.
    let asked = ids.into_iter().map(async |id| find(client, &id).await.ok().map(|incident| (id, incident)));
    let mut found: Vec<_> =
        stream::iter(asked).buffer_unordered(AT_ONCE).filter_map(async |found| found).collect().await;
    found.sort_by_key(|(_, incident)| (std::cmp::Reverse(incident.alert.severity), incident.alert.starts_at));
    Ok(found)
}

/// The alert of this workflow.
///
/// # Errors
/// There is none, or it does not answer.
pub(crate) async fn find(client: &Client, workflow_id: &str) -> Result<Incident, IncidentError> {
    let query = handle(client, workflow_id);
    let query = query.query(AlertWorkflow::status, (), WorkflowQueryOptions::default());
    match tokio::time::timeout(PATIENCE, query).await {
        Ok(Ok(Some(incident))) => Ok(incident),
        Ok(Ok(None)) => Err(IncidentError::Away("it has only just begun; ask again".to_owned())),
        Ok(Err(WorkflowQueryError::NotFound(_))) => Err(IncidentError::Unknown(name(workflow_id))),
        Ok(Err(error)) => Err(IncidentError::Away(chain(&error))),
        Err(_) => Err(IncidentError::Away("no answer in time".to_owned())),
    }
}

/// The group in which an alert is told; nothing when there is none (yet, or any more).
pub(crate) async fn group(client: &Client, incident: &Incident) -> Option<Group> {
    let group = client.get_workflow_handle::<AlertGroupWorkflow>(&incident.group.workflow_id);
    let query = group.query(AlertGroupWorkflow::status, (), WorkflowQueryOptions::default());
    tokio::time::timeout(PATIENCE, query).await.ok()?.ok()?
}

/// Somebody takes care of an alert that fires.
///
/// # Errors
/// There is none, or it cannot be told.
pub(crate) async fn acknowledge(client: &Client, workflow_id: &str, note: Note) -> Result<(), IncidentError> {
    let alert = handle(client, workflow_id);
    told(workflow_id, alert.signal(AlertWorkflow::acknowledge, note, WorkflowSignalOptions::default())).await
}

/// Nobody is to be told for a while that an alert fires; no time ends that.
///
/// # Errors
/// There is none, or it cannot be told.
pub(crate) async fn silence(client: &Client, workflow_id: &str, request: SilenceRequest) -> Result<(), IncidentError> {
    let alert = handle(client, workflow_id);
    told(workflow_id, alert.signal(AlertWorkflow::silence, request, WorkflowSignalOptions::default())).await
}

async fn told(
    workflow_id: &str,
    signal: impl Future<Output = Result<(), WorkflowInteractionError>>,
) -> Result<(), IncidentError> {
    match tokio::time::timeout(PATIENCE, signal).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(WorkflowInteractionError::NotFound(_))) => Err(IncidentError::Unknown(name(workflow_id))),
        Ok(Err(error)) => Err(IncidentError::Away(chain(&error))),
        Err(_) => Err(IncidentError::Away("no answer in time".to_owned())),
    }
}

/// All that is known of an alert: itself, what happened, why each channel was told or not, and the messages of its group.
pub(crate) fn story(incident: &Incident, group: Option<Group>) -> Value {
    let mut story = json!(incident);
    story["state"] = state(incident).into();
    story["delivery"] = json!(group.as_ref().map(|group| group.explain(&incident.alert.fingerprint, now())));
    story["messages"] = json!(group.map(|group| group.ledger));
    story
}

/// In one word, why who is told what. Silences by matchers are not looked at.
pub(crate) fn state(incident: &Incident) -> &'static str {
    let silenced = incident.silenced.as_ref().is_some_and(|silence| silence.until > now());
    match incident.status {
        AlertStatus::Resolved => "resolved",
        AlertStatus::Firing if silenced => "silenced",
        AlertStatus::Firing if incident.is_suppressed() => "suppressed",
        AlertStatus::Firing if incident.acknowledged.is_some() => "acknowledged",
        AlertStatus::Firing => "firing",
    }
}

fn handle(client: &Client, workflow_id: &str) -> WorkflowHandle<Client, AlertWorkflow> {
    client.get_workflow_handle(workflow_id)
}

fn name(workflow_id: &str) -> String {
    workflow_id.rsplit_once(ID_PREFIX).map_or(workflow_id, |(_, name)| name).to_owned()
}

impl From<Status> for IncidentError {
    fn from(status: Status) -> Self {
        Self::Away(format!("{} ({:?})", status.message(), status.code()))
    }
}
