//! Task queues: tasks that wait for a worker, workers that wait for a task.
//!
//! Nothing here is stored: tasks follow from the states of the executions and are put back when the engine opens. A task is
//! a hint; whether it is still there to be done is checked when a worker gets it. So the number of tasks is bounded by what
//! the executions have pending, and only the number of waiting workers needs a bound of its own.
//!
//! [`backlog`] says which task goes first, [`limit`] when one may go.

mod backlog;
mod describe;
mod limit;
mod rate;
mod throttle;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

pub(crate) use self::backlog::Rank;
pub(crate) use self::describe::{QueueStats, Seen};
use self::{backlog::Backlog, limit::Limits, rate::Rate};
use crate::{
    deployment::VersionId,
    history::{CallId, time::Nanos},
};

/// Workers that may wait on one queue at a time; one more is told to come back later.
pub(crate) const MAX_POLLERS: usize = 10_000;

/// How long after its last poll a sticky queue's worker counts as there (`matching.stickyPollerUnavailableWindow`).
const STICKY_POLLER_WINDOW: Nanos = 10_000_000_000;

/// What a queue holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum TaskKind {
    /// Workflow tasks, and queries.
    Workflow,
    /// Activity tasks.
    Activity,
    /// Requests to Nexus handlers.
    Nexus,
}

/// Names a queue.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct QueueKey {
    /// Namespace.
    pub(crate) namespace: String,
    /// Name.
    pub(crate) name: String,
    /// What it holds.
    pub(crate) kind: TaskKind,
    /// Whose part of it: that of a version's workers, or of those without one.
    pub(crate) version: Option<VersionId>,
}

impl QueueKey {
    /// The queue as a whole.
    pub(crate) fn unversioned(&self) -> Self {
        Self { namespace: self.namespace.clone(), name: self.name.clone(), kind: self.kind, version: None }
    }
}

/// A task that waits for a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Task {
    /// The workflow task of an execution.
    Workflow {
        /// The execution.
        key: i64,
    },
    /// A query that is answered without a workflow task.
    Query {
        /// The execution.
        key: i64,
        /// The query.
        query_id: u64,
    },
    /// An attempt of an activity.
    Activity {
        /// The execution.
        key: i64,
        /// Its scheduled event.
        scheduled_event_id: i64,
        /// The attempt.
        attempt: i32,
    },
    /// An attempt of an activity that stands alone.
    Standalone {
        /// The activity.
        key: i64,
        /// The attempt.
        attempt: i32,
    },
    /// An attempt of a request to a Nexus handler.
    Nexus {
        /// The execution that asks.
        key: i64,
        /// The attempt.
        call: CallId,
    },
}

/// One queue, with waiting workers of type `P`.
#[derive(Debug)]
struct Queue<P> {
    tasks: Backlog,
    /// How often tasks came and went, by priority key.
    rates: Vec<(i32, Rates)>,
    pollers: VecDeque<P>,
    last_poll: Nanos,
    last_task: Nanos,
    identities: HashMap<String, Nanos>,
}

impl<P> Default for Queue<P> {
    fn default() -> Self {
        Self {
            tasks: Backlog::default(),
            rates: Vec::new(),
            pollers: VecDeque::new(),
            last_poll: 0,
            last_task: 0,
            identities: HashMap::new(),
        }
    }
}

#[derive(Debug, Clone, Default)]
struct Rates {
    added: Rate,
    dispatched: Rate,
}

impl<P> Queue<P> {
    fn rates(&mut self, level: i32) -> Option<&mut Rates> {
        let found = self.rates.iter().position(|(of, _)| *of == level).unwrap_or_else(|| {
            self.rates.push((level, Rates::default()));
            self.rates.len() - 1
        });
        self.rates.get_mut(found).map(|(_, rates)| rates)
    }
}

/// All queues.
#[derive(Debug)]
pub(crate) struct Queues<P> {
    by_key: HashMap<QueueKey, Queue<P>>,
    ready: BTreeSet<QueueKey>,
    /// Of the few queues that have some; by name, without a version.
    limits: HashMap<QueueKey, Limits>,
    /// Queues whose next task may go only then.
    throttled: BTreeMap<QueueKey, Nanos>,
}

impl<P> Default for Queues<P> {
    fn default() -> Self {
        Self { by_key: HashMap::new(), ready: BTreeSet::new(), limits: HashMap::new(), throttled: BTreeMap::new() }
    }
}

impl<P> Queues<P> {
    /// Adds a task to a queue.
    pub(crate) fn add_task(&mut self, key: &QueueKey, task: Task, rank: Rank, now: Nanos) {
        let weight = self.limits_of(key).map_or(rank.weight, |limits| limits.weight(&rank));
        let queue = self.queue(key);
        queue.last_task = now;
        if let Some(rates) = queue.rates(rank.level()) {
            rates.added.count(now);
        }
        queue.tasks.push(task, rank, weight, now);
        if !queue.pollers.is_empty() {
            self.ready.insert(key.clone());
        }
    }

