//! Failures of activities, as workflows and operators see them: a type name that is stable, and words that say what to do.

use std::error::Error;
use std::time::Duration;

use temporalio_common::error::ApplicationFailure;
use temporalio_sdk::activities::ActivityError;

use crate::manager::ManagerError;
use crate::metrics::ErrorType;
use crate::notify::NotifyError;
use crate::watch::WatchError;

/// What kind of failure. Stands in histories by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The unit manager cannot be reached.
    ManagerUnreachable,
    /// The unit manager did not answer in time.
    ManagerTimeout,
    /// The service cannot be watched now.
    Watch,
    /// A node gave no usable answer.
    Rpc,
    /// The input can never work.
    BadInput,
    /// A message was not sent.
    Notify,
}

impl Failure {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::ManagerUnreachable, Self::ManagerTimeout, Self::Watch, Self::Rpc, Self::BadInput, Self::Notify];

    /// Type name of the application failure.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ManagerUnreachable => "ManagerUnreachable",
            Self::ManagerTimeout => "ManagerTimeout",
            Self::Watch => "WatchInterrupted",
            Self::Rpc => "RpcFailed",
            Self::BadInput => "BadInput",
            Self::Notify => "NotifyFailed",
        }
    }

    /// Its kind in the metrics.
    #[must_use]
    pub fn error_type(self) -> ErrorType {
        match self {
            Self::ManagerUnreachable => ErrorType::Unreachable,
            Self::ManagerTimeout => ErrorType::Timeout,
            Self::Watch => ErrorType::Unclassified,
            Self::Rpc => ErrorType::Rpc,
            Self::BadInput => ErrorType::BadInput,
            Self::Notify => ErrorType::Http,
        }
    }
}

/// Least wait before another attempt that is asked for.
const LEAST_WAIT: Duration = Duration::from_millis(50);

/// A failure that another attempt may mend.
pub(crate) fn retryable(kind: Failure, error: impl Into<Box<dyn Error + Send + Sync>>) -> ActivityError {
    failure(kind, error, false)
}

/// A failure that no further attempt will mend.
pub(crate) fn bad_input(error: impl Into<Box<dyn Error + Send + Sync>>) -> ActivityError {
    failure(Failure::BadInput, error, true)
}

/// The unit manager's errors, all of them worth another try.
pub(crate) fn manager(error: ManagerError) -> ActivityError {
    let retry_in = match &error {
        // Whoever waits for it is not to wait for longer than it rests.
        ManagerError::Resting { retry_in } => Some((*retry_in).max(LEAST_WAIT)),
        _ => None,
    };
    let kind = kind_of(&error).name().to_owned();
    let failure = ApplicationFailure::builder(error).type_name(kind).maybe_next_retry_delay(retry_in);
    ActivityError::application(failure.build())
}

/// A message that was not sent. One that its receiver refuses is not tried again; a wait that it asks for is kept.
pub(crate) fn notify(error: NotifyError) -> ActivityError {
    let (non_retryable, retry_after) = match &error {
        NotifyError::Later { retry_after, .. } => (false, *retry_after),
        NotifyError::Refused(_) | NotifyError::Unknown(_) => (true, None),
    };
    let failure = ApplicationFailure::builder(error)
        .type_name(Failure::Notify.name().to_owned())
        .non_retryable(non_retryable)
        .maybe_next_retry_delay(retry_after)
        .build();
    ActivityError::application(failure)
}

/// What kind of failure an unwatchable service is.
pub(crate) fn watch(error: WatchError) -> ActivityError {
    match error {
        WatchError::Manager(error) => manager(error),
        WatchError::Ended => retryable(Failure::Watch, error),
    }
}

fn kind_of(error: &ManagerError) -> Failure {
    match error {
        ManagerError::Unreachable { .. } | ManagerError::Resting { .. } => Failure::ManagerUnreachable,
        ManagerError::Timeout { .. } => Failure::ManagerTimeout,
    }
}

fn failure(kind: Failure, error: impl Into<Box<dyn Error + Send + Sync>>, non_retryable: bool) -> ActivityError {
    let failure =
        ApplicationFailure::builder(error).type_name(kind.name().to_owned()).non_retryable(non_retryable).build();
    ActivityError::application(failure)
}
