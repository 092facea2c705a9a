//! The same workflows on the engine and on a real Temporal server: results and histories, event by event, must be equal.
#![allow(clippy::expect_used, clippy::unwrap_used, missing_docs, reason = "a test says what went wrong by panicking")]

mod backend;
mod normalise;
mod workflows;

use std::{collections::BTreeMap, fmt::Debug, time::Duration};

use backend::{Backend, NAMESPACE, Running};
use temporalio_client::{
    Client, WorkflowCancelOptions, WorkflowExecuteUpdateOptions, WorkflowGetResultOptions, WorkflowHandle,
    WorkflowQueryOptions, WorkflowSignalOptions, WorkflowStartOptions, WorkflowStartUpdateOptions,
    WorkflowTerminateOptions, grpc::WorkflowService, tonic::IntoRequest,
};
use temporalio_common::{
    RetryPolicy,
    protos::temporal::api::{
        common::v1::WorkflowExecution, history::v1::HistoryEvent,
        workflowservice::v1::GetWorkflowExecutionHistoryRequest,
    },
};
use temporalio_sdk::WorkerOptions;
use workflows::{
    Cancelled, Continues, Deeds, Fails, Heartbeats, Parent, Persists, Plain, Retries, Signals, Sums, Timers,
};

const QUEUE: &str = "suite";

/// What a run of the suite leaves: results by name, and histories by workflow id and number of the run.
#[derive(Default)]
struct Outcome {
    results: BTreeMap<String, String>,
    histories: BTreeMap<String, Vec<String>>,
}

fn start(id: &str) -> WorkflowStartOptions {
    WorkflowStartOptions::new(QUEUE, id).build()
}

fn worker(client: &Client) -> Running {
    let options = WorkerOptions::new(QUEUE)
        .register_activities(Deeds::default())
        .register_workflow::<Plain>()
        .unwrap()
        .register_workflow::<Retries>()
        .unwrap()
        .register_workflow::<Timers>()
        .unwrap()
        .register_workflow::<Signals>()
        .unwrap()
        .register_workflow::<Sums>()
        .unwrap()
        .register_workflow::<Fails>()
        .unwrap()
        .register_workflow::<Parent>()
        .unwrap()
        .register_workflow::<Continues>()
        .unwrap()
        .register_workflow::<Cancelled>()
        .unwrap()
        .register_workflow::<Heartbeats>()
        .unwrap()
        .register_workflow::<Persists>()
        .unwrap()
        .build();
    Running::start(client.clone(), options)
}

/// All events of a run, page by page.
async fn history(client: &Client, workflow_id: &str, run_id: &str) -> Vec<HistoryEvent> {
    let mut events = Vec::new();
    let mut next_page_token = Vec::new();
    loop {
        let request = GetWorkflowExecutionHistoryRequest {
            namespace: NAMESPACE.to_owned(),
            execution: Some(WorkflowExecution { workflow_id: workflow_id.to_owned(), run_id: run_id.to_owned() }),
            maximum_page_size: 7,
            next_page_token,
            ..Default::default()
        };
        let page = client
            .clone()
            .get_workflow_execution_history(request.into_request())
            .await
            .expect("a history")
            .into_inner();
        events.extend(page.history.unwrap_or_default().events);
        next_page_token = page.next_page_token;
        if next_page_token.is_empty() {
            return events;
        }
    }
}

impl Outcome {
    async fn keep(&mut self, client: &Client, workflow_id: &str) {
        let events = history(client, workflow_id, "").await;
        self.histories.insert(workflow_id.to_owned(), normalise::lines(&events));
    }

    fn result(&mut self, name: &str, result: &impl Debug) {
        self.results.insert(name.to_owned(), format!("{result:?}"));
    }
}

