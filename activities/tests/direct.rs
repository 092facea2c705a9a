//! The direct process manager with real processes: what they do, what is done to them, and what survives dixmgr.
//!
//! A dixmgr that dies is a runtime that is shut down: its tasks are gone, and its children live on, as after `kill -9`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use dixmgr_activities::direct::{DirectManager, DirectOptions, MARK_VARIABLE};
use dixmgr_activities::manager::{Action, ManagerError, TrackedUnit, UnitManager as _, Verb};
use dixmgr_model::{ActionOutcome, ActionReport, Command, Target, UnitPhase, UnitStatus};
use dixmgr_testkit::{eventually, wait_until};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// Longest that anything here may take; nothing waits that long unless it fails.
const PATIENCE: Duration = Duration::from_secs(10);

/// SIGTERM to SIGKILL, in these tests.
const STOP_TIMEOUT: Duration = Duration::from_millis(300);

/// The directories of one dixmgr after another. Ends whatever the test left running.
struct World {
    directory: TempDir,
}

impl World {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn manager(&self) -> DirectManager {
        DirectManager::new(DirectOptions {
            log_dir: self.path("log"),
            pid_dir: self.path("pid"),
            stop_timeout: STOP_TIMEOUT,
        })
        .unwrap()
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    fn record(&self, unit: &str) -> Value {
        serde_json::from_slice(&fs::read(self.path("pid").join(format!("{unit}.pid"))).unwrap()).unwrap()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for entry in fs::read_dir(self.path("pid")).into_iter().flatten().flatten() {
            let record: Value =
                fs::read(entry.path()).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
            // By number and mark: a number alone may be a stranger's, or this very test's.
            if let (Some(pid), Some(mark)) = (record["pid"].as_u64(), record["mark"].as_str()) {
                let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
                let ours = format!("{MARK_VARIABLE}={mark}");
                if environment.split(|byte| *byte == 0).any(|variable| variable == ours.as_bytes()) {
                    kill_group(u32::try_from(pid).unwrap());
                }
            }
        }
    }
}

fn kill_group(pid: u32) {
    let _ = std::process::Command::new("kill").args(["-KILL", "--", &format!("-{pid}")]).stderr(Stdio::null()).status();
}

fn shell(script: &str) -> Command {
    Command { argv: ["sh", "-c", script].map(str::to_owned).to_vec(), ..Command::default() }
}

fn unit(name: &str, command: Command) -> TrackedUnit {
    TrackedUnit { unit: name.to_owned(), target: Target::Command(command) }
}

async fn try_act(
    manager: &DirectManager,
    unit: &TrackedUnit,
    verb: Verb,
    replaces: &str,
) -> Result<ActionReport, ManagerError> {
    let action = Action { unit: unit.clone(), verb, replaces: replaces.to_owned(), timeout: PATIENCE };
    manager.act(&action).await
}

async fn act(manager: &DirectManager, unit: &TrackedUnit, verb: Verb, replaces: &str) -> ActionReport {
    try_act(manager, unit, verb, replaces).await.unwrap()
}

async fn start(manager: &DirectManager, unit: &TrackedUnit) -> UnitStatus {
    let report = act(manager, unit, Verb::Start, &status(manager, unit).await.invocation_id).await;
    assert_eq!(report.outcome, ActionOutcome::Done, "{report:?}");
    report.unit
}

async fn status(manager: &DirectManager, unit: &TrackedUnit) -> UnitStatus {
    manager.track(unit).await.unwrap();
    manager.statuses(std::slice::from_ref(&unit.unit)).await.unwrap().remove(0)
}

/// Waits, by announcements alone, until the unit is in this phase.
async fn phase(manager: &DirectManager, unit: &TrackedUnit, phase: UnitPhase) -> UnitStatus {
    let mut changes = manager.changes();
    let wait = async {
        loop {
            let status = status(manager, unit).await;
            if status.phase == phase {
                return status;
            }
            changes.recv().await.unwrap();
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{} never became {phase}", unit.unit))
}

fn lives(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

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

#[test]
fn a_living_process_is_adopted_and_not_started_again() {
    let world = World::new();
    let unit = unit("a", shell("echo up; exec sleep 1000"));
    let first = Runtime::new().unwrap();
    let started = first.block_on(async { start(&world.manager(), &unit).await });
    first.shutdown_background();
    assert!(lives(started.main_pid));

    let second = Runtime::new().unwrap();
    second.block_on(async {
        let manager = world.manager();
        assert_eq!(status(&manager, &unit).await, started);
        assert_eq!(manager.processes("a").await.unwrap(), [started.main_pid]);
        // The step that started it, again.
        let again = act(&manager, &unit, Verb::Start, "").await;
        assert_eq!((again.outcome, again.unit), (ActionOutcome::AlreadyDone, started.clone()));

        let mut changes = manager.changes();
        kill_group(started.main_pid);
        tokio::time::timeout(PATIENCE, changes.recv()).await.unwrap().unwrap();
        let ended = status(&manager, &unit).await;
        assert_eq!(ended.phase, UnitPhase::Failed);
        assert_eq!(ended.result, "exited (status unknown: adopted)");
        assert_eq!(ended.invocation_id, started.invocation_id);
        assert_eq!(manager.tail("a").await.unwrap(), "up\n");
    });
}

#[test]
fn an_adopted_process_can_be_restarted() {
    let world = World::new();
    let unit = unit("a", shell("exec sleep 1000"));
    let first = Runtime::new().unwrap();
    let started = first.block_on(async { start(&world.manager(), &unit).await });
    first.shutdown_background();
    Runtime::new().unwrap().block_on(async {
        let manager = world.manager();
        let restarted = act(&manager, &unit, Verb::Restart, &started.invocation_id).await;
        assert_eq!((restarted.outcome, restarted.unit.phase), (ActionOutcome::Done, UnitPhase::Active));
        assert_ne!(restarted.unit.main_pid, started.main_pid);
        assert!(!lives(started.main_pid));
    });
}

#[test]
fn a_death_while_no_dixmgr_was_there_is_found_and_its_leftovers_ended() {
    let world = World::new();
    let worker_file = world.path("worker");
    let script = format!("sleep 1000 & echo $! > {}; wait", worker_file.display());
    let unit = unit("a", shell(&script));
    let first = Runtime::new().unwrap();
    let started = first.block_on(async {
        let manager = world.manager();
        let started = start(&manager, &unit).await;
        while fs::read_to_string(&worker_file).unwrap_or_default().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        started
    });
    first.shutdown_background();
    let worker: u32 = fs::read_to_string(&worker_file).unwrap().trim().parse().unwrap();
    // The main process alone.
    std::process::Command::new("kill").args(["-KILL", &started.main_pid.to_string()]).status().unwrap();
    assert!(wait_until(PATIENCE, || !lives(started.main_pid)) && lives(worker));

    Runtime::new().unwrap().block_on(async {
        let manager = world.manager();
        let found = status(&manager, &unit).await;
        assert_eq!((found.phase, &found.invocation_id), (UnitPhase::Failed, &started.invocation_id));
        assert!(found.result.contains("not running"), "{}", found.result);
        assert_eq!(act(&manager, &unit, Verb::Start, &found.invocation_id).await.outcome, ActionOutcome::Done);
        assert!(!lives(worker));
    });
}

/// Writes a PID file as a dixmgr that died would have left it.
fn leave_record(world: &World, unit: &str, record: Value) {
    let mut record = record;
    record["boot_id"] = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap().trim().into();
    fs::create_dir_all(world.path("pid")).unwrap();
    fs::write(world.path("pid").join(format!("{unit}.pid")), record.to_string()).unwrap();
}

/// A mark that no process of another test carries.
fn new_mark() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

/// A process that dixmgr knows nothing of, in a group of its own; ended with the value.
struct Stranger(std::process::Child);

impl Stranger {
    fn start(mark: &str) -> Self {
        Self::run("sleep", &["1000"], mark)
    }

    fn run(program: &str, arguments: &[&str], mark: &str) -> Self {
        let mut process = std::process::Command::new(program);
        process.args(arguments).env(MARK_VARIABLE, mark).process_group(0).stdout(Stdio::piped());
        Self(process.spawn().unwrap())
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_crash_between_start_and_pid_file_loses_no_process() {
    let (world, mark) = (World::new(), new_mark());
    let before =
        json!({"process": {"pid": 4_000_000, "start_ticks": 5}, "end": {"clean": false, "result": "exit-code 9"}});
    leave_record(&world, "a", json!({"mark": mark, "before": before}));
    leave_record(&world, "b", json!({"mark": new_mark(), "before": before}));
    let orphan = Stranger::start(&mark);
    let manager = world.manager();
    let a = unit("a", shell("exec sleep 1000"));
    let found = status(&manager, &a).await;
    assert_eq!((found.phase, found.main_pid), (UnitPhase::Active, orphan.0.id()));
    assert_eq!(world.record("a")["pid"], orphan.0.id());
    assert_eq!(act(&manager, &a, Verb::Start, "4000000:5").await.outcome, ActionOutcome::AlreadyDone);
    // Of the other, the start never happened: it stands where it stood before.
    let b = unit("b", shell("exec sleep 1000"));
    let found = status(&manager, &b).await;
    assert_eq!(
        (found.phase, found.invocation_id.as_str(), found.result.as_str()),
        (UnitPhase::Failed, "4000000:5", "exit-code 9")
    );
    assert_eq!(act(&manager, &b, Verb::Start, "4000000:5").await.outcome, ActionOutcome::Done);
}

#[tokio::test]
async fn what_a_start_that_nobody_saw_left_behind_is_ended_too() {
    let (world, mark) = (World::new(), new_mark());
    leave_record(&world, "a", json!({"mark": mark}));
    // Its number was never written down, and its main process has ended since.
    let mut orphan = Stranger::run("sh", &["-c", "sleep 1000 & echo $!"], &mark);
    let mut worker = String::new();
    BufReader::new(orphan.0.stdout.take().unwrap()).read_line(&mut worker).unwrap();
    let (worker, main) = (worker.trim().parse().unwrap(), orphan.0.id());
    orphan.0.wait().unwrap();
    assert!(lives(worker));

    let manager = world.manager();
    let a = unit("a", shell("exec sleep 1000"));
    let found = status(&manager, &a).await;
    assert_eq!((found.phase, found.invocation_id), (UnitPhase::Failed, format!("{main}:0")));
    // The step that started it is done, and did not turn out well.
    assert_eq!(act(&manager, &a, Verb::Start, "").await.outcome, ActionOutcome::Failed);
    start(&manager, &a).await;
    assert!(!lives(worker));
}

#[tokio::test]
async fn a_child_that_has_not_come_to_exec_yet_is_waited_for() {
    let (world, mark) = (World::new(), new_mark());
    leave_record(&world, "a", json!({"mark": mark}));
    fs::create_dir_all(world.path("log")).unwrap();
    let log = fs::File::create(world.path("log/a.log")).unwrap();
    log.lock().unwrap();
    // Holds the locked log at once, and carries the mark only later.
    let script = format!("sleep 0.2; exec env {MARK_VARIABLE}={mark} sleep 1000");
    let mut child = std::process::Command::new("sh");
    let child = child.args(["-c", &script]).process_group(0).stdout(log).spawn().unwrap();
    let child = Stranger(child);
    let manager = world.manager();
    let found = status(&manager, &unit("a", shell("exec sleep 1000"))).await;
    assert_eq!((found.phase, found.main_pid), (UnitPhase::Active, child.0.id()));
}

#[tokio::test]
async fn a_bound_process_that_slipped_through_is_ended_and_not_adopted() {
    let (world, mark) = (World::new(), new_mark());
    let mut orphan = Stranger::start(&mark);
    leave_record(&world, "a", json!({"mark": mark}));
    let manager = world.manager();
    let a = unit("a", Command { die_with_parent: true, ..shell("exec sleep 1000") });
    let found = status(&manager, &a).await;
    assert_eq!((found.phase, found.main_pid), (UnitPhase::Failed, 0));
    assert!(found.result.contains("outlived"), "{}", found.result);
    let started = start(&manager, &a).await;
    assert_ne!(started.main_pid, orphan.0.id());
    assert!(orphan.0.try_wait().unwrap().is_some(), "it still runs");
}

#[tokio::test]
async fn a_number_that_was_used_again_is_a_stranger_and_left_alone() {
    let (world, mark) = (World::new(), new_mark());
    let stranger = Stranger::start("someone else's");
    leave_record(&world, "a", json!({"mark": mark, "pid": stranger.0.id(), "start_ticks": 1}));
    let manager = world.manager();
    let a = unit("a", shell("exec sleep 1000"));
    let found = status(&manager, &a).await;
    assert_eq!((found.phase, found.main_pid), (UnitPhase::Failed, 0));
    let started = start(&manager, &a).await;
    assert_ne!(started.main_pid, stranger.0.id());
    assert!(lives(stranger.0.id()));
}

#[tokio::test]
async fn a_pid_file_of_another_boot_is_void() {
    let world = World::new();
    let manager = world.manager();
    fs::write(
        world.path("pid/a.pid"),
        json!({"boot_id": "another", "mark": "x", "pid": std::process::id(), "start_ticks": 1}).to_string(),
    )
    .unwrap();
    let found = status(&manager, &unit("a", shell("exit 0"))).await;
    assert_eq!((found.phase, found.invocation_id.as_str()), (UnitPhase::Inactive, ""));
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

#[test]
fn a_process_that_is_bound_to_dixmgr_does_not_outlive_its_violent_death() {
    let world = World::new();
    let runtime = Runtime::new().unwrap();
    let bound = unit("bound", Command { die_with_parent: true, ..shell("trap '' TERM; while :; do sleep 1; done") });
    let free = unit("free", shell("exec sleep 1000"));
    let (bound, free) = runtime.block_on(async {
        let manager = world.manager();
        (start(&manager, &bound).await.main_pid, start(&manager, &free).await.main_pid)
    });
    // With the runtime ends the thread that started them, which is what the kernel goes by.
    runtime.shutdown_timeout(PATIENCE);
    eventually("the bound process has ended", PATIENCE, || (!lives(bound)).then_some(()));
    assert!(lives(free));
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
