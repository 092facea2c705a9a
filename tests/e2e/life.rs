//! The daemon's own life: drain, death, a second one, signals.

use std::time::Duration;

use dixmgr_testkit::{CountedUnit, Namespace, SystemdNamespace, eventually};

use crate::support::{QUICK, SOON, assert_starts, await_health, await_reason, config, dixmgr, exec, service};

/// The promise is two seconds; a machine that is busy with other tests gets one more.
const DRAIN: Duration = Duration::from_secs(3);

/// How long dixmgr stays away in the middle of a wait.
const AWAY: Duration = Duration::from_millis(3500);

#[test]
fn sigterm_drains_and_the_services_live_on() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    systemd.install(&[CountedUnit::new("web.service")]);
    let mut daemon = exec(&systemd, &config(&["web.service"]), &["web"]);
    let pid = systemd.main_pid("web.service");
    let (status, took) = daemon.terminate();
    assert_eq!(status.code(), Some(0), "{}", daemon.log());
    assert!(took < DRAIN, "took {took:?}");
    assert_eq!(systemd.main_pid("web.service"), pid);
    assert_eq!(systemd.property("web.service", "ActiveState"), "active");
}

#[test]
fn sigterm_in_the_middle_of_a_restart_neither_waits_for_it_nor_repeats_it() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    let slow = CountedUnit::new("slow.service").service_line("Type=exec").service_line("ExecStartPre=/bin/sleep 6");
    systemd.install(&[slow]);
    systemd.start_units(&["slow.service"]);
    let mut daemon = exec(&systemd, &config(&["slow.service"]), &["slow"]);
    systemd.kill_unit("slow.service");
    eventually("the restart is under way", SOON, || (systemd.starts("slow.service") == 2).then_some(()));
    let (status, took) = daemon.terminate();
    assert_eq!(status.code(), Some(0), "{}", daemon.log());
    assert!(took < DRAIN, "took {took:?}");
    daemon.start();
    daemon.await_ready();
    await_health(&daemon, "slow", true);
    assert_starts(&systemd, &daemon, "slow.service", 2);
}

#[test]
fn a_death_while_dixmgr_is_down_is_mended_when_it_is_back() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    systemd.install(&["dies.service", "lives.service"].map(CountedUnit::new));
    let mut daemon = exec(&systemd, &config(&["dies.service", "lives.service"]), &["dies", "lives"]);
    daemon.kill();
    systemd.kill_unit("dies.service");
    daemon.start();
    daemon.await_ready();
    assert_starts(&systemd, &daemon, "dies.service", 2);
    assert_eq!(systemd.starts("lives.service"), 1);
}

#[test]
fn a_backoff_goes_on_where_it_was_after_a_kill() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    systemd.install(&[CountedUnit::new("flaky.service")]);
    let policy = "restart = { initial_backoff = \"5s\", max_backoff = \"5s\", jitter = 0.0 }";
    let config = format!("{QUICK}{}", service("flaky.service", policy));
    let mut daemon = exec(&systemd, &config, &["flaky"]);
    systemd.kill_unit("flaky.service");
    eventually("the first restart", SOON, || (systemd.starts("flaky.service") == 2).then_some(()));
    await_health(&daemon, "flaky", true);
    systemd.kill_unit("flaky.service");
    await_reason(&daemon, "flaky", "backing_off");
    // A decision is logged as it is taken, and durable a moment later; one that was not is taken again.
    std::thread::sleep(Duration::from_millis(500));
    daemon.kill();
    std::thread::sleep(AWAY);
    daemon.start();
    daemon.await_ready();
    assert_starts(&systemd, &daemon, "flaky.service", 3);
    let times = systemd.start_times("flaky.service");
    let waited = times[2].saturating_sub(times[1]);
    assert!(waited >= Duration::from_millis(4900), "the wait is neither forgotten nor cut: {waited:?}");
    assert!(waited < AWAY + Duration::from_secs(5), "nor begun anew: {waited:?}; log:\n{}", daemon.log());
}

#[test]
fn a_second_dixmgr_on_the_same_data_directory_is_refused() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    systemd.install(&[CountedUnit::new("web.service")]);
    let daemon = exec(&systemd, &config(&["web.service"]), &["web"]);
    let output = daemon.command().output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&daemon.data_directory().display().to_string()), "names the directory: {said}");
    let inside = inner_pid(daemon.pid().unwrap());
    assert!(said.contains(&inside), "names the holder, process {inside}: {said}");
    assert_eq!(daemon.get("/healthz").unwrap().0, 200, "the first one goes on");
}

/// A process's id as it is numbered in its own namespace.
fn inner_pid(pid: u32) -> String {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("NSpid:")).unwrap();
    line.split_whitespace().last().unwrap().to_owned()
}

#[test]
fn under_systemd_it_is_a_notify_service_with_a_watchdog() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    systemd.install(&[CountedUnit::new("web.service")]);
    let daemon = dixmgr(&systemd, "-exec", &config(&["web.service"]));
    let command = daemon.command();
    let arguments: Vec<_> = command.get_args().map(|word| word.to_string_lossy().into_owned()).collect();
    let line = arguments[arguments.iter().position(|word| word == "--").unwrap() + 1..].join(" ");
    let unit = format!(
        "[Unit]\nDefaultDependencies=no\n[Service]\nType=notify\nWatchdogSec=2s\nTimeoutStartSec=60s\nExecStart={line}\n"
    );
    systemd.write_unit("dixmgr.service", &unit);
    systemd.daemon_reload();
    systemd.start_units(&["dixmgr.service"]);
    assert_eq!(daemon.get("/readyz").unwrap().0, 200, "started means ready");
    await_health(&daemon, "web", true);
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(systemd.property("dixmgr.service", "ActiveState"), "active", "the watchdog is fed");
    assert_eq!(systemd.property("dixmgr.service", "NRestarts"), "0");
    systemd.systemctl(&["stop", "dixmgr.service"]);
    assert_eq!(systemd.property("dixmgr.service", "Result"), "success");
    assert_eq!(systemd.starts("web.service"), 1);
    assert_eq!(systemd.property("web.service", "ActiveState"), "active");
}
