//! The durable state of the engine: one `SQLite` file, one connection, one owner.
//!
//! The store is synchronous and takes no locks: the core thread owns it. It knows rows, not workflows; every blob is
//! opaque to it. No other module of the engine knows SQL.

mod activities;
mod attributes;
pub(crate) mod backup;
mod batch;
mod batch_jobs;
mod commit;
mod deployments;
mod endpoints;
mod error;
mod listing;
mod open;
mod options;
mod read;
mod reader;
mod schedules;
mod schema;
mod task_queues;
#[cfg(test)]
mod tests;
mod types;

pub use batch::Batch;
pub use error::StoreError;
pub use options::{IntegrityCheck, StoreOptions, Synchronous};
pub use reader::StoreReader;
pub use types::{
    ActivityRow, BatchJobRow, Count, DeploymentRow, EndpointRow, ExecutionKey, ExecutionRow, FoundRun, Group,
    HistoryBatch, HistoryLimit, NamespaceRow, OpenExecution, Page, PendingKind, PendingRow, RunRef, ScheduleRow,
    SearchValue, TaskQueueRow, VisibilityHit, VisibilityRow,
};

use std::{
    path::{Path, PathBuf},
    rc::Rc,
    time::{Duration, Instant},
};

use rusqlite::{Connection, Transaction, TransactionBehavior};

use self::{
    error::{Fault, explain},
    listing::ListFault,
};
use crate::{clock::Timestamp, visibility::Query};

/// An open store. Dropping it moves the write-ahead log into the file and frees the file for others.
#[derive(Debug)]
pub struct Store {
    connection: Rc<Connection>,
    path: PathBuf,
    last_key: i64,
    last_sync: Duration,
}

impl Store {
    /// Opens the file at `path`, creating it when it is missing (its directory must exist), and brings its schema up to
    /// date. The file is held exclusively until the store is dropped or the process ends.
    ///
    /// # Errors
    /// Every variant of [`StoreError`] that names a path; each says what the operator can do.
    pub fn open(path: &Path, options: &StoreOptions) -> Result<Self, StoreError> {
        Self::start(open::open(path, options)?, path)
    }

    /// Opens a store that lasts as long as the value does.
    ///
    /// # Errors
    /// As [`Store::open`]; only lack of memory is to be expected.
    pub fn open_in_memory(options: &StoreOptions) -> Result<Self, StoreError> {
        Self::start(open::open_in_memory(options)?, Path::new(":memory:"))
    }

    fn start(connection: Connection, path: &Path) -> Result<Self, StoreError> {
        let last_key = read::largest_key(&connection).map_err(|error| explain(path, &error))?;
        Ok(Self { connection: Rc::new(connection), path: path.to_owned(), last_key, last_sync: Duration::ZERO })
    }

    /// A key that no run in the store has.
    pub fn next_key(&mut self) -> ExecutionKey {
        self.last_key += 1;
        ExecutionKey(self.last_key)
    }

