//! One look at what the processes of a unit use, for those who ask for it by name. The watch samples by itself.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use crate::manager::{ManagerError, UnitManager};
use crate::proc::sample::Sampler;
use crate::proc::usage::{Meter, Usage};
use crate::watch::sampling::sample_now;

/// Time between the two samples of a single look at a unit's resources.
const WINDOW: Duration = Duration::from_millis(100);

/// What the processes of a unit use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResourceReport {
    /// CPU use; 100 is one core busy.
    pub cpu_percent: f64,
    /// Resident memory, summed over its processes.
    pub memory_bytes: u64,
    /// Bytes a second from disks; absent when it may not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_bytes_per_second: Option<f64>,
    /// Bytes a second to disks; absent when it may not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written_bytes_per_second: Option<f64>,
    /// How many processes it has.
    pub processes: usize,
}

/// Two samples of a unit's processes, a moment apart.
pub(crate) async fn resources(manager: &dyn UnitManager, unit: &str) -> Result<ResourceReport, ManagerError> {
    let (origin, mut meter, mut sampler) = (Instant::now(), Meter::default(), Sampler::default());
    let mut count = 0;
    let mut usage: Option<Usage> = None;
    for wait in [Duration::ZERO, WINDOW] {
        sleep(wait).await;
        let processes = manager.processes(unit).await?;
        let (moment, read) = sample_now(&mut sampler, origin, &processes);
        count = read.len();
        usage = meter.fold(moment, read, procfs::ticks_per_second());
    }
    let rates = usage.and_then(|usage| usage.disk_rates());
    Ok(ResourceReport {
        cpu_percent: usage.map_or(0.0, |usage| usage.cpu_percent),
        memory_bytes: usage.map_or(0, |usage| usage.memory_bytes),
        read_bytes_per_second: rates.map(|(read, _)| read),
        written_bytes_per_second: rates.map(|(_, written)| written),
        processes: count,
    })
}
