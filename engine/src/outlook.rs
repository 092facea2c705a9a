//! What is under way, for tests and tools that drive a [`crate::clock::VirtualClock`]: they may move time on once nothing is.
//! Reads, changes nothing, and walks over every open execution: not for the daily path.

use std::collections::BTreeSet;

use crate::{clock::Timestamp, core::Core};

/// What an engine has under way ([`crate::Engine::outlook`]).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outlook {
    /// The next instant at which something happens by itself; `None` when nothing ever will.
    pub next_deadline: Option<Timestamp>,
    /// Workflow tasks that wait for a worker or are with one.
    pub workflow_tasks: usize,
    /// Activities that wait for a worker. One between two attempts does not: its next attempt is a deadline.
    pub activities_waiting: usize,
    /// Activities that are with a worker.
    pub activities_running: BTreeSet<RunningActivity>,
}

/// Names an activity that is with a worker.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RunningActivity {
    /// Run that wants its result.
    pub run_id: String,
    /// Its id within that run.
    pub activity_id: String,
}

impl Core {
    /// What is under way.
    pub(crate) fn outlook(&self) -> Outlook {
        let mut outlook = Outlook::default();
        for execution in self.live.values().map(|live| &live.execution).filter(|execution| execution.is_open()) {
            let deadline = Some(execution.next_deadline()).filter(|deadline| *deadline != 0).map(Timestamp);
            outlook.next_deadline = [outlook.next_deadline, deadline].into_iter().flatten().min();
            outlook.workflow_tasks += usize::from(execution.info.workflow_task.is_some());
            for activity in execution.activities.values().filter(|activity| !activity.backing_off) {
                if activity.is_started() {
                    let run_id = execution.info.run_id.clone();
                    let activity_id = activity.activity_id().to_owned();
                    outlook.activities_running.insert(RunningActivity { run_id, activity_id });
                } else {
                    outlook.activities_waiting += 1;
                }
            }
        }
        let due = self.schedules.next_deadline().map(Timestamp);
        outlook.next_deadline = [outlook.next_deadline, due].into_iter().flatten().min();
        outlook
    }
}
