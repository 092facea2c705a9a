//! Handing tasks to workers. A task is started, in the state and in the history, in the same transaction in which a worker was
//! found for it; the worker hears of it once that is durable.

use temporalio_common::protos::temporal::api::workflowservice::v1::{
    PollActivityTaskQueueResponse, PollNexusTaskQueueResponse, PollWorkflowTaskQueueResponse,
};
use tonic::Status;
use uuid::Uuid;

use super::{Core, Reply};
use crate::{
    history::{ActivityStart, Execution, TaskStart, priority::merged, time::Nanos},
    matching::{QueueKey, Rank, Task, TaskKind},
};

/// Who polls.
#[derive(Debug, Clone)]
pub(crate) struct PollRequest {
    /// The queue.
    pub(crate) queue: QueueKey,
    /// The worker.
    pub(crate) identity: String,
    /// Whether it lives in this process.
    pub(crate) in_process: bool,
    /// Names this poll, to end it.
    pub(crate) poll_id: u64,
    /// Names the worker's instance, so that all its polls end when it shuts down; empty when it does not say.
    pub(crate) worker: String,
    /// Tasks a second that its queue is to give out at the most, if it says so.
    pub(crate) max_rate: Option<f64>,
}

/// A worker that waits for a task.
pub(crate) struct Poller {
    pub(crate) request: PollRequest,
    pub(crate) reply: PollReply,
}

/// Where its task goes.
pub(crate) enum PollReply {
    /// To a workflow worker.
    Workflow(Reply<PollWorkflowTaskQueueResponse>),
    /// To an activity worker.
    Activity(Reply<PollActivityTaskQueueResponse>),
    /// To a worker with Nexus handlers.
    Nexus(Reply<PollNexusTaskQueueResponse>),
}

/// A task that is started and durable, on its way to a worker.
pub(crate) enum Delivery {
    Workflow(Box<PollWorkflowTaskQueueResponse>),
    Activity(Box<PollActivityTaskQueueResponse>),
    Nexus(Box<PollNexusTaskQueueResponse>),
}

impl PollReply {
    fn is_closed(&self) -> bool {
        match self {
            Self::Workflow(reply) => reply.is_closed(),
            Self::Activity(reply) => reply.is_closed(),
            Self::Nexus(reply) => reply.is_closed(),
        }
    }

    pub(crate) fn refuse(self, status: Status) {
        match self {
            Self::Workflow(reply) => drop(reply.send(Err(status))),
            Self::Activity(reply) => drop(reply.send(Err(status))),
            Self::Nexus(reply) => drop(reply.send(Err(status))),
        }
    }

    /// An empty answer: there is no task for now.
    fn nothing(self) {
        match self {
            Self::Workflow(reply) => drop(reply.send(Ok(PollWorkflowTaskQueueResponse::default()))),
            Self::Activity(reply) => drop(reply.send(Ok(PollActivityTaskQueueResponse::default()))),
            Self::Nexus(reply) => drop(reply.send(Ok(PollNexusTaskQueueResponse::default()))),
        }
    }

    /// Hands a task over; gives it back when the worker has gone.
    fn deliver(self, delivery: Delivery) -> Result<(), Delivery> {
        match (self, delivery) {
            (Self::Workflow(reply), Delivery::Workflow(task)) => reply.send(Ok(*task)).map_err(|back| match back {
                Ok(task) => Delivery::Workflow(Box::new(task)),
                Err(_) => Delivery::Workflow(Box::default()),
            }),
            (Self::Activity(reply), Delivery::Activity(task)) => reply.send(Ok(*task)).map_err(|back| match back {
                Ok(task) => Delivery::Activity(Box::new(task)),
                Err(_) => Delivery::Activity(Box::default()),
            }),
            (Self::Nexus(reply), Delivery::Nexus(task)) => reply.send(Ok(*task)).map_err(|back| match back {
                Ok(task) => Delivery::Nexus(Box::new(task)),
                Err(_) => Delivery::Nexus(Box::default()),
            }),
            (_, delivery) => Err(delivery),
        }
    }
}

impl Core {
    /// Lets a worker wait for a task.
    pub(crate) fn poll(&mut self, request: PollRequest, reply: PollReply) {
        let queue = request.queue.clone();
        if let Err(status) = self.register_version(&queue) {
            return reply.refuse(status);
        }
        if let Some(delivery) = self.undelivered.get_mut(&queue).and_then(std::collections::VecDeque::pop_front) {
            return self.deliver(&queue, reply, delivery);
        }
        if let Some(rate) = request.max_rate {
            self.queues.limit_by_worker(&queue, rate);
        }
        let identity = request.identity.clone();
        if let Err(poller) = self.queues.add_poller(&queue, self.now(), &identity, Poller { request, reply }) {
            poller.reply.refuse(Status::resource_exhausted("too many pollers wait on this task queue"));
        }
    }

