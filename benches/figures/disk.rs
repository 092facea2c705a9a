//! The disk itself, which every commit waits for: without it nobody can tell a slow dixmgr from a slow disk.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::thread;
use std::time::{Duration, Instant};

/// Writes, and the pause between two.
const WRITES: u32 = 1_000;
const PAUSE: Duration = Duration::from_millis(5);

/// A page of a database's log, and pages until the file is written from its beginning again.
const PAGE: [u8; 4096] = [1; 4096];
const PAGES: u32 = 256;

/// How long each write of a page took until it was on the disk under the daemons' data directories.
pub(crate) fn syncs() -> Vec<Duration> {
    let directory = tempfile::tempdir().expect("a directory");
    let file = File::create(directory.path().join("log")).expect("a file");
    let write = |index: u32| {
        let began = Instant::now();
        file.write_all_at(&PAGE, u64::from(index % PAGES) * PAGE.len() as u64).expect("room for a page");
        file.sync_data().expect("a sync");
        let took = began.elapsed();
        thread::sleep(PAUSE);
        took
    };
    // At first the file grows, which costs more.
    (0..PAGES + WRITES).map(write).skip(PAGES as usize).collect()
}
