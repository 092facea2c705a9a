//! Histories of earlier versions, replayed with today's workflows: each must come to the same commands again.
//!
//! They were recorded by the suite on a real Temporal server, with `DIXMGR_RECORD_HISTORIES` set to this directory.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::redundant_closure_for_method_calls,
    reason = "tests run outside of workflows"
)]

use std::fs;
use std::path::PathBuf;

use dixmgr_testkit::package_directory;
use dixmgr_workflows::{
    AlertGroupWorkflow, AlertWorkflow, ClusterWorkflow, DependentWorkflow, InfrastructureWorkflow, NodeWorkflow,
    SilencesWorkflow,
};
use temporalio_client::WorkflowHistory;
use temporalio_sdk::workflow_replayer::{WorkflowReplayer, WorkflowReplayerOptions};

fn recorded() -> Vec<PathBuf> {
    let directory = package_directory().join("tests/histories");
    let mut files: Vec<_> = fs::read_dir(directory)
        .expect("the directory of histories")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    files.sort();
    files
}

fn replayer() -> WorkflowReplayer {
    let options = WorkflowReplayerOptions::new()
        .register_workflow::<NodeWorkflow>()
        .and_then(|options| options.register_workflow::<DependentWorkflow>())
        .and_then(|options| options.register_workflow::<ClusterWorkflow>())
        .and_then(|options| options.register_workflow::<InfrastructureWorkflow>())
        .and_then(|options| options.register_workflow::<AlertWorkflow>())
        .and_then(|options| options.register_workflow::<AlertGroupWorkflow>())
        .and_then(|options| options.register_workflow::<SilencesWorkflow>())
        .expect("distinct workflow types")
        .build();
    WorkflowReplayer::new(options).expect("a replayer")
}

#[tokio::test]
async fn every_recorded_history_replays() {
    let files = recorded();
    assert!(files.len() >= 9, "only {} histories are there", files.len());
    let replayer = replayer();
    for file in files {
        let history = WorkflowHistory::from_json(&fs::read(&file).expect("a history")).expect("a history in JSON");
        let outcome = replayer.replay_workflow(history).await;
        assert!(outcome.is_ok(), "{}: {outcome:?}", file.display());
    }
}

/// The test above could pass by looking at nothing: a history that these workflows would not write is refused.
#[tokio::test]
async fn a_foreign_history_does_not_replay() {
    let file = package_directory().join("tests/histories/node-crash.json");
    let text = fs::read_to_string(file).expect("a history").replace("restart_unit", "stop_unit");
    let history = WorkflowHistory::from_json(text.as_bytes()).expect("a history in JSON");
    assert!(replayer().replay_workflow(history).await.is_err());
}
