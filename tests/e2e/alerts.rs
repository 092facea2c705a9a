//! Alerts, from a killed unit or a failing check to what a receiver hears, and the all-clear.

use std::process::Command;
use std::time::{Duration, Instant};

use dixmgr_testkit::{CountedUnit, Daemon, HttpFixture, Reply, SystemdNamespace, eventually, free_port};
use serde_json::Value;

use crate::support::{A_WHILE, BINARY, SOON, await_health, config, dixmgr, exec, service};

/// `[alerts]` without waits, told to a webhook.
pub(crate) fn told_to(receiver: &HttpFixture, more: &str) -> String {
    let url = receiver.url("/alerts");
    format!(
        "[alerts]\ngroup_wait = \"0s\"\ngroup_interval = \"0s\"\n{more}\n[[alerts.channel]]\nname = \"ops\"\ntype = \"webhook\"\nurl = \"{url}\"\n"
    )
}

/// What a receiver was told: status and kind of each message that it accepted, by service.
pub(crate) fn messages(receiver: &HttpFixture, service: &str) -> Vec<(String, String)> {
    let bodies = receiver.requests().into_iter().map(|request| parse(&request));
    let own = bodies.filter(|body| body["commonLabels"]["service"] == service);
    own.map(|body| (text(&body["status"]), text(&body["commonLabels"]["alertname"]))).collect()
}

fn parse(request: &dixmgr_testkit::http::Request) -> Value {
    serde_json::from_slice(&request.body).expect("a webhook's body is JSON")
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

#[track_caller]
pub(crate) fn await_messages(daemon: &Daemon, receiver: &HttpFixture, service: &str, wanted: &[(&str, &str)]) {
    let wanted: Vec<_> = wanted.iter().map(|(status, kind)| ((*status).to_owned(), (*kind).to_owned())).collect();
    eventually(&format!("{service}: {wanted:?}; log:\n{}", daemon.log()), SOON, || {
        (messages(receiver, service) == wanted).then_some(())
    });
}

#[test]
fn a_killed_unit_is_told_firing_and_then_resolved() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    let receiver = HttpFixture::always(Reply::status(200));
    systemd.install(&[CountedUnit::new("web.service")]);
    systemd.start_units(&["web.service"]);
    let daemon = exec(&systemd, &(told_to(&receiver, "") + &config(&["web.service"])), &["web"]);
    let labels = [("alert_type", "service_down"), ("severity", "critical")];
    assert_eq!(daemon.metrics().get("dixmgr_alerts_active", &labels), Some(0.0));

    systemd.kill_unit("web.service");
    await_messages(&daemon, &receiver, "web", &[("firing", "service_down"), ("resolved", "service_down")]);
    let requests = receiver.requests();
    let [firing, resolved] = [&requests[0], &requests[1]].map(parse);
    assert_eq!((firing["version"].as_str(), firing["receiver"].as_str()), (Some("4"), Some("ops")));
    assert_eq!(firing["commonAnnotations"]["summary"], "web is down");
    assert_eq!(firing["alerts"][0]["fingerprint"], resolved["alerts"][0]["fingerprint"]);
    assert_eq!(firing["alerts"][0]["startsAt"], resolved["alerts"][0]["startsAt"]);
    assert_ne!(requests[0].header("idempotency-key"), requests[1].header("idempotency-key"));
    // An answer is counted after it was given.
    let metrics = eventually("both answers are counted", SOON, || {
        let metrics = daemon.metrics();
        (metrics.get("dixmgr_notifications_total", &[("channel", "ops")]) == Some(2.0)).then_some(metrics)
    });
    assert_eq!(metrics.get("dixmgr_alerts_active", &labels), Some(0.0));
    let fired = [labels[0], labels[1], ("service", "web")];
    assert_eq!(metrics.get("dixmgr_alerts_fired_total", &fired), Some(1.0));
    assert_eq!(metrics.get("dixmgr_notifications_failed_total", &[("channel", "ops")]), Some(0.0));
}

