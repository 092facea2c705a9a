//! Reading and writing worker deployments.

use rusqlite::{Connection, Row, params};

use super::{error::Fault, types::DeploymentRow};

pub(super) fn put(connection: &Connection, row: &DeploymentRow) -> Result<(), Fault> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO deployments (namespace, name, data) VALUES (?1, ?2, ?3) \
         ON CONFLICT (namespace, name) DO UPDATE SET data = excluded.data",
    )?;
    statement.execute(params![row.namespace, row.name, row.data])?;
    Ok(())
}

pub(super) fn delete(connection: &Connection, namespace: &str, name: &str) -> Result<(), Fault> {
    connection
        .prepare_cached("DELETE FROM deployments WHERE namespace = ?1 AND name = ?2")?
        .execute([namespace, name])?;
    Ok(())
}

pub(super) fn all(connection: &Connection) -> rusqlite::Result<Vec<DeploymentRow>> {
    connection
        .prepare_cached("SELECT namespace, name, data FROM deployments ORDER BY namespace, name")?
        .query_map([], deployment)?
        .collect()
}

fn deployment(row: &Row<'_>) -> rusqlite::Result<DeploymentRow> {
    Ok(DeploymentRow { namespace: row.get(0)?, name: row.get(1)?, data: row.get(2)? })
}
