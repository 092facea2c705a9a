//! A storm over `dixmgr engine`: it is killed again and again while clients start workflows, send them signals and wait for
//! their ends, and while a worker runs their timers, activities and children. Alone; on a disk that is full now and then; on one
//! that fails to sync; with a clock that is set forwards and back.
//!
//! The model is simple because the workflows are: a book that was told 0, 1, 2 … in that order and acknowledged each returns
//! exactly these, whatever happened in between. Requests that were not acknowledged are sent again under the same request id. At
//! the end the file is checked, and every history in it replays.
//!
//! `DIXMGR_KILLS` says how often it is killed.

mod clients;
mod workflows;

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use dixmgr_testkit::{EngineServer, Random, wait_until};
use serde_json::Value;
use temporalio_sdk::workflow_replayer::{WorkflowReplayer, WorkflowReplayerOptions, WorkflowReplayerOptionsBuilder};

use self::clients::Clients;
use self::workflows::{Book, Page};
use crate::faults::{Faults, SmallDisk};
use crate::support::BINARY;

/// Longest time from one kill to the next, the start of the engine not counted. An SDK that has lost its server waits for 200 ms.
const LIFE: Duration = Duration::from_millis(600);
/// Longest time until a trouble is felt by somebody.
const BITES_WITHIN: Duration = Duration::from_mins(1);
/// Furthest that the clock is set from the right time.
const WRONG: Duration = Duration::from_hours(2);

fn kills() -> usize {
    env::var("DIXMGR_KILLS").map_or(8, |kills| kills.parse().expect("DIXMGR_KILLS is a number"))
}

/// Kills the engine so often; `trouble` happens in each of its lives, and is over at the end. Where `sign` is given, it is what
/// refusals say when the trouble bites, and the storm goes on until one has said it.
fn rage(engine: EngineServer, sign: Option<&str>, mut trouble: impl FnMut(Option<&mut Random>)) -> EngineServer {
    let mut engine = engine;
    let mut random = Random::from_environment();
    let clients = Clients::start(&engine.address());
    for _ in 0..kills() {
        trouble(Some(&mut random));
        thread::sleep(random.within(Duration::ZERO..LIFE));
        engine.kill_and_restart();
    }
    if let Some(sign) = sign {
        let bitten = wait_until(BITES_WITHIN, || {
            trouble(Some(&mut random));
            wait_until(LIFE, || clients.were_told(sign))
        });
        assert!(bitten, "nobody was told {sign:?}");
    }
    trouble(None);
    let entered = clients.finish();
    eprintln!("{} kills, {entered} numbers entered, each once and in order", kills());
    engine
}

/// Takes the file out of the running engine, and looks at all of it.
fn inspect(engine: &EngineServer) {
    let place = tempfile::tempdir().expect("a temporary directory");
    let at = |name: &str| place.path().join(name).display().to_string();
    let command = |arguments: &[&str]| {
        let output = Command::new(BINARY).arg("engine").args(arguments).output().expect("run dixmgr");
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        assert!(output.status.success(), "{arguments:?}: {said}");
    };
    command(&["backup", "-data-dir", &engine.directory().display().to_string(), "-to", &at("copy.db")]);
    command(&["check", "-file", &at("copy.db")]);
    command(&["export", "-file", &at("copy.db"), "-to", &at("export")]);
    let runs = replay(&place.path().join("export"), &engine.address());
    eprintln!("{runs} histories replayed");
}

/// Replays the history of every run that was exported; all of them have ended as they must.
fn replay(export: &Path, address: &str) -> usize {
    let options = WorkflowReplayerOptions::new()
        .register_workflow::<Book>()
        .and_then(WorkflowReplayerOptionsBuilder::register_workflow::<Page>)
        .expect("distinct workflow types")
        .build();
    let index = fs::read_to_string(export.join("index.jsonl")).expect("a list");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let client = clients::connect(address).await;
        let replayer = WorkflowReplayer::new(options).expect("a replayer");
        for line in index.lines() {
            let entry: Value = serde_json::from_str(line).expect("JSON");
            assert_eq!(entry["status"], "WORKFLOW_EXECUTION_STATUS_COMPLETED", "{entry}");
            assert_eq!(entry["lost"], Value::Null, "{entry}");
            let id = |name: &str| entry[name].as_str().expect("an id").to_owned();
            let history = clients::history(&client, id("workflowId"), id("runId")).await;
            assert_eq!(entry["events"], history.events.len(), "{entry}");
            let outcome = replayer.replay_workflow(history.into()).await;
            assert!(outcome.is_ok(), "{entry}: {outcome:?}");
        }
    });
    index.lines().count()
}

#[test]
fn nothing_is_lost_when_the_engine_is_killed() {
    inspect(&rage(EngineServer::start(BINARY, &[]), None, |_| {}));
}

#[test]
fn nothing_is_lost_when_its_disk_is_full_now_and_then() {
    let mut disk = None;
    let engine = EngineServer::start_with(BINARY, &[], |directory| disk = Some(SmallDisk::over(directory)));
    let disk = disk.expect("it is prepared");
    let sign = Some("no room left");
    let engine = rage(engine, sign, |random| disk.fill(random.is_some_and(|random| random.below(2) == 0)));
    inspect(&engine);
    drop(engine);
}

#[test]
fn nothing_is_lost_when_its_disk_fails_to_sync() {
    let faults = Faults::new();
    let engine = EngineServer::start_under(&faults.wrapper(), BINARY, &[]);
    let sign = Some("cannot read or write");
    let engine = rage(engine, sign, |random| faults.fail_syncs(if random.is_some() { 300 } else { 0 }));
    inspect(&engine);
}

#[test]
fn nothing_is_lost_when_the_clock_is_set_forwards_and_back() {
    let faults = Faults::new();
    let engine = EngineServer::start_under(&faults.wrapper(), BINARY, &[]);
    let engine = rage(engine, None, |random| {
        if let Some(random) = random {
            let ahead = random.below(2) == 0;
            faults.set_clock(ahead, random.within(Duration::ZERO..WRONG));
        }
    });
    let log = engine.log();
    let times: Vec<&str> = log.lines().filter_map(|line| line.split_once(" INFO ")).map(|(time, _)| time).collect();
    assert!(!times.is_sorted(), "the clock was never set back: {times:?}");
    inspect(&engine);
}
