//! What is logged and remembered of changes.

use super::change::Change;
use super::difference::Difference;
use super::journal::Journal;
use super::meaning::Meaning;
use super::{Author, Entry, Live, Outcome, Refused, State, Way, since_epoch, timestamp};
use crate::cli::RunRequest;
use crate::config::Document;

impl Live {
    pub(super) fn note(&self, state: &mut State, author: Author, way: Way, change: &Change) {
        self.inner.metrics.config_loaded(since_epoch());
        let (revision, summary) = (change.revision, &change.summary);
        tracing::info!(revision, author = %author, "configuration: {summary}");
        for line in &change.needs_restart {
            tracing::warn!("configuration: needs a restart: {line}");
        }
        if change.applied {
            let entry = Entry {
                time: state.since.clone(),
                author,
                way,
                outcome: Outcome::Applied,
                revision: Some(revision),
                summary: summary.clone(),
                changes: change.changes.clone(),
                needs_restart: change.needs_restart.clone(),
                faults: Vec::new(),
            };
            add(&mut state.journal, entry);
        }
    }

    pub(super) fn note_refusal(&self, state: &mut State, author: &Author, way: Way, refused: &Refused) {
        if way == Way::Reload {
            // Empty for a file that cannot be read.
            state.refused = Some(Document::read_text(self.file()).unwrap_or_default());
            self.inner.metrics.config_refused();
        }
        let summary = refused.summary();
        tracing::error!(author = %author, "configuration: refused, revision {} stays in force: {summary}", state.revision);
        let faults = refused.faults();
        for fault in faults.iter().filter(|_| faults.len() > 1) {
            tracing::error!("configuration: {fault}");
        }
        let entry = Entry {
            time: timestamp(),
            author: author.clone(),
            way,
            outcome: Outcome::Refused,
            revision: None,
            summary,
            changes: Vec::new(),
            needs_restart: Vec::new(),
            faults,
        };
        add(&mut state.journal, entry);
    }
}

/// The first revision, or what has changed while no dixmgr ran.
pub(super) fn start(journal: &mut Journal, request: &RunRequest, document: &Document, meaning: &Meaning) {
    let last = journal.revision();
    let before = journal.document(last);
    if before.as_deref() == Some(document.text.as_str()) {
        return;
    }
    let before = before.and_then(|text| Document::parse("the last revision", text, &request.load_options()).ok());
    let difference = before.map(|before| Difference::between(&Meaning::of(request, &before), meaning));
    let (summary, changes) = match &difference {
        Some(difference) => (format!("changed while dixmgr was down: {}", difference.summary()), difference.lines()),
        None => (format!("{} services", meaning.plan.services.len()), Vec::new()),
    };
    if last > 0 {
        tracing::info!(revision = last + 1, "configuration: {summary}");
    }
    if let Err(error) = journal.keep(last + 1, &document.text) {
        tracing::warn!(%error, "configuration: there is no way back to this one: {error}");
    }
    let entry = Entry {
        time: timestamp(),
        author: Author::local("start"),
        way: Way::Start,
        outcome: Outcome::Applied,
        revision: Some(last + 1),
        summary,
        changes,
        needs_restart: Vec::new(),
        faults: Vec::new(),
    };
    add(journal, entry);
}

/// A change that was not recorded is in force all the same.
fn add(journal: &mut Journal, entry: Entry) {
    if let Err(error) = journal.add(entry) {
        tracing::error!(%error, "configuration: this change is not recorded: {error}");
    }
}
