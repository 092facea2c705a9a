//! Where answers go: standard output, as text or as JSON, and how wide it is.

use std::io::{BufWriter, IsTerminal, Stdout, Write};

use serde_json::Value;

use super::error::WorkflowError;
use super::text;

/// Width of a terminal that does not say how wide it is.
const USUAL_WIDTH: usize = 120;

/// What claims to be narrower does not know its width.
const NARROWEST: usize = 40;

/// Standard output.
pub(crate) struct Output {
    json: bool,
    width: Option<usize>,
    out: BufWriter<Stdout>,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        let stdout = std::io::stdout();
        let width = stdout.is_terminal().then(|| {
            let said = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
            let is = || crossterm::terminal::size().ok().map(|(columns, _)| usize::from(columns));
            said.or_else(is).filter(|columns| *columns >= NARROWEST).unwrap_or(USUAL_WIDTH)
        });
        Self { json, width, out: BufWriter::new(stdout) }
    }

    /// Whether JSON was asked for.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Columns of the terminal; nothing when something other than a terminal reads, and no line is cut.
    pub(crate) fn width(&self) -> Option<usize> {
        self.width
    }

    /// A line of text, cut to the terminal's width. What a terminal might obey is made visible.
    pub(crate) fn line(&mut self, line: &str) -> Result<(), WorkflowError> {
        let line = text::visible(line);
        let line = self.width.map_or_else(|| line.clone(), |width| text::cut(&line, width));
        Ok(writeln!(self.out, "{line}")?)
    }

    /// A line of a document that may be read back: as it is, but for what a terminal might obey, and cut nowhere.
    pub(crate) fn whole(&mut self, line: &str) -> Result<(), WorkflowError> {
        let line = if self.width.is_some() { text::visible(line) } else { line.to_owned() };
        Ok(writeln!(self.out, "{line}")?)
    }

    /// JSON, and a line's end.
    pub(crate) fn value(&mut self, value: &Value) -> Result<(), WorkflowError> {
        Ok(writeln!(self.out, "{value:#}")?)
    }

    /// A piece of a JSON document that is written as it comes.
    pub(crate) fn piece(&mut self, piece: &str) -> Result<(), WorkflowError> {
        Ok(write!(self.out, "{piece}")?)
    }

    /// Hands over what was written so far.
    pub(crate) fn flush(&mut self) -> Result<(), WorkflowError> {
        Ok(self.out.flush()?)
    }
}
