//! What happens to starts that wait, while another run of the schedule is open or is about to be
//! (`ProcessBuffer` in `service/worker/scheduler/buffer.go`).
//!
//! | policy | nothing is open | a run is open | another start goes first |
//! |---|---|---|---|
//! | skip | start | dropped | dropped |
//! | buffer one | start | waits, if it is the first to | waits, if it is the first to |
//! | buffer all | start | waits | waits |
//! | cancel, terminate other | start | waits, and the run is ended | takes the other's place |
//! | allow all | start | start | start |

use temporalio_common::protos::temporal::api::enums::v1::ScheduleOverlapPolicy as Policy;

use super::record::Waiting;

/// What is to be done with the starts that wait.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Verdict {
    /// Starts that overlap with anything.
    pub(super) overlapping: Vec<Waiting>,
    /// The one start that does not, if one may go ahead.
    pub(super) next: Option<Waiting>,
    /// Starts that go on waiting.
    pub(super) waiting: Vec<Waiting>,
    /// Open runs are to be cancelled.
    pub(super) cancel: bool,
    /// Open runs are to be terminated.
    pub(super) terminate: bool,
    /// Starts that are dropped.
    pub(super) skipped: i64,
}

/// Applies each start's policy, or where it has none, that of the schedule.
pub(super) fn judge(waiting: Vec<Waiting>, is_open: bool, default: Policy) -> Verdict {
    let mut verdict = Verdict::default();
    for start in waiting {
        let policy = match start.overlap_policy() {
            Policy::Unspecified => default,
            given => given,
        };
        if policy == Policy::AllowAll {
            verdict.overlapping.push(start);
        } else if !is_open && verdict.next.is_none() {
            verdict.next = Some(start);
        } else {
            verdict.overlap(start, policy, is_open);
        }
    }
    if verdict.cancel || verdict.terminate {
        // They would be ended at once.
        verdict.overlapping.clear();
    }
    verdict
}

impl Verdict {
    fn overlap(&mut self, start: Waiting, policy: Policy, is_open: bool) {
        match policy {
            Policy::BufferAll => self.waiting.push(start),
            Policy::BufferOne if self.waiting.is_empty() => self.waiting.push(start),
            Policy::CancelOther | Policy::TerminateOther if is_open => {
                self.cancel |= policy == Policy::CancelOther;
                self.terminate |= policy == Policy::TerminateOther;
                self.waiting.push(start);
            }
            Policy::CancelOther | Policy::TerminateOther => self.next = Some(start),
            _ => self.skipped += 1,
        }
    }
}
