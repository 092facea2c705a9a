//! `dixmgr workflow`: the same commands on the embedded engine over the network, on its file, and on Temporal's own server.

use std::fs;
use std::process::{Command, Output};

use dixmgr_testkit::{EngineServer, ProcessNamespace, TemporalServer, counted_command, free_port};
use serde_json::Value;

use crate::support::{BINARY, QUICK, await_health, dixmgr_direct};
use crate::wire::temporal;

/// `dixmgr workflow` with these arguments, and where to look.
fn run(place: &[&str], arguments: &[&str]) -> Output {
    let mut command = Command::new(BINARY);
    command.arg("workflow").args(arguments).args(place).output().expect("run dixmgr")
}

/// What it prints when all goes well.
#[track_caller]
fn printed(place: &[&str], arguments: &[&str]) -> String {
    let output = run(place, arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {}: {said}", output.status);
    String::from_utf8(output.stdout).expect("text")
}

/// The exit code and the error, when it does not.
fn refused(place: &[&str], arguments: &[&str]) -> (Option<i32>, String) {
    let output = run(place, arguments);
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON was asked for")
}

/// Starts a workflow of which no worker knows anything, so that it is as the commands leave it.
fn start(address: &str, id: &str) {
    let start = ["workflow", "start", "--task-queue", "q", "--type", "T", "--workflow-id", id, "--input", "{\"a\":1}"];
    temporal(address, &start).expect("it is started");
}

/// All that is the same wherever the workflows are.
fn commands_work_at(address: &str) {
    let place = ["-address", address];
    start(address, "first");
    start(address, "second");
    printed(&place, &["signal", "first", "greet", "-input", "\"hello\""]);
    printed(&place, &["cancel", "first", "-reason", "tidy"]);
    let shown = printed(&place, &["show", "first"]);
    for told in [
        "workflow    first",
        "status      Running",
        "WorkflowExecutionStarted          type=T workflow=first queue=q attempt=1",
        "input={\"a\":1}",
        "signal=greet",
        "input=\"hello\"",
        "WorkflowExecutionCancelRequested",
    ] {
        assert!(shown.contains(told), "{told:?} is missing from\n{shown}");
    }
    let ours = json(&printed(&place, &["show", "first", "-json"]));
    let official = temporal(address, &["workflow", "show", "--workflow-id", "first", "--output", "json"]);
    assert_eq!(ours, json(&official.expect("it is shown")), "a history is what Temporal's own command makes of it");
    printed(&place, &["terminate", "first", "-reason", "enough"]);
    let followed = printed(&place, &["show", "first", "-follow"]);
    assert!(followed.contains("WorkflowExecutionTerminated") && followed.contains("reason=enough"), "{followed}");
    let described = json(&printed(&place, &["describe", "first", "-json"]));
    assert_eq!(described["workflowExecutionInfo"]["status"], "WORKFLOW_EXECUTION_STATUS_TERMINATED");
    faults_are_told_at(&place);
}

fn faults_are_told_at(place: &[&str]) {
    let (code, error) = refused(place, &["describe", "nobody"]);
    assert!(code == Some(1) && error.contains("dixmgr workflow list"), "{code:?} {error}");
    let (code, error) = refused(place, &["list", "-query", "Nonsense ="]);
    assert!(code == Some(2) && !error.is_empty(), "{code:?} {error}");
    let (code, error) = refused(place, &["list", "-namespace", "nowhere"]);
    assert!(code == Some(1) && error.contains("-namespace"), "{code:?} {error}");
    let (code, error) = refused(place, &["reset", "second", "-event", "99"]);
    assert!(code == Some(2) && !error.is_empty(), "{code:?} {error}");
    let (code, error) = refused(place, &["signal", "second", "s", "-input", "{not json"]);
    assert!(code == Some(2) && error.contains("not JSON"), "{code:?} {error}");
}

#[test]
fn commands_work_on_the_engine_and_on_its_file() {
    if !dixmgr_testkit::require(dixmgr_testkit::Component::Temporal) {
        return;
    }
    let engine = EngineServer::start(BINARY, &[]);
    commands_work_at(&engine.address());
    let directory = engine.directory().display().to_string();
    let at_file = ["-data-dir", directory.as_str()];
    let (code, error) = refused(&at_file, &["list"]);
    assert!(code == Some(1) && error.contains(&format!("in use by process {}", engine.pid())), "{error}");
    let copy = tempfile::tempdir().expect("a temporary directory");
    let address = engine.address();
    let place = ["-address", address.as_str()];
    let listed = printed(&place, &["list", "-query", "ExecutionStatus = 'Running'"]);
    assert!(listed.contains("second") && !listed.contains("first"), "{listed}");
    for entry in fs::read_dir(engine.directory()).expect("a directory").flatten() {
        if entry.file_name().to_string_lossy().starts_with("engine.db") {
            fs::copy(entry.path(), copy.path().join(entry.file_name())).expect("a copy");
        }
    }
    let directory = copy.path().display().to_string();
    let at_file = ["-data-dir", directory.as_str()];
    assert_eq!(printed(&at_file, &["count"]), "2\n");
    printed(&at_file, &["terminate", "second"]);
    let listed = json(&printed(&at_file, &["list", "-json", "-limit", "1"]));
    assert_eq!(listed.as_array().map(Vec::len), Some(1));
    printed(&at_file, &["delete", "second"]);
    let (code, error) = refused(&at_file, &["describe", "second"]);
    assert_eq!(code, Some(1), "{error}");
}

#[test]
fn commands_work_on_temporals_own_server() {
    let Some(server) = TemporalServer::start() else { return };
    commands_work_at(&server.address());
}

#[test]
fn a_configuration_says_where_the_engine_listens() {
    let engine = EngineServer::start_with(BINARY, &["-api-key", "env:PATH"], |_| {});
    let conf = engine.directory().join("dixmgr.toml");
    let write = |lines: &str| {
        fs::write(&conf, format!("[[service]]\nname = \"a\"\nunit = \"a.service\"\n{lines}")).expect("a file");
    };
    let conf_text = conf.display().to_string();
    let place = ["-conf", conf_text.as_str()];
    write(&format!("[engine]\nlisten = \"{}\"\napi_key = \"env:PATH\"\n", engine.address()));
    assert_eq!(printed(&place, &["count"]), "0\n");
    write(&format!("[engine]\nlisten = \"{}\"\n", engine.address()));
    let (code, error) = refused(&place, &["count"]);
    assert!(code == Some(1) && error.contains("-api-key"), "{error}");
    let path = std::env::var("PATH").expect("a path");
    assert!(!error.contains(&path), "no secret is printed");
    write("");
    let (code, error) = refused(&place, &["count"]);
    assert!(code == Some(1) && error.contains("add `[engine] listen"), "{error}");
    let (code, error) = refused(&["-address", "127.0.0.1:1"], &["count"]);
    assert!(code == Some(1) && error.contains("127.0.0.1:1 is not reached"), "{error}");
    let (code, _) = refused(&["-address", "127.0.0.1:1", "-conf", &conf_text], &["count"]);
    assert_eq!(code, Some(2));
}

#[test]
fn a_daemons_workflows_are_queried_and_reset() {
    let Some(namespace) = ProcessNamespace::start() else { return };
    let address = format!("127.0.0.1:{}", free_port());
    let command = counted_command(&namespace, "one");
    let config = format!("{QUICK}[[service]]\nname = \"one\"\ncommand = {command}\n[engine]\nlisten = \"{address}\"\n");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let conf = directory.path().join("dixmgr.toml");
    fs::write(&conf, &config).expect("a file");
    if std::env::var("DIXMGR_E2E_HOME").is_ok_and(|home| home == "temporal") {
        return; // The engine listens nowhere then.
    }
    let daemon = dixmgr_direct(&namespace, &config).started();
    await_health(&daemon, "one", true);
    let conf = conf.display().to_string();
    let place = ["-conf", conf.as_str()];
    let status = printed(&place, &["query", "wf.svc.one", "status"]);
    assert!(json(&status).is_object() && status.contains("healthy"), "{status}");
    let described = printed(&place, &["describe", "wf.svc.one"]);
    assert!(described.contains("parent      wf.infra") && described.contains("watch_service"), "{described}");
    let before = json(&printed(&place, &["describe", "wf.svc.one", "-json"]));
    let reset = json(&printed(&place, &["reset", "wf.svc.one", "-event", "4", "-reason", "once more", "-json"]));
    let after = json(&printed(&place, &["describe", "wf.svc.one", "-json"]));
    let run = |of: &Value| of["workflowExecutionInfo"]["execution"]["runId"].clone();
    assert_eq!(run(&after), reset["runId"], "the latest run is the one that the reset began");
    assert_ne!(run(&after), run(&before));
    let data = daemon.data_directory().display().to_string();
    let (code, error) = refused(&["-data-dir", &data], &["list"]);
    assert!(code == Some(1) && error.contains("is in use by process"), "{error}");
}
