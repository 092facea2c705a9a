//! Who uses the engine in the storm: a worker of the official SDK, and clients that do not give up.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use temporalio_client::tonic::{IntoRequest, Status};
use temporalio_client::{Client, ClientOptions, Connection, ConnectionOptions};
use temporalio_common::protos::temporal::api::common::v1::{Payload, Payloads, WorkflowExecution, WorkflowType};
use temporalio_common::protos::temporal::api::enums::v1::HistoryEventFilterType;
use temporalio_common::protos::temporal::api::history::v1::{History, history_event::Attributes};
use temporalio_common::protos::temporal::api::taskqueue::v1::TaskQueue;
use temporalio_common::protos::temporal::api::workflowservice::v1::{
    GetWorkflowExecutionHistoryRequest, SignalWorkflowExecutionRequest, StartWorkflowExecutionRequest,
};
use temporalio_sdk::runtime::{PollerBehavior, RuntimeOptions};
use temporalio_sdk::{Runtime, Worker, WorkerOptions};
use tokio::runtime::{self, Builder};
use url::Url;

use super::workflows::{Book, Deeds, LOST, Page};

const NAMESPACE: &str = "dotidx";
const QUEUE: &str = "storm";
/// Clients, each with one book at a time.
const CLIENTS: usize = 6;
/// Numbers of a book.
const SIZE: u32 = 12;
/// Between two attempts of a request.
const PAUSE: Duration = Duration::from_millis(10);
/// Longest time for one attempt: the engine may die with it.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest time for a request, and for a book, to come to an end once it is asked for.
const ENOUGH: Duration = Duration::from_mins(3);

/// What refusals have said, each once.
type Refusals = Arc<Mutex<BTreeSet<String>>>;

/// The clients and their worker.
pub(super) struct Clients {
    runtime: runtime::Runtime,
    over: Arc<AtomicBool>,
    refusals: Refusals,
    authors: Vec<tokio::task::JoinHandle<usize>>,
    stop_worker: Box<dyn FnOnce() + Send>,
    worker: thread::JoinHandle<()>,
}

impl Clients {
    pub(super) fn start(address: &str) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        let (over, refusals) = (Arc::new(AtomicBool::new(false)), Refusals::default());
        let client = runtime.block_on(connect(address));
        let (stop_worker, worker) = start_worker(client.clone());
        let authors = (0..CLIENTS).map(|number| {
            let author = Author { client: client.clone(), over: Arc::clone(&over), refusals: Arc::clone(&refusals) };
            runtime.spawn(async move { author.write_books(number).await })
        });
        let authors = authors.collect();
        Self { runtime, over, refusals, authors, stop_worker, worker }
    }

    /// Whether a refusal has said so.
    pub(super) fn were_told(&self, sign: &str) -> bool {
        self.refusals.lock().expect("no panic before").iter().any(|said| said.contains(sign))
    }

    /// Lets the clients finish the books that they have begun. Answers how many numbers were entered in all of them.
    pub(super) fn finish(self) -> usize {
        self.over.store(true, Ordering::Relaxed);
        let entered = self.runtime.block_on(async {
            let mut entered = 0;
            for author in self.authors {
                entered += author.await.expect("the client has found what it expected");
            }
            entered
        });
        {
            let _entered = self.runtime.enter();
            (self.stop_worker)();
        }
        // What the SDK makes of polls that were cut off, some of which it counts as under way for good, is not the matter here.
        drop(self.worker.join());
        entered
    }
}

pub(super) async fn connect(address: &str) -> Client {
    let url = Url::parse(&format!("http://{address}")).expect("an address");
    let connection = Connection::connect(ConnectionOptions::new(url).identity("storm").build()).await;
    Client::new(connection.expect("a connection"), ClientOptions::new(NAMESPACE).build()).expect("a client")
}

fn start_worker(client: Client) -> (Box<dyn FnOnce() + Send>, thread::JoinHandle<()>) {
    let (handles, handle) = mpsc::channel();
    let worker = thread::spawn(move || {
        let tokio = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        tokio.block_on(async {
            let options = RuntimeOptions::builder().heartbeat_interval(None).build().expect("options");
            let runtime = Runtime::from_current_tokio(options).expect("an SDK runtime");
            let options = WorkerOptions::new(QUEUE)
                .register_activities(Deeds)
                .register_workflow::<Book>()
                .and_then(temporalio_sdk::WorkerOptionsBuilder::register_workflow::<Page>)
                .expect("distinct workflow types")
                .workflow_task_poller_behavior(PollerBehavior::SimpleMaximum(4))
                .activity_task_poller_behavior(PollerBehavior::SimpleMaximum(4))
                .build();
            let mut worker = Worker::new(&runtime, client, options).expect("a worker");
            let stop: Box<dyn FnOnce() + Send> = Box::new(worker.shutdown_handle());
            handles.send(stop).expect("somebody waits for it");
            worker.run().await.expect("it works through everything");
        });
        tokio.shutdown_timeout(Duration::from_secs(1));
    });
    (handle.recv_timeout(Duration::from_secs(30)).expect("the worker starts"), worker)
}

