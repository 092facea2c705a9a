//! A file that no engine has open: is it sound, and what does it hold?
//!
//! Two questions of an operator before and after a bad day. [`check`] reads everything, and everything twice: as a database, and
//! as histories whose fold has to be what the engine knows of their executions. [`runs`] hands out what can still be read.

use std::path::Path;

use prost::Message as _;
use temporalio_common::protos::temporal::api::{
    enums::v1::WorkflowExecutionStatus,
    history::v1::{History, HistoryEvent, history_event::Attributes},
};

use crate::{
    history::{
        Execution,
        state::{ExecutionInfo, PendingKind},
    },
    store::{ExecutionKey, ExecutionRow, StoreError, StoreReader},
};

/// Findings that are told one by one; the rest is counted.
pub const MAX_FINDINGS: usize = 100;

/// What [`check`] has found.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Report {
    /// Version of the file's schema; an older one than this release's is brought up to date when an engine opens it.
    pub version: i64,
    /// Runs, and those of them that are open.
    pub runs: u64,
    /// Of these, the open ones.
    pub open: u64,
    /// Events of all histories.
    pub events: u64,
    /// What is wrong, at most [`MAX_FINDINGS`] of it.
    pub findings: Vec<String>,
    /// What is wrong beyond that.
    pub more: u64,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }

    fn find(&mut self, finding: String) {
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(finding);
        } else {
            self.more += 1;
        }
    }
}

/// A run, as far as it can be read.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Namespace; empty when that cannot be read any more.
    pub namespace: String,
    /// Workflow id. As the history has it, where nothing else can be read.
    pub workflow_id: String,
    /// Run id.
    pub run_id: String,
    /// Workflow type.
    pub workflow_type: String,
    /// Status, in the API's words.
    pub status: &'static str,
    /// Its history, up to where it can be read.
    pub events: Vec<HistoryEvent>,
    /// Why that is not all.
    pub fault: Option<String>,
}

/// Reads the whole file at `path`, and says what is wrong with it. Changes nothing. `progress` hears how many runs are
/// read, and how many there are.
///
/// # Errors
/// There is no such file, another process has it, or it is none of ours.
pub fn check(path: &Path, mut progress: impl FnMut(u64, u64)) -> Result<Report, StoreError> {
    let reader = StoreReader::open(path)?;
    let mut report = Report { version: reader.version(), ..Report::default() };
    let limit = u32::try_from(MAX_FINDINGS).unwrap_or(u32::MAX);
    reader.faults(limit)?.into_iter().for_each(|fault| report.find(format!("database: {fault}")));
    let (keys, fault) = reader.keys();
    if let Some(fault) = fault {
        report.find(format!("the list of runs cannot be read to its end: {fault}"));
    }
    let all = keys.len() as u64;
    for key in keys {
        let run = read(&reader, key);
        report.runs += 1;
        progress(report.runs, all);
        report.events += run.events.len() as u64;
        let mut faults: Vec<String> = run.fault.iter().cloned().collect();
        match reader.execution(key) {
            Ok(Some(row)) if row.visibility.close_time.is_none() => {
                report.open += 1;
                faults.extend(contradictions(&reader, &row, &run.events));
            }
            Ok(Some(row)) => faults.extend(length(&row, &run.events)),
            // Told by `run.fault`.
            Ok(None) | Err(_) => {}
        }
        for fault in faults {
            report.find(format!("{}, workflow {:?}, run {}: {fault}", run.namespace, run.workflow_id, run.run_id));
        }
    }
    Ok(report)
}

/// Hands out the runs of the file at `path` one by one, as far as they can be read, with how many there are; and at the end why
/// they may not be all.
///
/// # Errors
/// As [`check`]; or what `each` fails with.
pub fn runs<E: From<StoreError>>(
    path: &Path,
    mut each: impl FnMut(Run, u64) -> Result<(), E>,
) -> Result<Option<String>, E> {
    let reader = StoreReader::open(path)?;
    let (keys, fault) = reader.keys();
    let all = keys.len() as u64;
    for key in keys {
        each(read(&reader, key), all)?;
    }
    Ok(fault.map(|fault| fault.to_string()))
}

