//! The file itself: copied while work goes on, looked into, saved from when it is damaged.

use std::{
    fs::{self, OpenOptions},
    os::unix::fs::FileExt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use dixmgr_engine::{
    Engine, EngineOptions,
    inspect::{self, Run},
    store::StoreError,
};
use temporalio_common::protos::temporal::api::{
    command::v1::ScheduleActivityTaskCommandAttributes,
    history::v1::history_event::Attributes,
    workflowservice::v1::{SignalWorkflowExecutionRequest, SignalWorkflowExecutionResponse},
};
use tonic::Code;

use crate::{
    hand::{activity, payloads, seconds, signal, timer},
    home::{Home, NAMESPACE},
};

fn runs(path: &Path) -> (Vec<Run>, Option<String>) {
    let mut found = Vec::new();
    let lost = inspect::runs(path, |run, _| {
        found.push(run);
        Ok::<(), StoreError>(())
    });
    (found, lost.unwrap())
}

/// Names of the signals in the history of a run.
fn signals(run: &Run) -> Vec<String> {
    let name = |attributes: &Attributes| match attributes {
        Attributes::WorkflowExecutionSignaledEventAttributes(signalled) => Some(signalled.signal_name.clone()),
        _ => None,
    };
    run.events.iter().filter_map(|event| event.attributes.as_ref().and_then(name)).collect()
}

/// Runs in every state: one that waits for a worker, one that waits for an activity and a timer with a signal held back, one
/// that has ended.
async fn some_runs(home: &Home) {
    home.start("fresh").await;
    home.start("busy").await;
    let task = home.workflow_task("busy").await;
    let limits = ScheduleActivityTaskCommandAttributes { start_to_close_timeout: seconds(600), ..Default::default() };
    home.complete(task.task_token, vec![activity(limits, "deeds"), timer("nap", 600)]).await.unwrap();
    home.activity_task("deeds").await;
    home.signal("busy", "wakes it").await.unwrap();
    home.workflow_task("busy").await;
    home.signal("busy", "held back").await.unwrap();
    home.start("ended").await;
    home.terminate("ended").await.unwrap();
}

#[tokio::test]
async fn a_sound_file_is_called_sound_and_gives_every_history() {
    let mut home = Home::engine();
    some_runs(&home).await;
    let expected = [home.history("fresh").await, home.history("busy").await, home.history("ended").await];
    let file = home.embedded().file().to_owned();
    assert!(matches!(inspect::check(&file, |_, _| ()), Err(StoreError::Locked { .. })), "an engine has it");
    home.embedded().handle().shutdown().await;

    let before = fs::read(&file).unwrap();
    let report = inspect::check(&file, |_, _| ()).unwrap();
    assert_eq!(report.findings, [] as [String; 0]);
    assert_eq!((report.runs, report.open), (3, 2));
    assert_eq!(report.events, expected.iter().map(Vec::len).sum::<usize>() as u64);
    let (found, lost) = runs(&file);
    assert_eq!(lost, None);
    assert_eq!(found.iter().map(|run| run.events.clone()).collect::<Vec<_>>(), expected);
    let told: Vec<_> = found.iter().map(|run| (run.namespace.as_str(), run.workflow_id.as_str(), run.status)).collect();
    let (running, ended) = ("WORKFLOW_EXECUTION_STATUS_RUNNING", "WORKFLOW_EXECUTION_STATUS_TERMINATED");
    assert_eq!(told, [(NAMESPACE, "fresh", running), (NAMESPACE, "busy", running), (NAMESPACE, "ended", ended)]);
    assert_eq!(fs::read(&file).unwrap(), before, "looking changes nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_is_made_while_work_goes_on_and_is_a_whole_store() {
    let home = Arc::new(Home::engine());
    home.start("told").await;
    for _ in 0..60 {
        let request = SignalWorkflowExecutionRequest { input: payloads(&vec![7; 50_000]), ..signal("told", "ballast") };
        let _: SignalWorkflowExecutionResponse = home.call("SignalWorkflowExecution", request).await.unwrap();
    }
    let enough = Arc::new(AtomicBool::new(false));
    let (teller, stop) = (Arc::clone(&home), Arc::clone(&enough));
    let teller = tokio::spawn(async move {
        let mut told = 0_i64;
        while !stop.load(Ordering::Relaxed) {
            teller.signal("told", &format!("signal-{told}")).await.unwrap();
            told += 1;
        }
        told
    });
    let directory = tempfile::tempdir().unwrap();
    let copy = directory.path().join("copy.db");
    let Home::Engine(embedded) = home.as_ref() else { unreachable!("it is one") };
    let bytes = embedded.handle().backup(copy.clone()).await.unwrap();
    let again = embedded.handle().backup(copy.clone()).await.unwrap_err();
    assert!(again.message().contains("such a file already"), "{again:?}");
    let nowhere = embedded.handle().backup(directory.path().join("no/such/copy.db")).await.unwrap_err();
    assert_eq!(nowhere.code(), Code::Unavailable, "{nowhere:?}");
    enough.store(true, Ordering::Relaxed);
    let told = teller.await.unwrap();

    assert_eq!(bytes, fs::metadata(&copy).unwrap().len());
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left behind");
    assert_eq!(inspect::check(&copy, |_, _| ()).unwrap().findings, [] as [String; 0]);
    let (found, _) = runs(&copy);
    let there: Vec<_> = signals(&found[0]).into_iter().filter(|name| name != "ballast").collect();
    let expected: Vec<_> = (0..there.len()).map(|number| format!("signal-{number}")).collect();
    assert_eq!(there, expected, "as it was at one moment");
    assert!(told >= i64::try_from(there.len()).unwrap(), "{told}");
    assert_eq!(home.describe("told").await.workflow_execution_info.unwrap().history_length, 62 + told);
    let engine = Engine::open(EngineOptions::new(&copy)).unwrap();
    assert_eq!(engine.outlook().await.unwrap().workflow_tasks, 1, "it goes on from there");
}

/// What the pages that can still be read hold is handed out, and what they do not hold is named.
#[tokio::test]
async fn a_damaged_file_is_called_damaged_and_gives_what_it_still_holds() {
    const RUNS: usize = 40;
    let mut home = Home::engine();
    for number in 0..RUNS {
        let id = format!("run-{number}");
        home.start(&id).await;
        let request = SignalWorkflowExecutionRequest { input: payloads(&[7; 9_000]), ..signal(&id, "big") };
        let _: SignalWorkflowExecutionResponse = home.call("SignalWorkflowExecution", request).await.unwrap();
    }
    let file = home.embedded().file().to_owned();
    home.embedded().handle().shutdown().await;
    let length = fs::metadata(&file).unwrap().len();
    let damaged = OpenOptions::new().write(true).open(&file).unwrap();
    for page in [length / 4_096 / 2, length / 4_096 / 2 + 1] {
        damaged.write_all_at(&[0xa5; 4_096], page * 4_096).unwrap();
    }
    drop(damaged);

    let report = inspect::check(&file, |_, _| ()).unwrap();
    assert!(!report.is_sound());
    let (found, _) = runs(&file);
    let whole = found.iter().filter(|run| run.fault.is_none() && signals(run) == ["big"]).count();
    let named = found.iter().filter(|run| run.fault.is_some()).count();
    assert!(whole > RUNS / 2, "{whole} of {RUNS} can be read: {:?}", report.findings);
    assert!(whole < RUNS && named > 0, "{whole} whole, {named} with faults");
    assert!(found.iter().all(|run| run.fault.is_some() || run.events.len() == 3));
}

#[test]
fn what_is_no_store_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing.db");
    assert!(matches!(inspect::check(&missing, |_, _| ()), Err(StoreError::Io { .. })));
    assert!(!missing.exists(), "looking makes nothing");
    let text = directory.path().join("text.db");
    fs::write(&text, "not a database at all. ".repeat(100)).unwrap();
    assert!(matches!(inspect::check(&text, |_, _| ()), Err(StoreError::Corrupt { .. })));
}
