//! Priorities: which of several tasks goes first, as a workflow and its activities say.

use temporalio_common::protos::temporal::api::common::v1::Priority;

/// An activity's priority: what it does not say, its workflow does (`priorities.Merge` of Temporal's server).
pub(crate) fn merged(workflow: Option<&Priority>, activity: Option<&Priority>) -> Option<Priority> {
    let (Some(base), Some(over)) = (workflow, activity) else { return activity.or(workflow).cloned() };
    let key = if over.fairness_key.is_empty() { &base.fairness_key } else { &over.fairness_key };
    Some(Priority {
        priority_key: if over.priority_key == 0 { base.priority_key } else { over.priority_key },
        fairness_key: key.clone(),
        fairness_weight: if over.fairness_weight == 0.0 { base.fairness_weight } else { over.fairness_weight },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_activity_does_not_say_its_workflow_does() {
        let workflow = Priority { priority_key: 2, fairness_key: "w".into(), fairness_weight: 4.0 };
        let activity = Priority { fairness_key: "a".into(), ..Priority::default() };
        let both = Priority { priority_key: 2, fairness_key: "a".into(), fairness_weight: 4.0 };
        assert_eq!(merged(Some(&workflow), Some(&activity)), Some(both));
        assert_eq!(merged(Some(&workflow), None), Some(workflow));
        assert_eq!(merged(None, None), None);
    }
}
