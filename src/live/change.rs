//! One change, from what somebody wants to what is in force. Nothing is touched before all of it is known to be right.

use std::collections::HashSet;
use std::sync::Arc;

use super::difference::Difference;
use super::meaning::{Meaning, needs_restart};
use super::{Author, Live, Refused, State, Way, in_force, notifier, timestamp};
use crate::config::{self, Document};
use crate::durable;

/// What somebody wants the configuration to be.
#[derive(Debug)]
pub(crate) enum Wanted {
    /// What the file says.
    File,
    /// This document.
    Text(String),
    /// The document in force with this merge patch applied.
    Patch(serde_json::Value),
    /// That of an earlier revision; the one before when it has no number.
    Revision(Option<u64>),
}

/// How somebody wants it changed.
#[derive(Debug)]
pub(crate) struct Request {
    /// Who.
    pub(crate) author: Author,
    /// What.
    pub(crate) wanted: Wanted,
    /// Only if this revision is in force.
    pub(crate) if_revision: Option<u64>,
    /// Only say what would change.
    pub(crate) dry_run: bool,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Change {
    /// The revision that is in force now.
    pub(crate) revision: u64,
    /// Whether it is another one than before.
    pub(crate) applied: bool,
    /// The difference, in a few words.
    pub(crate) summary: String,
    /// The difference, line by line.
    pub(crate) changes: Vec<String>,
    /// What only a restart takes up.
    pub(crate) needs_restart: Vec<String>,
}

impl Live {
    pub(super) fn attempt(&self, state: &mut State, request: Request) -> Result<Change, Refused> {
        if let Some(wanted) = request.if_revision.filter(|wanted| *wanted != state.revision) {
            return Err(Refused::Moved { wanted, current: state.revision });
        }
        let from_file = matches!(request.wanted, Wanted::File);
        let name = self.name(&request.wanted);
        let text = self.text(state, request.wanted)?;
        let options = self.inner.request.load_options();
        let document = Document::parse(&name, text, &options).map_err(Refused::Faults)?;
        let meaning = Meaning::of(&self.inner.request, &document);
        self.check_room(&meaning)?;
        let guard = self.inner.doorkeeper.consider(meaning.settings.api.as_ref());
        let guard = guard.map_err(|error| Refused::Unusable(error.to_string()))?;
        let difference = Difference::between(&state.meaning, &meaning);
        let needs_restart = needs_restart(&self.inner.started.settings, &meaning.settings);
        let applied = document.text != state.document.text && !request.dry_run;
        let revision = state.revision + u64::from(applied);
        let only_words = difference.is_empty() && document.text != state.document.text;
        let summary = if only_words { "nothing that matters changed".to_owned() } else { difference.summary() };
        let change = Change { revision, applied, summary, changes: difference.lines(), needs_restart };
        if request.dry_run {
            return Ok(change);
        }
        if applied {
            Self::keep(state, revision, &document.text)?;
        }
        if !from_file {
            self.write_file(&document.text)?;
        }
        if applied {
            self.apply(&state.meaning, &meaning);
            state.since = timestamp();
            state.author = request.author;
        }
        self.inner.doorkeeper.replace(guard);
        (state.document, state.meaning, state.revision, state.refused) = (document, meaning, revision, None);
        Ok(change)
    }

    /// What faults of it are called by: whoever sends a document has another one than the file.
    fn name(&self, wanted: &Wanted) -> String {
        match wanted {
            Wanted::File => self.file().display().to_string(),
            Wanted::Text(_) => "the document that was sent".to_owned(),
            Wanted::Patch(_) => "the configuration with this patch".to_owned(),
            Wanted::Revision(Some(revision)) => format!("revision {revision}"),
            Wanted::Revision(None) => "the revision before".to_owned(),
        }
    }

    /// The text that is wanted. Whoever changes what is in force has to have seen what the file says.
    fn text(&self, state: &State, wanted: Wanted) -> Result<String, Refused> {
        let unread = || {
            let same = Document::read_text(self.file()).is_ok_and(|text| text == state.document.text);
            let file = self.file().display().to_string();
            if same { Ok(()) } else { Err(Refused::Unread { file, current: state.revision }) }
        };
        match wanted {
            Wanted::File => Document::read_text(self.file()).map_err(Refused::Faults),
            Wanted::Text(text) => unread().map(|()| text),
            Wanted::Patch(patch) => {
                unread()?;
                Ok(config::merge(&state.document.text, &patch)?)
            }
            Wanted::Revision(Some(revision)) => state.journal.document(revision).ok_or(Refused::NotKept(revision)),
            Wanted::Revision(None) => {
                let before = state.journal.before(state.revision).ok_or(Refused::NothingBefore(state.revision))?;
                state.journal.document(before).ok_or(Refused::NotKept(before))
            }
        }
    }

    /// The worker's size is that of its start.
    fn check_room(&self, meaning: &Meaning) -> Result<(), Refused> {
        let (services, room) = (meaning.plan.names().count(), self.inner.room);
        if services <= room {
            return Ok(());
        }
        let advice = "restart dixmgr with this configuration";
        Err(Refused::Unusable(format!("{services} services are more than this run has room for ({room}); {advice}")))
    }

    /// Keeps the document, to go back to.
    fn keep(state: &State, revision: u64, text: &str) -> Result<(), Refused> {
        let what = || state.journal.directory().display().to_string();
        state.journal.keep(revision, text).map_err(|detail| Refused::NotWritten { what: what(), detail })
    }

    /// Writes the file, unless it says so already.
    fn write_file(&self, text: &str) -> Result<(), Refused> {
        if Document::read_text(self.file()).is_ok_and(|written| written == text) {
            return Ok(());
        }
        let what = || self.file().display().to_string();
        durable::replace(self.file(), text.as_bytes()).map_err(|detail| Refused::NotWritten { what: what(), detail })
    }

    /// Puts it in force. Series of new services are there before anyone looks at them, those of removed ones are gone at once.
    fn apply(&self, old: &Meaning, new: &Meaning) {
        let metrics = &self.inner.metrics;
        for spec in &new.plan.services {
            metrics.service_with_alerts(spec, &new.alerts.policy);
        }
        // Channels that are the same go on: what is known of their failures holds.
        let notifier = if old.alerts.channels == new.alerts.channels {
            Arc::clone(&self.inner.in_force.borrow().notifier)
        } else {
            notifier(new, &self.inner.http, &self.inner.breakers, metrics)
        };
        self.inner.in_force.send_replace(Arc::new(in_force(new, notifier)));
        let stay: HashSet<String> = new.plan.names().collect();
        for name in old.plan.names().filter(|name| !stay.contains(name)) {
            metrics.forget_service(&name);
        }
        if let (Some(history), Some(settings)) = (&self.inner.history, &new.settings.history) {
            history.keep_for(settings.retention);
        }
    }
}

impl Wanted {
    pub(super) fn way(&self) -> Way {
        match self {
            Self::File => Way::Reload,
            Self::Text(_) | Self::Patch(_) => Way::Update,
            Self::Revision(_) => Way::Rollback,
        }
    }
}

impl Request {
    /// Somebody wants the file to be read again.
    pub(crate) fn reload(author: Author) -> Self {
        Self { author, wanted: Wanted::File, if_revision: None, dry_run: false }
    }
}
