//! Update-with-start: a run is started, or found, and gets an update, in one transaction (`service/history/api/multioperation`).

use prost::Message as _;
use prost_wkt_types::Any;
use temporalio_common::protos::temporal::api::{
    common::v1::{Link, WorkflowExecution, link},
    enums::v1::{EventType, WorkflowExecutionStatus as RunStatus, WorkflowIdConflictPolicy as Conflict},
    errordetails::v1::{MultiOperationExecutionFailure, multi_operation_execution_failure::OperationStatus},
    failure::v1::MultiOperationExecutionAborted,
    workflowservice::v1::{
        ExecuteMultiOperationRequest, ExecuteMultiOperationResponse, StartWorkflowExecutionRequest,
        StartWorkflowExecutionResponse, UpdateWorkflowExecutionRequest,
        execute_multi_operation_request::operation,
        execute_multi_operation_response::{Response, response},
    },
};
use tonic::{Code, Status};

use super::{
    Service,
    start::{Start, Started, begin, start_of},
    status::{details, with_detail},
    update::{Asked, answer, asked},
};
use crate::{
    core::{Core, Reached},
    history::{UpdateRefused, UpdateStage},
};

/// Which operation a fault belongs to; the other one is aborted.
enum Fault {
    Start(Status),
    Update(Status),
}

/// The run that has the update, and how it came about.
struct Placed {
    key: i64,
    start: StartWorkflowExecutionResponse,
}

impl Service {
    pub(super) async fn execute_multi_operation(
        &self,
        request: ExecuteMultiOperationRequest,
    ) -> Result<ExecuteMultiOperationResponse, Status> {
        let namespace = request.namespace.clone();
        self.core
            .call(move |core, reply| {
                let known = core.require_namespace(&namespace);
                core.reply(reply, known);
            })
            .await?;
        let (start, update) = operations(request)?;
        match self.start_and_update(start.clone(), update.clone()).await {
            // A run that closes before it has seen the update may be followed by one that has not.
            Err((Fault::Update(status), false)) if is_closed(&status) => {
                self.start_and_update(start, update).await.map_err(|(fault, started)| match fault {
                    Fault::Update(status) if !started && is_closed(&status) => {
                        failed(&Fault::Update(Status::aborted(status.message())), started)
                    }
                    fault => failed(&fault, started),
                })
            }
            answered => answered.map_err(|(fault, started)| failed(&fault, started)),
        }
    }

    /// Does both. A fault comes with whether the run was started all the same.
    async fn start_and_update(
        &self,
        start: StartWorkflowExecutionRequest,
        update: UpdateWorkflowExecutionRequest,
    ) -> Result<ExecuteMultiOperationResponse, (Fault, bool)> {
        let namespace = start.namespace.clone();
        let start = checked_start(start).map_err(|status| (Fault::Start(status), false))?;
        let update = checked_update(update, start.workflow_id()).map_err(|status| (Fault::Update(status), false))?;
        let (workflow_id, update_id) = (start.workflow_id().to_owned(), update.update_id.clone());
        let (tell, told) = std::sync::mpsc::channel();
        let reached = self
            .wait(update_id.clone(), update.until, move |core, wait| match place(core, start, &update) {
                Ok(placed) => {
                    let _ = tell.send(placed.start);
                    core.admit_update(placed.key, update.request, wait);
                    Some(placed.key)
                }
                Err(status) => {
                    core.reply(wait.reply, Err(status));
                    None
                }
            })
            .await;
        let placed = told.try_recv().ok();
        match (reached, placed) {
            (Ok(reached), Some(placed)) => Ok(both(placed, &namespace, &workflow_id, update_id, reached)),
            (Err(status), Some(placed)) => Err((Fault::Update(status), placed.started)),
            (Err(status), None) => Err((Fault::Start(status), false)),
            (Ok(_), None) => Err((Fault::Start(Status::internal("a run has an update and no name")), false)),
        }
    }
}

/// The two operations, which must be a start and an update.
fn operations(
    request: ExecuteMultiOperationRequest,
) -> Result<(StartWorkflowExecutionRequest, UpdateWorkflowExecutionRequest), Status> {
    let namespace = request.namespace;
    let mut operations = request.operations.into_iter().map(|operation| operation.operation);
    match (operations.next(), operations.next(), operations.next()) {
        (
            Some(Some(operation::Operation::StartWorkflow(start))),
            Some(Some(operation::Operation::UpdateWorkflow(update))),
            None,
        ) => Ok((
            StartWorkflowExecutionRequest { namespace: namespace.clone(), ..start },
            UpdateWorkflowExecutionRequest { namespace, ..update },
        )),
        _ => Err(Status::invalid_argument("Operations have to be exactly [Start, Update].")),
    }
}

