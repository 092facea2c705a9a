//! What activities say in the log: one line for each action and each message that was not sent.

use dixmgr_model::{ActionOutcome, ActionReport};

use crate::manager::{ManagerError, Verb};
use crate::notify::NotifyError;

/// What an action is called.
pub(crate) fn word(verb: Verb) -> &'static str {
    match verb {
        Verb::Start => "start",
        Verb::Stop => "stop",
        Verb::Restart => "restart",
    }
}

/// An action that could not be tried; it is attempted again. Told of fewer and fewer attempts, since there is no end to them.
pub(crate) fn attempt(attempt: u32, verb: Verb, service: &str, reason: &str, error: &ManagerError) {
    if attempt.is_power_of_two() {
        tracing::warn!(service, reason, attempt, %error, "{} of {service} not possible yet: {error}", word(verb));
    }
}

/// A message that was not sent. Told of fewer and fewer attempts: they go on for days.
pub(crate) fn unsent(attempt: u32, channel: &str, group: &str, error: &NotifyError) {
    if attempt.is_power_of_two() {
        tracing::warn!(channel, group, attempt, %error, "a message over {channel} was not sent: {error}");
    }
}

/// One line for each action.
pub(crate) fn carried_out(verb: Verb, service: &str, unit: &str, reason: &str, report: &ActionReport) {
    let verb = word(verb);
    let (phase, detail) = (report.unit.phase.name(), report.detail.as_str());
    match report.outcome {
        ActionOutcome::WouldDo => tracing::info!(service, unit, reason, phase, "would {verb}"),
        ActionOutcome::Done => tracing::info!(service, unit, reason, phase, "{verb} done"),
        ActionOutcome::AlreadyDone => tracing::info!(service, unit, reason, phase, detail, "{verb} was done already"),
        ActionOutcome::Failed => tracing::warn!(service, unit, reason, phase, detail, "{verb} failed"),
        ActionOutcome::Refused => tracing::warn!(service, unit, reason, phase, detail, "{verb} refused"),
    }
}
