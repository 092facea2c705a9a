//! The health history in PostgreSQL: one database for many hosts, which may be away at any moment, also at the start.

use std::process::{Command, Output};
use std::time::Duration;

use dixmgr_testkit::{CountedUnit, Daemon, Namespace, PostgresServer, SystemdNamespace, eventually};
use serde_json::Value;

use crate::support::{BINARY, SOON, await_health, config, dixmgr};

/// Longest time until a database that was away is written again.
const WRITTEN_AGAIN: Duration = Duration::from_secs(40);

/// A daemon's configuration: its history under the name of `host` in a database, which is a secret.
fn written(text: &str, secret: &str, host: &str) -> String {
    format!("{text}\n[history]\npostgres = \"file:{secret}\"\nhost = \"{host}\"\n")
}

fn get(daemon: &Daemon, path: &str) -> Value {
    let (status, body) = daemon.api(path).unwrap_or_else(|| panic!("no API; the log:\n{}", daemon.log()));
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

fn writing(daemon: &Daemon) -> bool {
    daemon.metrics().sum("dixmgr_history_writing", &[]) > 0.5
}

fn command(secret: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(BINARY);
    command.args(arguments).arg("-health-history-postgres").arg(format!("file:{secret}")).output().unwrap()
}

fn said(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The incidents of a service that are over; none while the database is away, or was a moment ago.
fn ended(daemon: &Daemon, service: &str) -> Vec<Value> {
    let answer = daemon.api(&format!("/api/v1/incidents?service={service}&window=1h"));
    let Some((200, body)) = answer else { return Vec::new() };
    let found: Value = serde_json::from_str(&body).unwrap();
    let incidents = found["incidents"].as_array().unwrap().iter();
    incidents.filter(|incident| incident["ended_at"].is_string()).cloned().collect()
}

/// A server, and the file with the address of a database in it.
fn database(directory: &tempfile::TempDir) -> Option<(PostgresServer, String, String)> {
    let server = PostgresServer::start()?;
    let address = server.database();
    let secret = directory.path().join("address");
    std::fs::write(&secret, format!("{address}\n")).unwrap();
    Some((server, address, secret.display().to_string()))
}

#[test]
fn an_incident_while_the_database_is_away_is_in_it_once() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    let directory = tempfile::tempdir().unwrap();
    let Some((mut server, address, secret)) = database(&directory) else { return };
    systemd.install(&[CountedUnit::new("web.service")]);
    systemd.start_units(&["web.service"]);
    let text = written(&config(&["web.service"]), &secret, "one");
    // Away at the start: services are watched all the same, and it is said.
    server.stop();
    let daemon = dixmgr(&systemd, "-exec", &text).started();
    await_health(&daemon, "web", true);
    assert!(!writing(&daemon));
    eventually("it is said", SOON, || {
        daemon.log().contains("the health history cannot be written: PostgreSQL is not reached").then_some(())
    });
    let (status, body) = daemon.api("/api/v1/incidents").unwrap();
    assert!(status == 503 && body.contains("PostgreSQL"), "{status} {body}");
    server.start_again();
    eventually("it is written", WRITTEN_AGAIN, || writing(&daemon).then_some(()));

    server.stop();
    let before = systemd.starts("web.service");
    systemd.kill_unit("web.service");
    eventually("services are kept all the same", SOON, || (systemd.starts("web.service") > before).then_some(()));
    await_health(&daemon, "web", true);
    eventually("it is not written", SOON, || (!writing(&daemon)).then_some(()));
    server.start_again();
    eventually("it is written again", WRITTEN_AGAIN, || writing(&daemon).then_some(()));
    let incidents = eventually("the incident is over", WRITTEN_AGAIN, || {
        Some(ended(&daemon, "web")).filter(|incidents| !incidents.is_empty())
    });
    assert_eq!(incidents.len(), 1, "{incidents:?}");
    assert_eq!((&incidents[0]["cause"], &incidents[0]["detail"]), (&"failed".into(), &"signal".into()));
    let count = |table: &str| server.sql(&address, &format!("SELECT count(*) FROM dixmgr.{table}"));
    assert_eq!([count("incidents"), count("actions"), count("sessions")], ["1", "1", "1"]);
    assert!(daemon.metrics().sum("dixmgr_history_rows_lost_total", &[]) < 0.5);
    assert!(!daemon.log().contains("s3cret"), "no secret is in the log");
    let (_, shown) = daemon.api("/config").unwrap();
    assert!(!shown.contains("s3cret") && shown.contains(&secret), "{shown}");

    let story = said(&command(&secret, &["history", "web", "-since", "1h", "-host", "one"]));
    for word in ["INCIDENTS", "failed: signal", "ACTIONS", "restart for", "CHANGES"] {
        assert!(story.contains(word), "{word:?} is not in:\n{story}");
    }
    let rules = directory.path().join("rules.toml");
    std::fs::write(&rules, &text).unwrap();
    let rules = rules.display().to_string();
    // The configuration says where its history is.
    let tried = Command::new(BINARY).args(["alerts", "backtest", "-since", "1h", "-rules", &rules]).output().unwrap();
    let tried = said(&tried);
    assert!(tried.contains("service_down would have fired") && tried.contains("1 of 1 services"), "{tried}");
}

#[test]
fn hosts_in_one_database_keep_to_themselves() {
    let Some((one, two)) = SystemdNamespace::start().zip(SystemdNamespace::start()) else { return };
    let directory = tempfile::tempdir().unwrap();
    let Some((server, address, secret)) = database(&directory) else { return };
    let start = |systemd: &SystemdNamespace, units: &[&str], host: &str| {
        systemd.install(&units.iter().map(|unit| CountedUnit::new(unit)).collect::<Vec<_>>());
        systemd.start_units(units);
        dixmgr(systemd, "-exec", &written(&config(units), &secret, host)).started()
    };
    let mut first = start(&one, &["web.service", "db.service"], "one");
    let mut second = start(&two, &["web.service"], "two");
    for daemon in [&first, &second] {
        await_health(daemon, "web", true);
        eventually("the history is written", SOON, || writing(daemon).then_some(()));
    }
    one.kill_unit("web.service");
    let incidents = eventually("the incident is over", SOON, || {
        Some(ended(&first, "web")).filter(|incidents| incidents.len() == 1)
    });
    assert_eq!(incidents[0]["service"], "web");
    assert_eq!(server.sql(&address, "SELECT string_agg(DISTINCT host, ' ') FROM dixmgr.services"), "one two");
    let of_second = get(&second, "/api/v1/incidents?window=1h");
    assert_eq!(of_second["incidents"], Value::Array(Vec::new()), "the other host's is not ours");
    let names = |daemon: &Daemon| -> Vec<String> {
        let uptime = get(daemon, "/api/v1/uptime?window=1h");
        let services = uptime["services"].as_array().unwrap().iter();
        services.map(|one| one["service"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!((names(&first), names(&second)), (vec!["db".to_owned(), "web".to_owned()], vec!["web".to_owned()]));

    // What is not over is written at the end.
    first.terminate();
    second.terminate();
    let table = said(&command(&secret, &["uptime", "-window", "1h", "-all-hosts"]));
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().take(2).collect()).collect();
    assert_eq!(rows, [["HOST", "SERVICE"], ["one", "db"], ["one", "web"], ["two", "web"]], "{table}");
    let json = said(&command(&secret, &["uptime", "-window", "1h", "-all-hosts", "-json"]));
    let found: Value = serde_json::from_str(&json).unwrap();
    let hosts = found["hosts"].as_array().unwrap();
    assert_eq!(hosts.len(), 2, "{json}");
    let web = hosts[0]["services"].as_array().unwrap().iter().find(|one| one["service"] == "web").unwrap();
    assert!(web["down_seconds"].as_f64() > Some(0.0) && web["up_seconds"].as_f64() > Some(0.0), "{web}");
    assert_eq!(hosts[1]["services"][0]["down_seconds"], 0.0, "{json}");
    let alone = said(&command(&secret, &["uptime", "-window", "1h", "-host", "two"]));
    assert!(alone.contains("web") && !alone.contains("db"), "{alone}");
    let conf = first.config_path();
    let configured = Command::new(BINARY).args(["uptime", "-window", "1h", "-conf"]).arg(conf).output().unwrap();
    let configured = said(&configured);
    assert!(configured.contains("web") && configured.contains("db"), "the history of the configuration: {configured}");
    let unknown = command(&secret, &["history", "db", "-host", "two"]);
    assert_eq!(unknown.status.code(), Some(2), "{}", String::from_utf8_lossy(&unknown.stderr));
    let sessions = "SELECT count(*) FROM dixmgr.sessions WHERE ended_at IS NOT NULL";
    assert_eq!(server.sql(&address, sessions), "2", "both ends were orderly");
}

#[test]
fn what_cannot_be_a_database_is_refused_without_its_password() {
    let refused = |arguments: &[&str]| {
        let output = Command::new(BINARY).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let open = "postgres://dixmgr:s3cret@db.example/history";
    let error = refused(&["uptime", "-health-history-postgres", open]);
    assert!(error.contains("file:/path") && !error.contains("s3cret"), "{error}");
    let error = refused(&["uptime", "-host", "two"]);
    assert!(error.contains("-health-history-postgres"), "{error}");
    assert!(refused(&["uptime", "-all-hosts"]).contains("-health-history-postgres"));
    assert!(refused(&["import-history"]).contains("-health-history-postgres"));
}

#[test]
fn what_was_in_a_file_goes_on_in_a_database() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    let directory = tempfile::tempdir().unwrap();
    let Some((_server, _, secret)) = database(&directory) else { return };
    systemd.install(&[CountedUnit::new("web.service")]);
    systemd.start_units(&["web.service"]);
    let text = config(&["web.service"]);
    let mut in_a_file = dixmgr(&systemd, "-exec", &text).started();
    await_health(&in_a_file, "web", true);
    let data = in_a_file.data_directory().display().to_string();
    let import = || command(&secret, &["import-history", "-host", "one", "-data-dir", &data]);
    let busy = import();
    let error = String::from_utf8_lossy(&busy.stderr).into_owned();
    assert!(busy.status.code() == Some(1) && error.contains("in use by another dixmgr"), "{error}");
    systemd.kill_unit("web.service");
    let incidents =
        eventually("it is over", SOON, || Some(ended(&in_a_file, "web")).filter(|incidents| incidents.len() == 1));
    in_a_file.terminate();
    let done = said(&import());
    assert!(done.contains("rows of") && done.contains("host one"), "{done}");
    let twice = import();
    let error = String::from_utf8_lossy(&twice.stderr).into_owned();
    assert!(twice.status.code() == Some(1) && error.contains("has a history there already"), "{error}");

    let daemon = dixmgr(&systemd, "-exec", &written(&text, &secret, "one")).started();
    await_health(&daemon, "web", true);
    eventually("the history is written", SOON, || writing(&daemon).then_some(()));
    let found = ended(&daemon, "web");
    assert_eq!((found.len(), &found[0]["started_at"]), (1, &incidents[0]["started_at"]));
}
