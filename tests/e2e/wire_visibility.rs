//! Search attributes, filters and namespaces over the network, by Temporal's Python SDK and its command line: the engine answers
//! what Temporal's own server answers.

use std::time::{Duration, Instant};

use dixmgr_testkit::{EngineServer, TemporalServer};
use serde_json::Value;

use crate::support::BINARY;
use crate::wire::{found_by, temporal};

/// How long a server may take until its registry and its listings have what was written.
const LAG: Duration = Duration::from_secs(20);

#[test]
fn the_python_sdk_finds_the_same_by_the_same_filters() {
    let Some(server) = TemporalServer::start() else { return };
    let engine = EngineServer::start(BINARY, &[]);
    let found = [server.address(), engine.address()].map(|address| found_by("visibility.py", &address));
    let [Value::Object(from_server), Value::Object(from_engine)] = found else { panic!("the script writes an object") };
    for (case, expected) in &from_server {
        let found = &from_engine[case];
        assert_eq!(found, expected, "{case}\nengine: {found:#}\nserver: {expected:#}");
    }
    assert_eq!(from_engine.len(), from_server.len());
}

/// Repeats a command until its answer has what is wanted of it; then it is what the command answers.
fn eventually(address: &str, arguments: &[&str], wanted: impl Fn(&Result<String, String>) -> bool) -> String {
    let begun = Instant::now();
    loop {
        let answer = temporal(address, arguments);
        if wanted(&answer) {
            return answer.unwrap_or_else(|refusal| refusal);
        }
        assert!(begun.elapsed() < LAG, "{address}: {arguments:?}: {answer:#?}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// The answer of a command that prints JSON.
fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON was asked for")
}

/// What an operator sees of search attributes.
fn attributes(address: &str) -> Vec<String> {
    let said = |arguments: &[&str]| format!("{arguments:?}: {:?}", temporal(address, arguments));
    let create = |name, kind| ["operator", "search-attribute", "create", "--name", name, "--type", kind];
    let mut answers = vec![
        said(&create("Customer", "Keyword")),
        said(&create("Customer", "Keyword")),
        said(&create("Customer", "Int")),
        said(&create("Attempts", "Int")),
        said(&create("RunId", "Keyword")),
    ];
    let listed = temporal(address, &["operator", "search-attribute", "list"]).expect("they are listed");
    answers.extend(listed.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")));
    let started = |result: &Result<String, String>| result.is_ok();
    for (id, customer, attempts) in
        [("cli-1", "Customer=\"acme\"", "Attempts=3"), ("cli-2", "Customer=\"x\"", "Attempts=5")]
    {
        let given = ["--search-attribute", customer, "--search-attribute", attempts];
        let start = ["workflow", "start", "--task-queue", "q", "--type", "T", "--workflow-id", id];
        eventually(address, &[&start[..], &given[..]].concat(), started);
    }
    let bad = ["workflow", "start", "--task-queue", "q", "--type", "T", "--workflow-id", "bad", "--search-attribute"];
    answers.push(said(&[&bad[..], &["Attempts=\"many\""]].concat()));
    answers.push(said(&[&bad[..], &["Unheard=1"]].concat()));
    let query = "Customer = 'acme' AND Attempts BETWEEN 1 AND 4";
    let list = ["workflow", "list", "--output", "json", "--query", query];
    let found = eventually(address, &list, |answer| answer.as_ref().is_ok_and(|text| text.contains("cli-1")));
    answers
        .extend(json(&found).as_array().expect("a list").iter().map(|run| run["execution"]["workflowId"].to_string()));
    eventually(address, &["workflow", "count", "--query", "Attempts > 1"], |answer| {
        answer.as_deref() == Ok("Total: 2")
    });
    answers.push(said(&["workflow", "count", "--query", query]));
    answers.push(said(&["workflow", "count", "--query", "Attempts > 1 GROUP BY ExecutionStatus"]));
    answers.push(said(&["operator", "search-attribute", "remove", "--name", "Customer", "--yes"]));
    eventually(address, &["workflow", "count", "--query", "Customer = 'acme'"], Result::is_err);
    answers.push(said(&["operator", "search-attribute", "remove", "--name", "WorkflowId", "--yes"]));
    answers
}

/// What an operator sees of namespaces.
fn namespaces(address: &str) -> Vec<String> {
    let said = |arguments: &[&str]| format!("{arguments:?}: {:?}", temporal(address, arguments));
    let operator = |rest: &[&'static str]| [&["operator", "namespace"], rest].concat();
    let mut answers = vec![
        said(&operator(&["create", "--namespace", "extra", "--retention", "48h", "--description", "first"])),
        said(&operator(&["create", "--namespace", "extra"])),
    ];
    let describe = operator(&["describe", "--namespace", "extra", "--output", "json"]);
    eventually(address, &describe, Result::is_ok);
    answers.push(said(&operator(&["update", "--namespace", "extra", "--description", "second", "--data", "a=b"])));
    answers.push(said(&operator(&["update", "--namespace", "extra", "--retention", "1m"])));
    let described = json(&temporal(address, &describe).expect("it is described"));
    let (info, config) = (&described["namespaceInfo"], &described["config"]);
    answers.push(format!("{} {} {}", info["description"], info["data"], config["workflowExecutionRetentionTtl"]));
    answers.push(said(&operator(&["delete", "--namespace", "nowhere", "--yes"])));
    answers.push(said(&operator(&["delete", "--namespace", "extra", "--yes"])));
    answers.push(eventually(address, &describe, Result::is_err));
    let names = temporal(address, &operator(&["list"])).expect("they are listed");
    answers.push(format!("is still listed: {}", names.contains("extra")));
    answers
}

#[test]
fn operators_see_no_difference() {
    let Some(server) = TemporalServer::start() else { return };
    let engine = EngineServer::start(BINARY, &[]);
    for (ours, theirs) in [
        (attributes(&engine.address()), attributes(&server.address())),
        (namespaces(&engine.address()), namespaces(&server.address())),
    ] {
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert_eq!(ours, theirs, "the engine's is the first");
        }
        assert_eq!(ours.len(), theirs.len());
    }
}
