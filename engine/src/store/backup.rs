//! A copy of the file, made while the store is in use: a few pages at a time, so that whoever owns the store can work in
//! between. What is changed meanwhile is changed in the copy as well: it is the store as of its last step.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use rusqlite::{
    Connection, OpenFlags,
    backup::{Backup, StepResult},
};

use super::{
    StoreError,
    error::explain,
    open::{create_private, with_suffix},
};

/// Pages of one step: 256 KiB, less than a millisecond.
const PAGES: i32 = 64;

/// Where a copy is written. It has its name only when it is complete, and leaves nothing behind otherwise.
#[derive(Debug)]
pub(crate) struct Target {
    path: PathBuf,
    partial: PathBuf,
    connection: Connection,
    complete: bool,
}

impl Target {
    /// Makes the file, readable by its owner alone.
    ///
    /// # Errors
    /// There is such a file already, or it cannot be made.
    pub(crate) fn create(path: &Path) -> Result<Self, StoreError> {
        let failed = |path: &Path, detail: String| StoreError::Io { path: path.to_owned(), detail };
        if path.try_exists().map_err(|error| failed(path, error.to_string()))? {
            return Err(failed(path, "there is such a file already".to_owned()));
        }
        let partial = with_suffix(path, ".partial");
        match fs::remove_file(&partial) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(&partial, error.to_string())),
            _ => create_private(&partial)?,
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let opened = Connection::open_with_flags(&partial, flags).and_then(|connection| {
            // Synced once, at the end. Nobody else sees the file before that.
            connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
            connection.pragma_update(None, "synchronous", "OFF")?;
            Ok(connection)
        });
        let connection = opened.map_err(|error| explain(&partial, &error))?;
        Ok(Self { path: path.to_owned(), partial, connection, complete: false })
    }

    /// Begins to copy from `source`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn copy_from<'a>(&'a mut self, source: &'a Connection) -> Result<Copying<'a>, StoreError> {
        let path = self.partial.clone();
        match Backup::new(source, &mut self.connection) {
            Ok(backup) => Ok(Copying { backup, path }),
            Err(error) => Err(explain(&path, &error)),
        }
    }

    /// Has the copy, once it is whole, on the disk under its name. Answers its bytes.
    ///
    /// # Errors
    /// The disk fails.
    pub(crate) fn finish(mut self) -> Result<u64, StoreError> {
        let path = self.path.clone();
        let failed = |error: io::Error| StoreError::Io { path: path.clone(), detail: error.to_string() };
        let file = File::open(&self.partial).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        fs::rename(&self.partial, &self.path).map_err(failed)?;
        self.complete = true;
        let directory = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(directory.unwrap_or(Path::new("."))).and_then(|directory| directory.sync_all()).map_err(failed)?;
        file.metadata().map(|metadata| metadata.len()).map_err(failed)
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if !self.complete {
            // Where even that fails, the next backup of that name removes it.
            let _ = fs::remove_file(&self.partial);
        }
    }
}

/// A copy under way.
pub(crate) struct Copying<'a> {
    backup: Backup<'a, 'a>,
    path: PathBuf,
}

impl Copying<'_> {
    /// Copies some more pages; `true` when the copy is whole.
    ///
    /// # Errors
    /// The source cannot be read, or the copy not be written.
    pub(crate) fn step(&self) -> Result<bool, StoreError> {
        match self.backup.step(PAGES).map_err(|error| explain(&self.path, &error))? {
            StepResult::Done => Ok(true),
            StepResult::More => Ok(false),
            _ => Err(StoreError::Locked { path: self.path.clone() }),
        }
    }
}
