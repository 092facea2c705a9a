//! Batch operations on the core thread: one operation on many executions, a few of them in each commit.
//!
//! What a step does to executions and how far the batch has come are one transaction. So a batch goes on after a crash where it was,
//! and no execution is treated twice.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message as _;
use temporalio_common::protos::temporal::api::{
    common::v1::WorkflowExecution,
    enums::v1::{BatchOperationState as State, ExecutionType},
    workflowservice::v1::StartBatchOperationRequest,
};
use tonic::{Code, Status};

use super::{
    Core,
    commit::status_of,
    lookup::{RETRY_COMMIT, retention},
};
use crate::{
    history::time::Nanos,
    service::{
        batch::{apply, query_of, target_type},
        standalone_list,
    },
    store::{Batch, BatchJobRow},
    visibility::Query,
};

/// Executions that a batch treats in a second, where it does not ask for fewer (`worker.batcherRPS`).
const MAX_RATE: f32 = 50.0;
/// Steps that a batch takes in a second, where its rate allows several executions in each.
const STEPS: f32 = 10.0;
/// Batches that have ended and are remembered; the oldest are forgotten first.
const MAX_ENDED: usize = 1_000;
const SECOND: f32 = 1e9;

/// Names a batch: namespace and job id.
type Id = (String, String);

/// A batch operation, in the form in which it is stored.
#[derive(Clone, PartialEq, ::prost::Message)]
pub(crate) struct BatchJob {
    /// What was asked for.
    #[prost(message, optional, tag = "1")]
    pub(crate) request: Option<StartBatchOperationRequest>,
    /// Names it beside the job id, which a client chooses.
    #[prost(string, tag = "2")]
    pub(crate) run_id: String,
    /// `BatchOperationState`.
    #[prost(enumeration = "State", tag = "3")]
    pub(crate) state: i32,
    /// When it was asked for.
    #[prost(int64, tag = "4")]
    pub(crate) start_time: i64,
    /// When it ended, 0 before.
    #[prost(int64, tag = "5")]
    pub(crate) close_time: i64,
    /// Executions that it means, as they were counted when it began.
    #[prost(int64, tag = "6")]
    pub(crate) total: i64,
    /// Executions that it has treated; one that has closed or is gone needs nothing.
    #[prost(int64, tag = "7")]
    pub(crate) completed: i64,
    /// Executions that refused.
    #[prost(int64, tag = "8")]
    pub(crate) failed: i64,
    /// Next page of its query; empty before the first.
    #[prost(bytes = "vec", tag = "9")]
    pub(crate) page_token: Vec<u8>,
    /// Executions of its list that were taken.
    #[prost(int64, tag = "10")]
    pub(crate) position: i64,
    /// Whether the executions were counted.
    #[prost(bool, tag = "11")]
    pub(crate) counted: bool,
}

/// The batches of all namespaces. In memory; what is stored of them is one row each.
#[derive(Debug, Default)]
pub(crate) struct BatchJobs {
    jobs: BTreeMap<Id, BatchJob>,
    /// When those that are under way take their next step.
    due: BTreeMap<Id, Nanos>,
    unsaved: BTreeSet<Id>,
}

impl BatchJob {
    /// What was asked for.
    pub(crate) fn request(&self) -> StartBatchOperationRequest {
        self.request.clone().unwrap_or_default()
    }

    /// Whether it is under way.
    pub(crate) fn is_running(&self) -> bool {
        self.state() == State::Running
    }

    /// Ends it.
    pub(crate) fn close(&mut self, state: State, now: Nanos) {
        self.set_state(state);
        self.close_time = now;
    }

    fn id(&self) -> Id {
        self.request.as_ref().map(|request| (request.namespace.clone(), request.job_id.clone())).unwrap_or_default()
    }

    /// Executions a second.
    fn rate(&self) -> f32 {
        let asked = self.request.as_ref().map_or(0.0, |request| request.max_operations_per_second);
        if asked > 0.0 && asked < MAX_RATE { asked } else { MAX_RATE }
    }
}

impl BatchJobs {
    /// The batch of that id.
    pub(crate) fn get(&self, namespace: &str, job_id: &str) -> Option<&BatchJob> {
        self.jobs.get(&(namespace.to_owned(), job_id.to_owned()))
    }

