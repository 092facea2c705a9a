//! How a store is opened.

/// What a commit waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Synchronous {
    /// Every commit is on the disk before it is answered: it survives a power cut.
    #[default]
    Full,
    /// The disk is waited for at checkpoints only: survives `kill -9`; a power cut may lose the last commits, never the
    /// file's consistency.
    Normal,
    /// The disk is never waited for: survives `kill -9`; a power cut may corrupt the file. For tests.
    Off,
}

/// Whether opening reads the whole file to see that it is sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntegrityCheck {
    /// Damage shows up when it is read.
    Never,
    /// Checked when the file has at most so many bytes, so that start-up stays short.
    UpTo(u64),
    /// Checked, however long it takes.
    Always,
}

/// How a store is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreOptions {
    /// What a commit waits for.
    pub synchronous: Synchronous,
    /// Whether the file is checked first.
    pub integrity_check: IntegrityCheck,
    /// Most bytes that the database file may grow to (rounded to pages); beyond that a commit fails as on a full disk.
    pub max_bytes: Option<u64>,
    /// Memory for cached pages, in bytes.
    pub cache_bytes: u64,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            synchronous: Synchronous::Full,
            integrity_check: IntegrityCheck::UpTo(64 << 20),
            max_bytes: None,
            cache_bytes: 16 << 20,
        }
    }
}
