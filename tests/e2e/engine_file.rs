//! What an operator has for the engine's file: its metrics, a backup from the running engine, the check of a file, its histories
//! as JSON that an official SDK replays.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use dixmgr_testkit::{Component, EngineServer, free_port, http_get, package_directory, python_program, require};
use serde_json::Value;

use crate::support::BINARY;
use crate::wire::temporal;

/// `dixmgr engine` with these arguments.
fn engine(arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } =
        Command::new(BINARY).arg("engine").args(arguments).output().expect("run dixmgr");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (status.code(), text(stdout), text(stderr))
}

fn script(name: &str) -> String {
    package_directory().join("tests/e2e/official").join(name).display().to_string()
}

/// Runs a Python script to its end, and answers what it printed.
fn python(script_name: &str, arguments: &[&str]) -> String {
    let mut python = Command::new(python_program());
    let output = python.arg(script(script_name)).args(arguments).stdin(Stdio::null()).output().expect("run Python");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_file_is_backed_up_checked_and_exported_and_its_histories_replay() {
    if !require(Component::Temporal) {
        return;
    }
    let server = EngineServer::start(BINARY, &[]);
    python("histories.py", &["run", &server.address(), "dotidx"]);
    let data = server.directory().display().to_string();
    let place = tempfile::tempdir().expect("a temporary directory");
    let at = |name: &str| place.path().join(name).display().to_string();
    let (copy, out) = (at("copy.db"), at("export"));

    let (code, _, error) = engine(&["check", "-data-dir", &data]);
    assert!(code == Some(1) && error.contains("dixmgr engine backup"), "{code:?} {error}");
    let (code, told, error) = engine(&["backup", "-data-dir", &data, "-to", &copy]);
    assert!(code == Some(0) && told.contains(&copy), "{code:?} {told} {error}");
    let (code, _, error) = engine(&["backup", "-data-dir", &data, "-to", &copy]);
    assert!(code == Some(1) && error.contains("such a file already"), "{code:?} {error}");
    temporal(&server.address(), &["workflow", "start", "--task-queue", "q", "--type", "T", "--workflow-id", "later"])
        .expect("the engine works on");

    let (code, told, error) = engine(&["check", "-file", &copy]);
    assert!(code == Some(0) && told.ends_with("sound\n"), "{code:?} {told} {error}");
    let (code, told, error) = engine(&["export", "-file", &copy, "-to", &out, "-namespace", "dotidx"]);
    assert!(code == Some(0) && told.contains("0 of them not whole"), "{code:?} {told} {error}");
    let (code, _, error) = engine(&["export", "-file", &copy, "-to", &out]);
    assert!(code == Some(1) && error.contains("exists"), "an export is never written over: {code:?} {error}");

    let replayed = python("histories.py", &["replay", &out]);
    assert_eq!(replayed.trim(), "3", "{replayed}");
}

#[test]
fn a_damaged_file_is_named_and_what_it_holds_is_saved() {
    if !require(Component::Temporal) {
        return;
    }
    let server = EngineServer::start(BINARY, &[]);
    let input = format!("\"{}\"", "x".repeat(6_000));
    for number in 0..30 {
        let id = format!("w-{number}");
        let start = ["workflow", "start", "--task-queue", "q", "--type", "T", "--workflow-id", &id, "--input", &input];
        temporal(&server.address(), &start).expect("it is started");
    }
    let place = tempfile::tempdir().expect("a temporary directory");
    let at = |name: &str| place.path().join(name).display().to_string();
    let (copy, out) = (at("engine.db"), at("export"));
    let data = server.directory().display().to_string();
    assert_eq!(engine(&["backup", "-data-dir", &data, "-to", &copy]).0, Some(0));
    let mut bytes = fs::read(&copy).expect("a copy");
    let middle = bytes.len() / 8_192 * 4_096;
    bytes[middle..middle + 8_192].fill(0xa5);
    fs::write(&copy, bytes).expect("a damaged copy");

    let (code, told, error) = engine(&["check", "-file", &copy]);
    assert_eq!(code, Some(1), "{told}");
    assert!(error.contains("not sound") && error.contains("dixmgr engine export"), "{error}");
    let (code, told, error) = engine(&["export", "-data-dir", &place.path().display().to_string(), "-to", &out]);
    assert!(code == Some(0) && !told.contains("0 of them not whole"), "{code:?} {told} {error}");
    let index = fs::read_to_string(Path::new(&out).join("index.jsonl")).expect("a list");
    let lines: Vec<Value> = index.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let whole: Vec<&Value> = lines.iter().filter(|line| line["lost"].is_null()).collect();
    assert!(whole.len() > 15 && whole.len() < lines.len(), "{index}");
    for line in whole {
        let history = fs::read(Path::new(&out).join(line["history"].as_str().expect("a path"))).expect("a history");
        let history: Value = serde_json::from_slice(&history).expect("JSON");
        assert_eq!(history["events"].as_array().map(Vec::len), Some(2), "{line}");
    }
}

#[test]
fn the_engine_alone_has_metrics() {
    if !require(Component::Temporal) {
        return;
    }
    let port = free_port();
    let server = EngineServer::start(BINARY, &["-metrics", &format!("127.0.0.1:{port}")]);
    temporal(&server.address(), &["workflow", "start", "--task-queue", "q", "--type", "T", "--workflow-id", "one"])
        .expect("it is started");
    assert!(temporal(&server.address(), &["workflow", "describe", "--workflow-id", "two"]).is_err());
    let (_, page) = http_get(port, "/metrics").expect("a page");
    for line in [
        "dixmgr_engine_open_executions 1",
        "dixmgr_engine_tasks_waiting{kind=\"workflow\"} 1",
        "dixmgr_engine_requests_total{code=\"OK\",method=\"StartWorkflowExecution\"} 1",
        "dixmgr_engine_requests_total{code=\"NotFound\",method=\"DescribeWorkflowExecution\"} 1",
        "dixmgr_engine_request_duration_seconds_count{method=\"StartWorkflowExecution\"} 1",
        "dixmgr_engine_commit_errors_total{reason=\"full\"} 0",
        "dixmgr_engine_requests_waiting 0",
    ] {
        assert!(page.lines().any(|found| found == line), "{line} is missing from\n{page}");
    }
    assert_eq!(http_get(port, "/healthz").expect("a page"), (200, "ok\n".to_owned()));
}