    /// All batches of a namespace.
    pub(crate) fn of<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = &'a BatchJob> {
        self.jobs.iter().filter(move |((of, _), _)| of == namespace).map(|(_, job)| job)
    }

    /// Takes in a batch that is new or has changed; its next step is at `due`.
    pub(crate) fn put(&mut self, job: BatchJob, due: Nanos) {
        let id = job.id();
        if job.is_running() {
            self.due.insert(id.clone(), due);
        } else {
            self.due.remove(&id);
        }
        self.unsaved.insert(id.clone());
        self.jobs.insert(id, job);
    }

    pub(super) fn has_changes(&self) -> bool {
        !self.unsaved.is_empty()
    }

    pub(super) fn take_unsaved(&mut self) -> BTreeSet<Id> {
        std::mem::take(&mut self.unsaved)
    }

    pub(super) fn next_due(&self) -> Option<Nanos> {
        self.due.values().min().copied()
    }

    /// Forgets the batches of a namespace that is deleted.
    pub(super) fn delete_of(&mut self, namespace: &str) {
        self.delete(|(of, _), _| of == namespace);
    }

    pub(super) fn write(&self, batch: &mut Batch) {
        for (namespace, job_id) in &self.unsaved {
            match self.jobs.get(&(namespace.clone(), job_id.clone())) {
                Some(job) => batch.put_batch_jobs.push(BatchJobRow {
                    namespace: namespace.clone(),
                    job_id: job_id.clone(),
                    data: job.encode_to_vec(),
                }),
                None => batch.delete_batch_jobs.push((namespace.clone(), job_id.clone())),
            }
        }
    }

    fn due_at(&self, now: Nanos) -> Vec<Id> {
        self.due.iter().filter(|(_, due)| **due <= now).map(|(id, _)| id.clone()).collect()
    }

    fn delete(&mut self, mut gone: impl FnMut(&Id, &BatchJob) -> bool) {
        let ids: Vec<Id> = self.jobs.iter().filter(|(id, job)| gone(id, job)).map(|(id, _)| id.clone()).collect();
        for id in ids {
            self.jobs.remove(&id);
            self.due.remove(&id);
            self.unsaved.insert(id);
        }
    }

    /// Forgets those that ended before their time is up, and the oldest of too many.
    fn forget_ended(&mut self, mut before: impl FnMut(&str) -> Nanos) {
        let mut ended: Vec<Nanos> =
            self.jobs.values().filter(|job| !job.is_running()).map(|job| job.close_time).collect();
        ended.sort_unstable_by(|a, b| b.cmp(a));
        let oldest = ended.get(MAX_ENDED).copied().unwrap_or(0);
        self.delete(|(namespace, _), job| {
            !job.is_running() && (job.close_time <= oldest || job.close_time < before(namespace))
        });
    }
}

impl Core {
    pub(super) fn load_batch_jobs(&mut self) -> Result<(), crate::EngineError> {
        for row in self.store.load_batch_jobs()? {
            let job = decode(&row).map_err(crate::EngineError::Damaged)?;
            self.batch_jobs.put(job, 0);
        }
        self.batch_jobs.take_unsaved();
        Ok(())
    }

    /// The commit failed: the batches that it was to change go back to what is stored, and wait a moment.
    pub(super) fn revert_batch_jobs(&mut self) {
        let soon = self.now().saturating_add(RETRY_COMMIT);
        for id in self.batch_jobs.take_unsaved() {
            self.batch_jobs.jobs.remove(&id);
            self.batch_jobs.due.remove(&id);
            let found = self.store.find_batch_job(&id.0, &id.1).map_err(|error| error.to_string());
            match found.and_then(|row| row.as_ref().map(decode).transpose()) {
                Ok(None) => {}
                Ok(Some(job)) => {
                    self.batch_jobs.put(job, soon);
                    self.batch_jobs.unsaved.remove(&id);
                }
                Err(error) => tracing::error!(%error, "cannot read a batch operation back: {error}"),
            }
        }
    }

