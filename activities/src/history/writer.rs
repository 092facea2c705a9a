//! The thread that writes: takes events, folds them, and commits in batches. When nothing can be written it goes on folding,
//! keeps what it has for a while, and says what is lost.

use std::collections::HashMap;
use std::fs::File;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use dixmgr_model::Availability;
use rusqlite::{Connection, params};

use super::event::{self, Told, What};
use super::fold::{Fold, MINUTE, Minute, ServiceId};
use super::open::Opened;
use super::retention::{self, Retention};
use super::store::{self, HealthRow, Progress, Write, signed, unsigned};
use super::{Clock, Event, HistoryMetrics, Message};

/// Longest time between two notes that dixmgr is alive: that much before a crash is unknown.
const ALIVE: Duration = Duration::from_secs(5);
/// Time that a first event waits for others to be written with.
const GATHER: Duration = Duration::from_millis(20);
/// Events in one batch.
const BATCH: usize = 8192;
/// Wait before rows that could not be written are tried again.
const RETRY: Duration = Duration::from_secs(1);
/// Rows kept while nothing can be written.
const KEPT: usize = 20_000;
/// Pause between two steps of throwing away, when there is more to be thrown away.
const PRUNE_PAUSE: Duration = Duration::from_millis(250);
/// The same when there is not.
const PRUNE_EVERY: Duration = Duration::from_mins(5);

/// The thread's state.
pub(super) struct Writer {
    connection: Connection,
    /// Held for as long as the file is written.
    _lock: File,
    retention: Retention,
    messages: Receiver<Message>,
    waiting: Arc<AtomicUsize>,
    metrics: HistoryMetrics,
    clock: Clock,
    session: i64,
    services: HashMap<Arc<str>, Service>,
    fold: Fold,
    /// Minutes that are complete, for when all of that time are.
    minutes: Vec<Minute>,
    progress: Progress,
    pending: Vec<Write>,
    /// When the rows that could not be written are tried again.
    retry_at: Option<Instant>,
    lost: u64,
    alive_at: Instant,
    prune_at: Instant,
}

/// A service of this session.
#[derive(Debug)]
struct Service {
    id: ServiceId,
    availability: Availability,
    /// Cause of the incident that is open.
    incident: Option<&'static str>,
    /// Up to when the last session saw the incident that it left open.
    blind_since: Option<u64>,
}

impl Writer {
    /// Takes up what the last session left, and begins one.
    pub(super) fn begin(
        opened: Opened,
        retention: Retention,
        messages: Receiver<Message>,
        waiting: Arc<AtomicUsize>,
        metrics: HistoryMetrics,
        clock: Clock,
    ) -> rusqlite::Result<Self> {
        let Opened { mut connection, lock } = opened;
        recover(&mut connection)?;
        let now = signed(clock.now());
        let sql = "INSERT INTO sessions (started_at, alive_at, version) VALUES (?1, ?1, ?2)";
        connection.execute(sql, params![now, env!("CARGO_PKG_VERSION")])?;
        let session = connection.last_insert_rowid();
        store::write(&mut connection, &[Write::MinutesUntil(clock.now())], session, clock.now(), Progress::default())?;
        let progress = store::progress(&connection)?;
        metrics.writing.set(1);
        Ok(Self {
            progress: store::roll_up(&mut connection, progress)?,
            connection,
            _lock: lock,
            retention,
            messages,
            waiting,
            metrics,
            clock,
            session,
            services: HashMap::new(),
            fold: Fold::default(),
            minutes: Vec::new(),
            pending: Vec::new(),
            retry_at: None,
            lost: 0,
            alive_at: Instant::now(),
            prune_at: Instant::now() + ALIVE,
        })
    }