    /// Ends a poll that nothing came for. One that has just got its task is left alone.
    pub(crate) fn end_poll(&mut self, queue: &QueueKey, poll_id: u64) {
        for poller in self.queues.remove_pollers(queue, |poller| poller.request.poll_id == poll_id) {
            poller.reply.nothing();
        }
    }

    /// Ends the polls of one worker's instance on a queue that others poll too.
    pub(crate) fn end_polls_of(&mut self, queue: &QueueKey, worker: &str) {
        for part in self.queues.keys(queue) {
            for poller in self.queues.remove_pollers(&part, |poller| poller.request.worker == worker) {
                poller.reply.nothing();
            }
        }
    }

    /// Ends all polls of a sticky queue whose worker shuts down, and gives what waited there to the others.
    pub(crate) fn end_worker(&mut self, queue: &QueueKey) {
        let (tasks, pollers) = self.queues.remove_queue(queue);
        for poller in pollers {
            poller.reply.nothing();
        }
        for task in tasks {
            match task {
                Task::Workflow { key } => {
                    self.update(key, |e, _| e.clear_sticky());
                    self.requeue(key);
                }
                Task::Standalone { key, .. } => self.requeue_activity(key),
                Task::Nexus { key, call } => self.requeue_call(key, call),
                Task::Query { key, .. } | Task::Activity { key, .. } => {
                    if let Ok(info) = self.info(key) {
                        let queue = self.worker_queue(&info);
                        self.queues.add_task(&queue, task, Rank::of(info.priority()), self.now());
                    }
                }
            }
        }
    }

    /// Queues the workflow task again, as if it were new.
    pub(super) fn requeue(&mut self, key: i64) {
        if let Some(live) = self.live.get_mut(&key)
            && let Some(task) = live.execution.info.workflow_task.as_ref()
        {
            live.queued.remove(&(task.scheduled_event_id, task.attempt));
        }
        self.enqueue_tasks(key, std::iter::empty());
    }

    /// Queues the workflow task and those of the named activities that wait for a worker.
    pub(super) fn enqueue_tasks(&mut self, key: i64, activities: impl Iterator<Item = i64>) {
        let now = self.now();
        let Some(live) = self.live.get(&key) else { return };
        let execution = &live.execution;
        let info = &execution.info;
        if !execution.is_open() {
            return;
        }
        let mut tasks = Vec::new();
        let mut queued = Vec::new();
        if let Some(task) = info.workflow_task.as_ref().filter(|task| task.started_event_id == 0)
            && !live.queued.contains(&(task.scheduled_event_id, task.attempt))
        {
            queued.push((task.scheduled_event_id, task.attempt));
            let (namespace, normal, kind) = (info.namespace.clone(), execution.task_queue(), TaskKind::Workflow);
            let sticky = QueueKey { namespace, name: task.queue.clone(), kind, version: None };
            let there = task.sticky && self.queues.has_poller(&sticky, now) && self.may_stick(info, normal);
            let version = if there { None } else { self.version_for(info, normal, kind) };
            let queue = if there { sticky } else { QueueKey { name: normal.to_owned(), version, ..sticky } };
            tasks.push((queue, Task::Workflow { key }, Rank::of(info.priority())));
        }
        for id in activities {
            let Some(activity) = execution.activities.get(&id).filter(|a| a.is_due() && !execution.is_paused()) else {
                continue;
            };
            if !live.queued.contains(&(id, activity.attempt)) {
                queued.push((id, activity.attempt));
                let (namespace, name, kind) =
                    (info.namespace.clone(), activity.task_queue().to_owned(), TaskKind::Activity);
                let version = self.version_for(info, &name, kind);
                let queue = QueueKey { namespace, name, kind, version };
                let rank = Rank::of(merged(info.priority(), activity.priority()).as_ref());
                tasks.push((queue, Task::Activity { key, scheduled_event_id: id, attempt: activity.attempt }, rank));
            }
        }
        if let Some(live) = self.live.get_mut(&key) {
            live.queued.extend(queued);
        }
        for (queue, task, rank) in tasks {
            self.queues.add_task(&queue, task, rank, now);
        }
    }

    /// Takes an activity off its queue, before it changes in a way that may put it elsewhere, or nowhere.
    pub(crate) fn unqueue_activity(&mut self, key: i64, id: i64) {
        let Some(live) = self.live.get_mut(&key) else { return };
        let Some(activity) = live.execution.activities.get(&id) else { return };
        if !live.queued.remove(&(id, activity.attempt)) {
            return;
        }
        let queue = QueueKey {
            namespace: live.execution.info.namespace.clone(),
            name: activity.task_queue().to_owned(),
            kind: TaskKind::Activity,
            version: None,
        };
        for part in self.queues.keys(&queue) {
            self.queues.remove_tasks(
                &part,
                |task| matches!(task, Task::Activity { key: of, scheduled_event_id, .. } if (*of, *scheduled_event_id) == (key, id)),
            );
        }
    }

