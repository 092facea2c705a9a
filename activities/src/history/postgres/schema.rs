//! The versions of the schema `dixmgr` in a database. It only moves forward: to change it, append a step; a step that has been
//! released is never edited.

use tokio_postgres::Client;

use super::super::database::Fault;

/// Step *n* takes the schema from version *n* to *n* + 1.
const STEPS: [&str; 1] = [include_str!("schema/0001_initial.sql")];

/// The version that this release writes.
#[expect(clippy::cast_possible_wrap, reason = "a handful of steps")]
pub(super) const VERSION: i64 = STEPS.len() as i64;

/// Key of the lock under which one host at a time changes the schema: "dixh".
const LOCK: i64 = 0x6469_7868;

/// The version of the schema that is there; 0 when there is none.
pub(super) async fn version(client: &Client) -> Result<i64, Fault> {
    let there = "SELECT EXISTS (SELECT 1 FROM pg_tables WHERE schemaname = 'dixmgr' AND tablename = 'schema_version')";
    if !client.query_one(there, &[]).await?.try_get::<_, bool>(0)? {
        return Ok(0);
    }
    let found: i64 = client.query_one("SELECT max(version) FROM dixmgr.schema_version", &[]).await?.try_get(0)?;
    if found > VERSION { Err(Fault::NewerSchema { found, known: VERSION }) } else { Ok(found) }
}

/// Brings the schema to the present version, whoever else tries to at the same time. All of it is one transaction.
pub(super) async fn migrate(client: &Client) -> Result<(), Fault> {
    if version(client).await? == VERSION {
        return Ok(());
    }
    client.batch_execute("BEGIN").await?;
    let moved = move_forward(client).await;
    client.batch_execute(if moved.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
    moved
}

async fn move_forward(client: &Client) -> Result<(), Fault> {
    client.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await?;
    let from = version(client).await?;
    // Asked first: whoever may only use a schema that is there may not make one.
    let there = "SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = 'dixmgr')";
    if !client.query_one(there, &[]).await?.try_get::<_, bool>(0)? {
        client.batch_execute("CREATE SCHEMA dixmgr").await?;
    }
    for (version, step) in (1_i64..).zip(STEPS).filter(|(version, _)| *version > from) {
        client.batch_execute(step).await?;
        client.execute("INSERT INTO dixmgr.schema_version (version) VALUES ($1)", &[&version]).await?;
    }
    Ok(())
}
