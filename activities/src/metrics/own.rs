//! The process itself, under the names that every Prometheus client library uses, and the disk under its data directory.
//! What cannot be read is left out: a page without it is worth more than none.

use std::path::Path;

use procfs::process::Process;

use super::text::{Family, Kind, Page};

/// Adds what `/proc/self` says now, and how full the file system of `data_dir` is.
pub(super) fn write(page: &mut Page, namespace: &str, data_dir: Option<&Path>) {
    if let Ok(process) = Process::myself() {
        write_process(page, &process);
    }
    if let Some(disk) = data_dir.and_then(|path| rustix::fs::statvfs(path).ok()) {
        let gauges = [
            ("data_directory_size_bytes", "Size of the data directory's file system.", disk.f_blocks),
            ("data_directory_free_bytes", "Room that is left on the data directory's file system.", disk.f_bavail),
        ];
        for (name, help, blocks) in gauges {
            let mut family = Family::begin(page, &format!("{namespace}_{name}"), Kind::Gauge, help);
            family.integer(&[], blocks.saturating_mul(disk.f_frsize));
        }
    }
}

fn write_process(page: &mut Page, process: &Process) {
    let mut gauge = |name: &str, help: &str, value: u64| {
        Family::begin(page, &format!("process_{name}"), Kind::Gauge, help).integer(&[], value);
    };
    if let Ok(open) = process.fd_count() {
        gauge("open_fds", "Number of open file descriptors.", open as u64);
    }
    if let Ok(limits) = process.limits()
        && let procfs::process::LimitValue::Value(most) = limits.max_open_files.soft_limit
    {
        gauge("max_fds", "Maximum number of open file descriptors.", most);
    }
    let Ok(stat) = process.stat() else { return };
    gauge("resident_memory_bytes", "Resident memory size in bytes.", stat.rss.saturating_mul(procfs::page_size()));
    gauge("virtual_memory_bytes", "Virtual memory size in bytes.", stat.vsize);
    gauge("threads", "Number of OS threads in the process.", stat.num_threads.unsigned_abs());
    let ticks = procfs::ticks_per_second() as f64;
    let used = (stat.utime + stat.stime) as f64 / ticks;
    let help = "Total user and system CPU time spent in seconds.";
    Family::begin(page, "process_cpu_seconds_total", Kind::Counter, help).float(&[], used);
    if let Ok(boot) = procfs::boot_time_secs() {
        let help = "Start time of the process since unix epoch in seconds.";
        let started = boot as f64 + stat.starttime as f64 / ticks;
        Family::begin(page, "process_start_time_seconds", Kind::Gauge, help).float(&[], started);
    }
}
