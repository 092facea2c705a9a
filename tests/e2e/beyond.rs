//! What is unusual for a service, by a history that it has.

use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use dixmgr_testkit::{CountedUnit, HttpFixture, Reply, SystemdNamespace};
use rusqlite::{Connection, params};

use crate::alerts::{await_messages, command, told_to};
use crate::support::{await_health, config, exec};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// Memory that a service which only sleeps never has.
const USUAL: f64 = 600.0 * 1_048_576.0;
/// Another, of which it was about to have too much.
pub(crate) const LIMIT: f64 = 4096.0 * 1_048_576.0;

fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after the epoch");
    i64::try_from(now.as_millis()).expect("a time")
}

/// Four weeks in which `memory` was its mean, hour by hour, and a last half hour by the minute.
pub(crate) fn remember(history: &Path, service: &str, memory: impl Fn(i64) -> f64, lately: f64) {
    let mut file = Connection::open(history).expect("the history");
    let begun = file.transaction().expect("a transaction");
    let id: i64 =
        begun.query_row("SELECT id FROM services WHERE name = ?1", [service], |row| row.get(0)).expect("known");
    let now = now();
    begun.execute("DELETE FROM hours WHERE service_id = ?1", [id]).expect("hours");
    begun.execute("DELETE FROM minutes WHERE service_id = ?1", [id]).expect("minutes");
    let row = "(start, service_id, up_ms, down_ms, samples, cpu_avg, cpu_max, memory_avg, memory_max, answers)";
    let this_hour = now - now % HOUR;
    for start in (this_hour - 28 * DAY..this_hour).step_by(usize::try_from(HOUR).expect("an hour")) {
        let insert = format!("INSERT INTO hours {row} VALUES (?1, ?2, {HOUR}, 0, 360, 1, 2, ?3, ?3, 0)");
        begun.execute(&insert, params![start, id, memory((this_hour - start) / HOUR)]).expect("an hour");
    }
    let this_minute = now - now % MINUTE;
    for start in (this_minute - 29 * MINUTE..this_minute).step_by(usize::try_from(MINUTE).expect("a minute")) {
        let insert = format!("INSERT INTO minutes {row} VALUES (?1, ?2, {MINUTE}, 0, 6, 1, 2, ?3, ?3, 0)");
        begun.execute(&insert, params![start, id, lately]).expect("a minute");
    }
    begun.commit().expect("written");
}

#[test]
fn what_the_history_finds_unusual_is_told_and_found_again_by_a_backtest() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    let receiver = HttpFixture::always(Reply::status(200));
    let units = ["calm.service", "odd.service", "leak.service"];
    systemd.install(&units.map(CountedUnit::new));
    systemd.start_units(&units);
    let rules = "[[alerts.rule]]\nname = \"unusual_memory\"\nfor = \"0s\"\nchannels = [\"ops\"]\n\
                 [[alerts.rule]]\nname = \"memory_forecast\"\nfor = \"0s\"\nseverity = \"critical\"\n";
    let text = told_to(&receiver, "") + rules + &config(&units);
    let mut daemon = exec(&systemd, &text, &["calm", "odd", "leak"]);
    for service in ["calm", "odd", "leak"] {
        await_health(&daemon, service, true);
    }
    daemon.terminate();
    let history = daemon.data_directory().join("health.db");
    remember(&history, "calm", |_| USUAL, USUAL);
    remember(&history, "odd", |_| USUAL, 2.0 * USUAL);
    // In five hours it will have all that it may have.
    remember(&history, "leak", |ago| LIMIT - 10e6 * (ago as f64 + 5.0), LIMIT - 60e6);
    daemon.start();
    daemon.await_ready();
    await_messages(&daemon, &receiver, "odd", &[("firing", "unusual")]);
    await_messages(&daemon, &receiver, "leak", &[("firing", "limit_ahead")]);
    await_messages(&daemon, &receiver, "calm", &[]);
    let bodies = receiver.requests().into_iter().map(|request| String::from_utf8_lossy(&request.body).into_owned());
    let bodies: Vec<String> = bodies.collect();
    let said = |text: &str| bodies.iter().any(|body| body.contains(text));
    assert!(said("the memory of odd is") && said("from what is usual at this hour"), "{bodies:?}");
    assert!(said("the memory of leak reaches its limit in"), "{bodies:?}");

    let file = daemon.data_directory().join("rules.toml");
    fs::write(&file, &text).expect("write");
    let (file, history) = (file.display().to_string(), history.display().to_string());
    let found = command(&["backtest", "-rules", &file, "-since", "2d", "-health-history-db", &history]);
    assert!(found.contains("memory_forecast would have fired 1 times"), "{found}");
    assert!(!found.contains("calm"), "{found}");
    daemon.terminate();
}
