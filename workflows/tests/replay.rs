//! Histories of earlier versions, replayed with today's workflows: each must come to the same commands again.
//!
//! They were recorded by the suite on a real Temporal server, with `DIXMGR_RECORD_HISTORIES` set to this directory.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "tests run outside of workflows"
)]

use std::fs;
use std::path::{Path, PathBuf};

use dixmgr_workflows::{ClusterWorkflow, DependentWorkflow, InfrastructureWorkflow, NodeWorkflow};
use temporalio_client::WorkflowHistory;
use temporalio_sdk::workflow_replayer::{WorkflowReplayer, WorkflowReplayerOptions};

fn recorded() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/histories");
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
        .expect("distinct workflow types")
        .build();
    WorkflowReplayer::new(options).expect("a replayer")
}

#[tokio::test]
async fn every_recorded_history_replays() {
    let files = recorded();
    assert!(files.len() >= 5, "only {} histories are there", files.len());
    let replayer = replayer();
    for file in files {
        let history = WorkflowHistory::from_json(&fs::read(&file).expect("a history")).expect("a history in JSON");
        let outcome = replayer.replay_workflow(history).await;
        assert!(outcome.is_ok(), "{}: {outcome:?}", file.display());
    }
}
