//! The health history of a running dixmgr: over `kill -9`, on the command line, over HTTP, and on a disk that is full.

use std::process::{Command, Output};
use std::time::Duration;

use dixmgr_testkit::{CountedUnit, Daemon, Namespace, SystemdNamespace, eventually};
use serde_json::Value;

use crate::described;
use crate::support::{BINARY, SOON, await_health, config, dixmgr, inside};

fn get(daemon: &Daemon, path: &str) -> Value {
    let (status, body) = daemon.api(path).unwrap_or_else(|| panic!("no API; the log:\n{}", daemon.log()));
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

/// A command that only reads the file, also while dixmgr runs.
fn command(daemon: &Daemon, arguments: &[&str]) -> Output {
    let data = daemon.data_directory();
    Command::new(BINARY).args(arguments).arg("-data-dir").arg(data).output().unwrap()
}

fn said(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn incidents_and_actions_survive_a_kill_and_are_told() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    systemd.install(&[CountedUnit::new("web.service"), CountedUnit::new("db.service")]);
    systemd.start_units(&["web.service", "db.service"]);
    let mut daemon = dixmgr(&systemd, "-exec", &config(&["web.service", "db.service"])).started();
    await_health(&daemon, "web", true);
    systemd.kill_unit("web.service");
    let over = |daemon: &Daemon, count: usize| {
        let found = get(daemon, "/api/v1/incidents?service=web&window=1h");
        let incidents = found["incidents"].as_array().unwrap().clone();
        let ended = incidents.iter().filter(|one| one["ended_at"].is_string()).count();
        (ended == count).then_some(incidents)
    };
    let incidents = eventually("the incident is over", SOON, || over(&daemon, 1));
    assert_eq!((&incidents[0]["cause"], &incidents[0]["detail"]), (&"failed".into(), &"signal".into()));
    let actions = get(&daemon, "/api/v1/actions?service=web");
    let restart = &actions["actions"][0];
    assert_eq!((&restart["verb"], &restart["outcome"]), (&"restart".into(), &"done".into()), "{actions}");
    assert!(!restart["reason"].as_str().unwrap().is_empty(), "{actions}");

    described::answers_fit(&daemon);

    daemon.kill();
    daemon.start();
    daemon.await_ready();
    await_health(&daemon, "web", true);
    assert_eq!(
        over(&daemon, 1).map(|incidents| incidents.len()),
        Some(1),
        "what was written is there, and nothing is told twice"
    );
    systemd.kill_unit("web.service");
    eventually("the second incident is over", SOON, || over(&daemon, 2));

    let story = said(&command(&daemon, &["history", "web", "-since", "1h"]));
    for word in ["INCIDENTS", "failed: signal", "ACTIONS", "restart for", "CHANGES"] {
        assert!(story.contains(word), "{word:?} is not in:\n{story}");
    }
    // So long in one piece, at the least.
    std::thread::sleep(Duration::from_secs(1));
    daemon.terminate();
    let json = said(&command(&daemon, &["uptime", "-window", "1h", "-json"]));
    let uptime: Value = serde_json::from_str(&json).unwrap();
    let web = uptime["services"].as_array().unwrap().iter().find(|one| one["service"] == "web").unwrap().clone();
    let seconds = |key: &str| web[key].as_f64().unwrap();
    assert!(seconds("up_seconds") > 0.5 && seconds("down_seconds") > 0.0 && seconds("down_seconds") < 20.0, "{web}");
    assert!(seconds("unknown_seconds") > 0.0, "nobody looked while dixmgr was dead: {web}");
    let db = uptime["services"].as_array().unwrap().iter().find(|one| one["service"] == "db").unwrap().clone();
    assert_eq!(db["down_seconds"], 0.0, "{db}");
    assert!(said(&command(&daemon, &["uptime"])).contains("db"));
    let unknown = command(&daemon, &["history", "nobody"]);
    assert_eq!(unknown.status.code(), Some(2), "{}", String::from_utf8_lossy(&unknown.stderr));
}

#[test]
fn a_full_disk_loses_history_and_nothing_else() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    systemd.install(&[CountedUnit::new("web.service")]);
    systemd.start_units(&["web.service"]);
    // A file system of its own, so that the engine has room: seen in the daemon's namespace and, through its root, by us.
    let small = "/run/small";
    inside(&systemd, &["mkdir", small]);
    inside(&systemd, &["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", small]);
    let file = format!("{small}/health.db");
    let daemon =
        dixmgr(&systemd, "-exec", &config(&["web.service"])).arguments(&["-health-history-db", &file]).started();
    await_health(&daemon, "web", true);
    inside(&systemd, &["sh", "-c", &format!("dd if=/dev/zero of={small}/filler bs=4k 2>/dev/null || true")]);
    let writing = || daemon.metrics().sum("dixmgr_history_writing", &[]);
    // Something has to be written before it is felt.
    for _ in 0..3 {
        systemd.kill_unit("web.service");
        std::thread::sleep(Duration::from_millis(300));
    }
    eventually("the history says that it cannot be written", Duration::from_secs(40), || {
        (writing() < 0.5).then_some(())
    });
    let before = systemd.starts("web.service");
    systemd.kill_unit("web.service");
    eventually("services are kept all the same", SOON, || (systemd.starts("web.service") > before).then_some(()));
    assert!(daemon.log().contains("the health history cannot be written"));
    inside(&systemd, &["rm", &format!("{small}/filler")]);
    eventually("it is written again", SOON, || (writing() > 0.5).then_some(()));
}
