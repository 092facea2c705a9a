//! The health history: what happened to services, in a SQLite file that outlives dixmgr and that people may read with their own SQL.
//!
//! Whoever has something to tell calls [`History::record`], which never waits: a bounded queue leads to a thread of its own.
//! That thread folds steady looks into minutes ([`fold`], pure), keeps incidents, and writes in batches ([`writer`], [`store`]); it
//! throws away what is too old in small steps ([`retention`]). [`read`] answers questions, in this process and in others.
//! What happened while no dixmgr looked is *unknown*, neither up nor down.

mod error;
pub(crate) mod event;
mod fold;
mod open;
mod past;
pub mod read;
mod retention;
mod rows;
mod schema;
mod store;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant, SystemTime};

use prometheus::{IntCounter, IntGauge, Opts};
use tokio::sync::oneshot;

pub use self::error::HistoryError;
pub use self::event::Act;
pub(crate) use self::event::Event;
pub use self::read::Reader;
pub use self::retention::Retention;
use crate::metrics::{Metrics, MetricsError};

/// Events that may wait for the thread; further ones are lost, and counted.
const QUEUE: usize = 32_768;
/// Part of the queue that single samples may fill: changes of state are worth more.
const QUEUE_FOR_SAMPLES: usize = QUEUE / 2;
/// Longest time for the last batch.
const LAST_BATCH: Duration = Duration::from_secs(1);

/// Where the history is kept, and for how long.
#[derive(Debug, Clone)]
pub struct HistoryOptions {
    /// The file.
    pub path: PathBuf,
    /// How long what is kept.
    pub retention: Retention,
}

/// The history. Cheap to clone; clones share everything.
#[derive(Debug, Clone)]
pub struct History {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    sender: mpsc::Sender<Message>,
    waiting: Arc<AtomicUsize>,
    metrics: HistoryMetrics,
    path: PathBuf,
    clock: Clock,
}

/// What the thread gets.
#[derive(Debug)]
enum Message {
    Event(Event),
    /// From now on rows are kept for so long.
    Retention(Retention),
    /// Write everything, and end.
    Close(oneshot::Sender<()>),
}

/// What Prometheus is told of the history itself.
#[derive(Debug, Clone)]
struct HistoryMetrics {
    written: IntCounter,
    lost: IntCounter,
    writing: IntGauge,
}

impl HistoryMetrics {
    fn register(metrics: &Metrics) -> Result<Self, MetricsError> {
        let named = |name: &str, help: &str| Opts::new(name, help).namespace(metrics.namespace());
        let written =
            IntCounter::with_opts(named("history_rows_written_total", "Rows written to the health history."))?;
        let lost = named("history_rows_lost_total", "Rows that the health history lost, for want of room or of time.");
        let lost = IntCounter::with_opts(lost)?;
        let writing = named("history_writing", "Whether the health history can be written (1) or not (0).");
        let writing = IntGauge::with_opts(writing)?;
        for counter in [&written, &lost] {
            metrics.registry().register(Box::new(counter.clone()))?;
        }
        metrics.registry().register(Box::new(writing.clone()))?;
        Ok(Self { written, lost, writing })
    }
}

/// Time since the epoch that never goes back.
#[derive(Debug, Clone, Copy)]
struct Clock {
    origin: Instant,
    epoch: Duration,
}

impl Clock {
    fn start() -> Self {
        Self {
            origin: Instant::now(),
            epoch: SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default(),
        }
    }

    fn now(self) -> u64 {
        event::millis(self.epoch + self.origin.elapsed())
    }
}

impl History {
    /// Opens the file, takes up what the last dixmgr left, and starts the thread.
    ///
    /// # Errors
    /// The file cannot be used.
    pub fn start(options: HistoryOptions, metrics: &Metrics) -> Result<Self, HistoryError> {
        let HistoryOptions { path, retention } = options;
        let unusable = |detail: String| HistoryError::Unusable { path: path.clone(), detail };
        let opened = open::for_writing(&path)?;
        let metrics = HistoryMetrics::register(metrics).map_err(|error| unusable(error.to_string()))?;
        let (sender, receiver) = mpsc::channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let clock = Clock::start();
        let writer = writer::Writer::begin(opened, retention, receiver, Arc::clone(&waiting), metrics.clone(), clock)
            .map_err(|error| error::explain(&path, &error))?;
        let thread = std::thread::Builder::new().name("history".to_owned()).stack_size(512 << 10);
        thread.spawn(move || writer.run()).map_err(|error| unusable(error.to_string()))?;
        Ok(Self { inner: Arc::new(Inner { sender, waiting, metrics, path, clock }) })
    }

    /// Tells the history. Never waits; what finds no room is lost and counted. Whether it was taken.
    pub(crate) fn record(&self, event: Event) -> bool {
        let limit = match event.what {
            event::What::Used { .. } | event::What::Answered(_) => QUEUE_FOR_SAMPLES,
            _ => QUEUE,
        };
        if self.inner.waiting.fetch_add(1, Ordering::Relaxed) < limit
            && self.inner.sender.send(Message::Event(event)).is_ok()
        {
            return true;
        }
        self.inner.waiting.fetch_sub(1, Ordering::Relaxed);
        self.inner.metrics.lost.inc();
        false
    }

    /// Something was done to a service just now. Never waits. Whether it was taken: the queue has a bound.
    pub fn acted(&self, service: &str, act: Act) -> bool {
        let what = event::What::Acted(Box::new(act));
        self.record(Event { service: service.into(), at: self.inner.clock.now(), what })
    }

    /// From now on rows are kept for so long.
    pub fn keep_for(&self, retention: Retention) {
        // A thread that has ended keeps nothing.
        let _ = self.inner.sender.send(Message::Retention(retention));
    }

    /// Reads the file.
    #[must_use]
    pub fn reader(&self) -> Reader {
        Reader::new(&self.inner.path)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Writes what waits, and notes that this end was orderly.
    pub async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.inner.sender.send(Message::Close(done)).is_ok() {
            // When it takes longer, the last moments are unknown, as after a crash.
            let _ = tokio::time::timeout(LAST_BATCH, closed).await;
        }
    }
}

#[cfg(test)]
mod tests;
