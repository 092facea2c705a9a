//! Restart policy as its effects show it: backoff, quarantine with its slow retry, systemd's own limits.

use std::time::Duration;

use dixmgr_testkit::{CountedUnit, Daemon, HttpFixture, Namespace, Reply, SystemdNamespace, eventually};

use crate::support::{QUICK, SOON, assert_starts, await_health, await_reason, await_state, exec, service};

/// Time between one start of a service and the next, in order.
fn gaps(systemd: &SystemdNamespace, unit: &str) -> Vec<Duration> {
    let times = systemd.start_times(unit);
    times.iter().zip(times.iter().skip(1)).map(|(one, next)| next.saturating_sub(*one)).collect()
}

#[test]
fn the_first_restart_is_immediate_and_the_next_ones_wait_longer_and_longer() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    systemd.install(&[CountedUnit::new("flaky.service")]);
    let policy =
        "restart = { initial_backoff = \"600ms\", max_backoff = \"10s\", backoff_coefficient = 2.0, jitter = 0.0 }";
    let daemon = exec(&systemd, &format!("{QUICK}{}", service("flaky.service", policy)), &["flaky"]);
    for starts in 2..=4 {
        await_state(&systemd, "flaky.service", "active");
        systemd.kill_unit("flaky.service");
        eventually(&format!("start {starts}; log:\n{}", daemon.log()), SOON, || {
            (systemd.starts("flaky.service") == starts).then_some(())
        });
    }
    let gaps = gaps(&systemd, "flaky.service");
    assert!(gaps[1] >= Duration::from_millis(600), "the second restart waits 600 ms: {gaps:?}");
    assert!(gaps[2] >= Duration::from_millis(1200), "the third twice as long: {gaps:?}");
    await_reason(&daemon, "flaky", "backing_off");
    assert_starts(&systemd, &daemon, "flaky.service", 4);
}

#[test]
fn a_service_that_keeps_dying_is_quarantined_and_retried_slowly() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    systemd.install(&[CountedUnit::new("broken.service").exec("/bin/false")]);
    systemd.start_units(&["broken.service"]);
    let policy = "restart = { max_restarts = 2, window = \"1m\", initial_backoff = \"100ms\", max_backoff = \"100ms\", \
                  quarantine_retry = \"3s\" }";
    let daemon = exec(&systemd, &format!("{QUICK}{}", service("broken.service", policy)), &[]);
    await_reason(&daemon, "broken", "restart_limit");
    eventually("two slow retries", SOON, || (systemd.starts("broken.service") >= 5).then_some(()));
    let gaps = gaps(&systemd, "broken.service");
    // Our own start, the two restarts that the policy allows, then one attempt each three seconds.
    assert!(gaps[2] >= Duration::from_millis(2500), "the slow retry is slow: {gaps:?}");
    assert!(gaps[3] >= Duration::from_millis(2500), "each of them: {gaps:?}");
    // The first gap holds dixmgr's own start.
    assert!(gaps[1] < Duration::from_millis(2500), "not quarantined too early: {gaps:?}");
    await_reason(&daemon, "broken", "quarantine_retry");
}

#[test]
fn short_healthy_looks_do_not_save_a_flapping_service_from_quarantine() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    systemd.install(&[CountedUnit::new("flapping.service").exec("/bin/sleep 0.7")]);
    let policy = "restart = { max_restarts = 3, window = \"1m\", initial_backoff = \"50ms\", max_backoff = \"50ms\" }";
    let daemon = exec(&systemd, &format!("{QUICK}{}", service("flapping.service", policy)), &[]);
    await_reason(&daemon, "flapping", "restart_limit");
    assert_starts(&systemd, &daemon, "flapping.service", 4);
}

#[test]
fn the_start_limit_of_systemd_itself_is_no_obstacle() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    let unit = CountedUnit::new("limited.service")
        .unit_line("StartLimitBurst=2")
        .unit_line("StartLimitIntervalSec=1h")
        .exec("/bin/false");
    systemd.install(&[unit]);
    let policy = "restart = { initial_backoff = \"50ms\", max_backoff = \"100ms\" }";
    let daemon = exec(&systemd, &format!("{QUICK}{}", service("limited.service", policy)), &[]);
    eventually(&format!("more starts than systemd allows; log:\n{}", daemon.log()), SOON, || {
        (systemd.starts("limited.service") >= 6).then_some(())
    });
}

#[test]
fn a_unit_that_systemd_restarts_by_itself_is_left_to_it() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    let unit = CountedUnit::new("own.service").service_line("Restart=always").service_line("RestartSec=1s");
    systemd.install(&[unit]);
    let daemon = exec(&systemd, &format!("{QUICK}{}", service("own.service", "")), &["own"]);
    systemd.kill_unit("own.service");
    assert_starts(&systemd, &daemon, "own.service", 2);
    assert!(gaps(&systemd, "own.service")[0] >= Duration::from_millis(900), "it was systemd that restarted it");
    let restarts = daemon.metrics().get("dixmgr_service_restarts_total", &[("service", "own")]);
    assert_eq!(restarts, Some(0.0), "not ours to count");
}

/// A dixmgr that keeps one service whose health `backend` tells; with lines of its own.
fn unhealthy(systemd: &SystemdNamespace, backend: &HttpFixture, lines: &str) -> Daemon {
    systemd.install(&[CountedUnit::new("ill.service")]);
    let check = format!("failure_threshold = 2\nhttp = [{{ url = \"{}\", interval = \"200ms\" }}]\n", backend.url("/"));
    exec(systemd, &format!("{QUICK}{}", service("ill.service", &(check + lines))), &["ill"])
}

#[test]
fn failing_checks_alone_do_not_restart_a_service() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    let backend = HttpFixture::always(Reply::status(200));
    let daemon = unhealthy(&systemd, &backend, "");
    backend.set(|_| Reply::status(500));
    await_health(&daemon, "ill", false);
    await_reason(&daemon, "ill", "degraded");
    assert_starts(&systemd, &daemon, "ill.service", 1);
    backend.set(|_| Reply::status(200));
    await_health(&daemon, "ill", true);
}

#[test]
fn failing_checks_restart_a_service_whose_policy_says_so() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    let backend = HttpFixture::always(Reply::status(200));
    let daemon = unhealthy(
        &systemd,
        &backend,
        "restart = { on_unhealthy = true, initial_backoff = \"20s\", max_backoff = \"20s\" }",
    );
    backend.set(|_| Reply::status(500));
    eventually("it is restarted", SOON, || (systemd.starts("ill.service") == 2).then_some(()));
    backend.set(|_| Reply::status(200));
    await_health(&daemon, "ill", true);
    assert_starts(&systemd, &daemon, "ill.service", 2);
}
