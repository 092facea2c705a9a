//! States of many units in one exchange.
//!
//! One `ListUnitsByNames` tells which units have changed since last time; only of those, properties are read. A state and
//! its properties come from different calls, so the list is asked again afterwards: a unit whose row moved meanwhile is
//! read once more, lest a dead run be reported under the id of the one that has just replaced it.

use dixmgr_model::{UnitPhase, UnitStatus};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use zbus::ObjectPath;

use super::Shared;
use super::error::{CallError, unreachable};
use super::name;
use super::phase::{Row, Run};
use super::registry::{Known, Memory, RowRef};
use super::session::{Session, UNIT};

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

/// A unit that has to be read.
#[derive(Debug)]
struct Reading {
    /// Its place in the caller's list.
    index: usize,
    /// Its own name, where it was asked for by an alias.
    own_name: String,
    row: Row,
    job_type: String,
    /// Signals about it before its row was asked for.
    signals: u64,
    /// Whether this connection holds it in systemd's memory, or need not.
    pinned: bool,
}

impl Shared {
    /// States in the order of `units`.
    pub(super) async fn statuses(&self, session: &Session, units: &[String]) -> Result<Vec<UnitStatus>, CallError> {
        let mut statuses: Vec<UnitStatus> = units.iter().map(|_| absent("invalid-name")).collect();
        let valid: Vec<usize> = (0..units.len()).filter(|index| name::is_valid(&units[*index])).collect();
        let mut stale = Vec::new();
        self.rows(session, units, &valid, |index, signals, row| {
            match self.registry().recall(&units[index], session.number, &row) {
                Memory::Fresh(status) => statuses[index] = status,
                Memory::Stale { pinned } => stale.push(Reading::new(index, signals, row, pinned)),
            }
        })
        .await?;
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
        let mut stale = Vec::new();
        self.rows(session, &units, &[0], |index, signals, row| {
            let memory = self.registry().recall(unit, session.number, &row);
            let pinned = memory != Memory::Stale { pinned: false };
            stale.push(Reading::new(index, signals, row, pinned));
        })
        .await?;
        let mut settled = self.settle(session, &units, stale).await?;
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
        let mut registry = self.registry();
        for (reading, status) in &settled {
            let unit = &units[reading.index];
            let (row, status) = (reading.row.clone(), status.clone());
            let Reading { signals, pinned, .. } = *reading;
            let known = Known { row, status, signals, session: session.number, pinned };
            registry.remember(unit, &reading.own_name, known);
        }
        drop(registry);
        Ok(settled)
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
        let names: Vec<&str> = indexes.iter().map(|index| units[*index].as_str()).collect();
        let signals: Vec<u64> = {
            let registry = self.registry();
            names.iter().map(|name| registry.signals(name)).collect()
        };
        let reply = session.manager("ListUnitsByNames", &names).await?;
        let body = reply.body();
        let entries: Vec<Entry<'_>> = body.deserialize()?;
        if entries.len() != names.len() {
            return Err(malformed("ListUnitsByNames answered another number of units than were asked for"));
        }
        for ((entry, index), signals) in entries.iter().zip(indexes).zip(signals) {
            let (name, _, load, active, sub, _, _, job, job_type, _) = entry;
            let row = RowRef { name, load, active, sub, job: *job, job_type };
            each(*index, signals, row);
        }
        Ok(())
    }
}

impl Reading {
    fn new(index: usize, signals: u64, row: RowRef<'_>, pinned: bool) -> Self {
        Self {
            index,
            own_name: row.name.to_owned(),
            row: row.to_row(),
            job_type: row.job_type.to_owned(),
            signals,
            pinned,
        }
    }
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

/// Reads the properties of one unit that its phase and identity need.
async fn read(session: &Session, unit: &str, reading: &mut Reading) -> Result<UnitStatus, CallError> {
    let row = &reading.row;
    if !row.is_loaded() {
        return Ok(UnitStatus { phase: row.phase(Run::default()), ..absent(&row.load) });
    }
    let path = name::object_path(unit);
    let kind = name::kind_interface(unit);
    let service = kind.filter(|_| unit.ends_with(".service"));
    let (invocation, result, main_pid, run) = tokio::join!(
        session.property::<Vec<u8>>(&path, UNIT, "InvocationID"),
        async {
            match kind {
                Some(kind) => session.property::<String>(&path, kind, "Result").await,
                None => Ok(String::new()),
            }
        },
        async {
            match service {
                Some(kind) => session.property::<u32>(&path, kind, "MainPID").await,
                None => Ok(0),
            }
        },
        async {
            match service {
                Some(kind) if row.needs_run() => read_run(session, &path, kind).await,
                _ => Ok(Run::default()),
            }
        },
    );
    // An object that has gone since its row was listed reads as an error; the next row says what became of it.
    let (invocation, result) = (gone_is_default(invocation)?, gone_is_default(result)?);
    let run = Run { ran: !invocation.is_empty(), success: result == "success", ..gone_is_default(run)? };
    let status = UnitStatus {
        phase: row.phase(run),
        invocation_id: hex(&invocation),
        main_pid: gone_is_default(main_pid)?,
        result,
    };
    if run.oneshot && !reading.pinned {
        session.pin(unit).await;
        reading.pinned = true;
    }
    Ok(status)
}

/// What tells a finished oneshot from a service that is not running.
async fn read_run(session: &Session, path: &str, interface: &'static str) -> Result<Run, CallError> {
    let (kind, main_code) = tokio::join!(
        session.property::<String>(path, interface, "Type"),
        session.property::<i32>(path, interface, "ExecMainCode"),
    );
    Ok(Run { oneshot: kind? == "oneshot", main_code: main_code?, ..Run::default() })
}

fn gone_is_default<T: Default>(value: Result<T, CallError>) -> Result<T, CallError> {
    match value {
        Err(CallError::Systemd { .. }) => Ok(T::default()),
        other => other,
    }
}

/// A unit that is not there, and why.
fn absent(why: &str) -> UnitStatus {
    UnitStatus { phase: UnitPhase::Missing, result: why.to_owned(), ..UnitStatus::unknown() }
}

fn malformed(what: &str) -> CallError {
    CallError::Manager(unreachable(what))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;

    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
