//! Takes a file's history into a database: for who began with the one and wants the other. All of it in one transaction, so that
//! there is no half a history.

use std::collections::HashMap;
use std::path::Path;

use rusqlite::Connection;
use rusqlite::types::ValueRef;

use super::HistoryError;
use super::database::{Fault, Statement, Value};
use super::open;
use super::place::{Place, Postgres};
use super::postgres::Session;

/// Rows in memory at a time.
const ROWS: usize = 2_048;

/// What a column holds.
#[derive(Clone, Copy)]
enum Column {
    /// A service's number, which is another one in the database.
    Service,
    Integer,
    IntegerIfAny,
    Real,
    Text,
}

use Column::{Integer, IntegerIfAny, Real, Service, Text};

/// A table: what is read, of which columns, and how a row is written.
struct Table {
    select: &'static str,
    columns: &'static [Column],
    insert: &'static str,
}

/// The columns of minutes, hours and days.
const PERIOD: [Column; 12] = [Service, Integer, Integer, Integer, Integer, Real, Real, Real, Real, Integer, Real, Real];

macro_rules! period {
    ($table:literal) => {
        Table {
            select: concat!(
                "SELECT service_id, start, up_ms, down_ms, samples, cpu_avg, cpu_max, memory_avg, memory_max, answers, response_avg, \
                 response_max FROM ",
                $table
            ),
            columns: &PERIOD,
            insert: concat!(
                "INSERT INTO ",
                $table,
                " (service_id, start, up_ms, down_ms, samples, cpu_avg, cpu_max, memory_avg, memory_max, answers, response_avg, \
                 response_max) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"
            ),
        }
    };
}

