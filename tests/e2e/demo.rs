//! `conf/demo.toml`, which `make run` shows to newcomers: the story that its comments promise.

use std::fs;

use dixmgr_testkit::{Daemon, Namespace, ProcessNamespace, eventually, free_port, package_directory};

use crate::support::{BINARY, SOON, assert_stays, await_health, await_reason, dixmgr_direct};

/// The file with this test's binary and port, and a worker that does not take twenty seconds to crash.
fn story() -> String {
    let path = package_directory().join("conf/demo.toml");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let port = free_port().to_string();
    let changes = [("${DIXMGR:-./bin/dixmgr}", BINARY), ("18080", &port), ("sleep 20", "sleep 3")];
    changes.iter().fold(text, |text, (from, to)| {
        assert!(text.contains(from), "conf/demo.toml no longer has {from:?}; change this test with it");
        text.replace(from, to)
    })
}

/// Command lines of the processes that run in the namespace, those of its process 1 and of dixmgr aside.
fn processes(namespace: &ProcessNamespace, daemon: &Daemon) -> Vec<String> {
    let proc = format!("/proc/{}/root/proc", namespace.init_pid());
    let numbers = fs::read_dir(&proc).unwrap().flatten().map(|entry| entry.path().join("cmdline"));
    let lines = numbers.filter_map(|path| fs::read_to_string(path).ok()).map(|line| line.replace('\0', " "));
    let config = format!("dixmgr-{}.toml", daemon.port());
    lines.filter(|line| !line.is_empty() && !line.contains("sleep 0.05") && !line.contains(&config)).collect()
}

#[test]
fn the_demonstration_tells_its_story() {
    let Some(namespace) = ProcessNamespace::start() else { return };
    let mut daemon = dixmgr_direct(&namespace, &story()).started();
    for service in ["storage", "database", "api", "web", "worker", "clock"] {
        await_health(&daemon, service, true);
    }
    eventually("the worker crashes and is restarted", SOON, || {
        let restarts = daemon.metrics().get("dixmgr_service_restarts_total", &[("service", "worker")])?;
        (restarts >= 1.0).then_some(())
    });
    await_reason(&daemon, "worker", "restarted");
    for service in ["storage", "database", "api", "web", "clock"] {
        let restarts = daemon.metrics().get("dixmgr_service_restarts_total", &[("service", service)]);
        assert_eq!(restarts, Some(0.0), "{service} is not concerned");
    }
    // The demonstration leaves nothing behind, however it ends.
    daemon.kill();
    eventually("the processes end with a killed dixmgr", SOON, || {
        processes(&namespace, &daemon).is_empty().then_some(())
    });
    daemon.start();
    daemon.await_ready();
    await_health(&daemon, "web", true);
    assert_stays(&daemon, "it goes on", || !processes(&namespace, &daemon).is_empty());
    let (status, _) = daemon.terminate();
    assert_eq!(status.code(), Some(0), "{}", daemon.log());
    eventually("the processes end with a stopped dixmgr", SOON, || {
        processes(&namespace, &daemon).is_empty().then_some(())
    });
}
