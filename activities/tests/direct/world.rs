//! Directories of one dixmgr after another, and short forms of what all of these tests do.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use dixmgr_activities::direct::{DirectManager, DirectOptions, MARK_VARIABLE};
use dixmgr_activities::manager::{Action, ManagerError, TrackedUnit, UnitManager as _, Verb};
use dixmgr_model::{ActionOutcome, ActionReport, Command, Target, UnitPhase, UnitStatus};
use serde_json::Value;
use tempfile::TempDir;

/// Longest that anything here may take; nothing waits that long unless it fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// SIGTERM to SIGKILL, in these tests.
pub(crate) const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// The directories of one dixmgr after another. Ends whatever the test left running.
pub(crate) struct World {
    directory: TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn manager(&self) -> DirectManager {
        DirectManager::new(DirectOptions {
            log_dir: self.path("log"),
            pid_dir: self.path("pid"),
            stop_timeout: STOP_TIMEOUT,
        })
        .unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn record(&self, unit: &str) -> Value {
        serde_json::from_slice(&fs::read(self.path("pid").join(format!("{unit}.pid"))).unwrap()).unwrap()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for entry in fs::read_dir(self.path("pid")).into_iter().flatten().flatten() {
            let record: Value =
                fs::read(entry.path()).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
            // By number and mark: a number alone may be a stranger's, or this very test's.
            if let (Some(pid), Some(mark)) = (record["pid"].as_u64(), record["mark"].as_str()) {
                let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
                let ours = format!("{MARK_VARIABLE}={mark}");
                if environment.split(|byte| *byte == 0).any(|variable| variable == ours.as_bytes()) {
                    kill_group(u32::try_from(pid).unwrap());
                }
            }
        }
    }
}

pub(crate) fn kill_group(pid: u32) {
    let _ = std::process::Command::new("kill").args(["-KILL", "--", &format!("-{pid}")]).stderr(Stdio::null()).status();
}

pub(crate) fn shell(script: &str) -> Command {
    Command { argv: ["sh", "-c", script].map(str::to_owned).to_vec(), ..Command::default() }
}

pub(crate) fn unit(name: &str, command: Command) -> TrackedUnit {
    TrackedUnit { unit: name.to_owned(), target: Target::Command(command) }
}

pub(crate) async fn try_act(
    manager: &DirectManager,
    unit: &TrackedUnit,
    verb: Verb,
    replaces: &str,
) -> Result<ActionReport, ManagerError> {
    let action = Action { unit: unit.clone(), verb, replaces: replaces.to_owned(), timeout: PATIENCE };
    manager.act(&action).await
}

pub(crate) async fn act(manager: &DirectManager, unit: &TrackedUnit, verb: Verb, replaces: &str) -> ActionReport {
    try_act(manager, unit, verb, replaces).await.unwrap()
}

pub(crate) async fn start(manager: &DirectManager, unit: &TrackedUnit) -> UnitStatus {
    let report = act(manager, unit, Verb::Start, &status(manager, unit).await.invocation_id).await;
    assert_eq!(report.outcome, ActionOutcome::Done, "{report:?}");
    report.unit
}

pub(crate) async fn status(manager: &DirectManager, unit: &TrackedUnit) -> UnitStatus {
    manager.track(unit).await.unwrap();
    manager.statuses(std::slice::from_ref(&unit.unit)).await.unwrap().remove(0)
}

/// Waits, by announcements alone, until the unit is in this phase.
pub(crate) async fn phase(manager: &DirectManager, unit: &TrackedUnit, phase: UnitPhase) -> UnitStatus {
    let mut changes = manager.changes();
    let wait = async {
        loop {
            let status = status(manager, unit).await;
            if status.phase == phase {
                return status;
            }
            changes.recv().await.unwrap();
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{} never became {phase}", unit.unit))
}

pub(crate) fn lives(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}
