//! Questions to the history. Each is bounded, reads one consistent state, and never keeps the writer waiting.
//! Times are milliseconds since the epoch.

use std::sync::Arc;

use super::database::{Database, Fault, Row, Value};
use super::error::HistoryError;
use super::place::Place;
pub use super::reader::Reader;
pub use super::rows::{Action, Change, Incident, Page, PastAlert, Period, Step, Uptime};
use super::rows::{DAY, HOUR};
use super::store;

/// A connection to ask on.
#[derive(Debug)]
pub struct Query {
    database: Database,
    place: Arc<Place>,
}

impl Query {
    /// Opens a history for reading, also while a dixmgr writes it.
    ///
    /// # Errors
    /// It is not there, not a history, or cannot be read.
    pub fn open(place: &Place) -> Result<Self, HistoryError> {
        Self::open_shared(Arc::new(place.clone()))
    }

    pub(super) fn open_shared(place: Arc<Place>) -> Result<Self, HistoryError> {
        Ok(Self { database: Database::for_reading(&place)?, place })
    }

    /// The hosts that have a history here; nothing for a file, which is one host's.
    ///
    /// # Errors
    /// The history cannot be read.
    pub fn hosts(&self) -> Result<Option<Vec<String>>, HistoryError> {
        match &self.database {
            Database::Sqlite(_) => Ok(None),
            Database::Postgres(_) => {
                self.all("SELECT DISTINCT host FROM sessions ORDER BY host", &[], |row| row.get(0)).map(Some)
            }
        }
    }

    /// Asks for the rows of another host from now on. A file has but one.
    pub fn turn_to(&mut self, host: &str) {
        if let Database::Postgres(session) = &mut self.database {
            session.turn_to(host);
        }
    }

    /// Whether it still can be asked.
    pub(super) fn is_there(&self) -> bool {
        self.database.is_there()
    }

