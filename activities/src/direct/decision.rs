//! What an action means for a unit as it stands. Pure: a step that is tried again after a crash must find out that it is
//! done, from the unit alone.
//!
//! | the unit | Start | Stop | Restart |
//! |---|---|---|---|
//! | never ran | start | already done | start |
//! | runs, the run that is to be replaced | already done | stop | stop, then start |
//! | runs, another one | already done | already done | already done |
//! | ended, the run that is to be replaced | start | already done | start |
//! | ended, another one, which failed | failed | already done | failed |
//! | ended, another one, cleanly | already done | already done | already done |

use super::unit::Life;
use crate::manager::Verb;

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Start it.
    Start,
    /// Stop it.
    Stop,
    /// Stop it, then start it.
    StopThenStart,
    /// Nothing: it is done.
    AlreadyDone(&'static str),
    /// Nothing: it was done, and did not turn out well.
    AlreadyFailed(String),
}

/// Decides what `verb`, decided about the run `replaces`, means now.
pub(super) fn decide(verb: Verb, replaces: &str, life: &Life) -> Step {
    let same = life.invocation() == replaces;
    match (life, verb) {
        (Life::Unseen | Life::Never, Verb::Stop) => Step::AlreadyDone("it never ran"),
        (Life::Unseen | Life::Never, Verb::Start | Verb::Restart) => Step::Start,

        (Life::Running(_), _) if !same => Step::AlreadyDone("another run has taken its place"),
        (Life::Running(_), Verb::Start) => Step::AlreadyDone("it runs"),
        (Life::Running(_), Verb::Stop) => Step::Stop,
        (Life::Running(_), Verb::Restart) => Step::StopThenStart,

        (Life::Ended(_), Verb::Stop) => Step::AlreadyDone("it does not run"),
        (Life::Ended(_), Verb::Start | Verb::Restart) if same => Step::Start,
        (Life::Ended(past), Verb::Start | Verb::Restart) if past.end.clean => {
            Step::AlreadyDone("it was started since, and has ended")
        }
        (Life::Ended(past), Verb::Start | Verb::Restart) => {
            Step::AlreadyFailed(format!("it was started since as {}, and failed: {}", past.process, past.end.result))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::process::Identity;
    use super::super::record::{End, Past};
    use super::super::unit::Run;
    use super::*;

    const A: Identity = Identity { pid: 10, start_ticks: 1 };

    #[test]
    fn the_table_holds() {
        let running = Life::Running(Run { identity: A, mark: String::new(), stopping: false });
        let failed = Life::Ended(Past { process: A, end: End::failed("exit-code 3") });
        let clean = Life::Ended(Past { process: A, end: End::success() });
        let name = |step| match step {
            Step::Start => "start",
            Step::Stop => "stop",
            Step::StopThenStart => "both",
            Step::AlreadyDone(_) => "done",
            Step::AlreadyFailed(_) => "failed",
        };
        let table = [
            (&Life::Never, "", ["start", "done", "start"]),
            (&Life::Never, "9:9", ["start", "done", "start"]),
            (&running, "10:1", ["done", "stop", "both"]),
            (&running, "9:9", ["done", "done", "done"]),
            (&running, "", ["done", "done", "done"]),
            (&failed, "10:1", ["start", "done", "start"]),
            (&failed, "9:9", ["failed", "done", "failed"]),
            (&clean, "10:1", ["start", "done", "start"]),
            (&clean, "9:9", ["done", "done", "done"]),
        ];
        for (life, replaces, expected) in table {
            let steps = [Verb::Start, Verb::Stop, Verb::Restart].map(|verb| name(decide(verb, replaces, life)));
            assert_eq!(steps, expected, "{life:?}, replacing {replaces:?}");
        }
    }
}
