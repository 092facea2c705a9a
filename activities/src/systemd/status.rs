//! States of many units in one exchange.
//!
//! One `ListUnitsByNames` tells which units have changed since last time; only of those, properties are read. A state and
//! its properties come from different calls, so the list is asked again afterwards: a unit whose row moved meanwhile is
//! read once more, lest a dead run be reported under the id of the one that has just replaced it. A few units that are known
//! to have moved are read in a single round trip instead ([`super::glance`]): time counts when something has died.

use std::time::Instant;

use dixmgr_model::{UnitPhase, UnitStatus};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use futures_util::try_join;
use zbus::{Message, ObjectPath};

use super::Shared;
use super::error::{CallError, unreachable};
use super::glance::MAX_GLANCE;
use super::name;
use super::reading::{Reading, read};
use super::registry::{Known, Memory, RowRef};
use super::session::Session;

/// Units whose properties are read at the same time, by some five calls each: less than half of what a connection may have
/// in flight, so that an urgent look finds room beside a large one.
const CONCURRENT_READS: usize = 8;

/// How often a unit that keeps moving is read before its last reading is taken as it is; the signal of its next move
/// brings it back.
const MAX_READINGS: usize = 4;

/// An entry of systemd's answer: name, description, load, active, sub, followed, path, job id, job type, job path.
type Entry<'a> = (&'a str, &'a str, &'a str, &'a str, &'a str, &'a str, ObjectPath<'a>, u32, &'a str, ObjectPath<'a>);

/// A queued job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Job {
    /// Its number.
    pub(super) id: u32,
    /// `start`, `stop`, `restart`, …
    pub(super) kind: String,
}

impl Shared {
    /// States in the order of `units`.
    pub(super) async fn statuses(&self, session: &Session, units: &[String]) -> Result<Vec<UnitStatus>, CallError> {
        let mut statuses: Vec<UnitStatus> = units.iter().map(|_| absent("invalid-name")).collect();
        let valid = (0..units.len()).filter(|index| name::is_valid(&units[*index]));
        let (moved, quiet): (Vec<usize>, Vec<usize>) = {
            let registry = self.registry();
            valid.partition(|index| registry.has_moved(&units[*index], session.number))
        };
        let (glanced, listed) =
            if moved.len() <= MAX_GLANCE { (moved, quiet) } else { (Vec::new(), [moved, quiet].concat()) };
        let mut stale = Vec::new();
        let rows = self.rows(session, units, &listed, |index, signals, row| {
            match self.registry().recall(&units[index], session.number, &row) {
                Memory::Fresh(status) => statuses[index] = status,
                Memory::Stale { pinned } => stale.push(Reading::new(index, signals, row, pinned)),
            }
        });
        let ((settled, unsettled), ()) = try_join!(self.glance(session, units, &glanced), rows)?;
        stale.extend(unsettled);
        for (reading, status) in settled {
            statuses[reading.index] = status;
        }
        for (reading, status) in self.settle(session, units, stale).await? {
            statuses[reading.index] = status;
        }
        Ok(statuses)
    }

    /// One unit and its queued job, read anew whatever is remembered of it.
    pub(super) async fn look(&self, session: &Session, unit: &str) -> Result<(UnitStatus, Option<Job>), CallError> {
        if !name::is_valid(unit) {
            return Ok((absent("invalid-name"), None));
        }
        let units = [unit.to_owned()];
        let (mut settled, unsettled) = self.glance(session, &units, &[0]).await?;
        settled.extend(self.settle(session, &units, unsettled).await?);
        let (reading, status) = settled.pop().ok_or_else(|| malformed("no row for the unit asked for"))?;
        let job = (reading.row.job != 0).then_some(Job { id: reading.row.job, kind: reading.job_type });
        Ok((status, job))
    }