/// Waits until a workflow has the number of events that the next step needs, so that both homes meet it in the same state.
async fn until_events(client: &Client, workflow_id: &str, count: usize) {
    for _ in 0..400 {
        if history(client, workflow_id, "").await.len() >= count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!(
        "{workflow_id} does not get as far as {count} events: {:#?}",
        normalise::lines(&history(client, workflow_id, "").await)
    );
}

/// Updates of a workflow that rests: completed, rejected, asked for twice, completed later, overtaken by the end.
async fn updates(client: &Client, outcome: &mut Outcome) {
    let named = |id: &str| WorkflowExecuteUpdateOptions::builder().update_id(id.to_owned()).build();
    let sums = client.start_workflow(Sums::run, (), start("sums")).await.unwrap();
    until_events(client, "sums", 4).await;
    outcome.result("sums.first", &sums.execute_update(Sums::add, 1, named("first")).await);
    outcome.result("sums.again", &sums.execute_update(Sums::add, 1, named("first")).await);
    outcome.result("sums.rejected", &sums.execute_update(Sums::add, -1, named("rejected")).await.is_err());
    outcome.keep(client, "sums").await;
    let before = outcome.histories.remove("sums").unwrap_or_default();
    outcome.histories.insert("sums.quiet".to_owned(), before);
    outcome.result("sums.slow", &sums.execute_update(Sums::add_slowly, 10, named("slow")).await);
    let never = WorkflowStartUpdateOptions::builder().update_id("never".to_owned()).build();
    let never = sums.start_update(Sums::add_never, 1, never).await.unwrap();
    sums.signal(Sums::finish, (), WorkflowSignalOptions::default()).await.unwrap();
    outcome.result("sums", &sums.get_result(WorkflowGetResultOptions::default()).await);
    let failed = never.get_result(temporalio_client::RpcOptions::default()).await;
    outcome.result("sums.never", &failed.err().map(|error| error.to_string()));
    outcome.result("sums.late", &sums.execute_update(Sums::add, 1, named("late")).await.is_err());
    outcome.result("sums.first.closed", &sums.execute_update(Sums::add, 1, named("first")).await);
    outcome.keep(client, "sums").await;
}

async fn suite(backend: &Backend) -> Outcome {
    let client = backend.client().await;
    let _worker = worker(&client);
    let mut outcome = Outcome::default();
    let wait = WorkflowGetResultOptions::default;

    let plain = client.start_workflow(Plain::run, "hello".to_owned(), start("plain")).await.unwrap();
    outcome.result("plain", &plain.get_result(wait()).await);
    outcome.keep(&client, "plain").await;

    let retries = client.start_workflow(Retries::run, (), start("retries")).await.unwrap();
    outcome.result("retries", &retries.get_result(wait()).await);
    outcome.keep(&client, "retries").await;

    let timers = client.start_workflow(Timers::run, (), start("timers")).await.unwrap();
    outcome.result("timers", &timers.get_result(wait()).await);
    outcome.keep(&client, "timers").await;

    let signals = client.start_workflow(Signals::run, 2usize, start("signals")).await.unwrap();
    until_events(&client, "signals", 4).await;
    signals.signal(Signals::note, "one".to_owned(), WorkflowSignalOptions::default()).await.unwrap();
    until_events(&client, "signals", 8).await;
    outcome.result("signals.query", &signals.query(Signals::count, (), WorkflowQueryOptions::default()).await);
    signals.signal(Signals::note, "two".to_owned(), WorkflowSignalOptions::default()).await.unwrap();
    outcome.result("signals", &signals.get_result(wait()).await);
    outcome.result("signals.query.closed", &signals.query(Signals::count, (), WorkflowQueryOptions::default()).await);
    outcome.keep(&client, "signals").await;

    let fails = client.start_workflow(Fails::run, (), start("fails")).await.unwrap();
    outcome.result("fails", &fails.get_result(wait()).await.is_err());
    outcome.keep(&client, "fails").await;

    let parent = client.start_workflow(Parent::run, (), start("parent")).await.unwrap();
    outcome.result("parent", &parent.get_result(wait()).await);
    outcome.keep(&client, "parent").await;
    for id in ["parent.good", "parent.bad", "parent.left", "parent.doomed"] {
        let child: WorkflowHandle<Client, Signals> = client.get_workflow_handle(id);
        outcome.result(id, &child.get_result(wait()).await.is_ok());
        outcome.keep(&client, id).await;
    }

    let continues = client.start_workflow(Continues::run, 1u32, start("continues")).await.unwrap();
    outcome.result("continues", &continues.get_result(wait()).await);
    outcome.keep(&client, "continues").await;
    let first = continues.run_id().unwrap_or_default().to_owned();
    let events = history(&client, "continues", &first).await;
    outcome.histories.insert("continues.first".to_owned(), normalise::lines(&events));

    let cancelled = client.start_workflow(Cancelled::run, (), start("cancelled")).await.unwrap();
    until_events(&client, "cancelled", 5).await;
    cancelled.cancel(WorkflowCancelOptions::builder().reason("enough").build()).await.unwrap();
    outcome.result("cancelled", &cancelled.get_result(wait()).await.is_err());
    outcome.keep(&client, "cancelled").await;

    let terminated = client.start_workflow(Signals::run, 1usize, start("terminated")).await.unwrap();
    until_events(&client, "terminated", 4).await;
    terminated.terminate(WorkflowTerminateOptions::builder().reason("because").build()).await.unwrap();
    outcome.result("terminated", &terminated.get_result(wait()).await.is_err());
    outcome.keep(&client, "terminated").await;

    let options = WorkflowStartOptions::new(QUEUE, "timed-out").run_timeout(Duration::from_millis(1500)).build();
    let timed_out = client.start_workflow(Signals::run, 1usize, options).await.unwrap();
    outcome.result("timed-out", &timed_out.get_result(wait()).await.is_err());
    outcome.keep(&client, "timed-out").await;

    let heartbeats = client.start_workflow(Heartbeats::run, (), start("heartbeats")).await.unwrap();
    outcome.result("heartbeats", &heartbeats.get_result(wait()).await);
    outcome.keep(&client, "heartbeats").await;

    let policy = RetryPolicy::builder().initial_interval(Duration::from_secs(1)).maximum_attempts(5).build();
    let options = WorkflowStartOptions::new(QUEUE, "persists").retry_policy(policy).build();
    let persists = client.start_workflow(Persists::run, "at last".to_owned(), options).await.unwrap();
    outcome.result("persists", &persists.get_result(wait()).await);
    outcome.keep(&client, "persists").await;
    updates(&client, &mut outcome).await;

    let again = client.start_workflow(Signals::run, 1usize, start("twice")).await.unwrap();
    let second = client.start_workflow(Signals::run, 1usize, start("twice")).await;
    outcome.result(
        "twice",
        &second.err().map(|error| error.to_string().split("run ID").next().unwrap_or_default().to_owned()),
    );
    again.terminate(WorkflowTerminateOptions::default()).await.unwrap();
    outcome
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_engine_runs_every_feature() {
    let outcome = suite(&Backend::engine()).await;
    let expect =
        |name: &str, result: &str| assert_eq!(outcome.results.get(name).map(String::as_str), Some(result), "{name}");
    expect("plain", "Ok(\"hello\")");
    expect("retries", "Ok(3)");
    expect("timers", "Ok(\"Cancelled near true\")");
    expect("signals", "Ok([\"one\", \"two\"])");
    expect("signals.query", "Ok(1)");
    expect("signals.query.closed", "Ok(2)");
    expect("fails", "true");
    expect("parent", "Ok(\"child true true true\")");
    expect("parent.left", "true");
    expect("parent.doomed", "false");
    expect("continues", "Ok(\"done\")");
    expect("cancelled", "true");
    expect("heartbeats", "Ok(\"halfway\")");
    expect("persists", "Ok(\"at last 3\")");
    expect("sums.first", "Ok(1)");
    expect("sums.again", "Ok(1)");
    expect("sums.rejected", "true");
    expect("sums.slow", "Ok(11)");
    expect("sums", "Ok(11)");
    expect("sums.late", "true");
    expect("sums.first.closed", "Ok(1)");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn histories_are_those_of_a_temporal_server() {
    let Some(server) = Backend::server() else { return };
    let (ours, theirs) = (suite(&Backend::engine()).await, suite(&server).await);
    assert_eq!(ours.results, theirs.results);
    let mut differences = String::new();
    for (id, theirs) in &theirs.histories {
        let ours = ours.histories.get(id).cloned().unwrap_or_default();
        if ours == *theirs {
            continue;
        }
        differences.push_str(&format!("== {id}\n"));
        for number in 0..ours.len().max(theirs.len()) {
            let (a, b) = (ours.get(number).map_or("-", String::as_str), theirs.get(number).map_or("-", String::as_str));
            if a != b {
                differences.push_str(&format!("engine {a}\nserver {b}\n"));
            }
        }
    }
    assert!(differences.is_empty(), "\n{differences}");
}
