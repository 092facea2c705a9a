//! One unit's properties: its run, its process, how it ended.

use dixmgr_model::UnitStatus;
use zbus::message::Sequence;
use zbus::{Message, OwnedVariant};

use super::error::CallError;
use super::name;
use super::phase::{Row, Run};
use super::registry::RowRef;
use super::session::{Session, UNIT, value};
use super::status::absent;

/// A unit that has to be read.
#[derive(Debug)]
pub(super) struct Reading {
    /// Its place in the caller's list.
    pub(super) index: usize,
    /// Its own name, where it was asked for by an alias.
    pub(super) own_name: String,
    pub(super) row: Row,
    pub(super) job_type: String,
    /// Signals about it before its row was asked for.
    pub(super) signals: u64,
    /// Whether this connection holds it in systemd's memory, or need not.
    pub(super) pinned: bool,
}

/// What is asked of every unit that is loaded.
#[derive(Debug)]
pub(super) struct Essentials {
    invocation: Vec<u8>,
    result: String,
    main_pid: u32,
    /// When the first and the last of it were answered; nothing when the unit had gone.
    pub(super) answered: Option<(Sequence, Sequence)>,
}

impl Reading {
    pub(super) fn new(index: usize, signals: u64, row: RowRef<'_>, pinned: bool) -> Self {
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

impl Essentials {
    /// Asks. An object that has gone since its row was listed reads as an error; the next row says what became of it.
    pub(super) async fn ask(session: &Session, unit: &str) -> Result<Self, CallError> {
        let path = name::object_path(unit);
        let kind = name::kind_interface(unit);
        let service = kind.filter(|_| unit.ends_with(".service"));
        // In this order, and at once: whoever reads the unit's row before and after counts on it.
        let (invocation, result, main_pid) = futures_util::join!(
            ask(session, &path, Some(UNIT), "InvocationID"),
            ask(session, &path, kind, "Result"),
            ask(session, &path, service, "MainPID"),
        );
        let (invocation, result, main_pid) = (invocation?, result?, main_pid?);
        let asked = [Some(&invocation), kind.and(Some(&result)), service.and(Some(&main_pid))];
        let moments: Option<Vec<Sequence>> =
            asked.into_iter().flatten().map(|answer| answer.as_ref().map(Message::recv_position)).collect();
        let answered = moments.and_then(|moments| Some((*moments.iter().min()?, *moments.iter().max()?)));
        Ok(Self {
            invocation: value_or_default(invocation)?,
            result: value_or_default(result)?,
            main_pid: value_or_default(main_pid)?,
            answered,
        })
    }

    /// The status, together with the unit's row and what [`Row::needs_run`] asks for.
    pub(super) fn status(self, row: &Row, run: Run) -> UnitStatus {
        let run = Run { ran: !self.invocation.is_empty(), success: self.result == "success", ..run };
        UnitStatus {
            phase: row.phase(run),
            invocation_id: hex(&self.invocation),
            main_pid: self.main_pid,
            result: self.result,
        }
    }
}

/// Reads the properties of one unit that its phase and identity need.
pub(super) async fn read(session: &Session, unit: &str, reading: &mut Reading) -> Result<UnitStatus, CallError> {
    let row = &reading.row;
    if !row.is_loaded() {
        return Ok(UnitStatus { phase: row.phase(Run::default()), ..absent(&row.load) });
    }
    let (essentials, run) = tokio::join!(Essentials::ask(session, unit), async {
        if row.needs_run() { read_run(session, unit).await } else { Ok(Run::default()) }
    });
    let (essentials, run) = (essentials?, run?);
    if run.oneshot && !reading.pinned {
        session.pin(unit).await;
        reading.pinned = true;
    }
    Ok(essentials.status(&reading.row, run))
}

/// What tells a finished oneshot from a service that is not running.
async fn read_run(session: &Session, unit: &str) -> Result<Run, CallError> {
    let path = name::object_path(unit);
    let service = name::kind_interface(unit).filter(|_| unit.ends_with(".service"));
    let (kind, main_code) =
        tokio::join!(ask(session, &path, service, "Type"), ask(session, &path, service, "ExecMainCode"));
    let kind: String = value_or_default(kind?)?;
    Ok(Run { oneshot: kind == "oneshot", main_code: value_or_default(main_code?)?, ..Run::default() })
}

/// The answer about a property, unless the unit has none of that interface, or has gone.
async fn ask(
    session: &Session,
    path: &str,
    interface: Option<&'static str>,
    name: &str,
) -> Result<Option<Message>, CallError> {
    let Some(interface) = interface else { return Ok(None) };
    match session.get(path, interface, name).await {
        Ok(answer) => Ok(Some(answer)),
        Err(CallError::Systemd { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn value_or_default<T>(answer: Option<Message>) -> Result<T, CallError>
where
    T: TryFrom<OwnedVariant> + Default,
    T::Error: Into<zbus::Error>,
{
    answer.map_or_else(|| Ok(T::default()), |answer| value(&answer))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;

    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