#[test]
fn a_failing_check_is_told_and_its_recovery_too() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    let (receiver, health) = (HttpFixture::always(Reply::status(200)), HttpFixture::always(Reply::status(200)));
    systemd.install(&[CountedUnit::new("api.service")]);
    systemd.start_units(&["api.service"]);
    let check = format!("failure_threshold = 2\nhttp = [{{ url = \"{}\", interval = \"200ms\" }}]", health.url("/"));
    let config = told_to(&receiver, "") + &config(&[]) + &service("api.service", &check);
    let daemon = dixmgr(&systemd, "-watch", &config).started();
    await_health(&daemon, "api", true);
    health.set(|_| Reply::status(503));
    await_messages(&daemon, &receiver, "api", &[("firing", "health_check_failed")]);
    let firing = parse(&receiver.requests()[0]);
    assert_eq!(firing["commonLabels"]["severity"], "warning");
    assert!(text(&firing["commonAnnotations"]["description"]).contains("503"), "{firing}");
    health.set(|_| Reply::status(200));
    let both = [("firing", "health_check_failed"), ("resolved", "health_check_failed")];
    await_messages(&daemon, &receiver, "api", &both);
}

#[test]
fn nothing_is_lost_when_dixmgr_is_killed_while_the_receiver_is_away() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    let receiver = HttpFixture::always(Reply::status(503));
    systemd.install(&[CountedUnit::new("db.service")]);
    systemd.start_units(&["db.service"]);
    let mut daemon = exec(&systemd, &(told_to(&receiver, "") + &config(&["db.service"])), &["db"]);
    systemd.kill_unit("db.service");
    eventually("the receiver was tried", SOON, || (!receiver.requests().is_empty()).then_some(()));
    daemon.kill();
    let before = receiver.requests().len();
    let key = receiver.requests()[0].header("idempotency-key").expect("a key").to_owned();
    receiver.set(|_| Reply::status(200));
    daemon.start();
    daemon.await_ready();
    eventually(&format!("both messages; log:\n{}", daemon.log()), SOON, || {
        let told = messages(&receiver, "db").split_off(before);
        (told.iter().map(|(status, _)| status.as_str()).eq(["firing", "resolved"])).then_some(())
    });
    assert_eq!(receiver.requests()[before].header("idempotency-key"), Some(&*key), "the same message, the same key");
}

#[test]
fn what_a_restart_mends_within_the_first_wait_is_not_told() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    let receiver = HttpFixture::always(Reply::status(200));
    systemd.install(&[CountedUnit::new("web.service")]);
    let alerts = told_to(&receiver, "").replace("\"0s\"", "\"3s\"");
    let daemon = exec(&systemd, &(alerts + &config(&["web.service"])), &["web"]);
    systemd.kill_unit("web.service");
    await_health(&daemon, "web", true);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3) + A_WHILE {
        assert_eq!(receiver.requests(), [], "log:\n{}", daemon.log());
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_service_without_what_it_needs_gets_no_page_until_it_outlives_the_cause() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    let receiver = HttpFixture::always(Reply::status(200));
    systemd.install(&["db.service", "web.service"].map(CountedUnit::new));
    systemd.start_units(&["db.service", "web.service"]);
    // Nothing is restarted, so that the test says what comes back and when.
    let alerts = told_to(&receiver, "").replace("\"0s\"", "\"1s\"");
    let config = alerts + &config(&["db.service"]) + &service("web.service", "needs = [\"db\"]");
    let daemon = dixmgr(&systemd, "-watch", &config).started();
    await_health(&daemon, "web", true);
    systemd.systemctl(&["kill", "--signal=KILL", "db.service", "web.service"]);
    await_messages(&daemon, &receiver, "db", &[("firing", "service_down")]);
    let begun = Instant::now();
    while begun.elapsed() < 2 * A_WHILE {
        assert_eq!(messages(&receiver, "web"), [], "log:\n{}", daemon.log());
        std::thread::sleep(Duration::from_millis(100));
    }
    systemd.start_units(&["db.service"]);
    await_messages(&daemon, &receiver, "db", &[("firing", "service_down"), ("resolved", "service_down")]);
    await_messages(&daemon, &receiver, "web", &[("firing", "service_down")]);
}

