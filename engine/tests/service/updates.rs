//! Updates by hand: what each step of them answers and leaves in the history.

use std::time::Duration;

use prost::Message as _;
use prost_wkt_types::Any;
use temporalio_common::protos::temporal::api::{
    command::v1::{
        Command, ContinueAsNewWorkflowExecutionCommandAttributes, ProtocolMessageCommandAttributes, command::Attributes,
    },
    common::v1::{WorkflowExecution, link},
    enums::v1::{UpdateWorkflowExecutionLifecycleStage as Stage, WorkflowIdConflictPolicy as Conflict},
    failure::v1::Failure,
    history::v1::{HistoryEvent, history_event::Attributes as Event},
    protocol::v1::{Message, message::SequencingId},
    update::v1::{
        Acceptance, Input, Meta, Outcome, Rejection, Request, Response, UpdateRef, WaitPolicy, outcome::Value,
    },
    workflowservice::v1::{
        ExecuteMultiOperationRequest, ExecuteMultiOperationResponse, PollWorkflowExecutionUpdateRequest,
        PollWorkflowExecutionUpdateResponse, PollWorkflowTaskQueueResponse, RespondWorkflowTaskCompletedRequest,
        RespondWorkflowTaskCompletedResponse, StartWorkflowExecutionRequest, UpdateWorkflowExecutionRequest,
        UpdateWorkflowExecutionResponse,
        execute_multi_operation_request::{Operation, operation},
        execute_multi_operation_response::response,
    },
};
use tonic::{Code, Status};

use crate::{
    hand::{command, complete, execution, name, payloads, seconds, soon, start},
    home::{Home, NAMESPACE},
};

