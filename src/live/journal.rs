//! What became of the configuration, and who did it: lines of JSON that are only added to, and the documents of the last revisions, to go
//! back to. Both for their owner only, both bounded.

use std::collections::VecDeque;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::durable::{self, OWNER_ONLY};

/// The lines, in the journal's directory.
const LINES: &str = "changes.jsonl";
/// Changes that are kept; the file may hold twice as many before the older half goes.
const KEPT: usize = 500;
/// Documents that are kept, and the most that they may take together, in bytes; the newest two are kept in any case.
const DOCUMENTS: usize = 50;
const MOST_BYTES: u64 = 64 << 20;
/// Longest line that is read back.
const LONGEST: usize = 1 << 20;

/// One attempt to change the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// When, RFC 3339.
    pub(crate) time: String,
    /// Who.
    pub(crate) author: Author,
    /// How.
    pub(crate) way: Way,
    /// Whether it is in force.
    pub(crate) outcome: Outcome,
    /// The revision that it made; absent when it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) revision: Option<u64>,
    /// In a few words: the difference, or why not.
    pub(crate) summary: String,
    /// The difference, line by line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) changes: Vec<String>,
    /// What only a restart takes up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) needs_restart: Vec<String>,
    /// What is wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) faults: Vec<String>,
}

/// Who changes the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Author {
    /// `SIGHUP`, `file`, `start`, or the name of the token that was shown.
    pub(crate) name: String,
    /// From where it came over the network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) address: Option<String>,
}

/// How it is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Way {
    /// dixmgr was started.
    Start,
    /// The file was read.
    Reload,
    /// A document or a patch was sent.
    Update,
    /// An earlier revision was asked for.
    Rollback,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// It is in force.
    Applied,
    /// What was in force before still is.
    Refused,
}

/// The journal of one data directory.
#[derive(Debug)]
pub(crate) struct Journal {
    directory: PathBuf,
    lines: File,
    /// Lines in the file, those included that no entry could be read from.
    written: usize,
    entries: VecDeque<Entry>,
}

impl Author {
    /// Somebody on this machine, or something.
    pub(crate) fn local(name: &str) -> Self {
        Self { name: name.to_owned(), address: None }
    }
}

impl std::fmt::Display for Author {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.address {
            Some(address) => write!(f, "{} from {address}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

impl Journal {
    /// Opens the journal in a directory, which is made if need be. A line that a crash cut off is left out.
    ///
    /// # Errors
    /// The directory cannot be used.
    pub(crate) fn open(directory: PathBuf) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
        let path = directory.join(LINES);
        let mut lines = OpenOptions::new().append(true).create(true).read(true).mode(OWNER_ONLY).open(&path)?;
        let (mut entries, mut written, mut cut) = (VecDeque::new(), 0, false);
        let mut reader = BufReader::new(File::open(&path)?);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line)? > 0 {
            (written, cut) = (written + 1, line.last() != Some(&b'\n'));
            if line.len() <= LONGEST {
                entries.extend(serde_json::from_slice::<Entry>(&line).ok());
            }
            line.clear();
        }
        if cut {
            // What comes next begins a line of its own.
            lines.write_all(b"\n")?;
        }
        entries.drain(..entries.len().saturating_sub(KEPT));
        Ok(Self { directory, lines, written, entries })
    }

    /// All that is kept, the oldest first.
    pub(crate) fn entries(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.entries.iter()
    }

    /// The last change that came into force.
    pub(crate) fn last_applied(&self) -> Option<&Entry> {
        self.entries().rev().find(|entry| entry.revision.is_some())
    }

    /// Number of the newest revision; 0 when there is none.
    pub(crate) fn revision(&self) -> u64 {
        self.last_applied().and_then(|entry| entry.revision).unwrap_or(0)
    }

    /// Adds an entry. It is on disk when this returns.
    ///
    /// # Errors
    /// It is known here all the same, and gone with the process.
    pub(crate) fn add(&mut self, entry: Entry) -> io::Result<()> {
        let mut line = serde_json::to_vec(&entry)?;
        line.push(b'\n');
        self.entries.push_back(entry);
        self.entries.drain(..self.entries.len().saturating_sub(KEPT));
        if self.written >= 2 * KEPT {
            return self.shorten();
        }
        self.written += 1;
        self.lines.write_all(&line)?;
        self.lines.sync_data()
    }

