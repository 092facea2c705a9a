//! One ordered set of all deadlines: the next one of every open execution.

use std::collections::{BTreeSet, HashMap};

use crate::history::time::Nanos;

/// The next deadline of each execution, ordered by time.
#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    ordered: BTreeSet<(Nanos, i64)>,
    by_key: HashMap<i64, Nanos>,
}

impl Deadlines {
    /// Sets an execution's next deadline, 0 for none.
    pub(crate) fn set(&mut self, key: i64, deadline: Nanos) {
        let previous = if deadline == 0 { self.by_key.remove(&key) } else { self.by_key.insert(key, deadline) };
        if let Some(previous) = previous {
            self.ordered.remove(&(previous, key));
        }
        if deadline != 0 {
            self.ordered.insert((deadline, key));
        }
    }

    /// The earliest deadline of all.
    pub(crate) fn next(&self) -> Option<Nanos> {
        self.ordered.first().map(|(deadline, _)| *deadline)
    }

    /// Takes out one execution whose deadline is at or before `now`, the earliest first, with that deadline.
    pub(crate) fn pop_due(&mut self, now: Nanos) -> Option<(Nanos, i64)> {
        let (deadline, key) = *self.ordered.first().filter(|(deadline, _)| *deadline <= now)?;
        self.ordered.remove(&(deadline, key));
        self.by_key.remove(&key);
        Some((deadline, key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_come_out_in_order_and_can_be_moved() {
        let mut deadlines = Deadlines::default();
        deadlines.set(1, 30);
        deadlines.set(2, 10);
        deadlines.set(3, 20);
        deadlines.set(2, 40);
        deadlines.set(3, 0);
        assert_eq!(deadlines.next(), Some(30));
        assert_eq!(deadlines.pop_due(29), None);
        assert_eq!(deadlines.pop_due(50), Some((30, 1)));
        assert_eq!(deadlines.pop_due(50), Some((40, 2)));
        assert_eq!(deadlines.pop_due(50), None);
        assert_eq!(deadlines.next(), None);
    }
}
