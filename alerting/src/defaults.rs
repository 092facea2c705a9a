//! The rules that apply unless a configuration says otherwise, as operators know them.

use std::collections::BTreeMap;
use std::time::Duration;

use dixmgr_model::{AlertKind, Comparison, Receiver, Rule, Selector, Severity, Signal};

/// Time in which restarts are counted unless a rule says otherwise.
pub const RESTART_WINDOW: Duration = Duration::from_mins(5);

/// How long something that is measured must be too much before that is trouble.
const MEASURED: Duration = Duration::from_mins(1);

/// How long something must be unusual before that is worth a word.
const LASTING: Duration = Duration::from_mins(30);

const GIB: f64 = 1_073_741_824.0;

/// Label that says what is unusual.
pub const MEASURE: &str = "measure";
/// The channel that is always there.
pub const LOG: &str = "log";

/// One default rule: name, kind, signal, comparison, threshold, `for`, severity, summary.
type Row = (&'static str, AlertKind, Signal, Comparison, f64, Duration, Severity, &'static str);

use AlertKind as K;
use Comparison::{Above, AtLeast, Below};
use Severity::{Critical, Info, Warning};
use Signal as S;

const NOW: Duration = Duration::ZERO;

const ROWS: [Row; 22] = [
    ("service_down", K::ServiceDown, S::Down, AtLeast, 1.0, NOW, Critical, "{{ service }} is down"),
    ("high_cpu", K::HighCpu, S::Cpu, Above, 80.0, MEASURED, Warning, CPU),
    ("high_cpu_critical", K::HighCpu, S::Cpu, Above, 95.0, MEASURED, Critical, CPU),
    ("high_memory", K::HighMemory, S::Memory, Above, 2.0 * GIB, MEASURED, Warning, MEMORY),
    ("high_memory_critical", K::HighMemory, S::Memory, Above, 4.0 * GIB, MEASURED, Critical, MEMORY),
    ("high_disk_io", K::HighDiskIo, S::Disk, Above, 100_000_000.0, MEASURED, Warning, DISK),
    ("restart_loop", K::RestartLoop, S::Restarts, AtLeast, 3.0, NOW, Critical, LOOP),
    ("sync_stalled", K::SyncStalled, S::Stalled, AtLeast, 1.0, NOW, Critical, "{{ service }} does not gain blocks"),
    ("low_peer_count", K::LowPeerCount, S::Peers, Below, 5.0, MEASURED, Warning, "{{ service }} has {{ value }} peers"),
    ("health_check_failed", K::HealthCheckFailed, S::Unhealthy, AtLeast, 1.0, NOW, Warning, HEALTH),
    ("dependency_timeout", K::DependencyTimeout, S::DependencyWait, AtLeast, 1.0, NOW, Warning, WAIT),
    ("unusual_cpu", K::Unusual, S::CpuDeviation, Above, 8.0, LASTING, Info, UNUSUAL),
    ("unusual_memory", K::Unusual, S::MemoryDeviation, Above, 8.0, LASTING, Info, UNUSUAL),
    ("unusual_response_time", K::Unusual, S::ResponseTimeDeviation, Above, 8.0, LASTING, Info, UNUSUAL),
    ("unusual_restarts", K::Unusual, S::RestartDeviation, Above, 4.0, NOW, Info, UNUSUAL),
    ("memory_forecast", K::LimitAhead, S::MemoryForecast, Below, 24.0, LASTING, Warning, AHEAD),
    ("notification_failed", K::NotificationFailed, S::Undelivered, AtLeast, 3.0, NOW, Critical, UNDELIVERED),
    ("engine_slow", K::EngineSlow, S::EngineLatency, Above, 1.0, MEASURED, Warning, SLOW),
    ("disk_filling", K::DiskFilling, S::DiskFree, Below, 10.0, MEASURED, Warning, FULL),
    ("disk_filling_critical", K::DiskFilling, S::DiskFree, Below, 5.0, MEASURED, Critical, FULL),
    ("disk_forecast", K::LimitAhead, S::DiskForecast, Below, 48.0, LASTING, Warning, FULL_AHEAD),
    ("probes_behind", K::ProbesBehind, S::LookDelay, Above, 30.0, NOW, Critical, LATE),
];

const CPU: &str = "{{ service }} uses {{ value }} of a core";
const MEMORY: &str = "{{ service }} uses {{ value }} of memory";
const DISK: &str = "{{ service }} reads and writes {{ value }}";
const LOOP: &str = "{{ service }} was restarted {{ value }} times in {{ window }}";
const HEALTH: &str = "health checks of {{ service }} fail";
const UNUSUAL: &str = "the {{ measure }} of {{ service }} is {{ value }} from what is usual at this hour";
const AHEAD: &str = "the memory of {{ service }} reaches its limit in {{ value }}";
const UNDELIVERED: &str = "messages over {{ channel }} do not arrive";
const SLOW: &str = "dixmgr's engine takes {{ value }} for what should take milliseconds";
const FULL: &str = "the disk of dixmgr's data has {{ value }} left";
const FULL_AHEAD: &str = "the disk of dixmgr's data is full in {{ value }} if it goes on like this";
const LATE: &str = "dixmgr has looked at no service for {{ value }} longer than it should";
const WAIT: &str = "{{ service }} still waits for what it needs";

/// The default rules.
#[must_use]
pub fn rules() -> Vec<Rule> {
    ROWS.into_iter().map(rule).collect()
}

/// The texts of a rule that has none of its own.
#[must_use]
pub fn annotations(kind: AlertKind, signal: Signal) -> BTreeMap<String, String> {
    let of_both = ROWS.iter().find(|row| row.1 == kind && row.2 == signal);
    let row = of_both.or_else(|| ROWS.iter().find(|row| row.1 == kind));
    let summary = row.map_or("{{ service }}: {{ rule }} ({{ value }})", |row| row.7);
    let description = if kind == K::ServiceDown { "{{ detail }}{{ dependents }}" } else { "{{ detail }}" };
    let texts = [("summary", summary), ("description", description)];
    texts.map(|(name, text)| (name.to_owned(), text.to_owned())).into()
}

/// What a rule about what is unusual measures: each has an alert of its own.
fn own_labels(signal: Signal) -> BTreeMap<String, String> {
    let measure = match signal {
        S::CpuDeviation => "CPU",
        S::MemoryDeviation => "memory",
        S::ResponseTimeDeviation => "response time",
        S::RestartDeviation => "number of restarts",
        _ => return BTreeMap::new(),
    };
    BTreeMap::from([(MEASURE.to_owned(), measure.to_owned())])
}

/// Who hears of it: what is only unusual stands in the log, unless a configuration says otherwise.
fn receivers(kind: AlertKind) -> Option<Vec<Receiver>> {
    let log = || Receiver { channel: LOG.to_owned(), after: Duration::ZERO };
    (kind == K::Unusual).then(|| vec![log()])
}

fn rule((name, kind, signal, comparison, threshold, hold, severity, _): Row) -> Rule {
    Rule {
        name: name.to_owned(),
        kind,
        signal,
        comparison,
        threshold,
        clear_threshold: None,
        hold,
        keep_firing_for: Duration::ZERO,
        window: RESTART_WINDOW,
        severity,
        labels: own_labels(signal),
        annotations: annotations(kind, signal),
        services: Selector::default(),
        receivers: receivers(kind),
    }
}
