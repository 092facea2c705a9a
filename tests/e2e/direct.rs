//! Direct mode: dixmgr runs the processes itself, and they outlive it.

use dixmgr_testkit::{Daemon, Namespace, ProcessNamespace, counted_command, counted_process, eventually};

use crate::support::{QUICK, SOON, assert_starts, assert_stays, await_health, dixmgr_direct};

/// A dixmgr that keeps one counted process for each name, in order of need.
fn keeper(namespace: &ProcessNamespace, names: &[&str]) -> Daemon {
    let mut config = QUICK.to_owned();
    for (index, name) in names.iter().enumerate() {
        let needs = index.checked_sub(1).map(|before| format!("needs = [\"{}\"]\n", names[before])).unwrap_or_default();
        let command = counted_command(namespace, name);
        config.push_str(&format!("[[service]]\nname = \"{name}\"\ncommand = {command}\n{needs}"));
    }
    dixmgr_direct(namespace, &config)
}

/// Kills the process of a service, wherever it came from.
fn kill(namespace: &ProcessNamespace, name: &str) {
    namespace.kill_process(pid(namespace, name));
}

fn pid(namespace: &ProcessNamespace, name: &str) -> u32 {
    eventually(&format!("{name} runs"), SOON, || counted_process(namespace, name))
}

#[test]
fn a_killed_process_is_restarted_exactly_once() {
    let Some(namespace) = ProcessNamespace::start() else { return };
    let daemon = keeper(&namespace, &["one", "two"]).started();
    await_health(&daemon, "two", true);
    assert_eq!((namespace.starts("one"), namespace.starts("two")), (1, 1));
    kill(&namespace, "two");
    assert_starts(&namespace, &daemon, "two", 2);
    assert_eq!(namespace.starts("one"), 1);
    await_health(&daemon, "two", true);
    assert_eq!(daemon.metrics().get("dixmgr_service_restarts_total", &[("service", "two")]), Some(1.0));
}

#[test]
fn processes_outlive_dixmgr_and_are_adopted_by_the_next() {
    let Some(namespace) = ProcessNamespace::start() else { return };
    let mut daemon = keeper(&namespace, &["one", "two"]).started();
    await_health(&daemon, "two", true);
    let before = (pid(&namespace, "one"), pid(&namespace, "two"));
    daemon.kill();
    daemon.start();
    daemon.await_ready();
    await_health(&daemon, "two", true);
    assert_stays(&daemon, "nothing was started anew", || (namespace.starts("one"), namespace.starts("two")) == (1, 1));
    assert_eq!((pid(&namespace, "one"), pid(&namespace, "two")), before);

    kill(&namespace, "one");
    assert_starts(&namespace, &daemon, "one", 2);
    assert_ne!(pid(&namespace, "one"), before.0);
}

#[test]
fn a_process_that_dies_while_dixmgr_is_down_is_restarted_once() {
    let Some(namespace) = ProcessNamespace::start() else { return };
    let mut daemon = keeper(&namespace, &["one", "two"]).started();
    await_health(&daemon, "two", true);
    daemon.kill();
    kill(&namespace, "one");
    daemon.start();
    daemon.await_ready();
    assert_starts(&namespace, &daemon, "one", 2);
    assert_eq!(namespace.starts("two"), 1);
}

#[test]
fn sigterm_leaves_the_processes_running() {
    let Some(namespace) = ProcessNamespace::start() else { return };
    let mut daemon = keeper(&namespace, &["one"]).started();
    await_health(&daemon, "one", true);
    let (status, _) = daemon.terminate();
    assert_eq!(status.code(), Some(0), "{}", daemon.log());
    let pid = pid(&namespace, "one");
    assert_stays(&daemon, "it runs on", || counted_process(&namespace, "one") == Some(pid));
}
