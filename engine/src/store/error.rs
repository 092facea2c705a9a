//! What can go wrong in the store, by what the caller does next.

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

/// Why the store refused or failed.
///
/// After every error of a commit, none of the batch is in the store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process has the file. Give up: two engines on one store would undo each other's work.
    #[error("{} is in use by another process; stop that one, or use another data directory", path.display())]
    Locked {
        /// The database file.
        path: PathBuf,
    },
    /// The file was written by a newer release. Give up.
    #[error(
        "{} has schema version {found}, this release knows versions up to {known}; \
         install the release that wrote it, or use another data directory",
        path.display()
    )]
    NewerVersion {
        /// The database file.
        path: PathBuf,
        /// Version of the file.
        found: i64,
        /// Newest version that this release reads.
        known: i64,
    },
    /// The file is a sound database of another application. Give up.
    #[error("{} is a database of another application (id {application_id:#x}); use another data directory", path.display())]
    Foreign {
        /// The database file.
        path: PathBuf,
        /// The `application_id` found in it.
        application_id: i32,
    },
    /// The file is damaged, or no database at all. Give up and let the operator decide.
    #[error(
        "{} is damaged or not a database ({detail}); restore it from a backup, \
         or move it and its -wal file away to start with an empty store",
        path.display()
    )]
    Corrupt {
        /// The database file.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// No room on the disk, or the limit of [`StoreOptions::max_bytes`](super::StoreOptions) is reached. Try again when
    /// there is room.
    #[error("no room left to write {}; free some space on its disk", path.display())]
    Full {
        /// The database file.
        path: PathBuf,
    },
    /// The operating system failed to read or write. What the disk holds is uncertain until the store is opened anew.
    #[error("cannot read or write {}: {detail}", path.display())]
    Io {
        /// The database file.
        path: PathBuf,
        /// What the operating system or the database said.
        detail: String,
    },
    /// A page token that this store did not issue for this query. The client is told.
    #[error("invalid page token")]
    PageToken,
    /// A write or read that contradicts what is stored: a fault of the engine.
    #[error("contradictory store operation: {0}")]
    Misuse(String),
}

/// What `error` of the database at `path` means for the caller.
pub(super) fn explain(path: &Path, error: &rusqlite::Error) -> StoreError {
    let path = path.to_owned();
    // The texts of SQLite name tables and pages, never stored values.
    let detail = error.to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Locked { path },
        // Without a code it is no error of the database: a row lacks the shape that the schema promises.
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) | None => StoreError::Corrupt { path, detail },
        Some(ErrorCode::DiskFull) => StoreError::Full { path },
        Some(ErrorCode::ConstraintViolation | ErrorCode::TooBig | ErrorCode::Unknown) => StoreError::Misuse(detail),
        Some(_) => StoreError::Io { path, detail },
    }
}

/// What can go wrong inside a transaction, before the path is known.
#[derive(Debug)]
pub(super) enum Fault {
    Database(rusqlite::Error),
    Misuse(String),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

impl Fault {
    pub(super) fn explain(self, path: &Path) -> StoreError {
        match self {
            Self::Database(error) => explain(path, &error),
            Self::Misuse(what) => StoreError::Misuse(what),
        }
    }
}
