//! Activities that stand alone, as the core keeps them: the open ones in memory, the closed ones in the store.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use prost::Message as _;
use temporalio_common::protos::temporal::api::{
    common::v1::{Payloads, WorkflowExecution},
    workflowservice::v1::PollActivityTaskQueueResponse,
};
use tonic::Status;

use super::{
    Core, Reply,
    commit::status_of,
    dispatch::{Delivery, Poller},
};
use crate::{
    clock::Timestamp,
    history::{
        TaskStart,
        time::{Nanos, timestamp},
    },
    matching::{QueueKey, Rank, Task, TaskKind},
    service::{
        status::not_found,
        token::{TaskToken, Token as _},
    },
    standalone::Record,
    store::{ActivityRow, Batch},
};

/// Clients that may wait for one activity.
const MAX_WAITERS: usize = 1_000;

/// Somebody who waits for an activity.
struct Waiter {
    /// The transitions that it has seen; whoever wants the end alone has seen all that may come.
    seen: i64,
    reply: Reply<()>,
}

/// The open activities.
#[derive(Default)]
pub(crate) struct Activities {
    live: BTreeMap<i64, Record>,
    /// By namespace and id.
    keys: HashMap<(String, String), i64>,
    /// Attempts that wait in a queue.
    queued: HashMap<i64, i32>,
    waiters: HashMap<i64, Vec<Waiter>>,
    /// Those that workers of the last process held, until that they have failed is stored.
    orphaned: BTreeSet<i64>,
    unsaved: BTreeSet<i64>,
    inputs: BTreeMap<i64, Vec<u8>>,
    deleted: BTreeSet<i64>,
    deleted_namespaces: BTreeSet<String>,
}

impl Activities {
    pub(super) fn has_changes(&self) -> bool {
        !self.unsaved.is_empty() || !self.deleted.is_empty() || !self.deleted_namespaces.is_empty()
    }

    pub(super) fn write(&self, batch: &mut Batch) {
        let rows = self.unsaved.iter().filter_map(|key| self.live.get(key).map(|record| row(*key, record)));
        batch.put_activities.extend(rows);
        batch.put_activity_inputs.extend(self.inputs.iter().map(|(key, input)| (*key, input.clone())));
        batch.delete_activities.extend(self.deleted.iter().copied());
        batch.delete_activities_of.extend(self.deleted_namespaces.iter().cloned());
    }

    /// Whether that key is one of an open activity.
    pub(super) fn contains(&self, key: i64) -> bool {
        self.live.contains_key(&key)
    }

    /// Whether a worker has one, or could have.
    pub(super) fn is_at_work(&self) -> bool {
        self.live.values().any(|record| record.activity.is_started() || record.waits_for_worker())
    }

    /// The open activity of that key.
    pub(crate) fn get(&self, key: i64) -> Option<&Record> {
        self.live.get(&key)
    }

    fn insert(&mut self, key: i64, record: Record) {
        self.keys.insert((record.namespace.clone(), record.activity_id().to_owned()), key);
        self.live.insert(key, record);
    }

    fn remove(&mut self, key: i64) {
        self.queued.remove(&key);
        if let Some(record) = self.live.remove(&key) {
            let id = (record.namespace.clone(), record.activity_id().to_owned());
            if self.keys.get(&id) == Some(&key) {
                self.keys.remove(&id);
            }
        }
    }
}

fn row(key: i64, record: &Record) -> ActivityRow {
    ActivityRow {
        key,
        namespace: record.namespace.clone(),
        activity_id: record.activity_id().to_owned(),
        run_id: record.run_id.clone(),
        close_time: (!record.is_open()).then_some(Timestamp(record.close_time)),
        data: record.encode_to_vec(),
    }
}

/// Reads a stored activity.
pub(crate) fn decode(row: &ActivityRow) -> Result<Record, Status> {
    Record::decode(row.data.as_slice())
        .map_err(|error| Status::data_loss(format!("activity {} cannot be read: {error}", row.activity_id)))
}

/// There is no such activity.
pub(crate) fn no_activity(activity_id: &str) -> Status {
    not_found(&format!("activity not found for ID: {activity_id}"))
}

impl Core {
    /// Loads the open activities, and takes back what workers of the last process held.
    pub(super) fn load_activities(&mut self) -> Result<(), crate::EngineError> {
        self.read_activities()?;
        let held = |record: &&Record| record.activity.is_started() && record.activity.in_process;
        let of_dead = self.activities.live.iter().filter(|(_, record)| held(record)).map(|(key, _)| *key);
        self.activities.orphaned = of_dead.collect();
        self.abandon_orphaned_activities();
        Ok(())
    }

    fn read_activities(&mut self) -> Result<(), crate::EngineError> {
        for row in self.store.load_open_activities()? {
            let record = decode(&row).map_err(|status| crate::EngineError::Damaged(status.message().to_owned()))?;
            self.activities.insert(row.key, record);
            self.settle_activity(row.key);
        }
        Ok(())
    }