    /// Writes the whole batch, or on error nothing of it. When this returns, the batch is as durable as
    /// [`StoreOptions::synchronous`] promises.
    ///
    /// # Errors
    /// [`StoreError::Full`] when there is no room: the same batch can be tried again later. [`StoreError::Misuse`] when
    /// the batch contradicts what is stored. [`StoreError::Io`] and [`StoreError::Corrupt`] leave the store unusable.
    pub fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        if batch.is_empty() {
            return Ok(());
        }
        self.transact(|connection| commit::apply(connection, batch))
    }

    /// Forgets at most `limit` runs of the namespace that closed before `time`, those that closed first before the
    /// others. Returns their keys; fewer than `limit` means that none is left.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub fn delete_closed_before(
        &mut self,
        namespace: &str,
        time: Timestamp,
        limit: usize,
    ) -> Result<Vec<ExecutionKey>, StoreError> {
        self.transact(|connection| {
            let keys = read::closed_before(connection, namespace, time, limit)?;
            keys.iter().try_for_each(|key| commit::delete_execution(connection, *key))?;
            Ok(keys)
        })
    }

    /// Forgets at most `limit` activities of the namespace that closed before `time`, those that closed first before the
    /// others. Returns how many; fewer than `limit` means that none is left.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub fn delete_activities_closed_before(
        &mut self,
        namespace: &str,
        time: Timestamp,
        limit: usize,
    ) -> Result<usize, StoreError> {
        self.transact(|connection| {
            let keys = activities::closed_before(connection, namespace, time, limit)?;
            keys.iter().try_for_each(|key| activities::delete(connection, *key))?;
            Ok(keys.len())
        })
    }

    /// Runs `work` in one transaction, which is rolled back unless it succeeds.
    fn transact<T>(&mut self, work: impl FnOnce(&Connection) -> Result<T, Fault>) -> Result<T, StoreError> {
        let transacted = || {
            let transaction = Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate)?;
            let done = work(&transaction)?;
            let began = Instant::now();
            transaction.commit()?;
            Ok((done, began.elapsed()))
        };
        match transacted() {
            Ok((done, sync)) => {
                self.last_sync = sync;
                Ok(done)
            }
            Err(fault) => Err(self.failed(fault)),
        }
    }

    fn failed(&self, fault: Fault) -> StoreError {
        let error = fault.explain(&self.path);
        if matches!(error, StoreError::Full { .. }) {
            self.shrink_log();
        }
        error
    }

    /// The connection, for a copy that is made while the store is in use.
    pub(crate) fn source(&self) -> Rc<Connection> {
        Rc::clone(&self.connection)
    }

    /// How long the log was written and synced for the last commit.
    pub(crate) fn last_sync(&self) -> Duration {
        self.last_sync
    }

    /// Bytes of the database file and of its log.
    pub(crate) fn file_bytes(&self) -> (u64, u64) {
        let bytes = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
        (bytes(&self.path), bytes(&open::with_suffix(&self.path, "-wal")))
    }

    /// Moves the log into the file, most of which overwrites what is there, and gives the log's room back: on a full
    /// disk that may be all the room there is. Where it fails the log stays, and nothing is lost.
    fn shrink_log(&self) {
        if let Err(error) = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())) {
            tracing::debug!(%error, "no room to move the store's log into its file");
        }
    }

    /// All namespaces, by name.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn load_namespaces(&self) -> Result<Vec<NamespaceRow>, StoreError> {
        read::namespaces(&self.connection).map_err(|error| self.explain(&error))
    }

    /// All schedules, by namespace and id.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn load_schedules(&self) -> Result<Vec<ScheduleRow>, StoreError> {
        schedules::all(&self.connection).map_err(|error| self.explain(&error))
    }

    /// The open activities that stand alone, in the order of their keys.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn load_open_activities(&self) -> Result<Vec<ActivityRow>, StoreError> {
        activities::open(&self.connection).map_err(|error| self.explain(&error))
    }

    /// The activity of those ids. An empty `run_id` means the last run.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn find_activity(
        &self,
        namespace: &str,
        activity_id: &str,
        run_id: &str,
    ) -> Result<Option<ActivityRow>, StoreError> {
        activities::find(&self.connection, namespace, activity_id, run_id).map_err(|error| self.explain(&error))
    }

    /// At most `limit` activities of a namespace whose keys are below `before`, the last first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn activities(&self, namespace: &str, before: i64, limit: usize) -> Result<Vec<ActivityRow>, StoreError> {
        activities::page(&self.connection, namespace, before, limit).map_err(|error| self.explain(&error))
    }

    /// The input of an activity, if it has one.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn activity_input(&self, key: i64) -> Result<Option<Vec<u8>>, StoreError> {
        activities::input(&self.connection, key).map_err(|error| self.explain(&error))
    }

    /// What is set of task queues, by namespace, name and kind.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn load_task_queues(&self) -> Result<Vec<TaskQueueRow>, StoreError> {
        task_queues::all(&self.connection).map_err(|error| self.explain(&error))
    }

    /// All Nexus endpoints, by id.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn load_endpoints(&self) -> Result<Vec<EndpointRow>, StoreError> {
        endpoints::all(&self.connection).map_err(|error| self.explain(&error))
    }

    /// All worker deployments, by namespace and name.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn load_deployments(&self) -> Result<Vec<DeploymentRow>, StoreError> {
        deployments::all(&self.connection).map_err(|error| self.explain(&error))
    }

    /// The schedule of that id.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn find_schedule(&self, namespace: &str, schedule_id: &str) -> Result<Option<ScheduleRow>, StoreError> {
        schedules::find(&self.connection, namespace, schedule_id).map_err(|error| self.explain(&error))
    }

    /// The batches of events that were stored last, of whatever runs.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn latest_events(&self, batches: u32) -> Result<Vec<Vec<u8>>, StoreError> {
        read::latest_events(&self.connection, batches).map_err(|error| self.explain(&error))
    }

    /// All batch operations, by namespace and id.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn load_batch_jobs(&self) -> Result<Vec<BatchJobRow>, StoreError> {
        batch_jobs::all(&self.connection).map_err(|error| self.explain(&error))
    }

    /// The batch operation of that id.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn find_batch_job(&self, namespace: &str, job_id: &str) -> Result<Option<BatchJobRow>, StoreError> {
        batch_jobs::find(&self.connection, namespace, job_id).map_err(|error| self.explain(&error))
    }

    /// Hands every open run to `each`, in the order of their keys.
    ///
    /// # Errors
    /// When the file cannot be read; some runs may have been handed out by then.
    pub fn load_open(&self, each: impl FnMut(OpenExecution)) -> Result<(), StoreError> {
        read::open_executions(&self.connection, each).map_err(|error| self.explain(&error))
    }

    /// Looks a run up by its ids. An empty `run_id` means the current run of the workflow id.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn find_run(&self, namespace: &str, workflow_id: &str, run_id: &str) -> Result<Option<FoundRun>, StoreError> {
        read::find_run(&self.connection, namespace, workflow_id, run_id).map_err(|error| self.explain(&error))
    }

    /// Keys of the runs of a namespace, at most `limit` of them.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn keys_of_namespace(&self, namespace: &str, limit: usize) -> Result<Vec<ExecutionKey>, StoreError> {
        read::keys_of_namespace(&self.connection, namespace, limit).map_err(|error| self.explain(&error))
    }

    /// The run of that key.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn load_execution(&self, key: ExecutionKey) -> Result<Option<ExecutionRow>, StoreError> {
        read::execution(&self.connection, key).map_err(|error| self.explain(&error))
    }

    /// Batches of a history in order, beginning with the one that holds `from_event_id`; none when there is no such
    /// event yet.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn history(
        &self,
        key: ExecutionKey,
        from_event_id: i64,
        limit: HistoryLimit,
    ) -> Result<Vec<HistoryBatch>, StoreError> {
        read::history(&self.connection, key, from_event_id, limit).map_err(|error| self.explain(&error))
    }

    /// Batches of a history last first, beginning with the one that holds `to_event_id` (`i64::MAX`: the last one).
    /// Events within a batch are in order.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn history_reverse(
        &self,
        key: ExecutionKey,
        to_event_id: i64,
        limit: HistoryLimit,
    ) -> Result<Vec<HistoryBatch>, StoreError> {
        read::history_reverse(&self.connection, key, to_event_id, limit).map_err(|error| self.explain(&error))
    }

    /// One page of the runs that match, of at most `page_size` hits (1 to 1000). An empty token means the first page.
    ///
    /// # Errors
    /// [`StoreError::PageToken`] when the token is not one of this query's order; otherwise when the file cannot be
    /// read.
    pub fn list(
        &self,
        namespace: &str,
        query: &Query,
        page_size: usize,
        page_token: &[u8],
    ) -> Result<Page, StoreError> {
        listing::list(&self.connection, namespace, query, page_size, page_token).map_err(|fault| match fault {
            ListFault::Token => StoreError::PageToken,
            ListFault::Database(error) => self.explain(&error),
        })
    }

    /// How many runs match, in groups where the query asks for it. An `ORDER BY` has no effect.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn count(&self, namespace: &str, query: &Query) -> Result<Count, StoreError> {
        listing::count(&self.connection, namespace, query).map_err(|error| self.explain(&error))
    }

    fn explain(&self, error: &rusqlite::Error) -> StoreError {
        explain(&self.path, error)
    }
}
