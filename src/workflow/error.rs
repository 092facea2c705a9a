//! Why a command about workflows did not do what it was asked, each with what to do about it.

use temporalio_client::tonic::{Code, Status};

use crate::config::ConfigError;
use crate::error::RunError;
use crate::protojson::Malformed;

/// Something that ends a command.
#[derive(Debug, thiserror::Error)]
pub enum WorkflowError {
    /// The command line, the filter or the configuration is wrong: exit code 2.
    #[error("{0}")]
    Wrong(String),
    /// It could not be done.
    #[error("{0}")]
    Failed(String),
    /// The engine could not be opened.
    #[error(transparent)]
    Run(#[from] RunError),
    /// What the server sent cannot be shown.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// What was found cannot be written.
    #[error("cannot write: {0}")]
    Write(std::io::Error),
    /// Whoever read our output has enough: nothing to tell anyone about.
    #[error("nobody reads on")]
    ReaderLeft,
}

impl From<std::io::Error> for WorkflowError {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe { Self::ReaderLeft } else { Self::Write(error) }
    }
}

impl From<ConfigError> for WorkflowError {
    fn from(error: ConfigError) -> Self {
        Self::Wrong(error.to_string())
    }
}

impl From<Status> for WorkflowError {
    fn from(status: Status) -> Self {
        let said = status.message();
        match status.code() {
            Code::InvalidArgument => Self::Wrong(said.to_owned()),
            Code::NotFound if said.to_lowercase().contains("namespace") => {
                Self::Failed(format!("{said}; name another namespace with -namespace"))
            }
            Code::NotFound => Self::Failed(format!("{said}; `dixmgr workflow list` shows which workflows there are")),
            Code::DeadlineExceeded | Code::Cancelled => {
                Self::Failed(format!("no answer in time ({said}); a query needs a worker that runs"))
            }
            Code::PermissionDenied | Code::Unauthenticated => {
                Self::Failed(format!("the server refuses us: {said}; give -api-key, or -tls-certificate and -tls-key"))
            }
            code => Self::Failed(format!("{said} ({code:?})")),
        }
    }
}
