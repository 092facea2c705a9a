//! What processes do and what is done to them, under one dixmgr.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use dixmgr_activities::direct::{DirectManager, DirectOptions};
use dixmgr_activities::manager::{ManagerError, TrackedUnit, UnitManager as _, Verb};
use dixmgr_model::{ActionOutcome, Command, Target, UnitPhase};
use dixmgr_testkit::eventually;

use crate::world::{PATIENCE, STOP_TIMEOUT, World, act, kill_group, lives, phase, shell, start, status, try_act, unit};

#[tokio::test]
async fn every_end_has_its_name() {
    let world = World::new();
    let manager = world.manager();
    for (script, end, result) in [
        ("exit 3", UnitPhase::Failed, "exit-code 3"),
        ("kill -9 $$", UnitPhase::Failed, "signal 9"),
        ("exit 0", UnitPhase::Inactive, "success"),
    ] {
        let unit = unit(script, shell(script));
        assert_eq!(status(&manager, &unit).await.phase, UnitPhase::Inactive);
        let started = start(&manager, &unit).await;
        let ended = phase(&manager, &unit, end).await;
        assert_eq!((ended.result.as_str(), ended.main_pid), (result, 0));
        assert_eq!(ended.invocation_id, started.invocation_id);
    }
}

#[tokio::test]
async fn a_death_is_announced_at_once() {
    let world = World::new();
    let manager = world.manager();
    let unit = unit("a", shell("exec sleep 1000"));
    let started = start(&manager, &unit).await;
    assert_eq!(started.phase, UnitPhase::Active);
    let mut changes = manager.changes();
    let killed = Instant::now();
    kill_group(started.main_pid);
    assert_eq!(tokio::time::timeout(PATIENCE, changes.recv()).await.unwrap().unwrap(), "a");
    // Most of this is the start of the program `kill`.
    assert!(killed.elapsed() < Duration::from_millis(500), "announced after {:?}", killed.elapsed());
    assert_eq!(status(&manager, &unit).await.result, "signal 9");
}

#[tokio::test]
async fn a_step_that_is_repeated_is_not_done_twice() {
    let world = World::new();
    let manager = world.manager();
    let unit = unit("a", shell("exec sleep 1000"));
    let first = start(&manager, &unit).await.invocation_id;
    assert_eq!(act(&manager, &unit, Verb::Start, "").await.outcome, ActionOutcome::AlreadyDone);
    assert_eq!(act(&manager, &unit, Verb::Start, &first).await.outcome, ActionOutcome::AlreadyDone);

    let restarted = act(&manager, &unit, Verb::Restart, &first).await;
    assert_eq!(restarted.outcome, ActionOutcome::Done);
    assert_ne!(restarted.unit.invocation_id, first);
    for verb in [Verb::Restart, Verb::Stop, Verb::Start] {
        let again = act(&manager, &unit, verb, &first).await;
        assert_eq!((again.outcome, &again.unit), (ActionOutcome::AlreadyDone, &restarted.unit), "{verb:?}");
    }

    let second = restarted.unit.invocation_id;
    let stopped = act(&manager, &unit, Verb::Stop, &second).await;
    assert_eq!((stopped.outcome, stopped.unit.phase), (ActionOutcome::Done, UnitPhase::Inactive));
    assert_eq!((stopped.unit.result.as_str(), stopped.unit.invocation_id), ("success", second.clone()));
    assert_eq!(act(&manager, &unit, Verb::Stop, &second).await.outcome, ActionOutcome::AlreadyDone);
    assert_eq!(act(&manager, &unit, Verb::Restart, &second).await.outcome, ActionOutcome::Done);
}

#[tokio::test]
async fn a_start_that_failed_since_is_reported_and_not_repeated() {
    let world = World::new();
    let manager = world.manager();
    let unit = unit("a", shell("echo ran >&2; exit 7"));
    start(&manager, &unit).await;
    let failed = phase(&manager, &unit, UnitPhase::Failed).await;
    // The same step once more, as after a crash that lost its result.
    let again = act(&manager, &unit, Verb::Start, "").await;
    assert_eq!((again.outcome, &again.unit), (ActionOutcome::Failed, &failed));
    assert!(again.detail.contains("exit-code 7"), "{}", again.detail);
    assert_eq!(manager.tail("a").await.unwrap(), "ran\n");
}