/// `dixmgr alerts` with these arguments: what it prints when all goes well.
#[track_caller]
pub(crate) fn command(arguments: &[&str]) -> String {
    let output = Command::new(BINARY).arg("alerts").args(arguments).env_remove("USER").output().expect("run dixmgr");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {}: {said}", output.status);
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn alerts_are_listed_shown_taken_care_of_and_silenced() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    let receiver = HttpFixture::always(Reply::status(200));
    systemd.install(&[CountedUnit::new("db.service")]);
    systemd.start_units(&["db.service"]);
    let listen = format!("127.0.0.1:{}", free_port());
    let escalation = "channels = [\"log\"]\n[[alerts.escalation]]\nafter = \"3s\"\nchannels = [\"ops\"]";
    let alerts = told_to(&receiver, escalation);
    let config = format!("{alerts}[engine]\nlisten = \"{listen}\"\n{}", config(&["db.service"]));
    // On the engine in any case: it is asked at its own address.
    let daemon = Daemon::new(&systemd, BINARY, "-watch", &config).started();
    await_health(&daemon, "db", true);
    let place = ["-address", &listen];
    assert_eq!(command(&[&["list", "-json"], &place[..]].concat()).trim(), "[]");
    systemd.kill_unit("db.service");
    let found = eventually("the alert is listed", SOON, || {
        let found: Value = serde_json::from_str(&command(&[&["list", "-json"], &place[..]].concat())).ok()?;
        found.as_array()?.first().cloned()
    });
    let id = format!("watch.alert.{}", text(&found["alert"]["fingerprint"]));
    let table = command(&[&["list"], &place[..]].concat());
    assert!(table.contains(&id) && table.contains("critical  firing  db"), "{table}");
    command(&[&["ack", &id, "-by", "ann", "-comment", "on it"], &place[..]].concat());
    let shown = eventually("the acknowledgement is shown", SOON, || {
        Some(command(&[&["show", &id], &place[..]].concat())).filter(|shown| shown.contains("acknowledged"))
    });
    for told in ["rule        service_down", "db is down", "fired", "log: logged", "by ann: on it"] {
        assert!(shown.contains(told), "{told:?} is missing from\n{shown}");
    }
    std::thread::sleep(Duration::from_secs(3) + A_WHILE);
    assert_eq!(receiver.requests(), [], "an acknowledged alert is not escalated");
    command(&[&["silence", &id, "-for", "2h"], &place[..]].concat());
    eventually("it is silenced", SOON, || {
        command(&[&["list"], &place[..]].concat()).contains("silenced").then_some(())
    });
    command(&[&["unsilence", &id], &place[..]].concat());
    systemd.start_units(&["db.service"]);
    eventually("the alert is over", SOON, || {
        command(&[&["show", &id], &place[..]].concat()).contains("status      resolved").then_some(())
    });
}

#[test]
fn a_channel_is_tried_without_a_daemon() {
    let receiver = HttpFixture::always(Reply::status(200));
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("dixmgr.toml");
    let signed = "hmac_key = \"env:ALERT_KEY\"\nheaders = { X-Team = \"web\" }\nbearer = \"env:ALERT_TOKEN\"\n";
    std::fs::write(&file, config(&["db.service"]) + &told_to(&receiver, "") + signed).expect("write");
    let conf = file.display().to_string();
    let mut test = Command::new(BINARY);
    test.args(["alerts", "test", "ops", "-conf", &conf]).env("ALERT_KEY", "key").env("ALERT_TOKEN", "t0ken");
    let output = test.output().expect("run dixmgr");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let request = receiver.requests().remove(0);
    assert!(text(&parse(&request)["commonAnnotations"]["summary"]).starts_with("TEST"));
    assert_eq!((request.header("x-team"), request.header("authorization")), (Some("web"), Some("Bearer t0ken")));
    let signature = request.header("x-dixmgr-signature").expect("a signature");
    assert_eq!(signature.len(), "sha256=".len() + 64, "{signature}");
    let unset = Command::new(BINARY).args(["alerts", "test", "ops", "-conf", &conf]).output().expect("run dixmgr");
    let said = String::from_utf8_lossy(&unset.stderr);
    assert!(unset.status.code() == Some(1) && said.contains("env:ALERT_"), "{said}");
    let unknown = Command::new(BINARY).args(["alerts", "test", "nobody", "-conf", &conf]).output().expect("run dixmgr");
    assert_eq!(unknown.status.code(), Some(2));
}

