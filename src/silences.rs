//! The silences of a daemon, for those who ask from outside: the API and the command line. They live in a workflow; here is how
//! it is asked and told, and what is answered before it is.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dixmgr_alerting::silence::SilenceError;
use dixmgr_alerting::silence::book::{Placed, SilenceBook, place};
use dixmgr_model::{Silence, SilenceState};
use dixmgr_workflows::SilencesWorkflow;
use temporalio_client::errors::{WorkflowInteractionError, WorkflowQueryError};
use temporalio_client::{Client, WorkflowHandle, WorkflowQueryOptions, WorkflowSignalOptions};

use crate::worker::chain;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a silence was not shown, taken or ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeskError {
    /// It cannot be taken.
    #[error(transparent)]
    Wrong(#[from] SilenceError),
    /// There is none of this id.
    #[error("there is no silence {0}")]
    Unknown(String),
    /// It is over already.
    #[error("silence {0} has expired already")]
    Expired(String),
    /// The workflow does not run.
    #[error("no dixmgr keeps silences there")]
    Nobody,
    /// It does not answer.
    #[error("silences cannot be asked for now: {0}")]
    Away(String),
}

/// Where silences are asked for.
pub(crate) struct SilenceDesk {
    workflow: WorkflowHandle<Client, SilencesWorkflow>,
}

impl SilenceDesk {
    /// The desk at the workflow of this id.
    pub(crate) fn new(client: &Client, workflow_id: impl Into<String>) -> Self {
        Self { workflow: client.get_workflow_handle(workflow_id) }
    }

    /// All silences that are kept.
    ///
    /// # Errors
    /// They cannot be asked for.
    pub(crate) async fn list(&self) -> Result<Vec<Silence>, DeskError> {
        let query = self.workflow.query(SilencesWorkflow::list, (), WorkflowQueryOptions::default());
        Ok(in_time(query).await??)
    }

    /// One silence.
    ///
    /// # Errors
    /// There is none of this id, or it cannot be asked for.
    pub(crate) async fn find(&self, id: &str) -> Result<Silence, DeskError> {
        let found = self.list().await?.into_iter().find(|silence| silence.id == id);
        found.ok_or_else(|| DeskError::Unknown(id.to_owned()))
    }

    /// Takes a silence. One with an id is another form of the one that has it. Answers with its id, which may be a new one.
    ///
    /// # Errors
    /// It cannot be taken, the one that it changes is not there, or nobody can be told.
    pub(crate) async fn put(&self, silence: Silence) -> Result<String, DeskError> {
        let (list, now) = (self.list().await?, now());
        let old = list.iter().find(|own| own.id == silence.id);
        if old.is_none() && !silence.id.is_empty() {
            return Err(DeskError::Unknown(silence.id));
        }
        let Placed { silence, expires } = place(old, silence, uuid::Uuid::new_v4().to_string(), now);
        // The workflow says nothing when it cannot take one: whether it can is found out here, by the same rules.
        let mut book: SilenceBook = list.into_iter().collect();
        if let Some(old) = &expires {
            book.expire(old, now);
        }
        book.put(silence.clone(), now)?;
        let id = silence.id.clone();
        in_time(self.workflow.signal(SilencesWorkflow::put, silence, WorkflowSignalOptions::default())).await??;
        if let Some(old) = expires {
            in_time(self.workflow.signal(SilencesWorkflow::expire, old, WorkflowSignalOptions::default())).await??;
        }
        Ok(id)
    }

    /// Ends a silence.
    ///
    /// # Errors
    /// There is none, it is over, or nobody can be told.
    pub(crate) async fn expire(&self, id: &str) -> Result<(), DeskError> {
        if self.find(id).await?.state(now()) == SilenceState::Expired {
            return Err(DeskError::Expired(id.to_owned()));
        }
        let signal = self.workflow.signal(SilencesWorkflow::expire, id.to_owned(), WorkflowSignalOptions::default());
        Ok(in_time(signal).await??)
    }
}

impl From<WorkflowQueryError> for DeskError {
    fn from(error: WorkflowQueryError) -> Self {
        match error {
            WorkflowQueryError::NotFound(_) => Self::Nobody,
            error => Self::Away(chain(&error)),
        }
    }
}

impl From<WorkflowInteractionError> for DeskError {
    fn from(error: WorkflowInteractionError) -> Self {
        match error {
            WorkflowInteractionError::NotFound(_) => Self::Nobody,
            error => Self::Away(chain(&error)),
        }
    }
}

async fn in_time<T>(answer: impl Future<Output = T>) -> Result<T, DeskError> {
    let answer = tokio::time::timeout(PATIENCE, answer).await;
    answer.map_err(|_| DeskError::Away(format!("no answer within {} s", PATIENCE.as_secs())))
}

/// Milliseconds since the epoch.
pub(crate) fn now() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
}
