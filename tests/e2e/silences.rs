//! Silences, as Alertmanager's own command line and ours set them.

use std::process::{Command, Output};

use dixmgr_testkit::{
    Component, CountedUnit, Daemon, HttpFixture, Reply, SystemdNamespace, eventually, free_port, http_post, require,
};
use serde_json::Value;

use crate::alerts::{await_messages, messages, told_to};
use crate::described::Description;
use crate::support::{BINARY, SOON, assert_stays, await_health, config, dixmgr};

/// `amtool` at a daemon's API.
fn amtool(daemon: &Daemon, arguments: &[&str]) -> Output {
    let url = format!("--alertmanager.url=http://127.0.0.1:{}", daemon.api_port());
    let amtool = Command::new("amtool").args([&url, "--no-version-check"]).args(arguments).output();
    amtool.expect("amtool runs")
}

/// What it prints when all goes well.
#[track_caller]
fn told(output: Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", output.status);
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

#[track_caller]
fn json(daemon: &Daemon, path: &str) -> Value {
    let (status, body) = daemon.api(path).expect("an answer");
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).expect("JSON")
}

fn silences(daemon: &Daemon) -> Vec<Value> {
    json(daemon, "/api/v2/silences").as_array().expect("a list").clone()
}

#[test]
fn amtool_adds_shows_changes_and_expires_silences() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    if !require(Component::Amtool) {
        return;
    }
    systemd.install(&[CountedUnit::new("web.service")]);
    let mut daemon = dixmgr(&systemd, "-watch", &config(&["web.service"])).started();
    let add = ["silence", "add", "-a", "ann", "-c", "disk", "-d", "2h", "service=~web|db", "severity!=info"];
    let id = told(amtool(&daemon, &add));
    let shown: Vec<Value> = serde_json::from_str(&told(amtool(&daemon, &["-o", "json", "silence", "query"]))).unwrap();
    assert_eq!((&shown[0]["id"], &shown[0]["status"]["state"]), (&id.as_str().into(), &"active".into()));
    assert_eq!((&shown[0]["createdBy"], &shown[0]["comment"]), (&"ann".into(), &"disk".into()));
    assert_eq!(shown[0]["matchers"].as_array().unwrap().len(), 2);

    // It is durable before anybody hears that it was taken.
    daemon.kill();
    daemon.start();
    daemon.await_ready();
    let found = told(amtool(&daemon, &["-o", "extended", "silence", "query"]));
    assert!(found.contains(&id), "{found}");

    told(amtool(&daemon, &["silence", "update", &id, "-d", "4h", "-c", "still the disk"]));
    let all = silences(&daemon);
    assert_eq!((all.len(), &all[0]["id"], &all[0]["comment"]), (1, &id.as_str().into(), &"still the disk".into()));

    let everything = amtool(&daemon, &["silence", "add", "-a", "ann", "-c", "x", "service=~.*"]);
    let said = String::from_utf8_lossy(&everything.stderr);
    assert!(!everything.status.success() && said.contains("must not match the empty string"), "{said}");
    let unknown = amtool(&daemon, &["silence", "expire", "00000000-0000-0000-0000-000000000000"]);
    assert!(!unknown.status.success());

    told(amtool(&daemon, &["silence", "expire", &id]));
    assert_eq!(silences(&daemon)[0]["status"]["state"], "expired");
    assert_eq!(told(amtool(&daemon, &["silence", "query", "-q"])), "");
}

/// `dixmgr silences` with these arguments: what it prints when all goes well.
#[track_caller]
fn command(listen: &str, arguments: &[&str]) -> String {
    let output = Command::new(BINARY).arg("silences").args(arguments).args(["-address", listen]).output();
    told(output.expect("run dixmgr"))
}

