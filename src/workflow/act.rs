//! Commands that act on one workflow, and the query, which asks its worker.

use serde_json::{Value, json};
use temporalio_common::protos::temporal::api::common::v1::{Payload, Payloads};
use temporalio_common::protos::temporal::api::query::v1::WorkflowQuery;
use temporalio_common::protos::temporal::api::workflowservice::v1::{
    DeleteWorkflowExecutionRequest, QueryWorkflowRequest, RequestCancelWorkflowExecutionRequest,
    ResetWorkflowExecutionRequest, SignalWorkflowExecutionRequest, TerminateWorkflowExecutionRequest,
};

use super::error::WorkflowError;
use super::{PATIENCE, Session, execution, text, within};
use crate::cli::{ChangeArgs, Target};
use crate::home::Identity;

impl Session {
    pub(super) async fn query(
        &mut self,
        target: &Target,
        name: &str,
        input: Option<&Value>,
    ) -> Result<(), WorkflowError> {
        let query = WorkflowQuery { query_type: name.to_owned(), query_args: input.map(payloads), header: None };
        let request = QueryWorkflowRequest {
            namespace: self.namespace.clone(),
            execution: Some(execution(target)),
            query: Some(query),
            ..QueryWorkflowRequest::default()
        };
        let mut service = self.client.connection().workflow_service();
        let answer = service.query_workflow(within(PATIENCE, request)).await?.into_inner();
        let answer = self.schema.json(&answer)?;
        if self.output.is_json() {
            return self.output.value(&answer);
        }
        self.output.line(&answer.get("queryResult").map(text::payloads).unwrap_or_default())
    }

    pub(super) async fn signal(
        &mut self,
        target: &Target,
        name: &str,
        input: Option<&Value>,
    ) -> Result<(), WorkflowError> {
        let request = SignalWorkflowExecutionRequest {
            namespace: self.namespace.clone(),
            workflow_execution: Some(execution(target)),
            signal_name: name.to_owned(),
            input: input.map(payloads),
            identity: Identity::own().to_string(),
            request_id: request_id(),
            ..SignalWorkflowExecutionRequest::default()
        };
        let mut service = self.client.connection().workflow_service();
        service.signal_workflow_execution(within(PATIENCE, request)).await?;
        self.done("signalled", target, None)
    }

    pub(super) async fn cancel(&mut self, change: &ChangeArgs) -> Result<(), WorkflowError> {
        let request = RequestCancelWorkflowExecutionRequest {
            namespace: self.namespace.clone(),
            workflow_execution: Some(execution(&change.target)),
            identity: Identity::own().to_string(),
            request_id: request_id(),
            reason: change.reason.clone(),
            ..RequestCancelWorkflowExecutionRequest::default()
        };
        let mut service = self.client.connection().workflow_service();
        service.request_cancel_workflow_execution(within(PATIENCE, request)).await?;
        self.done("asked to end", &change.target, None)
    }

    pub(super) async fn terminate(&mut self, change: &ChangeArgs) -> Result<(), WorkflowError> {
        let request = TerminateWorkflowExecutionRequest {
            namespace: self.namespace.clone(),
            workflow_execution: Some(execution(&change.target)),
            reason: change.reason.clone(),
            identity: Identity::own().to_string(),
            ..TerminateWorkflowExecutionRequest::default()
        };
        let mut service = self.client.connection().workflow_service();
        service.terminate_workflow_execution(within(PATIENCE, request)).await?;
        self.done("terminated", &change.target, None)
    }

    pub(super) async fn reset(&mut self, change: &ChangeArgs, event: i64) -> Result<(), WorkflowError> {
        let request = ResetWorkflowExecutionRequest {
            namespace: self.namespace.clone(),
            workflow_execution: Some(execution(&change.target)),
            reason: change.reason.clone(),
            workflow_task_finish_event_id: event,
            request_id: request_id(),
            identity: Identity::own().to_string(),
            ..ResetWorkflowExecutionRequest::default()
        };
        let mut service = self.client.connection().workflow_service();
        let answer = service.reset_workflow_execution(within(PATIENCE, request)).await?.into_inner();
        self.done("reset", &change.target, Some(&answer.run_id))
    }

    pub(super) async fn delete(&mut self, target: &Target) -> Result<(), WorkflowError> {
        let request = DeleteWorkflowExecutionRequest {
            namespace: self.namespace.clone(),
            workflow_execution: Some(execution(target)),
        };
        let mut service = self.client.connection().workflow_service();
        service.delete_workflow_execution(within(PATIENCE, request)).await?;
        self.done("deleted", target, None)
    }

    /// Says what was done; the server's own answers are empty but for the run that a reset began.
    fn done(&mut self, what: &str, target: &Target, new_run: Option<&str>) -> Result<(), WorkflowError> {
        if self.output.is_json() {
            let run = new_run.or(target.run_id.as_deref());
            return self.output.value(&json!({ "done": what, "workflowId": target.id, "runId": run }));
        }
        let run = new_run.map(|run| format!(", new run {run}")).unwrap_or_default();
        self.output.line(&format!("{}: {what}{run}", target.id))
    }
}

/// One argument, as SDKs read JSON.
fn payloads(value: &Value) -> Payloads {
    let metadata = [("encoding".to_owned(), b"json/plain".to_vec())].into();
    let payload = Payload { metadata, data: value.to_string().into_bytes(), ..Payload::default() };
    Payloads { payloads: vec![payload] }
}

/// Names this request, so that it is carried out once however often it arrives.
fn request_id() -> String {
    uuid::Uuid::new_v4().to_string()
}
