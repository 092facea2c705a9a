//! Why the configuration stays as it is.

use crate::config::{ConfigError, PatchError};

/// Why a change was refused. What was in force before still is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// The document has faults.
    #[error("{0}")]
    Faults(ConfigError),
    /// The document is right, and something that it needs is not there, or it asks for more than there is room for.
    #[error("{0}")]
    Unusable(String),
    /// The patch cannot be applied.
    #[error(transparent)]
    Patch(#[from] PatchError),
    /// The configuration is another one than the author has seen.
    #[error("revision {wanted} was expected, and {current} is in force")]
    Moved {
        /// What was expected.
        wanted: u64,
        /// What is in force.
        current: u64,
    },
    /// The file holds something else than what is in force.
    #[error(
        "{file} holds something else than the configuration in force (revision {current}), and an update would write over it; \
         reload it, or go back with a rollback"
    )]
    Unread {
        /// The file.
        file: String,
        /// What is in force.
        current: u64,
    },
    /// There is no such revision.
    #[error("revision {0} is not kept")]
    NotKept(u64),
    /// There is no revision before this one.
    #[error("no revision before {0} is kept")]
    NothingBefore(u64),
    /// The file, or what is needed to go back, cannot be written.
    #[error("{what} cannot be written: {detail}")]
    NotWritten {
        /// What could not be.
        what: String,
        /// What the system said.
        detail: std::io::Error,
    },
}

impl Refused {
    /// What is wrong with the document, one text each.
    pub(crate) fn faults(&self) -> Vec<String> {
        match self {
            Self::Faults(error) => error.faults.iter().take(FAULTS).map(ToString::to_string).collect(),
            _ => Vec::new(),
        }
    }

    /// In one line.
    pub(crate) fn summary(&self) -> String {
        match self {
            Self::Faults(error) => match &error.faults[..] {
                [one] => format!("{} cannot be used: {one}", error.file),
                faults => format!("{} cannot be used: {} faults", error.file, faults.len()),
            },
            other => other.to_string(),
        }
    }
}

/// Most faults of one document that are recorded.
const FAULTS: usize = 100;
