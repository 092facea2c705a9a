//! The core: one thread that owns all executions, task queues and the store.
//!
//! It takes requests in batches. Each request changes states in memory and leaves its answer in the outbox; then
//! everything that the batch changed is committed in one transaction, and only then do answers and tasks go out. So
//! many requests share one fsync, and nothing is seen that a crash could take back. When the commit fails, what the
//! batch touched is loaded anew and every answer becomes the error.

mod backup;
mod batch_jobs;
mod callbacks;
mod commit;
mod deployments;
mod dispatch;
mod effects;
mod endpoints;
mod inbox;
mod lookup;
mod measure;
mod namespaces;
mod nexus;
mod query;
mod reset;
mod response;
mod run;
mod schedule;
mod skipping;
mod standalone;
mod sweep;
mod task_queues;
mod update;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::{Arc, mpsc},
};

use temporalio_common::protos::temporal::api::{
    history::v1::HistoryEvent, workflowservice::v1::DescribeNamespaceResponse,
};
use tokio::sync::oneshot;
use tonic::Status;

pub(crate) use batch_jobs::{BatchJob, BatchJobs};
pub(crate) use callbacks::{SYSTEM_CALLBACK, event_link, started_link};
pub(crate) use commit::status_of;
pub(crate) use deployments::{Deployments, POLLER_MEMORY};
pub(crate) use dispatch::{PollReply, PollRequest, Poller};
pub(crate) use effects::SENDER;
pub(crate) use endpoints::Endpoints;
pub(crate) use lookup::closed_info;
pub(crate) use query::PendingQuery;
pub(crate) use reset::ResetRequest;
pub(crate) use schedule::Schedules;
pub(crate) use standalone::{Activities, decode as decode_activity, no_activity};
pub(crate) use task_queues::TaskQueues;
pub(crate) use update::{Progress, Reached, UpdateWait, WaitFor};

use self::{
    inbox::{Inbox, InboxSender, Refused},
    nexus::Called,
};
use crate::{
    EngineError,
    clock::Clock,
    history::{
        CallId, Changes, Execution,
        state::{Effect, PendingKind},
        time::Nanos,
    },
    matching::{QueueKey, Queues},
    metrics::EngineMetrics,
    store::{ExecutionKey, Store, StoreError},
    timers::Deadlines,
    workers::Workers,
};

/// Events kept in memory of an open execution, for its next workflow task.
const MAX_RECENT_EVENTS: usize = 256;
/// Executions whose latest events are kept in memory. Those of the others, most of which rest for days, are read back.
const MAX_WARM_EXECUTIONS: usize = 256;

/// A request, as the core thread runs it.
type Job = Box<dyn FnOnce(&mut Core) + Send>;
/// What happens once the batch is durable, or has failed with that status.
type Completion = Box<dyn FnOnce(&mut Core, Option<&Status>) + Send>;

enum Message {
    Run(Job),
    Wake,
    Stop(oneshot::Sender<()>),
}

/// Sends requests to the core thread.
#[derive(Clone)]
pub(crate) struct CoreHandle {
    sender: Arc<InboxSender>,
}

/// Where a request's answer goes.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, Status>>;

/// An open execution in memory, with what is not stored yet.
#[derive(Default)]
pub(crate) struct Live {
    pub(crate) execution: Execution,
    /// Events since the last workflow task that the worker has seen.
    recent: VecDeque<HistoryEvent>,
    /// The commit that changed it last.
    last_commit: u64,
    unsaved_events: Vec<HistoryEvent>,
    unsaved_pending: BTreeSet<(PendingKind, i64)>,
    unsaved_row: bool,
    /// Tasks of this execution that wait in a queue.
    queued: BTreeSet<(i64, i32)>,
    /// Requests to Nexus handlers that are under way.
    calls: BTreeMap<CallId, Called>,
    pub(crate) queries: BTreeMap<u64, PendingQuery>,
    pub(crate) history_waiters: Vec<HistoryWaiter>,
    update_waits: Vec<UpdateWait>,
}

/// Somebody who waits for an execution's next events.
pub(crate) struct HistoryWaiter {
    /// First event wanted.
    pub(crate) from_event_id: i64,
    /// Whether only the close is of interest.
    pub(crate) close_only: bool,
    /// Told that there is something to read.
    pub(crate) reply: Reply<()>,
}

