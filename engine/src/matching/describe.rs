//! What is told of a queue: who polls it, how much waits, how often tasks come and go, and how fast they may.

use std::collections::BTreeMap;

use temporalio_common::protos::temporal::api::enums::v1::RateLimitSource;

use super::{QueueKey, Queues};
use crate::{deployment::VersionId, history::time::Nanos};

/// Somebody who has polled a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Who.
    pub(crate) identity: String,
    /// When they did last.
    pub(crate) last_poll: Nanos,
    /// Their version, if they have one.
    pub(crate) version: Option<VersionId>,
}

/// How a queue is, or one priority of it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct QueueStats {
    /// Tasks that wait.
    pub(crate) waiting: usize,
    /// For how long the first of them has.
    pub(crate) age: Nanos,
    /// Tasks that came in a second.
    pub(crate) added: f32,
    /// Tasks that went to workers in a second.
    pub(crate) dispatched: f32,
}

impl QueueStats {
    fn add(&mut self, other: Self) {
        self.waiting += other.waiting;
        self.age = self.age.max(other.age);
        self.added += other.added;
        self.dispatched += other.dispatched;
    }

    /// Several of them together.
    pub(crate) fn total<'a>(parts: impl Iterator<Item = &'a Self>) -> Self {
        parts.fold(Self::default(), |mut total, part| {
            total.add(*part);
            total
        })
    }
}

impl<P> Queues<P> {
    /// Who has polled a queue since then, on all its parts together.
    pub(crate) fn pollers(&self, key: &QueueKey, since: Nanos) -> Vec<Seen> {
        let mut pollers = Vec::new();
        for (part, queue) in self.parts(key) {
            let recent = queue.identities.iter().filter(|(_, time)| **time >= since);
            pollers.extend(recent.map(|(identity, time)| Seen {
                identity: identity.clone(),
                last_poll: *time,
                version: part.version.clone(),
            }));
        }
        pollers.sort_by(|a, b| (&a.version, &a.identity).cmp(&(&b.version, &b.identity)));
        pollers
    }

    /// How a queue is, by priority key; `part` takes those of its parts that are meant.
    pub(crate) fn stats(
        &self,
        key: &QueueKey,
        now: Nanos,
        part: impl Fn(Option<&VersionId>) -> bool,
    ) -> BTreeMap<i32, QueueStats> {
        let mut found: BTreeMap<i32, QueueStats> = BTreeMap::new();
        for (_, queue) in self.parts(key).filter(|(of, _)| part(of.version.as_ref())) {
            for (level, (waiting, since)) in queue.tasks.by_level() {
                found.entry(level).or_default().add(QueueStats { waiting, age: now - since, ..QueueStats::default() });
            }
            for (level, rates) in &queue.rates {
                let (added, dispatched) = (rates.added.per_second(now), rates.dispatched.per_second(now));
                found.entry(*level).or_default().add(QueueStats { added, dispatched, ..QueueStats::default() });
            }
        }
        found
    }

    /// Tasks a second that a queue gives out at the most, and who says so; none without a limit.
    pub(crate) fn rate_limit(&self, key: &QueueKey) -> Option<(f64, RateLimitSource)> {
        self.limits_of(key)?.rate()
    }

    /// What the queue's workers have asked for.
    pub(crate) fn worker_rate(&self, key: &QueueKey) -> Option<f64> {
        self.limits_of(key)?.worker()
    }

    /// Whether tasks wait for their turn.
    pub(crate) fn is_limiting(&self, key: &QueueKey, now: Nanos) -> bool {
        self.limits_of(key).is_some_and(|limits| limits.is_active(now))
    }
}