    /// Queues all that an execution has waiting for workers, after it was loaded.
    pub(super) fn queue_everything(&mut self, key: i64) {
        let Some(live) = self.live.get(&key) else { return };
        self.deadlines.set(key, live.execution.next_deadline());
        let activities: Vec<i64> = live.execution.activities.keys().copied().collect();
        let operations: Vec<i64> = live.execution.operations.keys().copied().collect();
        self.enqueue_tasks(key, activities.into_iter());
        self.enqueue_calls(key, &operations);
    }

    /// Brings waiting tasks and waiting workers together. Answers whether any met.
    pub(super) fn match_tasks(&mut self) -> bool {
        let mut any = false;
        let now = self.now();
        while let Some(queue) = self.queues.take_ready() {
            while let Some((task, poller)) = self.queues.take(&queue, now, |poller| !poller.reply.is_closed()) {
                match self.give(&queue, &task, poller) {
                    None => any = true,
                    Some(poller) => self.queues.put_back(&queue, poller),
                }
            }
        }
        any
    }

    /// Gives a task to a worker; gives the worker back when the task is no more.
    fn give(&mut self, queue: &QueueKey, task: &Task, poller: Poller) -> Option<Poller> {
        let start = TaskStart {
            identity: poller.request.identity.clone(),
            request_id: Uuid::now_v7().to_string(),
            in_process: poller.request.in_process,
        };
        match *task {
            Task::Workflow { key } => self.give_workflow_task(queue, key, &start, poller),
            Task::Standalone { key, attempt } => self.give_activity(queue, (key, attempt), &start, poller),
            Task::Query { key, query_id } => self.give_query(queue, key, query_id, poller),
            Task::Nexus { key, call } => self.give_call(queue, key, call, poller),
            Task::Activity { key, scheduled_event_id, attempt } => {
                if let Some(live) = self.live.get_mut(&key) {
                    live.queued.remove(&(scheduled_event_id, attempt));
                }
                let Some(Some(started)) =
                    self.update(key, |e, now| e.start_activity(now, scheduled_event_id, attempt, &start))
                else {
                    return Some(poller);
                };
                self.hand_over(queue.clone(), poller.reply, move |core| {
                    core.activity_response(key, &started).map(|r| Delivery::Activity(Box::new(r)))
                });
                None
            }
        }
    }

    fn give_workflow_task(&mut self, queue: &QueueKey, key: i64, start: &TaskStart, poller: Poller) -> Option<Poller> {
        if let Some(live) = self.live.get_mut(&key)
            && let Some(task) = live.execution.info.workflow_task.as_ref()
        {
            live.queued.remove(&(task.scheduled_event_id, task.attempt));
        }
        let Some(Some(started)) = self.update(key, |e, now| e.start_workflow_task(now, start)) else {
            return Some(poller);
        };
        let queries = self.attach_queries(key);
        let messages = self.send_updates(key, true);
        let sticky = started.task.sticky && started.task.queue == queue.name;
        self.hand_over(queue.clone(), poller.reply, move |core| {
            let mut response = core.workflow_task_response(key, &started, sticky)?;
            response.queries = queries.into_iter().collect();
            response.messages = messages;
            Ok(Delivery::Workflow(Box::new(response)))
        });
        None
    }

    fn give_query(&mut self, queue: &QueueKey, key: i64, query_id: u64, poller: Poller) -> Option<Poller> {
        let wanted = self.pending_query(key, query_id).filter(|query| !query.attached && !query.reply.is_closed());
        let Some(query) = wanted.map(|query| query.query.clone()) else { return Some(poller) };
        let name = queue.name.clone();
        self.hand_over(queue.clone(), poller.reply, move |core| {
            core.query_response(key, query_id, query, &name).map(|response| Delivery::Workflow(Box::new(response)))
        });
        None
    }

    /// Once the batch is durable, makes the response and hands it over.
    pub(super) fn hand_over(
        &mut self,
        queue: QueueKey,
        reply: PollReply,
        response: impl FnOnce(&mut Self) -> Result<Delivery, Status> + Send + 'static,
    ) {
        self.outbox.push(Box::new(move |core, failed| match failed.cloned().map_or_else(|| response(core), Err) {
            Ok(delivery) => core.deliver(&queue, reply, delivery),
            Err(status) => reply.refuse(status),
        }));
    }

    fn deliver(&mut self, queue: &QueueKey, reply: PollReply, delivery: Delivery) {
        if let Err(delivery) = reply.deliver(delivery) {
            self.undelivered.entry(queue.clone()).or_default().push_back(delivery);
        }
    }

    /// Starts activities that are executed eagerly, by the worker that has just asked for them.
    pub(crate) fn start_eagerly(&mut self, key: i64, ids: &[i64], start: &TaskStart) -> Vec<ActivityStart> {
        let begin = |e: &mut Execution, now: Nanos| -> Vec<ActivityStart> {
            ids.iter().filter_map(|id| e.start_activity(now, *id, 1, start)).collect()
        };
        self.update(key, begin).unwrap_or_default()
    }
}
