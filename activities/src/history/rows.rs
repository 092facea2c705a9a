//! What is read from the history, row by row. Times are milliseconds since the epoch.

pub(super) const HOUR: u64 = 3_600_000;
pub(super) const DAY: u64 = 24 * HOUR;

/// How long a service was up and down within a time, and since when it is known at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uptime {
    /// Its name.
    pub service: String,
    /// Milliseconds up.
    pub up_ms: u64,
    /// Milliseconds down.
    pub down_ms: u64,
    /// Milliseconds of the time asked for, since it was first seen, in which nobody looked.
    pub unknown_ms: u64,
}

/// A period of a service.
#[derive(Debug, Clone, PartialEq)]
pub struct Period {
    /// Its beginning.
    pub start: u64,
    /// Milliseconds up.
    pub up_ms: u64,
    /// Milliseconds down.
    pub down_ms: u64,
    /// Average use of the CPU; 100 is one core busy.
    pub cpu_avg: Option<f64>,
    /// Largest use of the CPU.
    pub cpu_max: Option<f64>,
    /// Average resident memory, in bytes.
    pub memory_avg: Option<f64>,
    /// Largest resident memory, in bytes.
    pub memory_max: Option<f64>,
    /// Average time until an answer, in seconds.
    pub response_avg: Option<f64>,
    /// Longest time until an answer, in seconds.
    pub response_max: Option<f64>,
}

/// Length of the periods of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Kept for two days unless configured otherwise.
    Minute,
    /// Kept for 30 days.
    Hour,
    /// Kept for 400 days.
    Day,
}

/// A change of what a service was seen to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its number, which grows with time.
    pub id: i64,
    /// When.
    pub at: u64,
    /// `up`, `down` or `unknown`.
    pub availability: String,
    /// How it is, in one word.
    pub condition: String,
    /// Where its unit stands.
    pub phase: String,
    /// How it ended.
    pub result: String,
    /// In words.
    pub detail: String,
}

/// A time in which a service was down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incident {
    /// Its number.
    pub id: i64,
    /// Name of the service.
    pub service: String,
    /// When it went down.
    pub started_at: u64,
    /// When it came back; absent when it has not.
    pub ended_at: Option<u64>,
    /// Why, in one word.
    pub cause: String,
    /// Why, in words.
    pub detail: String,
    /// Milliseconds of it in which dixmgr was away.
    pub unknown_ms: u64,
}

/// Something that dixmgr did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// Its number.
    pub id: i64,
    /// Name of the service.
    pub service: String,
    /// When.
    pub at: u64,
    /// `start`, `stop` or `restart`.
    pub verb: String,
    /// The decision's name.
    pub reason: String,
    /// What came of it.
    pub outcome: String,
    /// In words.
    pub detail: String,
}

/// An alert of the past, or one that fires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastAlert {
    /// Its number.
    pub id: i64,
    /// Name of the service.
    pub service: String,
    /// Its identity.
    pub fingerprint: String,
    /// What it is about.
    pub kind: String,
    /// How bad it was.
    pub severity: String,
    /// When it fired.
    pub fired_at: u64,
    /// When that was over; absent when it is not.
    pub resolved_at: Option<u64>,
}

/// Which rows, the newest first.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// Only of this service.
    pub service: Option<String>,
    /// Only what is not over.
    pub open: bool,
    /// Only numbers below this one: where the page before ended.
    pub before: Option<i64>,
    /// Only what began, or happened, from here on.
    pub since: u64,
    /// How many at most.
    pub limit: u32,
}

impl Step {
    pub(super) fn table(self) -> &'static str {
        match self {
            Self::Minute => "minutes",
            Self::Hour => "hours",
            Self::Day => "days",
        }
    }

    /// Its length in milliseconds.
    #[must_use]
    pub fn millis(self) -> u64 {
        match self {
            Self::Minute => 60_000,
            Self::Hour => HOUR,
            Self::Day => DAY,
        }
    }
}

impl Uptime {
    /// Percent of the time that was seen; absent when none was.
    #[must_use]
    pub fn percent(&self) -> Option<f64> {
        let seen = self.up_ms + self.down_ms;
        (seen > 0).then(|| 100.0 * self.up_ms as f64 / seen as f64)
    }
}
