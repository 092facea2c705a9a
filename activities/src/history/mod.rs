//! The health history: what happened to services, in a SQLite file or a PostgreSQL database that outlives dixmgr and that people may
//! read with their own SQL.
//!
//! Whoever has something to tell calls [`History::record`], which never waits: a bounded queue leads to a thread of its own.
//! That thread folds steady looks into minutes ([`fold`], pure), keeps incidents, and writes in batches ([`writer`], [`store`]); it
//! throws away what is too old in small steps ([`retention`]). [`read`] answers questions, in this process and in others. All of
//! them speak to [`database`], which is either store; only [`open`] and [`schema`], [`postgres`], and [`import`] from one to the other
//! know which.
//! What happened while no dixmgr looked is *unknown*, neither up nor down.

mod database;
mod error;
pub(crate) mod event;
mod fold;
mod ids;
mod import;
mod open;
mod past;
mod place;
mod postgres;
pub mod read;
mod reader;
mod retention;
mod rows;
mod schema;
mod session;
mod store;
mod writer;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant, SystemTime};

use prometheus::{IntCounter, IntGauge, Opts};
use tokio::sync::oneshot;

use self::database::Database;
pub use self::error::HistoryError;
pub use self::event::Act;
pub(crate) use self::event::Event;
pub use self::import::import;
pub use self::place::{Place, Postgres, PostgresError};
pub use self::read::Reader;
pub use self::retention::Retention;
use self::writer::{Given, Writer};
use crate::metrics::{Metrics, MetricsError};

/// Events that may wait for the thread; further ones are lost, and counted.
const QUEUE: usize = 32_768;
/// Part of the queue that single samples may fill: changes of state are worth more.
const QUEUE_FOR_SAMPLES: usize = QUEUE / 2;
/// Memory for the thread's stack.
const STACK: usize = 1 << 20;
/// Longest time for the last batch.
const LAST_BATCH: Duration = Duration::from_secs(1);

/// Where the history is kept, and for how long.
#[derive(Debug, Clone)]
pub struct HistoryOptions {
    /// The file, or the database.
    pub place: Place,
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
    place: Place,
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
    /// Opens the file, takes up what the last dixmgr left, and starts the thread. A database is opened by the thread: nothing waits
    /// for one that is away.
    ///
    /// # Errors
    /// The file cannot be used.
    pub fn start(options: HistoryOptions, metrics: &Metrics) -> Result<Self, HistoryError> {
        let HistoryOptions { place, retention } = options;
        let opened = match &place {
            Place::File(path) => Some(open::for_writing(path)?),
            Place::Postgres(_) => None,
        };
        let metrics = HistoryMetrics::register(metrics).map_err(|error| place.unusable(error))?;
        let (sender, messages) = mpsc::channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let clock = Clock::start();
        let away = if let Place::Postgres(own) = &place { Some(own.clone()) } else { None };
        let given = Given { away, retention, messages, waiting: Arc::clone(&waiting), metrics: metrics.clone(), clock };
        let mut writer = Writer::new(given);
        if let Some(opened) = opened {
            writer.take_up(Database::Sqlite(opened)).map_err(|fault| place.explain(&fault))?;
            metrics.writing.set(1);
        }
        let thread = std::thread::Builder::new().name("history".to_owned()).stack_size(STACK);
        thread.spawn(move || writer.run()).map_err(|error| place.unusable(error))?;
        Ok(Self { inner: Arc::new(Inner { sender, waiting, metrics, place, clock }) })
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

    /// Reads what it has.
    #[must_use]
    pub fn reader(&self) -> Reader {
        Reader::new(&self.inner.place)
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
