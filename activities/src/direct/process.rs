//! Processes and process groups, as `/proc` shows them.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::io::{self, Read as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

/// How old the table of process groups may be when resources are sampled: one reading serves all units of a tick.
const FRESH: Duration = Duration::from_millis(250);

/// Most that is read of a process's environment, in bytes. The kernel's own limit is a quarter of the stack, 2 MiB as a rule.
const MAX_ENVIRONMENT: u64 = 4 << 20;

/// A process: its number, and its start, because numbers are used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    pub(super) pid: u32,
    /// Start time in clock ticks since boot, field 22 of `/proc/PID/stat`.
    pub(super) start_ticks: u64,
}

/// Processes by process group.
type Groups = HashMap<u32, Vec<u32>>;

/// What is wanted of `/proc/PID/stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    state: char,
    group: u32,
    start_ticks: u64,
}

impl Identity {
    /// The process that has this number now; a zombie is one too.
    pub(super) fn of(pid: u32) -> io::Result<Self> {
        Ok(Self { pid, start_ticks: stat(pid)?.start_ticks })
    }

    /// Whether that very process still runs.
    pub(super) fn is_alive(self) -> bool {
        stat(self.pid).is_ok_and(|stat| stat.start_ticks == self.start_ticks && stat.is_running())
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.pid, self.start_ticks)
    }
}

impl Stat {
    fn is_running(self) -> bool {
        !matches!(self.state, 'Z' | 'X')
    }
}

fn stat(pid: u32) -> io::Result<Stat> {
    let text = fs::read(format!("/proc/{pid}/stat"))?;
    parse_stat(&text)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("/proc/{pid}/stat is not as proc(5) has it")))
}

/// The name, field 2, may hold anything, parentheses and spaces included; what follows begins after the last `)`.
fn parse_stat(text: &[u8]) -> Option<Stat> {
    let end_of_name = text.iter().rposition(|byte| *byte == b')')?;
    let mut fields = std::str::from_utf8(&text[end_of_name + 1..]).ok()?.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    // Field 5, after state and parent; then field 22.
    let group = fields.nth(1)?.parse().ok()?;
    let start_ticks = fields.nth(16)?.parse().ok()?;
    Some(Stat { state, group, start_ticks })
}

/// All processes that run, by process group. Those that end while it is read are left out.
fn groups() -> Groups {
    let mut groups = Groups::new();
    for pid in pids() {
        if let Ok(stat) = stat(pid)
            && stat.is_running()
        {
            groups.entry(stat.group).or_default().push(pid);
        }
    }
    groups
}

fn pids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// The run that carries this variable and value (`NAME=value`) in its environment: its process group leader, which started
/// before all others; or, when that has ended, the group of what it left, with no start time to go by.
pub(super) fn find_run(variable: &str) -> Option<Identity> {
    let marked = pids().filter_map(|pid| {
        let stat = stat(pid).ok().filter(|stat| stat.is_running() && carries(pid, variable))?;
        let leads = stat.group == pid;
        Some((!leads, Identity { pid: stat.group, start_ticks: if leads { stat.start_ticks } else { 0 } }))
    });
    marked.min_by_key(|(follows, process)| (*follows, process.start_ticks, process.pid)).map(|(_, process)| process)
}

/// Whether a process carries this variable and value in its environment.
fn carries(pid: u32, variable: &str) -> bool {
    let mut environment = Vec::new();
    let Ok(file) = fs::File::open(format!("/proc/{pid}/environ")) else {
        return false;
    };
    file.take(MAX_ENVIRONMENT).read_to_end(&mut environment).is_ok()
        && environment.split(|byte| *byte == 0).any(|entry| entry == variable.as_bytes())
}

/// Members of a process group now.
pub(super) async fn members(group: u32) -> Vec<u32> {
    tokio::task::spawn_blocking(move || groups().remove(&group).unwrap_or_default()).await.unwrap_or_default()
}

/// Whether one of these processes carries this variable and value. One that is ending does not any more: its environment
/// goes before its files do.
pub(super) async fn any_carries(processes: Vec<u32>, variable: String) -> bool {
    let scan = move || processes.into_iter().any(|pid| carries(pid, &variable));
    tokio::task::spawn_blocking(scan).await.unwrap_or_default()
}

/// Sends a signal to all of a group. A group that is gone needs none.
pub(super) fn signal_group(group: u32, signal: Signal) {
    let Some(leader) = pid(group) else { return };
    match kill_process_group(leader, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => {}
        Err(error) => tracing::warn!(group, ?signal, %error, "cannot signal a process group: {error}"),
    }
}

/// A process number as the kernel takes it. 0 and 1 are refused: to the kernel they mean "my own group" and "everyone".
pub(super) fn pid(number: u32) -> Option<Pid> {
    i32::try_from(number).ok().filter(|number| *number > 1).and_then(Pid::from_raw)
}

/// The process groups of the machine, read at most once in [`FRESH`].
#[derive(Debug, Default)]
pub(super) struct GroupIndex {
    read: Mutex<Option<(Instant, Arc<Groups>)>>,
}

impl GroupIndex {
    /// Members of a group whose leader is known to run; the leader is always among them.
    pub(super) async fn members(&self, group: u32) -> Vec<u32> {
        let mut members = self.groups().await.get(&group).cloned().unwrap_or_default();
        if !members.contains(&group) {
            members.push(group);
        }
        members
    }

    async fn groups(&self) -> Arc<Groups> {
        let mut read = self.read.lock().await;
        if let Some((at, groups)) = &*read
            && at.elapsed() < FRESH
        {
            return Arc::clone(groups);
        }
        let groups = Arc::new(tokio::task::spawn_blocking(groups).await.unwrap_or_default());
        *read = Some((Instant::now(), Arc::clone(&groups)));
        groups
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn we_are_alive_and_our_number_at_another_time_is_not_us() {
        let us = Identity::of(std::process::id()).unwrap();
        assert!(us.is_alive());
        assert!(!Identity { start_ticks: us.start_ticks + 1, ..us }.is_alive());
        assert!(Identity::of(u32::MAX).is_err());
        assert!(carries(us.pid, concat!("CARGO_PKG_NAME=", env!("CARGO_PKG_NAME"))));
        assert!(!carries(us.pid, "CARGO_PKG_NAME=dixmgr"));
    }

    #[test]
    fn the_numbers_that_mean_everyone_are_refused() {
        assert_eq!((pid(0), pid(1), pid(u32::MAX)), (None, None, None));
        assert!(pid(2).is_some());
    }

    #[test]
    fn a_name_may_hold_anything() {
        let line =
            b"42 (a) b) (c d) S 1 40 42 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 987654 1000 2 18446744073709551615";
        assert_eq!(parse_stat(line), Some(Stat { state: 'S', group: 40, start_ticks: 987_654 }));
    }

    #[test]
    fn agrees_with_procfs() {
        let theirs = procfs::process::Process::myself().unwrap().stat().unwrap();
        let ours = stat(std::process::id()).unwrap();
        assert_eq!((i64::from(ours.group), ours.start_ticks), (i64::from(theirs.pgrp), theirs.starttime));
    }

    proptest! {
        #[test]
        fn garbage_and_truncation_are_no_process(bytes in prop::collection::vec(any::<u8>(), 0..200), cut in 0usize..60) {
            let _ = parse_stat(&bytes);
            let line = b"42 (name) S 1 40 42 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 9876";
            let cut = cut.min(line.len() - 4);
            prop_assert_eq!(parse_stat(&line[..cut]), None);
        }
    }
}
