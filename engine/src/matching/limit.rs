//! How many tasks of a queue go to workers in a second: as an operator has set it, or else as its workers have.

use std::collections::HashMap;

use temporalio_common::protos::temporal::api::{
    enums::v1::RateLimitSource,
    taskqueue::v1::{RateLimitConfig, TaskQueueConfig},
};

use super::{
    Task,
    backlog::{Backlog, Rank},
};
use crate::history::time::Nanos;

const SECOND: f64 = 1e9;
/// Tasks of one second may go at once after a rest.
const BURST: Nanos = 1_000_000_000;
/// Fairness keys whose share is remembered, before those that have rested are forgotten.
const MAX_KEYS: usize = 10_000;

/// When the next task may go.
#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    due: Nanos,
}

impl Bucket {
    /// When a task may go, if not now.
    fn wait(self, now: Nanos, rate: f64) -> Option<Nanos> {
        match rate {
            rate if rate <= 0.0 => Some(Nanos::MAX),
            _ => Some(self.due).filter(|due| *due > now),
        }
    }

    #[allow(clippy::cast_possible_truncation, reason = "a second's part in nanoseconds")]
    fn take(&mut self, now: Nanos, rate: f64) {
        let interval = (SECOND / rate).min(i64::MAX as f64) as Nanos;
        // The first of a burst begins it; the others follow until it has used up its second.
        let start = self.due.max(now.saturating_sub((BURST - interval).max(0)));
        self.due = start.saturating_add(interval);
    }
}

/// The limits of one queue, all its parts together.
#[derive(Debug, Clone, Default)]
pub(super) struct Limits {
    /// What an operator has set.
    config: TaskQueueConfig,
    /// What the worker that polled last has.
    worker: Option<f64>,
    whole: Bucket,
    keys: HashMap<String, Bucket>,
}

impl Limits {
    pub(super) fn configure(&mut self, config: TaskQueueConfig) {
        self.config = config;
    }

    pub(super) fn set_worker(&mut self, rate: f64) {
        self.worker = Some(rate);
    }

    /// Whether an operator has set something.
    pub(super) fn is_configured(&self) -> bool {
        self.config != TaskQueueConfig::default()
    }

    /// What workers have asked for.
    pub(super) fn worker(&self) -> Option<f64> {
        self.worker
    }

    /// Tasks a second, and who says so; none without a limit.
    pub(super) fn rate(&self) -> Option<(f64, RateLimitSource)> {
        let configured = rate_of(self.config.queue_rate_limit.as_ref());
        let api = configured.map(|rate| (rate, RateLimitSource::Api));
        api.or_else(|| self.worker.map(|rate| (rate, RateLimitSource::Worker)))
    }

    /// The weight of a task's key.
    pub(super) fn weight(&self, rank: &Rank) -> f32 {
        self.config.fairness_weight_overrides.get(&rank.key).copied().unwrap_or(rank.weight)
    }

    /// Whether something waits for its turn.
    pub(super) fn is_active(&self, now: Nanos) -> bool {
        self.rate().is_some_and(|(rate, _)| self.whole.wait(now, rate).is_some())
    }

    /// The next task that may go, with its priority key.
    ///
    /// # Errors
    /// None may yet: when one may.
    pub(super) fn pop(&mut self, backlog: &mut Backlog, now: Nanos) -> Result<Option<(Task, i32)>, Nanos> {
        let rate = self.rate().map(|(rate, _)| rate);
        if let Some(due) = rate.and_then(|rate| self.whole.wait(now, rate)) {
            return Err(due);
        }
        let of_key = rate_of(self.config.fairness_keys_rate_limit_default.as_ref());
        let mut soonest = None;
        let taken = backlog.pop_if(|rank| {
            let Some(of_key) = of_key else { return true };
            let rate = of_key * f64::from(self.weight(rank));
            let due = self.keys.get(&rank.key).copied().unwrap_or_default().wait(now, rate);
            soonest = soonest.into_iter().chain(due).min();
            due.is_none()
        });
        let Some((task, rank)) = taken else { return soonest.map_or(Ok(None), Err) };
        if let Some(rate) = rate {
            self.whole.take(now, rate);
        }
        if let Some(of_key) = of_key {
            let rate = of_key * f64::from(self.weight(&rank));
            if self.keys.len() >= MAX_KEYS {
                self.keys.retain(|_, bucket| bucket.due > now);
            }
            self.keys.entry(rank.key.clone()).or_default().take(now, rate);
        }
        Ok(Some((task, rank.level())))
    }
}

fn rate_of(config: Option<&RateLimitConfig>) -> Option<f64> {
    config.and_then(|config| config.rate_limit).map(|limit| f64::from(limit.requests_per_second))
}

#[cfg(test)]
mod tests {
    use temporalio_common::protos::temporal::api::{common::v1::Priority, taskqueue::v1::RateLimit};

    use super::*;

    const START: Nanos = 1_000_000_000_000;

    fn limit(requests_per_second: f32) -> RateLimitConfig {
        RateLimitConfig { rate_limit: Some(RateLimit { requests_per_second }), metadata: None }
    }

    /// How many of a thousand tasks go in the first `seconds`.
    fn gone(limits: &mut Limits, key: &str, seconds: i64) -> usize {
        let mut backlog = Backlog::default();
        for number in 0..1_000 {
            let priority = Priority { fairness_key: key.into(), ..Priority::default() };
            backlog.push(Task::Workflow { key: number }, Rank::of(Some(&priority)), 1.0, START);
        }
        let (mut now, end) = (START, START + seconds * 1_000_000_000);
        let mut count = 0;
        while now < end {
            match limits.pop(&mut backlog, now) {
                Ok(Some(_)) => count += 1,
                Ok(None) => return count,
                Err(due) => now = due,
            }
        }
        count
    }

    #[test]
    fn a_second_s_tasks_go_at_once_and_then_as_many_each_second() {
        let mut limits = Limits::default();
        limits.set_worker(10.0);
        assert_eq!(gone(&mut limits, "", 5), 59);
        assert_eq!(limits.rate(), Some((10.0, RateLimitSource::Worker)));
        limits.configure(TaskQueueConfig { queue_rate_limit: Some(limit(0.0)), ..TaskQueueConfig::default() });
        assert_eq!(gone(&mut limits, "", 1_000), 0, "what an operator says goes before what workers say");
        assert_eq!(limits.rate(), Some((0.0, RateLimitSource::Api)));
        assert_eq!(gone(&mut Limits::default(), "", 1), 1_000, "without limits, all go");
    }

    #[test]
    fn a_key_has_its_share_by_its_weight() {
        let config = TaskQueueConfig {
            fairness_keys_rate_limit_default: Some(limit(2.0)),
            fairness_weight_overrides: [("heavy".to_owned(), 5.0)].into(),
            ..TaskQueueConfig::default()
        };
        let mut limits = Limits::default();
        limits.configure(config);
        assert_eq!(gone(&mut limits, "light", 10), 21);
        assert_eq!(gone(&mut limits, "heavy", 10), 109);
    }
}