/// An update of `id`, to be waited for until it is over.
fn update(id: &str, update_id: &str) -> UpdateWorkflowExecutionRequest {
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

async fn ask_for(home: &Home, request: UpdateWorkflowExecutionRequest) -> String {
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

async fn ask(home: &Home, id: &str, update_id: &str) -> String {
    ask_for(home, update(id, update_id)).await
}

/// Asks, and waits no longer than until it is accepted.
async fn begin(home: &Home, id: &str, update_id: &str) -> String {
    let wait_policy = Some(WaitPolicy { lifecycle_stage: Stage::Accepted.into() });
    ask_for(home, UpdateWorkflowExecutionRequest { wait_policy, ..update(id, update_id) }).await
}

async fn look(home: &Home, id: &str, update_id: &str, stage: Stage) -> String {
    look_at(home, execution(id), update_id, stage).await
}

async fn look_at(home: &Home, workflow_execution: Option<WorkflowExecution>, update_id: &str, stage: Stage) -> String {
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
fn refused(status: Status) -> String {
    format!("{:?}: {}", status.code(), status.message())
}

fn outcome(outcome: Option<Outcome>) -> String {
    match outcome.and_then(|outcome| outcome.value) {
        None => "no outcome".into(),
        Some(Value::Success(payloads)) => format!("success {:?}", payloads.payloads.first().map(|p| p.data.clone())),
        Some(Value::Failure(failure)) => format!("failure {} {:?}", failure.message, failure.failure_info),
    }
}

/// Waits until the update is there.
async fn until_there(home: &Home, id: &str, update_id: &str) {
    for _ in 0..400 {
        if look(home, id, update_id, Stage::Unspecified).await.starts_with("Ok") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("{update_id} does not come");
}

fn message(update_id: &str, kind: &str, body: &impl prost::Message) -> Message {
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
fn request_of(message: &Message) -> (i64, Request) {
    let Some(SequencingId::EventId(event_id)) = message.sequencing_id else { panic!("no event id: {message:?}") };
    (event_id, Request::decode(message.body.clone().unwrap().value.as_slice()).unwrap())
}

fn accept(asked: &Message) -> Message {
    let (event_id, request) = request_of(asked);
    let accept = Acceptance {
        accepted_request_message_id: asked.id.clone(),
        accepted_request_sequencing_event_id: event_id,
        accepted_request: Some(request),
    };
    message(&asked.protocol_instance_id, "Acceptance", &accept)
}

fn reject(asked: &Message) -> Message {
    let (event_id, request) = request_of(asked);
    let reject = Rejection {
        rejected_request_message_id: asked.id.clone(),
        rejected_request_sequencing_event_id: event_id,
        rejected_request: Some(request),
        failure: Some(Failure { message: "no".into(), ..Failure::default() }),
    };
    message(&asked.protocol_instance_id, "Rejection", &reject)
}

fn respond(update_id: &str) -> Message {
    let meta = Some(Meta { update_id: update_id.into(), ..Meta::default() });
    let outcome = Some(Outcome { value: payloads(b"done").map(Value::Success) });
    message(update_id, "Response", &Response { meta, outcome })
}

/// The command that points to a message.
fn point(message: &Message) -> Command {
    command(Attributes::ProtocolMessageCommandAttributes(ProtocolMessageCommandAttributes {
        message_id: message.id.clone(),
    }))
}

/// Completes a task with messages, and a command for each that needs one.
async fn answer(
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

fn respond_task() -> RespondWorkflowTaskCompletedRequest {
    RespondWorkflowTaskCompletedRequest { namespace: NAMESPACE.into(), identity: "worker".into(), ..Default::default() }
}

async fn send(
    home: &Home,
    request: RespondWorkflowTaskCompletedRequest,
) -> Result<RespondWorkflowTaskCompletedResponse, Status> {
    home.call("RespondWorkflowTaskCompleted", request).await
}

fn shown(task: &PollWorkflowTaskQueueResponse) -> String {
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
async fn kept(home: &Home, id: &str) -> String {
    let length = home.describe(id).await.workflow_execution_info.unwrap().history_length;
    let history = home.history(id).await;
    let lines = history.iter().filter(|event| event.event_id <= length).map(line);
    lines.collect::<Vec<_>>().join(", ")
}

fn line(event: &HistoryEvent) -> String {
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
async fn idle(home: &Home, id: &str) {
    home.start(id).await;
    let task = home.workflow_task(id).await;
    home.complete(task.task_token, vec![]).await.unwrap();
}

async fn accepted_and_completed(home: &Home) -> Vec<String> {
    let id = "update-completed";
    idle(home, id).await;
    let worker = async {
        let task = home.workflow_task(id).await;
        let seen = shown(&task);
        let messages = vec![accept(&task.messages[0]), respond("u")];
        vec![seen, answer(home, task, messages, vec![]).await]
    };
    let (first, second, mut seen) = tokio::join!(ask(home, id, "u"), ask(home, id, "u"), worker);
    seen.extend([first, second, ask(home, id, "u").await, begin(home, id, "u").await]);
    for stage in [Stage::Unspecified, Stage::Accepted, Stage::Completed] {
        seen.push(look(home, id, "u", stage).await);
    }
    seen.extend([look(home, id, "other", Stage::Completed).await, kept(home, id).await]);
    seen
}

async fn rejected(home: &Home) -> Vec<String> {
    let id = "update-rejected";
    idle(home, id).await;
    let mut seen = Vec::new();
    for says_no in [true, false] {
        let worker = async {
            let task = home.workflow_task(id).await;
            let said = if says_no { vec![reject(&task.messages[0])] } else { vec![] };
            vec![shown(&task), kept(home, id).await, answer(home, task, said, vec![]).await]
        };
        let (asked, worker) = tokio::join!(ask(home, id, "u"), worker);
        seen.extend(worker);
        seen.extend([asked, look(home, id, "u", Stage::Completed).await, kept(home, id).await]);
    }
    seen
}

/// What comes while only an update has a task makes that a normal one.
async fn joined(home: &Home, id: &str, started: bool) -> Vec<String> {
    idle(home, id).await;
    let worker = async {
        let task = if started {
            let task = home.workflow_task(id).await;
            home.signal(id, "news").await.unwrap();
            task
        } else {
            until_there(home, id, "u").await;
            home.signal(id, "news").await.unwrap();
            home.workflow_task(id).await
        };
        let said = vec![reject(&task.messages[0])];
        vec![shown(&task), kept(home, id).await, answer(home, task, said, vec![]).await]
    };
    let (asked, mut seen) = tokio::join!(ask(home, id, "u"), worker);
    seen.extend([asked, kept(home, id).await]);
    seen
}

async fn before_the_first_task(home: &Home) -> Vec<String> {
    let (id, late) = ("update-first", "update-delayed");
    home.start(id).await;
    let mut seen = Vec::new();
    for id in [id, late] {
        if id == late {
            // A server forgets the first task of a run whose delay ends while an update's task is under way.
            let delayed = StartWorkflowExecutionRequest { workflow_start_delay: seconds(8), ..start(late) };
            home.try_start(delayed).await.unwrap();
        }
        let worker = async {
            until_there(home, id, "u").await;
            let task = home.workflow_task(id).await;
            let said = vec![reject(&task.messages[0])];
            vec![shown(&task), answer(home, task, said, vec![]).await]
        };
        let (asked, worker) = tokio::join!(ask(home, id, "u"), worker);
        seen.extend(worker);
        seen.extend([asked, kept(home, id).await]);
    }
    home.pass(Duration::from_secs(9)).await;
    seen.push(shown(&home.workflow_task(late).await));
    seen
}

/// An update that comes while a worker has the task gets the next one: a speculative one when the worker takes it at once.
async fn meanwhile(home: &Home, id: &str, at_once: bool) -> Vec<String> {
    home.start(id).await;
    let task = home.workflow_task(id).await;
    let worker = async {
        until_there(home, id, "u").await;
        let task_token = task.task_token;
        let request =
            RespondWorkflowTaskCompletedRequest { task_token, return_new_workflow_task: at_once, ..respond_task() };
        let answered = send(home, request).await.unwrap();
        let between = kept(home, id).await;
        let task = match answered.workflow_task {
            Some(task) if at_once => task,
            _ => home.workflow_task(id).await,
        };
        // With the answer comes what is new since the last task, and that is what a sticky worker wants.
        let messages = task.messages.clone();
        vec![between, format!("{messages:?}"), answer(home, task, vec![reject(&messages[0])], vec![]).await]
    };
    let (asked, mut seen) = tokio::join!(ask(home, id, "u"), worker);
    seen.extend([asked, kept(home, id).await]);
    seen
}

async fn closed_before_the_answer(home: &Home) -> Vec<String> {
    let id = "update-unanswered";
    idle(home, id).await;
    let worker = async {
        let task = home.workflow_task(id).await;
        until_there(home, id, "later").await;
        answer(home, task, vec![], vec![complete()]).await
    };
    let later = async {
        until_there(home, id, "u").await;
        ask(home, id, "later").await
    };
    let (asked, later, worker) = tokio::join!(ask(home, id, "u"), later, worker);
    vec![worker, asked, later, ask(home, id, "new").await, kept(home, id).await]
}

/// Accepts `u` of an idle run.
async fn accepted(home: &Home, id: &str) -> Vec<String> {
    idle(home, id).await;
    let worker = async {
        let task = home.workflow_task(id).await;
        let said = vec![accept(&task.messages[0])];
        answer(home, task, said, vec![]).await
    };
    let (asked, worker) = tokio::join!(begin(home, id, "u"), worker);
    let mut seen = vec![worker, asked];
    for stage in [Stage::Unspecified, Stage::Admitted, Stage::Accepted] {
        seen.push(look(home, id, "u", stage).await);
    }
    seen
}

async fn closed_after_the_acceptance(home: &Home) -> Vec<String> {
    let id = "update-abandoned";
    let mut seen = accepted(home, id).await;
    let worker = async {
        home.signal(id, "end").await.unwrap();
        let task = home.workflow_task(id).await;
        vec![shown(&task), answer(home, task, vec![], vec![complete()]).await]
    };
    let (waits, worker) = tokio::join!(look(home, id, "u", Stage::Completed), worker);
    seen.extend(worker);
    seen.extend([waits, ask(home, id, "u").await, begin(home, id, "u").await]);
    seen.extend([look(home, id, "u", Stage::Unspecified).await, ask(home, id, "new").await, kept(home, id).await]);
    seen
}

async fn terminated(home: &Home) -> Vec<String> {
    let id = "update-terminated";
    let mut seen = accepted(home, id).await;
    let end = async {
        until_there(home, id, "unseen").await;
        home.terminate(id).await.unwrap();
    };
    let (waits, unseen, ()) = tokio::join!(look(home, id, "u", Stage::Completed), ask(home, id, "unseen"), end);
    seen.extend([waits, unseen, kept(home, id).await]);
    let id = "update-terminated-started";
    idle(home, id).await;
    let end = async {
        home.workflow_task(id).await;
        home.terminate(id).await.unwrap();
    };
    let (asked, ()) = tokio::join!(ask(home, id, "u"), end);
    seen.extend([asked, kept(home, id).await]);
    seen
}

async fn continued_as_new(home: &Home) -> Vec<String> {
    let id = "update-continued";
    let mut seen = accepted(home, id).await;
    home.signal(id, "end").await.unwrap();
    let task = home.workflow_task(id).await;
    let run = task.workflow_execution.clone().unwrap();
    let attributes = ContinueAsNewWorkflowExecutionCommandAttributes::default();
    let next = command(Attributes::ContinueAsNewWorkflowExecutionCommandAttributes(attributes));
    let worker = async {
        until_there(home, id, "later").await;
        answer(home, task, vec![], vec![next]).await
    };
    let (waits, later, worker) =
        tokio::join!(look_at(home, Some(run.clone()), "u", Stage::Completed), ask(home, id, "later"), worker);
    let old = UpdateWorkflowExecutionRequest {
        workflow_execution: Some(WorkflowExecution { workflow_id: id.into(), run_id: run.run_id }),
        ..update(id, "u")
    };
    seen.extend([format!("next: {worker}"), format!("waits: {waits}"), format!("later: {later}")]);
    seen.extend([ask_for(home, old).await, look(home, id, "u", Stage::Unspecified).await]);
    seen
}

/// The task that has an update fails, or times out: the next has it too.
async fn task_fails(home: &Home) -> Vec<String> {
    let id = "update-task-fails";
    idle(home, id).await;
    let worker = async {
        let task = home.workflow_task(id).await;
        home.fail_task(task.task_token).await.unwrap();
        let between = kept(home, id).await;
        let task = home.workflow_task(id).await;
        let said = vec![accept(&task.messages[0]), respond("u")];
        vec![between, shown(&task), answer(home, task, said, vec![]).await]
    };
    let (asked, mut seen) = tokio::join!(ask(home, id, "u"), worker);
    seen.extend([asked, kept(home, id).await]);
    let id = "update-task-keeps-failing";
    home.start(id).await;
    for _ in 0..2 {
        let task = home.workflow_task(id).await;
        home.fail_task(task.task_token).await.unwrap();
    }
    seen.push(ask(home, id, "u").await);
    seen
}

/// Nobody takes the task of an update in time: a normal one follows.
async fn nobody_polls(home: &Home) -> Vec<String> {
    let id = "update-nobody-polls";
    idle(home, id).await;
    let worker = async {
        until_there(home, id, "u").await;
        home.pass(Duration::from_millis(6_500)).await;
        let between = kept(home, id).await;
        let task = home.workflow_task(id).await;
        let said = vec![reject(&task.messages[0])];
        vec![between, shown(&task), answer(home, task, said, vec![]).await]
    };
    let (asked, mut seen) = tokio::join!(ask(home, id, "u"), worker);
    seen.extend([asked, kept(home, id).await]);
    seen
}

/// What a worker may get wrong.
async fn wrong_messages(home: &Home) -> Vec<String> {
    type Wrong = fn(&Message) -> (Vec<Command>, Vec<Message>);
    let cases: [(&str, Wrong); 9] = [
        ("unknown", |_| (vec![], vec![message("nobody's", "Acceptance", &Acceptance::default())])),
        ("absent", |asked| (vec![point(&respond("u"))], vec![accept(asked)])),
        ("response first", |_| (vec![], vec![respond("u")])),
        ("twice", |asked| (vec![], vec![accept(asked), accept(asked)])),
        ("bare", |_| (vec![], vec![message("u", "Acceptance", &Acceptance::default())])),
        ("of another", |asked| {
            (
                vec![],
                vec![
                    accept(asked),
                    message(
                        "u",
                        "Response",
                        &Response {
                            meta: Some(Meta { update_id: "v".into(), ..Meta::default() }),
                            outcome: Some(Outcome::default()),
                        },
                    ),
                ],
            )
        }),
        ("no update's", |_| (vec![], vec![message("u", "Meta", &Meta::default())])),
        ("without commands", |asked| (vec![], vec![accept(asked), respond("u")])),
        ("accepted and closed", |asked| (vec![point(&accept(asked)), complete()], vec![accept(asked)])),
    ];
    let mut seen = Vec::new();
    for (what, wrong) in cases {
        let id = format!("update-wrong-{what}");
        idle(home, &id).await;
        let worker = async {
            let task = home.workflow_task(&id).await;
            let (commands, messages) = wrong(&task.messages[0]);
            let task_token = task.task_token;
            let request = RespondWorkflowTaskCompletedRequest { task_token, commands, messages, ..respond_task() };
            send(home, request).await.map_or_else(refused, |_| "taken".into())
        };
        let (asked, worker) = tokio::join!(ask(home, &id, "u"), worker);
        seen.push(format!("{what}: {worker}; {asked}; {}", kept(home, &id).await));
    }
    seen
}

/// What a client may get wrong.
async fn wrong_requests(home: &Home) -> Vec<String> {
    let id = "update-wrong";
    idle(home, id).await;
    let good = || update(id, "u").request.unwrap();
    let meta = |update_id: String| Request { meta: Some(Meta { update_id, ..Meta::default() }), ..good() };
    let with = |request: Request| UpdateWorkflowExecutionRequest { request: Some(request), ..update(id, "u") };
    let admitted = Some(WaitPolicy { lifecycle_stage: Stage::Admitted.into() });
    let uuid = uuid::Uuid::now_v7().to_string();
    let requests = [
        UpdateWorkflowExecutionRequest { workflow_execution: None, ..update(id, "u") },
        UpdateWorkflowExecutionRequest { request: None, ..update(id, "u") },
        with(Request { meta: None, ..good() }),
        with(Request { input: None, ..good() }),
        with(Request { input: Some(Input::default()), ..good() }),
        with(meta("x".repeat(1_001))),
        UpdateWorkflowExecutionRequest { wait_policy: admitted, ..update(id, "u") },
        UpdateWorkflowExecutionRequest { first_execution_run_id: uuid, ..update(id, "u") },
        UpdateWorkflowExecutionRequest { namespace: "nowhere".into(), ..update(id, "u") },
        update("update-nobody", "u"),
    ];
    let mut seen = Vec::new();
    for request in requests {
        seen.push(ask_for(home, request).await);
    }
    seen.extend([look(home, id, "", Stage::Completed).await, look(home, "update-nobody", "u", Stage::Completed).await]);
    seen
}

/// Update-with-start: of a new run, of one that is there, of one that must not be there.
async fn with_start(home: &Home) -> Vec<String> {
    let id = "update-with-start";
    let ask = async |update_id: &str, conflict: Conflict| {
        let operation = |operation| Operation { operation: Some(operation) };
        let start = StartWorkflowExecutionRequest { workflow_id_conflict_policy: conflict.into(), ..start(id) };
        let operations = vec![
            operation(operation::Operation::StartWorkflow(start)),
            operation(operation::Operation::UpdateWorkflow(update(id, update_id))),
        ];
        let request = ExecuteMultiOperationRequest { namespace: NAMESPACE.into(), operations, ..Default::default() };
        let answer: Result<ExecuteMultiOperationResponse, Status> = home.call("ExecuteMultiOperation", request).await;
        let responses = answer.map(|answer| answer.responses.into_iter().filter_map(|response| response.response));
        let one = |response| match response {
            response::Response::StartWorkflow(start) => {
                format!("started {}, {:?}, link {}", start.started, start.status(), start.link.is_some())
            }
            response::Response::UpdateWorkflow(update) => {
                format!("{:?} {}, link {}", update.stage(), outcome(update.outcome), update.link.is_some())
            }
        };
        responses.map_or_else(refused, |all| all.map(one).collect::<Vec<_>>().join("; "))
    };
    let mut seen = Vec::new();
    for update_id in ["u", "v"] {
        let worker = async {
            let task = home.workflow_task(id).await;
            let said = vec![accept(&task.messages[0]), respond(update_id)];
            vec![shown(&task), answer(home, task, said, vec![]).await]
        };
        let (asked, worker) = tokio::join!(ask(update_id, Conflict::UseExisting), worker);
        seen.extend(worker);
        seen.push(asked);
    }
    seen.extend([ask("u", Conflict::Fail).await, ask("new", Conflict::Fail).await, kept(home, id).await]);
    home.signal(id, "end").await.unwrap();
    let task = home.workflow_task(id).await;
    let closes = async {
        until_there(home, id, "w").await;
        answer(home, task, vec![], vec![complete()]).await;
        let task = home.workflow_task(id).await;
        let said = vec![reject(&task.messages[0])];
        vec![shown(&task), answer(home, task, said, vec![]).await]
    };
    let (asked, closes) = tokio::join!(ask("w", Conflict::UseExisting), closes);
    seen.extend(closes);
    seen.extend([asked, kept(home, id).await]);
    seen
}

/// What an update-with-start may get wrong.
async fn wrong_starts(home: &Home) -> Vec<String> {
    let id = "update-wrong-start";
    let uuid = uuid::Uuid::now_v7().to_string();
    let run = Some(WorkflowExecution { workflow_id: id.into(), run_id: uuid.clone() });
    let pairs = [
        (StartWorkflowExecutionRequest { cron_schedule: "* * * * *".into(), ..start(id) }, update(id, "u")),
        (StartWorkflowExecutionRequest { workflow_start_delay: seconds(1), ..start(id) }, update(id, "u")),
        (StartWorkflowExecutionRequest { request_eager_execution: true, ..start(id) }, update(id, "u")),
        (start(id), update("another", "u")),
        (start(id), UpdateWorkflowExecutionRequest { workflow_execution: run, ..update(id, "u") }),
        (start(id), UpdateWorkflowExecutionRequest { first_execution_run_id: uuid, ..update(id, "u") }),
        (start(id), UpdateWorkflowExecutionRequest { request: None, ..update(id, "u") }),
    ];
    let mut seen = Vec::new();
    for (start, update) in pairs {
        let operations = vec![
            Operation { operation: Some(operation::Operation::StartWorkflow(start)) },
            Operation { operation: Some(operation::Operation::UpdateWorkflow(update)) },
        ];
        for operations in [operations.clone(), operations.into_iter().rev().collect()] {
            let request =
                ExecuteMultiOperationRequest { namespace: NAMESPACE.into(), operations, ..Default::default() };
            let answer: Result<ExecuteMultiOperationResponse, Status> =
                home.call("ExecuteMultiOperation", request).await;
            let status = answer.unwrap_err();
            // The details say which operation is at fault: they are the same bytes.
            seen.push(format!("{:?}: {} {:?}", status.code(), status.message(), status.details()));
        }
    }
    seen
}

/// One update too many at a time.
async fn too_many(home: &Home) -> Vec<String> {
    let id = "update-many";
    idle(home, id).await;
    let names: Vec<_> = (0..10).map(|number| format!("u{number}")).collect();
    let asked = futures::future::join_all(names.iter().map(|name| ask(home, id, name)));
    let worker = async {
        for name in &names {
            until_there(home, id, name).await;
        }
        let more = ask(home, id, "one more").await;
        // A server may have told its clients of an update a moment before it sends it along.
        let mut left = names.len();
        while left > 0 {
            let task = home.workflow_task(id).await;
            left -= task.messages.len();
            let said = task.messages.iter().map(reject).collect();
            answer(home, task, said, vec![]).await;
        }
        vec![more]
    };
    let (asked, mut seen) = tokio::join!(asked, worker);
    seen.extend(asked);
    seen
}

pub(crate) async fn scenarios(home: &Home) -> Vec<String> {
    let steps: Vec<futures::future::BoxFuture<'_, Vec<String>>> = vec![
        Box::pin(accepted_and_completed(home)),
        Box::pin(rejected(home)),
        Box::pin(joined(home, "update-joined", false)),
        Box::pin(joined(home, "update-joined-started", true)),
        Box::pin(before_the_first_task(home)),
        Box::pin(meanwhile(home, "update-meanwhile", false)),
        Box::pin(meanwhile(home, "update-meanwhile-at-once", true)),
        Box::pin(closed_before_the_answer(home)),
        Box::pin(closed_after_the_acceptance(home)),
        Box::pin(terminated(home)),
        Box::pin(continued_as_new(home)),
        Box::pin(task_fails(home)),
        Box::pin(nobody_polls(home)),
        Box::pin(wrong_messages(home)),
        Box::pin(wrong_requests(home)),
        Box::pin(too_many(home)),
        Box::pin(with_start(home)),
        Box::pin(wrong_starts(home)),
    ];
    if let Home::Server { .. } = home {
        return futures::future::join_all(steps).await.concat();
    }
    // One after the other: they share a clock.
    let mut seen = Vec::new();
    for step in steps {
        seen.extend(step.await);
    }
    seen
}

#[tokio::test]
async fn a_rejected_update_leaves_no_trace() {
    let seen = rejected(&Home::engine()).await;
    let quiet = "WORKFLOW_EXECUTION_STARTED, WORKFLOW_TASK_SCHEDULED attempt 1, WORKFLOW_TASK_STARTED, \
                 WORKFLOW_TASK_COMPLETED";
    assert_eq!(seen.iter().filter(|line| *line == quiet).count(), 4, "{seen:#?}");
    assert!(
        seen[0].ends_with("5 WORKFLOW_TASK_SCHEDULED, 6 WORKFLOW_TASK_STARTED; [\"u/request at 5\"]"),
        "{}",
        seen[0]
    );
    assert!(seen[3].contains("failure no"), "{}", seen[3]);
}

#[tokio::test]
async fn an_accepted_update_survives_the_process_and_is_completed_after_it() {
    let mut home = Home::engine();
    let id = "update-survives";
    accepted(&home, id).await;
    home.crash().await;
    assert_eq!(look(&home, id, "u", Stage::Accepted).await, "Ok(Accepted) no outcome");
    home.signal(id, "go on").await.unwrap();
    let worker = async {
        let task = home.workflow_task(id).await;
        assert!(task.messages.is_empty(), "it was accepted before: {:?}", task.messages);
        answer(&home, task, vec![respond("u")], vec![]).await
    };
    let (first, again, _) = tokio::join!(look(&home, id, "u", Stage::Completed), ask(&home, id, "u"), worker);
    assert!(first.starts_with("Ok(Completed) success"), "{first}");
    assert!(again.starts_with("Ok(Completed) success"), "{again}");
    home.crash().await;
    assert_eq!(look(&home, id, "u", Stage::Completed).await, first, "the outcome lasts");
    home.signal(id, "end").await.unwrap();
    let task = home.workflow_task(id).await;
    answer(&home, task, vec![], vec![complete()]).await;
    home.crash().await;
    assert_eq!(look(&home, id, "u", Stage::Completed).await, first, "also of a closed run");
    assert_eq!(ask(&home, id, "u").await, again);
}

#[tokio::test]
async fn an_admitted_update_is_asked_for_again_after_the_process() {
    let mut home = Home::engine();
    let id = "update-lost";
    idle(&home, id).await;
    let request = update(id, "u");
    {
        // Its client gives up when the process dies.
        let lost = tokio::time::timeout(Duration::from_millis(200), ask_for(&home, request));
        lost.await.unwrap_err();
    }
    let task = home.workflow_task(id).await;
    home.crash().await;
    assert!(look(&home, id, "u", Stage::Unspecified).await.starts_with("NotFound"));
    assert_eq!(home.names(id).await.len(), 4, "a speculative task is not stored");
    let old = home.complete(task.task_token, vec![]).await.unwrap_err();
    assert_eq!(old.code(), Code::NotFound);
    let worker = async {
        let task = home.workflow_task(id).await;
        let said = vec![accept(&task.messages[0]), respond("u")];
        answer(&home, task, said, vec![]).await
    };
    let (asked, _) = tokio::join!(soon(ask(&home, id, "u")), worker);
    assert!(asked.starts_with("Ok(Completed) success"), "{asked}");
}

#[tokio::test]
async fn an_answer_to_a_forgotten_task_is_not_taken_for_the_next() {
    let home = Home::engine();
    let id = "update-late-answer";
    idle(&home, id).await;
    let forget = async {
        let task = home.workflow_task(id).await;
        let token = task.task_token.clone();
        let said = vec![reject(&task.messages[0])];
        answer(&home, task, said, vec![]).await;
        token
    };
    let (_, late) = tokio::join!(ask(&home, id, "u"), forget);
    home.pass(Duration::from_millis(1)).await;
    let worker = async {
        let task = home.workflow_task(id).await;
        let again = home.complete(late, vec![]).await.unwrap_err();
        assert_eq!(again.code(), Code::NotFound, "the ids are those of the task before, the task is not");
        let said = vec![accept(&task.messages[0]), respond("v")];
        answer(&home, task, said, vec![]).await
    };
    let (asked, _) = tokio::join!(ask(&home, id, "v"), worker);
    assert!(asked.starts_with("Ok(Completed) success"), "{asked}");
}