    /// Works until it is told to close, or nobody can tell it anything any more.
    pub(super) fn run(mut self) {
        loop {
            let patience = self.next_wake().saturating_duration_since(Instant::now());
            match self.messages.recv_timeout(patience) {
                Ok(Message::Close(done)) => {
                    self.close();
                    let _ = done.send(());
                    return;
                }
                Ok(Message::Retention(retention)) => self.retention = retention,
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
        let minute_end = self.clock.now() / MINUTE * MINUTE + MINUTE;
        let to_minute = Duration::from_millis(minute_end.saturating_sub(self.clock.now()) + 50);
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
            match self.messages.try_recv() {
                Ok(Message::Event(event)) => self.take(event),
                Ok(Message::Retention(retention)) => self.retention = retention,
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
        let may_write = self.retry_at.is_none_or(|at| now >= at);
        if may_write && (alive || !self.pending.is_empty()) {
            self.commit();
        }
        if now >= self.prune_at && self.retry_at.is_none() {
            let more = retention::prune(&self.connection, &self.retention, self.clock.now());
            let more = more.unwrap_or_else(|error| {
                tracing::debug!(%error, "old rows of the health history stay for now");
                false
            });
            self.prune_at = now + if more { PRUNE_PAUSE } else { PRUNE_EVERY };
        }
    }

    /// Hands over the minutes that are over, all services' at once: a crash in between would count some twice.
    fn fold_minutes(&mut self) {
        let now = self.clock.now();
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
        if over {
            self.pending.extend(self.minutes.drain(..).map(Write::Minute));
            self.pending.push(Write::MinutesUntil(until));
        }
        if over && self.commit() {
            match store::roll_up(&mut self.connection, Progress { minutes: until, ..self.progress }) {
                Ok(progress) => self.progress = progress,
                Err(error) => tracing::debug!(%error, "hours of the health history are added up later"),
            }
        }
        if over {
            self.progress.minutes = self.progress.minutes.max(until);
        }
    }

    /// Writes what waits. Whether it could.
    fn commit(&mut self) -> bool {
        self.alive_at = Instant::now();
        let written = store::write(&mut self.connection, &self.pending, self.session, self.clock.now(), self.progress);
        match written {
            Ok(()) => {
                self.metrics.written.inc_by(self.pending.len() as u64);
                self.pending.clear();
                self.pending.shrink_to(1024);
                if self.retry_at.take().is_some() {
                    let lost = std::mem::take(&mut self.lost);
                    self.metrics.writing.set(1);
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

    fn failed(&mut self, error: &rusqlite::Error) {
        if self.retry_at.replace(Instant::now() + RETRY).is_none() {
            self.metrics.writing.set(0);
            tracing::error!(
                %error,
                "the health history cannot be written: {error}; services are watched all the same, what happens to them \
                 is kept in memory for a while and then lost"
            );
        }
        if self.pending.len() > KEPT {
            let lost = (self.pending.len() - KEPT) as u64;
            self.pending.truncate(KEPT);
            self.lost += lost;
            self.metrics.lost.inc_by(lost);
        }
    }

    fn take(&mut self, event: Event) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        let Event { service: name, at, what } = event;
        let id = match self.service(&name, at) {
            Ok(service) => service.id,
            Err(error) => {
                self.metrics.lost.inc();
                return self.failed(&error);
            }
        };
        match what {
            What::State(told) => self.take_state(&name, id, at, *told),
            What::Used { cpu_percent, memory_bytes } => self.fold.used(id, cpu_percent, memory_bytes, at),
            What::Answered(seconds) => self.fold.answered(id, seconds, at),
            What::Acted(act) => {
                let event::Act { verb, reason, outcome, detail } = *act;
                self.pending.push(Write::Action { service: id, at, verb, reason, outcome, detail });
            }
            What::Fires(alarm) => {
                let event::Alarm { fingerprint, kind, severity } = *alarm;
                let (kind, severity) = (kind.name(), severity.name());
                self.pending.push(Write::Fires { service: id, at, fingerprint, kind, severity });
            }
            What::Resolved { fingerprint } => self.pending.push(Write::Resolved { at, fingerprint }),
            What::Forgotten => {
                self.fold.forget(id, at);
                self.services.remove(&name);
                self.pending.push(Write::EndIncident { service: id, at });
            }
        }
    }

    fn take_state(&mut self, name: &Arc<str>, id: ServiceId, at: u64, told: Told) {
        let Told { availability, condition, phase, result, invocation, detail, cause } = told;
        let Some(service) = self.services.get_mut(name) else { return };
        service.availability = availability;
        self.fold.state(id, availability, at);
        if let (Some(since), true) = (service.blind_since, availability != Availability::Unknown) {
            service.blind_since = None;
            let unknown_ms = at.saturating_sub(since);
            self.pending.push(Write::BlindIncident { service: id, unknown_ms });
        }
        match (availability, service.incident) {
            (Availability::Down, None) => {
                service.incident = Some(cause);
                let detail = explanation(&result, &detail);
                self.pending.push(Write::OpenIncident { service: id, at, cause, detail });
            }
            (Availability::Down, Some(first)) if event::is_passing(first) && !event::is_passing(cause) => {
                service.incident = Some(cause);
                let detail = explanation(&result, &detail);
                self.pending.push(Write::ExplainIncident { service: id, cause, detail });
            }
            (Availability::Up, Some(_)) => {
                service.incident = None;
                self.pending.push(Write::EndIncident { service: id, at });
            }
            _ => {}
        }
        let availability = availability.name();
        let row = HealthRow { service: id, at, availability, condition, phase, result, invocation, detail };
        self.pending.push(Write::Health(row));
    }

    /// A service of this session, with the incident that the last one may have left open.
    fn service(&mut self, name: &Arc<str>, now: u64) -> rusqlite::Result<&mut Service> {
        if !self.services.contains_key(name) {
            let id = store::service_id(&self.connection, name, now)?;
            let open: bool = self
                .connection
                .prepare_cached("SELECT EXISTS (SELECT 1 FROM incidents WHERE service_id = ?1 AND ended_at IS NULL)")?
                .query_row([id], |row| row.get(0))?;
            let before = "SELECT max(alive_at) FROM sessions WHERE id < ?1";
            let alive: Option<i64> = self.connection.query_row(before, [self.session], |row| row.get(0))?;
            let blind_since = alive.map(unsigned).filter(|_| open);
            let incident = open.then_some("failed");
            let service = Service { id, availability: Availability::Unknown, incident, blind_since };
            self.services.insert(Arc::clone(name), service);
        }
        self.services.get_mut(name).ok_or(rusqlite::Error::QueryReturnedNoRows)
    }

    /// The orderly end: all is written up to now, also of the minute that has begun.
    fn close(&mut self) {
        let now = self.clock.now();
        self.fold_minutes();
        self.fold.advance(now);
        let rest = std::mem::take(&mut self.fold).finish();
        self.pending.extend(rest.into_iter().chain(self.minutes.drain(..)).map(Write::Minute));
        self.pending.push(Write::MinutesUntil(now));
        if self.commit() {
            let ended = "UPDATE sessions SET ended_at = ?2, alive_at = ?2 WHERE id = ?1";
            if let Err(error) = self.connection.execute(ended, params![self.session, signed(now)]) {
                tracing::debug!(%error, "the end of this session is not in the health history");
            }
        }
    }
}

#[cfg(test)]
impl Writer {
    /// What the thread does when an event comes, or nothing does, at a time of the test's choosing.
    pub(super) fn at(&mut self, clock: Clock, event: Option<Event>) {
        self.clock = clock;
        if let Some(event) = event {
            self.take(event);
        }
        self.alive_at = Instant::now().checked_sub(ALIVE).unwrap_or_else(Instant::now);
        self.take_due();
    }
}

/// Why a service is down, in words.
fn explanation(result: &str, detail: &str) -> String {
    match (result, detail) {
        ("" | "success", detail) => detail.to_owned(),
        (result, "") => result.to_owned(),
        (result, detail) => format!("{result}: {detail}"),
    }
}

/// What the last session had not folded into minutes when it was killed follows from the changes that it wrote.
fn recover(connection: &mut Connection) -> rusqlite::Result<()> {
    let progress = store::progress(connection)?;
    let last = "SELECT id, alive_at FROM sessions ORDER BY id DESC LIMIT 1";
    let mut last = connection.prepare(last)?;
    let session = last.query_map([], |row| Ok((row.get(0)?, row.get(1).map(unsigned)?)))?.next().transpose()?;
    drop(last);
    let Some((session, alive_at)): Option<(i64, u64)> = session else { return Ok(()) };
    if alive_at <= progress.minutes {
        return Ok(());
    }
    let mut fold = Fold::default();
    replay(connection, session, progress.minutes, &mut fold)?;
    fold.advance(alive_at);
    let mut writes: Vec<Write> = fold.take_done().into_iter().map(Write::Minute).collect();
    writes.extend(fold.finish().into_iter().map(Write::Minute));
    writes.push(Write::MinutesUntil(alive_at));
    store::write(connection, &writes, session, alive_at, progress)
}

/// Feeds the changes of a session into a fold that begins at `from`.
fn replay(connection: &Connection, session: i64, from: u64, fold: &mut Fold) -> rusqlite::Result<()> {
    let begun: i64 =
        connection.query_row("SELECT started_at FROM sessions WHERE id = ?1", [session], |row| row.get(0))?;
    // Of each service the last change before, then all that followed.
    let mut changes = connection.prepare(
        "SELECT service_id, max(at, ?1), availability FROM (
             SELECT service_id, at, availability, id FROM health_events WHERE at > ?1
             UNION ALL
             SELECT service_id, at, availability, max(id) FROM health_events
             WHERE at <= ?1 AND at >= ?2 GROUP BY service_id
         ) ORDER BY service_id, at, id",
    )?;
    let mut rows = changes.query(params![signed(from), begun])?;
    while let Some(row) = rows.next()? {
        let availability = match row.get_ref(2)?.as_str().unwrap_or_default() {
            "up" => Availability::Up,
            "down" => Availability::Down,
            _ => Availability::Unknown,
        };
        fold.state(row.get(0)?, availability, unsigned(row.get(1)?));
    }
    Ok(())
}
