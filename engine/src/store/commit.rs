//! Applies a batch inside a transaction that the caller begins and ends.

use rusqlite::{Connection, OptionalExtension, params};

use super::{
    Batch, ExecutionKey, ExecutionRow, activities, attributes, batch_jobs, deployments, endpoints,
    error::Fault,
    schedules, task_queues,
    types::{NamespaceRow, PendingKind, RunRef},
};

pub(super) fn apply(connection: &Connection, batch: &Batch) -> Result<(), Fault> {
    batch.put_namespaces.iter().try_for_each(|row| put_namespace(connection, row))?;
    batch.put_executions.iter().try_for_each(|row| put_execution(connection, row))?;
    batch.update_state.iter().try_for_each(|(key, state)| update_state(connection, *key, state))?;
    for (key, kind, id, data) in &batch.put_pending {
        put_pending(connection, *key, *kind, *id, data)?;
    }
    for (key, kind, id) in &batch.delete_pending {
        delete_pending(connection, *key, *kind, *id)?;
    }
    for (key, first, last, events) in &batch.append_history {
        append_history(connection, *key, (*first, *last), events)?;
    }
    for (namespace, workflow_id, key) in &batch.set_current {
        set_current(connection, namespace, workflow_id, *key)?;
    }
    batch.close_executions.iter().try_for_each(|key| close_execution(connection, *key))?;
    batch.delete_executions.iter().try_for_each(|key| delete_execution(connection, *key))?;
    batch.delete_namespaces.iter().try_for_each(|name| delete_namespace(connection, name))?;
    batch.put_schedules.iter().try_for_each(|row| schedules::put(connection, row))?;
    batch.delete_schedules.iter().try_for_each(|(namespace, id)| schedules::delete(connection, namespace, id))?;
    batch.put_batch_jobs.iter().try_for_each(|row| batch_jobs::put(connection, row))?;
    batch.delete_batch_jobs.iter().try_for_each(|(namespace, id)| batch_jobs::delete(connection, namespace, id))?;
    batch.put_activities.iter().try_for_each(|row| activities::put(connection, row))?;
    batch.put_activity_inputs.iter().try_for_each(|(key, input)| activities::put_input(connection, *key, input))?;
    batch.delete_activities.iter().try_for_each(|key| activities::delete(connection, *key))?;
    batch.delete_activities_of.iter().try_for_each(|name| activities::delete_namespace(connection, name))?;
    batch.put_task_queues.iter().try_for_each(|row| task_queues::put(connection, row))?;
    batch.put_endpoints.iter().try_for_each(|row| endpoints::put(connection, row))?;
    batch.put_deployments.iter().try_for_each(|row| deployments::put(connection, row))?;
    batch.delete_deployments.iter().try_for_each(|(namespace, name)| deployments::delete(connection, namespace, name))
}

fn put_namespace(connection: &Connection, row: &NamespaceRow) -> Result<(), Fault> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO namespaces (name, data) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET data = excluded.data",
    )?;
    statement.execute(params![row.name, row.data])?;
    Ok(())
}

fn delete_namespace(connection: &Connection, name: &str) -> Result<(), Fault> {
    connection.prepare_cached("DELETE FROM namespaces WHERE name = ?1")?.execute([name])?;
    Ok(())
}

/// What identifies a run never changes, so an update leaves it, and the indexes over it, alone.
const PUT_EXECUTION: &str = "
    INSERT INTO executions (
        key, namespace, workflow_id, run_id, workflow_type, task_queue, status, start_time, execution_time, close_time,
        history_length, history_size_bytes, state_transition_count, parent_workflow_id, parent_run_id,
        root_workflow_id, root_run_id, memo, search_attributes, encoded_search_attributes
    ) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)
    ON CONFLICT (key) DO UPDATE SET
        task_queue = excluded.task_queue,
        status = excluded.status,
        execution_time = excluded.execution_time,
        close_time = excluded.close_time,
        history_length = excluded.history_length,
        history_size_bytes = excluded.history_size_bytes,
        state_transition_count = excluded.state_transition_count,
        memo = excluded.memo,
        search_attributes = excluded.search_attributes,
        encoded_search_attributes = excluded.encoded_search_attributes";

fn put_execution(connection: &Connection, row: &ExecutionRow) -> Result<(), Fault> {
    let visibility = &row.visibility;
    let attributes = attributes::encode(&visibility.search_attributes);
    let before: Option<Vec<u8>> = connection
        .prepare_cached("SELECT search_attributes FROM executions WHERE key = ?1")?
        .query_row([row.key.0], |row| row.get(0))
        .optional()?;
    let (parent_workflow_id, parent_run_id) = ids(visibility.parent.as_ref());
    let (root_workflow_id, root_run_id) = ids(visibility.root.as_ref());
    connection.prepare_cached(PUT_EXECUTION)?.execute(params![
        row.key.0,
        row.namespace,
        row.workflow_id,
        row.run_id,
        visibility.workflow_type,
        visibility.task_queue,
        visibility.status,
        visibility.start_time,
        visibility.execution_time,
        visibility.close_time,
        visibility.history_length,
        visibility.history_size_bytes,
        visibility.state_transition_count,
        parent_workflow_id,
        parent_run_id,
        root_workflow_id,
        root_run_id,
        visibility.memo,
        attributes,
        visibility.encoded_search_attributes,
    ])?;
    connection
        .prepare_cached(
            "INSERT INTO execution_states (key, state) VALUES (?1, ?2) \
             ON CONFLICT (key) DO UPDATE SET state = excluded.state",
        )?
        .execute(params![row.key.0, row.state])?;
    if before.unwrap_or_default() != attributes {
        index_attributes(connection, row)?;
    }
    Ok(())
}

