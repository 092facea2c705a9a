//! Looking into a file without changing it: whether it is sound, and what of it can still be read when it is not.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, config::DbConfig};

use super::{
    ExecutionKey, ExecutionRow, HistoryBatch, HistoryLimit, PendingKind, PendingRow, StoreError,
    error::explain,
    read,
    schema::{self, Found},
};

/// A file that is only read. Nobody else has it meanwhile.
#[derive(Debug)]
pub struct StoreReader {
    connection: Connection,
    path: PathBuf,
    version: i64,
}

impl StoreReader {
    /// Opens the file at `path`. What a crash has left in its log is read with it, and stays there.
    ///
    /// # Errors
    /// There is no such file, another process has it, or it is not one of ours.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        if let Err(error) = std::fs::metadata(path) {
            return Err(StoreError::Io { path: path.to_owned(), detail: error.to_string() });
        }
        let fault = |error: rusqlite::Error| explain(path, &error);
        let connection = Connection::open_with_flags(path, flags).map_err(fault)?;
        connection.busy_timeout(Duration::ZERO).map_err(fault)?;
        // Otherwise closing would move the log into the file.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(fault)?;
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE").map_err(fault)?;
        match schema::inspect(&connection).map_err(fault)? {
            Found::Ours(version) => Ok(Self { connection, path: path.to_owned(), version }),
            Found::Newer(found) => {
                Err(StoreError::NewerVersion { path: path.to_owned(), found, known: schema::VERSION })
            }
            Found::Foreign(application_id) => Err(StoreError::Foreign { path: path.to_owned(), application_id }),
        }
    }

    /// Version of the file's schema.
    pub fn version(&self) -> i64 {
        self.version
    }

    /// What `SQLite` finds wrong with the file as a whole, at most `limit` findings; none when it is sound. Reads all of it.
    ///
    /// # Errors
    /// The operating system fails to read it.
    pub fn faults(&self, limit: u32) -> Result<Vec<String>, StoreError> {
        let check = || {
            let mut statement = self.connection.prepare(&format!("PRAGMA integrity_check({limit})"))?;
            statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()
        };
        match check().map_err(|error| explain(&self.path, &error)) {
            Ok(found) if found == ["ok"] => Ok(Vec::new()),
            Ok(found) => Ok(found),
            Err(StoreError::Corrupt { detail, .. }) => Ok(vec![detail]),
            Err(error) => Err(error),
        }
    }

    /// Keys of all runs that can be found in order; and why they may not be all, where the file is damaged. Each table and index
    /// that names runs is read from both ends up to where it cannot be read.
    pub fn keys(&self) -> (Vec<ExecutionKey>, Option<StoreError>) {
        let (mut keys, mut fault) = (BTreeSet::new(), None);
        for source in [
            "executions NOT INDEXED ORDER BY key",
            "executions NOT INDEXED ORDER BY key DESC",
            "executions INDEXED BY executions_by_run",
            "history INDEXED BY history_by_run ORDER BY key",
            "history INDEXED BY history_by_run ORDER BY key DESC",
        ] {
            if let Err(error) = self.collect(&format!("SELECT DISTINCT key FROM {source}"), &mut keys) {
                fault = Some(explain(&self.path, &error));
            } else if fault.is_none() {
                break;
            }
        }
        (keys.into_iter().map(ExecutionKey).collect(), fault)
    }

    fn collect(&self, sql: &str, keys: &mut BTreeSet<i64>) -> rusqlite::Result<()> {
        let mut statement = self.connection.prepare(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            keys.insert(row.get(0)?);
        }
        Ok(())
    }

    /// The run of that key.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn execution(&self, key: ExecutionKey) -> Result<Option<ExecutionRow>, StoreError> {
        read::execution(&self.connection, key).map_err(|error| explain(&self.path, &error))
    }

    /// Batches of a run's history, from the one that holds `from_event_id`.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn history(&self, key: ExecutionKey, from_event_id: i64) -> Result<Vec<HistoryBatch>, StoreError> {
        const PAGE: HistoryLimit = HistoryLimit { batches: 64, bytes: 4 << 20 };
        read::history(&self.connection, key, from_event_id, PAGE).map_err(|error| explain(&self.path, &error))
    }

    /// What the run of that key waits for.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn pending(&self, key: ExecutionKey) -> Result<Vec<PendingRow>, StoreError> {
        let read = || {
            let mut statement = self
                .connection
                .prepare_cached("SELECT kind, id, data FROM pending WHERE key = ?1 ORDER BY kind, id")?;
            let rows = statement.query_map([key.0], |row| {
                Ok(PendingRow { kind: PendingKind(row.get(0)?), id: row.get(1)?, data: row.get(2)? })
            })?;
            rows.collect::<rusqlite::Result<_>>()
        };
        read().map_err(|error| explain(&self.path, &error))
    }

    /// Copies the whole file to a new one at `to`. Answers its bytes.
    ///
    /// # Errors
    /// There is such a file, it cannot be written, or this one cannot be read.
    pub fn copy(&self, to: &Path) -> Result<u64, StoreError> {
        let mut target = super::backup::Target::create(to)?;
        let copying = target.copy_from(&self.connection)?;
        while !copying.step()? {}
        drop(copying);
        target.finish()
    }
}