    fn abandon_orphaned_activities(&mut self) {
        for key in self.activities.orphaned.clone() {
            self.update_activity(key, Record::abandon_in_process_worker);
        }
    }

    /// Starts an activity, and answers its key.
    pub(crate) fn start_activity_execution(&mut self, record: Record, input: Option<&Payloads>) -> i64 {
        let key = self.next_key();
        self.activities.insert(key, record);
        self.activities.unsaved.insert(key);
        if let Some(input) = input {
            self.activities.inputs.insert(key, input.encode_to_vec());
        }
        self.settle_activity(key);
        key
    }

    /// Finds a run of an activity; without a run id, the last one.
    ///
    /// # Errors
    /// `NOT_FOUND`, or the store cannot be read.
    pub(crate) fn find_activity(
        &self,
        namespace: &str,
        activity_id: &str,
        run_id: &str,
    ) -> Result<(i64, Record), Status> {
        let id = (namespace.to_owned(), activity_id.to_owned());
        if let Some((key, record)) =
            self.activities.keys.get(&id).and_then(|key| Some((key, self.activities.get(*key)?)))
            && (run_id.is_empty() || record.run_id == run_id)
            && !self.activities.deleted.contains(key)
        {
            return Ok((*key, record.clone()));
        }
        let found = self.store.find_activity(namespace, activity_id, run_id).map_err(|error| status_of(&error))?;
        let row = found.filter(|row| !self.activities.deleted.contains(&row.key));
        let row = row.ok_or_else(|| no_activity(activity_id))?;
        Ok((row.key, decode(&row)?))
    }

    /// Changes an open activity, and notes what follows from that.
    pub(crate) fn update_activity<R>(&mut self, key: i64, change: impl FnOnce(&mut Record, Nanos) -> R) -> Option<R> {
        let now = self.now();
        let record = self.activities.live.get_mut(&key)?;
        let result = change(record, now);
        self.activities.unsaved.insert(key);
        self.settle_activity(key);
        Some(result)
    }

    /// Forgets an activity, open or closed.
    pub(crate) fn delete_activity(&mut self, key: i64) {
        self.update_activity(key, |record, now| record.terminate(now, "", "Delete activity execution", super::SENDER));
        self.activities.deleted.insert(key);
    }

    pub(super) fn delete_activities_of(&mut self, namespace: &str) {
        let keys: Vec<i64> = self
            .activities
            .live
            .iter()
            .filter(|(_, record)| record.namespace == namespace)
            .map(|(key, _)| *key)
            .collect();
        for key in keys {
            self.delete_activity(key);
        }
        self.activities.deleted_namespaces.insert(namespace.to_owned());
    }

    /// What is due at an activity.
    pub(super) fn fire_activity(&mut self, key: i64) {
        self.update_activity(key, Record::fire);
    }

    /// Sets its deadline, and queues the attempt that waits for a worker.
    fn settle_activity(&mut self, key: i64) {
        let now = self.now();
        let Some(record) = self.activities.live.get(&key) else { return };
        self.deadlines.set(key, record.next_deadline());
        let attempt = record.activity.attempt;
        if !record.waits_for_worker() || self.activities.queued.get(&key) == Some(&attempt) {
            return;
        }
        let (queue, rank) = (self.activity_queue(record), Rank::of(record.activity.priority()));
        self.activities.queued.insert(key, attempt);
        self.queues.add_task(&queue, Task::Standalone { key, attempt }, rank, now);
    }

    fn activity_queue(&self, record: &Record) -> QueueKey {
        let (namespace, name, kind) =
            (record.namespace.clone(), record.activity.task_queue().to_owned(), TaskKind::Activity);
        let version = self.deployments.target(&namespace, &name, kind.queue_type(), record.activity_id());
        QueueKey { namespace, name, kind, version }
    }

    /// Takes an activity off its queue, before it changes in a way that may put it elsewhere, or nowhere.
    pub(crate) fn unqueue_standalone(&mut self, key: i64) {
        let Some(record) = self.activities.live.get(&key) else { return };
        if self.activities.queued.remove(&key).is_none() {
            return;
        }
        let queue = QueueKey {
            namespace: record.namespace.clone(),
            name: record.activity.task_queue().to_owned(),
            kind: TaskKind::Activity,
            version: None,
        };
        for part in self.queues.keys(&queue) {
            self.queues.remove_tasks(&part, |task| matches!(task, Task::Standalone { key: of, .. } if *of == key));
        }
    }

    /// Queues a waiting attempt again, as if it were new.
    pub(super) fn requeue_activity(&mut self, key: i64) {
        self.activities.queued.remove(&key);
        self.settle_activity(key);
    }

