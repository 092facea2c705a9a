//! What is written, as statements. One [`Write`] is one row.

use std::sync::LazyLock;

use super::database::{Database, Fault, Statement, Value};
use super::event::PASSING;
use super::fold::{Minute, ServiceId};
use super::ids::Ids;
use super::rows::{DAY, HOUR};

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
    /// A service is seen for the first time in this session: of an incident that the last one left open nobody saw the time between.
    Seen {
        service: ServiceId,
        at: u64,
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
        service: ServiceId,
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

/// A session, and how far its roll-ups are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    pub(super) session: i64,
    pub(super) at: u64,
    pub(super) progress: Progress,
}

const COLUMNS: &str = "service_id, start, up_ms, down_ms, samples, cpu_avg, cpu_max, memory_avg, memory_max,
    answers, response_avg, response_max";

/// Sums of the rows of a shorter period in a longer one.
const SUMS: &str = "
    CAST(sum(up_ms) AS bigint), CAST(sum(down_ms) AS bigint), CAST(sum(samples) AS bigint),
    sum(cpu_avg * samples) / nullif(sum(samples), 0), max(cpu_max),
    sum(memory_avg * samples) / nullif(sum(samples), 0), max(memory_max),
    CAST(sum(answers) AS bigint), sum(response_avg * answers) / nullif(sum(answers), 0), max(response_max)";

/// What adding up two rows of one period means.
fn merge(table: &str) -> String {
    let sum = |name: &str| format!("{name} = {table}.{name} + excluded.{name}");
    let average = |name: &str, count: &str| {
        format!(
            "{name} = (coalesce({table}.{name}, 0) * {table}.{count} + coalesce(excluded.{name}, 0) * excluded.{count})
             / nullif({table}.{count} + excluded.{count}, 0)"
        )
    };
    let largest = |name: &str| {
        format!(
            "{name} = CASE WHEN {table}.{name} IS NULL OR excluded.{name} > {table}.{name}
             THEN excluded.{name} ELSE {table}.{name} END"
        )
    };
    let sums = ["up_ms", "down_ms", "samples", "answers"].map(sum);
    let averages = [("cpu_avg", "samples"), ("memory_avg", "samples"), ("response_avg", "answers")];
    let averages = averages.map(|(name, count)| average(name, count));
    let largest = ["cpu_max", "memory_max", "response_max"].map(largest);
    [sums.join(", "), averages.join(", "), largest.join(", ")].join(", ")
}

fn add_to(table: &str) -> String {
    format!(
        "INSERT INTO {table} ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
         ON CONFLICT (service_id, start) DO UPDATE SET {}",
        merge(table)
    )
}

/// Adds complete periods of `from` up to those of `to`; doing it again changes nothing.
fn sum_up(to: &str, from: &str) -> String {
    let replaced = COLUMNS.split(',').skip(2).map(|name| format!("{0} = excluded.{0}", name.trim()));
    format!(
        "INSERT INTO {to} ({COLUMNS})
         SELECT service_id, start - start % ?3, {SUMS} FROM {from} WHERE start >= ?1 AND start < ?2
         /*[AND service_id IN (SELECT id FROM services WHERE host = :host)]*/ GROUP BY service_id, start - start % ?3
         ON CONFLICT (service_id, start) DO UPDATE SET {}",
        replaced.collect::<Vec<_>>().join(", ")
    )
}

static ADD_TO_MINUTES: LazyLock<String> = LazyLock::new(|| add_to("minutes"));
static ADD_TO_HOURS: LazyLock<String> = LazyLock::new(|| add_to("hours"));
static ADD_TO_DAYS: LazyLock<String> = LazyLock::new(|| add_to("days"));
static SUM_UP_HOURS: LazyLock<String> = LazyLock::new(|| sum_up("hours", "minutes"));
static SUM_UP_DAYS: LazyLock<String> = LazyLock::new(|| sum_up("days", "hours"));
static EXPLAIN: LazyLock<String> = LazyLock::new(|| {
    format!(
        "UPDATE incidents SET cause = ?2, detail = ?3
         WHERE service_id = ?1 AND ended_at IS NULL AND cause IN ('{}')",
        PASSING.join("', '")
    )
});

/// Writes all of it in one transaction, and that dixmgr was alive.
pub(super) fn write(database: &mut Database, writes: &[Write], ids: &Ids, now: Now) -> Result<(), Fault> {
    let alive = statement(
        "UPDATE sessions SET alive_at = CASE WHEN alive_at < ?2 THEN ?2 ELSE alive_at END /*[, batch = batch + 1]*/
         WHERE id = ?1",
        vec![now.session.into(), now.at.into()],
    );
    let rows = writes.iter().flat_map(|write| of(write, ids, now).into_iter().flatten());
    database.write(rows.chain([alive]))
}

fn statement<'a>(sql: &'static str, values: Vec<Value<'a>>) -> Statement<'a> {
    Statement { sql, values }
}

