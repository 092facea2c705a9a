//! One unit: its command, its latest run, and how that is told to others.

use std::sync::{Mutex, MutexGuard, PoisonError};

use dixmgr_model::{Command, UnitPhase, UnitStatus};
use tokio::sync::watch;

use super::process::Identity;
use super::record::{End, Past};

/// A unit of the direct process manager.
#[derive(Debug)]
pub(super) struct Unit {
    name: String,
    state: Mutex<State>,
    /// Held while an action, or the adoption, is under way: one at a time.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct State {
    /// Absent when the target is a systemd unit, which cannot be run here.
    command: Option<Command>,
    life: Life,
    /// Turns true when nothing is left of the latest run's process group.
    cleared: watch::Receiver<bool>,
}

/// Where a unit stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Life {
    /// Its PID file was not looked at yet.
    Unseen,
    /// It never ran, as far as is known in this boot.
    Never,
    /// It runs.
    Running(Run),
    /// It ran.
    Ended(Past),
}

/// A process that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) identity: Identity,
    pub(super) mark: String,
    /// It was told to stop: however it ends, it did not fail.
    pub(super) stopping: bool,
}

impl Life {
    /// What identifies the latest run; empty when there was none.
    pub(super) fn invocation(&self) -> String {
        match self {
            Self::Unseen | Self::Never => String::new(),
            Self::Running(run) => run.identity.to_string(),
            Self::Ended(past) => past.process.to_string(),
        }
    }
}

impl Unit {
    pub(super) fn new(name: &str) -> Self {
        let state = State { command: None, life: Life::Unseen, cleared: watch::channel(true).1 };
        Self { name: name.to_owned(), state: Mutex::new(state), turn: tokio::sync::Mutex::default() }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Waits for the unit's turn: nobody else acts on it while the guard lives.
    pub(super) async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    pub(super) fn set_command(&self, command: Option<Command>) {
        self.state().command = command;
    }

    pub(super) fn command(&self) -> Option<Command> {
        self.state().command.clone()
    }

    pub(super) fn is_seen(&self) -> bool {
        self.state().life != Life::Unseen
    }

    pub(super) fn dies_with_parent(&self) -> bool {
        self.state().command.as_ref().is_some_and(|command| command.die_with_parent)
    }

    pub(super) fn life(&self) -> Life {
        self.state().life.clone()
    }

    /// The run, while there is one.
    pub(super) fn run(&self) -> Option<Run> {
        match &self.state().life {
            Life::Running(run) => Some(run.clone()),
            _ => None,
        }
    }

    /// A run begins. `cleared` turns true when nothing is left of it.
    pub(super) fn begin(&self, run: Run, cleared: watch::Receiver<bool>) {
        let mut state = self.state();
        state.life = Life::Running(run);
        state.cleared = cleared;
    }

    /// There is no run; `cleared` turns true when nothing is left of the one before.
    pub(super) fn settle(&self, life: Life, cleared: watch::Receiver<bool>) {
        let mut state = self.state();
        state.life = life;
        state.cleared = cleared;
    }

    /// The run is told to stop. Gives it, or nothing when there is none.
    pub(super) fn stopping(&self) -> Option<Run> {
        match &mut self.state().life {
            Life::Running(run) => {
                run.stopping = true;
                Some(run.clone())
            }
            _ => None,
        }
    }

    /// The run has ended. Gives how that counts: a run that was stopped did not fail, whatever its status.
    pub(super) fn end(&self, process: Identity, end: End) -> End {
        let mut state = self.state();
        let stopped = matches!(&state.life, Life::Running(run) if run.stopping);
        let end = if stopped { End::success() } else { end };
        state.life = Life::Ended(Past { process, end: end.clone() });
        end
    }

    pub(super) fn cleared(&self) -> watch::Receiver<bool> {
        self.state().cleared.clone()
    }

    /// As its manager reports it.
    pub(super) fn status(&self) -> UnitStatus {
        let state = self.state();
        if state.command.is_none() {
            let result =
                "a systemd unit cannot be run by the direct process manager; give the service a command".to_owned();
            return UnitStatus { phase: UnitPhase::Missing, result, ..UnitStatus::unknown() };
        }
        let (phase, main_pid, result) = match &state.life {
            Life::Unseen => (UnitPhase::Unknown, 0, ""),
            Life::Never => (UnitPhase::Inactive, 0, ""),
            Life::Running(run) if run.stopping => (UnitPhase::Deactivating, run.identity.pid, ""),
            Life::Running(run) => (UnitPhase::Active, run.identity.pid, ""),
            Life::Ended(Past { end, .. }) if end.clean => (UnitPhase::Inactive, 0, end.result.as_str()),
            Life::Ended(Past { end, .. }) => (UnitPhase::Failed, 0, end.result.as_str()),
        };
        UnitStatus { phase, invocation_id: state.life.invocation(), main_pid, result: result.to_owned() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