fn ids(run: Option<&RunRef>) -> (Option<&str>, Option<&str>) {
    (run.map(|run| run.workflow_id.as_str()), run.map(|run| run.run_id.as_str()))
}

fn index_attributes(connection: &Connection, row: &ExecutionRow) -> Result<(), Fault> {
    delete_from(connection, "DELETE FROM search_attributes WHERE key = ?1", row.key)?;
    let mut insert = connection.prepare_cached(
        "INSERT INTO search_attributes (key, name, kind, ordinal, value) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    for (name, value) in &row.visibility.search_attributes {
        let (kind, values) = attributes::index_values(value);
        for (ordinal, value) in (0_i64..).zip(values) {
            insert.execute(params![row.key.0, name, kind.number(), ordinal, value])?;
        }
    }
    Ok(())
}

fn update_state(connection: &Connection, key: ExecutionKey, state: &[u8]) -> Result<(), Fault> {
    let mut statement = connection.prepare_cached("UPDATE execution_states SET state = ?2 WHERE key = ?1")?;
    match statement.execute(params![key.0, state])? {
        0 => Err(Fault::Misuse(format!("state of run {} updated, which is not stored", key.0))),
        _ => Ok(()),
    }
}

fn put_pending(
    connection: &Connection,
    key: ExecutionKey,
    kind: PendingKind,
    id: i64,
    data: &[u8],
) -> Result<(), Fault> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO pending (key, kind, id, data) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (key, kind, id) DO UPDATE SET data = excluded.data",
    )?;
    statement.execute(params![key.0, kind.0, id, data])?;
    Ok(())
}

fn delete_pending(connection: &Connection, key: ExecutionKey, kind: PendingKind, id: i64) -> Result<(), Fault> {
    connection
        .prepare_cached("DELETE FROM pending WHERE key = ?1 AND kind = ?2 AND id = ?3")?
        .execute(params![key.0, kind.0, id])?;
    Ok(())
}

fn append_history(
    connection: &Connection,
    key: ExecutionKey,
    (first, last): (i64, i64),
    events: &[u8],
) -> Result<(), Fault> {
    if last < first {
        return Err(Fault::Misuse(format!("history of run {}: events {first} to {last} appended", key.0)));
    }
    let mut statement = connection
        .prepare_cached("INSERT INTO history (key, first_event_id, last_event_id, events) VALUES (?1, ?2, ?3, ?4)")?;
    statement.execute(params![key.0, first, last, events])?;
    Ok(())
}

fn set_current(connection: &Connection, namespace: &str, workflow_id: &str, key: ExecutionKey) -> Result<(), Fault> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO current_executions (namespace, workflow_id, key) VALUES (?1, ?2, ?3) \
         ON CONFLICT (namespace, workflow_id) DO UPDATE SET key = excluded.key",
    )?;
    statement.execute(params![namespace, workflow_id, key.0])?;
    Ok(())
}

fn close_execution(connection: &Connection, key: ExecutionKey) -> Result<(), Fault> {
    let closed: Option<bool> = connection
        .prepare_cached("SELECT close_time IS NOT NULL FROM executions WHERE key = ?1")?
        .query_row([key.0], |row| row.get(0))
        .optional()?;
    if closed != Some(true) {
        return Err(Fault::Misuse(format!("run {} closed, which is not stored with a close time", key.0)));
    }
    delete_from(connection, "DELETE FROM pending WHERE key = ?1", key)
}

/// Forgets the run `key`.
pub(super) fn delete_execution(connection: &Connection, key: ExecutionKey) -> Result<(), Fault> {
    for statement in [
        "DELETE FROM current_executions WHERE key = ?1 AND (namespace, workflow_id) = \
         (SELECT namespace, workflow_id FROM executions WHERE executions.key = ?1)",
        "DELETE FROM search_attributes WHERE key = ?1",
        "DELETE FROM history WHERE key = ?1",
        "DELETE FROM pending WHERE key = ?1",
        "DELETE FROM execution_states WHERE key = ?1",
        "DELETE FROM executions WHERE key = ?1",
    ] {
        delete_from(connection, statement, key)?;
    }
    Ok(())
}

fn delete_from(connection: &Connection, statement: &str, key: ExecutionKey) -> Result<(), Fault> {
    connection.prepare_cached(statement)?.execute([key.0])?;
    Ok(())
}
