//! Workers that have been heard of, by what they last said of themselves.
//!
//! In memory only, as on the server: a worker that lives says so again within a minute. What is kept is bounded, and whoever has
//! not been heard of for a day is forgotten.

use std::collections::{BTreeMap, BTreeSet};

use temporalio_common::protos::temporal::api::{enums::v1::WorkerStatus, worker::v1::WorkerHeartbeat};

use crate::history::time::Nanos;

/// How long a worker is remembered after its last heartbeat (`defaultEntryTTL` of the server's registry).
const MEMORY: Nanos = 24 * 3_600 * 1_000_000_000;
/// Workers that are remembered at the most; past that, the one that was silent the longest is forgotten.
const MAX_WORKERS: usize = 10_000;

/// Names a worker: the id of its namespace, and its instance key.
type Key = (String, String);

struct Seen {
    heartbeat: WorkerHeartbeat,
    number: (Nanos, u64),
}

/// All workers that were heard of.
#[derive(Default)]
pub(crate) struct Workers {
    seen: BTreeMap<Key, Seen>,
    /// The same, those that were silent the longest first.
    by_age: BTreeSet<((Nanos, u64), Key)>,
    next: u64,
}

impl Workers {
    /// Takes what a worker says of itself. One that says it has shut down is forgotten.
    pub(crate) fn record(&mut self, namespace_id: &str, heartbeat: WorkerHeartbeat, now: Nanos) {
        let key = (namespace_id.to_owned(), heartbeat.worker_instance_key.clone());
        self.forget(&key);
        if heartbeat.status() == WorkerStatus::Shutdown {
            return;
        }
        if self.seen.len() >= MAX_WORKERS
            && let Some((_, oldest)) = self.by_age.first().cloned()
        {
            self.forget(&oldest);
        }
        let number = (now, self.next);
        self.next += 1;
        self.by_age.insert((number, key.clone()));
        self.seen.insert(key, Seen { heartbeat, number });
    }

    /// The workers of a namespace, by instance key.
    pub(crate) fn of<'a>(&'a self, namespace_id: &str) -> impl Iterator<Item = &'a WorkerHeartbeat> + use<'a> {
        let from = (namespace_id.to_owned(), String::new());
        let wanted = namespace_id.to_owned();
        let range = self.seen.range(from..).take_while(move |((namespace, _), _)| *namespace == wanted);
        range.map(|(_, seen)| &seen.heartbeat)
    }

    /// What a worker last said of itself.
    pub(crate) fn get(&self, namespace_id: &str, instance_key: &str) -> Option<&WorkerHeartbeat> {
        self.seen.get(&(namespace_id.to_owned(), instance_key.to_owned())).map(|seen| &seen.heartbeat)
    }

    /// Forgets those who were silent for too long.
    pub(crate) fn prune(&mut self, now: Nanos) {
        while let Some(((seen, _), key)) = self.by_age.first().cloned() {
            if seen.saturating_add(MEMORY) > now {
                return;
            }
            self.forget(&key);
        }
    }

    fn forget(&mut self, key: &Key) {
        if let Some(seen) = self.seen.remove(key) {
            self.by_age.remove(&(seen.number, key.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heartbeat(key: &str) -> WorkerHeartbeat {
        WorkerHeartbeat { worker_instance_key: key.to_owned(), ..Default::default() }
    }

    #[test]
    fn memory_is_bounded_and_the_silent_go_first() {
        let mut workers = Workers::default();
        for number in 0..MAX_WORKERS {
            workers.record("n", heartbeat(&number.to_string()), 1);
        }
        workers.record("n", heartbeat("0"), 2);
        workers.record("n", heartbeat("one more"), 2);
        assert_eq!(workers.of("n").count(), MAX_WORKERS);
        assert!(workers.get("n", "0").is_some() && workers.get("n", "1").is_none());
        workers.prune(2 + MEMORY);
        assert_eq!((workers.of("n").count(), workers.by_age.len()), (0, 0));
    }
}
