//! For benches: what a process has cost so far, from `/proc`, and what to make of many measurements.

use std::fs;
use std::time::{Duration, Instant};

/// Ticks of `/proc/<pid>/stat` in a second: `USER_HZ`, 100 on every Linux that Rust knows (proc(5)).
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU time and memory of a process at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    at: Instant,
    /// CPU time so far, of all threads, in user and kernel mode.
    pub cpu: Duration,
    /// Resident memory in bytes.
    pub resident: u64,
    /// The part of it that is its own, and not a mapped file.
    pub anonymous: u64,
    /// The most that was ever resident.
    pub peak: u64,
}

impl Usage {
    /// Looks at a process, all of its threads included.
    ///
    /// # Panics
    /// When it does not run.
    #[must_use]
    pub fn of(pid: u32) -> Self {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process runs");
        let (_, after_name) = stat.rsplit_once(')').expect("a name in parentheses");
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        let ticks = |index: usize| fields[index].parse::<f64>().expect("a number of ticks");
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
        Self {
            at: Instant::now(),
            // utime and stime, the 14th and 15th fields; the first after the name is the third.
            cpu: Duration::from_secs_f64((ticks(11) + ticks(12)) / TICKS_PER_SECOND),
            resident: bytes_of(&status, "VmRSS:"),
            anonymous: bytes_of(&status, "RssAnon:"),
            peak: bytes_of(&status, "VmHWM:"),
        }
    }

    /// Share of one core used since an earlier look; 1 is one core busy.
    #[must_use]
    pub fn share_since(&self, earlier: &Self) -> f64 {
        self.cpu.saturating_sub(earlier.cpu).as_secs_f64() / self.at.duration_since(earlier.at).as_secs_f64()
    }
}

/// The time that this share of `times` did not exceed, by nearest rank; zero when there are none.
#[must_use]
pub fn quantile(times: &[Duration], share: f64) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank within the list")]
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

/// A line of `/proc/<pid>/status`, which counts in KiB.
fn bytes_of(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a process with memory");
    let kibibytes = line.split_whitespace().next().and_then(|number| number.parse::<u64>().ok());
    kibibytes.expect("a number of KiB") * 1024
}
