//! Updates, as clients ask for them and wait for them.

use std::sync::{Arc, OnceLock};

use temporalio_common::protos::temporal::api::{
    common::v1::{Link, WorkflowExecution, link},
    enums::v1::{EventType, UpdateWorkflowExecutionLifecycleStage as Stage},
    update::v1::{Meta, Outcome, Request, UpdateRef, WaitPolicy, outcome::Value},
    workflowservice::v1::{
        PollWorkflowExecutionUpdateRequest, PollWorkflowExecutionUpdateResponse, UpdateWorkflowExecutionRequest,
        UpdateWorkflowExecutionResponse,
    },
};
use tokio::sync::oneshot;
use tonic::Status;
use uuid::Uuid;

use super::{HISTORY_POLL, MAX_ID_LENGTH, Service, execution, refuse, status::permission_denied, workflow::same_chain};
use crate::core::{Core, Progress, Reached, UpdateWait, WaitFor};

/// An update that was asked for, checked.
pub(super) struct Asked {
    pub(super) namespace: String,
    pub(super) target: WorkflowExecution,
    pub(super) first_run_id: String,
    pub(super) update_id: String,
    pub(super) until: WaitFor,
    pub(super) request: Request,
}

impl Service {
    pub(super) async fn update_workflow_execution(
        &self,
        request: UpdateWorkflowExecutionRequest,
    ) -> Result<UpdateWorkflowExecutionResponse, Status> {
        let asked = asked(request)?;
        let (namespace, target, update_id) = (asked.namespace.clone(), asked.target.clone(), asked.update_id.clone());
        let reached = self
            .wait(update_id.clone(), asked.until, move |core, wait| {
                let found = core
                    .require_namespace(&asked.namespace)
                    .and_then(|()| core.find(&asked.namespace, &asked.target))
                    .and_then(|found| same_chain(core, found.key, &asked.first_run_id));
                match found {
                    Ok(key) => {
                        core.admit_update(key, asked.request, wait);
                        Some(key)
                    }
                    Err(status) => {
                        core.reply(wait.reply, Err(status));
                        None
                    }
                }
            })
            .await?;
        Ok(answer(&namespace, &target.workflow_id, update_id, reached))
    }

    pub(super) async fn poll_workflow_execution_update(
        &self,
        request: PollWorkflowExecutionUpdateRequest,
    ) -> Result<PollWorkflowExecutionUpdateResponse, Status> {
        let reference =
            request.update_ref.ok_or_else(|| Status::invalid_argument("UpdateRef is not set on request."))?;
        let target = execution(reference.workflow_execution)?;
        let (namespace, update_id) = (request.namespace, reference.update_id);
        let workflow_id = target.workflow_id.clone();
        let until = match stage(request.wait_policy) {
            Stage::Completed => WaitFor::Completed,
            Stage::Accepted => WaitFor::Accepted,
            Stage::Unspecified | Stage::Admitted => WaitFor::Nothing,
        };
        let reached = self
            .wait(update_id.clone(), until, move |core, wait| {
                match core.require_namespace(&namespace).and_then(|()| core.find(&namespace, &target)) {
                    Ok(found) => {
                        core.poll_update(found.key, wait);
                        Some(found.key)
                    }
                    Err(status) => {
                        core.reply(wait.reply, Err(status));
                        None
                    }
                }
            })
            .await?;
        let (stage, outcome) = shown(&reached.progress);
        Ok(PollWorkflowExecutionUpdateResponse {
            outcome,
            stage: stage.into(),
            update_ref: Some(reference_to(&workflow_id, update_id, reached.run_id)),
        })
    }

    /// Waits for an update that `ask` asks the core for; after a while, answers how far it is. `ask` answers which run has it.
    pub(super) async fn wait(
        &self,
        update_id: String,
        until: WaitFor,
        ask: impl FnOnce(&mut Core, UpdateWait) -> Option<i64> + Send + 'static,
    ) -> Result<Reached, Status> {
        let (reply, mut answer) = oneshot::channel();
        let wait = UpdateWait { id: self.poll_id(), update_id, until, reply };
        let (id, place) = (wait.id, Arc::new(OnceLock::new()));
        let found = Arc::clone(&place);
        self.core.send(Box::new(move |core| {
            if let Some(key) = ask(core, wait) {
                let _ = found.set(key);
            }
        }))?;
        let gone = || Status::unavailable("the engine is shut down");
        if let Ok(answer) = tokio::time::timeout(HISTORY_POLL, &mut answer).await {
            return answer.unwrap_or_else(|_| Err(gone()));
        }
        self.core.send(Box::new(move |core| {
            if let Some(key) = place.get() {
                core.end_update_wait(*key, id);
            }
        }))?;
        answer.await.unwrap_or_else(|_| Err(gone()))
    }
}

