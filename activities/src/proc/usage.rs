//! What a service uses, from two samples of its processes. Pure; time is an argument.
//!
//! A service's processes come and go between two samples. One that is there both times adds what it used in between; one
//! that was started since the first sample adds all that it has used; one that was already running but was not in the first
//! sample (it was moved into the group, or numbered anew) adds nothing, for what it used before is not the service's; one
//! that has ended adds nothing more. So no number is ever negative, and totals never fall.

use std::time::Duration;

use super::sample::{IoCounters, ProcessSample};

/// Shortest window that tells anything. The kernel counts CPU time in ticks, of which there are mostly 100 a second: over a few
/// milliseconds, one tick more of each process looks like several cores.
const MIN_WINDOW: Duration = Duration::from_millis(50);

/// A moment, on the two clocks that matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Monotonic time, from any origin.
    pub at: Duration,
    /// Time since boot in clock ticks, as in a process's start time.
    pub boot_ticks: u64,
}

/// What a service used between two samples, and holds now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Usage {
    /// Time between the samples.
    pub window: Duration,
    /// CPU time used within the window, in seconds.
    pub cpu_seconds: f64,
    /// CPU use over the window; 100 is one core busy.
    pub cpu_percent: f64,
    /// Resident memory now, summed over the processes (shared pages count in each).
    pub memory_bytes: u64,
    /// Disk traffic within the window; absent when it may not be read of any process.
    pub io: Option<IoCounters>,
}

/// Samples of one service, from which its use is told.
#[derive(Debug, Default)]
pub struct Meter {
    last: Option<(Moment, Vec<ProcessSample>)>,
}

impl Meter {
    /// Whether the next sample is the first: it begins a window, and a second one has to follow soon.
    pub fn is_new(&self) -> bool {
        self.last.is_none()
    }

    /// Begins anew: the next sample is the first.
    pub fn reset(&mut self) {
        self.last = None;
    }

    /// Takes the next sample, sorted by process number. Tells the use since the one before, if there is one and it is long
    /// enough ago; one that comes too soon is left out, and the window goes on.
    pub fn fold(&mut self, now: Moment, samples: Vec<ProcessSample>, ticks_per_second: u64) -> Option<Usage> {
        let usage = match &self.last {
            Some((then, before)) if now.at >= then.at + MIN_WINDOW => {
                Some(usage(*then, before, now, &samples, ticks_per_second))
            }
            Some(_) => return None,
            None => None,
        };
        self.last = Some((now, samples));
        usage
    }
}

fn usage(then: Moment, before: &[ProcessSample], now: Moment, after: &[ProcessSample], ticks_per_second: u64) -> Usage {
    let window = now.at.saturating_sub(then.at);
    let mut ticks = 0u64;
    let mut memory_bytes = 0u64;
    let mut io = IoCounters::default();
    let mut io_known = after.is_empty();
    for sample in after {
        memory_bytes = memory_bytes.saturating_add(sample.rss_bytes);
        let base = base(then, before, sample);
        ticks = ticks.saturating_add(sample.cpu_ticks.saturating_sub(base.cpu_ticks));
        if let Some(counters) = sample.io {
            io_known = true;
            // Unreadable until now: what it did before is not known, so this window begins here.
            let from = base.io.unwrap_or(counters);
            io.read_bytes = io.read_bytes.saturating_add(counters.read_bytes.saturating_sub(from.read_bytes));
            io.written_bytes =
                io.written_bytes.saturating_add(counters.written_bytes.saturating_sub(from.written_bytes));
        }
    }
    let cpu_seconds = ticks as f64 / ticks_per_second.max(1) as f64;
    Usage {
        window,
        cpu_seconds,
        cpu_percent: 100.0 * cpu_seconds / window.as_secs_f64(),
        memory_bytes,
        io: io_known.then_some(io),
    }
}

/// What a process had used when the window began.
fn base(then: Moment, before: &[ProcessSample], now: &ProcessSample) -> ProcessSample {
    let known = before.binary_search_by_key(&now.pid, |sample| sample.pid).ok().map(|index| before[index]);
    match known {
        Some(sample) if sample.start_ticks == now.start_ticks => sample,
        _ if now.start_ticks >= then.boot_ticks => {
            ProcessSample { cpu_ticks: 0, io: Some(IoCounters::default()), ..*now }
        }
        _ => *now,
    }
}

