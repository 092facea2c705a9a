//! `-exec`: what dies is restarted, exactly once, and `/metrics` shows it.

use std::fs::File;
use std::process::Command;

use dixmgr_testkit::{Component, CountedUnit, Namespace, SystemdNamespace, eventually, require};

use crate::support::{SOON, assert_starts, await_health, await_state, config, exec, service};

#[test]
fn a_killed_unit_is_restarted_exactly_once_and_metrics_show_it() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    systemd.install(&[CountedUnit::new("web.service")]);
    systemd.start_units(&["web.service"]);
    let daemon = exec(&systemd, &config(&["web.service"]), &["web"]);
    let labels = [("service", "web"), ("type", "test")];
    let before = daemon.metrics();
    assert_eq!(before.get("dixmgr_service_restarts_total", &labels), Some(0.0));
    assert_eq!(before.get("dixmgr_service_downtime_seconds_total", &labels), Some(0.0));
    assert_eq!(systemd.starts("web.service"), 1, "a running unit is left alone");

    systemd.kill_unit("web.service");
    assert_starts(&systemd, &daemon, "web.service", 2);
    await_state(&systemd, "web.service", "active");
    await_health(&daemon, "web", true);
    let after = daemon.metrics();
    assert_eq!(after.get("dixmgr_service_restarts_total", &labels), Some(1.0));
    let downtime = after.get("dixmgr_service_downtime_seconds_total", &labels).unwrap();
    assert!(downtime > 0.0 && downtime < 10.0, "{downtime}");
    assert_eq!(
        after.get("dixmgr_activity_executions_total", &[("activity", "restart_unit"), ("status", "completed")]),
        Some(1.0)
    );
    // What the SDK counts of its worker.
    let slots = after.get("temporal_worker_task_slots_available", &[("worker_type", "WorkflowWorker")]);
    assert!(slots.is_some_and(|slots| slots > 0.0), "{slots:?}");
    let restarts = [("activity_type", "restart_unit"), ("namespace", "dotidx")];
    assert_eq!(after.get("temporal_activity_execution_latency_seconds_count", &restarts), Some(1.0));
}

#[test]
fn a_unit_that_never_ran_is_started() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    systemd.install(&[CountedUnit::new("fresh.service")]);
    let daemon = exec(&systemd, &config(&["fresh.service"]), &["fresh"]);
    assert_starts(&systemd, &daemon, "fresh.service", 1);
}

#[test]
fn each_instance_of_a_template_is_a_service_of_its_own() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    systemd.install(&[CountedUnit::new("node@.service")]);
    let units = ["node@polkadot-0.service", "node@polkadot-1.service"];
    let daemon = exec(&systemd, &config(&units), &["node@polkadot-0", "node@polkadot-1"]);
    systemd.kill_unit(units[0]);
    assert_starts(&systemd, &daemon, units[0], 2);
    assert_eq!(systemd.starts(units[1]), 1);
}

#[test]
fn a_oneshot_unit_that_ran_to_its_end_is_not_run_again() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    systemd.install(&[CountedUnit::new("once.service").service_line("Type=oneshot").exec("/bin/true")]);
    let daemon = exec(&systemd, &config(&["once.service"]), &["once"]);
    assert_starts(&systemd, &daemon, "once.service", 1);
    assert_eq!(daemon.metrics().get("dixmgr_service_restarts_total", &[("service", "once")]), Some(0.0));
}

#[test]
fn many_units_killed_at_once_are_each_restarted_once() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    systemd.install(&[CountedUnit::new("crowd@.service")]);
    let units: Vec<String> = (0..25).map(|index| format!("crowd@{index}.service")).collect();
    let units: Vec<&str> = units.iter().map(String::as_str).collect();
    systemd.start_units(&units);
    let daemon = exec(&systemd, &config(&units), &[]);
    for index in 0..units.len() {
        await_health(&daemon, &format!("crowd@{index}"), true);
    }
    systemd.systemctl(&[&["kill", "--signal=KILL"], units.as_slice()].concat());
    for unit in &units {
        eventually(&format!("{unit} is started again; log:\n{}", daemon.log()), SOON, || {
            (systemd.starts(unit) == 2).then_some(())
        });
    }
    assert_starts(&systemd, &daemon, units[0], 2);
    assert!(units.iter().all(|unit| systemd.starts(unit) == 2));
    eventually("all restarts are counted", SOON, || {
        (daemon.metrics().sum("dixmgr_service_restarts_total", &[]).to_bits() == 25.0_f64.to_bits()).then_some(())
    });
}

#[test]
fn resources_of_all_processes_of_a_unit_are_counted() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    assert_all_processes_are_counted(&systemd);
}

#[test]
fn resources_are_counted_in_unified_control_groups_too() {
    let Some(systemd) = SystemdNamespace::start_unified() else { return };
    assert_all_processes_are_counted(&systemd);
}

fn assert_all_processes_are_counted(systemd: &SystemdNamespace) {
    // The main process sleeps: only its children burn CPU and hold memory.
    let busy = "/bin/sh -c 'sh -c \"while :; do :; done\" & sh -c \"while :; do :; done\" & exec sleep infinity'";
    systemd.install(&[CountedUnit::new("busy.service").exec(busy), CountedUnit::new("idle.service")]);
    let daemon = exec(systemd, &config(&["busy.service", "idle.service"]), &["busy", "idle"]);
    assert!(!daemon.log().contains("asked from systemd instead"), "control groups are read: {}", daemon.log());
    eventually("the CPU time of the children is seen", SOON, || {
        let metrics = daemon.metrics();
        let cpu = |service| metrics.get("dixmgr_service_cpu_percent", &[("service", service)]);
        let memory = |service| metrics.get("dixmgr_service_memory_bytes", &[("service", service)]);
        let told_apart = cpu("busy")? > 10.0 && cpu("idle")? < 5.0 && memory("busy")? > memory("idle")?;
        (told_apart && memory("idle")? > 0.0).then_some(())
    });
    let metrics = daemon.metrics();
    assert!(metrics.get("dixmgr_service_cpu_seconds_total", &[("service", "busy")]).unwrap() > 0.0);
}

#[test]
fn prometheus_own_linter_finds_nothing_wrong_with_the_metrics_page() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    if !require(Component::Promtool) {
        return;
    }
    systemd.install(&["web.service", "front.service"].map(CountedUnit::new));
    let config = config(&["web.service"]) + &service("front.service", "needs = [\"web\"]");
    let daemon = exec(&systemd, &config, &["web", "front"]);
    let page = systemd.write_file("metrics.txt", &daemon.get("/metrics").unwrap().1);
    let promtool =
        Command::new("promtool").args(["check", "metrics"]).stdin(File::open(page).unwrap()).output().unwrap();
    assert!(promtool.status.success(), "{}", String::from_utf8_lossy(&promtool.stderr));
}
