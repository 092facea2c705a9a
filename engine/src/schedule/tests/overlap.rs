//! Starts that overlap.

use temporalio_common::protos::temporal::api::enums::v1::ScheduleOverlapPolicy as Policy;

use crate::schedule::{
    overlap::{Verdict, judge},
    record::Waiting,
};

fn start(nominal: i64, policy: Policy) -> Waiting {
    Waiting { nominal, actual: nominal, overlap_policy: policy.into(), manual: false }
}

fn three(policy: Policy, is_open: bool) -> Verdict {
    judge((1..=3).map(|nominal| start(nominal, Policy::Unspecified)).collect(), is_open, policy)
}

fn nominal(starts: &[Waiting]) -> Vec<i64> {
    starts.iter().map(|start| start.nominal).collect()
}

#[test]
fn with_nothing_open_one_start_goes_ahead() {
    for (policy, next, waiting, skipped) in [
        (Policy::Skip, 1, vec![], 2),
        (Policy::BufferOne, 1, vec![2], 1),
        (Policy::BufferAll, 1, vec![2, 3], 0),
        (Policy::CancelOther, 3, vec![], 0),
        (Policy::TerminateOther, 3, vec![], 0),
    ] {
        let verdict = three(policy, false);
        assert_eq!(verdict.next.as_ref().map(|start| start.nominal), Some(next), "{policy:?}");
        assert_eq!(nominal(&verdict.waiting), waiting, "{policy:?}");
        assert_eq!((verdict.skipped, verdict.cancel, verdict.terminate), (skipped, false, false), "{policy:?}");
    }
}

#[test]
fn with_a_run_open_the_policy_decides() {
    for (policy, waiting, skipped, cancel, terminate) in [
        (Policy::Skip, vec![], 3, false, false),
        (Policy::BufferOne, vec![1], 2, false, false),
        (Policy::BufferAll, vec![1, 2, 3], 0, false, false),
        (Policy::CancelOther, vec![1, 2, 3], 0, true, false),
        (Policy::TerminateOther, vec![1, 2, 3], 0, false, true),
    ] {
        let verdict = three(policy, true);
        assert_eq!(verdict.next, None, "{policy:?}");
        assert_eq!(nominal(&verdict.waiting), waiting, "{policy:?}");
        assert_eq!((verdict.skipped, verdict.cancel, verdict.terminate), (skipped, cancel, terminate), "{policy:?}");
    }
}

#[test]
fn what_may_overlap_all_starts_at_once() {
    assert_eq!(nominal(&three(Policy::AllowAll, true).overlapping), [1, 2, 3]);
    let mixed = vec![start(1, Policy::AllowAll), start(2, Policy::TerminateOther)];
    let verdict = judge(mixed, true, Policy::Skip);
    assert!(verdict.terminate && verdict.overlapping.is_empty(), "it would be ended at once");
    let own = judge(vec![start(1, Policy::AllowAll), start(2, Policy::Unspecified)], true, Policy::Skip);
    assert_eq!((nominal(&own.overlapping), own.skipped), (vec![1], 1), "a start's own policy comes first");
}
