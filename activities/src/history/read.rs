//! Questions to the history. Each is bounded, reads one consistent state of the file, and never keeps the writer waiting.
//! Times are milliseconds since the epoch.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use tokio::sync::Semaphore;

use super::error::{HistoryError, explain};
use super::open;
pub use super::rows::{Action, Change, Incident, Page, PastAlert, Period, Step, Uptime};
use super::rows::{DAY, HOUR};
use super::store::{self, signed, unsigned};

/// Questions at a time, and connections kept for them.
const AT_A_TIME: usize = 4;

/// Asks without keeping the caller's thread. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Reader {
    path: PathBuf,
    idle: Arc<Mutex<Vec<Query>>>,
    places: Arc<Semaphore>,
}

/// A connection to ask on.
#[derive(Debug)]
pub struct Query {
    connection: Connection,
    path: PathBuf,
}

impl Reader {
    /// A reader of the file at `path`, which need not be there yet.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        let places = Arc::new(Semaphore::new(AT_A_TIME));
        Self { path: path.to_owned(), idle: Arc::default(), places }
    }

    /// Asks on a thread for such work, with a connection that is kept for the next question.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Query) -> Result<T, HistoryError> + Send + 'static,
    ) -> Result<T, HistoryError> {
        let ended = || HistoryError::Unusable { path: self.path.clone(), detail: "dixmgr is ending".to_owned() };
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| ended())?;
        let (idle, path) = (Arc::clone(&self.idle), self.path.clone());
        let asked = tokio::task::spawn_blocking(move || {
            let _place = place;
            let kept = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let query = kept.map_or_else(|| Query::open(&path), Ok)?;
            let answer = question(&query)?;
            idle.lock().unwrap_or_else(PoisonError::into_inner).push(query);
            Ok(answer)
        });
        asked.await.map_err(|_| ended())?
    }
}

impl Query {
    /// Opens the file for reading, also while a dixmgr writes it.
    ///
    /// # Errors
    /// It is not there, not a history, or cannot be read.
    pub fn open(path: &Path) -> Result<Self, HistoryError> {
        Ok(Self { connection: open::for_reading(path)?, path: path.to_owned() })
    }

