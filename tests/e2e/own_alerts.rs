//! Alerts about dixmgr itself, told over its own channels.

use dixmgr_testkit::{CountedUnit, HttpFixture, Reply, SystemdNamespace, eventually};

use crate::alerts::{await_messages, messages, told_to};
use crate::support::{SOON, config, exec};

/// What stands where an alert names its service.
const OWN: &str = "dixmgr";

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