/// The services come first: all other rows have their numbers. Rows keep their order, which is that of their new numbers.
const SERVICES: Table = Table {
    select: "SELECT name, first_seen, availability, condition, since FROM services ORDER BY id",
    columns: &[Text, Integer, Text, Text, Integer],
    insert: "INSERT INTO services (/*[host, ]*/name, first_seen, availability, condition, since)
         VALUES (/*[:host, ]*/?1, ?2, ?3, ?4, ?5)",
};
const TABLES: [Table; 9] = [
    Table {
        select: "SELECT started_at, alive_at, ended_at, version FROM sessions ORDER BY id",
        columns: &[Integer, Integer, IntegerIfAny, Text],
        insert: "INSERT INTO sessions (/*[host, ]*/started_at, alive_at, ended_at, version)
             VALUES (/*[:host, ]*/?1, ?2, ?3, ?4)",
    },
    Table {
        select: "SELECT service_id, at, availability, condition, phase, result, invocation, detail FROM health_events ORDER BY id",
        columns: &[Service, Integer, Text, Text, Text, Text, Text, Text],
        insert: "INSERT INTO health_events (service_id, at, availability, condition, phase, result, invocation, detail)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    },
    Table {
        select: "SELECT service_id, started_at, ended_at, cause, detail, unknown_ms FROM incidents ORDER BY id",
        columns: &[Service, Integer, IntegerIfAny, Text, Text, Integer],
        insert: "INSERT INTO incidents (service_id, started_at, ended_at, cause, detail, unknown_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    },
    Table {
        select: "SELECT service_id, at, verb, reason, outcome, detail FROM actions ORDER BY id",
        columns: &[Service, Integer, Text, Text, Text, Text],
        insert: "INSERT INTO actions (service_id, at, verb, reason, outcome, detail) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    },
    Table {
        select: "SELECT service_id, fingerprint, kind, severity, fired_at, resolved_at FROM alerts ORDER BY id",
        columns: &[Service, Text, Text, Text, Integer, IntegerIfAny],
        insert: "INSERT INTO alerts (service_id, fingerprint, kind, severity, fired_at, resolved_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    },
    period!("minutes"),
    period!("hours"),
    period!("days"),
    Table {
        select: "SELECT name, until FROM progress",
        columns: &[Text, Integer],
        insert: "INSERT INTO progress (/*[host, ]*/name, until) VALUES (/*[:host, ]*/?1, ?2)",
    },
];

/// Copies the history in the file at `from`, which stays as it is, to `to`. `each` is told how many rows of all are there. How many
/// there were.
///
/// # Errors
/// A dixmgr writes the file or the host's rows, the host has a history already, or one of them cannot be used. The database is then
/// as it was.
pub fn import(from: &Path, to: &Postgres, mut each: impl FnMut(u64, u64)) -> Result<u64, HistoryError> {
    let (file, database) = (Place::File(from.to_owned()), Place::Postgres(to.clone()));
    // Opened for writing it would be made if there is none; and only so no dixmgr writes it meanwhile.
    drop(open::for_reading(from)?);
    let source = open::for_writing(from)?;
    let all = rows(&source.connection).map_err(|fault| file.explain(&fault))?;
    let session = Session::for_writing(to).map_err(|fault| database.unusable(fault))?;
    let mut done = 0;
    let mut copied = |rows: usize| {
        done += rows as u64;
        each(done, all);
    };
    let written = session.transact(|| {
        // A dixmgr has rows there before it has seen its first service.
        if session.query("SELECT name FROM progress /*[WHERE host = :host]*/ LIMIT 1", &[], |_| Ok(()))?.is_empty() {
            copy_all(&source.connection, &session, &mut copied)
        } else {
            Err(Fault::HasHistory { host: to.host().to_owned() })
        }
    });
    match written {
        Ok(()) => Ok(all),
        Err(fault @ Fault::Sqlite(_)) => Err(file.explain(&fault)),
        Err(fault) => Err(database.unusable(fault)),
    }
}

fn rows(source: &Connection) -> Result<u64, Fault> {
    let count = |table: &Table| {
        let sql = format!("SELECT count(*) FROM ({})", table.select);
        source.query_row(&sql, [], |row| row.get::<_, i64>(0)).map(super::database::unsigned)
    };
    Ok(std::iter::once(&SERVICES).chain(&TABLES).map(count).sum::<Result<u64, _>>()?)
}

fn copy_all(source: &Connection, session: &Session, copied: &mut dyn FnMut(usize)) -> Result<(), Fault> {
    copy(source, session, &SERVICES, &HashMap::new(), copied)?;
    let sql = "SELECT name, id FROM services /*[WHERE host = :host]*/";
    let named = session.query(sql, &[], |row| Ok((row.get::<String>(0)?, row.get::<i64>(1)?)))?;
    let named: HashMap<String, i64> = named.into_iter().collect();
    let mut statement = source.prepare("SELECT id, name FROM services")?;
    let numbers = statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)))?;
    let mut services = HashMap::new();
    for number in numbers {
        let (own, name): (i64, String) = number?;
        if let Some(stored) = named.get(&name) {
            services.insert(own, *stored);
        }
    }
    TABLES.iter().try_for_each(|table| copy(source, session, table, &services, copied))
}

fn copy(
    source: &Connection,
    session: &Session,
    table: &Table,
    services: &HashMap<i64, i64>,
    copied: &mut dyn FnMut(usize),
) -> Result<(), Fault> {
    let mut statement = source.prepare(table.select)?;
    let mut rows = statement.query([])?;
    loop {
        let mut batch = Vec::with_capacity(ROWS);
        while batch.len() < ROWS
            && let Some(row) = rows.next()?
        {
            let cells = (0..table.columns.len()).map(|index| row.get::<_, rusqlite::types::Value>(index));
            batch.push(cells.collect::<Result<Vec<_>, _>>()?);
        }
        let statements = batch.iter().map(|row| {
            let cells = row.iter().zip(table.columns);
            let values = cells.map(|(cell, column)| value(cell.into(), *column, services));
            Ok::<_, Fault>(Statement { sql: table.insert, values: values.collect::<rusqlite::Result<_>>()? })
        });
        session.send_all(&statements.collect::<Result<Vec<_>, _>>()?)?;
        copied(batch.len());
        if batch.len() < ROWS {
            return Ok(());
        }
    }
}

/// A cell as its column wants it. SQLite keeps what it was given: a whole number may stand where a real one is expected.
fn value<'a>(cell: ValueRef<'a>, column: Column, services: &HashMap<i64, i64>) -> rusqlite::Result<Value<'a>> {
    Ok(match column {
        Service => Value::Integer(services.get(&cell.as_i64()?).copied().unwrap_or_default()),
        Integer => Value::Integer(cell.as_i64()?),
        IntegerIfAny => Value::IntegerIfAny(cell.as_i64_or_null()?),
        Real => Value::Real(match cell {
            #[allow(clippy::cast_precision_loss, reason = "a measure, not a count")]
            ValueRef::Integer(number) => Some(number as f64),
            other => other.as_f64_or_null()?,
        }),
        Text => Value::Text(cell.as_str()?),
    })
}
