//! The live configuration: one path for everyone who changes it.
//!
//! SIGHUP, the [`watcher`] of the file and the API (`src/api/config.rs`) all come to [`Live`]. There a text is read and understood as a
//! whole ([`meaning`]), compared with what is in force ([`difference`], from [`facts`]), put in its place as one value (`InForce`, and the
//! API's [`Doorkeeper`]), and recorded ([`journal`]). Whoever keeps services hears of it by the channel that holds the value: the
//! hub judges by the new rules, and [`crate::root`] tells the root workflow of the new plan. A document with a fault changes nothing.
//!
//! All of it waits for disks; it is called on threads that may.

mod change;
mod difference;
mod error;
mod facts;
mod journal;
mod meaning;
mod record;
pub(crate) mod watcher;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dixmgr_activities::breakers::CircuitBreakers;
use dixmgr_activities::history::History;
use dixmgr_activities::http::HttpChecker;
use dixmgr_activities::in_force::InForce;
use dixmgr_activities::metrics::Metrics;
use dixmgr_activities::notify::Notifier;
use dixmgr_alerting::channel::rfc3339;
use dixmgr_model::Mode;
use tokio::sync::watch;

pub(crate) use self::change::{Change, Request, Wanted};
pub(crate) use self::error::Refused;
use self::journal::Journal;
pub(crate) use self::journal::{Author, Entry, Outcome, Way};
use self::meaning::{Meaning, needs_restart};
use crate::api::Doorkeeper;
use crate::cli::RunRequest;
use crate::config::{self, Document};
use crate::error::RunError;
use crate::settings::Settings;
use crate::silences;

/// Where the journal is, in the data directory; a dry run has one of its own.
const JOURNAL: &str = "config";
const WATCH_JOURNAL: &str = "watch-config";

/// The configuration, and whoever may change it. Cheap to clone; clones share everything.
#[derive(Clone)]
pub(crate) struct Live {
    inner: Arc<Inner>,
}

struct Inner {
    /// The flags, and where the file is.
    request: RunRequest,
    /// What it was when dixmgr was started.
    started: Meaning,
    /// Services that the worker has room for.
    room: usize,
    metrics: Metrics,
    http: HttpChecker,
    breakers: CircuitBreakers,
    history: Option<History>,
    in_force: watch::Sender<Arc<InForce>>,
    doorkeeper: Doorkeeper,
    state: Mutex<State>,
}

/// What is in force.
struct State {
    document: Document,
    meaning: Meaning,
    revision: u64,
    /// Since when, RFC 3339.
    since: String,
    author: Author,
    journal: Journal,
    /// A text of the file that was refused; it is not looked at again before it changes.
    refused: Option<String>,
}

/// What a daemon begins with.
pub(crate) struct Beginning {
    /// The flags, and where the file is.
    pub(crate) request: RunRequest,
    /// What the file says.
    pub(crate) document: Document,
    /// Services that the worker has room for.
    pub(crate) room: usize,
    /// Where series of services are.
    pub(crate) metrics: Metrics,
    /// What messages are sent by.
    pub(crate) http: HttpChecker,
    /// What leaves channels alone that fail.
    pub(crate) breakers: CircuitBreakers,
    /// What is told how long to keep what.
    pub(crate) history: Option<History>,
}

/// The configuration in force, as it may be shown.
#[derive(Debug)]
pub(crate) struct Shown {
    /// Number of the revision.
    pub(crate) revision: u64,
    /// Since when it is in force, RFC 3339.
    pub(crate) since: String,
    /// Who put it in force.
    pub(crate) author: Author,
    /// The file.
    pub(crate) file: PathBuf,
    /// What only a restart takes up.
    pub(crate) needs_restart: Vec<String>,
    /// The document without secrets.
    pub(crate) document: toml::Table,
    /// What the daemon runs with since its start, flags included.
    pub(crate) running: Settings,
}

