//! Schedules over the network: Temporal's Python SDK and its command line get from the engine what they get from Temporal's own
//! server, and a schedule outlives the process.

use std::time::{Duration, Instant};

use dixmgr_testkit::{EngineServer, TemporalServer};
use serde_json::Value;

use crate::{
    support::BINARY,
    wire::{no_difference_in, temporal},
};

#[test]
fn the_python_sdk_sees_no_difference_between_schedules() {
    no_difference_in("schedules.py", &[]);
}

/// What a command prints as JSON, without what differs from run to run.
fn told(address: &str, arguments: &[&str]) -> Result<Value, String> {
    let json = [arguments, &["--output", "json"]].concat();
    let said = temporal(address, &json)?;
    let mut value: Value = serde_json::from_str(&said).unwrap_or(Value::Null);
    blank(&mut value);
    Ok(value)
}

fn blank(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for name in ["createTime", "updateTime", "futureActionTimes", "actualTime", "scheduleTime", "runId"] {
                fields.remove(name);
            }
            // The time of a start stands in its workflow's id.
            if let Some(Value::String(id)) = fields.get_mut("workflowId") {
                id.truncate("nightly".len());
            }
            fields.values_mut().for_each(blank);
        }
        Value::Array(items) => items.iter_mut().for_each(blank),
        _ => {}
    }
}

#[test]
fn the_temporal_command_line_keeps_schedules() {
    let Some(server) = TemporalServer::start() else { return };
    let engine = EngineServer::start(BINARY, &[]);
    let create: Vec<_> =
        "schedule create -s s --type T --task-queue q --workflow-id nightly --input 1 --cron @daily#why \
        --interval 90m/5m --calendar {\"hour\":\"9-17\",\"dayOfWeek\":\"mon-fri\"} --time-zone Europe/Berlin \
        --overlap-policy BufferOne --catchup-window 1h --pause-on-failure --remaining-actions 3 --notes mine"
            .split_whitespace()
            .collect();
    let describe: &[&str] = &["schedule", "describe", "-s", "s"];
    let backfill: Vec<_> = "schedule backfill -s s --start-time 2025-01-06T12:10:00Z --end-time 2025-01-06T13:00:00Z \
        --overlap-policy AllowAll"
        .split_whitespace()
        .collect();
    let steps: [&[&str]; 17] = [
        &create,
        describe,
        &create,
        &["schedule", "toggle", "-s", "s", "--pause", "--reason", "night"],
        describe,
        &["schedule", "toggle", "-s", "s", "--unpause", "--reason", "day"],
        &["schedule", "trigger", "-s", "s"],
        &backfill,
        describe,
        &["schedule", "update", "-s", "s", "--type", "T", "--task-queue", "q", "--workflow-id", "nightly"],
        describe,
        &["schedule", "create", "-s", "wrong", "--type", "T", "--task-queue", "q", "--cron", "61 * * * *"],
        &["schedule", "delete", "-s", "s"],
        &["schedule", "describe", "-s", "nobody"],
        &["schedule", "trigger", "-s", "nobody"],
        &["schedule", "toggle", "-s", "nobody", "--pause"],
        &["schedule", "delete", "-s", "nobody"],
    ];
    for step in steps {
        let answers = [server.address(), engine.address()].map(|address| {
            // A server does what it was asked a little after it has answered.
            std::thread::sleep(Duration::from_millis(500));
            told(&address, step)
        });
        assert_eq!(answers[1], answers[0], "{step:?}");
    }
}

#[test]
fn a_schedule_goes_on_after_a_kill() {
    let mut engine = EngineServer::start(BINARY, &[]);
    let address = engine.address();
    if !dixmgr_testkit::require(dixmgr_testkit::Component::Temporal) {
        return;
    }
    let create =
        "schedule create -s kept --type T --task-queue q --workflow-id kept --interval 1s --overlap-policy AllowAll";
    temporal(&address, &create.split_whitespace().collect::<Vec<_>>()).expect("it is created");
    let actions = |address: &str| {
        let told = temporal(address, &["schedule", "describe", "-s", "kept", "--output", "json"]).expect("it is there");
        let told: Value = serde_json::from_str(&told).expect("JSON was asked for");
        told["info"]["actionCount"].as_str().map_or(0, |count| count.parse::<usize>().expect("a number"))
    };
    let until = |least: usize| {
        let begun = Instant::now();
        while actions(&address) < least {
            assert!(begun.elapsed() < Duration::from_secs(30), "no {least} starts in time");
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    until(2);
    engine.kill_and_restart();
    until(5);
    let pause = ["schedule", "toggle", "-s", "kept", "--pause", "--reason", "enough"];
    temporal(&address, &pause).expect("it is paused");
    let query = ["workflow", "count", "--query", "TemporalScheduledById = 'kept'", "--output", "json"];
    let counted: Value = serde_json::from_str(&temporal(&address, &query).expect("counted")).expect("JSON");
    let runs = counted["count"].as_str().map(|count| count.parse::<usize>().expect("a number"));
    assert_eq!(runs, Some(actions(&address)), "each start is counted once, and each that is counted has been made");
}