#[test]
fn what_is_silenced_is_not_told_until_the_silence_ends() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    let receiver = HttpFixture::always(Reply::status(200));
    systemd.install(&["db.service", "web.service"].map(CountedUnit::new));
    systemd.start_units(&["db.service", "web.service"]);
    let listen = format!("127.0.0.1:{}", free_port());
    let alerts = told_to(&receiver, "group_by = [\"...\"]");
    let config = format!("{alerts}[engine]\nlisten = \"{listen}\"\n{}", config(&["db.service", "web.service"]));
    // On the engine in any case: it is asked at its own address.
    let mut daemon = Daemon::new(&systemd, BINARY, "-watch", &config).started();
    await_health(&daemon, "db", true);
    await_health(&daemon, "web", true);
    let added = command(&listen, &["add", "service=~d.", "-for", "2h", "-by", "ann", "-comment", "disk"]);
    let id = added.strip_suffix(": added").expect("an id").to_owned();
    systemd.kill_unit("db.service");
    systemd.kill_unit("web.service");
    await_messages(&daemon, &receiver, "web", &[("firing", "service_down")]);
    assert_stays(&daemon, "nobody is told of db", || messages(&receiver, "db").is_empty());
    daemon.kill();
    daemon.start();
    daemon.await_ready();
    assert_stays(&daemon, "nobody is told of db after a crash", || messages(&receiver, "db").is_empty());
    let list = command(&listen, &["list"]);
    assert!(list.contains(&id) && list.contains("active") && list.contains("service=~\"d.\""), "{list}");
    command(&listen, &["expire", &id]);
    await_messages(&daemon, &receiver, "db", &[("firing", "service_down")]);
    let over: Value = serde_json::from_str(&command(&listen, &["list", "-expired", "-json"])).unwrap();
    assert_eq!(over[0]["state"], "expired");
    eventually("nothing is left", SOON, || (command(&listen, &["list", "-json"]) == "[]").then_some(()));
}

