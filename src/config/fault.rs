//! What is wrong with a configuration: every fault of a file, each with its place, in one report.

use std::cell::RefCell;
use std::fmt;

use super::source::Source;

/// Faults shown in full; a file that has more is most likely not a configuration of ours at all.
const SHOWN: usize = 100;

/// One thing that is wrong, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Line, from 1; 0 when the fault is the whole file's.
    pub line: usize,
    /// Column in characters, from 1; 0 when the fault is the whole file's.
    pub column: usize,
    /// Where in the document, such as `service[api].restart.jitter`; empty when the fault has no key.
    pub path: String,
    /// What is wrong.
    pub problem: String,
    /// What to write instead; may be empty.
    pub advice: String,
}

/// In one line, without the file.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "line {}, column {}: ", self.line, self.column)?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.problem)?;
        if !self.advice.is_empty() {
            write!(f, "; {}", self.advice)?;
        }
        Ok(())
    }
}

/// A configuration that cannot be used, with all its faults in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// The file, as it was named.
    pub file: String,
    /// Never empty.
    pub faults: Vec<Fault>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.faults.len();
        writeln!(f, "{} cannot be used: {count} fault{}", self.file, if count == 1 { "" } else { "s" })?;
        for fault in self.faults.iter().take(SHOWN) {
            write!(f, "\n{}", self.file)?;
            if fault.line > 0 {
                write!(f, ":{}:{}", fault.line, fault.column)?;
            }
            if fault.path.is_empty() {
                writeln!(f, ": {}", fault.problem)?;
            } else {
                writeln!(f, ": {}: {}", fault.path, fault.problem)?;
            }
            if !fault.advice.is_empty() {
                writeln!(f, "    {}", fault.advice)?;
            }
        }
        if count > SHOWN {
            writeln!(f, "\n… and {} more", count - SHOWN)?;
        }
        Ok(())
    }
}

/// A place in the document: what later checks need to point at it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// Byte offset in the text.
    pub(super) at: usize,
    /// Key path.
    pub(super) path: String,
}

/// A value and where it was written.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Located<T> {
    pub(super) value: T,
    pub(super) place: Place,
}

/// Collects faults while a document is read, so that one fault never hides another.
#[derive(Debug)]
pub(super) struct FaultSink<'a> {
    source: &'a Source,
    faults: RefCell<Vec<(usize, Fault)>>,
}

impl<'a> FaultSink<'a> {
    pub(super) fn new(source: &'a Source) -> Self {
        Self { source, faults: RefCell::default() }
    }

    /// Notes a fault at `place`.
    pub(super) fn report(&self, place: &Place, problem: impl Into<String>, advice: impl Into<String>) {
        let (line, column) = self.source.position(place.at);
        let fault = Fault { line, column, path: place.path.clone(), problem: problem.into(), advice: advice.into() };
        self.faults.borrow_mut().push((place.at, fault));
    }

    /// `value` if nothing was found, else everything that was, in the order of the file.
    pub(super) fn finish<T>(self, value: T) -> Result<T, ConfigError> {
        let mut faults = self.faults.into_inner();
        if faults.is_empty() {
            return Ok(value);
        }
        faults.sort_by_key(|(at, _)| *at);
        let faults = faults.into_iter().map(|(_, fault)| fault).collect();
        Err(ConfigError { file: self.source.name().to_owned(), faults })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.faults.borrow().is_empty()
    }
}
