//! The thread that writes: takes events, folds them, and commits in batches. When nothing can be written it goes on folding,
//! keeps what it has for a while, and says what is lost.

mod take;

use std::collections::HashMap;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use super::database::{Database, Fault};
use super::fold::{Fold, MINUTE, Minute, ServiceId};
use super::ids::Ids;
use super::place::Postgres;
use super::postgres::Session;
use super::retention::{self, Retention};
use super::store::{self, Now, Progress, Write};
use super::{Clock, Event, HistoryMetrics, Message, session};
use take::Service;

/// Longest time between two notes that dixmgr is alive: that much before a crash is unknown.
const ALIVE: Duration = Duration::from_secs(5);
/// Time that a first event waits for others to be written with.
const GATHER: Duration = Duration::from_millis(20);
/// Events in one batch.
const BATCH: usize = 8192;
/// Wait before rows that could not be written are tried again.
const RETRY: Duration = Duration::from_secs(1);
/// The longest wait, where each is twice the one before: a database that is away is not helped by being asked.
const MAX_RETRY: Duration = Duration::from_secs(5);
/// Rows kept while nothing can be written.
const KEPT: usize = 20_000;
/// Pause between two steps of throwing away, when there is more to be thrown away.
const PRUNE_PAUSE: Duration = Duration::from_millis(250);
/// The same when there is not.
const PRUNE_EVERY: Duration = Duration::from_mins(5);

/// What the thread is given.
pub(super) struct Given {
    /// Where the database is; absent for a file, which is open from the start.
    pub(super) away: Option<Postgres>,
    pub(super) retention: Retention,
    pub(super) messages: Receiver<Message>,
    pub(super) waiting: Arc<AtomicUsize>,
    pub(super) metrics: HistoryMetrics,
    pub(super) clock: Clock,
}

/// The thread's state.
pub(super) struct Writer {
    given: Given,
    /// Absent while it is away.
    database: Option<Database>,
    /// When this life of dixmgr began.
    started: u64,
    /// Its number, once it has one.
    session: Option<i64>,
    ids: Ids,
    services: HashMap<ServiceId, Service>,
    fold: Fold,
    /// Minutes that are complete, for when all of that time are.
    minutes: Vec<Minute>,
    progress: Progress,
    pending: Vec<Write>,
    /// Batches of this session that are committed.
    batches: i64,
    /// Rows of the batch of which nobody has said what became of it.
    unsure: usize,
    /// When the rows that could not be written are tried again, and how long was waited for that.
    retry_at: Option<Instant>,
    retry_after: Duration,
    lost: u64,
    alive_at: Instant,
    prune_at: Instant,
}

impl Writer {
    /// Nothing written yet.
    pub(super) fn new(given: Given) -> Self {
        let started = given.clock.now();
        Self {
            given,
            database: None,
            started,
            session: None,
            ids: Ids::default(),
            services: HashMap::new(),
            fold: Fold::default(),
            minutes: Vec::new(),
            progress: Progress { minutes: started, ..Progress::default() },
            pending: Vec::new(),
            batches: 0,
            unsure: 0,
            retry_at: None,
            retry_after: RETRY,
            lost: 0,
            alive_at: Instant::now(),
            prune_at: Instant::now() + ALIVE,
        }
    }

    /// Begins a session in a store, or goes on with it in one that was away.
    pub(super) fn take_up(&mut self, mut database: Database) -> Result<(), Fault> {
        self.ids.unsettle();
        match self.session.map(|session| session::batches(&database, session)).transpose()?.flatten() {
            // The answer was lost, not the batch.
            Some(batches) if batches > self.batches => {
                self.pending.drain(..self.unsure.min(self.pending.len()));
                self.given.metrics.written.inc_by(self.unsure as u64);
                self.batches = batches;
            }
            Some(_) => {}
            None => {
                self.session = Some(session::begin(&mut database, &mut self.ids, self.started)?);
                self.batches = 0;
            }
        }
        self.unsure = 0;
        let stored = store::progress(&database)?;
        let stored = store::roll_up(&mut database, stored)?;
        self.progress = Progress { minutes: stored.minutes.max(self.progress.minutes), ..stored };
        self.database = Some(database);
        Ok(())
    }

