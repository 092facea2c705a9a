//! What an action has to do, given how its unit stands: pure, so that every case of a step that is tried again can be read
//! off and tested.

use dixmgr_model::{ActionOutcome, UnitPhase, UnitStatus};

use super::status::Job;
use crate::manager::Verb;

/// The next step of an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing to do: this came of it, for this reason.
    Finish(ActionOutcome, &'static str),
    /// A job for it is queued already (by this very step before a crash, or by an operator): follow that.
    Follow(u32),
    /// Ask systemd. When `reset`, its count of failed starts is cleared first.
    Call {
        /// `StartUnit`, `StopUnit` or `RestartUnit`.
        method: &'static str,
        /// Whether systemd refuses to start it for having started too often.
        reset: bool,
    },
}

/// systemd's `Result` of a unit that was started too often in a short time.
const START_LIMIT_HIT: &str = "start-limit-hit";

/// Decides. `replaces` is the invocation that the action was decided about, empty for a unit that had never run.
///
/// A unit whose invocation is another one has been started since: by this step before a crash, or by someone else.
/// Either way the step is over. A unit without invocation (systemd dropped it from memory) tells nothing, so it is acted on.
pub(super) fn decide(verb: Verb, unit: &UnitStatus, job: Option<&Job>, replaces: &str) -> Step {
    use UnitPhase::{Activating, Active, AutoRestart, Completed, Deactivating, Failed, Inactive, Masked, Missing};

    let moved_on = !unit.invocation_id.is_empty() && unit.invocation_id != replaces;
    let queued = job.filter(|job| serves(verb, &job.kind));
    match (verb, unit.phase) {
        (_, Masked) => Step::Finish(ActionOutcome::Refused, "the unit is masked; `systemctl unmask` it first"),
        (_, Missing) => Step::Finish(ActionOutcome::Refused, missing(&unit.result)),
        (Verb::Stop, Inactive | Failed | Completed) if queued.is_none() => {
            Step::Finish(ActionOutcome::AlreadyDone, "it does not run")
        }
        _ if queued.is_some() => follow(queued),
        (Verb::Stop, _) if moved_on && !replaces.is_empty() => {
            Step::Finish(ActionOutcome::AlreadyDone, "what was to be stopped has ended; another run is there")
        }
        (Verb::Stop, _) => Step::Call { method: "StopUnit", reset: false },
        (_, Failed) if moved_on => Step::Finish(ActionOutcome::Failed, "it was started since then, and failed"),
        (_, Inactive) if moved_on => Step::Finish(ActionOutcome::AlreadyDone, "it was started since then, and ended"),
        (_, Active | Activating | AutoRestart | Completed | Deactivating) if moved_on => {
            Step::Finish(ActionOutcome::AlreadyDone, "another run has replaced it")
        }
        (Verb::Start, Active | Activating) => Step::Finish(ActionOutcome::AlreadyDone, "it runs"),
        (Verb::Start, _) => Step::Call { method: "StartUnit", reset: is_limited(unit) },
        (Verb::Restart, _) => Step::Call { method: "RestartUnit", reset: is_limited(unit) },
    }
}

/// Whether systemd refuses to start it for having started too often. Its `Result` tells that only where the run before had
/// ended well (the first failure stands); of other units, [`was_refused`] tells it afterwards. The count is not cleared on
/// suspicion: a failed unit whose failure is cleared drops out of systemd's memory, with all that it knew of its past, and
/// its file has to be read again.
fn is_limited(unit: &UnitStatus) -> bool {
    unit.result == START_LIMIT_HIT
}

/// Whether a start job that failed has not even tried: the unit failed without another run.
pub(super) fn was_refused(before: &UnitStatus, after: &UnitStatus) -> bool {
    after.phase == UnitPhase::Failed && (is_limited(after) || after.invocation_id == before.invocation_id)
}

fn follow(job: Option<&Job>) -> Step {
    Step::Follow(job.map_or(0, |job| job.id))
}

/// Whether a queued job does what the verb wants.
fn serves(verb: Verb, kind: &str) -> bool {
    match verb {
        Verb::Start | Verb::Restart => matches!(kind, "start" | "restart" | "try-restart"),
        Verb::Stop => kind == "stop",
    }
}

