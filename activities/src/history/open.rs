//! Opening the history's file: to write it, which one dixmgr at a time does, and to read it, which anyone may meanwhile.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use rustix::fs::{FlockOperation, flock};

use super::error::{HistoryError, explain};
use super::schema::{self, Found};

/// How long a statement waits for the lock of another connection.
const BUSY: Duration = Duration::from_secs(2);
/// Memory for pages, in KiB: what rests is read back from the system's own cache when it is wanted.
const WRITER_CACHE_KIB: i64 = 512;
const READER_CACHE_KIB: i64 = 1024;
/// What the log keeps on the disk after a checkpoint.
const LOG_BYTES_KEPT: i64 = 8 << 20;

/// A connection, and the lock that keeps others from writing.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) connection: Connection,
    /// Absent where it is only read.
    pub(super) _lock: Option<File>,
}

/// Opens the file for writing, and brings it to this release's schema.
pub(super) fn for_writing(path: &Path) -> Result<Opened, HistoryError> {
    let unusable = |error: std::io::Error| HistoryError::Unusable { path: path.to_owned(), detail: error.to_string() };
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        std::fs::create_dir_all(directory).map_err(unusable)?;
    }
    let mut private = OpenOptions::new();
    private.create(true).truncate(false).write(true).mode(0o600);
    let lock = private.open(beside(path, ".lock")).map_err(unusable)?;
    match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => return Err(HistoryError::InUse { path: path.to_owned() }),
        Err(errno) => return Err(unusable(errno.into())),
    }
    // SQLite gives its log the mode of the file.
    drop(private.open(path).map_err(unusable)?);
    let mut connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(|error| explain(path, &error))?;
    prepare(&mut connection, path)?;
    Ok(Opened { connection, _lock: Some(lock) })
}

fn prepare(connection: &mut Connection, path: &Path) -> Result<(), HistoryError> {
    let fault = |error: rusqlite::Error| explain(path, &error);
    connection.busy_timeout(BUSY).map_err(fault)?;
    let version = ours(connection, path)?;
    if version == 0 {
        // Has to be there before the first table.
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL").map_err(fault)?;
    }
    connection.pragma_update(None, "journal_mode", "WAL").map_err(fault)?;
    // The last moments may be lost with the machine's power, not with the process.
    connection.pragma_update(None, "synchronous", "NORMAL").map_err(fault)?;
    connection.pragma_update(None, "journal_size_limit", LOG_BYTES_KEPT).map_err(fault)?;
    connection.pragma_update(None, "temp_store", "MEMORY").map_err(fault)?;
    connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB).map_err(fault)?;
    connection.set_prepared_statement_cache_capacity(32);
    schema::migrate(connection, version).map_err(fault)
}

/// Opens the file for reading, also while a dixmgr writes it.
pub(super) fn for_reading(path: &Path) -> Result<Connection, HistoryError> {
    let fault = |error: rusqlite::Error| explain(path, &error);
    match std::fs::metadata(path) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(HistoryError::Missing { path: path.to_owned() });
        }
        Err(error) => return Err(HistoryError::Unusable { path: path.to_owned(), detail: error.to_string() }),
    }
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(fault)?;
    connection.busy_timeout(BUSY).map_err(fault)?;
    connection.pragma_update(None, "cache_size", -READER_CACHE_KIB).map_err(fault)?;
    connection.set_prepared_statement_cache_capacity(16);
    match ours(&connection, path)? {
        0 => Err(HistoryError::Missing { path: path.to_owned() }),
        _ => Ok(connection),
    }
}

/// The version of a file that is ours; 0 for an empty one.
fn ours(connection: &Connection, path: &Path) -> Result<i64, HistoryError> {
    match schema::inspect(connection).map_err(|error| explain(path, &error))? {
        Found::Ours(version) => Ok(version),
        Found::Newer(found) => Err(HistoryError::Newer { path: path.to_owned(), found, known: schema::VERSION }),
        Found::Foreign => Err(HistoryError::Foreign { path: path.to_owned() }),
    }
}

/// `path` with `suffix` after its name.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
