//! Carries out one action on one unit.

use std::sync::Arc;
use std::time::Duration;

use dixmgr_model::{ActionOutcome, ActionReport};
use rustix::process::Signal;
use tokio::sync::watch;

use super::decision::{Step, decide};
use super::follow::{KILL_PATIENCE, terminate};
use super::launch::LaunchError;
use super::process::signal_group;
use super::unit::{Life, Unit};
use super::{MANAGER, Shared};
use crate::manager::{Action, ManagerError};

impl Shared {
    /// Decides what the action means now, does it, and reports. One action at a time for each unit.
    pub(super) async fn act(self: &Arc<Self>, unit: &Arc<Unit>, action: &Action) -> Result<ActionReport, ManagerError> {
        let _turn = unit.turn().await;
        let step = decide(action.verb, &action.replaces, &unit.life());
        let patience = self.stop_timeout.min(action.timeout);
        let (outcome, detail) = match step {
            Step::AlreadyDone(detail) => (ActionOutcome::AlreadyDone, detail.to_owned()),
            Step::AlreadyFailed(detail) => (ActionOutcome::Failed, detail),
            Step::Start => self.start(unit, patience).await?,
            Step::Stop => self.stop(unit, patience).await,
            Step::StopThenStart => match self.stop(unit, patience).await {
                (ActionOutcome::Done, _) => self.start(unit, patience).await?,
                failed => failed,
            },
        };
        Ok(ActionReport { outcome, unit: unit.status(), detail })
    }

    async fn start(
        self: &Arc<Self>,
        unit: &Arc<Unit>,
        patience: Duration,
    ) -> Result<(ActionOutcome, String), ManagerError> {
        let Some(command) = unit.command() else {
            return Ok((ActionOutcome::Refused, unit.status().result));
        };
        // What is left of the run before would hold its ports and files.
        if !is_cleared(unit.cleared(), patience + KILL_PATIENCE).await {
            return Ok((ActionOutcome::Failed, "processes of the run before are still there after SIGKILL".to_owned()));
        }
        self.refuse_when_closing()?;
        let past = match unit.life() {
            Life::Ended(past) => Some(past),
            _ => None,
        };
        match self.launcher.launch(unit.name(), command, past).await {
            Ok(launched) => {
                self.follow_child(unit, launched);
                Ok((ActionOutcome::Done, String::new()))
            }
            Err(LaunchError::Refused(refusal)) => Ok((ActionOutcome::Refused, refusal.to_string())),
            Err(error @ LaunchError::System { .. }) => {
                Err(ManagerError::Unreachable { manager: MANAGER, detail: error.to_string() })
            }
        }
    }

    /// Nothing is started once the manager shuts down: it would outlive whoever was to end it.
    pub(super) fn refuse_when_closing(&self) -> Result<(), ManagerError> {
        if self.closing.is_cancelled() {
            let detail = "dixmgr is shutting down; the next one will do it".to_owned();
            return Err(ManagerError::Unreachable { manager: MANAGER, detail });
        }
        Ok(())
    }

    /// Stops the unit's whole process group: SIGTERM, and after `patience` SIGKILL.
    pub(super) async fn stop(&self, unit: &Unit, patience: Duration) -> (ActionOutcome, String) {
        let Some(run) = unit.stopping() else {
            return (ActionOutcome::Done, String::new());
        };
        self.announce(unit);
        let group = run.identity.pid;
        terminate(group);
        if is_cleared(unit.cleared(), patience).await {
            return (ActionOutcome::Done, String::new());
        }
        signal_group(group, Signal::KILL);
        let within = dixmgr_model::duration::format(patience);
        if is_cleared(unit.cleared(), KILL_PATIENCE).await {
            return (ActionOutcome::Done, format!("did not end within {within} of SIGTERM, so it was killed"));
        }
        (ActionOutcome::Failed, format!("process group {group} is still there after SIGKILL; it waits in the kernel"))
    }
}

/// Whether a run's group is gone, or goes within `patience`.
async fn is_cleared(mut cleared: watch::Receiver<bool>, patience: Duration) -> bool {
    tokio::time::timeout(patience, cleared.wait_for(|cleared| *cleared)).await.is_ok()
}
