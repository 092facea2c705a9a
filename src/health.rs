//! What `/readyz` and the service manager are told: how far the daemon has come.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What has to be true before dixmgr counts as ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Milestone {
    /// The worker polls its task queue.
    WorkerPolling,
    /// The root workflow knows the plan.
    PlanApplied,
    /// Not yet stopping.
    Accepting,
}

/// Progress of the daemon, shared by the HTTP surface and the life cycle. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress {
    flags: Arc<[AtomicBool; 3]>,
}

impl Progress {
    /// Notes that a milestone is reached, or lost again.
    pub(crate) fn set(&self, milestone: Milestone, reached: bool) {
        self.flags[milestone as usize].store(reached, Ordering::Release);
    }

    /// What is still missing, in words; empty when all is there.
    pub(crate) fn missing(&self) -> Vec<&'static str> {
        const WORDS: [(Milestone, &str); 3] = [
            (Milestone::WorkerPolling, "the worker does not poll yet"),
            (Milestone::PlanApplied, "the plan is not applied yet"),
            (Milestone::Accepting, "dixmgr is not running, or is stopping"),
        ];
        WORDS
            .iter()
            .filter(|(m, _)| !self.flags[*m as usize].load(Ordering::Acquire))
            .map(|(_, words)| *words)
            .collect()
    }
}
