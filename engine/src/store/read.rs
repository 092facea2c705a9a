//! Reads by identity: runs, what they wait for, their histories, namespaces.

use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, Rows, params};

use super::{
    attributes,
    types::{
        ExecutionKey, ExecutionRow, FoundRun, HistoryBatch, HistoryLimit, NamespaceRow, OpenExecution, PendingKind,
        PendingRow, RunRef, VisibilityRow,
    },
};
use crate::clock::Timestamp;

/// The columns that [`visibility_row`] reads, in its order.
pub(super) const VISIBILITY_COLUMNS: &str = "e.workflow_type, e.task_queue, e.status, e.start_time, e.execution_time, \
    e.close_time, e.history_length, e.history_size_bytes, e.state_transition_count, e.parent_workflow_id, \
    e.parent_run_id, e.root_workflow_id, e.root_run_id, e.memo, e.search_attributes, e.encoded_search_attributes";

/// How many columns those are.
pub(super) const VISIBILITY_WIDTH: usize = 16;

/// Reads the visibility columns of `row`, the first of which has index `at`.
pub(super) fn visibility_row(row: &Row<'_>, at: usize) -> rusqlite::Result<VisibilityRow> {
    Ok(VisibilityRow {
        workflow_type: row.get(at)?,
        task_queue: row.get(at + 1)?,
        status: row.get(at + 2)?,
        start_time: row.get(at + 3)?,
        execution_time: row.get(at + 4)?,
        close_time: row.get(at + 5)?,
        history_length: row.get(at + 6)?,
        history_size_bytes: row.get(at + 7)?,
        state_transition_count: row.get(at + 8)?,
        parent: run_ref(row.get(at + 9)?, row.get(at + 10)?),
        root: run_ref(row.get(at + 11)?, row.get(at + 12)?),
        memo: row.get(at + 13)?,
        search_attributes: row.get::<_, attributes::Column>(at + 14)?.0,
        encoded_search_attributes: row.get(at + 15)?,
    })
}

fn run_ref(workflow_id: Option<String>, run_id: Option<String>) -> Option<RunRef> {
    Some(RunRef { workflow_id: workflow_id?, run_id: run_id? })
}

pub(super) fn largest_key(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row(
        "SELECT max(coalesce((SELECT max(key) FROM executions), 0), \
         coalesce((SELECT max(key) FROM activity_executions), 0))",
        [],
        |row| row.get(0),
    )
}

pub(super) fn namespaces(connection: &Connection) -> rusqlite::Result<Vec<NamespaceRow>> {
    connection
        .prepare_cached("SELECT name, data FROM namespaces ORDER BY name")?
        .query_map([], |row| Ok(NamespaceRow { name: row.get(0)?, data: row.get(1)? }))?
        .collect()
}

/// Open runs in the order of their keys.
pub(super) const OPEN_EXECUTIONS: &str = "SELECT e.key, e.namespace, e.workflow_id, e.run_id, s.state \
    FROM executions e CROSS JOIN execution_states s ON s.key = e.key WHERE e.close_time IS NULL ORDER BY e.key";

pub(super) fn open_executions(connection: &Connection, mut each: impl FnMut(OpenExecution)) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(OPEN_EXECUTIONS)?;
    let mut rows = statement.query([])?;
    let mut pending_statement = connection.prepare("SELECT key, kind, id, data FROM pending ORDER BY key, kind, id")?;
    let mut pending = PendingCursor::new(pending_statement.query([])?)?;
    while let Some(row) = rows.next()? {
        let key = ExecutionKey(row.get(0)?);
        each(OpenExecution {
            key,
            namespace: row.get(1)?,
            workflow_id: row.get(2)?,
            run_id: row.get(3)?,
            state: row.get(4)?,
            pending: pending.of(key)?,
        });
    }
    Ok(())
}

/// Walks all pending rows once, in step with the runs.
struct PendingCursor<'a> {
    rows: Rows<'a>,
    next: Option<(ExecutionKey, PendingRow)>,
}

impl<'a> PendingCursor<'a> {
    fn new(rows: Rows<'a>) -> rusqlite::Result<Self> {
        let mut cursor = Self { rows, next: None };
        cursor.step()?;
        Ok(cursor)
    }

    fn step(&mut self) -> rusqlite::Result<()> {
        self.next = match self.rows.next()? {
            Some(row) => {
                let pending = PendingRow { kind: PendingKind(row.get(1)?), id: row.get(2)?, data: row.get(3)? };
                Some((ExecutionKey(row.get(0)?), pending))
            }
            None => None,
        };
        Ok(())
    }

    /// The rows of `key`. Rows of smaller keys, which have no open run, are passed over.
    fn of(&mut self, key: ExecutionKey) -> rusqlite::Result<Vec<PendingRow>> {
        let mut found = Vec::new();
        while let Some((owner, pending)) = self.next.take_if(|(owner, _)| *owner <= key) {
            if owner == key {
                found.push(pending);
            }
            self.step()?;
        }
        Ok(found)
    }
}