fn missing(load: &str) -> &'static str {
    match load {
        "not-found" => "there is no such unit; install its file and run `systemctl daemon-reload`, or mend the name",
        "invalid-name" => {
            "this is not a unit name; write it in full, such as `name.service` or `name@instance.service`"
        }
        _ => "systemd cannot load the unit's file; `systemctl status` says why",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(phase: UnitPhase, invocation: &str) -> UnitStatus {
        UnitStatus { phase, invocation_id: invocation.into(), main_pid: 0, result: "success".into() }
    }

    fn outcome(step: &Step) -> Option<ActionOutcome> {
        match step {
            Step::Finish(outcome, _) => Some(*outcome),
            _ => None,
        }
    }

    fn call(method: &'static str) -> Step {
        Step::Call { method, reset: false }
    }

    #[test]
    fn a_restart_is_made_once_for_each_run_that_it_replaces() {
        use UnitPhase::{Activating, Active, AutoRestart, Completed, Deactivating, Failed, Inactive};
        let call = Some(call("RestartUnit"));
        let table = [
            // phase, invocation now, invocation replaced, what follows (nothing: AlreadyDone unless it failed)
            (Active, "1", "1", call.clone()),
            (Inactive, "1", "1", call.clone()),
            (AutoRestart, "1", "1", call.clone()),
            (Inactive, "", "1", call.clone()),
            (Inactive, "", "", call.clone()),
            (Active, "2", "1", None),
            (Activating, "2", "1", None),
            (Deactivating, "2", "1", None),
            (AutoRestart, "2", "1", None),
            (Completed, "2", "1", None),
            (Inactive, "2", "1", None),
            (Active, "2", "", None),
        ];
        for (phase, now, replaces, expected) in table {
            let step = decide(Verb::Restart, &unit(phase, now), None, replaces);
            match expected {
                Some(expected) => assert_eq!(step, expected, "{phase} {now} {replaces}"),
                None => assert_eq!(outcome(&step), Some(ActionOutcome::AlreadyDone), "{phase} {now} {replaces}"),
            }
        }
        let failed = decide(Verb::Restart, &unit(Failed, "2"), None, "1");
        assert_eq!(outcome(&failed), Some(ActionOutcome::Failed));
    }

    #[test]
    fn a_queued_job_is_followed_when_it_does_what_is_wanted() {
        let job = |kind: &str| Job { id: 9, kind: kind.into() };
        let dying = unit(UnitPhase::Deactivating, "1");
        assert_eq!(decide(Verb::Restart, &dying, Some(&job("restart")), "1"), Step::Follow(9));
        assert_eq!(decide(Verb::Start, &dying, Some(&job("start")), "1"), Step::Follow(9));
        assert_eq!(decide(Verb::Stop, &dying, Some(&job("stop")), "1"), Step::Follow(9));
        assert_eq!(decide(Verb::Restart, &dying, Some(&job("stop")), "1"), call("RestartUnit"));
        assert_eq!(decide(Verb::Stop, &dying, Some(&job("start")), "1"), call("StopUnit"));
    }

    #[test]
    fn what_cannot_be_started_is_refused() {
        for phase in [UnitPhase::Masked, UnitPhase::Missing] {
            for verb in [Verb::Start, Verb::Stop, Verb::Restart] {
                let step = decide(verb, &unit(phase, ""), None, "1");
                assert_eq!(outcome(&step), Some(ActionOutcome::Refused), "{verb:?} {phase}");
            }
        }
    }

    #[test]
    fn a_start_or_stop_that_is_done_is_not_done_again() {
        let start = decide(Verb::Start, &unit(UnitPhase::Active, "1"), None, "1");
        assert_eq!(outcome(&start), Some(ActionOutcome::AlreadyDone));
        for phase in [UnitPhase::Inactive, UnitPhase::Failed, UnitPhase::Completed] {
            let stop = decide(Verb::Stop, &unit(phase, "1"), None, "1");
            assert_eq!(outcome(&stop), Some(ActionOutcome::AlreadyDone));
        }
        assert_eq!(decide(Verb::Stop, &unit(UnitPhase::Active, "1"), None, "1"), call("StopUnit"));
        assert_eq!(decide(Verb::Stop, &unit(UnitPhase::Active, "1"), None, ""), call("StopUnit"));
        assert_eq!(decide(Verb::Start, &unit(UnitPhase::Completed, "1"), None, "1"), call("StartUnit"));
    }

    #[test]
    fn systemd_is_told_to_forget_its_own_limit() {
        let limited = UnitStatus { result: START_LIMIT_HIT.into(), ..unit(UnitPhase::Failed, "1") };
        let step = decide(Verb::Restart, &limited, None, "1");
        assert_eq!(step, Step::Call { method: "RestartUnit", reset: true });
        assert_eq!(decide(Verb::Restart, &unit(UnitPhase::Failed, "1"), None, "1"), call("RestartUnit"));
    }

    #[test]
    fn a_start_that_was_refused_has_made_no_run() {
        let (failed, limited) = (unit(UnitPhase::Failed, "1"), START_LIMIT_HIT.to_owned());
        assert!(was_refused(&failed, &failed));
        assert!(was_refused(&failed, &UnitStatus { result: limited, ..unit(UnitPhase::Failed, "2") }));
        assert!(!was_refused(&failed, &unit(UnitPhase::Failed, "2")), "it ran and failed");
        assert!(!was_refused(&failed, &unit(UnitPhase::Active, "1")));
    }
}