    fn all<T>(
        &self,
        sql: &str,
        values: &[Value<'_>],
        read: fn(&Row<'_>) -> Result<T, Fault>,
    ) -> Result<Vec<T>, HistoryError> {
        self.database.query(sql, values, read).map_err(|fault| self.place.explain(&fault))
    }

    /// How far the roll-ups have come: what came later is not in [`Query::uptime`] and [`Query::periods`].
    ///
    /// # Errors
    /// The history cannot be read.
    pub fn counted_until(&self) -> Result<u64, HistoryError> {
        let progress = store::progress(&self.database).map_err(|fault| self.place.explain(&fault))?;
        Ok(progress.minutes)
    }

    /// How long every service was up and down from `from` (taken back to a full hour, or a full minute within the last two
    /// hours) to the last minute that is counted.
    ///
    /// # Errors
    /// The history cannot be read.
    pub fn uptime(&self, from: u64) -> Result<Vec<Uptime>, HistoryError> {
        let progress = store::progress(&self.database).map_err(|fault| self.place.explain(&fault))?;
        let until = progress.minutes;
        let step = if from + 2 * HOUR > until { 60_000 } else { HOUR };
        let from = from - from % step;
        // Days as far as they go, hours around them, minutes at the end.
        let first_day = from.next_multiple_of(DAY).min(progress.days);
        let days_end = progress.days.max(first_day);
        let hours_end = progress.hours.max(from);
        let sql = "
            SELECT s.name, s.first_seen, CAST(coalesce(sum(r.up_ms), 0) AS bigint),
                CAST(coalesce(sum(r.down_ms), 0) AS bigint) FROM services s LEFT JOIN (
                SELECT service_id, up_ms, down_ms FROM days WHERE start >= ?1 AND start < ?2
                UNION ALL
                SELECT service_id, up_ms, down_ms FROM hours
                WHERE (start >= ?3 AND start < ?1) OR (start >= ?2 AND start >= ?3 AND start < ?4)
                UNION ALL
                SELECT service_id, up_ms, down_ms FROM minutes WHERE start >= ?4 AND start >= ?3
            ) r ON r.service_id = s.id /*[WHERE s.host = :host]*/ GROUP BY s.id, s.name, s.first_seen ORDER BY s.name";
        let values = [first_day.max(from), days_end, from, hours_end].map(Value::from);
        let read = |row: &Row<'_>| Ok((row.get::<String>(0)?, row.time(1)?, row.time(2)?, row.time(3)?));
        let rows = self.all(sql, &values, read)?;
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
    /// The history cannot be read.
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
             FROM {} WHERE service_id = (SELECT id FROM services WHERE name = ?1 /*[AND host = :host]*/) AND start >= ?2 AND start < ?3
             ORDER BY start LIMIT ?4",
            step.table()
        );
        self.all(&sql, &[service.into(), from.into(), to.into(), limit.into()], |row| period(row, 0))
    }

    /// The periods of all services from `from` on, service by service, each with its oldest first: what a page shows of all.
    ///
    /// # Errors
    /// The history cannot be read.
    pub fn all_periods(&self, step: Step, from: u64) -> Result<Vec<(String, Vec<Period>)>, HistoryError> {
        let sql = format!(
            "SELECT s.name, r.start, r.up_ms, r.down_ms, r.cpu_avg, r.cpu_max, r.memory_avg, r.memory_max, r.response_avg,
             r.response_max FROM {} r JOIN services s ON s.id = r.service_id
             WHERE r.start >= ?1 /*[AND s.host = :host]*/ ORDER BY s.name, r.start",
            step.table()
        );
        let rows = self.all(&sql, &[from.into()], |row| Ok((row.get::<String>(0)?, period(row, 1)?)))?;
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
    /// The history cannot be read.
    pub fn changes(&self, page: &Page) -> Result<Vec<Change>, HistoryError> {
        self.all(
            "SELECT e.id, e.at, e.availability, e.condition, e.phase, e.result, e.detail
             FROM health_events e JOIN services s ON s.id = e.service_id
             WHERE (?1 IS NULL OR s.name = ?1) AND e.id < ?2 AND e.at >= ?3 /*[AND s.host = :host]*/
             ORDER BY e.id DESC LIMIT ?4",
            &page.values::<4>(),
            |row| {
                Ok(Change {
                    id: row.get(0)?,
                    at: row.time(1)?,
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
    /// The history cannot be read.
    pub fn incidents(&self, page: &Page) -> Result<Vec<Incident>, HistoryError> {
        self.all(
            "SELECT i.id, s.name, i.started_at, i.ended_at, i.cause, i.detail, i.unknown_ms
             FROM incidents i JOIN services s ON s.id = i.service_id
             WHERE (?1 IS NULL OR s.name = ?1) AND i.id < ?2 AND coalesce(i.ended_at, 9223372036854775807) >= ?3
             AND (NOT ?5 OR i.ended_at IS NULL) /*[AND s.host = :host]*/ ORDER BY i.id DESC LIMIT ?4",
            &page.values::<5>(),
            |row| {
                Ok(Incident {
                    id: row.get(0)?,
                    service: row.get(1)?,
                    started_at: row.time(2)?,
                    ended_at: row.time_if_any(3)?,
                    cause: row.get(4)?,
                    detail: row.get(5)?,
                    unknown_ms: row.time(6)?,
                })
            },
        )
    }

    /// What dixmgr did, the newest first.
    ///
    /// # Errors
    /// The history cannot be read.
    pub fn actions(&self, page: &Page) -> Result<Vec<Action>, HistoryError> {
        self.all(
            "SELECT a.id, s.name, a.at, a.verb, a.reason, a.outcome, a.detail
             FROM actions a JOIN services s ON s.id = a.service_id
             WHERE (?1 IS NULL OR s.name = ?1) AND a.id < ?2 AND a.at >= ?3 /*[AND s.host = :host]*/
             ORDER BY a.id DESC LIMIT ?4",
            &page.values::<4>(),
            |row| {
                Ok(Action {
                    id: row.get(0)?,
                    service: row.get(1)?,
                    at: row.time(2)?,
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
    /// The history cannot be read.
    pub fn alerts(&self, page: &Page) -> Result<Vec<PastAlert>, HistoryError> {
        self.all(
            "SELECT a.id, s.name, a.fingerprint, a.kind, a.severity, a.fired_at, a.resolved_at
             FROM alerts a JOIN services s ON s.id = a.service_id
             WHERE (?1 IS NULL OR s.name = ?1) AND a.id < ?2 AND coalesce(a.resolved_at, 9223372036854775807) >= ?3
             AND (NOT ?5 OR a.resolved_at IS NULL) /*[AND s.host = :host]*/ ORDER BY a.id DESC LIMIT ?4",
            &page.values::<5>(),
            |row| {
                Ok(PastAlert {
                    id: row.get(0)?,
                    service: row.get(1)?,
                    fingerprint: row.get(2)?,
                    kind: row.get(3)?,
                    severity: row.get(4)?,
                    fired_at: row.time(5)?,
                    resolved_at: row.time_if_any(6)?,
                })
            },
        )
    }

    /// Whether the history knows a service of this name.
    ///
    /// # Errors
    /// The history cannot be read.
    pub fn knows(&self, service: &str) -> Result<bool, HistoryError> {
        let sql = "SELECT id FROM services WHERE name = ?1 /*[AND host = :host]*/";
        Ok(!self.all(sql, &[service.into()], |row| row.get::<i64>(0))?.is_empty())
    }
}

fn period(row: &Row<'_>, from: usize) -> Result<Period, Fault> {
    Ok(Period {
        start: row.time(from)?,
        up_ms: row.time(from + 1)?,
        down_ms: row.time(from + 2)?,
        cpu_avg: row.get(from + 3)?,
        cpu_max: row.get(from + 4)?,
        memory_avg: row.get(from + 5)?,
        memory_max: row.get(from + 6)?,
        response_avg: row.get(from + 7)?,
        response_max: row.get(from + 8)?,
    })
}

impl Page {
    /// The values of a statement that asks for a page: whose, before and since when, how many, and whether only what is open.
    fn values<const N: usize>(&self) -> [Value<'_>; N] {
        let all = [
            Value::Name(self.service.as_deref()),
            self.before.unwrap_or(i64::MAX).into(),
            self.since.into(),
            self.limit.into(),
            Value::Bool(self.open),
        ];
        std::array::from_fn(|index| all[index])
    }
}