#[test]
fn amtool_sees_alerts_their_groups_and_who_is_told() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    if !require(Component::Amtool) {
        return;
    }
    systemd.install(&["db.service", "web.service"].map(CountedUnit::new));
    systemd.start_units(&["db.service", "web.service"]);
    let config = format!("[alerts]\ngroup_wait = \"0s\"\n{}", config(&["db.service", "web.service"]));
    let daemon = dixmgr(&systemd, "-watch", &config).started();
    await_health(&daemon, "db", true);
    await_health(&daemon, "web", true);
    assert_eq!(told(amtool(&daemon, &["-o", "json", "alert", "query"])), "[]");
    systemd.kill_unit("db.service");
    let alert = eventually("amtool shows the alert", SOON, || {
        let text = told(amtool(&daemon, &["-o", "json", "alert", "query", "service=db"]));
        serde_json::from_str::<Vec<Value>>(&text).unwrap().pop()
    });
    assert_eq!((&alert["labels"]["alertname"], &alert["status"]["state"]), (&"service_down".into(), &"active".into()));
    assert_eq!(told(amtool(&daemon, &["-o", "json", "alert", "query", "service=web"])), "[]");
    let groups: Value = json(&daemon, "/api/v2/alerts/groups");
    assert_eq!((&groups[0]["receiver"]["name"], groups[0]["alerts"].as_array().unwrap().len()), (&"log".into(), 1));

    told(amtool(&daemon, &["silence", "add", "-a", "ann", "-c", "x", "service=db"]));
    assert_eq!(told(amtool(&daemon, &["-o", "json", "alert", "query"])), "[]", "what is silenced is asked for");
    let silenced = told(amtool(&daemon, &["-o", "json", "alert", "query", "--silenced"]));
    assert!(silenced.contains("suppressed"), "{silenced}");

    let all = json(&daemon, "/api/v1/alerts");
    assert_eq!((&all["total"], &all["alerts"][0]["state"]), (&1.into(), &"silenced".into()));
    let fingerprint = all["alerts"][0]["fingerprint"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/alerts/{fingerprint}");
    let post =
        |verb: &str, body: &str| http_post(daemon.api_port(), &format!("{path}/{verb}"), body).expect("an answer");
    let (status, taken) = post("ack", r#"{ "by": "ann", "comment": "on it" }"#);
    assert_eq!(status, 200, "{taken}");
    let story = eventually("the acknowledgement is told", SOON, || {
        Some(json(&daemon, &path)).filter(|story| story["acknowledged"]["by"] == "ann")
    });
    assert!(story["ledger"].as_array().is_some_and(|ledger| ledger[0]["what"] == "fired"), "{story}");
    assert!(story["delivery"][0].as_str().is_some_and(|line| line.starts_with("log: ")), "{story}");
    let (status, silenced) = post("silence", r#"{ "by": "ann", "duration": "2h" }"#);
    assert_eq!(status, 200, "{silenced}");
    eventually("its own silence is told", SOON, || {
        Some(json(&daemon, &path)).filter(|story| story["silenced"]["note"]["by"] == "ann")
    });
    let description = Description::of(&daemon);
    let asked = |path: &str| daemon.api(path).expect("an answer").1;
    description.fits("get", "/api/v1/alerts/{fingerprint}", &asked(&path));
    description.fits("post", "/api/v1/alerts/{fingerprint}/ack", &taken);
    description.fits("post", "/api/v1/alerts/{fingerprint}/silence", &silenced);
    for path in ["/api/v1/alerts", "/api/v2/alerts", "/api/v2/alerts/groups", "/api/v2/silences"] {
        description.fits("get", path, &asked(path));
    }
    assert_eq!(post("silence", r#"{ "by": " ", "duration": "0s" }"#).0, 400);
    for (wrong, status) in [("/api/v1/alerts/0000000000000000", 404), ("/api/v1/alerts/x", 400)] {
        assert_eq!(daemon.api(wrong).expect("an answer").0, status, "{wrong}");
    }
}

#[test]
fn what_amtool_silences_is_not_told_until_amtool_ends_it() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    if !require(Component::Amtool) {
        return;
    }
    let receiver = HttpFixture::always(Reply::status(200));
    systemd.install(&["db.service", "web.service"].map(CountedUnit::new));
    systemd.start_units(&["db.service", "web.service"]);
    let config = told_to(&receiver, "group_by = [\"...\"]") + &config(&["db.service", "web.service"]);
    let daemon = dixmgr(&systemd, "-watch", &config).started();
    await_health(&daemon, "db", true);
    await_health(&daemon, "web", true);
    let id =
        told(amtool(&daemon, &["silence", "add", "-a", "ann", "-c", "disk", "alertname=service_down", "service=~d.*"]));
    systemd.kill_unit("db.service");
    systemd.kill_unit("web.service");
    await_messages(&daemon, &receiver, "web", &[("firing", "service_down")]);
    assert_stays(&daemon, "nobody is told of db", || messages(&receiver, "db").is_empty());
    told(amtool(&daemon, &["silence", "expire", &id]));
    await_messages(&daemon, &receiver, "db", &[("firing", "service_down")]);
}

#[test]
fn a_maintenance_window_is_a_silence() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    systemd.install(&[CountedUnit::new("web.service")]);
    let window = "[[alerts.maintenance]]\nname = \"always\"\nmatchers = [\"service=web\"]\nschedule = \"* * * * *\"\n\
                  duration = \"1h\"\ntime_zone = \"Europe/Berlin\"\n";
    let daemon = dixmgr(&systemd, "-watch", &(window.to_owned() + &config(&["web.service"]))).started();
    let window = eventually("the window is open", SOON, || silences(&daemon).pop());
    assert_eq!((&window["status"]["state"], &window["createdBy"]), (&"active".into(), &"maintenance".into()));
    assert_eq!((&window["matchers"][0]["name"], &window["matchers"][0]["value"]), (&"service".into(), &"web".into()));
    assert!(window["id"].as_str().unwrap().starts_with("maintenance:always:"), "{window}");
}
