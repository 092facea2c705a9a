//! Workflow histories as text that can be compared: without what must differ between two runs, which is times, random ids,
//! sizes and names of workers. Works on an event's JSON, so that it need not know the protocol.

use serde_json::{Map, Value};

/// Fields that differ from run to run, or that tell about the installation and not about the workflow.
const BLANKED: &[&str] = &[
    "event_time",
    "task_id",
    "request_id",
    "run_id",
    "runId",
    "prev_auto_reset_points",
    "identity",
    "history_size_bytes",
    "namespace_id",
    "parent_workflow_namespace_id",
    "original_execution_run_id",
    "first_execution_run_id",
    "continued_execution_run_id",
    "new_execution_run_id",
    "base_run_id",
    "new_run_id",
    "workflow_execution_expiration_time",
    "first_workflow_task_backoff",
    "backoff_start_interval",
    "sdk_metadata",
    "worker_version",
    "deployment",
    "deployment_version",
    "worker_deployment_version",
    "worker_deployment_name",
    "links",
    "stack_trace",
    "principal",
];

/// One event as a line: its number, its type, and what is left of its attributes when times and the like are gone.
#[must_use]
pub fn line(number: i64, kind: &str, event: &Value) -> String {
    format!("{number} {kind} {}", attributes(event))
}

/// What is left of an event's attributes when times and the like are gone.
#[must_use]
pub fn attributes(event: &Value) -> Value {
    let mut attributes = event.get("attributes").cloned().unwrap_or(Value::Null);
    blank(&mut attributes);
    attributes
}

fn blank(value: &mut Value) {
    match value {
        Value::Object(fields) => blank_fields(fields),
        Value::Array(items) => items.iter_mut().for_each(blank),
        _ => {}
    }
}

fn blank_fields(fields: &mut Map<String, Value>) {
    for name in BLANKED {
        fields.remove(*name);
    }
    // A sticky queue is named after its worker; whether a task went there is worth comparing.
    if fields.get("normal_name").is_some_and(|name| name != "") {
        fields.insert("name".to_owned(), "(sticky)".into());
    }
    // Local activity markers carry times.
    if fields.get("marker_name").is_some_and(|name| name == "core_local_activity") {
        fields.remove("details");
    }
    fields.values_mut().for_each(blank);
    fields.retain(|_, value| !is_empty(value));
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}
