//! How subscribers are told: in waves, each with so many signals that what they carry stays well under what a server takes at once.

use dixmgr_model::Silence;
use temporalio_common::{SignalDefinition, UntypedWorkflow};
use temporalio_sdk::workflows::join_all;
use temporalio_sdk::{SignalWorkflowOptions, WorkflowContext, WorkflowSignalError};

use super::SilencesWorkflow;
use crate::outbox::WAVE;

/// Most bytes of all signals of a wave; a server takes 4 MiB in one answer.
const WAVE_BYTES: usize = 1024 * 1024;
/// What a silence weighs beside its texts.
const FRAME: usize = 300;

/// Signal `silences`, which every subscriber has, whatever its type.
struct Silences;

impl SignalDefinition for Silences {
    type Workflow = UntypedWorkflow;
    type Input = Vec<Silence>;

    fn name(&self) -> &'static str {
        "silences"
    }
}

/// What became of telling one subscriber.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// Its workflow id.
    pub(super) to: String,
    /// Whether it has heard.
    pub(super) outcome: Outcome,
}

/// Whether a subscriber has heard.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It has.
    Heard,
    /// It does not run.
    Gone,
    /// It has not, and is to be told again.
    Again,
}

/// How many may be told of these silences in one wave.
pub(super) fn wave(silences: &[Silence]) -> usize {
    let bytes: usize = silences.iter().map(|silence| silence.size() + FRAME).sum();
    (WAVE_BYTES / bytes.max(1)).clamp(1, WAVE)
}

/// Tells these subscribers, and reports on each.
pub(super) async fn tell_wave(
    ctx: &WorkflowContext<SilencesWorkflow>,
    wave: Vec<String>,
    silences: Vec<Silence>,
) -> Vec<Told> {
    join_all(wave.into_iter().map(|to| tell(ctx, to, silences.clone()))).await
}

async fn tell(ctx: &WorkflowContext<SilencesWorkflow>, to: String, silences: Vec<Silence>) -> Told {
    let receiver = ctx.external_workflow(&to, None);
    let outcome = match receiver.signal(Silences, silences, SignalWorkflowOptions::default()).await {
        Ok(()) => Outcome::Heard,
        Err(WorkflowSignalError::NotFound(_)) => Outcome::Gone,
        Err(error) => {
            if !ctx.is_replaying() {
                tracing::warn!(target: "dixmgr::silence", %to, %error, "not told of silences yet: {error}");
            }
            Outcome::Again
        }
    };
    Told { to, outcome }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wave_of_large_silences_is_small() {
        let silence = |length| Silence { comment: "x".repeat(length), ..Silence::default() };
        assert_eq!(wave(&[]), WAVE);
        assert_eq!(wave(&[silence(10)]), WAVE);
        assert_eq!(wave(&vec![silence(700); 100]), 10);
        assert_eq!(wave(&vec![silence(1_000); 1_000]), 1);
    }
}
