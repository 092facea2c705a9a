//! How full the data directory's file system is, and was: one number an hour, in a file there that outlives dixmgr.
//!
//! It stands by itself, and not in the health history, so that it is known where none is kept. A file that cannot be written
//! (the disk is full) or read (somebody was at it) costs the forecast its memory and nothing else.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use dixmgr_alerting::backtest::PastLook;
use dixmgr_alerting::baseline::HOUR;
use dixmgr_alerting::disk::{DiskPast, free_percent};
use dixmgr_alerting::forecast::Course;
use dixmgr_model::Signal;
use serde::{Deserialize, Serialize};

/// Name of the file in the data directory.
const FILE: &str = "disk.json";
/// A file of ours is smaller.
const MAX_BYTES: u64 = 64 << 10;

/// Hours, in milliseconds, that may be missing before the time between two counts as not seen.
const LONGEST_GAP: u64 = 3 * HOUR;

/// The file system under the data directory. Cheap to clone; by default there is none.
#[derive(Debug, Clone, Default)]
pub struct Disk {
    inner: Option<Arc<Inner>>,
}

#[derive(Debug)]
struct Inner {
    directory: PathBuf,
    past: Mutex<DiskPast>,
}

/// Room on a file system, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    /// What is not free for us.
    pub(crate) used: u64,
    /// All but what is the system's own.
    pub(crate) size: u64,
}

/// What is in the file.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    /// Milliseconds since the epoch, and bytes that were used.
    used: Vec<(u64, u64)>,
}

impl Disk {
    /// The file system of a directory, with what is remembered of it there at `now`.
    #[must_use]
    pub fn of(directory: &Path, now: u64) -> Self {
        let kept = read(&directory.join(FILE)).unwrap_or_else(|error| {
            if error.kind() != io::ErrorKind::NotFound {
                tracing::warn!(%error, "how full the disk was is not known any more: {FILE} cannot be read: {error}");
            }
            Kept { used: Vec::new() }
        });
        let past = Mutex::new(DiskPast::restored(&kept.used, now));
        Self { inner: Some(Arc::new(Inner { directory: directory.to_owned(), past })) }
    }

    /// The room that there is now.
    pub(crate) fn room(&self) -> Option<Room> {
        Room::of(&self.inner.as_ref()?.directory)
    }

    /// Notes the room that there is at `now`, which is kept once an hour. Hours until it is full, if enough is known.
    pub(crate) fn look(&self, room: Room, now: u64) -> Option<f64> {
        let inner = self.inner.as_ref()?;
        let mut past = inner.past.lock().unwrap_or_else(PoisonError::into_inner);
        if past.note(now, room.used) {
            let (kept, inner) = (Kept { used: past.kept() }, Arc::clone(inner));
            tokio::task::spawn_blocking(move || {
                if let Err(error) = write(&inner.directory.join(FILE), &kept) {
                    tracing::debug!(%error, "how full the disk is could not be kept");
                }
            });
        }
        past.hours_left(room.used, room.size)
    }

    /// What rules about the disk would have seen, at the end of each hour that is remembered.
    #[must_use]
    pub fn looks(&self) -> Vec<PastLook> {
        let (Some(inner), Some(room)) = (&self.inner, self.room()) else { return Vec::new() };
        let past = inner.past.lock().unwrap_or_else(PoisonError::into_inner);
        let look = |at, signal, value| PastLook { at, signal, value, longest_gap: LONGEST_GAP };
        let looks = past
            .told(room.size)
            .map(|(at, left, free)| [look(at, Signal::DiskForecast, left), look(at, Signal::DiskFree, Some(free))]);
        looks.flatten().collect()
    }

    /// How it filled, and where that leads; nothing while too little is known.
    #[must_use]
    pub fn course(&self) -> Option<Course> {
        let (inner, room) = (self.inner.as_ref()?, self.room()?);
        inner.past.lock().unwrap_or_else(PoisonError::into_inner).course(room.size)
    }
}

impl Room {
    /// Of the file system that has this path.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let disk = rustix::fs::statvfs(path).ok()?;
        let used = disk.f_blocks.saturating_sub(disk.f_bfree);
        let usable = used.saturating_add(disk.f_bavail);
        let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
        (usable > 0).then(|| Self { used: bytes(used), size: bytes(usable) })
    }

    /// What is free, in percent.
    pub(crate) fn free_percent(self) -> f64 {
        free_percent(self.used as f64, self.size as f64)
    }
}

fn read(path: &Path) -> io::Result<Kept> {
    if fs::metadata(path)?.len() > MAX_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is not ours"));
    }
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}

/// Replaces the file whole.
fn write(path: &Path, kept: &Kept) -> io::Result<()> {
    let new = path.with_extension("json.new");
    let mut file = File::create(&new)?;
    file.write_all(&serde_json::to_vec(kept)?)?;
    file.sync_all()?;
    fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn what_was_seen_outlives_the_process() {
        let directory = tempfile::tempdir().unwrap();
        let now = 500_000 * HOUR;
        let disk = Disk::of(directory.path(), now);
        assert_eq!((disk.look(disk.room().unwrap(), now), disk.course()), (None, None), "too little is known");
        let file = directory.path().join(FILE);
        while read(&file).is_err() {
            tokio::task::yield_now().await;
        }
        let used = Room::of(directory.path()).unwrap().size / 10;
        let used = (0..60).map(|hour| (now - (60 - hour) * HOUR, used / 10 * hour)).collect();
        write(&file, &Kept { used }).unwrap();
        let course = Disk::of(directory.path(), now).course().unwrap();
        assert_eq!(course.points.len(), 60);
        assert!(course.line.slope > 0.0, "{course:?}");
    }

    #[test]
    fn a_file_that_is_not_ours_is_no_trouble() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(FILE), "{").unwrap();
        assert_eq!(Disk::of(directory.path(), 0).course(), None);
        fs::write(directory.path().join(FILE), vec![b' '; 65 << 10]).unwrap();
        assert_eq!(Disk::of(directory.path(), 0).course(), None);
        assert_eq!(Disk::default().course(), None);
    }
}
