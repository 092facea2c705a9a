//! PID files: what the next dixmgr must know of a process to adopt it, and to know that it ended.
//!
//! One JSON object for each unit, replaced atomically. It is not synced to disk: it must survive a crash of dixmgr, not one of
//! the machine, after which no process is left to adopt. The boot's id makes what is older than the boot void.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::process::Identity;

/// Largest PID file that is read, in bytes.
const MAX_FILE: u64 = 16 * 1024;

/// Longest file name that a unit's name is written as; longer ones are cut and told apart by a hash.
const MAX_STEM: usize = 180;

/// What is known of a unit's latest run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// Boot that it belongs to.
    pub(super) boot_id: String,
    /// Value of the process's mark.
    pub(super) mark: String,
    /// The process; absent from before it is started until its number is known.
    #[serde(flatten)]
    pub(super) process: Option<Identity>,
    /// How it ended, once it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) end: Option<End>,
    /// The run before, as long as this one has no number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) before: Option<Past>,
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct End {
    /// By itself with status 0, or because it was stopped.
    pub(super) clean: bool,
    /// `success`, `exit-code 3`, `signal 9`, or why that is not known.
    pub(super) result: String,
}

/// A run that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Past {
    pub(super) process: Identity,
    pub(super) end: End,
}

impl End {
    pub(super) fn success() -> Self {
        Self { clean: true, result: "success".to_owned() }
    }

    pub(super) fn failed(result: impl Into<String>) -> Self {
        Self { clean: false, result: result.into() }
    }
}

/// The PID files.
#[derive(Debug, Clone)]
pub(super) struct Records {
    directory: PathBuf,
    boot_id: String,
}

impl Records {
    pub(super) fn new(directory: PathBuf) -> io::Result<Self> {
        // Asked for once, so that whatever needs `/proc` later is known to have it.
        Identity::of(std::process::id())?;
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned();
        Ok(Self { directory, boot_id })
    }

    /// A record of this boot.
    pub(super) fn new_record(&self, mark: String) -> Record {
        Record { boot_id: self.boot_id.clone(), mark, process: None, end: None, before: None }
    }

    /// What was recorded of a unit in this boot.
    pub(super) fn read(&self, unit: &str) -> Option<Record> {
        let path = self.path(unit);
        match read(&path) {
            Ok(record) => Some(record).filter(|record| record.boot_id == self.boot_id),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!(unit, path = %path.display(), %error, "PID file cannot be read; taken for a unit that never ran: {error}");
                None
            }
        }
    }

    /// Replaces what is recorded of a unit.
    pub(super) fn write(&self, unit: &str, record: &Record) -> io::Result<()> {
        let path = self.path(unit);
        let temporary = path.with_extension("pid.new");
        fs::write(&temporary, serde_json::to_vec(record)?)?;
        fs::rename(&temporary, &path)
    }

    /// Puts back what was recorded before, which may be nothing.
    pub(super) fn restore(&self, unit: &str, record: Option<&Record>) -> io::Result<()> {
        match record {
            Some(record) => self.write(unit, record),
            None => fs::remove_file(self.path(unit)),
        }
    }

    pub(super) fn path(&self, unit: &str) -> PathBuf {
        self.directory.join(format!("{}.pid", file_stem(unit)))
    }
}

fn read(path: &Path) -> io::Result<Record> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() || metadata.len() > MAX_FILE {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "not a PID file"));
    }
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}

/// A unit's name as the beginning of a file's name: never a path, never hidden, and different for different names.
pub(super) fn file_stem(unit: &str) -> String {
    let mut stem = String::new();
    for (index, byte) in unit.bytes().enumerate() {
        let plain = byte.is_ascii_alphanumeric() || b"@_-:".contains(&byte) || (byte == b'.' && index > 0);
        if plain {
            stem.push(char::from(byte));
        } else {
            stem.push_str(&format!("%{byte:02x}"));
        }
    }
    if stem.len() > MAX_STEM {
        // FNV-1a: the same in every build, because the next dixmgr must find the file.
        let hash = unit
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        stem.truncate(MAX_STEM - 17);
        stem.push_str(&format!("~{hash:016x}"));
    }
    stem
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_record_is_what_others_can_read_and_is_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let records = Records::new(directory.path().to_owned()).unwrap();
        let mut record = records.new_record("m".to_owned());
        for process in [None, Some(Identity { pid: 42, start_ticks: 7 })] {
            record.process = process;
            records.write("a", &record).unwrap();
            assert_eq!(records.read("a"), Some(record.clone()));
        }
        let json: serde_json::Value = serde_json::from_slice(&fs::read(records.path("a")).unwrap()).unwrap();
        assert_eq!((&json["pid"], &json["start_ticks"]), (&42.into(), &7.into()));

        record.boot_id = "another".to_owned();
        records.write("a", &record).unwrap();
        assert_eq!(records.read("a"), None);
        records.restore("a", None).unwrap();
        assert!(!records.path("a").exists());
    }

    #[test]
    fn garbage_in_a_pid_file_is_nothing_and_no_harm() {
        let directory = tempfile::tempdir().unwrap();
        let records = Records::new(directory.path().to_owned()).unwrap();
        for garbage in ["", "123", "{}", "{\"pid\": -1}", "\0\0\0", &"x".repeat(100_000)] {
            fs::write(records.path("a"), garbage).unwrap();
            assert_eq!(records.read("a"), None, "{garbage:.40}");
        }
    }

    proptest! {
        #[test]
        fn names_become_plain_file_names(name in "(\\PC{0,80}|[./ ]{0,8}|a{300})", other in "\\PC{0,80}") {
            let stem = file_stem(&name);
            prop_assert!(stem.len() <= MAX_STEM && !stem.starts_with('.') && !stem.contains('/'), "{}", stem);
            prop_assert!(stem.bytes().all(|byte| byte.is_ascii_graphic()));
            prop_assert_eq!(stem == file_stem(&other), name == other);
        }
    }
}
