//! What can be wrong with the history's file, by what the caller does next.

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

/// Why the history cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// Another dixmgr writes it. An operator has to choose another file.
    #[error("the health history {} is in use by another dixmgr; give this one a -health-history-db of its own", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// A later release wrote it. An operator has to choose.
    #[error("the health history {} has schema version {found}, this release knows versions up to {known}; install the release that wrote it, or use another -health-history-db", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest that this release knows.
        known: i64,
    },
    /// It is a file of something else. An operator has to choose.
    #[error("{} is not a health history of dixmgr; use another -health-history-db", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// There is no such file: nothing was recorded yet.
    #[error("there is no health history at {}; dixmgr writes it while it runs with -health-history (the default)", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// It cannot be read or written now: no room, no right, a broken disk, a damaged file.
    #[error("cannot use the health history {}: {detail}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What the system or the database said.
        detail: String,
    },
    /// A database that cannot be used now: not reached, in use by another for this host, without a history, or of a later release.
    #[error("cannot use the health history in PostgreSQL: {detail}")]
    Database {
        /// What is wrong, and what to do.
        detail: String,
    },
}

impl HistoryError {
    /// Whether only an operator's other choice of a file mends it; all else may pass, and services are watched meanwhile.
    #[must_use]
    pub fn is_a_wrong_choice(&self) -> bool {
        matches!(self, Self::InUse { .. } | Self::Newer { .. } | Self::Foreign { .. })
    }
}

/// What `error` of the file at `path` means.
pub(super) fn explain(path: &Path, error: &rusqlite::Error) -> HistoryError {
    let path = path.to_owned();
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => HistoryError::Foreign { path },
        Some(ErrorCode::DiskFull) => {
            let detail = "no room is left on its disk".to_owned();
            HistoryError::Unusable { path, detail }
        }
        _ => HistoryError::Unusable { path, detail: error.to_string() },
    }
}
