//! `kill -9` under load: a child process runs the engine and says on its standard output what was acknowledged; the parent
//! kills it at random moments, opens the file, and looks for each of it.

use std::{
    collections::BTreeMap,
    env,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use dixmgr_engine::{Engine, EngineOptions, history::Execution, inspect};
use dixmgr_testkit::Random;
use prost::Message;
use temporalio_client::callback_based::GrpcRequest;
use temporalio_common::protos::temporal::api::{
    command::v1::ScheduleActivityTaskCommandAttributes,
    common::v1::WorkflowExecution,
    history::v1::history_event::Attributes,
    workflowservice::v1::{
        DescribeWorkflowExecutionRequest, DescribeWorkflowExecutionResponse, GetWorkflowExecutionHistoryRequest,
        GetWorkflowExecutionHistoryResponse, PollWorkflowTaskQueueRequest, PollWorkflowTaskQueueResponse,
        RespondWorkflowTaskCompletedRequest, RespondWorkflowTaskCompletedResponse, SignalWorkflowExecutionResponse,
        StartWorkflowExecutionRequest, StartWorkflowExecutionResponse,
    },
};

use crate::{
    hand::{activity, queue, seconds, signal, start, timer},
    home::NAMESPACE,
};

/// Where the child finds its file, and which life it is.
const FILE: &str = "DIXMGR_KILL_FILE";
const LIFE: &str = "DIXMGR_KILL_LIFE";
/// How often the child is killed.
const KILLS: &str = "DIXMGR_KILLS";
const WORKFLOWS: usize = 6;

async fn call<A: Message + Default>(engine: &Engine, method: &str, request: impl Message) -> Result<A, tonic::Status> {
    let request = GrpcRequest {
        service: "temporal.api.workflowservice.v1.WorkflowService".into(),
        rpc: method.into(),
        headers: http::HeaderMap::new(),
        proto: request.encode_to_vec().into(),
    };
    let answer = (engine.grpc_service().callback)(request).await?;
    Ok(A::decode(answer.proto.as_slice()).unwrap())
}

fn acknowledge(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "ACK {line}").unwrap();
    out.flush().unwrap();
}

/// The child: workflows that get signals, and a worker that answers each task with an activity and a timer. Ends when killed.
async fn load(file: &Path, life: &str) {
    let engine = Engine::open(EngineOptions::new(file)).unwrap();
    let mut clients = tokio::task::JoinSet::new();
    for number in 0..WORKFLOWS {
        let (engine, id) = (engine.clone(), format!("{life}-{number}"));
        clients.spawn(async move {
            let request = StartWorkflowExecutionRequest { task_queue: queue("load"), ..start(&id) };
            let started: StartWorkflowExecutionResponse =
                call(&engine, "StartWorkflowExecution", request).await.unwrap();
            acknowledge(&format!("start {id} {}", started.run_id));
            for number in 0.. {
                let name = format!("signal-{number}");
                let _: SignalWorkflowExecutionResponse =
                    call(&engine, "SignalWorkflowExecution", signal(&id, &name)).await.unwrap();
                acknowledge(&format!("signal {id} {name}"));
            }
        });
    }
    for worker in 0..2 {
        let engine = engine.clone();
        clients.spawn(async move {
            for number in 0_u64.. {
                work(&engine, &format!("{worker}-{number}")).await;
            }
        });
    }
    while let Some(ended) = clients.join_next().await {
        ended.unwrap();
    }
}

/// Takes one workflow task and answers it.
async fn work(engine: &Engine, name: &str) {
    let poll = PollWorkflowTaskQueueRequest {
        namespace: NAMESPACE.into(),
        task_queue: queue("load"),
        identity: "worker".into(),
        ..Default::default()
    };
    let task: PollWorkflowTaskQueueResponse = call(engine, "PollWorkflowTaskQueue", poll).await.unwrap();
    if task.task_token.is_empty() {
        return;
    }
    let limits = ScheduleActivityTaskCommandAttributes { start_to_close_timeout: seconds(600), ..Default::default() };
    let mut deed = activity(limits, "nobody polls this");
    if let Some(
        temporalio_common::protos::temporal::api::command::v1::command::Attributes::ScheduleActivityTaskCommandAttributes(
            attributes,
        ),
    ) = deed.attributes.as_mut()
    {
        attributes.activity_id = format!("deed {name}");
    }
    let id = task.workflow_execution.map(|execution| execution.workflow_id).unwrap_or_default();
    let request = RespondWorkflowTaskCompletedRequest {
        task_token: task.task_token,
        commands: vec![deed, timer(&format!("nap {name}"), 600)],
        namespace: NAMESPACE.into(),
        ..Default::default()
    };
    let answer: Result<RespondWorkflowTaskCompletedResponse, _> =
        call(engine, "RespondWorkflowTaskCompleted", request).await;
    if answer.is_ok() {
        acknowledge(&format!("timer {id} nap {name}"));
    }
}

