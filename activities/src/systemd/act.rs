//! Start, stop and restart, followed to their end.

use std::time::Duration;

use dixmgr_model::{ActionOutcome, ActionReport, Target, UnitPhase, UnitStatus};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout, timeout_at};
use zbus::OwnedObjectPath;

use super::Shared;
use super::decide::{Step, decide, was_refused};
use super::error::{CallError, unreachable};
use super::jobs::Expectation;
use super::session::Session;
use crate::manager::{Action, ManagerError, Verb};

/// How often a job that we wait for is asked after, in case its signal was lost.
const JOB_POLL: Duration = Duration::from_secs(1);

/// How systemd treats other jobs of the unit: ours takes their place.
const JOB_MODE: &str = "replace";

/// How a job that was waited for ended.
#[derive(Debug, PartialEq, Eq)]
enum JobEnd {
    /// systemd's result (`done`, `failed`, …).
    Result(String),
    /// It is gone and nobody told us how.
    Vanished,
    /// It goes on, but the action's time is over.
    StillThere,
}

impl Shared {
    /// Carries out one action.
    pub(super) async fn act(&self, action: &Action) -> Result<ActionReport, ManagerError> {
        let unit = action.unit.unit.as_str();
        if let Target::Command(_) = action.unit.target {
            let detail = "this service is a command; run dixmgr with -process-manager direct".to_owned();
            return Ok(ActionReport { outcome: ActionOutcome::Refused, unit: UnitStatus::unknown(), detail });
        }
        let deadline = Instant::now() + action.timeout;
        let _turn = self.turns.take(unit).await;
        let session = self.session().await?;
        // Tracked units are held in systemd's memory: of one that ends at once, it is then known that it ran.
        self.registry().track(unit);
        let expectation = session.jobs.expect();
        let (before, job) = match self.just_seen_dead(&session, action) {
            Some(status) => (status, None),
            None => self.look(&session, unit).await?,
        };
        let (job, verb_done) = match decide(action.verb, &before, job.as_ref(), &action.replaces) {
            Step::Finish(outcome, detail) => {
                return Ok(ActionReport { outcome, unit: before, detail: detail.to_owned() });
            }
            Step::Follow(job) => (job, "an earlier request"),
            Step::Call { method, reset } => match request(&session, unit, method, reset).await? {
                Ok(job) => (job, method),
                Err((outcome, detail)) => return Ok(ActionReport { outcome, unit: before, detail }),
            },
        };
        tracing::debug!(unit, job, by = verb_done, "following systemd's job");
        let mut end = follow(&session, &expectation, job, deadline).await?;
        let (mut after, _) = self.look(&session, unit).await?;
        if end == JobEnd::Result("failed".into()) && action.verb != Verb::Stop && was_refused(&before, &after) {
            // Only systemd's own limit stood in the way; dixmgr keeps one of its own.
            if let Ok(job) = request(&session, unit, "StartUnit", true).await? {
                end = follow(&session, &expectation, job, deadline).await?;
                (after, _) = self.look(&session, unit).await?;
            }
        }
        let (outcome, detail) = judge(action, &before, &after, &end);
        Ok(ActionReport { outcome, unit: after, detail })
    }
}

impl Shared {
    /// The unit, if the very run that is to be replaced was just seen to have failed and nothing was heard of it since: asking
    /// once more would tell no more than that, and something is down.
    fn just_seen_dead(&self, session: &Session, action: &Action) -> Option<UnitStatus> {
        let status = self.registry().just_read(&action.unit.unit, session.number)?;
        let this_run = !status.invocation_id.is_empty() && status.invocation_id == action.replaces;
        (this_run && status.phase == UnitPhase::Failed).then_some(status)
    }
}

/// systemd's errors that stay until an operator mends the unit.
const LASTING: [&str; 5] = ["NoSuchUnit", "UnitMasked", "LoadFailed", "BadUnitSetting", "OnlyByDependency"];

/// Makes the job. The inner error is what systemd says instead.
async fn request(
    session: &Session,
    unit: &str,
    method: &'static str,
    reset: bool,
) -> Result<Result<u32, (ActionOutcome, String)>, ManagerError> {
    if reset {
        match session.manager("ResetFailedUnit", &unit).await {
            Ok(_) | Err(CallError::Systemd { .. }) => {}
            Err(CallError::Manager(error)) => return Err(error),
        }
    }
    let reply = match session.manager(method, &(unit, JOB_MODE)).await {
        Ok(reply) => reply,
        Err(CallError::Manager(error)) => return Err(error),
        Err(error) => {
            let lasting = LASTING.iter().any(|name| error.is(name));
            let outcome = if lasting { ActionOutcome::Refused } else { ActionOutcome::Failed };
            return Ok(Err((outcome, error.to_string())));
        }
    };
    let path: OwnedObjectPath = reply.body().deserialize().map_err(CallError::from)?;
    let id = path.as_str().rsplit('/').next().and_then(|id| id.parse().ok());
    id.map(Ok).ok_or_else(|| unreachable(format!("{method} answered {path}, which is no job")))
}

