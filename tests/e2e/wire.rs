//! The engine on the network, used by those who know nothing of it: Temporal's Python SDK and its command line. What they get
//! from the engine is what they get from Temporal's own server.

use std::fs;
use std::process::{Command, Stdio};

use dixmgr_testkit::{
    Component, EngineServer, TemporalServer, node_program, package_directory, python_program, require,
    temporal_command, typescript,
};
use serde_json::Value;

use crate::support::BINARY;

const NAMESPACE: &str = "dotidx";

/// Runs the Python workflows against a server, and answers what they found.
fn driven(address: &str) -> Value {
    found_by("driver.py", address)
}

/// Runs a Python script against a server, and answers what it found.
pub(crate) fn found_by(script: &str, address: &str) -> Value {
    found_with(Command::new(python_program()), script, &[address, NAMESPACE])
}

/// Runs a Python script with these arguments and a file to write, and answers what it has written.
pub(crate) fn found_with(mut python: Command, script: &str, arguments: &[&str]) -> Value {
    let script = package_directory().join("tests/e2e/official").join(script);
    let found = tempfile::NamedTempFile::new().expect("a temporary file");
    let output = python.arg(script).args(arguments).arg(found.path()).stdin(Stdio::null()).output();
    let output = output.expect("run Python");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {}: {said}", output.status);
    serde_json::from_reader(found.as_file()).expect("the script writes JSON")
}

/// What a `temporal` command prints, or how it fails.
pub(crate) fn temporal(address: &str, arguments: &[&str]) -> Result<String, String> {
    let output = temporal_command(address, NAMESPACE, arguments).output().expect("run temporal");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

#[test]
fn the_python_sdk_sees_no_difference() {
    let Some(server) = TemporalServer::start() else { return };
    let engine = EngineServer::start(BINARY, &[]);
    assert_same(&driven(&server.address()), &driven(&engine.address()));
}

/// Whether two runs of a script have found the same in every case.
#[track_caller]
fn assert_same(from_server: &Value, from_engine: &Value) {
    let (Value::Object(from_server), Value::Object(from_engine)) = (from_server, from_engine) else {
        panic!("the script writes an object")
    };
    for (case, expected) in from_server {
        let found = &from_engine[case];
        assert_eq!(found, expected, "{case}\nengine: {found:#}\nserver: {expected:#}");
    }
    assert_eq!(from_engine.len(), from_server.len());
}

/// Runs a Python script against a server with these options and against the engine, and compares what it finds: parts of cases.
pub(crate) fn no_difference_in(script: &'static str, options: &[&str]) {
    let Some(server) = TemporalServer::start_with(options) else { return };
    let engine = EngineServer::start(BINARY, &[]);
    let [server, engine] = [server.address(), engine.address()];
    let ask = |address: String| std::thread::spawn(move || found_by(script, &address));
    let [from_server, from_engine] = [server, engine].map(ask).map(|found| found.join().expect("the script runs"));
    let parts = from_server.as_object().expect("the script writes an object");
    for (part, expected) in parts {
        let (expected, found) = (expected.as_object(), from_engine[part].as_object());
        let (expected, found) = (expected.expect("an object of cases"), found.expect("the same parts"));
        for (case, expected) in expected {
            let found = found.get(case).unwrap_or(&Value::Null);
            assert_eq!(found, expected, "{part}: {case}\nengine: {found:#}\nserver: {expected:#}");
        }
        assert_eq!(found.len(), expected.len(), "{part}");
    }
}

/// Runs a program and its workflows for the TypeScript SDK, and answers what it found. They are copied to where the SDK is,
/// because that is where their imports look for it.
pub(crate) fn found_by_typescript(files: [&str; 2], arguments: &[&str]) -> Value {
    let from = package_directory().join("tests/e2e/official/typescript");
    let beside = tempfile::tempdir_in(typescript()).expect("a directory beside the SDK");
    for file in files {
        fs::copy(from.join(file), beside.path().join(file)).expect("a copy");
    }
    let found = beside.path().join("found.json");
    let mut node = Command::new(node_program());
    node.arg(beside.path().join(files[0])).args(arguments).arg(&found).env("DIXMGR", BINARY).stdin(Stdio::null());
    let output = node.output().expect("run Node.js");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {}: {said}", output.status);
    serde_json::from_slice(&fs::read(found).expect("the program writes a file")).expect("JSON")
}

#[test]
fn the_typescript_sdk_sees_no_difference() {
    if !require(Component::TypeScript) {
        return;
    }
    let Some(server) = TemporalServer::start() else { return };
    let engine = EngineServer::start(BINARY, &[]);
    let [server, engine] = [server.address(), engine.address()]
        .map(|address| found_by_typescript(["driver.js", "workflows.js"], &[&address, NAMESPACE]));
    assert_same(&server, &engine);
}

#[test]
fn the_temporal_command_line_works() {
    let Some(server) = TemporalServer::start() else { return };
    let engine = EngineServer::start(BINARY, &[]);
    let start = ["workflow", "start", "--task-queue", "q", "--type", "T", "--workflow-id", "cli", "--input", "1"];
    let show = ["workflow", "show", "--workflow-id", "cli", "--output", "json"];
    let steps: [&[&str]; 6] = [
        &start,
        &["workflow", "signal", "--workflow-id", "cli", "--name", "s", "--input", "\"hi\""],
        &["workflow", "terminate", "--workflow-id", "cli", "--reason", "enough"],
        &["workflow", "signal", "--workflow-id", "cli", "--name", "s"],
        &["workflow", "describe", "--workflow-id", "nobody"],
        &["operator", "namespace", "describe", "--namespace", "nowhere"],
    ];
    for step in steps {
        let answers = [server.address(), engine.address()].map(|address| temporal(&address, step));
        assert_eq!(answers[0].is_ok(), answers[1].is_ok(), "{step:?}: {answers:#?}");
        if let [Err(server), Err(engine)] = &answers {
            assert_eq!(engine, server, "{step:?}");
        }
    }
    let events = |address: &str| -> Vec<String> {
        let history = temporal(address, &show).expect("it can be shown");
        let history: Value = serde_json::from_str(&history).expect("JSON was asked for");
        let events = history["events"].as_array().expect("a list of events");
        events.iter().map(|event| event["eventType"].as_str().expect("a type").to_owned()).collect()
    };
    assert_eq!(events(&engine.address()), events(&server.address()));
    let health = temporal(&engine.address(), &["operator", "cluster", "health"]);
    assert_eq!(health.as_deref(), Ok("SERVING"));
    let namespaces = temporal(&engine.address(), &["operator", "namespace", "list"]).expect("namespaces are listed");
    assert!(namespaces.contains("default") && namespaces.contains("dotidx"), "{namespaces}");
}

#[test]
fn what_was_acknowledged_over_the_network_survives_a_kill() {
    let mut engine = EngineServer::start(BINARY, &[]);
    let address = engine.address();
    let start = ["workflow", "start", "--task-queue", "q", "--type", "T", "--workflow-id", "kept"];
    if !dixmgr_testkit::require(dixmgr_testkit::Component::Temporal) {
        return;
    }
    temporal(&address, &start).expect("it is started");
    engine.kill_and_restart();
    let described = temporal(&address, &["workflow", "describe", "--workflow-id", "kept"]).expect("it is still there");
    assert!(described.contains("kept") && !described.contains("CloseTime"), "it is open: {described}");
}
