//! Alerts about dixmgr itself, told over its own channels.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dixmgr_testkit::{CountedUnit, Daemon, HttpFixture, Reply, SystemdNamespace, eventually};

use crate::alerts::{await_messages, messages, told_to};
use crate::faults::Faults;
use crate::support::{SOON, await_health, config, dixmgr, exec, inside};

/// What stands where an alert names its service.
const OWN: &str = "dixmgr";
/// Size of the data directory's file system.
pub(crate) const ROOM: u64 = 128 << 20;
/// What fills the disk.
const BALLAST: &str = "ballast";
const HOUR: u64 = 3_600_000;

/// Gives a dixmgr that does not run yet a data directory on a small file system of its own, of which so much is used, and a
/// memory of three days in which it grew to that from a third. The directory, as seen from outside.
pub(crate) fn fill_disk(systemd: &SystemdNamespace, daemon: &Daemon, used: u64) -> PathBuf {
    let data = daemon.data_directory();
    let (path, options) = (data.display().to_string(), format!("size={ROOM},mode=700"));
    inside(systemd, &["mkdir", &path]);
    inside(systemd, &["mount", "-t", "tmpfs", "-o", &options, "tmpfs", &path]);
    let directory = systemd.root().join(data.strip_prefix("/").expect("a whole path"));
    fs::write(directory.join(BALLAST), vec![0u8; usize::try_from(used).expect("a size")]).expect("ballast");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after the epoch").as_millis();
    let now = u64::try_from(now).expect("a time");
    let grown = |hour: u64| used / 3 + used * 2 / 3 * hour / 72;
    let kept: Vec<_> = (0..72).map(|hour| (now - (72 - hour) * HOUR, grown(hour))).collect();
    fs::write(directory.join("disk.json"), serde_json::json!({ "used": kept }).to_string()).expect("a memory");
    directory
}

#[test]
fn a_channel_that_fails_is_told_of_over_the_others() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    let broken = HttpFixture::start(|_| Reply::status(503));
    let other = HttpFixture::always(Reply::status(200));
    systemd.install(&[CountedUnit::new("web.service")]);
    systemd.start_units(&["web.service"]);
    let spare = format!("[[alerts.channel]]\nname = \"spare\"\ntype = \"webhook\"\nurl = \"{}\"\n", other.url("/"));
    // Only "ops" is told of services, so that what "spare" hears is of dixmgr.
    let text = told_to(&broken, "channels = [\"ops\"]") + &spare + &config(&["web.service"]);
    let mut daemon = exec(&systemd, &text, &["web"]);

    systemd.kill_unit("web.service");
    await_messages(&daemon, &other, OWN, &[("firing", "notification_failed")]);
    let body: serde_json::Value = serde_json::from_slice(&other.requests()[0].body).expect("JSON");
    assert_eq!(body["commonLabels"]["channel"], "ops");
    assert_eq!(body["commonAnnotations"]["summary"], "messages over ops do not arrive");
    assert!(body["commonAnnotations"]["description"].as_str().expect("a text").contains("503"), "{body}");
    assert_eq!(messages(&broken, OWN), [], "who does not hear is not told of it");
    let labels = [("alert_type", "notification_failed"), ("severity", "critical")];
    assert_eq!(daemon.metrics().get("dixmgr_alerts_active", &labels), Some(1.0));
    let fired = [labels[0], labels[1], ("service", OWN)];
    assert_eq!(daemon.metrics().get("dixmgr_alerts_fired_total", &fired), Some(1.0));

    daemon.kill();
    broken.set(|_| Reply::status(200));
    daemon.start();
    daemon.await_ready();
    await_messages(&daemon, &other, OWN, &[("firing", "notification_failed"), ("resolved", "notification_failed")]);
    eventually("all of it arrived", SOON, || {
        let last = messages(&broken, "web").last().cloned();
        (last == Some(("resolved".to_owned(), "service_down".to_owned()))).then_some(())
    });
}

#[test]
fn a_disk_that_fills_is_foretold_until_there_is_room_again() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    let receiver = HttpFixture::always(Reply::status(200));
    systemd.install(&[CountedUnit::new("web.service")]);
    // Its first start would be told too, and perhaps first.
    systemd.start_units(&["web.service"]);
    let rule = "[[alerts.rule]]\nname = \"disk_forecast\"\nfor = \"0s\"\n";
    let text = told_to(&receiver, "") + rule + &config(&["web.service"]);
    let mut daemon = dixmgr(&systemd, "-exec", &text);
    let directory = fill_disk(&systemd, &daemon, ROOM * 3 / 4);
    daemon.start();
    daemon.await_ready();
    await_messages(&daemon, &receiver, OWN, &[("firing", "limit_ahead")]);
    let body: serde_json::Value = serde_json::from_slice(&receiver.requests()[0].body).expect("JSON");
    let alert = &body["alerts"][0];
    assert_eq!(alert["labels"]["severity"], "warning");
    let said = |name: &str| alert["annotations"][name].as_str().expect("a text").to_owned();
    assert!(said("summary").starts_with("the disk of dixmgr's data is full in 3"), "{alert}");
    assert!(said("description").starts_with("full on "), "{alert}");
    fs::remove_file(directory.join(BALLAST)).expect("room again");
    await_messages(&daemon, &receiver, OWN, &[("firing", "limit_ahead"), ("resolved", "limit_ahead")]);
}

