//! systemd's jobs, followed to their end.
//!
//! A job can end before the call that made it has answered (the signal and the answer are read by different tasks), so
//! results are kept for as long as anyone is between making a job and waiting for it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Results kept while somebody may still ask for them; enough for every unit of a large machine at once.
const MAX_KEPT: usize = 65_536;

/// Jobs of one connection.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    /// Calls between [`Jobs::expect`] and the end of what they wait for.
    expecting: usize,
    /// Results of jobs that ended meanwhile and that nobody waits for yet.
    ended: HashMap<u32, String>,
    waiting: HashMap<u32, Vec<oneshot::Sender<String>>>,
    closed: bool,
}

/// While it lives, no result is lost.
#[derive(Debug)]
pub(super) struct Expectation<'a> {
    jobs: &'a Jobs,
}

impl Jobs {
    /// To be called before the job is made.
    pub(super) fn expect(&self) -> Expectation<'_> {
        self.lock().expecting += 1;
        Expectation { jobs: self }
    }

    /// A job has ended (`JobRemoved`).
    pub(super) fn ended(&self, id: u32, result: &str) {
        let mut table = self.lock();
        if let Some(waiting) = table.waiting.remove(&id) {
            for waiter in waiting {
                // Whoever waited may have gone (timeout, cancelled activity).
                let _ = waiter.send(result.to_owned());
            }
        }
        if table.expecting > 0 && table.ended.len() < MAX_KEPT {
            table.ended.insert(id, result.to_owned());
        }
    }

    /// The connection is gone: nobody will hear of any job any more.
    pub(super) fn close(&self) {
        let mut table = self.lock();
        table.closed = true;
        table.waiting.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Expectation<'_> {
    /// The result of a job, once it ends (`done`, `failed`, `canceled`, `timeout`, `dependency`, `skipped`, …). The receiver
    /// fails when the connection is lost.
    pub(super) fn result(&self, id: u32) -> oneshot::Receiver<String> {
        let (sender, receiver) = oneshot::channel();
        let mut table = self.jobs.lock();
        if let Some(result) = table.ended.get(&id) {
            let _ = sender.send(result.clone());
        } else if !table.closed {
            table.waiting.entry(id).or_default().push(sender);
        }
        receiver
    }
}

impl Drop for Expectation<'_> {
    fn drop(&mut self) {
        let mut table = self.jobs.lock();
        table.expecting -= 1;
        if table.expecting == 0 {
            table.ended.clear();
            table.waiting.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[tokio::test]
    async fn a_job_that_ended_before_it_was_asked_for_is_not_lost() {
        let jobs = Jobs::default();
        let expectation = jobs.expect();
        jobs.ended(7, "done");
        assert_eq!(expectation.result(7).await.unwrap(), "done");
    }

    #[tokio::test]
    async fn all_who_wait_for_a_job_hear_of_it() {
        let jobs = Jobs::default();
        let (one, two) = (jobs.expect(), jobs.expect());
        let (first, second) = (one.result(7), two.result(7));
        jobs.ended(8, "failed");
        jobs.ended(7, "canceled");
        assert_eq!(first.await.unwrap(), "canceled");
        assert_eq!(second.await.unwrap(), "canceled");
    }

    #[tokio::test]
    async fn a_lost_connection_ends_the_wait() {
        let jobs = Jobs::default();
        let expectation = jobs.expect();
        let waiting = expectation.result(7);
        jobs.close();
        assert!(waiting.await.is_err());
        assert!(expectation.result(8).await.is_err());
    }

    #[test]
    fn nothing_is_kept_when_nobody_waits() {
        let jobs = Jobs::default();
        jobs.ended(7, "done");
        assert!(jobs.lock().ended.is_empty());
        drop(jobs.expect());
        assert_eq!(jobs.lock().expecting, 0);
    }
}
