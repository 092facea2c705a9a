//! Whose file it is, and that only one can have it.
#![allow(clippy::unwrap_used)]

use std::{fs, os::unix::fs::PermissionsExt};

use rusqlite::Connection;

use super::{Batch, Store, StoreError, closed, dump, options, put, run};
use crate::store::{ScheduleRow, schema};

#[test]
fn a_store_is_the_same_after_it_was_closed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("engine.db");
    let mut store = Store::open(&path, &options()).unwrap();
    store.commit(&put((1..=20).map(run))).unwrap();
    store.commit(&Batch { delete_executions: vec![run(3).key], ..put([closed(run(2), 9)]) }).unwrap();
    let before = dump(&store);
    drop(store);

    let mut store = Store::open(&path, &options()).unwrap();
    assert_eq!(dump(&store), before);
    assert_eq!(store.next_key(), run(21).key);
    assert_eq!(store.next_key(), run(22).key);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

/// A file of the first release, which had no schedules.
#[test]
fn a_file_without_schedules_gets_room_for_them_and_keeps_the_rest() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("engine.db");
    let mut store = Store::open(&path, &options()).unwrap();
    store.commit(&put((1..=20).map(run))).unwrap();
    let before = dump(&store);
    drop(store);
    let connection = Connection::open(&path).unwrap();
    for later in [
        "schedules",
        "batch_jobs",
        "deployments",
        "activity_executions",
        "activity_inputs",
        "task_queues",
        "nexus_endpoints",
    ] {
        connection.execute_batch(&format!("DROP TABLE {later}")).unwrap();
    }
    connection.pragma_update(None, "user_version", 1).unwrap();
    drop(connection);

    let mut store = Store::open(&path, &options()).unwrap();
    assert_eq!(dump(&store), before);
    let row = |id: &str, data: u8| ScheduleRow { namespace: "n".into(), schedule_id: id.into(), data: vec![data] };
    store.commit(&Batch { put_schedules: vec![row("a", 1), row("b", 1), row("a", 2)], ..Batch::default() }).unwrap();
    let gone = ("n".to_owned(), "b".to_owned());
    store.commit(&Batch { delete_schedules: vec![gone], ..Batch::default() }).unwrap();
    drop(store);
    let store = Store::open(&path, &options()).unwrap();
    assert_eq!(store.load_schedules().unwrap(), [row("a", 2)]);
    assert_eq!(store.find_schedule("n", "a").unwrap(), Some(row("a", 2)));
    assert_eq!(store.find_schedule("n", "b").unwrap(), None);
}

#[test]
fn a_second_opener_is_refused_until_the_first_is_done() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("engine.db");
    let first = Store::open(&path, &options()).unwrap();
    let refused = Store::open(&path, &options()).unwrap_err();
    assert!(matches!(refused, StoreError::Locked { .. }), "{refused:?}");
    assert!(refused.to_string().contains("in use by another process"));
    drop(first);
    Store::open(&path, &options()).unwrap();
}

#[test]
fn a_store_that_only_reads_is_locked_too() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("engine.db");
    drop(Store::open(&path, &options()).unwrap());
    let reopened = Store::open(&path, &options()).unwrap();
    assert!(matches!(Store::open(&path, &options()), Err(StoreError::Locked { .. })));
    drop(reopened);
}

#[test]
fn a_newer_file_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("engine.db");
    drop(Store::open(&path, &options()).unwrap());
    Connection::open(&path).unwrap().pragma_update(None, "user_version", schema::VERSION + 1).unwrap();
    let before = fs::read(&path).unwrap();

    let refused = Store::open(&path, &options()).unwrap_err();
    assert!(matches!(refused, StoreError::NewerVersion { found, known, .. } if found == known + 1), "{refused:?}");
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn the_database_of_another_application_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("other.db");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE notes (text TEXT)").unwrap();
    let before = fs::read(&path).unwrap();

    let refused = Store::open(&path, &options()).unwrap_err();
    assert!(matches!(refused, StoreError::Foreign { application_id: 0, .. }), "{refused:?}");
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_missing_directory_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("missing").join("engine.db");
    let refused = Store::open(&path, &options()).unwrap_err();
    assert!(matches!(refused, StoreError::Io { .. }), "{refused:?}");
    assert!(refused.to_string().contains("missing/engine.db"));
}
