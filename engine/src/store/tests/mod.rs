//! The store against real `SQLite` files.
#![allow(clippy::unwrap_used)]

mod damage;
mod listing;
mod opening;
mod writing;

use super::{
    Batch, ExecutionKey, ExecutionRow, IntegrityCheck, Store, StoreError, StoreOptions, Synchronous, VisibilityRow,
};
use crate::clock::Timestamp;

/// Without waiting for the disk: what a power cut does is not tested here.
fn options() -> StoreOptions {
    StoreOptions { synchronous: Synchronous::Off, ..StoreOptions::default() }
}

fn in_memory() -> Store {
    Store::open_in_memory(&options()).unwrap()
}

/// The `n`-th run: open, started `n` seconds after the epoch.
fn run(n: i64) -> ExecutionRow {
    ExecutionRow {
        key: ExecutionKey(n),
        namespace: "default".into(),
        workflow_id: format!("workflow-{n}"),
        run_id: format!("run-{n}"),
        state: format!("state-{n}").into_bytes(),
        visibility: VisibilityRow {
            workflow_type: "Type".into(),
            task_queue: "queue".into(),
            status: 1,
            start_time: Timestamp::from_secs(n),
            execution_time: Timestamp::from_secs(n),
            ..VisibilityRow::default()
        },
    }
}

fn closed(mut row: ExecutionRow, seconds: i64) -> ExecutionRow {
    row.visibility.status = 2;
    row.visibility.close_time = Some(Timestamp::from_secs(seconds));
    row
}

fn put(rows: impl IntoIterator<Item = ExecutionRow>) -> Batch {
    Batch { put_executions: rows.into_iter().collect(), ..Batch::default() }
}

/// All that is stored of all tables, as text: two stores with the same content have the same dump.
fn dump(store: &Store) -> String {
    let mut text = String::new();
    for (table, order) in [
        ("namespaces", "name"),
        ("executions", "key"),
        ("execution_states", "key"),
        ("current_executions", "namespace, workflow_id"),
        ("pending", "key, kind, id"),
        ("history", "key, first_event_id"),
        ("search_attributes", "key, name, kind, ordinal"),
    ] {
        let mut statement = store.connection.prepare(&format!("SELECT * FROM {table} ORDER BY {order}")).unwrap();
        let columns = statement.column_count();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let values: Vec<rusqlite::types::Value> = (0..columns).map(|column| row.get(column).unwrap()).collect();
            text.push_str(&format!("{table} {values:?}\n"));
        }
    }
    text
}