    /// Gives an attempt to a worker; gives the worker back when the attempt is no more.
    pub(super) fn give_activity(
        &mut self,
        queue: &QueueKey,
        (key, attempt): (i64, i32),
        start: &TaskStart,
        poller: Poller,
    ) -> Option<Poller> {
        self.activities.queued.remove(&key);
        if self.update_activity(key, |record, now| record.begin(now, attempt, start)) != Some(true) {
            return Some(poller);
        }
        let Some(record) = self.activities.get(key).cloned() else { return Some(poller) };
        self.hand_over(queue.clone(), poller.reply, move |core| {
            let input = core.activity_input(key)?;
            Ok(Delivery::Activity(Box::new(task_response(key, record, input))))
        });
        None
    }

    /// The input of an activity.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(crate) fn activity_input(&self, key: i64) -> Result<Option<Payloads>, Status> {
        let input = self.store.activity_input(key).map_err(|error| status_of(&error))?;
        let decoded = input.map(|input| Payloads::decode(input.as_slice())).transpose();
        decoded.map_err(|error| Status::data_loss(format!("an activity's input cannot be read: {error}")))
    }

    /// Lets somebody wait until an activity has moved on from the transitions that they have seen, or has closed.
    pub(crate) fn wait_for_activity(&mut self, key: i64, seen: i64, reply: Reply<()>) {
        let waiters = self.activities.waiters.entry(key).or_default();
        waiters.retain(|waiter| !waiter.reply.is_closed());
        if waiters.len() >= MAX_WAITERS {
            let _ = reply.send(Err(Status::resource_exhausted("too many clients wait for this activity")));
            return;
        }
        waiters.push(Waiter { seen, reply });
    }

    /// The batch is durable: who waits is told, and what has closed leaves memory.
    pub(super) fn activities_saved(&mut self) {
        self.activities.inputs.clear();
        self.activities.orphaned.clear();
        self.activities.deleted_namespaces.clear();
        let deleted = std::mem::take(&mut self.activities.deleted);
        for key in std::mem::take(&mut self.activities.unsaved).into_iter().chain(deleted) {
            let record = self.activities.get(key);
            let closed = record.is_none_or(|record| !record.is_open());
            let transitions = record.map_or(i64::MAX, |record| record.transitions);
            let waiters = self.activities.waiters.remove(&key).unwrap_or_default();
            let (due, waiting): (Vec<_>, Vec<_>) =
                waiters.into_iter().partition(|waiter| closed || waiter.seen < transitions);
            for waiter in due {
                let _ = waiter.reply.send(Ok(()));
            }
            if !waiting.is_empty() {
                self.activities.waiters.insert(key, waiting);
            }
            if closed {
                self.deadlines.set(key, 0);
                self.activities.remove(key);
            }
        }
    }

    /// The commit failed: the activities go back to what is stored.
    pub(super) fn revert_activities(&mut self) {
        if !self.activities.has_changes() {
            return;
        }
        let Activities { live, waiters, orphaned, .. } = std::mem::take(&mut self.activities);
        for key in live.into_keys() {
            self.deadlines.set(key, 0);
        }
        self.activities.waiters = waiters;
        self.activities.orphaned = orphaned;
        if let Err(error) = self.read_activities() {
            tracing::error!(%error, "cannot read the activities back: {error}");
        }
        self.abandon_orphaned_activities();
        let soon = self.now().saturating_add(super::lookup::RETRY_COMMIT);
        let due: Vec<(i64, Nanos)> =
            self.activities.live.iter().map(|(key, record)| (*key, record.next_deadline())).collect();
        for (key, deadline) in due.into_iter().filter(|(_, deadline)| *deadline != 0) {
            self.deadlines.set(key, deadline.max(soon));
        }
    }
}

fn task_response(key: i64, record: Record, input: Option<Payloads>) -> PollActivityTaskQueueResponse {
    let activity = record.activity;
    let scheduled = activity.scheduled.unwrap_or_default();
    let token =
        TaskToken { key, attempt: activity.attempt, standalone: scheduled.activity_id.clone(), ..TaskToken::default() };
    PollActivityTaskQueueResponse {
        task_token: token.to_bytes(),
        workflow_namespace: record.namespace,
        workflow_execution: Some(WorkflowExecution::default()),
        activity_type: scheduled.activity_type,
        activity_id: scheduled.activity_id,
        activity_run_id: record.run_id,
        header: record.header,
        input,
        heartbeat_details: activity.heartbeat_details,
        scheduled_time: timestamp(record.schedule_time),
        current_attempt_scheduled_time: timestamp(activity.attempt_scheduled_time),
        started_time: timestamp(activity.started_time),
        attempt: activity.attempt,
        schedule_to_close_timeout: scheduled.schedule_to_close_timeout,
        start_to_close_timeout: scheduled.start_to_close_timeout,
        heartbeat_timeout: scheduled.heartbeat_timeout,
        retry_policy: scheduled.retry_policy,
        priority: scheduled.priority,
        ..Default::default()
    }
}
