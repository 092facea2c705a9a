//! Deployments, without queues and executions.

#![allow(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]

use super::*;

const MINUTE: i64 = 60_000_000_000;

fn ask() -> Ask {
    Ask { identity: "me".into(), token: Vec::new() }
}

/// A deployment of two versions that poll queue `q`.
fn two() -> Record {
    let mut record = Record::new("n", "d", 1);
    for (build_id, now) in [("1", 1), ("2", 2)] {
        let version = record.add_version(build_id, now, |_| false).unwrap();
        assert!(version.add_queue("q", TaskQueueType::Workflow).unwrap());
    }
    record
}

fn statuses(record: &Record) -> Vec<VersionStatus> {
    record.versions.iter().map(Version::status).collect()
}

#[test]
fn a_version_becomes_current_and_drains_when_another_does() {
    let mut record = two();
    assert_eq!(record.current_of("q", TaskQueueType::Workflow), None);
    assert!(record.set_current("1", &ask(), 3, |_| false).unwrap());
    assert!(!record.set_current("1", &ask(), 4, |_| false).unwrap(), "it is current already");
    let current = record.current_of("q", TaskQueueType::Workflow).unwrap().version.unwrap();
    assert_eq!(current.to_string(), "d:1");
    assert_eq!(record.current_of("q", TaskQueueType::Activity), None, "nobody has polled that one");
    assert!(record.set_current("2", &ask(), 5, |_| false).unwrap());
    assert_eq!(statuses(&record), [VersionStatus::Draining, VersionStatus::Current]);
    let first = &mut record.versions[0];
    assert!(!first.check_drainage(5 + MINUTE, |_| false), "it is too early to tell");
    assert!(first.check_drainage(5 + 3 * MINUTE, |_| true));
    assert_eq!(first.status(), VersionStatus::Draining);
    assert!(first.check_drainage(5 + 6 * MINUTE, |_| false));
    assert_eq!(first.status(), VersionStatus::Drained);
    assert!(record.set_current("1", &ask(), 6, |_| false).unwrap());
    assert_eq!(statuses(&record), [VersionStatus::Current, VersionStatus::Draining]);
    assert_eq!(record.routing().revision_number, 3);
}

#[test]
fn a_ramp_ends_when_its_version_becomes_current() {
    let mut record = two();
    record.set_current("1", &ask(), 3, |_| false).unwrap();
    assert!(record.set_ramping(Some("2"), 30.0, &ask(), 4, |_| false).unwrap());
    assert_eq!(statuses(&record), [VersionStatus::Current, VersionStatus::Ramping]);
    assert_eq!(record.set_ramping(Some("1"), 5.0, &ask(), 5, |_| false), Err(Refused::AlreadyCurrent("d.1".into())));
    record.set_current("2", &ask(), 6, |_| false).unwrap();
    assert_eq!(statuses(&record), [VersionStatus::Draining, VersionStatus::Current]);
    assert_eq!(record.ramping_of("q", TaskQueueType::Workflow), None);
    // Workers without a version get a part of the work of the current one's queues.
    record.set_ramping(Some(""), 20.0, &ask(), 7, |_| false).unwrap();
    let ramp = record.ramping_of("q", TaskQueueType::Workflow).unwrap();
    assert_eq!((ramp.version, ramp.percentage), (None, 20.0));
    record.set_ramping(None, 0.0, &ask(), 8, |_| false).unwrap();
    assert_eq!(record.ramping_of("q", TaskQueueType::Workflow), None);
}

#[test]
fn what_is_in_use_is_not_deleted() {
    let mut record = two();
    record.set_current("1", &ask(), 3, |_| false).unwrap();
    record.set_current("2", &ask(), 4, |_| false).unwrap();
    let id = |build_id: &str| VersionId { deployment: "d".into(), build_id: build_id.into() };
    assert_eq!(record.delete_version("2", true, false, "me"), Err(Refused::Active(id("2"))));
    assert_eq!(record.delete_version("1", false, false, "me"), Err(Refused::Draining(id("1"))));
    assert_eq!(record.delete_version("1", true, true, "me"), Err(Refused::HasPollers(id("1"))));
    assert_eq!(record.delete_version("1", true, false, "me"), Ok(()));
    assert_eq!(record.delete_version("1", true, false, "me"), Ok(()), "it is gone already");
    assert_eq!(record.versions.len(), 1);
}

#[test]
fn a_manager_keeps_others_away_and_a_token_the_late() {
    let mut record = two();
    let seen = Ask { token: record.conflict_token(), ..ask() };
    record.set_manager("boss", &ask(), 3).unwrap();
    let refused = record.set_current("1", &ask(), 4, |_| false);
    assert!(matches!(refused, Err(Refused::Managed { .. })), "{refused:?}");
    record.set_manager("", &ask(), 5).unwrap();
    assert_eq!(record.set_current("1", &seen, 6, |_| false), Err(Refused::Conflict));
}

#[test]
fn the_number_of_versions_is_bounded_and_the_unused_make_room() {
    let mut record = Record::new("n", "d", 1);
    for number in 0..MAX_VERSIONS {
        record.add_version(&number.to_string(), 1, |_| false).unwrap();
    }
    assert!(record.add_version("more", 2, |_| true).is_err());
    assert!(record.add_version("more", 2, |id| id.build_id != "7").is_ok());
    assert!(record.version("7").is_none() && record.versions.len() == MAX_VERSIONS);
}
