//! The text of a configuration file: read within bounds, and mapped from byte offsets to lines and columns.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::fault::{ConfigError, Fault};

/// Longest file that is read, in bytes. Ten thousand services with every key set take about half of it.
pub const MAX_BYTES: u64 = 8 * 1024 * 1024;

/// A document and its name.
#[derive(Debug)]
pub(super) struct Source {
    name: String,
    text: String,
    /// Byte offset at which each line begins.
    lines: Vec<usize>,
}

impl Source {
    /// Reads a file.
    pub(super) fn read(path: &Path) -> Result<Self, ConfigError> {
        let name = path.display().to_string();
        let whole_file = |problem: String, advice: &str| one_fault(&name, 0, problem, advice);
        let file = File::open(path)
            .map_err(|error| whole_file(format!("cannot be opened: {error}"), "check the path given to -conf"))?;
        let mut bytes = Vec::new();
        file.take(MAX_BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| whole_file(format!("cannot be read: {error}"), "-conf wants a regular file"))?;
        Self::from_bytes(&name, bytes)
    }

    /// Checks size and encoding.
    pub(super) fn from_bytes(name: &str, bytes: Vec<u8>) -> Result<Self, ConfigError> {
        if bytes.len() as u64 > MAX_BYTES {
            let limit = dixmgr_model::size::format(MAX_BYTES);
            return Err(one_fault(name, 0, format!("is larger than {limit}"), "-conf wants a TOML configuration"));
        }
        match String::from_utf8(bytes) {
            Ok(text) if text.trim().is_empty() => Err(one_fault(
                name,
                0,
                "is empty".to_owned(),
                "write at least one [[service]] table with name and unit",
            )),
            Ok(text) => Ok(Self { name: name.to_owned(), lines: line_starts(&text), text }),
            Err(error) => {
                let good = error.utf8_error().valid_up_to();
                let line = error.as_bytes()[..good].split(|byte| *byte == b'\n').count();
                Err(one_fault(name, line, "is not UTF-8".to_owned(), "save the file as UTF-8"))
            }
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }

    /// Line and column, both from 1, of a byte offset; the column counts characters.
    pub(super) fn position(&self, at: usize) -> (usize, usize) {
        let at = self.text.floor_char_boundary(at.min(self.text.len()));
        let line = self.lines.partition_point(|start| *start <= at);
        let start = self.lines[line - 1];
        (line, self.text[start..at].chars().count() + 1)
    }
}

fn line_starts(text: &str) -> Vec<usize> {
    std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect()
}

fn one_fault(name: &str, line: usize, problem: String, advice: &str) -> ConfigError {
    let column = usize::from(line > 0);
    let fault = Fault { line, column, path: String::new(), problem, advice: advice.to_owned() };
    ConfigError { file: name.to_owned(), faults: vec![fault] }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn positions_count_lines_and_characters() {
        let source = Source::from_bytes("x", "a = 1\nä = 2\n".into()).unwrap();
        assert_eq!(source.position(0), (1, 1));
        assert_eq!(source.position(6), (2, 1));
        assert_eq!(source.position(8), (2, 2));
        assert_eq!(source.position(1_000), (3, 1));
    }

    #[test]
    fn empty_binary_and_huge_files_are_one_clear_fault() {
        let problem = |bytes: Vec<u8>| Source::from_bytes("x", bytes).unwrap_err().faults.remove(0);
        assert_eq!(problem(b" \n\n".to_vec()).problem, "is empty");
        let not_utf8 = problem(b"a = 1\nb = \"\xff\"".to_vec());
        assert_eq!((not_utf8.problem.as_str(), not_utf8.line), ("is not UTF-8", 2));
        assert!(problem(vec![b'#'; 8 * 1024 * 1024 + 1]).problem.contains("larger than 8MiB"));
    }
}