    /// Adds a waiting worker; gives it back when too many wait already.
    pub(crate) fn add_poller(&mut self, key: &QueueKey, now: Nanos, identity: &str, poller: P) -> Result<(), P> {
        let queue = self.queue(key);
        queue.last_poll = now;
        queue.identities.insert(identity.to_owned(), now);
        if queue.pollers.len() >= MAX_POLLERS {
            return Err(poller);
        }
        queue.pollers.push_back(poller);
        if !queue.tasks.is_empty() {
            self.ready.insert(key.clone());
        }
        Ok(())
    }

    /// Takes out the waiting tasks that `gone` names.
    pub(crate) fn remove_tasks(&mut self, key: &QueueKey, gone: impl FnMut(&Task) -> bool) {
        if let Some(queue) = self.by_key.get_mut(key) {
            queue.tasks.remove(gone);
        }
    }

    /// Takes out the waiting workers that `gone` names.
    pub(crate) fn remove_pollers(&mut self, key: &QueueKey, mut gone: impl FnMut(&P) -> bool) -> Vec<P> {
        let Some(queue) = self.by_key.get_mut(key) else { return Vec::new() };
        let (out, stay) = queue.pollers.drain(..).partition(|poller| gone(poller));
        queue.pollers = stay;
        Vec::from(out)
    }

    /// Queues that have both a task and a worker. Call [`Self::take`] on each until it is empty.
    pub(crate) fn take_ready(&mut self) -> Option<QueueKey> {
        self.ready.pop_first()
    }

    /// A task of that queue that may go by now, and a worker for it; `live` says whether a worker still waits.
    pub(crate) fn take(&mut self, key: &QueueKey, now: Nanos, mut live: impl FnMut(&P) -> bool) -> Option<(Task, P)> {
        let limits = if self.limits.is_empty() { None } else { self.limits.get_mut(&key.unversioned()) };
        let queue = self.by_key.get_mut(key)?;
        while queue.pollers.front().is_some_and(|poller| !live(poller)) {
            queue.pollers.pop_front();
        }
        if queue.tasks.is_empty() || queue.pollers.is_empty() {
            return None;
        }
        let popped = match limits {
            None => queue.tasks.pop(),
            Some(limits) => match limits.pop(&mut queue.tasks, now) {
                Ok(popped) => popped,
                Err(due) => {
                    self.throttled.insert(key.clone(), due);
                    return None;
                }
            },
        };
        let (task, level) = popped?;
        if let Some(rates) = queue.rates(level) {
            rates.dispatched.count(now);
        }
        Some(task).zip(queue.pollers.pop_front())
    }

    /// Puts a worker back at the head of its queue, when the task that it was to get is no more.
    pub(crate) fn put_back(&mut self, key: &QueueKey, poller: P) {
        self.queue(key).pollers.push_front(poller);
    }

    /// Whether the worker of a sticky queue is there.
    pub(crate) fn has_poller(&self, key: &QueueKey, now: Nanos) -> bool {
        self.by_key.get(key).is_some_and(|queue| {
            !queue.pollers.is_empty() || (queue.last_poll != 0 && now - queue.last_poll < STICKY_POLLER_WINDOW)
        })
    }

    /// Forgets a queue's workers: the one behind it has shut down. Its tasks are handed back.
    pub(crate) fn remove_queue(&mut self, key: &QueueKey) -> (Vec<Task>, Vec<P>) {
        self.ready.remove(key);
        self.by_key.remove(key).map(|mut queue| (queue.tasks.drain(), queue.pollers.into())).unwrap_or_default()
    }

    /// The parts of a queue, whoever's the key names.
    pub(crate) fn keys(&self, key: &QueueKey) -> Vec<QueueKey> {
        self.parts(key).map(|(part, _)| part.clone()).collect()
    }

