//! What survives dixmgr: adoption, crashes in the middle of a start, strangers under old numbers.
//!
//! A dixmgr that dies is a runtime that is shut down: its tasks are gone, and its children live on, as after `kill -9`.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::Stdio;
use std::time::Duration;

use dixmgr_activities::direct::MARK_VARIABLE;
use dixmgr_activities::manager::{UnitManager as _, Verb};
use dixmgr_model::{ActionOutcome, Command, UnitPhase};
use dixmgr_testkit::{eventually, wait_until};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::world::{PATIENCE, World, act, kill_group, lives, shell, start, status, unit};

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
    // Bound it is once `setpriv` has done its part. One that was not by then is ended at the next start, see above.
    let name = || fs::read_to_string(format!("/proc/{bound}/comm")).unwrap_or_default();
    eventually("setpriv has done its part", PATIENCE, || (name() == "sh\n").then_some(()));
    // With the runtime ends the thread that started them, which is what the kernel goes by.
    runtime.shutdown_timeout(PATIENCE);
    eventually("the bound process has ended", PATIENCE, || (!lives(bound)).then_some(()));
    assert!(lives(free));
}
