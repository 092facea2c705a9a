//! What is written, as statements. One [`Write`] is one row.

use rusqlite::{Connection, OptionalExtension as _, Transaction, params};

use super::fold::{Minute, ServiceId};

/// One row to be written.
#[derive(Debug, Clone)]
pub(super) enum Write {
    Health(HealthRow),
    OpenIncident {
        service: ServiceId,
        at: u64,
        cause: &'static str,
        detail: String,
    },
    /// What is behind an open incident became clearer.
    ExplainIncident {
        service: ServiceId,
        cause: &'static str,
        detail: String,
    },
    /// Nobody saw that much of an open incident.
    BlindIncident {
        service: ServiceId,
        unknown_ms: u64,
    },
    EndIncident {
        service: ServiceId,
        at: u64,
    },
    Action {
        service: ServiceId,
        at: u64,
        verb: &'static str,
        reason: String,
        outcome: &'static str,
        detail: String,
    },
    Fires {
        service: ServiceId,
        at: u64,
        fingerprint: String,
        kind: &'static str,
        severity: &'static str,
    },
    Resolved {
        at: u64,
        fingerprint: String,
    },
    Minute(Minute),
    /// All minutes before are written.
    MinutesUntil(u64),
}

/// A row of `health_events`.
#[derive(Debug, Clone)]
pub(super) struct HealthRow {
    pub(super) service: ServiceId,
    pub(super) at: u64,
    pub(super) availability: &'static str,
    pub(super) condition: &'static str,
    pub(super) phase: &'static str,
    pub(super) result: String,
    pub(super) invocation: String,
    pub(super) detail: String,
}

/// How far the roll-ups have come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Progress {
    pub(super) minutes: u64,
    pub(super) hours: u64,
    pub(super) days: u64,
}

const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;

/// What adding up two rows of one period means, for all three tables.
const MERGE: &str = "
    up_ms = up_ms + excluded.up_ms,
    down_ms = down_ms + excluded.down_ms,
    cpu_avg = (ifnull(cpu_avg, 0) * samples + ifnull(excluded.cpu_avg, 0) * excluded.samples)
        / nullif(samples + excluded.samples, 0),
    cpu_max = max(ifnull(cpu_max, excluded.cpu_max), ifnull(excluded.cpu_max, cpu_max)),
    memory_avg = (ifnull(memory_avg, 0) * samples + ifnull(excluded.memory_avg, 0) * excluded.samples)
        / nullif(samples + excluded.samples, 0),
    memory_max = max(ifnull(memory_max, excluded.memory_max), ifnull(excluded.memory_max, memory_max)),
    response_avg = (ifnull(response_avg, 0) * answers + ifnull(excluded.response_avg, 0) * excluded.answers)
        / nullif(answers + excluded.answers, 0),
    response_max = max(ifnull(response_max, excluded.response_max), ifnull(excluded.response_max, response_max)),
    samples = samples + excluded.samples,
    answers = answers + excluded.answers";

/// Sums of the rows of `from` in a longer period.
const SUMS: &str = "
    sum(up_ms), sum(down_ms), sum(samples),
    sum(cpu_avg * samples) / nullif(sum(samples), 0), max(cpu_max),
    sum(memory_avg * samples) / nullif(sum(samples), 0), max(memory_max),
    sum(answers), sum(response_avg * answers) / nullif(sum(answers), 0), max(response_max)";

const COLUMNS: &str = "service_id, start, up_ms, down_ms, samples, cpu_avg, cpu_max, memory_avg, memory_max,
    answers, response_avg, response_max";

/// `SQLite`'s integers are signed; no time here is near their end.
pub(super) fn signed(time: u64) -> i64 {
    i64::try_from(time).unwrap_or(i64::MAX)
}

pub(super) fn unsigned(time: i64) -> u64 {
    u64::try_from(time).unwrap_or(0)
}

/// Writes all of it in one transaction, and that dixmgr was alive at `now`.
pub(super) fn write(
    connection: &mut Connection,
    writes: &[Write],
    session: i64,
    now: u64,
    progress: Progress,
) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    for one in writes {
        apply(&transaction, one, progress)?;
    }
    let mut alive = transaction.prepare_cached("UPDATE sessions SET alive_at = max(alive_at, ?2) WHERE id = ?1")?;
    alive.execute(params![session, signed(now)])?;
    drop(alive);
    transaction.commit()
}

