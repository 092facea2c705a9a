//! What only a file has: it may be another's.

use super::*;

#[test]
fn files_of_others_are_not_touched() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("health.db");
    std::fs::write(&path, "this is a diary, not a database").unwrap();
    let error = open::for_writing(&path).unwrap_err();
    assert!(matches!(error, HistoryError::Foreign { .. }) && error.is_a_wrong_choice(), "{error}");
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(Query::open(&Place::File(path.clone())), Err(HistoryError::Missing { .. })));
    let first = open::for_writing(&path).unwrap();
    assert!(matches!(open::for_writing(&path), Err(HistoryError::InUse { .. })));
    first.connection.pragma_update(None, "user_version", 99).unwrap();
    drop(first);
    assert!(matches!(open::for_writing(&path), Err(HistoryError::Newer { found: 99, .. })));
}