impl Usage {
    /// Bytes a second from and to disks; absent when that is not known.
    #[must_use]
    pub fn disk_rates(&self) -> Option<(f64, f64)> {
        let seconds = self.window.as_secs_f64();
        self.io.map(|io| (io.read_bytes as f64 / seconds, io.written_bytes as f64 / seconds))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::float_cmp)]

    use proptest::prelude::*;

    use super::*;

    const TICKS: u64 = 100;

    fn moment(milliseconds: u64) -> Moment {
        Moment { at: Duration::from_millis(milliseconds), boot_ticks: milliseconds / 10 }
    }

    fn process(pid: u32, start_ticks: u64, cpu_ticks: u64, disk: u64) -> ProcessSample {
        let io = Some(IoCounters { read_bytes: disk, written_bytes: 2 * disk });
        ProcessSample { pid, start_ticks, cpu_ticks, rss_bytes: 1000, io }
    }

    fn fold_two(first: Vec<ProcessSample>, second: Vec<ProcessSample>) -> Usage {
        let mut meter = Meter::default();
        assert!(meter.is_new());
        assert_eq!(meter.fold(moment(1_000), first, TICKS), None);
        meter.fold(moment(2_000), second, TICKS).unwrap()
    }

    #[test]
    fn one_busy_core_is_a_hundred_percent() {
        let usage = fold_two(vec![process(1, 1, 500, 0)], vec![process(1, 1, 600, 4096)]);
        assert_eq!(usage.cpu_percent, 100.0);
        assert_eq!(usage.cpu_seconds, 1.0);
        assert_eq!(usage.memory_bytes, 1000);
        assert_eq!(usage.disk_rates(), Some((4096.0, 8192.0)));
    }

    #[test]
    fn all_processes_count() {
        let usage = fold_two(
            vec![process(1, 1, 0, 0), process(2, 1, 0, 0)],
            vec![process(1, 1, 50, 10), process(2, 1, 70, 20)],
        );
        assert_eq!(usage.cpu_percent, 120.0);
        assert_eq!(usage.memory_bytes, 2000);
        assert_eq!(usage.io, Some(IoCounters { read_bytes: 30, written_bytes: 60 }));
    }

    #[test]
    fn a_process_counts_from_when_it_became_the_services() {
        // Started within the window: all of it. Running before and only now in the group: nothing. Same number, other
        // process: as if new.
        let started = fold_two(vec![], vec![process(5, 150, 30, 0)]);
        assert_eq!(started.cpu_seconds, 0.3);
        let moved = fold_two(vec![], vec![process(5, 50, 3_000, 9_000)]);
        assert_eq!((moved.cpu_seconds, moved.io), (0.0, Some(IoCounters::default())));
        let reused = fold_two(vec![process(5, 1, 9_000, 9_000)], vec![process(5, 150, 10, 1)]);
        assert_eq!((reused.cpu_seconds, reused.io.unwrap().read_bytes), (0.1, 1));
    }

    #[test]
    fn disk_traffic_that_may_not_be_read_is_absent() {
        let hidden = |sample: ProcessSample| ProcessSample { io: None, ..sample };
        let usage = fold_two(vec![hidden(process(1, 1, 0, 0))], vec![hidden(process(1, 1, 10, 0))]);
        assert_eq!(usage.disk_rates(), None);
        assert_eq!(usage.cpu_percent, 10.0);
        let appears = fold_two(vec![hidden(process(1, 1, 0, 0))], vec![process(1, 1, 10, 5_000)]);
        assert_eq!(appears.io, Some(IoCounters::default()));
    }

    #[test]
    fn a_window_of_no_length_or_nearly_none_goes_on() {
        let mut meter = Meter::default();
        meter.fold(moment(1_000), vec![process(1, 1, 0, 0)], TICKS);
        assert_eq!(meter.fold(moment(1_000), vec![process(1, 1, 9, 0)], TICKS), None);
        // One tick, as it may fall between two looks that are 2 ms apart, is not five cores.
        assert_eq!(meter.fold(moment(1_002), vec![process(1, 1, 10, 0)], TICKS), None);
        let usage = meter.fold(moment(1_100), vec![process(1, 1, 10, 0)], TICKS).unwrap();
        assert_eq!(usage.cpu_percent, 100.0);
    }

    fn processes() -> impl Strategy<Value = Vec<ProcessSample>> {
        prop::collection::btree_map(0u32..20, (0u64..300, any::<u64>(), any::<u64>(), any::<bool>()), 0..10).prop_map(
            |map| {
                map.into_iter()
                    .map(|(pid, (start_ticks, cpu_ticks, disk, readable))| ProcessSample {
                        pid,
                        start_ticks,
                        cpu_ticks,
                        rss_bytes: disk,
                        io: readable.then_some(IoCounters { read_bytes: disk, written_bytes: cpu_ticks }),
                    })
                    .collect()
            },
        )
    }

    proptest! {
        #[test]
        fn never_negative_whatever_comes_and_goes(first in processes(), second in processes()) {
            let usage = fold_two(first, second);
            prop_assert!(usage.cpu_percent >= 0.0 && usage.cpu_percent.is_finite());
            prop_assert!(usage.cpu_seconds >= 0.0);
        }
    }
}
