//! Tasks that wait in one queue, and which of them goes first.
//!
//! The lower priority key goes first. Within a priority, fairness keys take turns by their weights: each task has a place on a line
//! that is as far from its key's last one as the key's weight is small. Tasks of no key and the default priority, which is to say
//! nearly all, stand in a plain queue, and cost nothing of that.

use std::collections::{BTreeMap, HashMap, VecDeque};

use temporalio_common::protos::temporal::api::common::v1::Priority;

use super::Task;
use crate::history::time::Nanos;

/// Priority of a task that says nothing, and the last one (`matching.priorityLevels`: 5).
const DEFAULT_LEVEL: i32 = 3;
const LAST_LEVEL: i32 = 5;
/// Bounds of a weight, as the API documents them.
const WEIGHTS: (f32, f32) = (0.001, 1000.0);
/// Distance between two tasks of a key of weight 1.
const STRIDE: f64 = 1_000_000.0;
/// Keys remembered beside those of waiting tasks, before those that are of no use any more are forgotten.
const SPARE_KEYS: usize = 1_000;

/// What a task's place follows from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rank {
    /// Priority key, from 1, which goes first, to 5.
    level: i32,
    /// Fairness key.
    pub(super) key: String,
    /// Its weight, as the task has it.
    pub(super) weight: f32,
}

impl Default for Rank {
    fn default() -> Self {
        Self { level: DEFAULT_LEVEL, key: String::new(), weight: 1.0 }
    }
}

impl Rank {
    /// That of a task with this priority.
    pub(crate) fn of(priority: Option<&Priority>) -> Self {
        let Some(priority) = priority else { return Self::default() };
        let level = if priority.priority_key == 0 { DEFAULT_LEVEL } else { priority.priority_key.clamp(1, LAST_LEVEL) };
        let weight = if priority.fairness_weight > 0.0 { priority.fairness_weight } else { 1.0 };
        Self { level, key: priority.fairness_key.clone(), weight }
    }

    fn is_plain(&self) -> bool {
        self.level == DEFAULT_LEVEL && self.key.is_empty()
    }

    /// Priority key.
    pub(super) fn level(&self) -> i32 {
        self.level
    }
}

#[derive(Debug)]
struct Waiting {
    task: Task,
    since: Nanos,
}

/// A place among tasks that do not simply follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    level: i32,
    pass: u64,
    number: u64,
}

#[derive(Debug, Default)]
struct Ranked {
    tasks: BTreeMap<Place, (Waiting, Rank)>,
    /// Where the next task of a key stands at the earliest.
    passes: HashMap<(i32, String), u64>,
    /// Where the last task was taken, on each priority's line.
    reached: BTreeMap<i32, u64>,
    next: u64,
}

/// Tasks that wait.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    plain: VecDeque<Waiting>,
    /// All of them, while some have a key or another priority.
    ranked: Option<Box<Ranked>>,
}

impl Backlog {
    /// Adds a task; `weight` is that of its key.
    pub(super) fn push(&mut self, task: Task, rank: Rank, weight: f32, since: Nanos) {
        let waiting = Waiting { task, since };
        if self.ranked.is_none() && rank.is_plain() {
            return self.plain.push_back(waiting);
        }
        let ranked = self.ranked.get_or_insert_default();
        for waiting in self.plain.drain(..) {
            ranked.push(waiting, Rank::default(), 1.0);
        }
        ranked.push(waiting, rank, weight);
    }

    /// The first task that `may` go, with its rank.
    pub(super) fn pop_if(&mut self, mut may: impl FnMut(&Rank) -> bool) -> Option<(Task, Rank)> {
        let Some(ranked) = self.ranked.as_mut() else {
            let plain = Rank::default();
            return if may(&plain) { self.plain.pop_front().map(|waiting| (waiting.task, plain)) } else { None };
        };
        let place = *ranked.tasks.iter().find(|(_, (_, rank))| may(rank))?.0;
        let (waiting, rank) = ranked.tasks.remove(&place)?;
        ranked.reached.insert(place.level, place.pass);
        if ranked.tasks.is_empty() {
            self.ranked = None;
        }
        Some((waiting.task, rank))
    }

    /// The first task, and its priority key.
    pub(super) fn pop(&mut self) -> Option<(Task, i32)> {
        if self.ranked.is_none() {
            return self.plain.pop_front().map(|waiting| (waiting.task, DEFAULT_LEVEL));
        }
        self.pop_if(|_| true).map(|(task, rank)| (task, rank.level))
    }

    pub(super) fn len(&self) -> usize {
        self.plain.len() + self.ranked.as_ref().map_or(0, |ranked| ranked.tasks.len())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.ranked.is_none()
    }

    /// Takes out those that `gone` names.
    pub(super) fn remove(&mut self, mut gone: impl FnMut(&Task) -> bool) {
        self.plain.retain(|waiting| !gone(&waiting.task));
        if let Some(ranked) = self.ranked.as_mut() {
            ranked.tasks.retain(|_, (waiting, _)| !gone(&waiting.task));
            if ranked.tasks.is_empty() {
                self.ranked = None;
            }
        }
    }