    fn parts<'a>(&'a self, key: &'a QueueKey) -> impl Iterator<Item = (&'a QueueKey, &'a Queue<P>)> {
        let same =
            |other: &QueueKey| (&other.namespace, &other.name, other.kind) == (&key.namespace, &key.name, key.kind);
        self.by_key.iter().filter(move |(other, _)| same(other))
    }

    /// When that part of a queue was last polled; workers that wait poll all the time.
    pub(crate) fn last_poll(&self, key: &QueueKey) -> Option<Nanos> {
        let queue = self.by_key.get(key)?;
        if queue.pollers.is_empty() { Some(queue.last_poll).filter(|time| *time != 0) } else { Some(Nanos::MAX) }
    }

    /// Whether something waits on a queue, or was put there since then.
    pub(crate) fn is_in_use(&self, namespace: &str, name: &str, kind: TaskKind, since: Nanos) -> bool {
        let key = QueueKey { namespace: namespace.to_owned(), name: name.to_owned(), kind, version: None };
        self.parts(&key).any(|(_, queue)| !queue.tasks.is_empty() || (queue.last_task != 0 && queue.last_task >= since))
    }

    /// Takes out everything that waits for a worker in a namespace.
    pub(crate) fn take_tasks(&mut self, namespace: &str) -> Vec<Task> {
        let of_it = self.by_key.iter_mut().filter(|(key, _)| key.namespace == namespace);
        of_it.flat_map(|(_, queue)| queue.tasks.drain()).collect()
    }

    /// Tasks and workers that wait in all queues together, by [`TaskKind`].
    pub(crate) fn waiting(&self) -> ([usize; 3], [usize; 3]) {
        self.by_key.iter().fold(
            Default::default(),
            |(mut tasks, mut pollers): ([usize; 3], [usize; 3]), (key, queue)| {
                tasks[key.kind as usize] += queue.tasks.len();
                pollers[key.kind as usize] += queue.pollers.len();
                (tasks, pollers)
            },
        )
    }

    /// Forgets pollers not heard of since `before`, and queues that nothing and nobody waits on.
    pub(crate) fn prune(&mut self, before: Nanos) {
        self.by_key.retain(|_, queue| {
            queue.identities.retain(|_, time| *time >= before);
            !queue.tasks.is_empty() || !queue.pollers.is_empty() || queue.last_poll >= before
        });
        let known: BTreeSet<QueueKey> = self.by_key.keys().map(QueueKey::unversioned).collect();
        self.limits.retain(|key, limits| limits.is_configured() || known.contains(key));
        self.throttled.retain(|key, _| self.by_key.contains_key(key));
    }

    fn queue(&mut self, key: &QueueKey) -> &mut Queue<P> {
        if !self.by_key.contains_key(key) {
            self.by_key.insert(key.clone(), Queue::default());
        }
        self.by_key.entry(key.clone()).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue() -> QueueKey {
        QueueKey { namespace: "n".into(), name: "q".into(), kind: TaskKind::Workflow, version: None }
    }

    #[test]
    fn a_task_meets_the_worker_that_has_waited_longest() {
        let mut queues = Queues::default();
        queues.add_poller(&queue(), 1, "a", "first").ok();
        queues.add_poller(&queue(), 1, "a", "second").ok();
        assert_eq!(queues.take_ready(), None);
        queues.add_task(&queue(), Task::Workflow { key: 7 }, Rank::default(), 1);
        assert_eq!(queues.take_ready(), Some(queue()));
        assert_eq!(queues.take(&queue(), 1, |_| true), Some((Task::Workflow { key: 7 }, "first")));
        assert_eq!(queues.take(&queue(), 1, |_| true), None);
    }

    #[test]
    fn a_worker_that_has_gone_gets_nothing() {
        let mut queues = Queues::default();
        queues.add_task(&queue(), Task::Workflow { key: 7 }, Rank::default(), 1);
        queues.add_poller(&queue(), 1, "a", "gone").ok();
        queues.add_poller(&queue(), 1, "a", "here").ok();
        assert_eq!(queues.take(&queue(), 1, |poller| *poller == "here"), Some((Task::Workflow { key: 7 }, "here")));
    }

    #[test]
    fn a_sticky_worker_counts_as_there_for_a_while_after_its_last_poll() {
        let mut queues = Queues::default();
        assert!(!queues.has_poller(&queue(), 5));
        queues.add_poller(&queue(), 5, "a", ()).ok();
        queues.remove_pollers(&queue(), |()| true);
        assert!(queues.has_poller(&queue(), 6));
        assert!(!queues.has_poller(&queue(), 5 + STICKY_POLLER_WINDOW));
    }

    #[test]
    fn a_limit_holds_tasks_back_until_their_turn() {
        let mut queues = Queues::default();
        queues.limit_by_worker(&queue(), 1.0);
        for key in [1, 2] {
            queues.add_poller(&queue(), 1, "a", key).ok();
            queues.add_task(&queue(), Task::Workflow { key }, Rank::default(), 1);
        }
        assert!(queues.take(&queue(), 1, |_| true).is_some());
        assert_eq!(queues.take(&queue(), 1, |_| true), None);
        let due = queues.next_release().unwrap_or_default();
        assert!(due > 1 && !queues.release(due - 1));
        while queues.take_ready().is_some() {}
        assert!(queues.release(due));
        assert_eq!((queues.take_ready(), queues.next_release()), (Some(queue()), None));
        assert!(queues.take(&queue(), due, |_| true).is_some());
    }
}
