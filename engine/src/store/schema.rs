//! The versions of the file's schema. Files only move forward: to change the schema, append a step; a step that has
//! been released is never edited.

use rusqlite::{Connection, TransactionBehavior};

/// Marks the file as ours in its header: "dixe".
pub(super) const APPLICATION_ID: i32 = 0x6469_7865;

/// Step *n* takes a file from version *n* to *n* + 1.
const STEPS: [&str; 6] = [
    include_str!("schema/0001_initial.sql"),
    include_str!("schema/0002_schedules.sql"),
    include_str!("schema/0003_batch_jobs.sql"),
    include_str!("schema/0004_deployments_and_activities.sql"),
    include_str!("schema/0005_task_queues.sql"),
    include_str!("schema/0006_nexus_endpoints.sql"),
];

/// The version that this release writes.
#[expect(clippy::cast_possible_wrap, reason = "a handful of steps")]
pub(super) const VERSION: i64 = STEPS.len() as i64;

/// What the header of a file says about its schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Ours, of this version; 0 for a file without content.
    Ours(i64),
    /// Ours, of a later release.
    Newer(i64),
    /// Another application's.
    Foreign(i32),
}

/// Reads the header. Changes nothing.
pub(super) fn inspect(connection: &Connection) -> rusqlite::Result<Found> {
    let application_id: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(match application_id {
        APPLICATION_ID if version > VERSION => Found::Newer(version),
        APPLICATION_ID => Found::Ours(version.max(0)),
        0 if version == 0 && tables == 0 => Found::Ours(0),
        other => Found::Foreign(other),
    })
}

/// Takes the file from version `from` to the present one, each step in a transaction of its own.
pub(super) fn migrate(connection: &mut Connection, from: i64) -> rusqlite::Result<()> {
    for (version, step) in (1_i64..).zip(STEPS).filter(|(version, _)| *version > from) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", version)?;
        transaction.commit()?;
    }
    // Has the planner read the statistics that the steps have written.
    connection.execute_batch("ANALYZE sqlite_schema")
}
