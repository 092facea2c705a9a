//! Output of the services: files that the processes write themselves, kept small by rotation.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::Shared;
use super::record::file_stem;

/// Size above which a log file is moved aside, in bytes.
pub const MAX_LOG: u64 = 10 << 20;

/// Size of the tail that is given, in bytes.
pub const TAIL: u64 = 64 << 10;

/// Time between two looks at the sizes.
const ROTATE_EVERY: Duration = Duration::from_secs(5);

/// The log directory.
#[derive(Debug, Clone)]
pub(super) struct Logs {
    directory: PathBuf,
}

impl Logs {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// A unit's log, for a process to append to. Output may hold secrets, so others may not read it.
    ///
    /// It is locked (flock(2)), unless something of an older run holds it still: the lock goes with the open file to the
    /// process, from its `fork` on, and is free when nobody has that file open any more.
    pub(super) fn open(&self, unit: &str) -> io::Result<File> {
        let log = OpenOptions::new().create(true).append(true).mode(0o640).open(self.path(unit))?;
        let _ = log.try_lock();
        Ok(log)
    }

    /// Whether a process has a unit's log open for writing, as [`Logs::open`] gave it.
    pub(super) fn is_locked(&self, unit: &str) -> bool {
        let log = File::open(self.path(unit));
        log.is_ok_and(|log| matches!(log.try_lock(), Err(TryLockError::WouldBlock)))
    }

    /// The last [`TAIL`] bytes, through the file before this one if this one is young.
    pub(super) fn tail(&self, unit: &str) -> io::Result<String> {
        let current = read_end(&self.path(unit), TAIL)?;
        let missing = TAIL - current.len() as u64;
        let mut tail = if missing > 0 { read_end(&self.old_path(unit), missing)? } else { Vec::new() };
        tail.extend_from_slice(&current);
        Ok(String::from_utf8_lossy(&tail).into_owned())
    }

    /// Moves a log that has grown too large aside. The process goes on with the same file, which is why its content is copied
    /// and then cut off: it appends, so it goes on at the beginning. What it writes between the two is lost.
    pub(super) fn rotate(&self, unit: &str) -> io::Result<bool> {
        let path = self.path(unit);
        let size = match fs::metadata(&path) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        if size <= MAX_LOG {
            return Ok(false);
        }
        let mut log = OpenOptions::new().read(true).write(true).open(&path)?;
        // Of a process that wrote a gigabyte since the last look, only the end is kept: the bound on disk space holds.
        log.seek(SeekFrom::Start(size.saturating_sub(MAX_LOG)))?;
        let temporary = path.with_extension("log.new");
        let mut old = OpenOptions::new().create(true).write(true).truncate(true).mode(0o640).open(&temporary)?;
        io::copy(&mut (&log).take(MAX_LOG), &mut old)?;
        log.set_len(0)?;
        fs::rename(&temporary, self.old_path(unit))?;
        Ok(true)
    }

    fn path(&self, unit: &str) -> PathBuf {
        self.directory.join(format!("{}.log", file_stem(unit)))
    }

    fn old_path(&self, unit: &str) -> PathBuf {
        self.directory.join(format!("{}.log.1", file_stem(unit)))
    }
}

/// The last `limit` bytes of a file; nothing of one that is not there.
fn read_end(path: &std::path::Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut end = Vec::new();
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(end),
        Err(error) => return Err(error),
    };
    let size = file.metadata()?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(limit)))?;
    file.take(limit).read_to_end(&mut end)?;
    Ok(end)
}

/// Looks after the sizes of all logs, for as long as the manager is there.
pub(super) fn rotate_for_ever(shared: &Arc<Shared>) {
    let shared = Arc::downgrade(shared);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(ROTATE_EVERY).await;
            let shared = Weak::clone(&shared);
            let round = tokio::task::spawn_blocking(move || shared.upgrade().map(|shared| rotate_all(&shared)));
            if !matches!(round.await, Ok(Some(()))) {
                return;
            }
        }
    });
}

fn rotate_all(shared: &Shared) {
    let units: Vec<_> = shared.units().values().filter(|unit| unit.run().is_some()).cloned().collect();
    for unit in units {
        if let Err(error) = shared.logs.rotate(unit.name()) {
            tracing::warn!(unit = unit.name(), %error, "cannot rotate a log file: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_large_log_is_moved_aside_under_its_writer() {
        let directory = tempfile::tempdir().unwrap();
        let logs = Logs::new(directory.path().to_owned());
        assert!(!logs.rotate("a").unwrap());
        // Stands for the process: it keeps this descriptor for life.
        let mut writer = logs.open("a").unwrap();
        writer.write_all(b"first").unwrap();
        assert!(!logs.rotate("a").unwrap());
        writer.write_all(&vec![b'x'; usize::try_from(MAX_LOG).unwrap()]).unwrap();
        writer.write_all(b"last").unwrap();
        assert!(logs.rotate("a").unwrap());
        writer.write_all(b"after").unwrap();

        assert_eq!(fs::read(logs.path("a")).unwrap(), b"after");
        let old = fs::read(logs.old_path("a")).unwrap();
        assert_eq!(old.len() as u64, MAX_LOG);
        assert!(old.ends_with(b"xlast"));
        let tail = logs.tail("a").unwrap();
        assert_eq!(tail.len() as u64, TAIL);
        assert!(tail.ends_with("xlastafter"));
        assert_eq!(logs.tail("no such unit").unwrap(), "");

        assert!(logs.is_locked("a") && !logs.is_locked("no such unit"));
        drop(writer);
        assert!(!logs.is_locked("a"));
    }
}
