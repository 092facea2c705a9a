//! From the death of a unit to the job that restarts it, on the kernel's monotonic clock that systemd stamps its units with.

use std::thread;
use std::time::Duration;

use dixmgr_testkit::{Namespace, SystemdNamespace, eventually, monotonic_now};

use crate::field::Field;

/// Between two deaths.
const PAUSE: Duration = Duration::from_millis(50);

/// Each death's times.
pub(crate) struct Latencies {
    to_job: Vec<Duration>,
    in_systemd: Vec<Duration>,
}

/// Kills `kills` units, each once.
pub(crate) fn measure(field: &Field<'_>, kills: usize) -> Latencies {
    let (mut to_job, mut in_systemd) = (Vec::new(), Vec::new());
    for unit in &field.units()[..kills] {
        let (job, own) = one_death(field.systemd(), unit);
        to_job.push(job);
        in_systemd.extend(own);
        thread::sleep(PAUSE);
    }
    to_job.sort();
    in_systemd.sort();
    Latencies { to_job, in_systemd }
}

/// Time from the kill until the unit leaves `failed` for its new start, which is when the restart job runs; and the part
/// of it that systemd took to notice the death, which it forgets about a unit that was unloaded in between.
fn one_death(systemd: &SystemdNamespace, unit: &str) -> (Duration, Option<Duration>) {
    let invocation = systemd.property(unit, "InvocationID");
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
    eventually(&format!("{unit} is restarted"), Duration::from_secs(30), || {
        (systemd.property(unit, "InvocationID") != invocation && systemd.main_pid(unit) != 0).then_some(())
    });
    let stamp = |name: &str| {
        let micros = systemd.property(unit, name).parse().expect("a time in microseconds");
        Duration::from_micros(micros)
    };
    let job = stamp("InactiveExitTimestampMonotonic").saturating_sub(killed);
    let noticed = stamp("InactiveEnterTimestampMonotonic").checked_sub(killed);
    (job, noticed)
}

impl Latencies {
    /// The time from death to job that this share of deaths did not exceed.
    pub(crate) fn quantile(&self, share: f64) -> Duration {
        quantile(&self.to_job, share)
    }

    /// The same of the time that systemd itself took to see the death, if it still knew.
    pub(crate) fn systemd_quantile(&self, share: f64) -> Option<Duration> {
        (!self.in_systemd.is_empty()).then(|| quantile(&self.in_systemd, share))
    }
}

/// Nearest rank of a sorted list.
fn quantile(sorted: &[Duration], share: f64) -> Duration {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank within the list")]
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}
