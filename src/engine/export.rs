//! `dixmgr engine export`: what the file holds, as JSON that does not need dixmgr to be read.
#![allow(clippy::print_stdout, reason = "what was written is the answer")]

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use dixmgr_engine::inspect::{self, Run};
use dixmgr_engine::store::StoreError;
use serde_json::json;
use temporalio_common::protos::temporal::api::history::v1::History;

use crate::error::RunError;
use crate::progress::Progress;
use crate::protojson::{Malformed, Schema};

/// Name of the list of what was written, one run a line.
const INDEX: &str = "index.jsonl";
/// Directory of the histories.
const HISTORIES: &str = "histories";

/// Writes every history of `file` that can be read to the new directory `to`, with a list of them.
///
/// # Errors
/// The file cannot be opened, or the directory not be written. Not that the file is damaged: what is lost is said.
pub(super) fn export(file: &Path, to: &Path, namespace: Option<&str>) -> Result<(), RunError> {
    let mut export = Export::begin(to)?;
    let (mut progress, mut seen) = (Progress::of("runs"), 0);
    let lost = inspect::runs(file, |run, all| {
        seen += 1;
        progress.is(seen, all);
        match namespace {
            Some(wanted) if run.namespace != wanted => Ok(()),
            _ => export.write(&run),
        }
    });
    drop(progress);
    let lost = lost.map_err(Failure::explain)?;
    export.end(lost)
}

/// How the engine's file could not be used.
pub(super) fn unusable(error: &StoreError) -> RunError {
    let hint = match error {
        StoreError::Locked { .. } => "; a running dixmgr gives a copy of it: `dixmgr engine backup`",
        _ => "",
    };
    RunError::EngineFile(format!("{error}{hint}"))
}

/// Why the export ends.
enum Failure {
    Store(StoreError),
    Write { path: PathBuf, detail: io::Error },
    Malformed(Malformed),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Malformed> for Failure {
    fn from(error: Malformed) -> Self {
        Self::Malformed(error)
    }
}

impl Failure {
    fn explain(self) -> RunError {
        match self {
            Self::Store(error) => unusable(&error),
            Self::Write { path, detail } => RunError::EngineFile(format!("cannot write {}: {detail}", path.display())),
            Self::Malformed(error) => RunError::EngineFile(error.to_string()),
        }
    }
}

/// An export under way.
struct Export {
    to: PathBuf,
    schema: Schema,
    index: BufWriter<File>,
    runs: u64,
    incomplete: u64,
}

impl Export {
    fn begin(to: &Path) -> Result<Self, RunError> {
        let begin = || {
            // Histories hold what workflows were told.
            make(to)?;
            make(&to.join(HISTORIES))?;
            let index = BufWriter::new(create(&to.join(INDEX))?);
            Ok(Self { to: to.to_owned(), schema: Schema::of_temporal()?, index, runs: 0, incomplete: 0 })
        };
        begin().map_err(Failure::explain)
    }

    fn write(&mut self, run: &Run) -> Result<(), Failure> {
        // Run ids begin with the time, so that their last digits spread them best.
        let name = file_name(&run.run_id);
        let directory = Path::new(HISTORIES).join(&name[name.len() - 2..]);
        if !self.to.join(&directory).is_dir() {
            make(&self.to.join(&directory))?;
        }
        let path = directory.join(format!("{name}.json"));
        let history = self.schema.json(&History { events: run.events.clone() })?;
        let mut file = BufWriter::new(create(&self.to.join(&path))?);
        let written = |detail| Failure::Write { path: self.to.join(&path), detail };
        writeln!(file, "{history}").and_then(|()| file.flush()).map_err(written)?;
        let line = json!({
            "namespace": run.namespace,
            "workflowId": run.workflow_id,
            "runId": run.run_id,
            "workflowType": run.workflow_type,
            "status": run.status,
            "events": run.events.len(),
            "history": path,
            "lost": run.fault,
        });
        writeln!(self.index, "{line}").map_err(|detail| Failure::Write { path: self.to.join(INDEX), detail })?;
        self.runs += 1;
        self.incomplete += u64::from(run.fault.is_some());
        Ok(())
    }

    fn end(mut self, lost: Option<String>) -> Result<(), RunError> {
        let failed = |detail| Failure::Write { path: self.to.join(INDEX), detail }.explain();
        self.index.flush().map_err(failed)?;
        println!("{}: {} runs, {} of them not whole", self.to.display(), self.runs, self.incomplete);
        if let Some(lost) = lost {
            println!("there may have been more runs: {lost}");
        }
        Ok(())
    }
}

/// A run id as the name of a file: they are UUIDs, unless the file is damaged or somebody else has written it.
fn file_name(run_id: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    format!("{:_>2}", run_id.chars().map(safe).take(64).collect::<String>())
}

fn make(directory: &Path) -> Result<(), Failure> {
    let failed = |detail| Failure::Write { path: directory.to_owned(), detail };
    if let Some(parent) = directory.parent() {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    DirBuilder::new().mode(0o700).create(directory).map_err(failed)
}

fn create(path: &Path) -> Result<File, Failure> {
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    opened.map_err(|detail| Failure::Write { path: path.to_owned(), detail })
}