    /// Takes out all of them, in order.
    pub(super) fn drain(&mut self) -> Vec<Task> {
        let ranked = self.ranked.take().map(|ranked| ranked.tasks.into_values().map(|(waiting, _)| waiting));
        self.plain.drain(..).chain(ranked.into_iter().flatten()).map(|waiting| waiting.task).collect()
    }

    /// How many wait with each priority key, and since when the first of them does.
    pub(super) fn by_level(&self) -> BTreeMap<i32, (usize, Nanos)> {
        let mut found: BTreeMap<i32, (usize, Nanos)> = BTreeMap::new();
        if let Some(first) = self.plain.front() {
            found.insert(DEFAULT_LEVEL, (self.plain.len(), first.since));
        }
        let ranked = self.ranked.iter().flat_map(|ranked| &ranked.tasks);
        for (place, (waiting, _)) in ranked {
            let (count, since) = found.entry(place.level).or_insert((0, waiting.since));
            *count += 1;
            *since = (*since).min(waiting.since);
        }
        found
    }
}

impl Ranked {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a stride is positive, and below 2^31")]
    fn push(&mut self, waiting: Waiting, rank: Rank, weight: f32) {
        let stride = (STRIDE / f64::from(weight.clamp(WEIGHTS.0, WEIGHTS.1))) as u64;
        let reached = self.reached.get(&rank.level).copied().unwrap_or(0);
        let next = self.passes.entry((rank.level, rank.key.clone())).or_insert(reached);
        let pass = (*next).max(reached);
        *next = pass.saturating_add(stride);
        self.next += 1;
        self.tasks.insert(Place { level: rank.level, pass, number: self.next }, (waiting, rank));
        if self.passes.len() > self.tasks.len() + SPARE_KEYS {
            let reached = &self.reached;
            self.passes.retain(|(level, _), pass| *pass > reached.get(level).copied().unwrap_or(0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rank(level: i32, key: &str, weight: f32) -> Rank {
        Rank::of(Some(&Priority { priority_key: level, fairness_key: key.into(), fairness_weight: weight }))
    }

    fn order(tasks: &[(i32, &str, f32)]) -> Vec<i64> {
        let mut backlog = Backlog::default();
        for (key, (level, fairness, weight)) in (0..).zip(tasks) {
            backlog.push(Task::Workflow { key }, rank(*level, fairness, *weight), *weight, key + 1);
        }
        let key = |(task, _)| if let Task::Workflow { key } = task { key } else { -1 };
        let order = std::iter::from_fn(|| backlog.pop().map(key)).collect();
        assert!(backlog.is_empty() && backlog.ranked.is_none());
        order
    }

    #[test]
    fn lower_priority_keys_go_first_and_equal_ones_in_order_of_their_coming() {
        let none = (0, "", 1.0);
        assert_eq!(order(&[none, none, none]), [0, 1, 2]);
        assert_eq!(order(&[none, (5, "", 1.0), (1, "", 1.0), (3, "", 1.0), (2, "", 1.0), none]), [2, 4, 0, 3, 5, 1]);
        assert_eq!(order(&[(9, "", 1.0), (5, "", 1.0), (4, "", 1.0)]), [2, 0, 1], "there are five of them");
    }

    #[test]
    fn keys_take_turns_by_their_weights() {
        let (many, few) = ((0, "many", 1.0), (0, "few", 1.0));
        assert_eq!(order(&[many, many, many, many, few, few]), [0, 4, 1, 5, 2, 3]);
        let heavy = (0, "heavy", 2.0);
        assert_eq!(order(&[many, many, heavy, heavy, heavy, heavy]), [0, 2, 3, 1, 4, 5]);
    }

    #[test]
    fn what_comes_later_does_not_make_up_for_the_time_before() {
        let mut backlog = Backlog::default();
        let push = |backlog: &mut Backlog, key: i64, name: &str| {
            backlog.push(Task::Workflow { key }, rank(0, name, 1.0), 1.0, 1);
        };
        (0..4).for_each(|key| push(&mut backlog, key, "old"));
        assert_eq!(backlog.pop().map(|(task, _)| task), Some(Task::Workflow { key: 0 }));
        assert_eq!(backlog.pop().map(|(task, _)| task), Some(Task::Workflow { key: 1 }));
        (10..13).for_each(|key| push(&mut backlog, key, "new"));
        let rest: Vec<Task> = std::iter::from_fn(|| backlog.pop().map(|(task, _)| task)).collect();
        let wanted = [10, 2, 11, 3, 12].map(|key| Task::Workflow { key });
        assert_eq!(rest, wanted);
    }

    #[test]
    fn it_can_be_described_and_searched() {
        let mut backlog = Backlog::default();
        backlog.push(Task::Workflow { key: 1 }, Rank::default(), 1.0, 5);
        assert_eq!(backlog.by_level(), BTreeMap::from([(3, (1, 5))]));
        backlog.push(Task::Workflow { key: 2 }, rank(1, "", 1.0), 1.0, 7);
        assert_eq!(backlog.by_level(), BTreeMap::from([(1, (1, 7)), (3, (1, 5))]));
        assert_eq!(backlog.len(), 2);
        backlog.remove(|task| *task == Task::Workflow { key: 2 });
        assert_eq!(backlog.drain(), [Task::Workflow { key: 1 }]);
        assert!(backlog.is_empty());
    }
}
