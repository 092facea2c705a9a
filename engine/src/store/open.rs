//! Opening the file: whose it is, whether it is free and sound, and how it is written from then on.

use std::{
    fs::OpenOptions,
    io::ErrorKind,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, config::DbConfig};

use super::{
    IntegrityCheck, StoreError, StoreOptions, Synchronous,
    error::explain,
    schema::{self, Found},
};

/// Statements kept prepared: all fixed ones, and some of the listings that clients repeat.
const STATEMENT_CACHE: usize = 96;
/// Pages of write-ahead log after which they are moved into the file: 16 MiB.
const CHECKPOINT_PAGES: i64 = 4096;
/// What a log keeps on the disk after a checkpoint.
const LOG_BYTES_KEPT: i64 = 32 << 20;

pub(super) fn open(path: &Path, options: &StoreOptions) -> Result<Connection, StoreError> {
    create_private(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(|error| explain(path, &error))?;
    prepare(&mut connection, path, options)?;
    Ok(connection)
}

pub(super) fn open_in_memory(options: &StoreOptions) -> Result<Connection, StoreError> {
    let path = Path::new(":memory:");
    let mut connection = Connection::open_in_memory().map_err(|error| explain(path, &error))?;
    prepare(&mut connection, path, options)?;
    Ok(connection)
}

/// Creates a missing file readable by its owner alone: histories hold what workflows were told. `SQLite` gives its
/// log the same mode.
pub(super) fn create_private(path: &Path) -> Result<(), StoreError> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) if error.kind() == ErrorKind::StorageFull => Err(StoreError::Full { path: path.to_owned() }),
        Err(error) => Err(StoreError::Io { path: path.to_owned(), detail: error.to_string() }),
    }
}

/// `path` with `suffix` after its name.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn prepare(connection: &mut Connection, path: &Path, options: &StoreOptions) -> Result<(), StoreError> {
    let fault = |error: rusqlite::Error| explain(path, &error);
    connection.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
    connection.busy_timeout(Duration::ZERO).map_err(fault)?;
    // The first read then takes a lock that is held until the connection closes or the process ends.
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE").map_err(fault)?;
    let version = match schema::inspect(connection).map_err(fault)? {
        Found::Ours(version) => version,
        Found::Newer(found) => {
            return Err(StoreError::NewerVersion { path: path.to_owned(), found, known: schema::VERSION });
        }
        Found::Foreign(application_id) => return Err(StoreError::Foreign { path: path.to_owned(), application_id }),
    };
    configure(connection, options).map_err(fault)?;
    connection.execute_batch("BEGIN EXCLUSIVE; COMMIT").map_err(fault)?;
    check(connection, path, options.integrity_check)?;
    schema::migrate(connection, version).map_err(fault)
}

fn configure(connection: &Connection, options: &StoreOptions) -> rusqlite::Result<()> {
    let synchronous = match options.synchronous {
        Synchronous::Full => "FULL",
        Synchronous::Normal => "NORMAL",
        Synchronous::Off => "OFF",
    };
    // Otherwise a statement on a table with a partial index is planned anew each time that it is run with other values.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    let cache_kib = i64::try_from(options.cache_bytes >> 10).unwrap_or(i64::MAX);
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    connection.pragma_update(None, "journal_size_limit", LOG_BYTES_KEPT)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // Negative: the number counts KiB instead of pages.
    connection.pragma_update(None, "cache_size", -cache_kib)?;
    if let Some(bytes) = options.max_bytes {
        let page_size = pragma_number(connection, "page_size")?;
        let pages = i64::try_from(bytes / page_size.max(1)).unwrap_or(i64::MAX).max(1);
        connection.pragma_update(None, "max_page_count", pages)?;
    }
    Ok(())
}

fn check(connection: &Connection, path: &Path, check: IntegrityCheck) -> Result<(), StoreError> {
    let fault = |error: rusqlite::Error| explain(path, &error);
    let wanted = match check {
        IntegrityCheck::Never => false,
        IntegrityCheck::Always => true,
        IntegrityCheck::UpTo(bytes) => file_bytes(connection).map_err(fault)? <= bytes,
    };
    if !wanted {
        return Ok(());
    }
    let verdict: String = connection.pragma_query_value(None, "quick_check", |row| row.get(0)).map_err(fault)?;
    if verdict == "ok" { Ok(()) } else { Err(StoreError::Corrupt { path: path.to_owned(), detail: verdict }) }
}

fn file_bytes(connection: &Connection) -> rusqlite::Result<u64> {
    Ok(pragma_number(connection, "page_count")?.saturating_mul(pragma_number(connection, "page_size")?))
}

fn pragma_number(connection: &Connection, name: &str) -> rusqlite::Result<u64> {
    let number: i64 = connection.pragma_query_value(None, name, |row| row.get(0))?;
    Ok(u64::try_from(number).unwrap_or_default())
}
