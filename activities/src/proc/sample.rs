//! What processes have used up to now, read from `/proc`.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};

use super::parse;
pub use super::parse::IoCounters;

/// Longest `stat` or `io` file: 52 numbers, or seven lines; a quarter of this is usual.
const MAX_FILE: usize = 4096;

/// Set once it was said that `/proc/PID/io` may not be read.
static SAID_IO_UNREADABLE: AtomicBool = AtomicBool::new(false);

/// One process at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessSample {
    /// Its number. Together with `start_ticks` it names the process: numbers are used again.
    pub pid: u32,
    /// When it started, in clock ticks since boot.
    pub start_ticks: u64,
    /// CPU time that it has used, in clock ticks.
    pub cpu_ticks: u64,
    /// Resident memory, in bytes.
    pub rss_bytes: u64,
    /// Disk traffic; absent when it may not be read (`/proc/PID/io` wants the same user or `CAP_SYS_PTRACE`).
    pub io: Option<IoCounters>,
}

/// Reads processes. Keeps its buffers, so that a process costs no allocation.
#[derive(Debug)]
pub struct Sampler {
    path: String,
    buffer: Vec<u8>,
    page_size: u64,
}

impl Default for Sampler {
    fn default() -> Self {
        Self { path: String::with_capacity(32), buffer: vec![0; MAX_FILE], page_size: procfs::page_size() }
    }
}

impl Sampler {
    /// Reads the processes that still live, in ascending order of their numbers.
    pub fn sample(&mut self, pids: &[u32]) -> Vec<ProcessSample> {
        let mut living: Vec<ProcessSample> = pids.iter().filter_map(|pid| self.process(*pid)).collect();
        living.sort_unstable_by_key(|process| process.pid);
        living.dedup_by_key(|process| process.pid);
        living
    }

    /// Reads one process; nothing when it has ended.
    fn process(&mut self, pid: u32) -> Option<ProcessSample> {
        let length = self.read(pid, "stat").ok()?;
        let stat = parse::stat(&self.buffer[..length])?;
        let io = match self.read(pid, "io") {
            Ok(length) => parse::io(&self.buffer[..length]),
            Err(error) => {
                say_once(&error);
                None
            }
        };
        Some(ProcessSample {
            pid,
            start_ticks: stat.start_ticks,
            cpu_ticks: stat.cpu_ticks,
            rss_bytes: stat.rss_pages.saturating_mul(self.page_size),
            io,
        })
    }

    /// Reads a file of a process into the buffer, and answers its length.
    fn read(&mut self, pid: u32, name: &str) -> io::Result<usize> {
        self.path.clear();
        // Writing to a String does not fail.
        let _ = write!(self.path, "/proc/{pid}/{name}");
        let mut file = File::open(&self.path)?;
        let mut length = 0;
        // The kernel hands these files out in one piece, and an empty read ends them.
        while length < self.buffer.len() {
            match file.read(&mut self.buffer[length..])? {
                0 => break,
                more => length += more,
            }
        }
        Ok(length)
    }
}

fn say_once(error: &io::Error) {
    if error.kind() == io::ErrorKind::PermissionDenied && !SAID_IO_UNREADABLE.swap(true, Ordering::Relaxed) {
        tracing::warn!("disk traffic of some services is not known: /proc/PID/io wants root or CAP_SYS_PTRACE");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn living_processes_are_read_and_dead_ones_left_out() {
        let mut child = Command::new("sleep").arg("60").stdin(Stdio::null()).spawn().unwrap();
        let (own, other) = (std::process::id(), child.id());
        let mut sampler = Sampler::default();
        let read = sampler.sample(&[other, own, own, u32::MAX]);
        assert_eq!(read.len(), 2);
        assert!(read[0].pid < read[1].pid);
        assert!(read.iter().all(|process| process.start_ticks > 0 && process.io.is_some()), "{read:?}");
        // The child may be between fork and exec, when it has no memory of its own.
        assert!(read.iter().any(|process| process.pid == own && process.rss_bytes > 0), "{read:?}");
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(sampler.sample(&[other]), []);
    }

    #[test]
    fn work_shows_as_cpu_time() {
        let mut sampler = Sampler::default();
        let own = [std::process::id()];
        let before = sampler.sample(&own)[0];
        let mut sum = 0u64;
        while sampler.sample(&own)[0].cpu_ticks < before.cpu_ticks + 3 {
            sum = std::hint::black_box((0..100_000u64).fold(sum, u64::wrapping_add));
        }
        assert_eq!(sampler.sample(&own)[0].start_ticks, before.start_ticks);
    }
}
