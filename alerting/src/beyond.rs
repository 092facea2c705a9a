//! Beyond thresholds: how unusual a service is now, and when its memory reaches its limit, by what its history says.
//!
//! Pure: the history and the time are arguments, so what is said while watching and what a backtest says are the same.

use dixmgr_model::{AlertPolicy, Comparison, Rule, ServiceSpec, Signal};

use crate::baseline::{Floor, HOUR, Usual, median, usual};
use crate::forecast::{self, Course};

/// How far back is looked.
pub const HORIZON: u64 = 28 * DAY;
const DAY: u64 = 24 * HOUR;
/// Days of history before a number of restarts is said to be unusual.
const ENOUGH_DAYS: usize = 7;

/// What nobody would call unusual, however steady a service is: 5 percent of a core, 32 MiB, 50 ms, two restarts a day.
const CPU: Floor = Floor { absolute: 5.0, relative: 0.2 };
const MEMORY: Floor = Floor { absolute: 33_554_432.0, relative: 0.1 };
const RESPONSE: Floor = Floor { absolute: 0.05, relative: 0.25 };
const RESTARTS: f64 = 2.0;

/// The signals that need a service's history.
pub const SIGNALS: [Signal; 5] = [
    Signal::CpuDeviation,
    Signal::MemoryDeviation,
    Signal::ResponseTimeDeviation,
    Signal::RestartDeviation,
    Signal::MemoryForecast,
];

/// What each of the [`SIGNALS`] is; absent where too little is known.
pub type Judgement = [(Signal, Option<f64>); SIGNALS.len()];

/// Means over a time; what was not measured is absent.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Means {
    /// CPU in percent of one core.
    pub cpu: Option<f64>,
    /// Memory in bytes.
    pub memory: Option<f64>,
    /// Response time in seconds.
    pub response: Option<f64>,
}

/// What a history knows of a service. Times are milliseconds since the epoch.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Past {
    /// Past hours: when each began, and its means; the oldest first.
    pub hours: Vec<(u64, Means)>,
    /// When it was started anew; the oldest first.
    pub restarts: Vec<u64>,
}

/// What is expected of a service at a time.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Expected {
    cpu: Option<Usual>,
    memory: Option<Usual>,
    response: Option<Usual>,
    restarts: Option<f64>,
    hours_left: Option<f64>,
}

impl Past {
    /// What is expected at `at`, by what was known before; `limit` is what its memory must not reach.
    #[must_use]
    pub fn expected(&self, at: u64, limit: Option<f64>) -> Expected {
        let hours: Vec<_> = self.hours_before(at).copied().collect();
        let values = |read: fn(&Means) -> Option<f64>| -> Vec<(u64, f64)> {
            hours.iter().filter_map(|(start, means)| read(means).map(|value| (*start, value))).collect()
        };
        let memory = values(|means| means.memory);
        Expected {
            cpu: usual(&values(|means| means.cpu), at, CPU),
            memory: usual(&memory, at, MEMORY),
            response: usual(&values(|means| means.response), at, RESPONSE),
            restarts: self.restart_deviation(at, hours.first().map_or(at, |(start, _)| *start)),
            hours_left: limit.and_then(|limit| self.hours_left(&memory, at, limit)),
        }
    }

    /// How many times its usual spread the restarts of the last day are above those of the days before.
    fn restart_deviation(&self, at: u64, known_from: u64) -> Option<f64> {
        let days = usize::try_from(at.saturating_sub(known_from) / DAY).ok()?;
        let count = |back: u64| {
            let (from, to) = (at.saturating_sub((back + 1) * DAY), at.saturating_sub(back * DAY));
            self.restarts.iter().filter(|restart| (from..to).contains(restart)).count() as f64
        };
        if days <= ENOUGH_DAYS {
            return None;
        }
        let mut before: Vec<f64> = (1..days as u64).map(count).collect();
        let usual = median(&mut before);
        let mut distances: Vec<f64> = before.iter().map(|count| (count - usual).abs()).collect();
        let spread = median(&mut distances).max(RESTARTS);
        Some(((count(0) - usual) / spread).max(0.0))
    }

    /// How its memory has grown since it was last started, and where that leads; nothing while too little is known.
    #[must_use]
    pub fn memory_course(&self, at: u64, limit: f64) -> Option<Course> {
        let hours = self.hours_before(at);
        let memory: Vec<_> = hours.filter_map(|(start, means)| means.memory.map(|value| (*start, value))).collect();
        let points = self.since_start(&memory, at);
        let newest = points.len().saturating_sub(forecast::MOST_POINTS);
        Some(Course { limit, line: forecast::line(&points, limit)?, points: points[newest..].to_vec() })
    }

    /// The hours that were over at `at`, as far back as is looked.
    fn hours_before(&self, at: u64) -> impl Iterator<Item = &(u64, Means)> {
        self.hours.iter().filter(move |(start, _)| start + HOUR <= at && start + HORIZON >= at)
    }

    /// Hours until its memory reaches the limit, as it has grown since it was last started.
    fn hours_left(&self, memory: &[(u64, f64)], at: u64, limit: f64) -> Option<f64> {
        forecast::hours_until(&self.since_start(memory, at), limit)
    }

    /// Those of the values that were seen since it was last started.
    fn since_start(&self, memory: &[(u64, f64)], at: u64) -> Vec<(u64, f64)> {
        let restarted = self.restarts.iter().rev().find(|restart| **restart <= at).copied().unwrap_or_default();
        memory.iter().filter(|(start, _)| *start >= restarted).copied().collect()
    }
}

impl Expected {
    /// What each of the [`SIGNALS`] is, by the means of the last half hour.
    #[must_use]
    pub fn signals(&self, recent: Means) -> Judgement {
        let deviation =
            |usual: Option<Usual>, value: Option<f64>| usual.zip(value).map(|(usual, value)| usual.deviation(value));
        [
            (Signal::CpuDeviation, deviation(self.cpu, recent.cpu)),
            (Signal::MemoryDeviation, deviation(self.memory, recent.memory)),
            (Signal::ResponseTimeDeviation, deviation(self.response, recent.response)),
            (Signal::RestartDeviation, self.restarts),
            (Signal::MemoryForecast, self.hours_left),
        ]
    }
}

/// What a service's memory must not reach: the highest threshold of the rules about it.
#[must_use]
pub fn memory_limit(policy: &AlertPolicy, spec: &ServiceSpec) -> Option<f64> {
    let upper = |rule: &&Rule| {
        rule.signal == Signal::Memory
            && matches!(rule.comparison, Comparison::Above | Comparison::AtLeast)
            && rule.services.selects(spec)
    };
    policy.rules.iter().filter(upper).map(|rule| rule.threshold).max_by(f64::total_cmp)
}

/// Whether a signal is of what is unusual, or ahead.
#[must_use]
pub fn is_beyond(signal: Signal) -> bool {
    signal == Signal::DiskForecast || SIGNALS.contains(&signal)
}

/// Whether any rule needs a history.
#[must_use]
pub fn is_wanted(policy: &AlertPolicy) -> bool {
    policy.rules.iter().any(|rule| SIGNALS.contains(&rule.signal))
}

#[cfg(test)]
#[path = "beyond_tests.rs"]
mod tests;
