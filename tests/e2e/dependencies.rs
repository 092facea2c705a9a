//! Dependencies: what is needed is ready before its dependents start.

use dixmgr_testkit::{CountedUnit, HttpFixture, Namespace, Reply, SystemdNamespace, eventually};

use crate::support::{
    QUICK, SOON, assert_starts, assert_stays, await_health, await_last_reason, await_reason, dixmgr, exec, service,
};

#[test]
fn dependents_start_in_order_once_what_they_need_is_ready() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    let backend = HttpFixture::always(Reply::status(503));
    systemd.install(&["db.service", "api.service", "front.service"].map(CountedUnit::new));
    let check = format!("failure_threshold = 1\nhttp = [{{ url = \"{}\" }}]", backend.url("/health"));
    let config = [
        "[alerts]\ngroup_wait = \"0s\"\ngroup_interval = \"0s\"\n".to_owned() + QUICK,
        service("front.service", "needs = [\"api\"]"),
        service("api.service", "needs = [\"db\"]\ndependency_timeout = \"1s\""),
        service("db.service", &check),
    ]
    .concat();
    let daemon = exec(&systemd, &config, &[]);
    eventually("db is started", SOON, || (systemd.starts("db.service") == 1).then_some(()));
    assert_stays(&daemon, "nothing that needs db has started", || {
        systemd.starts("api.service") == 0 && systemd.starts("front.service") == 0
    });
    let timeouts = [("service", "api"), ("dependency", "db")];
    eventually("the dependency timeout is counted", SOON, || {
        (daemon.metrics().get("dixmgr_dependency_timeouts_total", &timeouts)?.to_bits() == 1.0_f64.to_bits())
            .then_some(())
    });
    await_reason(&daemon, "api", "dependency_timeout");
    let firing = || {
        daemon.metrics().get("dixmgr_alerts_active", &[("alert_type", "dependency_timeout"), ("severity", "warning")])
    };
    eventually(&format!("that it waits is told; log:\n{}", daemon.log()), SOON, || {
        (daemon.log().contains("[WARNING] api still waits for what it needs") && firing()? > 0.5).then_some(())
    });

    backend.set(|_| Reply::status(200));
    assert_starts(&systemd, &daemon, "front.service", 1);
    assert_eq!((systemd.starts("db.service"), systemd.starts("api.service")), (1, 1));
    eventually("that the wait is over is told", SOON, || {
        (daemon.log().contains("[RESOLVED] api still waits for what it needs") && firing()? < 0.5).then_some(())
    });
    assert!(systemd.start_times("api.service")[0] < systemd.start_times("front.service")[0]);
    let waits = daemon
        .metrics()
        .get("dixmgr_dependency_wait_time_seconds_count", &[("service", "front"), ("dependency", "api")]);
    assert_eq!(waits, Some(1.0));
}

#[test]
fn a_running_dependent_is_left_alone_while_what_it_needs_is_down() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    systemd.install(&["db.service", "api.service"].map(CountedUnit::new));
    let config = [QUICK.to_owned(), service("db.service", ""), service("api.service", "needs = [\"db\"]")].concat();
    let daemon = exec(&systemd, &config, &["db", "api"]);
    systemd.kill_unit("db.service");
    assert_starts(&systemd, &daemon, "db.service", 2);
    assert_eq!(systemd.starts("api.service"), 1);
}

#[test]
fn a_dead_dependent_waits_until_what_it_needs_is_back() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    let backend = HttpFixture::always(Reply::status(200));
    systemd.install(&["db.service", "api.service"].map(CountedUnit::new));
    let check = format!("failure_threshold = 1\nhttp = [{{ url = \"{}\", interval = \"200ms\" }}]", backend.url("/"));
    let config = [QUICK.to_owned(), service("db.service", &check), service("api.service", "needs = [\"db\"]")].concat();
    let daemon = exec(&systemd, &config, &["db", "api"]);
    await_reason(&daemon, "api", "started");
    backend.set(|_| Reply::status(500));
    await_health(&daemon, "db", false);
    await_last_reason(&daemon, "api", "dependency_lost");
    systemd.kill_unit("api.service");
    await_health(&daemon, "api", false);
    assert_stays(&daemon, "api waits for db", || systemd.starts("api.service") == 1);
    backend.set(|_| Reply::status(200));
    assert_starts(&systemd, &daemon, "api.service", 2);
}

#[test]
fn readiness_survives_a_kill_of_dixmgr() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    let backend = HttpFixture::always(Reply::status(503));
    systemd.install(&["db.service", "api.service"].map(CountedUnit::new));
    let check = format!("failure_threshold = 1\nhttp = [{{ url = \"{}\" }}]", backend.url("/"));
    let config = [QUICK.to_owned(), service("db.service", &check), service("api.service", "needs = [\"db\"]")].concat();
    let mut daemon = dixmgr(&systemd, "-exec", &config).started();
    eventually("db is started", SOON, || (systemd.starts("db.service") == 1).then_some(()));
    daemon.kill();
    backend.set(|_| Reply::status(200));
    daemon.start();
    daemon.await_ready();
    assert_starts(&systemd, &daemon, "api.service", 1);
    assert_eq!(systemd.starts("db.service"), 1);
}