fn read(reader: &StoreReader, key: ExecutionKey) -> Run {
    let (events, mut fault) = history(reader, key);
    let row = match reader.execution(key) {
        Ok(Some(row)) => row,
        found => {
            let why = found.err().map_or("there is only its history".to_owned(), |error| error.to_string());
            fault.get_or_insert(why);
            return orphan(key, events, fault);
        }
    };
    Run {
        namespace: row.namespace,
        workflow_id: row.workflow_id,
        run_id: row.run_id,
        workflow_type: row.visibility.workflow_type,
        status: status_name(row.visibility.status),
        events,
        fault,
    }
}

/// A run of which nothing but its history is there.
fn orphan(key: ExecutionKey, events: Vec<HistoryEvent>, fault: Option<String>) -> Run {
    let started = events.first().and_then(|event| match &event.attributes {
        Some(Attributes::WorkflowExecutionStartedEventAttributes(started)) => Some(started.clone()),
        _ => None,
    });
    let started = started.unwrap_or_default();
    let id = |known: String| if known.is_empty() { format!("unknown-{}", key.0) } else { known };
    Run {
        namespace: String::new(),
        workflow_id: id(started.workflow_id),
        run_id: id(started.original_execution_run_id),
        workflow_type: started.workflow_type.map(|kind| kind.name).unwrap_or_default(),
        status: Execution::from_history(&events).status().as_str_name(),
        events,
        fault,
    }
}

/// The events of a run in order, up to where they cannot be read; and why they cannot.
fn history(reader: &StoreReader, key: ExecutionKey) -> (Vec<HistoryEvent>, Option<String>) {
    let mut events: Vec<HistoryEvent> = Vec::new();
    loop {
        let next = events.last().map_or(1, |event| event.event_id + 1);
        let batches = match reader.history(key, next) {
            Ok(batches) if batches.is_empty() => return (events, None),
            Ok(batches) => batches,
            Err(error) => return (events, Some(format!("events from {next} on cannot be read: {error}"))),
        };
        for batch in batches {
            let next = events.last().map_or(1, |event| event.event_id + 1);
            match History::decode(batch.events.as_slice()) {
                Err(error) => return (events, Some(format!("events from {next} on are garbled: {error}"))),
                Ok(history) if !follows(&history, next, (batch.first_event_id, batch.last_event_id)) => {
                    return (events, Some(format!("event {next} is missing")));
                }
                Ok(history) => events.extend(history.events),
            }
        }
    }
}

/// Whether the events are all there, in order, from `next` on.
fn follows(history: &History, next: i64, (first, last): (i64, i64)) -> bool {
    let in_order = history.events.iter().zip(next..).all(|(event, id)| event.event_id == id);
    let ends = history.events.first().zip(history.events.last());
    in_order && ends.is_some_and(|(a, b)| (a.event_id, b.event_id) == (first, last))
}

/// Where what is known of an open run is not what follows from its history.
fn contradictions(reader: &StoreReader, row: &ExecutionRow, events: &[HistoryEvent]) -> Vec<String> {
    let mut found = Vec::new();
    let info = match ExecutionInfo::decode(row.state.as_slice()) {
        Ok(info) => info,
        Err(error) => return vec![format!("its state is garbled: {error}")],
    };
    let mut stored = Execution { info, ..Execution::default() };
    match reader.pending(row.key) {
        Err(error) => found.push(format!("what it waits for cannot be read: {error}")),
        Ok(rows) => {
            for pending in rows {
                if let Err(error) = stored.decode_pending(pending.kind.0, pending.id, &pending.data) {
                    found.push(format!("what it waits for is garbled: {error}"));
                }
            }
        }
    }
    let fold = Execution::from_history(events);
    if stored.last_event_id() != fold.last_event_id() {
        found.push(format!("its state is that of event {}", stored.last_event_id()));
    }
    for kind in PendingKind::OF_HISTORY {
        let (stored, expected) = (stored.pending_ids(kind), fold.pending_ids(kind));
        if stored != expected {
            found.push(format!("it waits for {kind:?} {stored:?}, and should for {expected:?}"));
        }
    }
    found
}

/// Of a closed run. The list of runs tells the length of an open one as it was when its row was written last.
fn length(row: &ExecutionRow, events: &[HistoryEvent]) -> Option<String> {
    let (told, there) = (row.visibility.history_length, events.last().map_or(0, |event| event.event_id));
    (told != there).then(|| format!("its history has {there} events, and should have {told}"))
}

fn status_name(status: i32) -> &'static str {
    WorkflowExecutionStatus::try_from(status).unwrap_or_default().as_str_name()
}
