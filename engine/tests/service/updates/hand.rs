//! What a client and a worker do by hand, and how it is shown.

use std::time::Duration;

use prost::Message as _;
use prost_wkt_types::Any;
use temporalio_common::protos::temporal::api::{
    command::v1::{Command, ProtocolMessageCommandAttributes, command::Attributes},
    common::v1::{WorkflowExecution, link},
    enums::v1::UpdateWorkflowExecutionLifecycleStage as Stage,
    failure::v1::Failure,
    history::v1::{HistoryEvent, history_event::Attributes as Event},
    protocol::v1::{Message, message::SequencingId},
    update::v1::{
        Acceptance, Input, Meta, Outcome, Rejection, Request, Response, UpdateRef, WaitPolicy, outcome::Value,
    },
    workflowservice::v1::{
        PollWorkflowExecutionUpdateRequest, PollWorkflowExecutionUpdateResponse, PollWorkflowTaskQueueResponse,
        RespondWorkflowTaskCompletedRequest, RespondWorkflowTaskCompletedResponse, UpdateWorkflowExecutionRequest,
        UpdateWorkflowExecutionResponse,
    },
};
use tonic::Status;

use crate::{
    hand::{command, execution, name, payloads},
    home::{Home, NAMESPACE},
};
/// An update of `id`, to be waited for until it is over.
pub(super) fn update(id: &str, update_id: &str) -> UpdateWorkflowExecutionRequest {
    UpdateWorkflowExecutionRequest {
        namespace: NAMESPACE.into(),
        workflow_execution: execution(id),
        wait_policy: Some(WaitPolicy { lifecycle_stage: Stage::Completed.into() }),
        request: Some(Request {
            meta: Some(Meta { update_id: update_id.into(), identity: "client".into() }),
            input: Some(Input { name: "change".into(), args: payloads(b"much"), ..Input::default() }),
            ..Request::default()
        }),
        ..Default::default()
    }
}

pub(super) async fn ask_for(home: &Home, request: UpdateWorkflowExecutionRequest) -> String {
    let answer: Result<UpdateWorkflowExecutionResponse, Status> = home.call("UpdateWorkflowExecution", request).await;
    let shown = answer.map(|answer| {
        let link = answer.link.and_then(|link| link.variant).map(|variant| match variant {
            link::Variant::WorkflowEvent(link) => format!("{:?}", link.reference),
            link::Variant::Workflow(link) => link.reason,
            other => format!("{other:?}"),
        });
        format!("{:?} {}, link {link:?}", Stage::try_from(answer.stage), outcome(answer.outcome))
    });
    shown.unwrap_or_else(refused)
}

pub(super) async fn ask(home: &Home, id: &str, update_id: &str) -> String {
    ask_for(home, update(id, update_id)).await
}

/// Asks, and waits no longer than until it is accepted.
pub(super) async fn begin(home: &Home, id: &str, update_id: &str) -> String {
    let wait_policy = Some(WaitPolicy { lifecycle_stage: Stage::Accepted.into() });
    ask_for(home, UpdateWorkflowExecutionRequest { wait_policy, ..update(id, update_id) }).await
}

pub(super) async fn look(home: &Home, id: &str, update_id: &str, stage: Stage) -> String {
    look_at(home, execution(id), update_id, stage).await
}

pub(super) async fn look_at(
    home: &Home,
    workflow_execution: Option<WorkflowExecution>,
    update_id: &str,
    stage: Stage,
) -> String {
    let request = PollWorkflowExecutionUpdateRequest {
        namespace: NAMESPACE.into(),
        update_ref: Some(UpdateRef { workflow_execution, update_id: update_id.into() }),
        wait_policy: Some(WaitPolicy { lifecycle_stage: stage.into() }),
        ..Default::default()
    };
    let answer: Result<PollWorkflowExecutionUpdateResponse, Status> =
        home.call("PollWorkflowExecutionUpdate", request).await;
    let shown = answer.map(|answer| format!("{:?} {}", Stage::try_from(answer.stage), outcome(answer.outcome)));
    shown.unwrap_or_else(refused)
}

#[allow(clippy::needless_pass_by_value, reason = "it is given to map_or_else")]
pub(super) fn refused(status: Status) -> String {
    format!("{:?}: {}", status.code(), status.message())
}

pub(super) fn outcome(outcome: Option<Outcome>) -> String {
    match outcome.and_then(|outcome| outcome.value) {
        None => "no outcome".into(),
        Some(Value::Success(payloads)) => format!("success {:?}", payloads.payloads.first().map(|p| p.data.clone())),
        Some(Value::Failure(failure)) => format!("failure {} {:?}", failure.message, failure.failure_info),
    }
}

