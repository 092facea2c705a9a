//! The core thread's own loop: messages in batches, what is due, one commit, and the answers.

use std::{sync::mpsc, time::Duration};

use tokio::sync::oneshot;
use tonic::Status;
use uuid::Uuid;

use super::{Core, Message, inbox::Inbox};
use crate::{clock::Timestamp, history::Execution};

/// Requests that share one commit at the most.
pub(super) const MAX_BATCH: usize = 512;
/// Longest time without a look at what is due.
const LONGEST_WAIT: Duration = Duration::from_hours(1);

/// How a turn of the core thread ended.
pub(super) enum Turn {
    Done,
    /// It is to stop, and to say so here when it has.
    Stop(oneshot::Sender<()>),
    /// Nobody can ask anything any more.
    Abandoned,
}

impl Core {
    pub(super) fn work(mut self, inbox: &Inbox) {
        let stopped = self.run(inbox);
        // Whoever waits for the stop may open the file next.
        drop(self);
        if let Some(stopped) = stopped {
            let _ = stopped.send(());
        }
    }

    /// Runs until it is told to stop, and answers whom to tell that it has, or until nobody can ask anything any more.
    fn run(&mut self, inbox: &Inbox) -> Option<oneshot::Sender<()>> {
        loop {
            let turn = match self.backup.take() {
                Some(request) => self.back_up(request, inbox),
                None => self.turn(inbox, LONGEST_WAIT),
            };
            match turn {
                Turn::Done => {}
                Turn::Stop(stopped) => return Some(stopped),
                Turn::Abandoned => return None,
            }
        }
    }

    /// Takes one batch of messages, for the first of which it waits no longer than `patience`, and what is due.
    pub(super) fn turn(&mut self, inbox: &Inbox, patience: Duration) -> Turn {
        let mut stopping = None;
        match self.wait(inbox, patience) {
            Ok(message) => self.take(message, &mut stopping),
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => return Turn::Abandoned,
        }
        for _ in 1..MAX_BATCH {
            let Ok(message) = inbox.try_next() else { break };
            self.take(message, &mut stopping);
        }
        self.finish_batch();
        stopping.map_or(Turn::Done, Turn::Stop)
    }

    fn take(&mut self, message: Message, stopping: &mut Option<oneshot::Sender<()>>) {
        match message {
            Message::Run(job) => {
                job(self);
                self.pump();
            }
            Message::Wake => {}
            Message::Stop(done) => *stopping = Some(done),
        }
    }

    /// Waits for a message, no longer than until the next deadline.
    fn wait(&self, inbox: &Inbox, patience: Duration) -> Result<Message, mpsc::RecvTimeoutError> {
        let of_batches = self.batch_jobs.next_due();
        let deadlines = [
            self.deadlines.next(),
            self.schedules.next_deadline(),
            self.next_deletion(),
            of_batches,
            self.queues.next_release(),
        ];
        let deadline = deadlines.into_iter().flatten().min();
        if let Some(skipping) = &self.skipping {
            let next = deadline.into_iter().chain(skipping.next_deadline()).min();
            return self.wait_or_skip(inbox, next, patience);
        }
        let deadline = deadline.map_or(self.next_sweep, |deadline| deadline.min(self.next_sweep));
        inbox.next(self.clock.real_wait(Timestamp(deadline)).map_or(patience, |wait| wait.min(patience)))
    }

    /// Fires what is due, commits, and lets the answers go.
    fn finish_batch(&mut self) {
        let now = self.now();
        while let Some((deadline, key)) = self.deadlines.pop_due(now) {
            self.metrics.timer(Duration::from_nanos(now.abs_diff(deadline)));
            if self.activities.contains(key) {
                self.fire_activity(key);
                self.pump();
                continue;
            }
            if self.orphaned.contains(&key) {
                self.update(key, Execution::abandon_in_process_workers);
            }
            self.update(key, |e, now| e.fire_due(now, || Uuid::now_v7().to_string()));
            self.pump();
        }
        if self.queues.release(now) {
            self.pump();
        }
        self.run_due_schedules();
        self.run_batch_jobs(now);
        self.wake_sleepers(now);
        if now >= self.next_sweep {
            self.sweep(now);
        }
        self.delete_namespaces_step(now);
        let failed = self.commit();
        self.flush(failed.as_ref());
    }

    /// Lets answers go. What they in turn leave behind (a waiting worker that gets a task) belongs to the next commit.
    fn flush(&mut self, failed: Option<&Status>) {
        let mut failed = failed.cloned();
        while !self.outbox.is_empty() || self.has_changes() {
            for completion in std::mem::take(&mut self.outbox) {
                completion(self, failed.as_ref());
            }
            self.pump();
            failed = self.commit();
        }
    }
}
