//! Follows a process from its start or adoption to its end, and ends what it leaves behind.

use std::process::Child;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Signal, WaitId, WaitIdOptions, waitid};
use tokio::sync::watch;
use tokio::time::Instant;

use super::Shared;
use super::deaths::Lifeline;
use super::launch::{Launched, MARK_VARIABLE};
use super::process::{self, Identity};
use super::record::{End, Past, Record};
use super::unit::{Life, Run, Unit};

/// End of a process that was to end with a dixmgr and did not: that one was killed before the process was tied to it.
const OUTLIVED: &str = "ended (it outlived the dixmgr that it was to end with)";

/// Waits between two looks at a group that is ending: short at first, because most groups end at once.
const FIRST_LOOK: Duration = Duration::from_millis(5);
const LAST_LOOK: Duration = Duration::from_millis(200);

/// How long a child whose parent died may take from `fork` to `exec`; it takes microseconds once it is given a processor.
const EXEC_PATIENCE: Duration = Duration::from_secs(10);

/// How long a group may take to end after SIGKILL; longer means that it waits in the kernel.
pub(super) const KILL_PATIENCE: Duration = Duration::from_secs(5);

/// End of an adopted process: its status goes to its new parent.
const ADOPTED: &str = "exited (status unknown: adopted)";

/// End of a process that ended while no dixmgr was there.
const UNATTENDED: &str = "exited (status unknown: dixmgr was not running)";

impl Shared {
    /// A process was started: it is the unit's run from now on.
    pub(super) fn follow_child(self: &Arc<Self>, unit: &Arc<Unit>, launched: Launched) {
        let Launched { child, identity, mark } = launched;
        self.follow(unit, Run { identity, mark, stopping: false }, self.deaths.lifeline(identity), Some(child));
    }

    /// Finds out from the PID file what became of the unit's latest run, and takes it over if it lives.
    pub(super) async fn adopt(self: &Arc<Self>, unit: &Arc<Unit>) {
        let settled = watch::channel(true).1;
        let Some(record) = self.records.read(unit.name()) else {
            return unit.settle(Life::Never, settled);
        };
        let process = match record.process {
            Some(process) => Some(process),
            None => self.find_intended(unit, &record.mark).await,
        };
        let Some(process) = process else {
            return unit.settle(record.before.map_or(Life::Never, Life::Ended), settled);
        };
        if let Some(end) = record.end.clone() {
            return self.settle_ended(unit, record, process, end);
        }
        // First the lifeline, then the look: what is seen alive now cannot be missed later.
        let lifeline = self.deaths.lifeline(process);
        let end = match process.is_alive() {
            true if !unit.dies_with_parent() => return self.take_over(unit, record, process, lifeline),
            true => OUTLIVED,
            false => UNATTENDED,
        };
        self.settle_ended(unit, record, process, End::failed(end));
    }

    /// The process of an intent: dixmgr died before it wrote its number, and perhaps before there was one.
    ///
    /// Between `fork` and `exec` a child does not carry its mark yet; but it holds the log file that was locked for it. So
    /// as long as that lock is held there is a child, and once it is free the mark has the last word.
    async fn find_intended(&self, unit: &Unit, mark: &str) -> Option<Identity> {
        let deadline = Instant::now() + EXEC_PATIENCE;
        let mut pause = FIRST_LOOK;
        loop {
            let last = !self.logs.is_locked(unit.name()) || Instant::now() >= deadline;
            let variable = format!("{MARK_VARIABLE}={mark}");
            let found = tokio::task::spawn_blocking(move || process::find_run(&variable)).await.unwrap_or_default();
            if found.is_some() || last {
                return found;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LAST_LOOK);
        }
    }

    fn take_over(self: &Arc<Self>, unit: &Arc<Unit>, record: Record, process: Identity, lifeline: Lifeline) {
        tracing::info!(unit = unit.name(), pid = process.pid, "adopted a process of an earlier dixmgr");
        let run = Run { identity: process, mark: record.mark.clone(), stopping: false };
        if record.process.is_none() {
            self.record(unit, &Record { process: Some(process), before: None, ..record });
        }
        self.follow(unit, run, lifeline, None);
    }