pub(super) fn find_run(
    connection: &Connection,
    namespace: &str,
    workflow_id: &str,
    run_id: &str,
) -> rusqlite::Result<Option<FoundRun>> {
    let found = |row: &Row<'_>| Ok(FoundRun { key: ExecutionKey(row.get(0)?), run_id: row.get(1)?, open: row.get(2)? });
    if run_id.is_empty() {
        connection
            .prepare_cached(
                "SELECT e.key, e.run_id, e.close_time IS NULL FROM current_executions c JOIN executions e ON e.key = c.key \
                 WHERE c.namespace = ?1 AND c.workflow_id = ?2",
            )?
            .query_row([namespace, workflow_id], found)
            .optional()
    } else {
        connection
            .prepare_cached(
                "SELECT key, run_id, close_time IS NULL FROM executions \
                 WHERE namespace = ?1 AND workflow_id = ?2 AND run_id = ?3",
            )?
            .query_row([namespace, workflow_id, run_id], found)
            .optional()
    }
}

/// Some runs of a namespace, in no particular order.
pub(super) fn keys_of_namespace(
    connection: &Connection,
    namespace: &str,
    limit: usize,
) -> rusqlite::Result<Vec<ExecutionKey>> {
    connection
        .prepare_cached("SELECT key FROM executions WHERE namespace = ?1 LIMIT ?2")?
        .query_map(params![namespace, i64::try_from(limit).unwrap_or(i64::MAX)], |row| row.get(0).map(ExecutionKey))?
        .collect()
}

pub(super) fn execution(connection: &Connection, key: ExecutionKey) -> rusqlite::Result<Option<ExecutionRow>> {
    let sql = format!(
        "SELECT e.namespace, e.workflow_id, e.run_id, s.state, {VISIBILITY_COLUMNS} \
         FROM executions e JOIN execution_states s ON s.key = e.key WHERE e.key = ?1"
    );
    connection
        .prepare_cached(&sql)?
        .query_row([key.0], |row| {
            Ok(ExecutionRow {
                key,
                namespace: row.get(0)?,
                workflow_id: row.get(1)?,
                run_id: row.get(2)?,
                state: row.get(3)?,
                visibility: visibility_row(row, 4)?,
            })
        })
        .optional()
}

/// Batches in order, from the one that holds `from_event_id`.
pub(super) fn history(
    connection: &Connection,
    key: ExecutionKey,
    from_event_id: i64,
    limit: HistoryLimit,
) -> rusqlite::Result<Vec<HistoryBatch>> {
    let statement = connection.prepare_cached(
        "SELECT first_event_id, last_event_id, events FROM history WHERE key = ?1 AND last_event_id >= ?2 \
         AND first_event_id >= coalesce(\
             (SELECT max(first_event_id) FROM history WHERE key = ?1 AND first_event_id <= ?2), ?2) \
         ORDER BY first_event_id",
    )?;
    batches(statement, key, from_event_id, limit)
}

/// The events that were stored last, of whatever run.
pub(super) fn latest_events(connection: &Connection, batches: u32) -> rusqlite::Result<Vec<Vec<u8>>> {
    connection
        .prepare("SELECT events FROM history NOT INDEXED ORDER BY rowid DESC LIMIT ?1")?
        .query_map([batches], |row| row.get(0))?
        .collect()
}

/// Batches last first, from the one that holds `to_event_id`.
pub(super) fn history_reverse(
    connection: &Connection,
    key: ExecutionKey,
    to_event_id: i64,
    limit: HistoryLimit,
) -> rusqlite::Result<Vec<HistoryBatch>> {
    let statement = connection.prepare_cached(
        "SELECT first_event_id, last_event_id, events FROM history WHERE key = ?1 AND first_event_id <= ?2 \
         ORDER BY first_event_id DESC",
    )?;
    batches(statement, key, to_event_id, limit)
}

fn batches(
    mut statement: CachedStatement<'_>,
    key: ExecutionKey,
    event_id: i64,
    limit: HistoryLimit,
) -> rusqlite::Result<Vec<HistoryBatch>> {
    let mut rows = statement.query(params![key.0, event_id])?;
    let mut found = Vec::new();
    let mut bytes = 0_usize;
    while found.is_empty() || found.len() < limit.batches {
        let Some(row) = rows.next()? else { break };
        let events: Vec<u8> = row.get(2)?;
        bytes = bytes.saturating_add(events.len());
        if bytes > limit.bytes && !found.is_empty() {
            break;
        }
        found.push(HistoryBatch { first_event_id: row.get(0)?, last_event_id: row.get(1)?, events });
    }
    Ok(found)
}

/// Runs that closed before `time`, those that closed first before the others.
pub(super) fn closed_before(
    connection: &Connection,
    namespace: &str,
    time: Timestamp,
    limit: usize,
) -> rusqlite::Result<Vec<ExecutionKey>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    connection
        .prepare_cached(
            "SELECT key FROM executions WHERE namespace = ?1 AND sort_time < ?2 AND close_time IS NOT NULL \
             ORDER BY sort_time, start_time LIMIT ?3",
        )?
        .query_map(params![namespace, time, limit], |row| row.get(0).map(ExecutionKey))?
        .collect()
}
