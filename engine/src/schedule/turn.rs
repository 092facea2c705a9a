//! What time brings to a schedule: starts come due, are made up for, and get their turn. Each turn does a bounded part of it.

use temporalio_common::protos::temporal::api::{
    common::v1::WorkflowExecution, enums::v1::ScheduleOverlapPolicy as Policy,
};

use super::{
    Machine, StartOrder,
    machine::MAX_WAITING,
    overlap::{Verdict, judge},
    times::Due,
};
use crate::history::time::{Nanos, from_timestamp};

const SECOND: Nanos = 1_000_000_000;
/// Times that one turn looks at, at the most.
const TIMES_PER_TURN: usize = 2_000;
/// Starts that one turn makes up for in backfills, at the most, and how long after it the next turn comes.
const BACKFILLS_PER_TURN: usize = 10;
const BACKFILL_PAUSE: Nanos = SECOND;
/// How long a schedule is kept that has nothing more to do, and that nobody touches.
const RETENTION: Nanos = 7 * 86_400 * SECOND;

/// What a schedule wants done. The outcome of a start is told with [`Machine::started`].
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Order {
    /// Start a workflow.
    Start(Box<StartOrder>),
    /// Ask the open run of that chain to cancel. The run id is that of the first run.
    Cancel(WorkflowExecution),
    /// End the open run of that chain. The run id is that of the first run.
    Terminate(WorkflowExecution),
}

/// What comes of a turn.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Turn {
    /// To be carried out in this order.
    pub(crate) orders: Vec<Order>,
    /// Whether starts had to be given up, so that others may take their place at once.
    pub(crate) again: bool,
}

impl Machine {
    /// Does what is due.
    pub(crate) fn turn(&mut self, now: Nanos) -> Turn {
        self.look(now);
        if self.behind {
            return Turn::default();
        }
        self.backfill();
        self.release()
    }

    /// When the next turn is due; `None` for not before something else happens.
    pub(crate) fn next_turn(&self, now: Nanos) -> Option<Nanos> {
        if self.behind {
            return Some(now);
        }
        let backfill = self.backfills_go_on().then(|| now.saturating_add(BACKFILL_PAUSE));
        let due = self.next_due().map(|due| due.actual);
        [backfill, due].into_iter().flatten().min().or_else(|| self.end())
    }

    /// Whether the schedule has nothing more to do, and has been kept long enough since.
    pub(crate) fn is_over(&self, now: Nanos) -> bool {
        self.next_due().is_none() && self.end().is_some_and(|end| end <= now)
    }

    /// Looks at the specification up to the present, or as far as one turn goes.
    pub(super) fn look(&mut self, now: Nanos) {
        self.behind = false;
        if !self.may_start(false) {
            // What comes due meanwhile is not missed either.
            self.record.looked_at = self.record.looked_at.max(now);
            return;
        }
        for _ in 0..TIMES_PER_TURN {
            let Some(due) = self.next_due().filter(|due| due.actual <= now) else { return };
            self.record.looked_at = due.actual;
            self.changed = true;
            self.come_due(due, now);
        }
        self.behind = true;
    }

    /// The first start by the specification that has not been looked at.
    fn next_due(&self) -> Option<Due> {
        if !self.may_start(false) {
            return None;
        }
        self.times.as_ref()?.next(self.record.looked_at)
    }

    fn come_due(&mut self, due: Due, now: Nanos) {
        if due.actual < from_timestamp(self.record.info.update_time.as_ref()) {
            // The schedule was another one then.
        } else if now.saturating_sub(due.actual) > self.catchup_window() {
            self.record.info.missed_catchup_window += 1;
        } else {
            self.wait(due, Policy::Unspecified, false);
        }
    }

    /// Whether a start may be made: always, when a client asks for it.
    fn may_start(&self, manual: bool) -> bool {
        let state = &self.record.state;
        manual || (!state.paused && (!state.limited_actions || state.remaining_actions > 0))
    }

    /// Takes a start off those that remain. Answers whether it may be made.
    fn spend(&mut self, manual: bool) -> bool {
        let may = self.may_start(manual);
        if may && !manual && self.record.state.limited_actions {
            self.record.state.remaining_actions -= 1;
            self.record.conflict_token += 1;
        }
        may
    }

    /// Whether more of a backfill is to come by itself, and not with the end of a run.
    fn backfills_go_on(&self) -> bool {
        let Some(backfill) = self.record.backfills.first() else { return false };
        let policy = match backfill.overlap_policy() {
            Policy::Unspecified => self.overlap_policy(),
            given => given,
        };
        policy == Policy::AllowAll || self.record.info.running_workflows.is_empty()
    }

    /// Has the next starts of backfills wait for their turn. They take up half of the room at the most.
    fn backfill(&mut self) {
        let mut left = BACKFILLS_PER_TURN;
        while left > 0 && self.record.waiting.len() < MAX_WAITING / 2 {
            let Some(backfill) = self.record.backfills.first().cloned() else { return };
            let due = self.times.as_ref().and_then(|times| times.next(backfill.after));
            if let (Some(due), Some(first)) =
                (due.filter(|due| due.actual <= backfill.end), self.record.backfills.first_mut())
            {
                first.after = due.actual;
                self.wait(due, backfill.overlap_policy(), true);
                left -= 1;
            } else {
                self.record.backfills.remove(0);
                self.changed = true;
            }
        }
    }

    /// Orders the starts whose turn it is.
    fn release(&mut self) -> Turn {
        if self.record.waiting.is_empty() {
            return Turn::default();
        }
        self.changed = true;
        let waiting = std::mem::take(&mut self.record.waiting);
        let Some(action) = self.record.action.clone() else { return Turn::default() };
        let is_open = !self.record.info.running_workflows.is_empty();
        let Verdict { overlapping, next, waiting, cancel, terminate, skipped } =
            judge(waiting, is_open, self.overlap_policy());
        self.record.waiting = waiting;
        self.record.info.overlap_skipped += skipped;
        let mut turn = Turn::default();
        let starts = overlapping.into_iter().map(|start| (start, false)).chain(next.map(|start| (start, true)));
        for (start, tracked) in starts {
            if self.spend(start.manual) {
                let order = StartOrder::new(&self.record, &action, &start, tracked);
                turn.orders.push(Order::Start(Box::new(order)));
            } else {
                turn.again = true;
            }
        }
        if terminate {
            turn.orders.extend(self.record.info.running_workflows.iter().cloned().map(Order::Terminate));
        } else if cancel {
            turn.orders.extend(self.record.info.running_workflows.iter().cloned().map(Order::Cancel));
        }
        turn
    }

    /// When a schedule is forgotten that has nothing more to do; `None` for one that is paused, or waits for the end of a run.
    fn end(&self) -> Option<Nanos> {
        let record = &self.record;
        if record.state.paused || !record.waiting.is_empty() || !record.backfills.is_empty() {
            return None;
        }
        let last_action = record.info.recent_actions.last().and_then(|action| action.actual_time.as_ref());
        let events = [last_action, record.info.create_time.as_ref(), record.info.update_time.as_ref()];
        events.into_iter().map(from_timestamp).max().map(|last| last.saturating_add(RETENTION))
    }
}
