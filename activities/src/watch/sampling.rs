//! Reads the processes of many services in one go.

use std::sync::Arc;
use std::time::Duration;

use procfs::Current;
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

/// What was read.
#[derive(Debug)]
pub(super) struct Sampled {
    /// When.
    pub(super) moment: Moment,
    /// Processes of each service that could be asked about.
    pub(super) services: Vec<(u64, Vec<ProcessSample>)>,
}

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
        // One moment for all: reading thousands takes a few hundredths of a second, which is little beside the window.
        let moment = Moment { at: origin.elapsed(), boot_ticks: boot_ticks() };
        let services = found.into_iter().map(|(id, pids)| (id, sampler.sample(&pids))).collect();
        Sampled { moment, services }
    });
    // The runtime is ending: nobody will look at it.
    read.await
        .unwrap_or_else(|_| Sampled { moment: Moment { at: Duration::ZERO, boot_ticks: 0 }, services: Vec::new() })
}

/// Time since boot in clock ticks, on the clock of processes' start times; 0 when it cannot be read, which makes every
/// process that appears count as one that was started meanwhile.
pub(crate) fn boot_ticks() -> u64 {
    let seconds = procfs::Uptime::current().map_or(0.0, |uptime| uptime.uptime);
    // `/proc/uptime` has two decimals and is never negative.
    let uptime = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    let ticks = uptime.as_millis() * u128::from(procfs::ticks_per_second()) / 1_000;
    u64::try_from(ticks).unwrap_or(u64::MAX)
}