/// A client that has books written.
struct Author {
    client: Client,
    over: Arc<AtomicBool>,
    refusals: Refusals,
}

impl Author {
    /// Has one book after the other written until it is over. Answers how many numbers were entered.
    async fn write_books(&self, number: usize) -> usize {
        let (client, mut entered) = (&self.client, 0);
        for edition in 0.. {
            let id = format!("book-{number}-{edition}");
            self.insist(|| start(client, &id)).await;
            for number in 0..SIZE {
                self.insist(|| tell(client, &id, number)).await;
            }
            let written = self.insist(|| result(client, &id)).await;
            assert_eq!(written, (0..SIZE).collect::<Vec<_>>(), "{id}");
            entered += written.len();
            if self.over.load(Ordering::Relaxed) {
                break;
            }
        }
        entered
    }

    /// Asks until there is an answer: whoever got none does not know whether it was heard.
    async fn insist<T, F: Future<Output = Result<Option<T>, Status>>>(&self, ask: impl Fn() -> F) -> T {
        let began = Instant::now();
        loop {
            match tokio::time::timeout(PATIENCE, ask()).await {
                Ok(Ok(Some(answer))) => return answer,
                Ok(Err(status)) => self.note(&status),
                Ok(Ok(None)) | Err(_) => {}
            }
            assert!(began.elapsed() < ENOUGH, "no answer; refusals so far: {:?}", self.refusals);
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn note(&self, status: &Status) {
        let said = format!("{:?}: {}", status.code(), status.message());
        self.refusals.lock().expect("no panic before").insert(said);
    }
}

fn payloads(data: &str) -> Payloads {
    let metadata = [("encoding".to_owned(), b"json/plain".to_vec())].into();
    Payloads { payloads: vec![Payload { metadata, data: data.as_bytes().to_vec(), ..Payload::default() }] }
}

fn execution(id: &str) -> WorkflowExecution {
    WorkflowExecution { workflow_id: id.to_owned(), run_id: String::new() }
}

async fn start(client: &Client, id: &str) -> Result<Option<()>, Status> {
    let request = StartWorkflowExecutionRequest {
        namespace: NAMESPACE.to_owned(),
        workflow_id: id.to_owned(),
        workflow_type: Some(WorkflowType { name: "Book".to_owned() }),
        task_queue: Some(TaskQueue { name: QUEUE.to_owned(), ..TaskQueue::default() }),
        input: Some(payloads(&SIZE.to_string())),
        request_id: id.to_owned(),
        workflow_task_timeout: Some(LOST.try_into().expect("seconds")),
        ..StartWorkflowExecutionRequest::default()
    };
    client.connection().workflow_service().start_workflow_execution(request.into_request()).await?;
    Ok(Some(()))
}

async fn tell(client: &Client, id: &str, number: u32) -> Result<Option<()>, Status> {
    let request = SignalWorkflowExecutionRequest {
        namespace: NAMESPACE.to_owned(),
        workflow_execution: Some(execution(id)),
        signal_name: "tell".to_owned(),
        input: Some(payloads(&number.to_string())),
        request_id: format!("{id}/{number}"),
        ..SignalWorkflowExecutionRequest::default()
    };
    client.connection().workflow_service().signal_workflow_execution(request.into_request()).await?;
    Ok(Some(()))
}

/// The whole history of a run.
pub(super) async fn history(client: &Client, workflow_id: String, run_id: String) -> History {
    let execution = Some(WorkflowExecution { workflow_id, run_id });
    let (mut events, mut next_page_token) = (Vec::new(), Vec::new());
    loop {
        let request = GetWorkflowExecutionHistoryRequest {
            namespace: NAMESPACE.to_owned(),
            execution: execution.clone(),
            next_page_token,
            ..GetWorkflowExecutionHistoryRequest::default()
        };
        let mut service = client.connection().workflow_service();
        let page = service.get_workflow_execution_history(request.into_request()).await.expect("a page").into_inner();
        events.extend(page.history.into_iter().flat_map(|history| history.events));
        next_page_token = page.next_page_token;
        if next_page_token.is_empty() {
            return History { events };
        }
    }
}

/// What the book has returned; `None` while it is open.
async fn result(client: &Client, id: &str) -> Result<Option<Vec<u32>>, Status> {
    let request = GetWorkflowExecutionHistoryRequest {
        namespace: NAMESPACE.to_owned(),
        execution: Some(execution(id)),
        wait_new_event: true,
        history_event_filter_type: HistoryEventFilterType::CloseEvent.into(),
        ..GetWorkflowExecutionHistoryRequest::default()
    };
    let mut service = client.connection().workflow_service();
    let answer = service.get_workflow_execution_history(request.into_request()).await?.into_inner();
    let Some(close) = answer.history.and_then(|history| history.events.into_iter().next()) else { return Ok(None) };
    let Some(Attributes::WorkflowExecutionCompletedEventAttributes(completed)) = close.attributes else {
        panic!("{id} ended otherwise: {close:?}")
    };
    let payload = completed.result.and_then(|result| result.payloads.into_iter().next()).expect("a result");
    Ok(Some(serde_json::from_slice(&payload.data).expect("numbers")))
}
