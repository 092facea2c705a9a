//! Nexus over the network: Temporal's Python SDK and its command line get from the engine what they get from Temporal's own server.

use dixmgr_testkit::{EngineServer, TemporalServer};
use serde_json::Value;

use crate::{
    support::BINARY,
    wire::{no_difference_in, temporal},
};

#[test]
fn the_python_sdk_sees_no_difference_between_nexus_endpoints() {
    no_difference_in("nexus_endpoints.py", &[]);
}

#[test]
fn the_python_sdk_sees_no_difference_between_nexus_operations() {
    no_difference_in("nexus.py", &[]);
}

#[test]
fn a_worker_by_hand_sees_no_difference_between_nexus_tasks() {
    no_difference_in("nexus_tasks.py", &[]);
}

/// What a command prints as JSON, without what differs from run to run.
fn told(address: &str, arguments: &[&str]) -> Result<Value, String> {
    let said = temporal(address, &[arguments, &["--output", "json"]].concat())?;
    let mut value: Value = serde_json::from_str(&said).unwrap_or(Value::Null);
    blank(&mut value);
    Ok(value)
}

fn blank(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !matches!(name.as_str(), "id" | "createdTime" | "lastModifiedTime" | "urlPrefix"));
            fields.values_mut().for_each(blank);
        }
        Value::Array(items) => items.iter_mut().for_each(blank),
        _ => {}
    }
}

#[test]
fn the_temporal_command_line_keeps_nexus_endpoints() {
    let Some(server) = TemporalServer::start() else { return };
    let engine = EngineServer::start(BINARY, &[]);
    let to = ["--target-namespace", "dotidx", "--target-task-queue", "q"];
    let steps: Vec<Vec<&str>> = vec![
        [&["create", "--name", "shop", "--description", "what it is for"][..], &to].concat(),
        [&["create", "--name", "shop"][..], &to].concat(),
        vec!["get", "--name", "shop"],
        vec!["update", "--name", "shop", "--target-task-queue", "other"],
        vec!["update", "--name", "shop", "--unset-description"],
        vec!["list"],
        vec!["delete", "--name", "shop"],
        vec!["list"],
        vec!["create", "--name", "1", "--target-namespace", "dotidx", "--target-task-queue", "q"],
    ];
    for step in steps {
        let command: Vec<&str> = [&["operator", "nexus", "endpoint"][..], &step].concat();
        let answers = [server.address(), engine.address()].map(|address| {
            // A server's registry lags behind what it has stored.
            std::thread::sleep(std::time::Duration::from_secs(1));
            told(&address, &command)
        });
        assert_eq!(answers[1], answers[0], "{command:?}");
    }
}