/// Waits until a job ends or the time is over.
async fn follow(
    session: &Session,
    expectation: &Expectation<'_>,
    job: u32,
    deadline: Instant,
) -> Result<JobEnd, ManagerError> {
    let mut result = expectation.result(job);
    loop {
        match timeout_at(deadline, timeout(JOB_POLL, &mut result)).await {
            Err(_) => return Ok(JobEnd::StillThere),
            Ok(Ok(Ok(result))) => return Ok(JobEnd::Result(result)),
            Ok(Ok(Err(_))) => return Err(unreachable("the bus went away while its job ran; asking again will tell")),
            Ok(Err(_)) => match session.manager("GetJob", &job).await {
                Ok(_) => {}
                Err(error) if error.is("NoSuchJob") => return Ok(last_word(&mut result)),
                Err(error) => return Err(error.into()),
            },
        }
    }
}

/// The job is gone; its signal may have come just now.
fn last_word(result: &mut oneshot::Receiver<String>) -> JobEnd {
    result.try_recv().map_or(JobEnd::Vanished, JobEnd::Result)
}

/// What came of it, from how the job ended and how the unit stands.
fn judge(action: &Action, before: &UnitStatus, after: &UnitStatus, end: &JobEnd) -> (ActionOutcome, String) {
    let started = action.verb != Verb::Stop;
    let moved = after.invocation_id != before.invocation_id;
    match end {
        JobEnd::StillThere => {
            let within = dixmgr_model::duration::format(action.timeout);
            (ActionOutcome::Failed, format!("systemd was not done with it within {within} and goes on with it"))
        }
        JobEnd::Result(result) if result != "done" && result != "skipped" => {
            (ActionOutcome::Failed, format!("its job ended with `{result}`, the unit with `{}`", after.result))
        }
        _ if started && after.phase == UnitPhase::Inactive && !moved => {
            (ActionOutcome::Failed, "systemd left it out: a Condition…= of the unit does not hold".to_owned())
        }
        JobEnd::Vanished if started && after.phase == UnitPhase::Failed => {
            (ActionOutcome::Failed, format!("the unit ended with `{}`", after.result))
        }
        _ => (ActionOutcome::Done, String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manager::TrackedUnit;

    fn action(verb: Verb) -> Action {
        let unit = TrackedUnit { unit: "a.service".into(), target: Target::Unit("a.service".into()) };
        Action { unit, verb, replaces: "1".into(), timeout: Duration::from_secs(90) }
    }

    fn unit(phase: UnitPhase, invocation: &str) -> UnitStatus {
        UnitStatus { phase, invocation_id: invocation.into(), main_pid: 0, result: "exit-code".into() }
    }

    #[test]
    fn the_end_of_a_job_is_judged_with_the_unit() {
        use ActionOutcome::{Done, Failed};
        let before = unit(UnitPhase::Failed, "1");
        let result = |word: &str| JobEnd::Result(word.into());
        let table = [
            (Verb::Restart, UnitPhase::Active, "2", result("done"), Done),
            // It came up and died at once: the job was done, the watch sees the death.
            (Verb::Restart, UnitPhase::Failed, "2", result("done"), Done),
            (Verb::Start, UnitPhase::Inactive, "2", result("done"), Done),
            (Verb::Start, UnitPhase::Inactive, "1", result("done"), Failed),
            (Verb::Restart, UnitPhase::Failed, "2", result("failed"), Failed),
            (Verb::Restart, UnitPhase::Activating, "2", result("timeout"), Failed),
            (Verb::Restart, UnitPhase::Failed, "1", result("dependency"), Failed),
            (Verb::Restart, UnitPhase::Inactive, "2", result("canceled"), Failed),
            (Verb::Restart, UnitPhase::Activating, "2", JobEnd::StillThere, Failed),
            (Verb::Restart, UnitPhase::Failed, "2", JobEnd::Vanished, Failed),
            (Verb::Restart, UnitPhase::Active, "2", JobEnd::Vanished, Done),
            (Verb::Stop, UnitPhase::Inactive, "1", result("done"), Done),
            (Verb::Stop, UnitPhase::Failed, "1", result("done"), Done),
        ];
        for (verb, phase, invocation, end, expected) in table {
            let (outcome, detail) = judge(&action(verb), &before, &unit(phase, invocation), &end);
            assert_eq!(outcome, expected, "{verb:?} {phase} {end:?}");
            assert_eq!(detail.is_empty(), expected == Done, "a failure is explained: {detail:?}");
        }
    }
}
