//! The live configuration: what is written to the file, or sent to the API, is in force on real units without a restart, or is refused.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use dixmgr_testkit::{CountedUnit, Daemon, HttpFixture, Namespace, Reply, SystemdNamespace, eventually, http};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::alerts::{await_messages, told_to};
use crate::support::{SOON, assert_starts, assert_stays, await_health, await_state, config, dixmgr, exec};

const WEB: &str = "web.service";
const DB: &str = "db.service";

/// A systemd with the units `web` and `db`, neither of which runs.
fn systemd() -> Option<SystemdNamespace> {
    let systemd = SystemdNamespace::start()?;
    systemd.install(&[WEB, DB].map(CountedUnit::new));
    Some(systemd)
}

/// Writes the file in place, as some editors do.
fn write(daemon: &Daemon, text: &str) {
    fs::write(daemon.config_path(), text).unwrap();
}

/// Puts another file in its place, as others do.
fn replace(daemon: &Daemon, text: &str) {
    let temporary = daemon.config_path().with_extension("new");
    fs::write(&temporary, text).unwrap();
    fs::rename(temporary, daemon.config_path()).unwrap();
}

/// Whether the metrics have series of a service.
fn has_series(daemon: &Daemon, service: &str) -> bool {
    daemon.metrics().series().any(|(_, labels)| labels.get("service").is_some_and(|own| own == service))
}

#[track_caller]
fn await_log(daemon: &Daemon, part: &str) {
    eventually(&format!("{part:?} in the log:\n{}", daemon.log()), SOON, || daemon.log().contains(part).then_some(()));
}

