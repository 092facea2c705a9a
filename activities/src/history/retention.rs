//! How long what is kept, and throwing away the rest: a little at a time, so that nothing waits for it.

use std::time::Duration;

use super::database::{Database, Fault, Value};

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

/// One step, of one's own host. Whether there is more to be thrown away.
pub(super) fn prune(database: &Database, retention: &Retention, now: u64) -> Result<bool, Fault> {
    let before = |kept: Duration| Value::from(now.saturating_sub(super::event::millis(kept)));
    let mut more = false;
    for (sql, kept) in [
        (EVENTS, retention.events),
        (MINUTES, retention.minutes),
        (INCIDENTS, retention.incidents),
        (ACTIONS, retention.actions),
        (HOURS, retention.hours),
        (DAYS, retention.days),
    ] {
        more |= database.execute(sql, &[before(kept), STEP.into()])? == u64::from(STEP);
    }
    let values = [before(retention.alerts), STEP.into(), ALERTS_KEPT.into()];
    more |= database.execute(ALERTS, &values)? == u64::from(STEP);
    database.execute(SESSIONS, &[before(retention.days)])?;
    database.shrink(PAGES)?;
    Ok(more)
}

/// The last change of each service says how it was ever since.
const EVENTS: &str = "DELETE FROM health_events WHERE id IN (SELECT id FROM health_events e WHERE at < ?1
     AND EXISTS (SELECT 1 FROM health_events n WHERE n.service_id = e.service_id AND n.at > e.at)
     /*[AND service_id IN (SELECT id FROM services WHERE host = :host)]*/ LIMIT ?2)";
const MINUTES: &str = "DELETE FROM minutes WHERE (start, service_id) IN (SELECT start, service_id FROM minutes
     WHERE start < ?1 /*[AND service_id IN (SELECT id FROM services WHERE host = :host)]*/ ORDER BY start LIMIT ?2)";
const INCIDENTS: &str = "DELETE FROM incidents WHERE id IN (SELECT id FROM incidents WHERE ended_at < ?1
     /*[AND service_id IN (SELECT id FROM services WHERE host = :host)]*/ LIMIT ?2)";
const ACTIONS: &str = "DELETE FROM actions WHERE id IN (SELECT id FROM actions WHERE at < ?1
     /*[AND service_id IN (SELECT id FROM services WHERE host = :host)]*/ LIMIT ?2)";
// Few rows, found service by service.
const HOURS: &str = "DELETE FROM hours WHERE (service_id, start) IN (SELECT r.service_id, r.start
     FROM services s JOIN hours r ON r.service_id = s.id AND r.start < ?1 /*[WHERE s.host = :host]*/ LIMIT ?2)";
const DAYS: &str = "DELETE FROM days WHERE (service_id, start) IN (SELECT r.service_id, r.start
     FROM services s JOIN days r ON r.service_id = s.id AND r.start < ?1 /*[WHERE s.host = :host]*/ LIMIT ?2)";
const ALERTS: &str = "DELETE FROM alerts WHERE id IN (SELECT id FROM alerts WHERE resolved_at < ?1
     /*[AND service_id IN (SELECT id FROM services WHERE host = :host)]*/
     AND id <= coalesce((SELECT id FROM alerts /*[WHERE service_id IN (SELECT id FROM services WHERE host = :host)]*/
         ORDER BY id DESC LIMIT 1 OFFSET ?3), 0) LIMIT ?2)";
/// The last session and this one tell what nobody saw.
const SESSIONS: &str = "DELETE FROM sessions WHERE alive_at < ?1 /*[AND host = :host]*/ AND id NOT IN
     (SELECT id FROM sessions /*[WHERE host = :host]*/ ORDER BY id DESC LIMIT 2)";
