//! What happened, in order, and no more of it than is kept.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// Entries that are kept.
const KEPT: usize = 200;

/// What happened, the oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ledger {
    /// The entries.
    pub entries: VecDeque<LedgerEntry>,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// When, in milliseconds since the epoch.
    pub at: u64,
    /// What, by a name that does not change: `fired`, `resolved`, `suppressed`, `delivered`, …
    pub what: String,
    /// The rest, for people.
    #[serde(default)]
    pub detail: String,
}

impl Ledger {
    /// Adds an entry; the oldest makes room for it.
    pub fn note(&mut self, at: u64, what: &str, detail: &str) {
        if self.entries.len() == KEPT {
            self.entries.pop_front();
        }
        self.entries.push_back(LedgerEntry { at, what: what.to_owned(), detail: crate::detail(detail) });
    }
}