fn get(daemon: &Daemon, path: &str) -> Value {
    let (status, body) = daemon.api(path).unwrap();
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

/// A request that changes the configuration.
fn post(daemon: &Daemon, path: &str, token: Option<&str>, body: &Value) -> (u16, Value) {
    let bearer = token.map(|token| format!("Bearer {token}"));
    let mut headers = vec![("content-type", "application/merge-patch+json")];
    headers.extend(bearer.as_deref().map(|bearer| ("authorization", bearer)));
    let (status, body) = http::request_with(daemon.api_port(), "POST", path, &headers, &body.to_string()).unwrap();
    (status, serde_json::from_str(&body).unwrap())
}

fn loaded(daemon: &Daemon) -> Option<f64> {
    daemon.metrics().get("dixmgr_config_last_reload_successful", &[])
}

#[test]
fn services_come_and_go_with_the_file() {
    let Some(systemd) = systemd() else { return };
    let daemon = exec(&systemd, &config(&[WEB]), &["web"]);
    assert!(!has_series(&daemon, "db"));
    write(&daemon, &config(&[WEB, DB]));
    await_log(&daemon, "configuration: 1 service added");
    assert!(has_series(&daemon, "db"), "its series are there at once");
    await_health(&daemon, "db", true);
    assert_starts(&systemd, &daemon, DB, 1);
    systemd.kill_unit(DB);
    assert_starts(&systemd, &daemon, DB, 2);
    // Removed, it lives on, and is nobody's business any more.
    replace(&daemon, &config(&[DB]));
    await_log(&daemon, "configuration: 1 service removed");
    eventually("its workflow has ended", SOON, || daemon.log().contains("1 let go").then_some(()));
    assert_eq!(get(&daemon, "/api/v1/services")["total"], 1);
    await_state(&systemd, WEB, "active");
    systemd.kill_unit(WEB);
    assert_stays(&daemon, "web is not restarted and has no series", || {
        systemd.starts(WEB) == 1 && !has_series(&daemon, "web")
    });
    // And watched again.
    write(&daemon, &config(&[WEB, DB]));
    await_health(&daemon, "web", true);
    assert_starts(&systemd, &daemon, WEB, 2);
    assert_eq!(systemd.starts(DB), 2, "what did not change was left alone");
}

#[test]
fn a_rule_is_judged_by_its_new_threshold_without_a_restart() {
    let Some(systemd) = systemd() else { return };
    let receiver = HttpFixture::always(Reply::status(200));
    let text = |threshold: u32| {
        let rule = "[[alerts.rule]]\nname = \"service_down\"\nenabled = false\n[[alerts.rule]]\nname = \"flaps\"\ntype = \"service_degraded\"\n";
        let signal = format!("signal = \"restarts\"\nthreshold = {threshold}\nwindow = \"1h\"\n");
        told_to(&receiver, "") + rule + &signal + &config(&[WEB])
    };
    let daemon = exec(&systemd, &text(20), &["web"]);
    systemd.kill_unit(WEB);
    assert_starts(&systemd, &daemon, WEB, 2);
    assert_eq!(receiver.requests(), [], "one restart is fewer than 20");
    write(&daemon, &text(0));
    daemon.signal(Signal::HUP);
    await_log(&daemon, "configuration: 1 threshold changed");
    await_messages(&daemon, &receiver, "web", &[("firing", "service_degraded")]);
    write(&daemon, &text(20));
    let both = [("firing", "service_degraded"), ("resolved", "service_degraded")];
    await_messages(&daemon, &receiver, "web", &both);
    assert_eq!(systemd.starts(WEB), 2);
}

#[test]
fn a_broken_file_is_refused_and_the_old_one_goes_on() {
    let Some(systemd) = systemd() else { return };
    let daemon = exec(&systemd, &config(&[WEB]), &["web"]);
    assert_eq!(loaded(&daemon), Some(1.0));
    write(&daemon, &config(&[WEB, DB]).replace("needs", "kneads").replace("\"500ms\"", "\"often\""));
    await_log(&daemon, "configuration: refused, revision 1 stays in force");
    await_log(&daemon, "line 3, column 12: defaults.interval");
    assert_eq!(loaded(&daemon), Some(0.0));
    let past = get(&daemon, "/config/history");
    assert_eq!(
        (&past["changes"][0]["outcome"], &past["changes"][0]["author"]["name"]),
        (&"refused".into(), &"file".into())
    );
    systemd.kill_unit(WEB);
    assert_starts(&systemd, &daemon, WEB, 2);
    assert_eq!(systemd.starts(DB), 0);
    write(&daemon, &config(&[WEB, DB]));
    await_health(&daemon, "db", true);
    assert_eq!(loaded(&daemon), Some(1.0));
}

#[test]
fn the_api_changes_the_configuration_and_goes_back() {
    let Some(systemd) = systemd() else { return };
    let token = systemd.write_file("token", "s3cret\n");
    let with_token = format!("[api]\ntoken = \"file:{}\"\n{}", token.display(), config(&[WEB]));
    let daemon = exec(&systemd, &config(&[WEB]), &["web"]);
    let patch = json!({ "service": { "db": { "unit": DB } }, "metrics": { "listen": "127.0.0.1:9190" } });
    let (status, error) = post(&daemon, "/config/update", Some("s3cret"), &patch);
    assert_eq!(status, 403, "there is no token: {error}");
    write(&daemon, &with_token);
    await_log(&daemon, "configuration: api.token none →");
    assert_eq!(post(&daemon, "/config/update", None, &patch).0, 401);
    assert_eq!(post(&daemon, "/config/update", Some("wrong"), &patch).0, 401);
    let (status, tried) = post(&daemon, "/config/update?dry_run=true", Some("s3cret"), &patch);
    assert_eq!((status, &tried["summary"]), (200, &"1 service added".into()), "{tried}");
    assert_eq!(fs::read_to_string(daemon.config_path()).unwrap(), with_token);
    let (status, done) = post(&daemon, "/config/update", Some("s3cret"), &patch);
    assert_eq!((status, &done["revision"], &done["applied"]), (200, &3.into(), &true.into()), "{done}");
    // Its port is a flag of this test: what a flag decides is no change.
    assert_eq!(done["needs_restart"][0], format!("metrics.listen 0.0.0.0:{0} → 127.0.0.1:{0}", daemon.port()));
    await_log(&daemon, "needs a restart: metrics.listen");
    await_health(&daemon, "db", true);
    assert!(fs::read_to_string(daemon.config_path()).unwrap().contains("db.service"));
    let shown = get(&daemon, "/config");
    assert_eq!((&shown["revision"], &shown["configuration"]["service"][1]["name"]), (&3.into(), &"db".into()));
    let (status, back) = post(&daemon, "/config/rollback", Some("s3cret"), &json!({}));
    assert_eq!((status, &back["summary"]), (200, &"1 service removed".into()), "{back}");
    assert_eq!(fs::read_to_string(daemon.config_path()).unwrap(), with_token);
    eventually("db is let go", SOON, || daemon.log().contains("1 let go").then_some(()));
    systemd.kill_unit(DB);
    assert_stays(&daemon, "db is not restarted", || systemd.starts(DB) == 1);
    audited(&daemon);
}

/// Who did what is remembered, by those who may know only, and without the secret.
fn audited(daemon: &Daemon) {
    let past = get(daemon, "/config/history");
    let ways: Vec<_> =
        past["changes"].as_array().unwrap().iter().map(|change| change["way"].as_str().unwrap()).collect();
    assert_eq!(ways, ["rollback", "update", "reload", "start"]);
    let author = &past["changes"][0]["author"];
    assert!(author["name"].as_str().unwrap().starts_with("token file:") && author["address"].is_string(), "{author}");
    let directory = daemon.data_directory().join("config");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&directory), 0o700);
    for entry in fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        assert!(!fs::read_to_string(&path).unwrap().contains("s3cret"), "{}", path.display());
    }
    assert!(!daemon.log().contains("s3cret"));
}

