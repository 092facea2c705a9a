//! `dixmgr engine check`: is the file sound?
#![allow(clippy::print_stdout, reason = "the findings are the answer")]

use std::path::Path;

use dixmgr_engine::inspect;

use super::export::unusable;
use crate::error::RunError;
use crate::progress::Progress;

/// Reads all of `file`, and prints what it holds and what is wrong with it.
///
/// # Errors
/// Something is wrong with it, or it cannot be looked into.
pub(super) fn check(file: &Path) -> Result<(), RunError> {
    let mut progress = Progress::of("runs");
    let report = inspect::check(file, |done, all| progress.is(done, all)).map_err(|error| unusable(&error))?;
    drop(progress);
    for finding in &report.findings {
        println!("{finding}");
    }
    if report.more > 0 {
        println!("and {} more", report.more);
    }
    let (runs, open, events, version) = (report.runs, report.open, report.events, report.version);
    println!("{}: version {version}, {runs} runs, {open} of them open, {events} events", file.display());
    if report.is_sound() {
        println!("sound");
        return Ok(());
    }
    let faults = report.findings.len() as u64 + report.more;
    Err(RunError::Unsound { file: file.to_owned(), faults })
}
