//! The kit against the real thing: what it starts runs, is alone, and ends.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use dixmgr_testkit::{
    CountedUnit, Namespace, ProcessNamespace, SystemdNamespace, TemporalServer, eventually, wait_until,
};

const SLEEPER: &str = "[Unit]\nDefaultDependencies=no\n[Service]\nExecStart=sleep infinity\n";

#[test]
fn a_unit_runs_dies_and_is_gone_with_its_namespace() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    systemd.write_unit("sleeper.service", SLEEPER);
    systemd.daemon_reload();
    systemd.systemctl(&["start", "sleeper.service"]);
    assert_eq!(systemd.property("sleeper.service", "ActiveState"), "active");
    assert_eq!(systemd.property("sleeper.service", "ControlGroup"), "/system.slice/sleeper.service");
    systemd.kill_unit("sleeper.service");
    eventually("the killed unit fails", Duration::from_secs(5), || {
        (systemd.property("sleeper.service", "Result") == "signal").then_some(())
    });
    let init = systemd.init_pid();
    let directory = systemd.directory().to_owned();
    drop(systemd);
    assert!(wait_until(Duration::from_secs(5), || !std::path::Path::new(&format!("/proc/{init}")).exists()));
    assert!(!directory.exists());
}

#[test]
fn namespaces_side_by_side_do_not_see_each_other() {
    let Some(one) = SystemdNamespace::start() else { return };
    let Some(other) = SystemdNamespace::start() else { return };
    for systemd in [&one, &other] {
        systemd.write_unit("same-name.service", SLEEPER);
        systemd.daemon_reload();
        systemd.systemctl(&["start", "same-name.service"]);
    }
    one.systemctl(&["stop", "same-name.service"]);
    assert_eq!(one.property("same-name.service", "ActiveState"), "inactive");
    assert_eq!(other.property("same-name.service", "ActiveState"), "active");
    assert_eq!(other.property("same-name.service", "NRestarts"), "0");
}

#[test]
fn the_bus_answers_from_outside_and_comes_back_after_a_kill() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    let list = || {
        std::process::Command::new("busctl")
            .arg(format!("--address={}", systemd.bus_address()))
            .args(["call", "org.freedesktop.systemd1", "/org/freedesktop/systemd1"])
            .args(["org.freedesktop.systemd1.Manager", "GetUnit", "s", "basic.target"])
            .output()
            .is_ok_and(|output| output.status.success())
    };
    assert!(wait_until(Duration::from_secs(5), list), "the bus answers");
    let daemon = systemd.main_pid("dbus.service");
    systemd.kill_dbus_daemon();
    assert!(wait_until(Duration::from_secs(10), list), "the bus is back");
    assert_ne!(systemd.main_pid("dbus.service"), daemon);
    systemd.stop_dbus();
    assert!(!list(), "the bus is away");
    systemd.restore_dbus();
    assert!(wait_until(Duration::from_secs(10), list), "the bus is back once more");
}

#[test]
fn a_temporal_server_keeps_its_state_over_a_kill() {
    let Some(mut temporal) = TemporalServer::start() else { return };
    let start = ["workflow", "start", "--task-queue", "q", "--type", "T", "--workflow-id", "kept"];
    assert!(temporal.command(&start).output().unwrap().status.success());
    temporal.kill();
    assert!(std::net::TcpStream::connect(temporal.address()).is_err());
    temporal.restart();
    let described = temporal.command(&["workflow", "describe", "--workflow-id", "kept"]).output().unwrap();
    assert!(described.status.success(), "{}", String::from_utf8_lossy(&described.stderr));
}

#[test]
fn counted_units_count_their_starts() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    systemd.install(&[CountedUnit::new("one.service"), CountedUnit::new("many@.service")]);
    systemd.start_units(&["one.service", "many@a.service"]);
    systemd.systemctl(&["restart", "one.service"]);
    assert_eq!((systemd.starts("one.service"), systemd.starts("many@a.service")), (2, 1));
    let instances = systemd.write_instances("idle", 50);
    let names: Vec<&str> = instances.iter().map(String::as_str).collect();
    systemd.start_units(&names);
    assert_eq!(systemd.property("idle@49.service", "ActiveState"), "active");
}

#[test]
fn what_runs_in_a_process_namespace_ends_with_it() {
    let Some(namespace) = ProcessNamespace::start() else { return };
    let mark = namespace.directory().join("alive");
    let script = format!("(while :; do touch {0}; sleep 0.02; done) >/dev/null 2>&1 &", mark.display());
    assert!(namespace.command_inside("sh".as_ref()).args(["-c", &script]).status().unwrap().success());
    assert!(wait_until(Duration::from_secs(5), || mark.exists()), "the orphan lives on");
    let mark_after = std::env::temp_dir().join(format!("dixmgr-kit-{}", std::process::id()));
    let script = format!("(sleep 0.5; touch {0}) >/dev/null 2>&1 &", mark_after.display());
    assert!(namespace.command_inside("sh".as_ref()).args(["-c", &script]).status().unwrap().success());
    drop(namespace);
    std::thread::sleep(Duration::from_secs(1));
    assert!(!mark_after.exists(), "the orphan ended with the namespace");
}