#[tokio::test]
async fn the_whole_group_is_seen_and_stopped_even_when_it_will_not_hear() {
    let world = World::new();
    let manager = world.manager();
    let unit = unit("a", shell("trap '' TERM; sleep 1000 & sleep 1000 & echo up; while :; do sleep 1000; done"));
    let started = start(&manager, &unit).await;
    while !manager.tail("a").await.unwrap().contains("up") {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // The table of groups is a quarter of a second old at most.
    let deadline = Instant::now() + PATIENCE;
    let processes = loop {
        let processes = manager.processes("a").await.unwrap();
        if processes.len() == 4 {
            break processes;
        }
        assert!(Instant::now() < deadline, "{processes:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(processes.contains(&started.main_pid));
    let stopping = Instant::now();
    let stopped = act(&manager, &unit, Verb::Stop, &started.invocation_id).await;
    assert_eq!((stopped.outcome, stopped.unit.phase), (ActionOutcome::Done, UnitPhase::Inactive), "{stopped:?}");
    assert!(stopped.detail.contains("killed"), "{}", stopped.detail);
    assert!(stopping.elapsed() >= STOP_TIMEOUT);
    assert!(processes.iter().all(|pid| !lives(*pid)));
    assert!(manager.processes("a").await.unwrap().is_empty());
}

#[tokio::test]
async fn a_process_that_was_frozen_hears_its_end() {
    let world = World::new();
    let manager = world.manager();
    let unit = unit("a", shell("kill -STOP $$; exit 1"));
    let started = start(&manager, &unit).await;
    eventually("the process is stopped", PATIENCE, || {
        fs::read_to_string(format!("/proc/{}/stat", started.main_pid)).unwrap().contains(") T ").then_some(())
    });
    let stopped = act(&manager, &unit, Verb::Stop, &started.invocation_id).await;
    assert_eq!((stopped.outcome, stopped.detail.as_str()), (ActionOutcome::Done, ""));
}

#[tokio::test]
async fn what_a_dead_process_leaves_is_gone_before_the_next_starts() {
    let world = World::new();
    let manager = world.manager();
    let pid_file = world.path("worker");
    let script = format!(
        "(trap '' TERM; sh -c 'echo $PPID' > {0}.new; mv {0}.new {0}; while :; do sleep 1; done) & \
        while ! [ -e {0} ]; do sleep 0.01; done; exit 1",
        pid_file.display()
    );
    let unit = unit("a", shell(&script));
    start(&manager, &unit).await;
    let failed = phase(&manager, &unit, UnitPhase::Failed).await;
    let worker: u32 = fs::read_to_string(&pid_file).unwrap().trim().parse().unwrap();
    assert!(lives(worker));
    assert_eq!(act(&manager, &unit, Verb::Start, &failed.invocation_id).await.outcome, ActionOutcome::Done);
    assert!(!lives(worker));
}

#[tokio::test]
async fn what_cannot_be_started_is_refused_in_words() {
    let world = World::new();
    let manager = world.manager();
    let plain = world.path("plain.txt");
    fs::write(&plain, "not a program").unwrap();
    let script = world.path("script");
    fs::write(&script, "#!/no/such/interpreter\n").unwrap();
    let binary = world.path("binary");
    fs::write(&binary, [0u8; 64]).unwrap();
    for path in [&script, &binary] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let run = |program: &Path| Command { argv: vec![program.to_str().unwrap().to_owned()], ..Command::default() };
    let variable = |name: &str, value: &str| Command {
        environment: BTreeMap::from([(name.to_owned(), value.to_owned())]),
        ..shell("exit 0")
    };
    let cases = [
        (Command::default(), "empty"),
        (run(Path::new("dixmgr-no-such-program")), "was not found in PATH"),
        (run(Path::new("/no/such/program")), "was not found"),
        (run(&plain), "not executable"),
        (run(Path::new("/tmp")), "not executable"),
        (run(&script), "interpreter"),
        (run(&binary), "cannot be executed"),
        (Command { directory: Some("/no/such/directory".to_owned()), ..shell("exit 0") }, "working directory"),
        (Command { directory: Some(plain.to_str().unwrap().to_owned()), ..shell("exit 0") }, "not a directory"),
        (variable("A", "env:DIXMGR_NO_SUCH_VARIABLE"), "env:DIXMGR_NO_SUCH_VARIABLE"),
        (variable("A=B", "x"), "a name must not"),
        (variable("A", "x\0y"), "may hold a NUL"),
    ];
    for (index, (command, expected)) in cases.into_iter().enumerate() {
        let unit = unit(&format!("unit-{index}"), command.clone());
        let report = act(&manager, &unit, Verb::Start, "").await;
        assert_eq!(report.outcome, ActionOutcome::Refused, "{command:?}: {report:?}");
        assert!(report.detail.contains(expected), "{command:?}: {}", report.detail);
        assert_eq!(report.unit.phase, UnitPhase::Inactive);
        assert!(!world.path("pid").join(format!("unit-{index}.pid")).exists());
    }
    let systemd = TrackedUnit { unit: "x.service".to_owned(), target: Target::Unit("x.service".to_owned()) };
    assert_eq!(status(&manager, &systemd).await.phase, UnitPhase::Missing);
    assert_eq!(act(&manager, &systemd, Verb::Start, "").await.outcome, ActionOutcome::Refused);
    let unknown = manager.statuses(&["never tracked".to_owned()]).await.unwrap();
    assert_eq!(unknown[0].phase, UnitPhase::Missing);
}

#[tokio::test]
async fn a_process_gets_its_directory_its_variables_and_nothing_of_systemds() {
    let world = World::new();
    let manager = world.manager();
    fs::create_dir(world.path("home")).unwrap();
    fs::write(world.path("home/program"), "#!/bin/sh\npwd; echo \"$TOKEN $PLAIN\"; echo \"$DIXMGR_INVOCATION\"; cat\n")
        .unwrap();
    fs::set_permissions(world.path("home/program"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(world.path("token"), "s3cret\n").unwrap();
    let variables = [
        ("TOKEN".to_owned(), format!("file:{}", world.path("token").display())),
        ("PLAIN".to_owned(), "as it is".to_owned()),
    ];
    let command = Command {
        argv: vec!["./program".to_owned()],
        directory: Some(world.path("home").to_str().unwrap().to_owned()),
        environment: BTreeMap::from(variables),
        ..Command::default()
    };
    let unit = unit("a", command);
    start(&manager, &unit).await;
    // It ends by itself: its standard input is empty.
    phase(&manager, &unit, UnitPhase::Inactive).await;
    let said = manager.tail("a").await.unwrap();
    let mark = world.record("a")["mark"].as_str().unwrap().to_owned();
    assert_eq!(said, format!("{}\ns3cret as it is\n{mark}\n", world.path("home").display()));
    assert!(!fs::read_to_string(world.path("pid/a.pid")).unwrap().contains("s3cret"));
    let mode = fs::metadata(world.path("log/a.log")).unwrap().permissions().mode();
    assert_eq!(mode & 0o007, 0, "others may read the log");
}

#[tokio::test]
async fn output_is_appended_from_run_to_run_and_hostile_names_stay_in_the_directory() {
    let world = World::new();
    let manager = world.manager();
    let unit = unit("../../etc/passwd", shell("echo out; echo err >&2"));
    for _ in 0..2 {
        start(&manager, &unit).await;
        phase(&manager, &unit, UnitPhase::Inactive).await;
    }
    assert_eq!(manager.tail(&unit.unit).await.unwrap(), "out\nerr\nout\nerr\n");
    let files: Vec<_> = fs::read_dir(world.path("log")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(files, ["%2e./../etc/passwd.log".replace('/', "%2f").as_str()]);
}

#[tokio::test]
async fn shutting_down_ends_only_what_is_bound_to_dixmgr() {
    let world = World::new();
    let manager = world.manager();
    let bound = unit("bound", Command { die_with_parent: true, ..shell("exec sleep 1000") });
    let free = unit("free", shell("exec sleep 1000"));
    let (bound_pid, free_pid) = (start(&manager, &bound).await.main_pid, start(&manager, &free).await.main_pid);
    manager.shutdown(Duration::from_secs(1)).await;
    assert!(!lives(bound_pid) && lives(free_pid));
    let refused = try_act(&manager, &bound, Verb::Start, "").await;
    assert!(matches!(refused, Err(ManagerError::Unreachable { .. })), "{refused:?}");
    assert_eq!(status(&manager, &bound).await.phase, UnitPhase::Inactive);
}

#[tokio::test]
async fn many_at_once() {
    let world = World::new();
    let manager = world.manager();
    let units: Vec<_> = (0..60).map(|index| unit(&format!("unit-{index}"), shell("exec sleep 1000"))).collect();
    let started = futures_util::future::join_all(units.iter().map(|unit| start(&manager, unit))).await;
    let names: Vec<_> = units.iter().map(|unit| unit.unit.clone()).collect();
    let statuses = manager.statuses(&names).await.unwrap();
    assert_eq!(statuses, started);
    assert!(statuses.iter().all(|status| status.phase == UnitPhase::Active));
    // And two actions on one unit at once are one after the other.
    let first = &started[0].invocation_id;
    let both =
        tokio::join!(act(&manager, &units[0], Verb::Restart, first), act(&manager, &units[0], Verb::Restart, first));
    let mut outcomes = [both.0.outcome, both.1.outcome].map(|outcome| format!("{outcome:?}"));
    outcomes.sort();
    assert_eq!(outcomes, ["AlreadyDone", "Done"]);
}

#[test]
fn directories_that_cannot_be_made_are_named() {
    let world = World::new();
    fs::write(world.path("file"), "").unwrap();
    let options =
        DirectOptions { log_dir: world.path("file/log"), pid_dir: world.path("pid"), stop_timeout: STOP_TIMEOUT };
    let error = DirectManager::new(options).unwrap_err().to_string();
    assert!(error.contains("log directory") && error.contains("file/log"), "{error}");
}
