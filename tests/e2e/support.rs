//! What the end-to-end tests share: the binary, short times, and questions about a running dixmgr.

use std::time::{Duration, Instant};

use dixmgr_testkit::{Daemon, Namespace, ProcessNamespace, SystemdNamespace, TemporalServer, eventually};

/// The binary under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_dixmgr");

/// Longest wait for something that should happen at once, on a machine that is busy with other tests.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// How long something that must not happen is given to happen.
pub(crate) const A_WHILE: Duration = Duration::from_millis(1500);

/// Defaults with short times, so that policies can be seen at work.
pub(crate) const QUICK: &str = r#"
[defaults]
interval = "500ms"
operation_timeout = "20s"
[defaults.restart]
max_restarts = 50
window = "1m"
initial_backoff = "100ms"
max_backoff = "400ms"
jitter = 0.0
stable_after = "1m"
quarantine_retry = "30s"
"#;

/// A configuration with [`QUICK`] defaults and one service for each unit, named after it without its suffix.
pub(crate) fn config(units: &[&str]) -> String {
    let services = units.iter().map(|unit| service(unit, ""));
    services.fold(QUICK.to_owned(), |text, service| text + &service)
}

/// One `[[service]]` table for a unit, with lines of its own.
pub(crate) fn service(unit: &str, lines: &str) -> String {
    let name = unit.trim_end_matches(".service");
    format!("[[service]]\nname = \"{name}\"\nunit = \"{unit}\"\ntype = \"test\"\n{lines}\n")
}

/// A dixmgr with the home that `DIXMGR_E2E_HOME` names: the embedded engine, or with `temporal` a server of its own. No
/// test knows which of the two it runs on.
pub(crate) fn dixmgr(namespace: &impl Namespace, mode: &str, config: &str) -> Daemon {
    let daemon = Daemon::new(namespace, BINARY, mode, config);
    match std::env::var("DIXMGR_E2E_HOME").as_deref() {
        Err(_) | Ok("embedded") => daemon,
        Ok("temporal") => daemon.on(TemporalServer::start().expect("a Temporal server, since one was asked for")),
        Ok(other) => panic!("DIXMGR_E2E_HOME is {other:?}; it may be embedded or temporal"),
    }
}

/// A `dixmgr -exec` that runs the services itself.
pub(crate) fn dixmgr_direct(namespace: &ProcessNamespace, config: &str) -> Daemon {
    let directories = ["log", "pid"].map(|name| namespace.directory().join(name).display().to_string());
    let [log, pid] = &directories;
    let arguments = ["-process-manager", "direct", "-process-log-dir", log, "-process-pid-dir", pid];
    dixmgr(namespace, "-exec", config).arguments(&arguments)
}

/// Starts `dixmgr -exec` in the namespace and waits until it is ready and has seen each of `healthy` to be healthy.
pub(crate) fn exec(systemd: &SystemdNamespace, config: &str, healthy: &[&str]) -> Daemon {
    let daemon = dixmgr(systemd, "-exec", config).started();
    for service in healthy {
        await_health(&daemon, service, true);
    }
    daemon
}

/// Waits until the metrics call a service healthy, or not.
#[track_caller]
pub(crate) fn await_health(daemon: &Daemon, service: &str, healthy: bool) {
    let wanted = if healthy { 1.0 } else { 0.0 };
    eventually(&format!("health of {service} is {wanted}; log:\n{}", daemon.log()), SOON, || {
        let value = daemon.metrics().get("dixmgr_service_health", &[("service", service)])?;
        (value.to_bits() == f64::to_bits(wanted)).then_some(())
    });
}

/// Waits until a service was started `times` times, and looks for a while that it stays so.
#[track_caller]
pub(crate) fn assert_starts(namespace: &impl Namespace, daemon: &Daemon, name: &str, times: usize) {
    eventually(&format!("{times} starts of {name}; log:\n{}", daemon.log()), SOON, || {
        (namespace.starts(name) >= times).then_some(())
    });
    assert_stays(daemon, &format!("{name} has {times} starts"), || namespace.starts(name) == times);
}

/// Looks for a while that something stays true.
#[track_caller]
pub(crate) fn assert_stays(daemon: &Daemon, what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while begun.elapsed() < A_WHILE {
        assert!(holds(), "no longer true: {what}; log:\n{}", daemon.log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Reasons of the decisions logged about a service, in order.
pub(crate) fn reasons(daemon: &Daemon, service: &str) -> Vec<String> {
    let entries = daemon.log_entries();
    let of_service = entries.iter().filter(|entry| field(entry, "service").is_some_and(|name| name == service));
    of_service.filter_map(|entry| field(entry, "reason")).map(str::to_owned).collect()
}

/// Waits until a decision with this reason was logged about a service.
#[track_caller]
pub(crate) fn await_reason(daemon: &Daemon, service: &str, reason: &str) {
    eventually(&format!("a decision about {service} with reason {reason}; log:\n{}", daemon.log()), SOON, || {
        reasons(daemon, service).iter().any(|own| own == reason).then_some(())
    });
}

/// Waits until the last decision that was logged about a service has this reason.
#[track_caller]
pub(crate) fn await_last_reason(daemon: &Daemon, service: &str, reason: &str) {
    eventually(&format!("the last decision about {service} has reason {reason}; log:\n{}", daemon.log()), SOON, || {
        reasons(daemon, service).last().is_some_and(|last| last == reason).then_some(())
    });
}

/// A text field of a log entry; `tracing`'s JSON has an event's own fields under `fields`.
fn field<'a>(entry: &'a serde_json::Value, name: &str) -> Option<&'a str> {
    entry.get("fields").and_then(|fields| fields.get(name)).or_else(|| entry.get(name))?.as_str()
}

/// Waits until a unit is in this active state.
#[track_caller]
pub(crate) fn await_state(systemd: &SystemdNamespace, unit: &str, state: &str) {
    eventually(&format!("{unit} is {state}"), SOON, || (systemd.property(unit, "ActiveState") == state).then_some(()));
}

/// Runs a command in the namespace.
pub(crate) fn inside(systemd: &SystemdNamespace, arguments: &[&str]) {
    let status = systemd.command_inside(arguments[0].as_ref()).args(&arguments[1..]).status().expect("run it");
    assert!(status.success(), "{arguments:?}: {status}");
}
