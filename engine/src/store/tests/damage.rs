//! Damaged files, torn logs, full disks.
#![allow(clippy::unwrap_used)]

use std::{
    fs::{self, OpenOptions},
    os::unix::fs::FileExt,
    path::Path,
};

use super::{Batch, IntegrityCheck, Store, StoreError, StoreOptions, dump, options, put, run};

fn filled(path: &Path) {
    let mut store = Store::open(path, &options()).unwrap();
    store.commit(&put((1..=2_000).map(run))).unwrap();
}

#[test]
fn a_file_that_is_no_database_says_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("engine.db");
    fs::write(&path, "this is a text file, and long enough to be looked at. ".repeat(40)).unwrap();
    let refused = Store::open(&path, &options()).unwrap_err();
    assert!(matches!(refused, StoreError::Corrupt { .. }), "{refused:?}");
    assert!(refused.to_string().contains("restore it from a backup"));
}

#[test]
fn damage_is_found_at_open() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("engine.db");
    filled(&path);
    let length = fs::metadata(&path).unwrap().len();
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    for offset in (8_192..length - 4_096).step_by(4_096) {
        file.write_all_at(&[0xa5; 512], offset).unwrap();
    }
    drop(file);

    let always = StoreOptions { integrity_check: IntegrityCheck::Always, ..options() };
    for checking in [options(), always] {
        let refused = Store::open(&path, &checking).unwrap_err();
        assert!(matches!(refused, StoreError::Corrupt { .. }), "{refused:?}");
    }
}

#[test]
fn a_large_file_is_not_read_at_open_unless_asked() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("engine.db");
    filled(&path);
    let length = fs::metadata(&path).unwrap().len();
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&[0xa5; 512], length / 4_096 / 2 * 4_096).unwrap();
    drop(file);

    let small_only = StoreOptions { integrity_check: IntegrityCheck::UpTo(length - 1), ..options() };
    Store::open(&path, &small_only).unwrap();
    let this_large = StoreOptions { integrity_check: IntegrityCheck::UpTo(length), ..options() };
    assert!(matches!(Store::open(&path, &this_large), Err(StoreError::Corrupt { .. })));
}

/// What a crash leaves is the file with a log that ends anywhere. Whatever the point, the store is then what it was
/// after some commit, and a longer log never gives an earlier one.
#[test]
fn a_torn_log_loses_whole_commits_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("engine.db");
    let mut store = Store::open(&path, &options()).unwrap();
    let mut states = vec![dump(&store)];
    for n in 1..=12 {
        let batch = Batch {
            append_history: vec![(run(n).key, 1, 3, vec![7; 3_000])],
            set_current: vec![("default".into(), format!("workflow-{n}"), run(n).key)],
            ..put([run(n), run(100 + n)])
        };
        store.commit(&batch).unwrap();
        states.push(dump(&store));
    }

    let log = fs::read(path.with_extension("db-wal")).unwrap();
    let copy = directory.path().join("copy.db");
    let mut reached = 0;
    for length in (0..log.len()).step_by(1_499).chain([log.len()]) {
        fs::copy(&path, &copy).unwrap();
        fs::write(copy.with_extension("db-wal"), &log[..length]).unwrap();
        let found = dump(&Store::open(&copy, &options()).unwrap());
        let state = states.iter().position(|state| *state == found);
        assert!(state.is_some_and(|state| state >= reached), "log cut at {length}: {found}");
        reached = state.unwrap();
        fs::remove_file(&copy).unwrap();
    }
    assert_eq!(reached, states.len() - 1);
}

#[test]
fn a_full_disk_loses_nothing_and_work_goes_on_when_there_is_room() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("engine.db");
    let small = StoreOptions { max_bytes: Some(400_000), ..options() };
    let mut store = Store::open(&path, &small).unwrap();
    let batch = |n: i64| Batch { append_history: vec![(run(n).key, 1, 9, vec![1; 20_000])], ..put([run(n)]) };

    let mut stored = 0;
    let refused = loop {
        let before = dump(&store);
        match store.commit(&batch(stored + 1)) {
            Ok(()) => stored += 1,
            Err(error) => {
                assert_eq!(dump(&store), before);
                break error;
            }
        }
    };
    assert!(stored > 5, "{stored}");
    assert!(matches!(refused, StoreError::Full { .. }), "{refused:?}");
    assert!(refused.to_string().contains("no room left"));
    assert!(matches!(store.commit(&batch(stored + 1)), Err(StoreError::Full { .. })));

    store.commit(&Batch { delete_executions: vec![run(1).key, run(2).key], ..Batch::default() }).unwrap();
    store.commit(&batch(stored + 1)).unwrap();
    drop(store);
    let store = Store::open(&path, &options()).unwrap();
    assert!(store.load_execution(run(stored + 1).key).unwrap().is_some());
}