/// What the child said, by workflow.
#[derive(Debug, Default)]
struct Acknowledged {
    run_ids: BTreeMap<String, String>,
    names: BTreeMap<String, Vec<String>>,
}

impl Acknowledged {
    /// Takes a whole line; one that the kill cut short was never acknowledged.
    fn take(&mut self, line: &str) {
        let Some((kind, rest)) = line.strip_prefix("ACK ").and_then(|line| line.split_once(' ')) else { return };
        let Some((id, what)) = rest.split_once(' ') else { return };
        match kind {
            "start" => drop(self.run_ids.insert(id.to_owned(), what.to_owned())),
            _ => self.names.entry(id.to_owned()).or_default().push(format!("{kind} {what}")),
        }
    }

    fn len(&self) -> usize {
        self.run_ids.len() + self.names.values().map(Vec::len).sum::<usize>()
    }
}

/// Runs the child until it has said something, and then a random while; kills it.
fn one_life(file: &Path, life: usize, pause: Duration) -> Acknowledged {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "kill::what_was_acknowledged_survives_kill_9", "--nocapture"])
        .env(FILE, file)
        .env(LIFE, life.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let (said, read) = mpsc::channel();
    let listener = std::thread::spawn(move || {
        let mut out = out;
        let mut text = String::new();
        while out.read_line(&mut text).unwrap() > 0 {
            if text.ends_with('\n') && said.send(text.trim_end().to_owned()).is_err() {
                break;
            }
            text.clear();
        }
    });
    let mut acknowledged = Acknowledged::default();
    while acknowledged.len() == 0 {
        acknowledged.take(&read.recv_timeout(Duration::from_mins(1)).expect("the child acknowledges something"));
    }
    std::thread::sleep(pause);
    child.kill().unwrap();
    child.wait().unwrap();
    listener.join().unwrap();
    for text in read.try_iter() {
        acknowledged.take(&text);
    }
    acknowledged
}

/// Opens the file and looks for everything.
async fn verify(file: &Path, acknowledged: &Acknowledged) {
    assert_eq!(inspect::check(file, |_, _| ()).unwrap().findings, [] as [String; 0]);
    let engine = Engine::open(EngineOptions::new(file)).unwrap();
    for (id, run_id) in &acknowledged.run_ids {
        let execution = Some(WorkflowExecution { workflow_id: id.clone(), run_id: run_id.clone() });
        let mut found = Vec::new();
        let (mut events, mut next_page_token) = (Vec::new(), Vec::new());
        loop {
            let request = GetWorkflowExecutionHistoryRequest {
                namespace: NAMESPACE.into(),
                execution: execution.clone(),
                next_page_token,
                ..Default::default()
            };
            let page: GetWorkflowExecutionHistoryResponse =
                call(&engine, "GetWorkflowExecutionHistory", request).await.unwrap();
            events.extend(page.history.unwrap().events);
            next_page_token = page.next_page_token;
            if next_page_token.is_empty() {
                break;
            }
        }
        for (expected, event) in (1_i64..).zip(&events) {
            assert_eq!(event.event_id, expected, "{id}");
            match event.attributes.as_ref() {
                Some(Attributes::WorkflowExecutionSignaledEventAttributes(a)) => {
                    found.push(format!("signal {}", a.signal_name));
                }
                Some(Attributes::TimerStartedEventAttributes(a)) => found.push(format!("timer {}", a.timer_id)),
                _ => {}
            }
        }
        let fold = Execution::from_history(&events);
        let request = DescribeWorkflowExecutionRequest { namespace: NAMESPACE.into(), execution };
        let described: DescribeWorkflowExecutionResponse =
            call(&engine, "DescribeWorkflowExecution", request).await.unwrap();
        let info = described.workflow_execution_info.unwrap();
        assert_eq!(info.history_length, fold.last_event_id(), "{id}");
        assert_eq!(info.history_size_bytes, fold.info.history_size, "{id}");
        assert_eq!(described.pending_activities.len(), fold.activities.len(), "{id}");
        for name in acknowledged.names.get(id).into_iter().flatten() {
            assert!(found.contains(name), "{id}: {name} was acknowledged, and is lost");
        }
    }
    engine.shutdown().await;
}

#[test]
fn what_was_acknowledged_survives_kill_9() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    if let Ok(file) = env::var(FILE) {
        // This process is the child.
        return runtime.block_on(load(Path::new(&file), &env::var(LIFE).unwrap()));
    }
    let kills: usize = env::var(KILLS).map_or(20, |kills| kills.parse().expect("DIXMGR_KILLS is a number"));
    let mut random = Random::from_environment();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("engine.db");
    let mut total = 0;
    for life in 0..kills {
        let pause = random.within(Duration::ZERO..Duration::from_millis(150));
        let acknowledged = one_life(&file, life, pause);
        total += acknowledged.len();
        runtime.block_on(verify(&file, &acknowledged));
    }
    eprintln!("{kills} kills, {total} acknowledgements, all there");
}
