//! Tests of workflows as users write them: the test environments of Temporal's SDKs skip time on the engine.

use std::process::Command;

use dixmgr_testkit::{Component, package_directory, python_program, require};
use serde_json::json;

use crate::support::BINARY;
use crate::wire::{found_by_typescript, found_with};

#[test]
fn the_python_test_environment_skips_time() {
    // The Python SDK is installed beside the command line.
    if !require(Component::Temporal) {
        return;
    }
    let program = package_directory().join("conf/temporal-test-server");
    let mut python = Command::new(python_program());
    python.env("DIXMGR", BINARY);
    let found = found_with(python, "skipping.py", &[&program.display().to_string()]);
    let expected = json!({
        "locked": {
            "a month": 30.0,
            "a child's days": 10.0,
            "attempts": [1, 3, 2],
            "timed out": "nobody told",
            "cut": "Workflow timed out",
            "delayed": 1.0,
            "days of history are kept": "COMPLETED",
            "slept": 80.0,
            "told": "in time",
            "held": "time was not skipped",
            "let go": 1.0,
            "one unlock too many": ["no refusal", "FAILED_PRECONDITION", "no refusal"],
            "sleep until the past": "no refusal",
            "quick": true,
        },
        "unlocked": "FAILED_PRECONDITION",
    });
    assert_eq!(found, expected);
}

#[test]
fn the_typescript_test_environment_skips_time() {
    if !require(Component::TypeScript) {
        return;
    }
    let program = package_directory().join("conf/temporal-test-server");
    let program = program.display().to_string();
    let found = found_by_typescript(["skipping.js", "sleepers.js"], &[&program]);
    let expected = json!({
        "a month": 30,
        "a child": 10,
        "attempts": [3, 2],
        "timed out": "nobody told",
        "slept": 80,
        "told": "in time",
        "quick": true,
    });
    assert_eq!(found, expected);
}

#[test]
fn an_engine_that_skips_time_is_for_this_machine_alone() {
    let output = Command::new(BINARY)
        .args(["engine", "-time-skipping", "-listen", "0.0.0.0:0"])
        .args(["-tls-certificate", "/nowhere", "-tls-key", "/nowhere"])
        .output()
        .expect("run dixmgr");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("-time-skipping is for tests on this machine"), "{said}");
}