fn apply(transaction: &Transaction<'_>, write: &Write, progress: Progress) -> rusqlite::Result<()> {
    let run = |sql: &str, values: &[&dyn rusqlite::ToSql]| {
        transaction.prepare_cached(sql).and_then(|mut statement| statement.execute(values)).map(drop)
    };
    match write {
        Write::Health(row) => health(transaction, row),
        Write::OpenIncident { service, at, cause, detail } => run(
            "INSERT INTO incidents (service_id, started_at, cause, detail) SELECT ?1, ?2, ?3, ?4
             WHERE NOT EXISTS (SELECT 1 FROM incidents WHERE service_id = ?1 AND ended_at IS NULL)",
            params![service, signed(*at), cause, detail],
        ),
        Write::ExplainIncident { service, cause, detail } => run(
            "UPDATE incidents SET cause = ?2, detail = ?3 WHERE service_id = ?1 AND ended_at IS NULL",
            params![service, cause, detail],
        ),
        Write::BlindIncident { service, unknown_ms } => run(
            "UPDATE incidents SET unknown_ms = unknown_ms + ?2 WHERE service_id = ?1 AND ended_at IS NULL",
            params![service, signed(*unknown_ms)],
        ),
        Write::EndIncident { service, at } => run(
            "UPDATE incidents SET ended_at = max(?2, started_at) WHERE service_id = ?1 AND ended_at IS NULL",
            params![service, signed(*at)],
        ),
        Write::Action { service, at, verb, reason, outcome, detail } => run(
            "INSERT INTO actions (service_id, at, verb, reason, outcome, detail) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![service, signed(*at), verb, reason, outcome, detail],
        ),
        // Told again after a restart of dixmgr, it is the same alert.
        Write::Fires { service, at, fingerprint, kind, severity } => run(
            "INSERT INTO alerts (service_id, fired_at, fingerprint, kind, severity) SELECT ?1, ?2, ?3, ?4, ?5
             WHERE NOT EXISTS (SELECT 1 FROM alerts WHERE fingerprint = ?3 AND severity = ?5 AND resolved_at IS NULL)",
            params![service, signed(*at), fingerprint, kind, severity],
        ),
        Write::Resolved { at, fingerprint } => run(
            "UPDATE alerts SET resolved_at = max(?1, fired_at) WHERE fingerprint = ?2 AND resolved_at IS NULL",
            params![signed(*at), fingerprint],
        ),
        Write::Minute(row) => minute(transaction, row, progress),
        Write::MinutesUntil(until) => {
            run("UPDATE progress SET until = max(until, ?1) WHERE name = 'minutes'", params![signed(*until)])
        }
    }
}

fn health(transaction: &Transaction<'_>, row: &HealthRow) -> rusqlite::Result<()> {
    let mut insert = transaction.prepare_cached(
        "INSERT INTO health_events (service_id, at, availability, condition, phase, result, invocation, detail)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    let at = signed(row.at);
    insert.execute(params![
        row.service,
        at,
        row.availability,
        row.condition,
        row.phase,
        row.result,
        row.invocation,
        row.detail
    ])?;
    let mut newest = transaction
        .prepare_cached("UPDATE services SET availability = ?2, condition = ?3, since = ?4 WHERE id = ?1")?;
    newest.execute(params![row.service, row.availability, row.condition, at])?;
    Ok(())
}

/// A minute, or a correction of one that is in longer periods already.
fn minute(transaction: &Transaction<'_>, row: &Minute, progress: Progress) -> rusqlite::Result<()> {
    let period = |table: &str, start: u64| {
        let sql = format!(
            "INSERT INTO {table} ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
             ON CONFLICT (service_id, start) DO UPDATE SET {MERGE}"
        );
        transaction.prepare_cached(&sql)?.execute(params![
            row.service,
            signed(start),
            row.up_ms,
            row.down_ms,
            row.cpu.count,
            row.cpu.average(),
            row.cpu.largest(),
            row.memory.average(),
            row.memory.largest(),
            row.response.count,
            row.response.average(),
            row.response.largest(),
        ])
    };
    period("minutes", row.start)?;
    if row.start < progress.hours {
        period("hours", row.start - row.start % HOUR)?;
    }
    if row.start < progress.days {
        period("days", row.start - row.start % DAY)?;
    }
    Ok(())
}

/// Adds complete hours and days up, and answers how far they have come.
pub(super) fn roll_up(connection: &mut Connection, progress: Progress) -> rusqlite::Result<Progress> {
    let whole = |until: u64, length: u64| until - until % length;
    let hours = whole(progress.minutes, HOUR).max(progress.hours);
    let days = whole(hours, DAY).max(progress.days);
    if (hours, days) == (progress.hours, progress.days) {
        return Ok(progress);
    }
    let transaction = connection.transaction()?;
    for (to, from, length, begin, end) in
        [("hours", "minutes", HOUR, progress.hours, hours), ("days", "hours", DAY, progress.days, days)]
    {
        if begin == end {
            continue;
        }
        let sql = format!(
            "INSERT OR REPLACE INTO {to} ({COLUMNS})
             SELECT service_id, start - start % ?3, {SUMS} FROM {from}
             WHERE start >= ?1 AND start < ?2 GROUP BY service_id, start - start % ?3"
        );
        transaction.execute(&sql, params![signed(begin), signed(end), signed(length)])?;
        transaction.execute("UPDATE progress SET until = ?1 WHERE name = ?2", params![signed(end), to])?;
    }
    transaction.commit()?;
    Ok(Progress { hours, days, ..progress })
}

/// How far the roll-ups have come.
pub(super) fn progress(connection: &Connection) -> rusqlite::Result<Progress> {
    let until = |name: &str| {
        let sql = "SELECT until FROM progress WHERE name = ?1";
        connection.query_row(sql, [name], |row| row.get(0)).map(unsigned)
    };
    Ok(Progress { minutes: until("minutes")?, hours: until("hours")?, days: until("days")? })
}

/// The number of a service, which is in the file from now on.
pub(super) fn service_id(connection: &Connection, name: &str, now: u64) -> rusqlite::Result<ServiceId> {
    let found = connection
        .prepare_cached("SELECT id FROM services WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()?;
    if let Some(id) = found {
        return Ok(id);
    }
    let mut insert = connection.prepare_cached(
        "INSERT INTO services (name, first_seen, availability, condition, since)
         VALUES (?1, ?2, 'unknown', 'unknown', ?2)",
    )?;
    insert.insert(params![name, signed(now)])
}