    /// Writes the file anew, with what is kept.
    fn shorten(&mut self) -> io::Result<()> {
        let mut text = Vec::new();
        for entry in &self.entries {
            serde_json::to_writer(&mut text, entry)?;
            text.push(b'\n');
        }
        let path = self.directory.join(LINES);
        durable::replace(&path, &text)?;
        self.lines = OpenOptions::new().append(true).open(&path)?;
        self.written = self.entries.len();
        Ok(())
    }

    /// Keeps the document of a revision, and lets old ones go.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn keep(&self, revision: u64, text: &str) -> io::Result<()> {
        durable::replace(&self.path(revision), text.as_bytes())?;
        let mut room = MOST_BYTES;
        for (kept, old) in self.documents()?.into_iter().rev().enumerate() {
            let path = self.path(old);
            let size = fs::metadata(&path)?.len();
            if kept >= 2 && (kept >= DOCUMENTS || size > room) {
                fs::remove_file(path)?;
            }
            room = room.saturating_sub(size);
        }
        Ok(())
    }

    /// The document of a revision; `None` when it is not kept (any more).
    pub(crate) fn document(&self, revision: u64) -> Option<String> {
        fs::read_to_string(self.path(revision)).ok()
    }

    /// The newest revision before this one whose document is kept.
    pub(crate) fn before(&self, revision: u64) -> Option<u64> {
        self.documents().ok()?.into_iter().rev().find(|kept| *kept < revision)
    }

    /// Revisions whose documents are kept, the oldest first.
    pub(crate) fn documents(&self) -> io::Result<Vec<u64>> {
        let mut found: Vec<u64> = fs::read_dir(&self.directory)?
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_suffix(".toml")?.parse().ok())
            .collect();
        found.sort_unstable();
        Ok(found)
    }

    fn path(&self, revision: u64) -> PathBuf {
        self.directory.join(format!("{revision:08}.toml"))
    }

    /// Where it is.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn entry(revision: u64) -> Entry {
        Entry {
            time: "2026-03-01T22:00:00.000Z".to_owned(),
            author: Author::local("SIGHUP"),
            way: Way::Reload,
            outcome: Outcome::Applied,
            revision: Some(revision),
            summary: "interval 5s → 10s".to_owned(),
            changes: vec!["service db: interval 5s → 10s".to_owned()],
            needs_restart: Vec::new(),
            faults: Vec::new(),
        }
    }

    #[test]
    fn what_was_added_is_read_back_and_a_cut_line_is_left_out() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("config");
        let mut journal = Journal::open(directory.clone()).unwrap();
        journal.add(entry(1)).unwrap();
        let path = directory.join(LINES);
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"time\":\"2026").unwrap();
        let mut journal = Journal::open(directory.clone()).unwrap();
        journal.add(entry(2)).unwrap();
        let journal = Journal::open(directory.clone()).unwrap();
        assert_eq!(journal.entries().cloned().collect::<Vec<_>>(), [entry(1), entry(2)]);
        assert_eq!(journal.revision(), 2);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&directory), mode(&path)), (0o700, 0o600));
    }

    #[test]
    fn lines_and_documents_are_bounded() {
        let home = tempfile::tempdir().unwrap();
        let count = u64::try_from(2 * KEPT + 3).unwrap();
        let line = |revision| serde_json::to_string(&entry(revision)).unwrap() + "\n";
        fs::write(home.path().join(LINES), (1..=count - 5).map(line).collect::<String>()).unwrap();
        let mut journal = Journal::open(home.path().to_owned()).unwrap();
        for revision in count - 4..=count {
            journal.add(entry(revision)).unwrap();
        }
        let lines = fs::read_to_string(home.path().join(LINES)).unwrap().lines().count();
        assert!(lines < KEPT + 10, "{lines}");
        assert_eq!((journal.entries().count(), journal.revision()), (KEPT, count));
        for revision in 1..=60 {
            journal.keep(revision, "text").unwrap();
        }
        assert_eq!(journal.documents().unwrap(), (11..=60).collect::<Vec<_>>());
        assert_eq!((journal.document(60).as_deref(), journal.document(10)), (Some("text"), None));
        assert_eq!((journal.before(60), journal.before(11)), (Some(59), None));
    }
}