    fn all<T>(
        &self,
        sql: &str,
        values: &[&dyn rusqlite::ToSql],
        read: fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, HistoryError> {
        let rows =
            || self.connection.prepare_cached(sql)?.query_map(values, read)?.collect::<rusqlite::Result<Vec<T>>>();
        rows().map_err(|error| explain(&self.path, &error))
    }

    /// How far the roll-ups have come: what came later is not in [`Query::uptime`] and [`Query::periods`].
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn counted_until(&self) -> Result<u64, HistoryError> {
        let progress = store::progress(&self.connection).map_err(|error| explain(&self.path, &error))?;
        Ok(progress.minutes)
    }

    /// How long every service was up and down from `from` (taken back to a full hour, or a full minute within the last two
    /// hours) to the last minute that is counted.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn uptime(&self, from: u64) -> Result<Vec<Uptime>, HistoryError> {
        let progress = store::progress(&self.connection).map_err(|error| explain(&self.path, &error))?;
        let until = progress.minutes;
        let step = if from + 2 * HOUR > until { 60_000 } else { HOUR };
        let from = from - from % step;
        // Days as far as they go, hours around them, minutes at the end.
        let first_day = from.next_multiple_of(DAY).min(progress.days);
        let days_end = progress.days.max(first_day);
        let hours_end = progress.hours.max(from);
        let sql = "
            SELECT s.name, s.first_seen, ifnull(sum(r.up_ms), 0), ifnull(sum(r.down_ms), 0) FROM services s LEFT JOIN (
                SELECT service_id, up_ms, down_ms FROM days WHERE start >= ?1 AND start < ?2
                UNION ALL
                SELECT service_id, up_ms, down_ms FROM hours
                WHERE (start >= ?3 AND start < ?1) OR (start >= max(?2, ?3) AND start < ?4)
                UNION ALL
                SELECT service_id, up_ms, down_ms FROM minutes WHERE start >= max(?4, ?3)
            ) r ON r.service_id = s.id GROUP BY s.id ORDER BY s.name";
        let values = params![signed(first_day.max(from)), signed(days_end), signed(from), signed(hours_end)];
        let read = |row: &Row<'_>| -> rusqlite::Result<(String, u64, u64, u64)> {
            let number = |index| row.get(index).map(unsigned);
            Ok((row.get(0)?, number(1)?, number(2)?, number(3)?))
        };
        let rows = self.all(sql, values, read)?;
        let uptimes = rows.into_iter().map(|(service, first_seen, up_ms, down_ms)| {
            let seen = until.saturating_sub(from.max(first_seen));
            let unknown_ms = seen.saturating_sub(up_ms + down_ms);
            Uptime { service, up_ms, down_ms, unknown_ms }
        });
        Ok(uptimes.collect())
    }

    /// The periods of one service that begin from `from` on and before `to`, the oldest first, at most `limit`.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn periods(
        &self,
        service: &str,
        step: Step,
        from: u64,
        to: u64,
        limit: u32,
    ) -> Result<Vec<Period>, HistoryError> {
        let sql = format!(
            "SELECT start, up_ms, down_ms, cpu_avg, cpu_max, memory_avg, memory_max, response_avg, response_max
             FROM {} WHERE service_id = (SELECT id FROM services WHERE name = ?1) AND start >= ?2 AND start < ?3
             ORDER BY start LIMIT ?4",
            step.table()
        );
        self.all(&sql, params![service, signed(from), signed(to), limit], |row| period(row, 0))
    }

    /// The periods of all services from `from` on, service by service, each with its oldest first: what a page shows of all.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn all_periods(&self, step: Step, from: u64) -> Result<Vec<(String, Vec<Period>)>, HistoryError> {
        let sql = format!(
            "SELECT s.name, r.start, r.up_ms, r.down_ms, r.cpu_avg, r.cpu_max, r.memory_avg, r.memory_max, r.response_avg,
             r.response_max FROM {} r JOIN services s ON s.id = r.service_id WHERE r.start >= ?1 ORDER BY s.name, r.start",
            step.table()
        );
        let rows = self.all(&sql, params![signed(from)], |row| Ok((row.get::<_, String>(0)?, period(row, 1)?)))?;
        let mut grouped: Vec<(String, Vec<Period>)> = Vec::new();
        for (service, period) in rows {
            match grouped.last_mut() {
                Some((name, periods)) if *name == service => periods.push(period),
                _ => grouped.push((service, vec![period])),
            }
        }
        Ok(grouped)
    }

    /// Changes, the newest first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn changes(&self, page: &Page) -> Result<Vec<Change>, HistoryError> {
        self.all(
            "SELECT id, at, availability, condition, phase, result, detail FROM health_events
             WHERE (?1 IS NULL OR service_id = (SELECT id FROM services WHERE name = ?1)) AND id < ?2 AND at >= ?3
             ORDER BY id DESC LIMIT ?4",
            params![page.service, page.before.unwrap_or(i64::MAX), signed(page.since), page.limit],
            |row| {
                Ok(Change {
                    id: row.get(0)?,
                    at: row.get(1).map(unsigned)?,
                    availability: row.get(2)?,
                    condition: row.get(3)?,
                    phase: row.get(4)?,
                    result: row.get(5)?,
                    detail: row.get(6)?,
                })
            },
        )
    }

    /// Incidents, the newest first. One that began before `since` and reaches into the time counts.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn incidents(&self, page: &Page) -> Result<Vec<Incident>, HistoryError> {
        self.all(
            "SELECT i.id, s.name, i.started_at, i.ended_at, i.cause, i.detail, i.unknown_ms
             FROM incidents i JOIN services s ON s.id = i.service_id
             WHERE (?1 IS NULL OR s.name = ?1) AND i.id < ?2 AND ifnull(i.ended_at, 9e18) >= ?3
             AND (NOT ?5 OR i.ended_at IS NULL) ORDER BY i.id DESC LIMIT ?4",
            params![page.service, page.before.unwrap_or(i64::MAX), signed(page.since), page.limit, page.open],
            |row| {
                Ok(Incident {
                    id: row.get(0)?,
                    service: row.get(1)?,
                    started_at: row.get(2).map(unsigned)?,
                    ended_at: row.get::<_, Option<i64>>(3)?.map(unsigned),
                    cause: row.get(4)?,
                    detail: row.get(5)?,
                    unknown_ms: row.get(6).map(unsigned)?,
                })
            },
        )
    }

    /// What dixmgr did, the newest first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn actions(&self, page: &Page) -> Result<Vec<Action>, HistoryError> {
        self.all(
            "SELECT a.id, s.name, a.at, a.verb, a.reason, a.outcome, a.detail
             FROM actions a JOIN services s ON s.id = a.service_id
             WHERE (?1 IS NULL OR s.name = ?1) AND a.id < ?2 AND a.at >= ?3 ORDER BY a.id DESC LIMIT ?4",
            params![page.service, page.before.unwrap_or(i64::MAX), signed(page.since), page.limit],
            |row| {
                Ok(Action {
                    id: row.get(0)?,
                    service: row.get(1)?,
                    at: row.get(2).map(unsigned)?,
                    verb: row.get(3)?,
                    reason: row.get(4)?,
                    outcome: row.get(5)?,
                    detail: row.get(6)?,
                })
            },
        )
    }

    /// Alerts, the newest first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn alerts(&self, page: &Page) -> Result<Vec<PastAlert>, HistoryError> {
        self.all(
            "SELECT a.id, s.name, a.fingerprint, a.kind, a.severity, a.fired_at, a.resolved_at
             FROM alerts a JOIN services s ON s.id = a.service_id
             WHERE (?1 IS NULL OR s.name = ?1) AND a.id < ?2 AND ifnull(a.resolved_at, 9e18) >= ?3
             AND (NOT ?5 OR a.resolved_at IS NULL) ORDER BY a.id DESC LIMIT ?4",
            params![page.service, page.before.unwrap_or(i64::MAX), signed(page.since), page.limit, page.open],
            |row| {
                Ok(PastAlert {
                    id: row.get(0)?,
                    service: row.get(1)?,
                    fingerprint: row.get(2)?,
                    kind: row.get(3)?,
                    severity: row.get(4)?,
                    fired_at: row.get(5).map(unsigned)?,
                    resolved_at: row.get::<_, Option<i64>>(6)?.map(unsigned),
                })
            },
        )
    }

    /// Whether the history knows a service of this name.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn knows(&self, service: &str) -> Result<bool, HistoryError> {
        let found = self
            .connection
            .query_row("SELECT 1 FROM services WHERE name = ?1", [service], |_| Ok(()))
            .optional()
            .map_err(|error| explain(&self.path, &error))?;
        Ok(found.is_some())
    }
}

fn period(row: &Row<'_>, from: usize) -> rusqlite::Result<Period> {
    Ok(Period {
        start: row.get(from).map(unsigned)?,
        up_ms: row.get(from + 1).map(unsigned)?,
        down_ms: row.get(from + 2).map(unsigned)?,
        cpu_avg: row.get(from + 3)?,
        cpu_max: row.get(from + 4)?,
        memory_avg: row.get(from + 5)?,
        memory_max: row.get(from + 6)?,
        response_avg: row.get(from + 7)?,
        response_max: row.get(from + 8)?,
    })
}