/// The state behind the core thread.
pub(crate) struct Core {
    pub(crate) store: Store,
    clock: Arc<dyn Clock>,
    metrics: EngineMetrics,
    pub(crate) live: HashMap<i64, Box<Live>>,
    /// Open (or just closed, until the commit) execution of each workflow id.
    current: HashMap<(String, String), i64>,
    deadlines: Deadlines,
    /// Executions that are yet to be told that the workers of the last process are gone.
    orphaned: BTreeSet<i64>,
    pub(crate) queues: Queues<Poller>,
    pub(crate) namespaces: BTreeMap<String, DescribeNamespaceResponse>,
    /// Those that were deleted, and of which something is still there.
    deleted_namespaces: BTreeMap<String, DescribeNamespaceResponse>,
    /// When the deletion of namespaces goes on, if there is something to delete.
    delete_after: Nanos,
    pub(crate) unsaved_namespaces: BTreeSet<String>,
    touched: BTreeSet<i64>,
    closed_changes: BTreeMap<i64, reset::ClosedChange>,
    commits: u64,
    /// Executions by the commit that changed them, oldest first; those that hold their latest events are among them.
    warm: VecDeque<(u64, i64)>,
    effects: VecDeque<(i64, Effect)>,
    outbox: Vec<Completion>,
    /// Why the batch under way cannot be committed.
    fault: Option<Status>,
    next_query_id: u64,
    /// Queries of closed executions, which are not in `live`.
    closed_queries: HashMap<i64, BTreeMap<u64, PendingQuery>>,
    next_sweep: Nanos,
    /// Tasks whose worker had gone when they were to be handed over; the next one gets them.
    undelivered: HashMap<QueueKey, VecDeque<dispatch::Delivery>>,
    pub(crate) schedules: Schedules,
    /// A copy of the store that is asked for, and whether one is being made.
    backup: Option<backup::BackupRequest>,
    backing_up: bool,
    pub(crate) batch_jobs: BatchJobs,
    pub(crate) deployments: Deployments,
    pub(crate) activities: Activities,
    /// What operators have set of task queues.
    pub(crate) task_queues: TaskQueues,
    /// Nexus endpoints, in all namespaces together.
    pub(crate) endpoints: Endpoints,
    /// Workers that were heard of.
    pub(crate) workers: Workers,
    /// What it takes to skip time, in an engine for tests.
    skipping: Option<skipping::Skipping>,
}

impl CoreHandle {
    /// Runs `job` on the core thread and waits for its answer.
    ///
    /// # Errors
    /// What the job answers; `RESOURCE_EXHAUSTED` when too many requests wait, `UNAVAILABLE` after shutdown.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Core, Reply<T>) + Send + 'static,
    ) -> Result<T, Status> {
        let (reply, answer) = oneshot::channel();
        self.send(Box::new(move |core| job(core, reply)))?;
        answer.await.unwrap_or_else(|_| Err(shut_down()))
    }

    /// Runs `job` on the core thread.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED` when too many requests wait, `UNAVAILABLE` after shutdown.
    pub(crate) fn send(&self, job: Job) -> Result<(), Status> {
        self.sender.offer(Message::Run(job)).map_err(|refused| match refused {
            Refused::Full => Status::resource_exhausted("too many requests wait for the engine; try again"),
            Refused::Ended => shut_down(),
        })
    }

    /// Stops the core thread once what it has accepted is done.
    pub(crate) async fn stop(&self) {
        let (done, stopped) = oneshot::channel();
        if self.sender.insist(Message::Stop(done)).is_ok() {
            let _ = stopped.await;
        }
    }
}

fn shut_down() -> Status {
    Status::unavailable("the engine is shut down")
}

impl Core {
    /// Starts the core thread over an opened store.
    ///
    /// # Errors
    /// The store cannot be read, or the thread cannot be started.
    pub(crate) fn spawn(
        open: impl FnOnce() -> Result<Store, StoreError> + Send + 'static,
        clock: Arc<dyn Clock>,
        metrics: EngineMetrics,
    ) -> Result<CoreHandle, EngineError> {
        let (sender, inbox) = inbox::inbox();
        let sender = Arc::new(sender);
        // The clock may outlive the engine, and must not keep it running.
        let wake = Arc::downgrade(&sender);
        clock.subscribe(Box::new(move || {
            // With a full inbox, the thread is awake.
            let _ = wake.upgrade().map(|wake| wake.offer(Message::Wake));
        }));
        let (opened, answer) = mpsc::channel();
        // The store belongs to the thread, and is opened there.
        let work = move || match open().map_err(EngineError::from).and_then(|store| Self::load(store, clock, metrics)) {
            Ok(core) => {
                let _ = opened.send(Ok(()));
                core.work(&inbox);
            }
            Err(error) => drop(opened.send(Err(error))),
        };
        let thread = std::thread::Builder::new().name("engine".to_owned());
        thread.spawn(work).map_err(|error| EngineError::Thread(error.to_string()))?;
        let ended = |_| EngineError::Thread("it has ended before it began to work".to_owned());
        answer.recv().map_err(ended)?.map(|()| CoreHandle { sender })
    }

