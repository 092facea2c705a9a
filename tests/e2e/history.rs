//! The health history of a running dixmgr: over `kill -9`, on the command line, over HTTP, and on a disk that is full.

use std::process::{Command, Output};
use std::time::Duration;

use dixmgr_testkit::{CountedUnit, Daemon, Namespace, SystemdNamespace, eventually};
use serde_json::Value;

use crate::support::{BINARY, SOON, await_health, config, dixmgr};

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

/// Runs a command in the namespace.
fn inside(systemd: &SystemdNamespace, arguments: &[&str]) {
    let status = systemd.command_inside(arguments[0].as_ref()).args(&arguments[1..]).status().unwrap();
    assert!(status.success(), "{arguments:?}: {status}");
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

    answers_are_as_described(&daemon);

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

/// Every request of the API's description, and its answer held against it.
fn answers_are_as_described(daemon: &Daemon) {
    let document = get(daemon, "/api/v1/openapi.json");
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() > 5, "{paths:?}");
    for path in paths.keys().filter(|path| !path.ends_with("/events")) {
        let schema = &document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"];
        check(&get(daemon, &path.replace("{name}", "web")), schema, &document, path);
    }
    let (status, error) = daemon.api("/api/v1/services/nobody/history").unwrap();
    assert_eq!(status, 404);
    let error = serde_json::from_str(&error).unwrap();
    check(&error, &document["components"]["schemas"]["Error"], &document, "an error");
}

/// Whether an answer is what the description says: no key more, none less that has to be there, all of their types.
fn check(value: &Value, schema: &Value, document: &Value, at: &str) {
    if let Some(reference) = schema["$ref"].as_str() {
        return check(value, &document.pointer(&reference[1..]).unwrap().clone(), document, at);
    }
    if let Some(any) = schema["anyOf"].as_array() {
        let null = value.is_null() && any.iter().any(|one| one["type"] == "null");
        if !null {
            check(value, &any[0], document, at);
        }
        return;
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
        one => one.as_str().into_iter().collect(),
    };
    let fits = |name: &&str| match *name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("{at}: a type {other}"),
    };
    assert!(types.iter().any(fits), "{at}: {value} is none of {types:?}");
    if let Some(allowed) = schema["enum"].as_array() {
        assert!(allowed.contains(value), "{at}: {value} is none of {allowed:?}");
    }
    for item in value.as_array().into_iter().flatten() {
        check(item, &schema["items"], document, &format!("{at}[]"));
    }
    if let (Some(object), Some(properties)) = (value.as_object(), schema["properties"].as_object()) {
        for key in schema["required"].as_array().unwrap() {
            assert!(object.contains_key(key.as_str().unwrap()), "{at} lacks {key}");
        }
        for (key, value) in object {
            let schema = properties.get(key).unwrap_or_else(|| panic!("{at}.{key} is not described"));
            check(value, schema, document, &format!("{at}.{key}"));
        }
    }
}
