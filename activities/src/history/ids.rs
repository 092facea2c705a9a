//! The numbers of services: ours, which are there at once, and the store's, which it has given when something was written.

use std::collections::HashMap;
use std::sync::Arc;

use super::database::{Database, Fault, Statement, Value};
use super::fold::ServiceId;

/// All services that were told of.
#[derive(Debug, Default)]
pub(super) struct Ids {
    by_name: HashMap<Arc<str>, ServiceId>,
    known: Vec<Known>,
    /// Those before have a number of the store's.
    settled: usize,
}

#[derive(Debug)]
struct Known {
    name: Arc<str>,
    first_seen: u64,
    id: Option<i64>,
}

impl Ids {
    /// Our number of a service, which was seen at `at`.
    pub(super) fn of(&mut self, name: &Arc<str>, at: u64) -> ServiceId {
        if let Some(number) = self.by_name.get(name) {
            return *number;
        }
        let number = self.known.len();
        self.known.push(Known { name: Arc::clone(name), first_seen: at, id: None });
        self.by_name.insert(Arc::clone(name), number);
        number
    }

    /// The store's number of a service.
    pub(super) fn stored(&self, service: ServiceId) -> i64 {
        self.known.get(service).and_then(|known| known.id).unwrap_or_default()
    }

    /// Another store, or the same one anew: its numbers are asked for again.
    pub(super) fn unsettle(&mut self) {
        self.settled = 0;
    }

    /// From now on the store has a number for every service.
    pub(super) fn settle(&mut self, database: &mut Database) -> Result<(), Fault> {
        if self.settled == self.known.len() {
            return Ok(());
        }
        if !self.look_up(database)? {
            let missing = self.known[self.settled..].iter().filter(|known| known.id.is_none());
            database.write(missing.map(insert))?;
            self.look_up(database)?;
        }
        self.settled = self.known.len();
        Ok(())
    }

    /// Asks the store for its numbers. Whether it has one for every service.
    fn look_up(&mut self, database: &Database) -> Result<bool, Fault> {
        let sql = "SELECT name, id FROM services /*[WHERE host = :host]*/";
        let found = database.query(sql, &[], |row| Ok((row.get::<String>(0)?, row.get::<i64>(1)?)))?;
        let found: HashMap<String, i64> = found.into_iter().collect();
        let unsettled = &mut self.known[self.settled..];
        for known in unsettled.iter_mut() {
            known.id = found.get(&*known.name).copied();
        }
        Ok(unsettled.iter().all(|known| known.id.is_some()))
    }
}

fn insert(known: &Known) -> Statement<'_> {
    let sql = "INSERT INTO services (/*[host, ]*/name, first_seen, availability, condition, since)
         VALUES (/*[:host, ]*/?1, ?2, 'unknown', 'unknown', ?2)";
    Statement { sql, values: vec![Value::from(&*known.name), known.first_seen.into()] }
}