#[test]
fn a_kill_right_after_a_reload_loses_nothing_and_starts_nothing_twice() {
    let Some(systemd) = systemd() else { return };
    let mut daemon = exec(&systemd, &config(&[WEB]), &["web"]);
    write(&daemon, &config(&[WEB, DB]));
    daemon.signal(Signal::HUP);
    await_log(&daemon, "configuration: 1 service added");
    daemon.kill();
    daemon.start();
    daemon.await_ready();
    await_health(&daemon, "db", true);
    await_health(&daemon, "web", true);
    assert_starts(&systemd, &daemon, DB, 1);
    assert_eq!(systemd.starts(WEB), 1);
    // What is written while nobody looks is in force with the next start, and remembered as that.
    daemon.kill();
    replace(&daemon, &config(&[DB]));
    daemon.start();
    daemon.await_ready();
    await_log(&daemon, "changed while dixmgr was down: 1 service removed");
    eventually("web's workflow has ended", SOON, || daemon.log().contains("1 let go").then_some(()));
    assert_eq!(get(&daemon, "/api/v1/services")["total"], 1);
    systemd.kill_unit(WEB);
    assert_stays(&daemon, "web is nobody's business", || (systemd.starts(WEB), systemd.starts(DB)) == (1, 1));
}

#[test]
fn a_dry_run_reloads_too_and_without_an_api_sighup_does() {
    let Some(systemd) = systemd() else { return };
    let daemon = dixmgr(&systemd, "-watch", &config(&[WEB])).arguments(&["-dynamic-config=false"]).started();
    await_log(&daemon, "would start");
    write(&daemon, &config(&[WEB, DB]));
    assert_stays(&daemon, "nobody watches the file, and nobody serves the API", || {
        !has_series(&daemon, "db") && daemon.api("/config").is_none()
    });
    daemon.signal(Signal::HUP);
    await_log(&daemon, "configuration: 1 service added");
    let would = |service: &str| {
        let entries = daemon.log_entries();
        let of = |entry: &Value| entry["service"] == service && entry["message"] == "would start";
        entries.iter().any(of).then_some(())
    };
    eventually("it says that it would start db", SOON, || would("db"));
    assert_eq!((systemd.starts(WEB), systemd.starts(DB)), (0, 0));
}
