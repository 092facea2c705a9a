//! What is done from time to time: closed executions past their retention are forgotten, and queues that nobody uses.

use super::{Core, lookup};
use crate::{clock::Timestamp, history::time::Nanos};

/// How often closed executions past their retention are forgotten, and idle queues with them.
const SWEEP_INTERVAL: Nanos = 600_000_000_000;

impl Core {
    /// Forgets closed executions past their retention, queues that nobody uses, and workers that are silent.
    pub(super) fn sweep(&mut self, now: Nanos) {
        const PER_SWEEP: usize = 500;
        const QUEUE_MEMORY: Nanos = 300_000_000_000;
        self.next_sweep = now.saturating_add(SWEEP_INTERVAL);
        self.queues.prune(now.saturating_sub(QUEUE_MEMORY));
        self.sweep_batch_jobs(now);
        self.workers.prune(now);
        if self.skipping.is_some() {
            // A test that has skipped a month still wants to look at what came before.
            return;
        }
        let retentions: Vec<(String, Nanos)> =
            self.namespaces.iter().map(|(name, namespace)| (name.clone(), lookup::retention(namespace))).collect();
        for (namespace, retention) in retentions {
            let before = Timestamp(now.saturating_sub(retention));
            match self.store.delete_activities_closed_before(&namespace, before, PER_SWEEP) {
                Ok(PER_SWEEP) => self.next_sweep = now,
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%namespace, %error, "cannot forget old activities; trying again later: {error}");
                }
            }
            match self.store.delete_closed_before(&namespace, before, PER_SWEEP) {
                Ok(keys) if keys.len() == PER_SWEEP => self.next_sweep = now,
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%namespace, %error, "cannot forget old executions; trying again later: {error}");
                }
            }
        }
    }
}
