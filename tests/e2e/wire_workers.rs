//! Workers and their versions over the network: Temporal's Python SDK and its command line see on the engine what they see on
//! Temporal's own server.

use dixmgr_testkit::{EngineServer, TemporalServer};
use serde_json::Value;

use crate::{
    support::BINARY,
    wire::{found_by, no_difference_in, temporal},
};

/// A server has four parts of each queue, each with an order of its own, and no fairness.
const ONE_FAIR_PART: [&str; 6] = [
    "--dynamic-config-value",
    "matching.numTaskqueueReadPartitions=1",
    "--dynamic-config-value",
    "matching.numTaskqueueWritePartitions=1",
    "--dynamic-config-value",
    "matching.enableFairness=true",
];

#[test]
fn the_python_sdk_sees_no_difference_between_workers() {
    let Some(server) = TemporalServer::start() else { return };
    let engine = EngineServer::start(BINARY, &[]);
    let [server, engine] = [server.address(), engine.address()];
    let ask = |address: String| std::thread::spawn(move || found_by("workers.py", &address));
    let [from_server, from_engine] = [server, engine].map(ask).map(|found| found.join().expect("the script runs"));
    let parts = from_server.as_object().expect("the script writes an object");
    for (part, expected) in parts {
        for (case, expected) in expected.as_object().expect("an object of cases") {
            let found = from_engine[part].get(case).unwrap_or(&Value::Null);
            assert_eq!(found, expected, "{part}: {case}\nengine: {found:#}\nserver: {expected:#}");
        }
    }
}

/// A deployment is kept by the command line; what it says is equal, line for line, but for times.
#[test]
fn the_temporal_command_line_keeps_worker_deployments() {
    let Some(server) = TemporalServer::start() else { return };
    let engine = EngineServer::start(BINARY, &[]);
    let of = ["--deployment-name", "shop"];
    let version = ["--deployment-name", "shop", "--build-id", "1"];
    let yes = ["--yes", "--allow-no-pollers"];
    let steps: Vec<Vec<&str>> = vec![
        vec!["list"],
        vec!["create", "--name", "shop"],
        vec!["create", "--name", "shop"],
        [&["create-version"][..], &version].concat(),
        vec!["describe", "--name", "shop"],
        [&["describe-version"][..], &version].concat(),
        [&["set-current-version"][..], &version, &yes].concat(),
        vec!["describe", "--name", "shop"],
        [&["set-ramping-version", "--percentage", "10"][..], &version, &yes].concat(),
        [&["update-version-metadata", "--metadata", "team=\"a\""][..], &version].concat(),
        [&["delete-version"][..], &version].concat(),
        [&["manager-identity", "set", "--yes", "--manager-identity", "boss"][..], &of].concat(),
        [&["set-current-version", "--unversioned"][..], &of, &yes].concat(),
        vec!["delete", "--name", "shop"],
        vec!["describe", "--name", "nowhere"],
    ];
    for step in steps {
        let command = [&["worker", "deployment"][..], &step, &["--output", "json"]].concat();
        let answers = [server.address(), engine.address()].map(|address| {
            temporal(&address, &command).map(|said| {
                let mut value: Value = serde_json::from_str(&said).unwrap_or(Value::Null);
                blank(&mut value);
                value
            })
        });
        assert_eq!(answers[1], answers[0], "{step:?}");
    }
    let address = engine.address();
    assert!(temporal(&address, &["worker", "list"]).is_ok());
    assert!(temporal(&address, &["worker", "count"]).is_ok());
}

/// Takes out what differs from run to run, and the empty drainage of a version that does not drain.
fn blank(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, value| {
                let empty = name == "drainageInfo" && value["status"].is_null();
                !name.ends_with("Time") && !empty
            });
            fields.values_mut().for_each(blank);
        }
        Value::Array(items) => items.iter_mut().for_each(blank),
        _ => {}
    }
}

#[test]
fn the_python_sdk_sees_no_difference_between_standalone_activities() {
    no_difference_in("activities.py", &[]);
}

#[test]
fn the_python_sdk_sees_no_difference_between_standalone_activities_that_are_kept() {
    no_difference_in("activities_kept.py", &[]);
}

#[test]
fn the_python_sdk_sees_no_difference_between_task_queues() {
    no_difference_in("queues.py", &ONE_FAIR_PART);
}

#[test]
fn the_temporal_command_line_runs_standalone_activities() {
    let Some(server) = TemporalServer::start() else { return };
    let engine = EngineServer::start(BINARY, &[]);
    let start = ["start", "--activity-id", "a", "--type", "T", "--task-queue", "q", "--start-to-close-timeout", "1m"];
    let id = ["--activity-id", "a"];
    let steps: Vec<Vec<&str>> = vec![
        start.to_vec(),
        start.to_vec(),
        [&["describe"][..], &id].concat(),
        [&["cancel", "--reason", "no more"][..], &id].concat(),
        [&["describe"][..], &id].concat(),
        [&["result"][..], &id].concat(),
        start.to_vec(),
        [&["terminate", "--reason", "enough"][..], &id].concat(),
        [&["terminate", "--reason", "enough"][..], &id].concat(),
        [&["complete", "--result", "1"][..], &id].concat(),
        vec!["describe", "--activity-id", "nobody"],
        [&["delete"][..], &id].concat(),
    ];
    for step in steps {
        let command = [&["activity"][..], &step].concat();
        let answers = [server.address(), engine.address()].map(|address| temporal(&address, &command));
        assert_eq!(answers[0].is_ok(), answers[1].is_ok(), "{step:?}: {answers:#?}");
        if let [Err(server), Err(engine)] = &answers {
            // The id of a request is another each time.
            let words = |said: &str| said.split(" request ID ").next().unwrap_or_default().to_owned();
            assert_eq!(words(engine), words(server), "{step:?}");
        }
    }
    assert!(temporal(&engine.address(), &["activity", "list"]).is_ok());
    assert!(temporal(&engine.address(), &["activity", "count"]).is_ok());
}
