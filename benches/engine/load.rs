//! The load: one worker and one client of the official SDK, in this process.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use dixmgr_testkit::usage::{Usage, quantile};
use futures_util::stream::{self, StreamExt};
use temporalio_client::{
    Client, ClientOptions, Connection, ConnectionOptions, WorkflowGetResultOptions, WorkflowHandle, WorkflowSignalOptions,
    WorkflowStartOptions, WorkflowTerminateOptions,
};
use temporalio_sdk::runtime::{PollerBehavior, RuntimeOptions};
use temporalio_sdk::{Runtime, Worker, WorkerOptions};
use tokio::runtime;
use url::Url;

use crate::server::Server;
use crate::workflows::{Deeds, One, Stamps, Ticks, Waits, WaitsRun, take_moments};

/// Namespace of the load, present in both servers.
const NAMESPACE: &str = "dotidx";
const QUEUE: &str = "bench";
/// Workflows that signals go to.
const TOLD: usize = 10;
/// Loops that come before any is counted.
const RUN_UP: Duration = Duration::from_secs(8);
/// Between two starts on an idle server.
const IDLE: Duration = Duration::from_millis(20);

/// Many short workflows.
pub(crate) struct Throughput {
    /// Completed in a second.
    pub(crate) rate: f64,
    /// Milliseconds of the server's CPU for each.
    pub(crate) cpu: f64,
    /// Median milliseconds from the start's request to the result.
    pub(crate) median: f64,
}

/// Workflows on a timer of one second.
pub(crate) struct Loops {
    /// Loops in a second, of all workflows together.
    pub(crate) rate: f64,
    /// Milliseconds of the server's CPU for each.
    pub(crate) cpu: f64,
    /// Milliseconds that a loop took longer than its timer, 99th percentile.
    pub(crate) late: f64,
}

/// Signals.
pub(crate) struct Signals {
    /// Acknowledged in a second.
    pub(crate) rate: f64,
    /// Milliseconds of the server's CPU for each, its workflow tasks included.
    pub(crate) cpu: f64,
}

/// A worker and a client of one server.
pub(crate) struct Driver<'a> {
    server: &'a Server,
    runtime: runtime::Runtime,
    client: Client,
    stop: Option<Box<dyn FnOnce() + Send>>,
    worker: Option<thread::JoinHandle<()>>,
}

impl<'a> Driver<'a> {
    pub(crate) fn start(server: &'a Server) -> Self {
        let runtime = runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let client = runtime.block_on(connect(server));
        let (stop, worker) = start_worker(runtime.block_on(connect(server)));
        Self { server, runtime, client, stop: Some(stop), worker: Some(worker) }
    }

    /// Runs `count` workflows of one activity, so many at once.
    pub(crate) fn throughput(&self, count: usize, at_once: usize) -> Throughput {
        let (before, began) = (self.server.usage(), Instant::now());
        let times: Vec<Duration> = self.each(count, at_once, async |index| {
            let began = Instant::now();
            let id = unique("one", index);
            let handle = self.client.start_workflow(One::run, "payload".to_owned(), start(&id)).await.expect("a start");
            handle.get_result(WorkflowGetResultOptions::default()).await.expect("a result");
            began.elapsed()
        });
        Throughput {
            rate: count as f64 / began.elapsed().as_secs_f64(),
            cpu: milliseconds(cpu_since(&self.server.usage(), &before)) / count as f64,
            median: milliseconds(quantile(&times, 0.5)),
        }
    }

    /// Lets `count` workflows loop, and counts for so long.
    pub(crate) fn loops(&self, count: usize, window: Duration) -> Loops {
        let handles = self.each(count, count, async |index| {
            let id = unique("ticks", index);
            self.client.start_workflow(Ticks::run, u32::MAX, start(&id)).await.expect("a start")
        });
        thread::sleep(RUN_UP);
        take_moments();
        let before = self.server.usage();
        thread::sleep(window);
        let (moments, after) = (take_moments(), self.server.usage());
        let loops: usize = moments.values().map(Vec::len).sum();
        let second = Duration::from_secs(1);
        let late: Vec<Duration> = moments
            .values()
            .flat_map(|moments| moments.windows(2).map(|pair| (pair[1] - pair[0]).saturating_sub(second)))
            .collect();
        self.each(handles.len(), 50, async |index| {
            let options = WorkflowTerminateOptions::builder().reason("measured".to_owned()).build();
            handles[index].terminate(options).await.expect("an end");
        });
        Loops {
            rate: loops as f64 / window.as_secs_f64(),
            cpu: milliseconds(cpu_since(&after, &before)) / loops.max(1) as f64,
            late: milliseconds(quantile(&late, 0.99)),
        }
    }

