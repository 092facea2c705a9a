//! Reads the processes of many services in one go.

use std::sync::Arc;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::task::{spawn_blocking, yield_now};
use tokio::time::Instant;

use crate::manager::UnitManager;
use crate::proc::sample::{ProcessSample, Sampler};
use crate::proc::usage::Moment;

/// Services after which the other tasks of this thread get their turn. Finding a unit's processes is a short read of a file
/// system in memory, which never waits by itself.
const TURN: usize = 32;

/// A service to be sampled.
#[derive(Debug)]
pub(super) struct Wanted {
    /// The hub's number for it.
    pub(super) id: u64,
    /// Its unit; absent when it has no processes now.
    pub(super) unit: Option<String>,
}

/// What was read: the processes of each service that could be asked about, and when that was.
pub(super) type Sampled = Vec<(u64, Moment, Vec<ProcessSample>)>;

/// Reads all processes of all services. A service whose processes cannot be found out is left out, and sampled next time.
pub(super) async fn sample(manager: Arc<dyn UnitManager>, origin: Instant, wanted: Vec<Wanted>) -> Sampled {
    let mut found = Vec::with_capacity(wanted.len());
    for (index, Wanted { id, unit }) in wanted.into_iter().enumerate() {
        if index % TURN == TURN - 1 {
            yield_now().await;
        }
        match unit {
            None => found.push((id, Vec::new())),
            Some(unit) => match manager.processes(&unit).await {
                Ok(pids) => found.push((id, pids)),
                Err(error) => tracing::debug!(unit, %error, "its processes are not known"),
            },
        }
    }
    let read = spawn_blocking(move || {
        let mut sampler = Sampler::default();
        let read = |(id, pids): (u64, Vec<u32>)| {
            let (moment, processes) = sample_now(&mut sampler, origin, &pids);
            (id, moment, processes)
        };
        found.into_iter().map(read).collect()
    });
    // The runtime is ending: nobody will look at it.
    read.await.unwrap_or_default()
}

/// Reads processes, and when that was: each service at its own moment, for reading thousands takes a while.
pub(crate) fn sample_now(sampler: &mut Sampler, origin: Instant, pids: &[u32]) -> (Moment, Vec<ProcessSample>) {
    let moment = Moment { at: origin.elapsed(), boot_ticks: boot_ticks() };
    (moment, sampler.sample(pids))
}

/// Time since boot in clock ticks, on the clock of processes' start times.
fn boot_ticks() -> u64 {
    let now = Duration::try_from(clock_gettime(ClockId::Boottime)).unwrap_or_default();
    let ticks = now.as_nanos() * u128::from(procfs::ticks_per_second()) / 1_000_000_000;
    u64::try_from(ticks).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn the_clock_is_that_of_start_times() {
        let before = boot_ticks();
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let (moment, read) = sample_now(&mut Sampler::default(), Instant::now(), &[child.id()]);
        assert!((before..=moment.boot_ticks).contains(&read[0].start_ticks), "{before} {read:?} {moment:?}");
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
