//! A life of dixmgr in its history: what it takes up of the one before, what it begins with, and how it ends.

use std::sync::Arc;

use dixmgr_model::Availability;

use super::database::{Database, Fault, Row, Value};
use super::fold::Fold;
use super::ids::Ids;
use super::store::{self, Now, Write};

/// Takes up what the last session left, and begins one at `started`. The session's number.
pub(super) fn begin(database: &mut Database, ids: &mut Ids, started: u64) -> Result<i64, Fault> {
    if matches!(database, Database::Postgres(_)) {
        let sql = "INSERT INTO progress (host, name, until) SELECT /*[:host]*/, name, 0
             FROM (VALUES ('minutes'), ('hours'), ('days')) AS kinds (name) ON CONFLICT DO NOTHING";
        database.execute(sql, &[])?;
    }
    recover(database, ids)?;
    let until = "UPDATE progress SET until = ?1 WHERE name = 'minutes' AND until < ?1 /*[AND host = :host]*/";
    database.execute(until, &[started.into()])?;
    // It may have been begun by a connection that broke before it could say so.
    let begun =
        "SELECT id FROM sessions WHERE started_at = ?1 AND alive_at = ?1 AND ended_at IS NULL /*[AND host = :host]*/";
    if let Some(session) = database.query(begun, &[started.into()], |row| row.get(0))?.pop() {
        return Ok(session);
    }
    let sql = "INSERT INTO sessions (/*[host, ]*/started_at, alive_at, version)
         VALUES (/*[:host, ]*/?1, ?1, ?2) RETURNING id";
    let values = [started.into(), Value::from(env!("CARGO_PKG_VERSION"))];
    database.query(sql, &values, |row| row.get(0))?.pop().ok_or(Fault::NoHistory)
}

/// How many batches of a session a database that was away has; nothing when it does not know the session.
pub(super) fn batches(database: &Database, session: i64) -> Result<Option<i64>, Fault> {
    Ok(database.query("SELECT batch FROM sessions WHERE id = ?1", &[session.into()], |row| row.get(0))?.pop())
}

/// The orderly end.
pub(super) fn end(database: &Database, session: i64, at: u64) -> Result<(), Fault> {
    let ended = "UPDATE sessions SET ended_at = ?2, alive_at = ?2 WHERE id = ?1";
    database.execute(ended, &[session.into(), at.into()]).map(drop)
}

/// A session that has ended.
struct Last {
    id: i64,
    started: u64,
    alive: u64,
}

/// What the last session had not folded into minutes when it was killed follows from the changes that it wrote.
fn recover(database: &mut Database, ids: &mut Ids) -> Result<(), Fault> {
    let progress = store::progress(database)?;
    let last = "SELECT id, started_at, alive_at FROM sessions /*[WHERE host = :host]*/ ORDER BY id DESC LIMIT 1";
    let read = |row: &Row<'_>| Ok(Last { id: row.get(0)?, started: row.time(1)?, alive: row.time(2)? });
    let Some(last) = database.query(last, &[], read)?.pop() else { return Ok(()) };
    if last.alive <= progress.minutes {
        return Ok(());
    }
    let mut fold = Fold::default();
    replay(database, &last, progress.minutes, ids, &mut fold)?;
    fold.advance(last.alive);
    let mut writes: Vec<Write> = fold.take_done().into_iter().map(Write::Minute).collect();
    writes.extend(fold.finish().into_iter().map(Write::Minute));
    writes.push(Write::MinutesUntil(last.alive));
    ids.settle(database)?;
    store::write(database, &writes, ids, Now { session: last.id, at: last.alive, progress })
}

/// Feeds the changes of a session into a fold that begins at `from`.
fn replay(database: &Database, last: &Last, from: u64, ids: &mut Ids, fold: &mut Fold) -> Result<(), Fault> {
    // Of each service the last change before, then all that followed.
    let sql = "SELECT s.name, s.first_seen, e.at, e.availability FROM health_events e JOIN services s ON s.id = e.service_id
         WHERE (e.at > ?1 OR e.id IN
             (SELECT max(id) FROM health_events WHERE at <= ?1 AND at >= ?2
             /*[AND service_id IN (SELECT id FROM services WHERE host = :host)]*/ GROUP BY service_id)) /*[AND s.host = :host]*/
         ORDER BY e.service_id, e.at, e.id";
    let read = |row: &Row<'_>| Ok((row.get::<String>(0)?, row.time(1)?, row.time(2)?, row.get::<String>(3)?));
    for (name, seen, at, availability) in database.query(sql, &[from.into(), last.started.into()], read)? {
        let availability = match availability.as_str() {
            "up" => Availability::Up,
            "down" => Availability::Down,
            _ => Availability::Unknown,
        };
        fold.state(ids.of(&Arc::from(name), seen), availability, at.max(from));
    }
    Ok(())
}
