//! Reading and writing activities that stand alone.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{error::Fault, types::ActivityRow};
use crate::clock::Timestamp;

pub(super) fn put(connection: &Connection, row: &ActivityRow) -> Result<(), Fault> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO activity_executions (key, namespace, activity_id, run_id, close_time, data) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
         ON CONFLICT (key) DO UPDATE SET close_time = excluded.close_time, data = excluded.data",
    )?;
    statement.execute(params![row.key, row.namespace, row.activity_id, row.run_id, row.close_time, row.data])?;
    Ok(())
}

pub(super) fn put_input(connection: &Connection, key: i64, input: &[u8]) -> Result<(), Fault> {
    connection
        .prepare_cached("INSERT INTO activity_inputs (key, input) VALUES (?1, ?2)")?
        .execute(params![key, input])?;
    Ok(())
}

pub(super) fn delete(connection: &Connection, key: i64) -> Result<(), Fault> {
    connection.prepare_cached("DELETE FROM activity_inputs WHERE key = ?1")?.execute([key])?;
    connection.prepare_cached("DELETE FROM activity_executions WHERE key = ?1")?.execute([key])?;
    Ok(())
}

/// All of a namespace.
pub(super) fn delete_namespace(connection: &Connection, namespace: &str) -> Result<(), Fault> {
    for statement in [
        "DELETE FROM activity_inputs WHERE key IN (SELECT key FROM activity_executions WHERE namespace = ?1)",
        "DELETE FROM activity_executions WHERE namespace = ?1",
    ] {
        connection.prepare_cached(statement)?.execute([namespace])?;
    }
    Ok(())
}

pub(super) fn open(connection: &Connection) -> rusqlite::Result<Vec<ActivityRow>> {
    connection
        .prepare_cached(
            "SELECT key, namespace, activity_id, run_id, close_time, data FROM activity_executions \
             WHERE close_time IS NULL ORDER BY key",
        )?
        .query_map([], activity)?
        .collect()
}

/// The run of that id; without one, the last.
pub(super) fn find(
    connection: &Connection,
    namespace: &str,
    activity_id: &str,
    run_id: &str,
) -> rusqlite::Result<Option<ActivityRow>> {
    connection
        .prepare_cached(
            "SELECT key, namespace, activity_id, run_id, close_time, data FROM activity_executions \
             WHERE namespace = ?1 AND activity_id = ?2 AND (?3 = '' OR run_id = ?3) ORDER BY key DESC LIMIT 1",
        )?
        .query_row([namespace, activity_id, run_id], activity)
        .optional()
}

/// Those of a namespace whose keys are below `before`, the last first.
pub(super) fn page(
    connection: &Connection,
    namespace: &str,
    before: i64,
    limit: usize,
) -> rusqlite::Result<Vec<ActivityRow>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    connection
        .prepare_cached(
            "SELECT key, namespace, activity_id, run_id, close_time, data FROM activity_executions \
             WHERE namespace = ?1 AND key < ?2 ORDER BY key DESC LIMIT ?3",
        )?
        .query_map(params![namespace, before, limit], activity)?
        .collect()
}

pub(super) fn closed_before(
    connection: &Connection,
    namespace: &str,
    time: Timestamp,
    limit: usize,
) -> rusqlite::Result<Vec<i64>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    connection
        .prepare_cached(
            "SELECT key FROM activity_executions WHERE namespace = ?1 AND close_time IS NOT NULL AND close_time < ?2 \
             ORDER BY close_time LIMIT ?3",
        )?
        .query_map(params![namespace, time, limit], |row| row.get(0))?
        .collect()
}

pub(super) fn input(connection: &Connection, key: i64) -> rusqlite::Result<Option<Vec<u8>>> {
    connection
        .prepare_cached("SELECT input FROM activity_inputs WHERE key = ?1")?
        .query_row([key], |row| row.get(0))
        .optional()
}

fn activity(row: &Row<'_>) -> rusqlite::Result<ActivityRow> {
    Ok(ActivityRow {
        key: row.get(0)?,
        namespace: row.get(1)?,
        activity_id: row.get(2)?,
        run_id: row.get(3)?,
        close_time: row.get(4)?,
        data: row.get(5)?,
    })
}