impl Live {
    /// Takes up the document that dixmgr was started with. What has changed since it last ran is recorded.
    ///
    /// # Errors
    /// The journal cannot be opened, or a secret of the API is not there.
    pub(crate) fn begin(beginning: Beginning, data: &Path) -> Result<Self, RunError> {
        let Beginning { request, document, room, metrics, http, breakers, history } = beginning;
        let directory = data.join(if request.mode == Mode::Watch { WATCH_JOURNAL } else { JOURNAL });
        let unusable = |detail| RunError::Directory { directory: directory.clone(), flag: "-data-dir", detail };
        let mut journal = Journal::open(directory.clone()).map_err(unusable)?;
        let meaning = Meaning::of(&request, &document);
        let doorkeeper = Doorkeeper::new(meaning.settings.api.as_ref())?;
        record::start(&mut journal, &request, &document, &meaning);
        let (revision, entry) = (journal.revision(), journal.last_applied());
        let author = entry.map_or_else(|| Author::local("start"), |entry| entry.author.clone());
        let since = entry.map_or_else(timestamp, |entry| entry.time.clone());
        let notifier = notifier(&meaning, &http, &breakers, &metrics);
        let in_force = watch::Sender::new(Arc::new(in_force(&meaning, notifier)));
        let state = State { document, meaning: meaning.clone(), revision, since, author, journal, refused: None };
        let state = Mutex::new(state);
        let inner =
            Inner { request, started: meaning, room, metrics, http, breakers, history, in_force, doorkeeper, state };
        let live = Self { inner: Arc::new(inner) };
        live.announce_series();
        Ok(live)
    }

    /// What is in force, now and whenever it changes.
    pub(crate) fn in_force(&self) -> watch::Receiver<Arc<InForce>> {
        self.inner.in_force.subscribe()
    }

    /// Who stands before the API.
    pub(crate) fn doorkeeper(&self) -> Doorkeeper {
        self.inner.doorkeeper.clone()
    }

    /// The file.
    pub(crate) fn file(&self) -> &Path {
        &self.inner.request.conf
    }

    /// Whether the file holds a text that nothing was made of yet.
    pub(crate) fn file_is_news(&self) -> bool {
        let state = self.state();
        match Document::read_text(self.file()) {
            Ok(text) => text != state.document.text && Some(&text) != state.refused.as_ref(),
            Err(_) => state.refused.as_deref() != Some(""),
        }
    }

    /// The configuration in force.
    ///
    /// # Errors
    /// It cannot be shown.
    pub(crate) fn show(&self) -> Result<Shown, String> {
        let state = self.state();
        Ok(Shown {
            revision: state.revision,
            since: state.since.clone(),
            author: state.author.clone(),
            file: self.file().to_owned(),
            needs_restart: needs_restart(&self.inner.started.settings, &state.meaning.settings),
            document: config::masked(&state.document.text)?,
            running: self.inner.started.settings.clone(),
        })
    }

    /// Changes that are remembered, the newest first, each with whether its document is kept.
    pub(crate) fn changes(&self) -> Vec<(Entry, bool)> {
        let state = self.state();
        let kept: HashSet<u64> = state.journal.documents().unwrap_or_default().into_iter().collect();
        let is_kept = |entry: &Entry| entry.revision.is_some_and(|revision| kept.contains(&revision));
        state.journal.entries().rev().map(|entry| (entry.clone(), is_kept(entry))).collect()
    }

    /// Changes the configuration, or says why not; either is logged and recorded.
    ///
    /// # Errors
    /// Why not. What was in force before still is.
    pub(crate) fn change(&self, request: Request) -> Result<Change, Refused> {
        let way = request.wanted.way();
        let (author, dry_run) = (request.author.clone(), request.dry_run);
        let mut state = self.state();
        let outcome = self.attempt(&mut state, request);
        match &outcome {
            Err(refused) if !dry_run => self.note_refusal(&mut state, &author, way, refused),
            Ok(change) if !dry_run => self.note(&mut state, author, way, change),
            _ => {}
        }
        outcome
    }

    fn announce_series(&self) {
        let in_force = Arc::clone(&self.inner.in_force.borrow());
        for spec in &in_force.plan.services {
            self.inner.metrics.service_with_alerts(spec, &in_force.alerts);
        }
        self.inner.metrics.config_loaded(since_epoch());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What sends messages. Series of the channels exist from now on.
fn notifier(meaning: &Meaning, http: &HttpChecker, breakers: &CircuitBreakers, metrics: &Metrics) -> Arc<Notifier> {
    let notifier = Notifier::new(meaning.alerts.channels.clone(), http.clone(), metrics);
    Arc::new(notifier.guarded(breakers.clone()))
}

/// What activities and pages go by.
fn in_force(meaning: &Meaning, notifier: Arc<Notifier>) -> InForce {
    InForce {
        plan: Arc::clone(&meaning.plan),
        alerts: Arc::new(meaning.alerts.policy.clone()),
        notifier,
        dead_man: meaning.alerts.dead_man.clone(),
    }
}

/// The time now, RFC 3339.
fn timestamp() -> String {
    rfc3339(silences::now())
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
pub(crate) mod tests;
