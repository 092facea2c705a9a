//! What operators do to running workflows and activities, over the network: Temporal's Python SDK and its command line get from the
//! engine what they get from Temporal's own server, and a batch goes on after a kill.

use std::time::{Duration, Instant};

use dixmgr_testkit::{Component, EngineServer, TemporalServer, require};
use serde_json::Value;

use crate::{
    support::BINARY,
    wire::{no_difference_in, temporal},
};

/// What the development server leaves off.
const PAUSES: [&str; 2] = ["--dynamic-config-value", "frontend.WorkflowPauseEnabled=true"];

#[test]
fn the_python_sdk_sees_no_difference_between_what_operators_do() {
    no_difference_in("acting.py", &PAUSES);
}

#[test]
fn the_python_sdk_sees_no_difference_between_batches() {
    no_difference_in("batches.py", &PAUSES);
}

fn start(address: &str, id: &str) {
    let start = ["workflow", "start", "--task-queue", "q", "--type", "T", "--workflow-id", id];
    temporal(address, &start).expect("it is started");
}

fn json(address: &str, arguments: &[&str]) -> Value {
    let told = temporal(address, &[arguments, &["--output", "json"]].concat());
    serde_json::from_str(&told.unwrap_or_else(|error| panic!("{arguments:?}: {error}"))).expect("JSON was asked for")
}

/// Executions that a query finds.
fn count(address: &str, query: &str) -> usize {
    let counted = json(address, &["workflow", "count", "--query", query]);
    counted["count"].as_str().map_or(0, |count| count.parse().expect("a number"))
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_mins(1), "not in time: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Events of a history, by type.
fn events(address: &str, id: &str) -> Vec<String> {
    let shown = json(address, &["workflow", "show", "--workflow-id", id]);
    let events = shown["events"].as_array().expect("a list of events");
    events.iter().map(|event| event["eventType"].as_str().expect("a type").to_owned()).collect()
}

#[test]
fn the_temporal_command_line_runs_batches() {
    let Some(server) = TemporalServer::start_with(&PAUSES) else { return };
    let engine = EngineServer::start(BINARY, &[]);
    let reason = ["--reason", "enough", "--yes"];
    let all = "TaskQueue = 'q'";
    let batch = |command: &[&'static str]| [command, &["--query", all], &reason].concat();
    let steps = [
        batch(&["workflow", "signal", "--name", "s", "--input", "1"]),
        batch(&["workflow", "cancel"]),
        batch(&["workflow", "reset", "--type", "FirstWorkflowTask"]),
        batch(&["workflow", "terminate"]),
    ];
    let found = [server.address(), engine.address()].map(|address| {
        (0..3).for_each(|number| start(&address, &format!("cli-{number}")));
        until("they are listed", || count(&address, all) == 3);
        for step in &steps {
            // One at a time, and listings of a server lag.
            until("a batch begins", || temporal(&address, step).is_ok());
            until("it ends", || {
                let listed = json(&address, &["batch", "list"]);
                listed.as_array().expect("a list").iter().all(|job| job["state"] == "BATCH_OPERATION_STATE_COMPLETED")
            });
        }
        until("they have ended", || count(&address, &format!("{all} AND ExecutionStatus = 'Running'")) == 0);
        let listed = json(&address, &["batch", "list"]);
        let job = listed[0]["jobId"].as_str().expect("an id").to_owned();
        let mut described = json(&address, &["batch", "describe", "--job-id", &job]);
        for differs in ["jobId", "startTime", "closeTime", "identity"] {
            described.as_object_mut().expect("an object").remove(differs);
        }
        let late = temporal(&address, &["batch", "terminate", "--job-id", &job, "--reason", "late"])
            .map_err(|error| error.replace(&job, "job"));
        (events(&address, "cli-0"), listed.as_array().map(Vec::len), described, late)
    });
    assert_eq!(found[1], found[0]);
}

#[test]
fn a_batch_goes_on_after_a_kill() {
    const EXECUTIONS: usize = 40;
    let mut engine = EngineServer::start(BINARY, &[]);
    let address = engine.address();
    if !require(Component::Temporal) {
        return;
    }
    (0..EXECUTIONS).for_each(|number| start(&address, &format!("many-{number}")));
    let signal = "workflow signal --name s --query WorkflowType='T' --reason enough --rps 5 --yes";
    temporal(&address, &signal.split_whitespace().collect::<Vec<_>>()).expect("it begins");
    let job = json(&address, &["batch", "list"])[0]["jobId"].as_str().expect("an id").to_owned();
    let done = || {
        let described = json(&address, &["batch", "describe", "--job-id", &job]);
        described["completeOperationCount"].as_str().map_or(0, |count| count.parse::<usize>().expect("a number"))
    };
    for least in [5, 15, 25] {
        until("it goes on", || done() >= least);
        assert!(done() < EXECUTIONS, "it was killed while it went on");
        engine.kill_and_restart();
    }
    until("it ends", || done() == EXECUTIONS);
    for number in 0..EXECUTIONS {
        let signals = events(&address, &format!("many-{number}"));
        let signals = signals.iter().filter(|event| event.ends_with("SIGNALED")).count();
        assert_eq!(signals, 1, "each execution is signalled once: many-{number}");
    }
}