/// Checks a request (`prepareUpdateWorkflowRequest`).
pub(super) fn asked(request: UpdateWorkflowExecutionRequest) -> Result<Asked, Status> {
    let target = execution(request.workflow_execution)?;
    let mut update = request.request.unwrap_or_default();
    let meta = update.meta.take().ok_or_else(|| Status::invalid_argument("Update meta is not set on request."))?;
    if meta.update_id.len() > MAX_ID_LENGTH {
        return Err(Status::invalid_argument("UpdateId length exceeds limit."));
    }
    let input = update.input.as_ref().ok_or_else(|| Status::invalid_argument("Update input is not set on request."))?;
    if input.name.is_empty() {
        return Err(Status::invalid_argument("Update name is not set on request."));
    }
    refuse(!update.completion_callbacks.is_empty(), "an update's CompletionCallbacks")?;
    let until = match stage(request.wait_policy) {
        Stage::Completed | Stage::Unspecified => WaitFor::Completed,
        Stage::Accepted => WaitFor::Accepted,
        Stage::Admitted => {
            return Err(permission_denied(
                "UpdateWorkflowExecution issued asynchronously and waiting on update admitted is not supported.",
            ));
        }
    };
    let update_id = if meta.update_id.is_empty() { Uuid::new_v4().to_string() } else { meta.update_id };
    let meta = Meta { update_id: update_id.clone(), identity: meta.identity };
    Ok(Asked {
        namespace: request.namespace,
        target,
        first_run_id: request.first_execution_run_id,
        update_id,
        until,
        request: Request { meta: Some(meta), ..update },
    })
}

fn stage(policy: Option<WaitPolicy>) -> Stage {
    policy.map_or(Stage::Unspecified, |policy| policy.lifecycle_stage())
}

/// The answer to an update.
pub(super) fn answer(
    namespace: &str,
    workflow_id: &str,
    update_id: String,
    reached: Reached,
) -> UpdateWorkflowExecutionResponse {
    let (stage, outcome) = shown(&reached.progress);
    let link = link(namespace, workflow_id, &reached);
    UpdateWorkflowExecutionResponse {
        update_ref: Some(reference_to(workflow_id, update_id, reached.run_id)),
        outcome,
        stage: stage.into(),
        link,
    }
}

fn reference_to(workflow_id: &str, update_id: String, run_id: String) -> UpdateRef {
    let workflow_execution = Some(WorkflowExecution { workflow_id: workflow_id.to_owned(), run_id });
    UpdateRef { workflow_execution, update_id }
}

fn shown(progress: &Progress) -> (Stage, Option<Outcome>) {
    match progress {
        Progress::Admitted => (Stage::Admitted, None),
        Progress::Accepted => (Stage::Accepted, None),
        Progress::Ended(outcome) => (Stage::Completed, Some((**outcome).clone())),
    }
}

/// The event that a client may link to. The server gives none to what has failed, and calls all of that rejected.
fn link(namespace: &str, workflow_id: &str, reached: &Reached) -> Option<Link> {
    let (namespace, workflow_id, run_id) = (namespace.to_owned(), workflow_id.to_owned(), reached.run_id.clone());
    let failed = match &reached.progress {
        Progress::Admitted => return None,
        Progress::Accepted => false,
        Progress::Ended(outcome) => matches!(outcome.value, Some(Value::Failure(_))),
    };
    let variant = if failed {
        link::Variant::Workflow(link::Workflow { namespace, workflow_id, run_id, reason: "Update rejected".to_owned() })
    } else {
        let reference = link::workflow_event::RequestIdReference {
            event_type: EventType::WorkflowExecutionUpdateAccepted.into(),
            ..Default::default()
        };
        let reference = Some(link::workflow_event::Reference::RequestIdRef(reference));
        link::Variant::WorkflowEvent(link::WorkflowEvent { namespace, workflow_id, run_id, reference })
    };
    Some(Link { variant: Some(variant) })
}
