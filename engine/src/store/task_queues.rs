//! Reading and writing what is set of task queues.

use rusqlite::{Connection, Row, params};

use super::{error::Fault, types::TaskQueueRow};

pub(super) fn put(connection: &Connection, row: &TaskQueueRow) -> Result<(), Fault> {
    let Some(data) = &row.data else {
        connection
            .prepare_cached("DELETE FROM task_queues WHERE namespace = ?1 AND name = ?2 AND kind = ?3")?
            .execute(params![row.namespace, row.name, row.kind])?;
        return Ok(());
    };
    let mut statement = connection.prepare_cached(
        "INSERT INTO task_queues (namespace, name, kind, data) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (namespace, name, kind) DO UPDATE SET data = excluded.data",
    )?;
    statement.execute(params![row.namespace, row.name, row.kind, data])?;
    Ok(())
}

pub(super) fn all(connection: &Connection) -> rusqlite::Result<Vec<TaskQueueRow>> {
    connection
        .prepare_cached("SELECT namespace, name, kind, data FROM task_queues ORDER BY namespace, name, kind")?
        .query_map([], task_queue)?
        .collect()
}

fn task_queue(row: &Row<'_>) -> rusqlite::Result<TaskQueueRow> {
    Ok(TaskQueueRow { namespace: row.get(0)?, name: row.get(1)?, kind: row.get(2)?, data: Some(row.get(3)?) })
}