    /// Reads units until each stands still, and remembers them.
    async fn settle(
        &self,
        session: &Session,
        units: &[String],
        mut readings: Vec<Reading>,
    ) -> Result<Vec<(Reading, UnitStatus)>, CallError> {
        let mut settled = Vec::with_capacity(readings.len());
        for round in 1..=MAX_READINGS {
            if readings.is_empty() {
                break;
            }
            let mut read = read_all(session, units, readings).await?.into_iter();
            let indexes: Vec<usize> = read.as_slice().iter().map(|(reading, _)| reading.index).collect();
            let mut moved = Vec::new();
            self.rows(session, units, &indexes, |index, signals, row| {
                let Some((reading, status)) = read.next() else { return };
                if row.equals(&reading.row) || round == MAX_READINGS {
                    settled.push((reading, status));
                } else {
                    moved.push(Reading::new(index, signals, row, reading.pinned));
                }
            })
            .await?;
            readings = moved;
        }
        self.remember(session, units, &settled);
        Ok(settled)
    }

    /// Remembers what was read.
    pub(super) fn remember(&self, session: &Session, units: &[String], settled: &[(Reading, UnitStatus)]) {
        let mut registry = self.registry();
        for (reading, status) in settled {
            let (row, status) = (reading.row.clone(), status.clone());
            let Reading { signals, pinned, .. } = *reading;
            let known = Known { row, status, signals, at: Instant::now(), session: session.number, pinned };
            registry.remember(&units[reading.index], &reading.own_name, known);
        }
    }

    /// Asks for the rows of the units at `indexes`, all of them valid names, and hands each over with the number of signals
    /// about it from before it was asked for.
    async fn rows(
        &self,
        session: &Session,
        units: &[String],
        indexes: &[usize],
        mut each: impl FnMut(usize, u64, RowRef<'_>),
    ) -> Result<(), CallError> {
        if indexes.is_empty() {
            return Ok(());
        }
        let signals = self.signals(units, indexes);
        let reply = list(session, units, indexes).await?;
        let mut signals = signals.into_iter().zip(indexes);
        each_row(&reply, indexes.len(), |row| {
            if let Some((signals, index)) = signals.next() {
                each(*index, signals, row);
            }
        })
    }

    /// Signals about the units at `indexes` so far; to be asked before they are.
    pub(super) fn signals(&self, units: &[String], indexes: &[usize]) -> Vec<u64> {
        let registry = self.registry();
        indexes.iter().map(|index| registry.signals(&units[*index])).collect()
    }
}

/// Asks for the rows of the units at `indexes`, all of them valid names.
pub(super) async fn list(session: &Session, units: &[String], indexes: &[usize]) -> Result<Message, CallError> {
    let names: Vec<&str> = indexes.iter().map(|index| units[*index].as_str()).collect();
    session.manager("ListUnitsByNames", &names).await
}

/// Hands over the rows of such an answer, in the order in which they were asked for.
pub(super) fn each_row(reply: &Message, expected: usize, mut each: impl FnMut(RowRef<'_>)) -> Result<(), CallError> {
    let body = reply.body();
    let entries: Vec<Entry<'_>> = body.deserialize()?;
    if entries.len() != expected {
        return Err(malformed("ListUnitsByNames answered another number of units than were asked for"));
    }
    for (name, _, load, active, sub, _, _, job, job_type, _) in &entries {
        each(RowRef { name, load, active, sub, job: *job, job_type });
    }
    Ok(())
}

/// Reads the properties of several units, in any order.
async fn read_all(
    session: &Session,
    units: &[String],
    readings: Vec<Reading>,
) -> Result<Vec<(Reading, UnitStatus)>, CallError> {
    stream::iter(readings)
        .map(|mut reading| async move {
            let status = read(session, &units[reading.index], &mut reading).await?;
            Ok((reading, status))
        })
        .buffer_unordered(CONCURRENT_READS)
        .try_collect()
        .await
}

/// A unit that is not there, and why.
pub(super) fn absent(why: &str) -> UnitStatus {
    UnitStatus { phase: UnitPhase::Missing, result: why.to_owned(), ..UnitStatus::unknown() }
}

fn malformed(what: &str) -> CallError {
    CallError::Manager(unreachable(what))
}