    /// The latest run is over. What there still is of its group is ended.
    fn settle_ended(self: &Arc<Self>, unit: &Arc<Unit>, record: Record, process: Identity, end: End) {
        let (clear, cleared) = watch::channel(false);
        unit.settle(Life::Ended(Past { process, end: end.clone() }), cleared);
        if record.end.is_none() {
            self.record(unit, &Record { process: Some(process), end: Some(end), before: None, ..record.clone() });
        }
        let patience = self.stop_timeout;
        tokio::spawn(async move {
            // Nobody watched this group, so its number may have gone to strangers: one of it must carry the mark.
            let mark = format!("{MARK_VARIABLE}={}", record.mark);
            if process::any_carries(process::members(process.pid).await, mark).await {
                clear_group(process.pid, patience).await;
            }
            clear.send_replace(true);
        });
    }

    /// Begins a run and watches over it in a task of its own.
    fn follow(self: &Arc<Self>, unit: &Arc<Unit>, run: Run, mut lifeline: Lifeline, mut child: Option<Child>) {
        let (clear, cleared) = watch::channel(false);
        let Run { identity, mark, .. } = run.clone();
        unit.begin(run, cleared);
        self.announce(unit);
        let (shared, unit) = (Arc::clone(self), Arc::clone(unit));
        tokio::spawn(async move {
            lifeline.ended(identity).await;
            let end = unit.end(identity, if child.is_some() { how_it_ended(identity) } else { End::failed(ADOPTED) });
            // First of all others learn of it; then it is written down, and what is left of it cleared away.
            shared.announce(&unit);
            shared
                .record(&unit, &Record { process: Some(identity), end: Some(end), ..shared.records.new_record(mark) });
            clear_group(identity.pid, shared.stop_timeout).await;
            // Only now may the kernel give its number to another: until here it named our group and no other.
            if let Some(child) = &mut child {
                let _ = child.try_wait();
            }
            clear.send_replace(true);
        });
    }

    fn record(&self, unit: &Unit, record: &Record) {
        if let Err(error) = self.records.write(unit.name(), record) {
            tracing::warn!(unit = unit.name(), %error, "cannot write the PID file: {error}");
        }
    }
}

/// How a child ended, without waiting for it: it stays a zombie, and its number stays its own.
fn how_it_ended(child: Identity) -> End {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
    let Some(pid) = process::pid(child.pid) else {
        return End::failed("exited (status unknown)");
    };
    match waitid(WaitId::Pid(pid), options) {
        Ok(Some(status)) => match (status.exit_status(), status.terminating_signal()) {
            (Some(0), _) => End::success(),
            (Some(code), _) => End::failed(format!("exit-code {code}")),
            (None, Some(signal)) => End::failed(format!("signal {signal}")),
            (None, None) => End::failed("exited (status unknown)"),
        },
        Ok(None) => End::failed("exited (status unknown)"),
        Err(error) => End::failed(format!("exited (status unknown: {error})")),
    }
}

/// Ends what is left of a group: SIGTERM, and after `patience` SIGKILL.
async fn clear_group(group: u32, patience: Duration) {
    if process::members(group).await.is_empty() {
        return;
    }
    terminate(group);
    if wait_until_empty(group, patience).await {
        return;
    }
    process::signal_group(group, Signal::KILL);
    if !wait_until_empty(group, KILL_PATIENCE).await {
        tracing::warn!(group, "a process group is still there after SIGKILL; it waits in the kernel");
    }
}

/// SIGTERM to all of a group; and SIGCONT, without which one that was stopped would not hear it.
pub(super) fn terminate(group: u32) {
    process::signal_group(group, Signal::TERM);
    process::signal_group(group, Signal::CONT);
}

async fn wait_until_empty(group: u32, patience: Duration) -> bool {
    let deadline = Instant::now() + patience;
    let mut pause = FIRST_LOOK;
    while !process::members(group).await.is_empty() {
        if Instant::now() >= deadline {
            return false;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LAST_LOOK);
    }
    true
}
