//! dixmgr as its own process manager (`-process-manager direct`), for machines without systemd.
//!
//! A service is a process that dixmgr starts in a process group of its own. By default it outlives dixmgr: its output goes
//! straight to a file and not through a pipe, and a PID file lets the next dixmgr adopt it. What holds, whatever kills dixmgr:
//! - **never twice.** Before a process is started, a mark is written to its PID file, and the process carries that mark in its
//!   environment ([`MARK_VARIABLE`]). A dixmgr that died between starting it and writing its number is followed by one that
//!   finds it by the mark, and that knows by a lock on its log file whether there is one to be found;
//! - **never a stranger.** A process is its number *and* its start time; a number that was used again is not ours;
//! - **at once.** Deaths are seen through pidfds, of children and of adopted processes alike;
//! - **all of it.** What is stopped is the whole process group, and what a dead process leaves of its group is ended before
//!   another is started. A service must run in the foreground: a process that leaves its group is no longer followed.
//!
//! A process may instead be bound to dixmgr (`die_with_parent`): it is ended when dixmgr shuts down, and through `setpriv`
//! (util-linux) the kernel kills it when dixmgr is killed. The kernel's word covers the main process, from some microseconds
//! after its start; whatever slips through, the rest of its group included, is ended by the next dixmgr.
//!
//! When to restart, and how often, is a workflow's business. Nothing here restarts anything.

mod action;
mod deaths;
mod decision;
mod follow;
mod launch;
mod log;
mod process;
mod record;
mod unit;

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Once, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use dixmgr_model::{ActionReport, Target, UnitPhase, UnitStatus};
use futures_util::future::join_all;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use crate::manager::{Action, ManagerError, TrackedUnit, UnitManager};
use deaths::Deaths;
use launch::Launcher;
use log::Logs;
use process::GroupIndex;
use record::Records;
use unit::Unit;

pub use launch::MARK_VARIABLE;
pub use log::{MAX_LOG, TAIL};

/// How this manager is called in errors.
const MANAGER: &str = "the direct process manager";

/// Announcements that a slow receiver may fall behind by before it must look at everything.
const ANNOUNCEMENTS: usize = 4096;

/// Where things are, and how patient it is.
#[derive(Debug, Clone)]
pub struct DirectOptions {
    /// Output of the services: `<name>.log`, and `<name>.log.1` before it. Made if it is not there.
    pub log_dir: PathBuf,
    /// PID files: `<name>.pid`. Made if it is not there; best where a reboot empties it (`/run`).
    pub pid_dir: PathBuf,
    /// Time from SIGTERM to SIGKILL.
    pub stop_timeout: Duration,
}

