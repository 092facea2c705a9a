//! [`SystemdManager`] against a real systemd: states, actions, idempotency, and a bus that goes away.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::{Duration, Instant};

use dixmgr_activities::manager::{Action, ManagerError, TrackedUnit, UnitManager, Verb};
use dixmgr_activities::systemd::{SystemdManager, SystemdOptions};
use dixmgr_model::{ActionOutcome, ActionReport, Target, UnitPhase, UnitStatus};
use dixmgr_testkit::{CountedUnit, Namespace, SystemdNamespace, eventually_async};

const PATIENCE: Duration = Duration::from_secs(20);

/// A unit that does not pull in what this systemd does not have.
fn unit(body: &str) -> String {
    format!("[Unit]\nDefaultDependencies=no\n[Service]\n{body}\n")
}

fn running() -> String {
    unit("ExecStart=/bin/sleep 1000000")
}

fn manager(systemd: &SystemdNamespace) -> SystemdManager {
    SystemdManager::start(SystemdOptions { address: Some(systemd.bus_address()) })
}

fn tracked(name: &str) -> TrackedUnit {
    TrackedUnit { unit: name.into(), target: Target::Unit(name.into()) }
}

async fn status(manager: &SystemdManager, name: &str) -> UnitStatus {
    manager.statuses(&[name.to_owned()]).await.expect("systemd answers").remove(0)
}

async fn act(manager: &SystemdManager, verb: Verb, name: &str, replaces: &str) -> ActionReport {
    let action = Action { unit: tracked(name), verb, replaces: replaces.into(), timeout: PATIENCE };
    manager.act(&action).await.expect("systemd answers")
}