    /// Works until it is told to close, or nobody can tell it anything any more.
    pub(super) fn run(mut self) {
        if self.database.is_none() {
            self.commit();
        }
        loop {
            let patience = self.next_wake().saturating_duration_since(Instant::now());
            match self.given.messages.recv_timeout(patience) {
                Ok(Message::Close(done)) => {
                    self.close();
                    let _ = done.send(());
                    return;
                }
                Ok(Message::Retention(retention)) => self.given.retention = retention,
                Ok(Message::Event(event)) => {
                    if let Some(done) = self.take_batch(event) {
                        self.close();
                        let _ = done.send(());
                        return;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.close(),
            }
            self.take_due();
        }
    }

    fn next_wake(&self) -> Instant {
        let minute_end = self.given.clock.now() / MINUTE * MINUTE + MINUTE;
        let to_minute = Duration::from_millis(minute_end.saturating_sub(self.given.clock.now()) + 50);
        let wakes = [self.alive_at + ALIVE, self.prune_at, Instant::now() + to_minute];
        let soonest = wakes.into_iter().chain(self.retry_at).min();
        soonest.unwrap_or_else(Instant::now)
    }

    /// Takes an event and those that come with it. Answers when it is told to close meanwhile.
    fn take_batch(&mut self, first: Event) -> Option<tokio::sync::oneshot::Sender<()>> {
        self.take(first);
        if !self.pending.is_empty() && self.retry_at.is_none() {
            std::thread::sleep(GATHER);
        }
        for _ in 0..BATCH {
            match self.given.messages.try_recv() {
                Ok(Message::Event(event)) => self.take(event),
                Ok(Message::Retention(retention)) => self.given.retention = retention,
                Ok(Message::Close(done)) => return Some(done),
                Err(TryRecvError::Empty | mpsc::TryRecvError::Disconnected) => break,
            }
        }
        None
    }

    /// Does what the time has come for.
    fn take_due(&mut self) {
        let now = Instant::now();
        self.fold_minutes();
        let alive = now >= self.alive_at + ALIVE;
        if self.may_write() && (alive || !self.pending.is_empty()) {
            self.commit();
        }
        if let (Some(database), None, true) = (&self.database, self.retry_at, now >= self.prune_at) {
            let more = retention::prune(database, &self.given.retention, self.given.clock.now());
            let more = more.unwrap_or_else(|error| {
                tracing::debug!(%error, "old rows of the health history stay for now");
                false
            });
            self.prune_at = now + if more { PRUNE_PAUSE } else { PRUNE_EVERY };
        }
    }

    fn may_write(&self) -> bool {
        self.retry_at.is_none_or(|at| Instant::now() >= at)
    }

    /// Hands over the minutes that are over, all services' at once: a crash in between would count some twice.
    fn fold_minutes(&mut self) {
        let now = self.given.clock.now();
        let until = now / MINUTE * MINUTE;
        let over = until > self.progress.minutes;
        if over {
            self.fold.advance(now);
        }
        for minute in self.fold.take_done() {
            if minute.start + MINUTE <= self.progress.minutes {
                // A correction of what is written already.
                self.pending.push(Write::Minute(minute));
            } else {
                self.minutes.push(minute);
            }
        }
        if !over {
            return;
        }
        self.pending.extend(self.minutes.drain(..).map(Write::Minute));
        self.pending.push(Write::MinutesUntil(until));
        let written = self.may_write() && self.commit();
        if let (true, Some(database)) = (written, &mut self.database) {
            match store::roll_up(database, Progress { minutes: until, ..self.progress }) {
                Ok(progress) => self.progress = progress,
                Err(error) => tracing::debug!(%error, "hours of the health history are added up later"),
            }
        }
        self.progress.minutes = self.progress.minutes.max(until);
    }

    /// Writes what waits. Whether it could.
    fn commit(&mut self) -> bool {
        self.alive_at = Instant::now();
        match self.write() {
            Ok(()) => {
                self.given.metrics.written.inc_by(self.pending.len() as u64);
                self.pending.clear();
                self.pending.shrink_to(1024);
                (self.unsure, self.batches, self.retry_after) = (0, self.batches + 1, RETRY);
                self.given.metrics.writing.set(1);
                if self.retry_at.take().is_some() {
                    let lost = std::mem::take(&mut self.lost);
                    tracing::info!(lost, "the health history is written again");
                }
                true
            }
            Err(error) => {
                self.failed(&error);
                false
            }
        }
    }

    fn write(&mut self) -> Result<(), Fault> {
        if let (None, Some(place)) = (&self.database, &self.given.away) {
            let session = Session::for_writing(place)?;
            self.take_up(Database::Postgres(Box::new(session)))?;
        }
        let (Some(database), Some(session)) = (&mut self.database, self.session) else { return Err(Fault::NoHistory) };
        self.ids.settle(database)?;
        self.unsure = self.pending.len();
        let now = Now { session, at: self.given.clock.now(), progress: self.progress };
        store::write(database, &self.pending, &self.ids, now)
    }

    fn failed(&mut self, error: &Fault) {
        if self.given.away.is_some() {
            // Whatever is wrong with a connection, a new one is sure of itself.
            self.database = None;
        }
        if self.retry_at.replace(Instant::now() + self.retry_after).is_none() {
            self.given.metrics.writing.set(0);
            tracing::error!(
                %error,
                "the health history cannot be written: {error}; services are watched all the same, what happens to them \
                 is kept in memory for a while and then lost"
            );
        }
        if self.given.away.is_some() {
            self.retry_after = (self.retry_after * 2).min(MAX_RETRY);
        }
        if self.pending.len() > KEPT {
            let lost = (self.pending.len() - KEPT) as u64;
            self.pending.truncate(KEPT);
            self.lost += lost;
            self.given.metrics.lost.inc_by(lost);
        }
    }

    /// The orderly end: all is written up to now, also of the minute that has begun.
    fn close(&mut self) {
        let now = self.given.clock.now();
        self.fold_minutes();
        self.fold.advance(now);
        let rest = std::mem::take(&mut self.fold).finish();
        self.pending.extend(rest.into_iter().chain(self.minutes.drain(..)).map(Write::Minute));
        self.pending.push(Write::MinutesUntil(now));
        if let (true, Some(database), Some(session)) = (self.commit(), &self.database, self.session)
            && let Err(error) = session::end(database, session, now)
        {
            tracing::debug!(%error, "the end of this session is not in the health history");
        }
    }
}

#[cfg(test)]
impl Writer {
    /// Writes an event to a database that is gone before it can say so.
    pub(super) fn lose_the_answer(&mut self, event: Event) {
        self.take(event);
        let (rows, batches) = (self.pending.clone(), self.batches);
        assert!(self.write().is_ok(), "the database is there");
        (self.pending, self.batches, self.database) = (rows, batches, None);
    }

    /// What the thread does when an event comes, or nothing does, at a time of the test's choosing.
    pub(super) fn at(&mut self, clock: Clock, event: Option<Event>) {
        self.given.clock = clock;
        if let Some(event) = event {
            self.take(event);
        }
        self.alive_at = Instant::now().checked_sub(ALIVE).unwrap_or_else(Instant::now);
        self.take_due();
    }
}
