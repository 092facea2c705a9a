//! Reading and writing schedules.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{error::Fault, types::ScheduleRow};

pub(super) fn put(connection: &Connection, row: &ScheduleRow) -> Result<(), Fault> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO schedules (namespace, schedule_id, data) VALUES (?1, ?2, ?3) \
         ON CONFLICT (namespace, schedule_id) DO UPDATE SET data = excluded.data",
    )?;
    statement.execute(params![row.namespace, row.schedule_id, row.data])?;
    Ok(())
}

pub(super) fn delete(connection: &Connection, namespace: &str, schedule_id: &str) -> Result<(), Fault> {
    connection
        .prepare_cached("DELETE FROM schedules WHERE namespace = ?1 AND schedule_id = ?2")?
        .execute([namespace, schedule_id])?;
    Ok(())
}

pub(super) fn all(connection: &Connection) -> rusqlite::Result<Vec<ScheduleRow>> {
    connection
        .prepare_cached("SELECT namespace, schedule_id, data FROM schedules ORDER BY namespace, schedule_id")?
        .query_map([], schedule)?
        .collect()
}

pub(super) fn find(
    connection: &Connection,
    namespace: &str,
    schedule_id: &str,
) -> rusqlite::Result<Option<ScheduleRow>> {
    connection
        .prepare_cached("SELECT namespace, schedule_id, data FROM schedules WHERE namespace = ?1 AND schedule_id = ?2")?
        .query_row([namespace, schedule_id], schedule)
        .optional()
}

fn schedule(row: &Row<'_>) -> rusqlite::Result<ScheduleRow> {
    Ok(ScheduleRow { namespace: row.get(0)?, schedule_id: row.get(1)?, data: row.get(2)? })
}