fn checked_start(start: StartWorkflowExecutionRequest) -> Result<Start, Status> {
    let refused = |what: &str| Err(Status::invalid_argument(what));
    if !start.cron_schedule.is_empty() {
        return refused("CronSchedule is not allowed.");
    }
    if start.request_eager_execution {
        return refused("RequestEagerExecution is not supported.");
    }
    if start.workflow_start_delay.is_some() {
        return refused("WorkflowStartDelay is not supported.");
    }
    start_of(start, Conflict::Fail)
}

fn checked_update(update: UpdateWorkflowExecutionRequest, workflow_id: &str) -> Result<Asked, Status> {
    let refused = |what: &str| Err(Status::invalid_argument(what));
    if update.workflow_execution.as_ref().is_some_and(|execution| !execution.run_id.is_empty()) {
        return refused("RunId is not allowed.");
    }
    if !update.first_execution_run_id.is_empty() {
        return refused("FirstExecutionRunId is not allowed.");
    }
    let asked = asked(update)?;
    if asked.target.workflow_id != workflow_id {
        return refused("WorkflowId is not consistent with previous operation(s).");
    }
    Ok(asked)
}

/// Finds the run that the update belongs to, or starts it.
fn place(core: &mut Core, start: Start, update: &Asked) -> Result<Placed, Status> {
    let current = WorkflowExecution { workflow_id: start.workflow_id().to_owned(), run_id: String::new() };
    if let Ok(found) = core.find(&update.namespace, &current) {
        let info = core.info(found.key)?;
        let open = core.live.get(&found.key).filter(|live| live.execution.is_open());
        let stage = match open {
            Some(live) => live.execution.update_stage(&update.update_id),
            None => info.closed_update(&update.update_id),
        };
        let over = matches!(stage, Some(UpdateStage::Completed { .. }));
        if over || (open.is_some() && (stage.is_some() || start.joins(&info))) {
            let start = StartWorkflowExecutionResponse {
                run_id: info.run_id.clone(),
                status: info.status,
                link: (!over).then(|| started_link(&update.namespace, &info.workflow_id, &info.run_id)),
                ..Default::default()
            };
            return Ok(Placed { key: found.key, start });
        }
    }
    let Started { run_id, first_run_id, .. } = begin(core, start, None)?;
    let key = core.find(&update.namespace, &current)?.key;
    let link = Some(started_link(&update.namespace, &current.workflow_id, &run_id));
    let start = StartWorkflowExecutionResponse {
        run_id,
        first_execution_run_id: first_run_id,
        started: true,
        status: RunStatus::Running.into(),
        link,
        ..Default::default()
    };
    Ok(Placed { key, start })
}

fn started_link(namespace: &str, workflow_id: &str, run_id: &str) -> Link {
    let reference =
        link::workflow_event::EventReference { event_id: 1, event_type: EventType::WorkflowExecutionStarted.into() };
    Link {
        variant: Some(link::Variant::WorkflowEvent(link::WorkflowEvent {
            namespace: namespace.to_owned(),
            workflow_id: workflow_id.to_owned(),
            run_id: run_id.to_owned(),
            reference: Some(link::workflow_event::Reference::EventRef(reference)),
        })),
    }
}

fn both(
    start: StartWorkflowExecutionResponse,
    namespace: &str,
    workflow_id: &str,
    update_id: String,
    reached: Reached,
) -> ExecuteMultiOperationResponse {
    let mut update = answer(namespace, workflow_id, update_id, reached);
    if start.link.is_none() {
        // An outcome of before comes without links.
        update.link = None;
    }
    let response = |response| Response { response: Some(response) };
    ExecuteMultiOperationResponse {
        responses: vec![
            response(response::Response::StartWorkflow(start)),
            response(response::Response::UpdateWorkflow(update)),
        ],
    }
}

fn is_closed(status: &Status) -> bool {
    status.code() == Code::NotFound && status.message() == UpdateRefused::Closed.to_string()
}

/// The fault of both, with one status for each. A run that was started stays.
fn failed(fault: &Fault, started: bool) -> Status {
    let own = |status: &Status| OperationStatus {
        code: status.code() as i32,
        message: status.message().to_owned(),
        details: details(status).into_iter().map(|(type_url, value)| Any { type_url, value }).collect(),
    };
    let aborted = || OperationStatus {
        code: Code::Aborted as i32,
        message: "Operation was aborted.".to_owned(),
        details: vec![Any {
            type_url: "type.googleapis.com/temporal.api.failure.v1.MultiOperationExecutionAborted".to_owned(),
            value: MultiOperationExecutionAborted {}.encode_to_vec(),
        }],
    };
    let (code, statuses) = match fault {
        Fault::Start(status) => (status.code(), vec![own(status), aborted()]),
        Fault::Update(status) if started => (status.code(), vec![OperationStatus::default(), own(status)]),
        Fault::Update(status) => (status.code(), vec![aborted(), own(status)]),
    };
    let detail = MultiOperationExecutionFailure { statuses };
    let name = "temporal.api.errordetails.v1.MultiOperationExecutionFailure";
    with_detail(code, "Update-with-Start could not be executed.", name, &detail)
}
