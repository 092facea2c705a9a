//! Cases about silences: who is told of them, and what outlives a run.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dixmgr_model::{Matcher, Silence};
use dixmgr_testkit::eventually_async;
use dixmgr_workflows::{SilencesInput, SilencesWorkflow};
use temporalio_client::{
    Client, WorkflowHandle, WorkflowQueryOptions, WorkflowSignalOptions, WorkflowStartOptions, WorkflowTerminateOptions,
};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::{SyncWorkflowContext, WorkflowContext, WorkflowContextView, WorkflowResult};

use super::harness::{Harness, record};

const PATIENCE: Duration = Duration::from_secs(60);
const HOUR: u64 = 3_600_000;

/// Somebody who is told of silences, and remembers what.
#[workflow]
#[derive(Debug, Default)]
pub struct Listener {
    heard: Vec<Vec<Silence>>,
}

#[workflow_methods]
impl Listener {
    #[run]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<()> {
        ctx.wait_condition(|_| false).await?;
        Ok(())
    }

    #[signal]
    pub fn silences(&mut self, _ctx: &mut SyncWorkflowContext<Self>, silences: Vec<Silence>) {
        self.heard.push(silences);
    }

    #[query]
    pub fn heard(&self, _ctx: &WorkflowContextView) -> Vec<Vec<Silence>> {
        self.heard.clone()
    }
}

type Silences = WorkflowHandle<Client, SilencesWorkflow>;

fn now() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis()).expect("not so late")
}

fn silence(id: &str) -> Silence {
    let matcher = Matcher { name: "service".into(), value: "db-.*".into(), is_regex: true, is_equal: true };
    Silence { id: id.into(), matchers: vec![matcher], starts_at: now(), ends_at: now() + HOUR, ..Silence::default() }
}

async fn start(harness: &Harness, history_limit: Option<u32>) -> Silences {
    let id = harness.id("silences");
    let options = WorkflowStartOptions::new(&harness.queue, id.clone()).build();
    let input = SilencesInput { carried: None, history_limit };
    harness.client.start_workflow(SilencesWorkflow::run, input, options).await.expect("it starts");
    harness.client.get_workflow_handle(id)
}

async fn listen(harness: &Harness, name: &str) -> WorkflowHandle<Client, Listener> {
    let id = harness.id(name);
    let options = WorkflowStartOptions::new(&harness.queue, id.clone()).build();
    harness.client.start_workflow(Listener::run, (), options).await.expect("it starts");
    harness.client.get_workflow_handle(id)
}

async fn put(silences: &Silences, silence: Silence) {
    silences.signal(SilencesWorkflow::put, silence, WorkflowSignalOptions::default()).await.expect("signal");
}

async fn subscribe(silences: &Silences, id: String) {
    silences.signal(SilencesWorkflow::subscribe, id, WorkflowSignalOptions::default()).await.expect("signal");
}

/// Waits until the last thing that a listener heard is these silences.
async fn until_heard(listener: &WorkflowHandle<Client, Listener>, wanted: &[&str]) {
    eventually_async(&format!("told of {wanted:?}"), PATIENCE, || async {
        let heard = listener.query(Listener::heard, (), WorkflowQueryOptions::default()).await.ok()?;
        heard.last()?.iter().map(|silence| silence.id.as_str()).eq(wanted.iter().copied()).then_some(())
    })
    .await;
}

async fn until_listed(silences: &Silences, wanted: &[&str]) {
    eventually_async(&format!("there are {wanted:?}"), PATIENCE, || async {
        let list = silences.query(SilencesWorkflow::list, (), WorkflowQueryOptions::default()).await.ok()?;
        list.iter().map(|silence| silence.id.as_str()).eq(wanted.iter().copied()).then_some(())
    })
    .await;
}

pub async fn subscribers_are_told_of_silences_at_once_and_of_every_change(harness: Harness) {
    let silences = start(&harness, None).await;
    put(&silences, silence("a")).await;
    let listener = listen(&harness, "listener").await;
    subscribe(&silences, harness.id("listener")).await;
    subscribe(&silences, harness.id("nobody")).await;
    until_heard(&listener, &["a"]).await;
    put(&silences, Silence { ends_at: 1, ..silence("refused") }).await;
    put(&silences, silence("b")).await;
    until_heard(&listener, &["a", "b"]).await;
    let expire = silences.signal(SilencesWorkflow::expire, "a".to_owned(), WorkflowSignalOptions::default());
    expire.await.expect("signal");
    until_heard(&listener, &["b"]).await;
    until_listed(&silences, &["a", "b"]).await;
    eventually_async("who does not run is not told any more", PATIENCE, || async {
        let subscribers = silences.query(SilencesWorkflow::subscribers, (), WorkflowQueryOptions::default()).await;
        (subscribers.ok()?.into_iter().eq([harness.id("listener")])).then_some(())
    })
    .await;
    let unsubscribe = silences.signal(SilencesWorkflow::unsubscribe, harness.id("listener"), Default::default());
    unsubscribe.await.expect("signal");
    put(&silences, silence("c")).await;
    until_listed(&silences, &["a", "b", "c"]).await;
    let heard = listener.query(Listener::heard, (), WorkflowQueryOptions::default()).await.expect("an answer");
    assert!(heard.iter().flatten().all(|silence| silence.id != "c" && silence.id != "refused"), "{heard:?}");
    record(silences.fetch_history(Default::default()), "silences-told").await;
}

pub async fn maintenance_windows_are_silences_and_follow_the_configuration(harness: Harness) {
    let window = |name: &str| silence(&format!("maintenance:{name}:1"));
    harness.world.set_maintenance(vec![window("backup"), window("upgrade")]);
    let silences = start(&harness, None).await;
    put(&silences, silence("own")).await;
    let listener = listen(&harness, "listener").await;
    subscribe(&silences, harness.id("listener")).await;
    until_heard(&listener, &["maintenance:backup:1", "maintenance:upgrade:1", "own"]).await;
    harness.world.set_maintenance(vec![window("upgrade")]);
    silences.signal(SilencesWorkflow::refresh, (), WorkflowSignalOptions::default()).await.expect("signal");
    until_heard(&listener, &["maintenance:upgrade:1", "own"]).await;
    record(silences.fetch_history(Default::default()), "silences-maintenance").await;
}

pub async fn silences_and_subscribers_outlive_a_run(harness: Harness) {
    let silences = start(&harness, Some(40)).await;
    let listener = listen(&harness, "listener").await;
    subscribe(&silences, harness.id("listener")).await;
    let first = silences.fetch_history(Default::default()).into_events().await.expect("history");
    for number in 0..30 {
        put(&silences, silence(&format!("{number:02}"))).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let all: Vec<String> = (0..30).map(|number| format!("{number:02}")).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    until_listed(&silences, &all).await;
    until_heard(&listener, &all).await;
    eventually_async("a new run has taken over", PATIENCE, || async {
        let later = silences.fetch_history(Default::default()).into_events().await.ok()?;
        (first[0].event_time != later[0].event_time).then_some(())
    })
    .await;
    listener.terminate(WorkflowTerminateOptions::default()).await.expect("it ends");
}
