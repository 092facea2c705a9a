//! From the death of a unit to the job that restarts it, on the kernel's monotonic clock, with which systemd stamps its units
//! too.

use std::thread;
use std::time::Duration;

use dixmgr_testkit::usage::quantile;
use dixmgr_testkit::{Namespace, SystemdNamespace, eventually, monotonic_now};

use crate::field::Field;
use crate::jobs::Jobs;

/// Between two deaths.
const PAUSE: Duration = Duration::from_millis(50);

/// A restart that takes longer is told by itself: what it had to wait for can be looked for.
const LONG: Duration = Duration::from_millis(50);

/// How long nobody looks after a death: asking takes a core and systemd's time, which the restart then does without.
const HANDS_OFF: Duration = Duration::from_millis(300);

/// Each death's times.
#[derive(Default)]
pub(crate) struct Latencies {
    noticed: Vec<Duration>,
    job: Vec<Duration>,
    started: Vec<Duration>,
}

/// What happened after one death, from the kill on.
struct Death {
    /// When, on the monotonic clock.
    killed: Duration,
    /// systemd has seen it.
    noticed: Duration,
    /// The job of the restart is there.
    job: Duration,
    /// systemd has forked for it and says that the unit starts.
    started: Duration,
}

/// Kills `kills` units, each once.
pub(crate) fn measure(field: &Field<'_>, kills: usize) -> Latencies {
    let jobs = Jobs::listen(field.systemd());
    let mut latencies = Latencies::default();
    for unit in &field.units()[..kills] {
        let death = one_death(field.systemd(), &jobs, unit);
        if death.job > LONG {
            let (job, noticed, killed) = (death.job.as_millis(), death.noticed.as_millis(), death.killed.as_secs_f64());
            println!(
                "{unit}: {job} ms to its job, {noticed} ms of them systemd's; killed at {killed:.3} (CLOCK_MONOTONIC)"
            );
        }
        latencies.noticed.push(death.noticed);
        latencies.job.push(death.job);
        latencies.started.push(death.started);
        thread::sleep(PAUSE);
    }
    latencies
}

fn one_death(systemd: &SystemdNamespace, jobs: &Jobs, unit: &str) -> Death {
    let invocation = systemd.property(unit, "InvocationID");
    let killed = kill(systemd, unit);
    thread::sleep(HANDS_OFF);
    eventually(&format!("{unit} is restarted"), Duration::from_secs(30), || {
        (systemd.property(unit, "InvocationID") != invocation && systemd.main_pid(unit) != 0).then_some(())
    });
    let since_kill = |name: &str| {
        let micros = systemd.property(unit, name).parse().expect("a time in microseconds");
        Duration::from_micros(micros).saturating_sub(killed)
    };
    Death {
        killed,
        noticed: since_kill("InactiveEnterTimestampMonotonic"),
        job: jobs.first(unit, killed).expect("the restart's job was announced").saturating_sub(killed),
        started: since_kill("InactiveExitTimestampMonotonic"),
    }
}

/// Kills the main process of a unit, and says when.
pub(crate) fn kill(systemd: &SystemdNamespace, unit: &str) -> Duration {
    let pid = systemd.main_pid(unit).to_string();
    let mut kill = systemd.command_inside("sh".as_ref());
    // The shell is there before the clock is read: what is measured is the death, not the start of a program.
    let mut kill = kill
        .args(["-c", &format!("read go; kill -KILL {pid}")])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .expect("start a shell");
    thread::sleep(Duration::from_millis(20));
    let killed = monotonic_now();
    drop(kill.stdin.take());
    kill.wait().expect("the shell ends");
    killed
}

impl Latencies {
    /// From the kill to the restart's job: the time that this share of deaths did not exceed.
    pub(crate) fn job(&self, share: f64) -> Duration {
        quantile(&self.job, share)
    }

    /// The part of it until systemd had seen the death.
    pub(crate) fn noticed(&self, share: f64) -> Duration {
        quantile(&self.noticed, share)
    }

    /// From the kill to the unit's new start, which systemd stamps after it has forked.
    pub(crate) fn started(&self, share: f64) -> Duration {
        quantile(&self.started, share)
    }
}