    fn load(store: Store, clock: Arc<dyn Clock>, metrics: EngineMetrics) -> Result<Self, EngineError> {
        let skipping = clock.can_skip().then(skipping::Skipping::new);
        let mut core = Self {
            store,
            clock,
            metrics,
            live: HashMap::new(),
            current: HashMap::new(),
            deadlines: Deadlines::default(),
            orphaned: BTreeSet::new(),
            queues: Queues::default(),
            namespaces: BTreeMap::new(),
            deleted_namespaces: BTreeMap::new(),
            delete_after: 0,
            unsaved_namespaces: BTreeSet::new(),
            touched: BTreeSet::new(),
            closed_changes: BTreeMap::new(),
            commits: 0,
            warm: VecDeque::new(),
            effects: VecDeque::new(),
            outbox: Vec::new(),
            fault: None,
            next_query_id: 1,
            closed_queries: HashMap::new(),
            next_sweep: 0,
            undelivered: HashMap::new(),
            schedules: Schedules::default(),
            backup: None,
            backing_up: false,
            batch_jobs: BatchJobs::default(),
            deployments: Deployments::default(),
            activities: Activities::default(),
            task_queues: TaskQueues::default(),
            endpoints: Endpoints::default(),
            workers: Workers::default(),
            skipping,
        };
        core.resume_clock()?;
        core.load_namespaces()?;
        core.load_schedules()?;
        core.load_batch_jobs()?;
        core.load_deployments()?;
        core.load_task_queues()?;
        core.load_endpoints()?;
        core.load_activities()?;
        core.load_open()?;
        Ok(core)
    }

    /// Now, in nanoseconds.
    pub(crate) fn now(&self) -> Nanos {
        self.clock.now().as_nanos()
    }

    /// Answers once the batch is durable.
    pub(crate) fn reply<T: Send + 'static>(&mut self, reply: Reply<T>, answer: Result<T, Status>) {
        self.outbox.push(Box::new(move |_, failed| {
            let answer = failed.map_or(answer, |status| Err(status.clone()));
            let _ = reply.send(answer);
        }));
    }

    /// Runs `read` once the batch is durable, so that it sees what is stored, and answers with its result.
    pub(crate) fn reply_with<T: Send + 'static>(
        &mut self,
        reply: Reply<T>,
        read: impl FnOnce(&mut Self) -> Result<T, Status> + Send + 'static,
    ) {
        self.outbox.push(Box::new(move |core, failed| {
            let answer = match failed {
                Some(status) => Err(status.clone()),
                None => read(core),
            };
            let _ = reply.send(answer);
        }));
    }

    /// Changes an open execution and notes everything that follows from it.
    pub(crate) fn update<R>(&mut self, key: i64, change: impl FnOnce(&mut Execution, Nanos) -> R) -> Option<R> {
        let now = self.now();
        let live = self.live.get_mut(&key)?;
        let result = change(&mut live.execution, now);
        live.execution.end_transaction(now);
        self.settle(key);
        Some(result)
    }

    /// Notes what a transition changed: rows to write, deadlines, tasks, effects on others.
    fn settle(&mut self, key: i64) {
        let Some(live) = self.live.get_mut(&key) else { return };
        let mut changes: Changes = live.execution.take_changes();
        self.deadlines.set(key, live.execution.next_deadline());
        self.tell_update_clients(key, std::mem::take(&mut changes.updates));
        if !changes.dirty && changes.effects.is_empty() {
            // A speculative workflow task is not stored, and has to reach a worker all the same.
            return self.enqueue_tasks(key, std::iter::empty());
        }
        let Some(live) = self.live.get_mut(&key) else { return };
        live.unsaved_row |= changes.visibility;
        live.unsaved_events.extend(changes.events);
        live.unsaved_pending.extend(changes.pending.iter().copied());
        self.touched.insert(key);
        self.effects.extend(changes.effects.into_iter().map(|effect| (key, effect)));
        let pending = |kind| changes.pending.iter().filter(move |(of, _)| *of == kind).map(|(_, id)| *id);
        self.enqueue_tasks(key, pending(PendingKind::Activity));
        let operations: Vec<i64> = pending(PendingKind::Operation).collect();
        self.enqueue_calls(key, &operations);
    }

    /// Carries out effects and hands tasks to waiting workers until nothing is left to do.
    fn pump(&mut self) {
        loop {
            self.carry_out_effects();
            if !self.match_tasks() {
                return;
            }
        }
    }

    /// Carries out what executions do to each other. Goes before any task is handed out, so that a worker sees at once what
    /// follows from its commands.
    pub(crate) fn carry_out_effects(&mut self) {
        while let Some((key, effect)) = self.effects.pop_front() {
            self.carry_out(key, effect);
        }
    }

    /// Has the batch under way fail as a whole, with that status for everyone who waits for it.
    pub(crate) fn fail_batch(&mut self, status: Status) {
        tracing::error!(%status, "a change cannot be completed; the requests of its batch are refused: {status}");
        self.fault = Some(status);
    }

    /// Key for a new run.
    pub(crate) fn next_key(&mut self) -> i64 {
        let ExecutionKey(key) = self.store.next_key();
        key
    }
}