/// Why the direct process manager cannot work here.
#[derive(Debug, thiserror::Error)]
pub enum DirectError {
    /// A directory cannot be made.
    #[error("cannot make {what} directory {}: {source}; give dixmgr a directory that it may write", path.display())]
    Directory {
        /// Which: log or PID.
        what: &'static str,
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Processes cannot be told apart without `/proc`.
    #[error("cannot read /proc: {0}; the direct process manager needs it mounted")]
    Proc(io::Error),
    /// A thread that starts processes, or sees them end, could not be made.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
}

/// Runs commands as services. Cheap to clone; clones share everything.
#[derive(Debug, Clone)]
pub struct DirectManager {
    shared: Arc<Shared>,
}

/// What actions, followers and the manager itself have in common.
#[derive(Debug)]
struct Shared {
    stop_timeout: Duration,
    units: RwLock<HashMap<String, Arc<Unit>>>,
    changes: broadcast::Sender<String>,
    deaths: Deaths,
    groups: GroupIndex,
    launcher: Launcher,
    logs: Logs,
    records: Records,
    closing: CancellationToken,
    rotation: Once,
}

impl DirectManager {
    /// A manager over these directories. Processes that an earlier one started are adopted as their units are tracked.
    ///
    /// # Errors
    /// A directory cannot be made, or `/proc` is not there.
    pub fn new(options: DirectOptions) -> Result<Self, DirectError> {
        let DirectOptions { log_dir, pid_dir, stop_timeout } = options;
        for (what, path) in [("log", &log_dir), ("PID", &pid_dir)] {
            std::fs::create_dir_all(path).map_err(|source| DirectError::Directory {
                what,
                path: path.clone(),
                source,
            })?;
        }
        let records = Records::new(pid_dir).map_err(DirectError::Proc)?;
        let logs = Logs::new(log_dir);
        let launcher = Launcher::start(records.clone(), logs.clone()).map_err(DirectError::Thread)?;
        let shared = Shared {
            stop_timeout,
            units: RwLock::default(),
            changes: broadcast::Sender::new(ANNOUNCEMENTS),
            deaths: Deaths::start().map_err(DirectError::Thread)?,
            groups: GroupIndex::default(),
            launcher,
            logs,
            records,
            closing: CancellationToken::new(),
            rotation: Once::new(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The last [`TAIL`] bytes that a unit wrote, to standard output and standard error alike. Nothing is kept in memory for
    /// this: the ring is the end of its log file, which is why a service's output survives dixmgr.
    ///
    /// # Errors
    /// The log cannot be read. A unit that has written nothing has an empty tail.
    pub async fn tail(&self, unit: &str) -> io::Result<String> {
        let (logs, unit) = (self.shared.logs.clone(), unit.to_owned());
        tokio::task::spawn_blocking(move || logs.tail(&unit)).await.unwrap_or_else(|error| Err(io::Error::other(error)))
    }

    /// Ends the processes that are to end with dixmgr (`die_with_parent`), with SIGKILL for those that outlast `within`. All
    /// others live on. Every later action is refused, so that nothing is started behind our back.
    pub async fn shutdown(&self, within: Duration) {
        self.shared.closing.cancel();
        let bound: Vec<Arc<Unit>> =
            self.shared.units().values().filter(|unit| unit.dies_with_parent()).cloned().collect();
        join_all(bound.iter().map(|unit| self.shared.stop(unit, within))).await;
    }
}

impl Shared {
    fn units(&self) -> std::sync::RwLockReadGuard<'_, HashMap<String, Arc<Unit>>> {
        self.units.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn unit(&self, name: &str) -> Option<Arc<Unit>> {
        self.units().get(name).cloned()
    }

    /// Says that a unit's state has changed. Nobody listening is no fault.
    fn announce(&self, unit: &Unit) {
        let _ = self.changes.send(unit.name().to_owned());
    }

    /// The unit by this name, with this command from now on.
    fn enter(&self, tracked: &TrackedUnit) -> Arc<Unit> {
        let command = match &tracked.target {
            Target::Command(command) => Some(command.clone()),
            Target::Unit(_) => None,
        };
        let mut units = self.units.write().unwrap_or_else(PoisonError::into_inner);
        let unit = units.entry(tracked.unit.clone()).or_insert_with(|| Arc::new(Unit::new(&tracked.unit)));
        unit.set_command(command);
        Arc::clone(unit)
    }

    async fn track(self: &Arc<Self>, tracked: &TrackedUnit) -> Arc<Unit> {
        let unit = self.enter(tracked);
        if !unit.is_seen() {
            let _turn = unit.turn().await;
            // Someone else may have had the turn before.
            if !unit.is_seen() {
                self.adopt(&unit).await;
            }
        }
        self.rotation.call_once(|| log::rotate_for_ever(self));
        unit
    }
}

#[async_trait]
impl UnitManager for DirectManager {
    async fn track(&self, target: &TrackedUnit) -> Result<(), ManagerError> {
        self.shared.track(target).await;
        Ok(())
    }

    async fn statuses(&self, units: &[String]) -> Result<Vec<UnitStatus>, ManagerError> {
        let known = self.shared.units();
        let missing = || UnitStatus { phase: UnitPhase::Missing, ..UnitStatus::unknown() };
        Ok(units.iter().map(|name| known.get(name).map_or_else(missing, |unit| unit.status())).collect())
    }

    fn changes(&self) -> broadcast::Receiver<String> {
        self.shared.changes.subscribe()
    }

    async fn processes(&self, unit: &str) -> Result<Vec<u32>, ManagerError> {
        let Some(run) = self.shared.unit(unit).and_then(|unit| unit.run()) else {
            return Ok(Vec::new());
        };
        Ok(self.shared.groups.members(run.identity.pid).await)
    }

    async fn act(&self, action: &Action) -> Result<ActionReport, ManagerError> {
        self.shared.refuse_when_closing()?;
        let (shared, action) = (Arc::clone(&self.shared), action.clone());
        // A task of its own: an activity that is cancelled half-way must not leave a unit half stopped.
        let acting = tokio::spawn(async move {
            let unit = shared.track(&action.unit).await;
            shared.act(&unit, &action).await
        });
        acting.await.unwrap_or_else(|error| {
            Err(ManagerError::Unreachable { manager: MANAGER, detail: format!("the action broke off: {error}") })
        })
    }
}
