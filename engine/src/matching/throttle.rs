//! Queues that wait for their turn: what limits them, and when they are looked at again.

use temporalio_common::protos::temporal::api::taskqueue::v1::TaskQueueConfig;

use super::{QueueKey, Queues, limit::Limits};
use crate::history::time::Nanos;

impl<P> Queues<P> {
    /// When a task may go that had to wait for its turn; `None` when there is none.
    pub(crate) fn next_release(&self) -> Option<Nanos> {
        self.throttled.values().min().copied().filter(|due| *due != Nanos::MAX)
    }

    /// Has the queues looked at again whose next task may go by now.
    pub(crate) fn release(&mut self, now: Nanos) -> bool {
        if self.throttled.is_empty() {
            return false;
        }
        let ready = &mut self.ready;
        let before = ready.len();
        self.throttled.retain(|key, due| {
            let stays = *due > now;
            if !stays {
                ready.insert(key.clone());
            }
            stays
        });
        ready.len() > before
    }

    /// Sets what an operator wants of a queue.
    pub(crate) fn configure(&mut self, key: &QueueKey, config: TaskQueueConfig) {
        self.limits.entry(key.unversioned()).or_default().configure(config);
        self.look_again(key);
    }

    /// Notes how many tasks a second a worker wants its queue to give out.
    pub(crate) fn limit_by_worker(&mut self, key: &QueueKey, rate: f64) {
        let limits = self.limits.entry(key.unversioned()).or_default();
        if limits.worker() != Some(rate) {
            limits.set_worker(rate);
            self.look_again(key);
        }
    }

    fn look_again(&mut self, key: &QueueKey) {
        let parts = self.keys(key);
        self.throttled.retain(|part, _| !parts.contains(part));
        self.ready.extend(parts);
    }

    pub(super) fn limits_of(&self, key: &QueueKey) -> Option<&Limits> {
        if self.limits.is_empty() { None } else { self.limits.get(&key.unversioned()) }
    }
}
