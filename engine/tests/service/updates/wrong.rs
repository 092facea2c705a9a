//! What workers and clients may get wrong.

use super::hand::{
    accept, ask, ask_for, idle, kept, look, message, point, refused, respond, respond_task, send, update,
};

use temporalio_common::protos::temporal::api::{
    command::v1::Command,
    enums::v1::UpdateWorkflowExecutionLifecycleStage as Stage,
    protocol::v1::Message,
    update::v1::{Acceptance, Input, Meta, Outcome, Request, Response, WaitPolicy},
    workflowservice::v1::{RespondWorkflowTaskCompletedRequest, UpdateWorkflowExecutionRequest},
};

use crate::{hand::complete, home::Home};
/// What a worker may get wrong.
pub(super) async fn wrong_messages(home: &Home) -> Vec<String> {
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
pub(super) async fn wrong_requests(home: &Home) -> Vec<String> {
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
