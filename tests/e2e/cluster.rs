//! The same on a real Temporal server: the cluster holds the state, and dixmgr finds its way back to it.

use dixmgr_testkit::{CountedUnit, Daemon, Namespace, SystemdNamespace, TemporalServer, eventually};

use crate::support::{BINARY, SOON, assert_starts, assert_stays, await_health, config};

#[test]
fn a_killed_unit_is_restarted_exactly_once() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    let Some(temporal) = TemporalServer::start() else { return };
    systemd.install(&[CountedUnit::new("web.service")]);
    let mut daemon = Daemon::new(&systemd, BINARY, "-exec", &config(&["web.service"])).on(temporal).started();
    await_health(&daemon, "web", true);
    systemd.kill_unit("web.service");
    assert_starts(&systemd, &daemon, "web.service", 2);
    let metrics = daemon.metrics();
    assert_eq!(metrics.get("dixmgr_service_restarts_total", &[("service", "web")]), Some(1.0));
    // What the SDK counts: its requests, too, which on the embedded engine are the engine's to count.
    let starts = metrics.get("temporal_request_total", &[("operation", "StartWorkflowExecution")]);
    assert!(starts.is_some_and(|starts| starts >= 1.0), "{starts:?}");
    assert!(metrics.get("temporal_workflow_task_queue_poll_succeed_total", &[]).is_some());
    // Operators see the service under its own workflow id.
    let described =
        daemon.temporal().command(&["workflow", "describe", "--workflow-id", "wf.svc.web"]).output().unwrap();
    assert!(described.status.success(), "{}", String::from_utf8_lossy(&described.stderr));
}

#[test]
fn a_death_while_the_server_is_away_is_mended_when_it_is_back() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    let Some(temporal) = TemporalServer::start() else { return };
    systemd.install(&["dies.service", "lives.service"].map(CountedUnit::new));
    let config = config(&["dies.service", "lives.service"]);
    let mut daemon = Daemon::new(&systemd, BINARY, "-exec", &config).on(temporal).started();
    await_health(&daemon, "dies", true);
    await_health(&daemon, "lives", true);
    daemon.temporal().kill();
    systemd.kill_unit("dies.service");
    await_health(&daemon, "dies", false);
    assert_stays(&daemon, "without its server it decides nothing", || systemd.starts("dies.service") == 1);
    daemon.temporal().restart();
    assert_starts(&systemd, &daemon, "dies.service", 2);
    assert_eq!(systemd.starts("lives.service"), 1);
    systemd.kill_unit("lives.service");
    assert_starts(&systemd, &daemon, "lives.service", 2);
}

#[test]
fn dixmgr_waits_for_a_server_that_is_not_there_yet() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    let Some(mut temporal) = TemporalServer::start() else { return };
    temporal.kill();
    systemd.install(&[CountedUnit::new("web.service")]);
    let mut daemon = Daemon::new(&systemd, BINARY, "-exec", &config(&["web.service"])).on(temporal);
    daemon.start();
    eventually("it lives and says that it is not ready", SOON, || (daemon.get("/readyz")?.0 == 503).then_some(()));
    daemon.temporal().restart();
    daemon.await_ready();
    assert_starts(&systemd, &daemon, "web.service", 1);
}
