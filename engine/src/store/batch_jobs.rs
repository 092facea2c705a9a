//! Reading and writing batch operations.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{error::Fault, types::BatchJobRow};

pub(super) fn put(connection: &Connection, row: &BatchJobRow) -> Result<(), Fault> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO batch_jobs (namespace, job_id, data) VALUES (?1, ?2, ?3) \
         ON CONFLICT (namespace, job_id) DO UPDATE SET data = excluded.data",
    )?;
    statement.execute(params![row.namespace, row.job_id, row.data])?;
    Ok(())
}

pub(super) fn delete(connection: &Connection, namespace: &str, job_id: &str) -> Result<(), Fault> {
    connection
        .prepare_cached("DELETE FROM batch_jobs WHERE namespace = ?1 AND job_id = ?2")?
        .execute([namespace, job_id])?;
    Ok(())
}

pub(super) fn all(connection: &Connection) -> rusqlite::Result<Vec<BatchJobRow>> {
    connection
        .prepare_cached("SELECT namespace, job_id, data FROM batch_jobs ORDER BY namespace, job_id")?
        .query_map([], job)?
        .collect()
}

pub(super) fn find(connection: &Connection, namespace: &str, job_id: &str) -> rusqlite::Result<Option<BatchJobRow>> {
    connection
        .prepare_cached("SELECT namespace, job_id, data FROM batch_jobs WHERE namespace = ?1 AND job_id = ?2")?
        .query_row([namespace, job_id], job)
        .optional()
}

fn job(row: &Row<'_>) -> rusqlite::Result<BatchJobRow> {
    Ok(BatchJobRow { namespace: row.get(0)?, job_id: row.get(1)?, data: row.get(2)? })
}
