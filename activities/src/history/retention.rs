//! How long what is kept, and throwing away the rest: a little at a time, so that nothing waits for it.

use std::time::Duration;

use rusqlite::{Connection, params};

use super::store::signed;

/// Rows that one step throws away.
const STEP: u32 = 2000;
/// Pages that one step gives back to the file system.
const PAGES: u32 = 256;
/// Alerts that are kept however old they are.
const ALERTS_KEPT: i64 = 1000;

/// How long rows are kept, by table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Changes of what services were seen to be.
    pub events: Duration,
    /// Minutes.
    pub minutes: Duration,
    /// Hours.
    pub hours: Duration,
    /// Days.
    pub days: Duration,
    /// Incidents, from their end.
    pub incidents: Duration,
    /// What dixmgr did.
    pub actions: Duration,
    /// Alerts, from their end; the newest 1,000 stay in any case.
    pub alerts: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        let days = |days: u64| Duration::from_hours(24 * days);
        Self {
            events: days(30),
            minutes: days(2),
            hours: days(30),
            days: days(400),
            incidents: days(400),
            actions: days(30),
            alerts: days(30),
        }
    }
}

/// One step. Whether there is more to be thrown away.
pub(super) fn prune(connection: &Connection, retention: &Retention, now: u64) -> rusqlite::Result<bool> {
    let before = |kept: Duration| signed(now.saturating_sub(super::event::millis(kept)));
    let steps = [
        // The last change of each service says how it was ever since.
        (
            "DELETE FROM health_events WHERE id IN (SELECT id FROM health_events e WHERE at < ?1
             AND EXISTS (SELECT 1 FROM health_events n WHERE n.service_id = e.service_id AND n.at > e.at) LIMIT ?2)",
            retention.events,
        ),
        (
            "DELETE FROM minutes WHERE (start, service_id) IN
             (SELECT start, service_id FROM minutes WHERE start < ?1 ORDER BY start LIMIT ?2)",
            retention.minutes,
        ),
        (
            "DELETE FROM incidents WHERE id IN (SELECT id FROM incidents WHERE ended_at < ?1 LIMIT ?2)",
            retention.incidents,
        ),
        ("DELETE FROM actions WHERE id IN (SELECT id FROM actions WHERE at < ?1 LIMIT ?2)", retention.actions),
    ];
    let mut more = false;
    for (sql, kept) in steps {
        more |= connection.prepare_cached(sql)?.execute(params![before(kept), STEP])? == STEP as usize;
    }
    // Few rows, found service by service.
    for (table, kept) in [("hours", retention.hours), ("days", retention.days)] {
        let sql = format!(
            "DELETE FROM {table} WHERE (service_id, start) IN
             (SELECT r.service_id, r.start FROM services s JOIN {table} r ON r.service_id = s.id AND r.start < ?1 LIMIT ?2)"
        );
        more |= connection.prepare_cached(&sql)?.execute(params![before(kept), STEP])? == STEP as usize;
    }
    let alerts = "DELETE FROM alerts WHERE id IN (SELECT id FROM alerts WHERE resolved_at < ?1
         AND id <= (SELECT max(id) FROM alerts) - ?3 LIMIT ?2)";
    more |= connection.prepare_cached(alerts)?.execute(params![before(retention.alerts), STEP, ALERTS_KEPT])?
        == STEP as usize;
    let old_sessions = "DELETE FROM sessions WHERE alive_at < ?1 AND id < (SELECT max(id) - 1 FROM sessions)";
    connection.prepare_cached(old_sessions)?.execute(params![before(retention.days)])?;
    connection.execute_batch(&format!("PRAGMA incremental_vacuum({PAGES})"))?;
    Ok(more)
}