    /// Sends `count` signals to a few workflows, so many at once; all must have arrived.
    pub(crate) fn signals(&self, count: usize, at_once: usize) -> Signals {
        let told = self.waiting(TOLD, TOLD);
        let (before, began) = (self.server.usage(), Instant::now());
        self.each(count, at_once, async |index| {
            told[index % TOLD].signal(Waits::tell, (), WorkflowSignalOptions::default()).await.expect("a signal");
        });
        let (took, after) = (began.elapsed(), self.server.usage());
        let counts = self.each(TOLD, TOLD, async |index| {
            told[index].signal(Waits::end, (), WorkflowSignalOptions::default()).await.expect("a signal");
            told[index].get_result(WorkflowGetResultOptions::default()).await.expect("a result")
        });
        assert_eq!(counts.iter().sum::<u32>() as usize, count, "every signal arrives once");
        Signals {
            rate: count as f64 / took.as_secs_f64(),
            cpu: milliseconds(cpu_since(&after, &before)) / count as f64,
        }
    }

    /// Starts `count` workflows that wait, so many at once, and lets each come to rest.
    pub(crate) fn waiting(&self, count: usize, at_once: usize) -> Vec<WorkflowHandle<Client, WaitsRun>> {
        let handles = self.each(count, at_once, async |index| {
            self.client.start_workflow(Waits::run, (), start(&unique("waits", index))).await.expect("a start")
        });
        // The last to be started are the last to rest.
        thread::sleep(Duration::from_secs(1));
        handles
    }

    /// From the request that starts a workflow to its first line, one at a time, in milliseconds: 99th percentile of `count`.
    pub(crate) fn first_task(&self, count: usize) -> f64 {
        take_moments();
        let ids: Vec<String> = (0..count).map(|index| unique("stamps", index)).collect();
        let begun = self.each(count, 1, async |index| {
            let began = Instant::now();
            let handle = self.client.start_workflow(Stamps::run, (), start(&ids[index])).await.expect("a start");
            handle.get_result(WorkflowGetResultOptions::default()).await.expect("a result");
            tokio::time::sleep(IDLE).await;
            began
        });
        let moments = take_moments();
        let times: Vec<Duration> = ids.iter().zip(&begun).map(|(id, began)| moments[id][0] - *began).collect();
        milliseconds(quantile(&times, 0.99))
    }

    /// Runs `step` for each index, so many at once, and answers what they answer, in order.
    fn each<T>(&self, count: usize, at_once: usize, step: impl AsyncFn(usize) -> T) -> Vec<T> {
        self.runtime.block_on(stream::iter(0..count).map(|index| step(index)).buffered(at_once).collect())
    }
}

impl Drop for Driver<'_> {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // It spawns the task that ends the worker.
            let _entered = self.runtime.enter();
            stop();
        }
        if let Some(worker) = self.worker.take() {
            // A worker that failed has said why.
            let _ = worker.join();
        }
    }
}

async fn connect(server: &Server) -> Client {
    let url = Url::parse(&server.url()).expect("an address");
    let options = ConnectionOptions::new(url).identity("bench".to_owned()).build();
    let connection = Connection::connect(options).await.expect("a connection");
    Client::new(connection, ClientOptions::new(NAMESPACE).build()).expect("a client")
}

/// Runs a worker on a thread of its own; the first part of the answer stops it.
fn start_worker(client: Client) -> (Box<dyn FnOnce() + Send>, thread::JoinHandle<()>) {
    let (handles, handle) = mpsc::channel();
    let worker = thread::spawn(move || {
        let tokio = runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        tokio.block_on(async {
            let options = RuntimeOptions::builder().heartbeat_interval(None).build().expect("options");
            let runtime = Runtime::from_current_tokio(options).expect("an SDK runtime");
            let mut worker = Worker::new(&runtime, client, worker_options()).expect("a worker");
            let stop: Box<dyn FnOnce() + Send> = Box::new(worker.shutdown_handle());
            handles.send(stop).expect("the driver waits");
            worker.run().await.expect("the worker runs");
        });
        tokio.shutdown_timeout(Duration::from_secs(1));
    });
    (handle.recv_timeout(Duration::from_secs(30)).expect("the worker starts"), worker)
}

fn worker_options() -> WorkerOptions {
    WorkerOptions::new(QUEUE)
        .register_activities(Deeds)
        .register_workflow::<One>()
        .and_then(|options| options.register_workflow::<Ticks>())
        .and_then(|options| options.register_workflow::<Waits>())
        .and_then(|options| options.register_workflow::<Stamps>())
        .expect("workflows with names of their own")
        .workflow_task_poller_behavior(PollerBehavior::SimpleMaximum(8))
        .activity_task_poller_behavior(PollerBehavior::SimpleMaximum(8))
        .build()
}

fn start(id: &str) -> WorkflowStartOptions {
    WorkflowStartOptions::new(QUEUE, id).build()
}

/// An id that no other run of this bench on the same server has.
fn unique(kind: &str, index: usize) -> String {
    use std::sync::atomic::{AtomicUsize, Ordering};

    static SERIAL: AtomicUsize = AtomicUsize::new(0);
    format!("{kind}-{index}-{}", SERIAL.fetch_add(1, Ordering::Relaxed))
}

fn cpu_since(now: &Usage, before: &Usage) -> Duration {
    now.cpu.saturating_sub(before.cpu)
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