#[test]
fn that_nobody_looks_any_more_is_told() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    let receiver = HttpFixture::always(Reply::status(200));
    systemd.install(&[CountedUnit::new("web.service")]);
    let rule = "[[alerts.rule]]\nname = \"probes_behind\"\nthreshold = 3\n";
    let text = told_to(&receiver, "") + rule + &config(&["web.service"]);
    let daemon = exec(&systemd, &text, &["web"]);
    systemd.stop_dbus();
    await_messages(&daemon, &receiver, OWN, &[("firing", "probes_behind")]);
    systemd.restore_dbus();
    await_messages(&daemon, &receiver, OWN, &[("firing", "probes_behind"), ("resolved", "probes_behind")]);
}

#[test]
fn that_the_disk_fills_is_told_and_gets_worse_and_is_over() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    let receiver = HttpFixture::always(Reply::status(200));
    systemd.install(&[CountedUnit::new("web.service")]);
    systemd.start_units(&["web.service"]);
    let rules = ["disk_filling", "disk_filling_critical"]
        .map(|name| format!("[[alerts.rule]]\nname = \"{name}\"\nfor = \"0s\"\n"));
    let text = told_to(&receiver, "") + &rules.concat() + &config(&["web.service"]);
    let daemon = dixmgr(&systemd, "-exec", &text);
    // A file system of its own for the data directory: seen in the daemon's namespace only.
    let data = daemon.data_directory().display().to_string();
    inside(&systemd, &["mkdir", &data]);
    inside(&systemd, &["mount", "-t", "tmpfs", "-o", "size=200m", "tmpfs", &data]);
    let daemon = daemon.started();
    await_health(&daemon, "web", true);
    let fill = |file: &str, megabytes: u32| {
        inside(&systemd, &["fallocate", "-l", &format!("{megabytes}M"), &format!("{data}/{file}")]);
    };
    let severities = || -> Vec<String> {
        let of = |body: &serde_json::Value| body["commonLabels"]["severity"].as_str().expect("a text").to_owned();
        let bodies =
            receiver.requests().into_iter().map(|request| serde_json::from_slice(&request.body).expect("JSON"));
        bodies.map(|body| of(&body)).collect()
    };
    fill("warning", 186);
    await_messages(&daemon, &receiver, OWN, &[("firing", "disk_filling")]);
    assert_eq!(severities(), ["warning"]);
    fill("critical", 6);
    await_messages(&daemon, &receiver, OWN, &[("firing", "disk_filling"); 2]);
    assert_eq!(severities(), ["warning", "critical"]);
    inside(&systemd, &["rm", &format!("{data}/warning"), &format!("{data}/critical")]);
    let over = ("resolved", "disk_filling");
    await_messages(&daemon, &receiver, OWN, &[("firing", "disk_filling"), ("firing", "disk_filling"), over]);
}

#[test]
fn that_the_engine_is_slow_is_told_in_spite_of_it_and_that_it_is_over() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    let receiver = HttpFixture::always(Reply::status(200));
    systemd.install(&[CountedUnit::new("web.service")]);
    systemd.start_units(&["web.service"]);
    let rule = "[[alerts.rule]]\nname = \"engine_slow\"\nfor = \"0s\"\n";
    let text = told_to(&receiver, "") + rule + &config(&["web.service"]);
    let faults = Faults::new();
    let daemon = dixmgr(&systemd, "-exec", &text).under(&faults.wrapper()).started();
    await_health(&daemon, "web", true);
    faults.slow_syncs(Duration::from_millis(1500));
    // Something has to be written before it is felt.
    systemd.kill_unit("web.service");
    let told = || messages(&receiver, OWN).contains(&("firing".to_owned(), "engine_slow".to_owned()));
    eventually("it is told", Duration::from_mins(1), || told().then_some(()));
    faults.slow_syncs(Duration::ZERO);
    eventually("it is over", Duration::from_mins(1), || {
        let last = messages(&receiver, OWN).last().cloned();
        (last == Some(("resolved".to_owned(), "engine_slow".to_owned()))).then_some(())
    });
}