/// Waits until the update is there.
pub(super) async fn until_there(home: &Home, id: &str, update_id: &str) {
    for _ in 0..400 {
        if look(home, id, update_id, Stage::Unspecified).await.starts_with("Ok") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("{update_id} does not come");
}

pub(super) fn message(update_id: &str, kind: &str, body: &impl prost::Message) -> Message {
    Message {
        id: format!("{update_id}/{kind}"),
        protocol_instance_id: update_id.into(),
        body: Some(Any {
            type_url: format!("type.googleapis.com/temporal.api.update.v1.{kind}"),
            value: body.encode_to_vec(),
        }),
        ..Message::default()
    }
}

/// The sequencing id of a message, and the request in it.
pub(super) fn request_of(message: &Message) -> (i64, Request) {
    let Some(SequencingId::EventId(event_id)) = message.sequencing_id else { panic!("no event id: {message:?}") };
    (event_id, Request::decode(message.body.clone().unwrap().value.as_slice()).unwrap())
}

pub(super) fn accept(asked: &Message) -> Message {
    let (event_id, request) = request_of(asked);
    let accept = Acceptance {
        accepted_request_message_id: asked.id.clone(),
        accepted_request_sequencing_event_id: event_id,
        accepted_request: Some(request),
    };
    message(&asked.protocol_instance_id, "Acceptance", &accept)
}

pub(super) fn reject(asked: &Message) -> Message {
    let (event_id, request) = request_of(asked);
    let reject = Rejection {
        rejected_request_message_id: asked.id.clone(),
        rejected_request_sequencing_event_id: event_id,
        rejected_request: Some(request),
        failure: Some(Failure { message: "no".into(), ..Failure::default() }),
    };
    message(&asked.protocol_instance_id, "Rejection", &reject)
}

pub(super) fn respond(update_id: &str) -> Message {
    let meta = Some(Meta { update_id: update_id.into(), ..Meta::default() });
    let outcome = Some(Outcome { value: payloads(b"done").map(Value::Success) });
    message(update_id, "Response", &Response { meta, outcome })
}

/// The command that points to a message.
pub(super) fn point(message: &Message) -> Command {
    command(Attributes::ProtocolMessageCommandAttributes(ProtocolMessageCommandAttributes {
        message_id: message.id.clone(),
    }))
}

/// Completes a task with messages, and a command for each that needs one.
pub(super) async fn answer(
    home: &Home,
    task: PollWorkflowTaskQueueResponse,
    messages: Vec<Message>,
    then: Vec<Command>,
) -> String {
    let events = messages.iter().filter(|message| !message.id.ends_with("Rejection"));
    let commands = events.map(point).chain(then).collect();
    send(
        home,
        RespondWorkflowTaskCompletedRequest { task_token: task.task_token, commands, messages, ..respond_task() },
    )
    .await
    .map_or_else(refused, |answer| format!("reset to {}", answer.reset_history_event_id))
}

pub(super) fn respond_task() -> RespondWorkflowTaskCompletedRequest {
    RespondWorkflowTaskCompletedRequest { namespace: NAMESPACE.into(), identity: "worker".into(), ..Default::default() }
}

pub(super) async fn send(
    home: &Home,
    request: RespondWorkflowTaskCompletedRequest,
) -> Result<RespondWorkflowTaskCompletedResponse, Status> {
    home.call("RespondWorkflowTaskCompleted", request).await
}

pub(super) fn shown(task: &PollWorkflowTaskQueueResponse) -> String {
    let events = task.history.clone().unwrap_or_default().events;
    let events: Vec<_> = events.iter().map(|event| format!("{} {}", event.event_id, name(event))).collect();
    let messages: Vec<_> = task.messages.iter().map(|m| format!("{} at {}", m.id, request_of(m).0)).collect();
    format!(
        "attempt {}, started {}, previous {}: {}; {messages:?}",
        task.attempt,
        task.started_event_id,
        task.previous_started_event_id,
        events.join(", ")
    )
}

/// What the history keeps. A server shows a task that it has not written after that.
pub(super) async fn kept(home: &Home, id: &str) -> String {
    let length = home.describe(id).await.workflow_execution_info.unwrap().history_length;
    let history = home.history(id).await;
    let lines = history.iter().filter(|event| event.event_id <= length).map(line);
    lines.collect::<Vec<_>>().join(", ")
}

pub(super) fn line(event: &HistoryEvent) -> String {
    let detail = match event.attributes.as_ref().unwrap() {
        Event::WorkflowExecutionUpdateAcceptedEventAttributes(a) => format!(" {a:?}"),
        Event::WorkflowExecutionUpdateCompletedEventAttributes(a) => format!(" {a:?}"),
        Event::WorkflowTaskFailedEventAttributes(a) => {
            format!(" {:?} {:?}", a.cause(), a.failure.as_ref().map(|failure| &failure.message))
        }
        Event::WorkflowTaskTimedOutEventAttributes(a) => format!(" {:?}", a.timeout_type()),
        Event::WorkflowTaskScheduledEventAttributes(a) => format!(" attempt {}", a.attempt),
        _ => String::new(),
    };
    format!("{}{detail}", name(event))
}

/// A run that has nothing to do.
pub(super) async fn idle(home: &Home, id: &str) {
    home.start(id).await;
    let task = home.workflow_task(id).await;
    home.complete(task.task_token, vec![]).await.unwrap();
}