    /// Takes one step of each batch that is due.
    pub(super) fn run_batch_jobs(&mut self, now: Nanos) {
        for id in self.batch_jobs.due_at(now) {
            if let Some(job) = self.batch_jobs.jobs.get(&id).cloned() {
                self.run_batch_job(job, now);
            }
        }
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate is positive, and small")]
    fn run_batch_job(&mut self, mut job: BatchJob, now: Nanos) {
        let rate = job.rate();
        let most = (rate / STEPS).max(1.0) as usize;
        let targets = match self.next_targets(&mut job, most) {
            Ok(targets) => targets,
            Err(status) if status.code() == Code::InvalidArgument => {
                tracing::warn!(%status, "a batch operation cannot go on: {status}");
                job.close(State::Failed, now);
                return self.batch_jobs.put(job, now);
            }
            Err(status) => {
                tracing::warn!(%status, "a batch operation waits: {status}");
                self.batch_jobs.due.insert(job.id(), now.saturating_add(RETRY_COMMIT));
                return;
            }
        };
        let count = targets.executions.len().max(1);
        let request = job.request();
        for target in targets.executions {
            match apply(self, &request, target) {
                Err(status) if status.code() != Code::NotFound => {
                    tracing::warn!(%status, "a batch operation has failed for one execution: {status}");
                    job.failed += 1;
                }
                _ => job.completed += 1,
            }
            self.pump();
        }
        if targets.last {
            job.close(State::Completed, now);
        }
        let wait = count as f32 * SECOND / rate;
        self.batch_jobs.put(job, now.saturating_add(wait as Nanos));
    }

    /// The executions that come next, `most` of them.
    fn next_targets(&self, job: &mut BatchJob, most: usize) -> Result<Targets, Status> {
        let request = job.request();
        let Some(query) = query_of(self, &request)? else {
            let listed = crate::service::batch::listed(&request);
            job.total = i64::try_from(listed.len()).unwrap_or(i64::MAX);
            let position = usize::try_from(job.position).unwrap_or(usize::MAX).min(listed.len());
            let next = position.saturating_add(most).min(listed.len());
            job.position = i64::try_from(next).unwrap_or(i64::MAX);
            let executions = listed.get(position..next).unwrap_or_default().to_vec();
            return Ok(Targets { executions, last: next == listed.len() });
        };
        if target_type(&request) == ExecutionType::Activity {
            return self.next_activities(job, &query, most);
        }
        if !job.counted {
            let count = self.store.count(&request.namespace, &query).map_err(|error| status_of(&error))?;
            job.total = count.total;
            job.counted = true;
        }
        let page =
            self.store.list(&request.namespace, &query, most, &job.page_token).map_err(|error| status_of(&error))?;
        job.page_token = page.next_page_token;
        let run =
            |hit: crate::store::VisibilityHit| WorkflowExecution { workflow_id: hit.workflow_id, run_id: hit.run_id };
        let executions = page.hits.into_iter().map(run).collect();
        Ok(Targets { executions, last: job.page_token.is_empty() })
    }

    /// As [`Self::next_targets`], of activities that stand alone.
    fn next_activities(&self, job: &mut BatchJob, query: &Query, most: usize) -> Result<Targets, Status> {
        let namespace = job.request().namespace;
        if !job.counted {
            job.total = standalone_list::count(self, &namespace, query)?;
            job.counted = true;
        }
        let (executions, token) = standalone_list::next(self, &namespace, query, most, &job.page_token)?;
        job.page_token = token;
        Ok(Targets { executions, last: job.page_token.is_empty() })
    }

    /// Forgets batches that ended longer ago than their namespace keeps closed executions.
    pub(super) fn sweep_batch_jobs(&mut self, now: Nanos) {
        let namespaces = &self.namespaces;
        self.batch_jobs
            .forget_ended(|name| namespaces.get(name).map_or(0, |namespace| now.saturating_sub(retention(namespace))));
    }
}

/// Executions of one step, and whether none follow.
struct Targets {
    executions: Vec<WorkflowExecution>,
    last: bool,
}

fn decode(row: &BatchJobRow) -> Result<BatchJob, String> {
    BatchJob::decode(row.data.as_slice()).map_err(|error| format!("batch operation {}: {error}", row.job_id))
}