#[test]
fn every_form_reaches_its_receiver() {
    let receiver = HttpFixture::always(Reply::status(202));
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("dixmgr.toml");
    let own = |name: &str, keys: &str| {
        let url = receiver.url("");
        format!("[[alerts.channel]]\nname = \"{name}\"\ntype = \"{name}\"\nurl = \"{url}\"\n{keys}\n")
    };
    let slack = "[[alerts.channel]]\nname = \"slack\"\ntype = \"slack\"\nurl = \"env:SLACK\"\n";
    let channels = [
        own("pagerduty", "routing_key = \"env:KEY\""),
        own("telegram", "token = \"env:KEY\"\nchat = \"@ops\""),
        own("ntfy", "topic = \"ops\"\ntoken = \"env:KEY\""),
    ];
    std::fs::write(&file, config(&["db.service"]) + slack + &channels.concat()).expect("write");
    for channel in ["slack", "pagerduty", "telegram", "ntfy", "log"] {
        let mut test = Command::new(BINARY);
        test.args(["alerts", "test", channel, "-conf"]).arg(&file);
        let output = test.env("SLACK", receiver.url("/hook")).env("KEY", "s3cret").output().expect("run dixmgr");
        assert!(output.status.success(), "{channel}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let requests = receiver.requests();
    let paths: Vec<&str> = requests.iter().map(|request| request.path.as_str()).collect();
    assert_eq!(paths, ["/hook", "/v2/enqueue", "/bots3cret/sendMessage", "/"]);
    let [slack, event, chat, push] = [0, 1, 2, 3].map(|index| parse(&requests[index]));
    assert!(text(&slack["text"]).contains("TEST") && slack["attachments"][0]["blocks"].is_array(), "{slack}");
    assert_eq!((text(&event["routing_key"]), text(&event["event_action"])), ("s3cret".into(), "trigger".into()));
    assert_eq!((text(&chat["chat_id"]), text(&push["topic"])), ("@ops".into(), "ops".into()));
    assert_eq!(requests[3].header("authorization"), Some("Bearer s3cret"));
}

#[test]
fn rules_are_tried_on_what_is_remembered() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    systemd.install(&[CountedUnit::new("web.service")]);
    let text = config(&["web.service"]);
    let daemon = exec(&systemd, &text, &["web"]);
    systemd.kill_unit("web.service");
    await_health(&daemon, "web", true);
    let directory = tempfile::tempdir().expect("a directory");
    let rules = |name: &str, text: &str| {
        let file = directory.path().join(name);
        std::fs::write(&file, text).expect("write");
        file.display().to_string()
    };
    let history = daemon.data_directory().join("health.db").display().to_string();
    let tried = |rules: &str| command(&["backtest", "-rules", rules, "-since", "1h", "-health-history-db", &history]);
    let usual = rules("usual.toml", &text);
    let found = eventually("the death is in the history", SOON, || {
        Some(tried(&usual)).filter(|found| found.contains("service_down would have fired"))
    });
    assert!(found.contains("critical") && found.contains("over the history of 1 of 1 services"), "{found}");
    assert!(found.contains("not judged") && found.contains("sync_stalled"), "{found}");
    let patient = "[alerts]\n[[alerts.rule]]\nname = \"service_down\"\nfor = \"1h\"\n";
    let found = tried(&rules("patient.toml", &(patient.to_owned() + &text)));
    assert!(found.contains("0 in all"), "{found}");

    // A disk of which three days are remembered, in which a half of it filled.
    let used = |hour: u64| [unix_millis() - (72 - hour) * 3_600_000, disk_size(directory.path()) / 144 * (72 + hour)];
    let kept = serde_json::json!({ "used": (0..72).map(used).collect::<Vec<_>>() });
    rules("disk.json", &kept.to_string());
    let place = directory.path().display().to_string();
    let arguments =
        ["backtest", "-rules", &usual, "-since", "90h", "-health-history-db", &history, "-data-dir", &place];
    let found = command(&arguments);
    assert!(found.contains("disk_forecast would have fired") && found.contains("disk_filling"), "{found}");
}

fn unix_millis() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    u64::try_from(now.as_millis()).expect("a time")
}

/// Bytes of the file system that has this path.
fn disk_size(path: &std::path::Path) -> u64 {
    let output = std::process::Command::new("df").args(["--output=size", "-B1"]).arg(path).output().expect("run df");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.lines().nth(1).and_then(|size| size.trim().parse().ok()).expect("a size")
}
