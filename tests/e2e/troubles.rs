//! Units in odd states, and a bus that goes away.

use dixmgr_testkit::{CountedUnit, Namespace, SystemdNamespace, eventually};

use crate::support::{
    QUICK, SOON, assert_starts, assert_stays, await_health, await_reason, await_state, config, exec, service,
};

#[test]
fn a_death_right_after_the_bus_daemon_was_killed_is_mended() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    systemd.install(&[CountedUnit::new("web.service")]);
    let daemon = exec(&systemd, &config(&["web.service"]), &["web"]);
    systemd.kill_dbus_daemon();
    systemd.kill_unit("web.service");
    assert_starts(&systemd, &daemon, "web.service", 2);
    systemd.kill_unit("web.service");
    assert_starts(&systemd, &daemon, "web.service", 3);
}

#[test]
fn while_the_bus_is_away_nothing_is_decided_and_afterwards_all_is_mended() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    systemd.install(&["dies.service", "lives.service"].map(CountedUnit::new));
    let daemon = exec(&systemd, &config(&["dies.service", "lives.service"]), &["dies", "lives"]);
    systemd.stop_dbus();
    systemd.kill_unit("dies.service");
    eventually("dixmgr says that it is not ready", SOON, || (daemon.get("/readyz")?.0 == 503).then_some(()));
    assert_stays(&daemon, "nothing is done blindly", || {
        systemd.starts("dies.service") == 1 && systemd.starts("lives.service") == 1
    });
    systemd.restore_dbus();
    assert_starts(&systemd, &daemon, "dies.service", 2);
    assert_eq!(systemd.starts("lives.service"), 1);
    eventually("dixmgr is ready again", SOON, || (daemon.get("/readyz")?.0 == 200).then_some(()));
}

#[test]
fn a_masked_unit_is_left_alone_until_it_is_unmasked() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    systemd.install(&[CountedUnit::new("veiled.service")]);
    systemd.mask("veiled.service");
    let daemon = exec(&systemd, &config(&["veiled.service"]), &[]);
    await_reason(&daemon, "veiled", "unit_masked");
    assert_stays(&daemon, "a masked unit is not started", || systemd.starts("veiled.service") == 0);
    systemd.unmask("veiled.service");
    assert_starts(&systemd, &daemon, "veiled.service", 1);
}

#[test]
fn a_missing_unit_is_started_once_it_appears() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    systemd.install(&[CountedUnit::new("there.service")]);
    let daemon = exec(&systemd, &config(&["ghost.service", "there.service"]), &["there"]);
    await_reason(&daemon, "ghost", "unit_missing");
    await_health(&daemon, "ghost", false);
    systemd.install(&[CountedUnit::new("ghost.service")]);
    assert_starts(&systemd, &daemon, "ghost.service", 1);
    await_health(&daemon, "ghost", true);
}

#[test]
fn a_unit_that_takes_long_to_start_is_left_to_start() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    let unit = CountedUnit::new("slow.service").service_line("Type=notify").service_line("TimeoutStartSec=infinity");
    systemd.install(&[unit]);
    systemd.start_units(&["--no-block", "slow.service"]);
    await_state(&systemd, "slow.service", "activating");
    let daemon = exec(&systemd, &config(&["slow.service"]), &[]);
    await_reason(&daemon, "slow", "activating");
    assert_stays(&daemon, "it is left alone", || systemd.starts("slow.service") == 1);
    await_health(&daemon, "slow", false);
    systemd.kill_unit("slow.service");
    assert_starts(&systemd, &daemon, "slow.service", 2);
}

#[test]
fn a_oneshot_unit_that_failed_is_run_again() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    let flag = systemd.directory().join("works");
    let script = systemd.write_file("task.sh", &format!("[ -e {} ]\n", flag.display()));
    let exec_line = format!("/bin/sh {}", script.display());
    systemd.install(&[CountedUnit::new("task.service").service_line("Type=oneshot").exec(&exec_line)]);
    let daemon = exec(&systemd, &config(&["task.service"]), &[]);
    eventually("it is tried again", SOON, || (systemd.starts("task.service") >= 3).then_some(()));
    systemd.write_file("works", "");
    await_health(&daemon, "task", true);
    let done = systemd.starts("task.service");
    assert_starts(&systemd, &daemon, "task.service", done);
}

#[test]
fn a_unit_that_an_operator_stopped_by_hand_is_started_again() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    systemd.install(&[CountedUnit::new("web.service")]);
    let daemon = exec(&systemd, &format!("{QUICK}{}", service("web.service", "")), &["web"]);
    systemd.systemctl(&["stop", "web.service"]);
    assert_starts(&systemd, &daemon, "web.service", 2);
    await_health(&daemon, "web", true);
}
