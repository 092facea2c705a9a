//! Reading and writing Nexus endpoints.

use rusqlite::{Connection, params};

use super::{error::Fault, types::EndpointRow};

pub(super) fn put(connection: &Connection, row: &EndpointRow) -> Result<(), Fault> {
    let Some(data) = &row.data else {
        connection.prepare_cached("DELETE FROM nexus_endpoints WHERE id = ?1")?.execute([&row.id])?;
        return Ok(());
    };
    let mut statement = connection.prepare_cached(
        "INSERT INTO nexus_endpoints (id, data) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET data = excluded.data",
    )?;
    statement.execute(params![row.id, data])?;
    Ok(())
}

pub(super) fn all(connection: &Connection) -> rusqlite::Result<Vec<EndpointRow>> {
    connection
        .prepare_cached("SELECT id, data FROM nexus_endpoints ORDER BY id")?
        .query_map([], |row| Ok(EndpointRow { id: row.get(0)?, data: Some(row.get(1)?) }))?
        .collect()
}
