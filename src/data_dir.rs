//! The directories that dixmgr writes to, and the lock that keeps a second dixmgr out of them.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, FlockOperation, access, flock};

use crate::error::RunError;

/// Where state is kept on a machine that lets us.
const SYSTEM: &str = "/var/lib/dixmgr";
/// Where it is kept otherwise.
const LOCAL: &str = "./dixmgr-data";
/// Name of the lock in the data directory.
const LOCK: &str = "dixmgr.lock";

/// The data directory, ours alone for as long as this value lives.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    /// Holds the lock; the kernel lets go of it however the process ends.
    _lock: File,
}

impl DataDir {
    /// Takes the directory that was asked for, or the first of the default ones that can be written.
    ///
    /// # Errors
    /// It cannot be written, or another dixmgr has it.
    pub(crate) fn open(wanted: Option<&Path>) -> Result<Self, RunError> {
        let path = match wanted {
            Some(path) => path.to_owned(),
            None => first_writable([Path::new(SYSTEM), Path::new(LOCAL)]),
        };
        make(&path, "-data-dir")?;
        let lock = lock(&path)?;
        Ok(Self { path, _lock: lock })
    }

    /// Where the data directory is, without making or taking it: the one asked for, or the first of the default ones that is there.
    pub(crate) fn existing(wanted: Option<&Path>) -> PathBuf {
        let default = || if Path::new(SYSTEM).is_dir() { SYSTEM } else { LOCAL };
        wanted.map_or_else(|| PathBuf::from(default()), Path::to_owned)
    }

    /// Its path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A directory for direct mode: the one asked for, else `system` where that can be written, else one in here.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn process_dir(
        &self,
        wanted: Option<&Path>,
        system: &str,
        inside: &str,
        flag: &'static str,
    ) -> Result<PathBuf, RunError> {
        let path = match wanted {
            Some(path) => path.to_owned(),
            None => first_writable([Path::new(system), &self.path.join(inside)]),
        };
        make(&path, flag)?;
        Ok(path)
    }
}

fn first_writable(candidates: [&Path; 2]) -> PathBuf {
    let [preferred, fallback] = candidates;
    let usable = fs::create_dir_all(preferred).is_ok() && access(preferred, Access::WRITE_OK | Access::EXEC_OK).is_ok();
    if usable { preferred } else { fallback }.to_owned()
}

fn make(path: &Path, flag: &'static str) -> Result<(), RunError> {
    let unusable = |detail| RunError::Directory { directory: path.to_owned(), flag, detail };
    fs::create_dir_all(path).map_err(unusable)?;
    access(path, Access::WRITE_OK | Access::EXEC_OK).map_err(|errno| unusable(errno.into()))
}

fn lock(directory: &Path) -> Result<File, RunError> {
    let unusable = |detail| RunError::Directory { directory: directory.to_owned(), flag: "-data-dir", detail };
    let path = directory.join(LOCK);
    let mut file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(unusable)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            return Err(RunError::Locked { directory: directory.to_owned(), holder: holder(&mut file) });
        }
        Err(errno) => return Err(unusable(errno.into())),
    }
    let write = |file: &mut File| {
        file.set_len(0)?;
        file.seek(SeekFrom::Start(0))?;
        writeln!(file, "{}", std::process::id())
    };
    write(&mut file).map_err(unusable)?;
    Ok(file)
}

/// Who wrote the lock file last; it is only for the message, so that a garbled file says `unknown`.
fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.take(32).read_to_string(&mut text);
    match (read, text.trim().parse::<u32>()) {
        (Ok(_), Ok(pid)) => pid.to_string(),
        _ => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_second_one_is_refused_and_told_who_has_it() {
        let directory = tempfile::tempdir().unwrap();
        let first = DataDir::open(Some(directory.path())).unwrap();
        let error = DataDir::open(Some(directory.path())).unwrap_err().to_string();
        assert!(error.contains(&std::process::id().to_string()), "{error}");
        assert!(error.contains(&directory.path().display().to_string()), "{error}");
        drop(first);
        assert!(DataDir::open(Some(directory.path())).is_ok());
    }

    #[test]
    fn a_directory_that_cannot_be_made_names_its_flag() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "").unwrap();
        let error = DataDir::open(Some(&file.join("data"))).unwrap_err().to_string();
        assert!(error.contains("-data-dir"), "{error}");
        let data = DataDir::open(Some(directory.path())).unwrap();
        let error = data.process_dir(Some(&file), "/proc/none", "log", "-process-log-dir").unwrap_err().to_string();
        assert!(error.contains("-process-log-dir"), "{error}");
        let inside = data.process_dir(None, "/proc/none", "log", "-process-log-dir").unwrap();
        assert_eq!(inside, directory.path().join("log"));
    }
}