/// Waits until a unit is in a phase.
async fn phase(manager: &SystemdManager, name: &str, wanted: UnitPhase) -> UnitStatus {
    eventually_async(&format!("{name} is {wanted}"), PATIENCE, || async {
        Some(status(manager, name).await).filter(|status| status.phase == wanted)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_phase_is_told_apart() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    let units = [
        ("active.service", running()),
        ("failed.service", unit("ExecStart=/bin/false")),
        ("killed.service", running()),
        ("inactive.service", running()),
        ("ended.service", unit("ExecStart=/bin/true")),
        ("done.service", unit("Type=oneshot\nExecStart=/bin/true")),
        ("done-remains.service", unit("Type=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true")),
        ("never-ran.service", unit("Type=oneshot\nExecStart=/bin/true")),
        ("oneshot-failed.service", unit("Type=oneshot\nExecStart=/bin/false")),
        ("activating.service", unit("Type=notify\nExecStart=/bin/sleep 1000000\nTimeoutStartSec=infinity")),
        ("auto.service", unit("ExecStart=/bin/false\nRestart=always\nRestartSec=1h")),
        (
            "deactivating.service",
            unit("ExecStart=/bin/sleep 1000000\nExecStop=/bin/sleep 1000000\nTimeoutStopSec=infinity"),
        ),
        ("bad.service", "[Service]\nType=nonsense-that-is-ignored\n".to_owned()),
        ("relay@.service", running()),
    ];
    for (name, text) in &units {
        systemd.write_unit(name, text);
    }
    systemd.mask("masked.service");
    let manager = manager(&systemd);
    let names = [
        "active.service",
        "failed.service",
        "killed.service",
        "inactive.service",
        "ended.service",
        "done.service",
        "done-remains.service",
        "never-ran.service",
        "oneshot-failed.service",
        "activating.service",
        "auto.service",
        "deactivating.service",
        "bad.service",
        "relay@polka-dot.service",
        "masked.service",
        "missing.service",
        "relay@.service",
        "not a unit",
    ]
    .map(str::to_owned);
    for name in &names {
        manager.track(&tracked(name)).await.unwrap();
    }
    // Pinned before they run, as a watch does: what has ended is then remembered.
    manager.statuses(&names).await.unwrap();
    let started = ["active", "failed", "killed", "ended", "done", "done-remains", "activating", "auto", "deactivating"];
    for name in started {
        systemd.systemctl(&["start", "--no-block", &format!("{name}.service")]);
    }
    systemd.systemctl(&["start", "--no-block", "oneshot-failed.service", "relay@polka-dot.service"]);
    for name in ["killed.service", "deactivating.service", "active.service"] {
        phase(&manager, name, UnitPhase::Active).await;
    }
    systemd.kill_unit("killed.service");
    systemd.systemctl(&["stop", "--no-block", "deactivating.service"]);

    let expected = [
        (UnitPhase::Active, "success"),
        (UnitPhase::Failed, "exit-code"),
        (UnitPhase::Failed, "signal"),
        (UnitPhase::Inactive, "success"),
        (UnitPhase::Inactive, "success"),
        (UnitPhase::Completed, "success"),
        (UnitPhase::Completed, "success"),
        (UnitPhase::Inactive, "success"),
        (UnitPhase::Failed, "exit-code"),
        (UnitPhase::Activating, "success"),
        (UnitPhase::AutoRestart, "exit-code"),
        (UnitPhase::Deactivating, "success"),
        (UnitPhase::Missing, "bad-setting"),
        (UnitPhase::Active, "success"),
        (UnitPhase::Masked, "masked"),
        (UnitPhase::Missing, "not-found"),
        (UnitPhase::Missing, "invalid-name"),
        (UnitPhase::Missing, "invalid-name"),
    ];
    let seen = eventually_async("all units in their phases", PATIENCE, || async {
        let seen = manager.statuses(&names).await.unwrap();
        let phases = |list: &[UnitStatus]| list.iter().map(|status| status.phase).collect::<Vec<_>>();
        let wanted: Vec<UnitPhase> = expected.iter().map(|(phase, _)| *phase).collect();
        (phases(&seen) == wanted).then_some(seen)
    })
    .await;
    for ((name, status), (phase, result)) in names.iter().zip(&seen).zip(expected) {
        assert_eq!((status.phase, status.result.as_str()), (phase, result), "{name}");
    }
    assert_eq!(seen[0].main_pid, systemd.main_pid("active.service"));
    assert_eq!(seen[0].invocation_id, systemd.property("active.service", "InvocationID"));
    assert_eq!(seen[7].invocation_id, "", "it never ran");
    // Asked again, nothing has changed.
    assert_eq!(manager.statuses(&names).await.unwrap(), seen);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_announced_and_an_alias_too() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    systemd.write_unit("a.service", &running());
    std::os::unix::fs::symlink("a.service", systemd.root().join("run/systemd/system/alias.service")).unwrap();
    systemd.daemon_reload();
    systemd.systemctl(&["start", "a.service"]);
    let manager = manager(&systemd);
    for name in ["a.service", "alias.service"] {
        manager.track(&tracked(name)).await.unwrap();
        assert_eq!(phase(&manager, name, UnitPhase::Active).await.result, "success");
    }
    let mut changes = manager.changes();
    systemd.kill_unit("a.service");
    let mut told = std::collections::BTreeSet::new();
    while told.len() < 2 {
        told.insert(tokio::time::timeout(PATIENCE, changes.recv()).await.expect("announced").unwrap());
    }
    assert_eq!(status(&manager, "alias.service").await.phase, UnitPhase::Failed);
}

#[tokio::test(flavor = "multi_thread")]
async fn asking_about_units_that_are_not_loaded_announces_nothing() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    systemd.write_unit("idle.service", &running());
    let manager = manager(&systemd);
    for name in ["idle.service", "missing.service"] {
        manager.track(&tracked(name)).await.unwrap();
    }
    let names = ["idle.service", "missing.service"].map(str::to_owned);
    manager.statuses(&names).await.unwrap();
    let mut changes = manager.changes();
    for _ in 0..20 {
        manager.statuses(&names).await.unwrap();
    }
    // Signals arrive in order: once this one is here, those of the looks would be too.
    systemd.systemctl(&["start", "idle.service"]);
    let first = tokio::time::timeout(PATIENCE, changes.recv()).await.expect("announced").unwrap();
    assert_eq!(first, "idle.service");
    phase(&manager, "idle.service", UnitPhase::Active).await;
    let mut others = 0;
    while let Ok(name) = changes.try_recv() {
        others += usize::from(name == "missing.service");
    }
    assert_eq!(others, 0, "our own looks echo");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_is_followed_to_its_end_and_made_once() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    systemd.install(&[CountedUnit::new("a.service").service_line("ExecStartPre=/bin/sleep 0.3")]);
    systemd.systemctl(&["start", "a.service"]);
    let manager = manager(&systemd);
    let first = phase(&manager, "a.service", UnitPhase::Active).await;
    systemd.kill_unit("a.service");
    let dead = phase(&manager, "a.service", UnitPhase::Failed).await;
    assert_eq!(dead.invocation_id, first.invocation_id);

    let report = act(&manager, Verb::Restart, "a.service", &dead.invocation_id).await;
    assert_eq!((report.outcome, report.unit.phase), (ActionOutcome::Done, UnitPhase::Active), "{report:?}");
    assert_ne!(report.unit.invocation_id, dead.invocation_id);
    assert_eq!(systemd.starts("a.service"), 2);

    // The same step again, as after a crash: it is done already.
    let again = act(&manager, Verb::Restart, "a.service", &dead.invocation_id).await;
    assert_eq!(again.outcome, ActionOutcome::AlreadyDone, "{again:?}");
    assert_eq!(systemd.starts("a.service"), 2);

    // A healthy unit is restarted when that very run is to be replaced.
    let replaced = act(&manager, Verb::Restart, "a.service", &report.unit.invocation_id).await;
    assert_eq!(replaced.outcome, ActionOutcome::Done);
    assert_eq!(systemd.starts("a.service"), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_tried_again_while_its_job_runs_follows_that_job() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    systemd.install(&[CountedUnit::new("a.service").service_line("ExecStartPre=/bin/sleep 1")]);
    systemd.systemctl(&["start", "a.service"]);
    let first = manager(&systemd);
    let run = phase(&first, "a.service", UnitPhase::Active).await.invocation_id;
    let restart = Action { unit: tracked("a.service"), verb: Verb::Restart, replaces: run.clone(), timeout: PATIENCE };
    let lost = tokio::spawn(async move { first.act(&restart).await });
    let second = manager(&systemd);
    phase(&second, "a.service", UnitPhase::Activating).await;
    // As if dixmgr had been killed: connection and memory are gone.
    lost.abort();
    let report = act(&second, Verb::Restart, "a.service", &run).await;
    assert!(matches!(report.outcome, ActionOutcome::Done | ActionOutcome::AlreadyDone), "{report:?}");
    assert_eq!(report.unit.phase, UnitPhase::Active);
    assert_eq!(systemd.starts("a.service"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_at_once_restart_once() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    systemd.install(&[CountedUnit::new("a.service")]);
    systemd.systemctl(&["start", "a.service"]);
    let manager = manager(&systemd);
    let run = phase(&manager, "a.service", UnitPhase::Active).await.invocation_id;
    let (one, two) =
        tokio::join!(act(&manager, Verb::Restart, "a.service", &run), act(&manager, Verb::Restart, "a.service", &run));
    let mut outcomes = [one.outcome, two.outcome].map(|outcome| format!("{outcome:?}"));
    outcomes.sort();
    assert_eq!(outcomes, ["AlreadyDone", "Done"]);
    assert_eq!(systemd.starts("a.service"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn start_and_stop() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    systemd.write_unit("a.service", &running());
    systemd.write_unit("false.service", &unit("Type=oneshot\nExecStart=/bin/false"));
    systemd.write_unit("slow.service", &unit("Type=notify\nExecStart=/bin/sleep 1000000\nTimeoutStartSec=infinity"));
    systemd.write_unit(
        "skipped.service",
        "[Unit]\nDefaultDependencies=no\nConditionPathExists=/nowhere\n[Service]\nExecStart=/bin/sleep 1\n",
    );
    systemd.mask("masked.service");
    let manager = manager(&systemd);
    let started = act(&manager, Verb::Start, "a.service", "").await;
    assert_eq!((started.outcome, started.unit.phase), (ActionOutcome::Done, UnitPhase::Active));
    let again = act(&manager, Verb::Start, "a.service", "").await;
    assert_eq!(again.outcome, ActionOutcome::AlreadyDone);
    let stopped = act(&manager, Verb::Stop, "a.service", &started.unit.invocation_id).await;
    assert_eq!(stopped.outcome, ActionOutcome::Done, "{stopped:?}");
    assert_eq!(act(&manager, Verb::Stop, "a.service", "").await.outcome, ActionOutcome::AlreadyDone);

    let failed = act(&manager, Verb::Start, "false.service", "").await;
    assert_eq!((failed.outcome, failed.unit.phase), (ActionOutcome::Failed, UnitPhase::Failed), "{failed:?}");
    assert!(failed.detail.contains("exit-code"), "{}", failed.detail);
    // The same step once more: it ran and failed, and is not run again.
    let repeated = act(&manager, Verb::Start, "false.service", "").await;
    assert_eq!(repeated.outcome, ActionOutcome::Failed);
    assert_eq!(repeated.unit.invocation_id, failed.unit.invocation_id);

    for name in ["masked.service", "missing.service", "not a unit", "relay@.service"] {
        let refused = act(&manager, Verb::Start, name, "").await;
        assert_eq!(refused.outcome, ActionOutcome::Refused, "{name}: {refused:?}");
        assert!(!refused.detail.is_empty(), "{name}");
    }
    let skipped = act(&manager, Verb::Start, "skipped.service", "").await;
    assert_eq!(skipped.outcome, ActionOutcome::Failed, "{skipped:?}");

    let timeout = Duration::from_millis(300);
    let slow = Action { unit: tracked("slow.service"), verb: Verb::Start, replaces: String::new(), timeout };
    let begun = Instant::now();
    let report = manager.act(&slow).await.unwrap();
    assert_eq!((report.outcome, report.unit.phase), (ActionOutcome::Failed, UnitPhase::Activating), "{report:?}");
    assert!(begun.elapsed() >= timeout && begun.elapsed() < PATIENCE);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_start_limit_of_systemd_does_not_stand_in_the_way() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    let text = "[Unit]\nDefaultDependencies=no\nStartLimitBurst=2\nStartLimitIntervalSec=1h\n[Service]\nExecStart=/bin/sleep 1000000\n";
    systemd.write_unit("a.service", text);
    let manager = manager(&systemd);
    manager.track(&tracked("a.service")).await.unwrap();
    let mut run = act(&manager, Verb::Start, "a.service", "").await.unit.invocation_id;
    for round in 0..6 {
        systemd.kill_unit("a.service");
        phase(&manager, "a.service", UnitPhase::Failed).await;
        let report = act(&manager, Verb::Restart, "a.service", &run).await;
        assert_eq!(
            (report.outcome, report.unit.phase),
            (ActionOutcome::Done, UnitPhase::Active),
            "{round}: {report:?}"
        );
        run = report.unit.invocation_id;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bus_may_go_and_come_back() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    systemd.write_unit("a.service", &running());
    systemd.systemctl(&["start", "a.service"]);
    let manager = manager(&systemd);
    manager.track(&tracked("a.service")).await.unwrap();
    phase(&manager, "a.service", UnitPhase::Active).await;
    let mut changes = manager.changes();

    systemd.kill_dbus_daemon();
    let announced = tokio::time::timeout(PATIENCE, changes.recv()).await.expect("all units are announced").unwrap();
    assert_eq!(announced, "a.service");
    assert_eq!(status(&manager, "a.service").await.phase, UnitPhase::Active);

    systemd.stop_dbus();
    let error = eventually_async("the bus is away", PATIENCE, || async {
        manager.statuses(&["a.service".to_owned()]).await.err()
    })
    .await;
    assert!(matches!(error, ManagerError::Unreachable { .. }), "{error}");
    systemd.kill_unit("a.service");
    systemd.restore_dbus();
    let status = eventually_async("the bus is back", PATIENCE, || async {
        manager.statuses(&["a.service".to_owned()]).await.ok().map(|mut list| list.remove(0))
    })
    .await;
    assert_eq!(status.phase, UnitPhase::Failed, "what happened meanwhile is seen");
    // And signals are heard again.
    while changes.try_recv().is_ok() {}
    systemd.systemctl(&["start", "a.service"]);
    tokio::time::timeout(PATIENCE, changes.recv()).await.expect("announced").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finished_oneshot_stays_finished_while_we_are_connected() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    systemd.write_unit("once.service", &unit("Type=oneshot\nExecStart=/bin/true"));
    let manager = manager(&systemd);
    manager.track(&tracked("once.service")).await.unwrap();
    assert_eq!(status(&manager, "once.service").await.phase, UnitPhase::Inactive);
    let report = act(&manager, Verb::Start, "once.service", "").await;
    assert_eq!((report.outcome, report.unit.phase), (ActionOutcome::Done, UnitPhase::Completed), "{report:?}");
    systemd.daemon_reload();
    let later = status(&manager, "once.service").await;
    assert_eq!((later.phase, later.invocation_id), (UnitPhase::Completed, report.unit.invocation_id));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_units_in_one_exchange() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    systemd.write_unit("w@.service", &running());
    systemd.daemon_reload();
    let manager = manager(&systemd);
    let names: Vec<String> = (0..1_000).map(|index| format!("w@{index}.service")).collect();
    for name in &names {
        manager.track(&tracked(name)).await.unwrap();
    }
    let all = manager.statuses(&names).await.unwrap();
    assert_eq!(all.len(), names.len());
    assert!(all.iter().all(|status| status.phase == UnitPhase::Inactive));
    systemd.systemctl(&["start", "w@7.service"]);
    let again = manager.statuses(&names).await.unwrap();
    let running: Vec<usize> = (0..1_000).filter(|index| again[*index].phase == UnitPhase::Active).collect();
    assert_eq!(running, [7]);
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_below_the_unit_are_found() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    systemd.write_unit("a.service", &unit("ExecStart=/bin/sh -c 'sleep 1000000 & sleep 1000000 & wait'"));
    systemd.systemctl(&["start", "a.service"]);
    let manager = manager(&systemd);
    // Seen from outside of the namespace, its groups stand elsewhere, so systemd is asked; it numbers from inside.
    let processes = eventually_async("the shell and its two children", PATIENCE, || async {
        Some(manager.processes("a.service").await.unwrap()).filter(|processes| processes.len() == 3)
    })
    .await;
    assert!(processes.contains(&systemd.main_pid("a.service")));
    for name in ["missing.service", "not a unit"] {
        assert_eq!(manager.processes(name).await.unwrap(), Vec::<u32>::new(), "{name}");
    }
}
