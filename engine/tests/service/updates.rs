//! Updates by hand: what each step of them answers and leaves in the history.

mod hand;
mod starts;
mod wrong;

use std::time::Duration;

use temporalio_common::protos::temporal::api::{
    command::v1::{ContinueAsNewWorkflowExecutionCommandAttributes, command::Attributes},
    common::v1::WorkflowExecution,
    enums::v1::UpdateWorkflowExecutionLifecycleStage as Stage,
    workflowservice::v1::{
        RespondWorkflowTaskCompletedRequest, StartWorkflowExecutionRequest, UpdateWorkflowExecutionRequest,
    },
};
use tonic::Code;

use self::hand::{
    accept, answer, ask, ask_for, begin, idle, kept, look, look_at, reject, respond, respond_task, send, shown,
    until_there, update,
};
use self::{
    starts::{with_start, wrong_starts},
    wrong::{wrong_messages, wrong_requests},
};
use crate::{
    hand::{command, complete, seconds, soon, start},
    home::Home,
};

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