/// The statements of a row; few need more than one.
fn of<'a>(write: &'a Write, ids: &Ids, now: Now) -> [Option<Statement<'a>>; 3] {
    let one = |sql: &'static str, values: Vec<Value<'a>>| [Some(statement(sql, values)), None, None];
    let id = |service: &ServiceId| Value::Integer(ids.stored(*service));
    match write {
        Write::Health(row) => health(row, ids.stored(row.service)),
        Write::OpenIncident { service, at, cause, detail } => one(
            "INSERT INTO incidents (service_id, started_at, cause, detail) SELECT ?1, ?2, ?3, ?4
             WHERE NOT EXISTS (SELECT 1 FROM incidents WHERE service_id = ?1 AND ended_at IS NULL)",
            vec![id(service), (*at).into(), (*cause).into(), detail.into()],
        ),
        Write::ExplainIncident { service, cause, detail } => {
            one(&EXPLAIN, vec![id(service), (*cause).into(), detail.into()])
        }
        Write::Seen { service, at } => one(
            "UPDATE incidents SET unknown_ms = unknown_ms + coalesce((SELECT ?2 - max(alive_at) FROM sessions
                 WHERE id < ?3 /*[AND host = :host]*/ HAVING max(alive_at) < ?2), 0)
             WHERE service_id = ?1 AND ended_at IS NULL",
            vec![id(service), (*at).into(), now.session.into()],
        ),
        Write::EndIncident { service, at } => one(
            "UPDATE incidents SET ended_at = CASE WHEN started_at > ?2 THEN started_at ELSE ?2 END
             WHERE service_id = ?1 AND ended_at IS NULL",
            vec![id(service), (*at).into()],
        ),
        Write::Action { service, at, verb, reason, outcome, detail } => one(
            "INSERT INTO actions (service_id, at, verb, reason, outcome, detail) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            vec![id(service), (*at).into(), (*verb).into(), reason.into(), (*outcome).into(), detail.into()],
        ),
        // Told again after a restart of dixmgr, it is the same alert.
        Write::Fires { service, at, fingerprint, kind, severity } => one(
            "INSERT INTO alerts (service_id, fired_at, fingerprint, kind, severity) SELECT ?1, ?2, ?3, ?4, ?5
             WHERE NOT EXISTS (SELECT 1 FROM alerts
                 WHERE fingerprint = ?3 AND severity = ?5 AND service_id = ?1 AND resolved_at IS NULL)",
            vec![id(service), (*at).into(), fingerprint.into(), (*kind).into(), (*severity).into()],
        ),
        Write::Resolved { service, at, fingerprint } => one(
            "UPDATE alerts SET resolved_at = CASE WHEN fired_at > ?1 THEN fired_at ELSE ?1 END
             WHERE fingerprint = ?2 AND service_id = ?3 AND resolved_at IS NULL",
            vec![(*at).into(), fingerprint.into(), id(service)],
        ),
        Write::Minute(row) => minute(row, ids.stored(row.service), now.progress),
        Write::MinutesUntil(until) => one(
            "UPDATE progress SET until = ?1 WHERE name = 'minutes' AND until < ?1 /*[AND host = :host]*/",
            vec![(*until).into()],
        ),
    }
}

fn health(row: &HealthRow, service: i64) -> [Option<Statement<'_>>; 3] {
    let (service, at) = (Value::Integer(service), Value::from(row.at));
    let [availability, condition, phase] = [row.availability, row.condition, row.phase].map(Value::Text);
    let [result, invocation, detail] = [&row.result, &row.invocation, &row.detail].map(Value::from);
    let insert = "INSERT INTO health_events
         (service_id, at, availability, condition, phase, result, invocation, detail)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let insert = statement(insert, vec![service, at, availability, condition, phase, result, invocation, detail]);
    let newest = "UPDATE services SET availability = ?2, condition = ?3, since = ?4 WHERE id = ?1";
    [Some(insert), Some(statement(newest, vec![service, availability, condition, at])), None]
}

/// A minute, or a correction of one that is in longer periods already.
fn minute(row: &Minute, service: i64, progress: Progress) -> [Option<Statement<'static>>; 3] {
    let period = |sql: &'static str, start: u64| {
        let values = vec![
            service.into(),
            start.into(),
            row.up_ms.into(),
            row.down_ms.into(),
            row.cpu.count.into(),
            row.cpu.average().into(),
            row.cpu.largest().into(),
            row.memory.average().into(),
            row.memory.largest().into(),
            row.response.count.into(),
            row.response.average().into(),
            row.response.largest().into(),
        ];
        statement(sql, values)
    };
    [
        Some(period(&ADD_TO_MINUTES, row.start)),
        (row.start < progress.hours).then(|| period(&ADD_TO_HOURS, row.start - row.start % HOUR)),
        (row.start < progress.days).then(|| period(&ADD_TO_DAYS, row.start - row.start % DAY)),
    ]
}

/// Adds complete hours and days up, and answers how far they have come.
pub(super) fn roll_up(database: &mut Database, progress: Progress) -> Result<Progress, Fault> {
    let whole = |until: u64, length: u64| until - until % length;
    let hours = whole(progress.minutes, HOUR).max(progress.hours);
    let days = whole(hours, DAY).max(progress.days);
    if (hours, days) == (progress.hours, progress.days) {
        return Ok(progress);
    }
    let until = "UPDATE progress SET until = ?1 WHERE name = ?2 /*[AND host = :host]*/";
    let mut statements = Vec::with_capacity(4);
    for (name, sum_up, length, begin, end) in
        [("hours", &**SUM_UP_HOURS, HOUR, progress.hours, hours), ("days", &**SUM_UP_DAYS, DAY, progress.days, days)]
    {
        if begin < end {
            statements.push(statement(sum_up, vec![begin.into(), end.into(), length.into()]));
            statements.push(statement(until, vec![end.into(), name.into()]));
        }
    }
    database.write(statements.into_iter())?;
    Ok(Progress { hours, days, ..progress })
}

/// How far the roll-ups have come.
pub(super) fn progress(database: &Database) -> Result<Progress, Fault> {
    let sql = "SELECT name, until FROM progress /*[WHERE host = :host]*/";
    let mut progress = Progress::default();
    for (name, until) in database.query(sql, &[], |row| Ok((row.get::<String>(0)?, row.time(1)?)))? {
        match name.as_str() {
            "minutes" => progress.minutes = until,
            "hours" => progress.hours = until,
            "days" => progress.days = until,
            _ => {}
        }
    }
    Ok(progress)
}
