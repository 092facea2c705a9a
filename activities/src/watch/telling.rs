//! Who is told of what is seen of one service: the board, which shows how it is now, and the history, which keeps how it was.

use std::sync::Arc;
use std::time::Duration;

use dixmgr_model::ServiceState;

use super::alerts::AlertNews;
use super::board::Slot;
use super::probe::Facts;
use crate::history::event::{Alarm, Told, What, millis};
use crate::history::{Event, History};
use crate::proc::usage::Usage;

/// The listeners of one service.
#[derive(Debug)]
pub(super) struct Telling {
    slot: Arc<Slot>,
    service: Arc<str>,
    history: Option<History>,
    /// What the history was last told; absent when it knows nothing, or what it was told was lost.
    told: Option<ServiceState>,
}

impl Telling {
    /// Listeners that were told nothing yet.
    pub(super) fn new(slot: Arc<Slot>, service: &str, history: Option<History>) -> Self {
        Self { slot, service: service.into(), history, told: None }
    }

    /// A look at `now`; what was seen is so since `since`.
    pub(super) fn seen(&mut self, state: ServiceState, since: Duration, now: Duration) {
        let known = self.told.as_ref().is_some_and(|told| !state.differs(told));
        if self.history.is_some() && !known {
            let told = self.tell(since, What::State(Box::new(Told::of(&state))));
            self.told = told.then(|| state.clone());
        }
        self.slot.seen(state, now);
    }

    /// A new run took the place of another.
    pub(super) fn restarted(&self) {
        self.slot.restarted();
    }

    /// It could not be looked at.
    pub(super) fn unseen(&mut self, now: Duration) {
        if self.told.take().is_some() {
            self.tell(now, What::State(Box::new(Told::unseen())));
        }
    }

    /// What its processes used.
    pub(super) fn used(&self, usage: &Usage, now: Duration) {
        self.slot.used(usage);
        let memory_bytes = usage.memory_bytes as f64;
        self.tell(now, What::Used { cpu_percent: usage.cpu_percent, memory_bytes });
    }

    /// What a check said beside its verdict.
    pub(super) fn answered(&self, facts: &Facts, now: Duration) {
        self.slot.answered(facts, now);
        if let Facts::Http(Some(time)) = facts {
            self.tell(now, What::Answered(time.as_secs_f64()));
        }
    }

    /// Alerts that began, or are over.
    pub(super) fn alerts(&self, news: Vec<AlertNews>, now: Duration) {
        for AlertNews { alert, fires } in news {
            let fingerprint = alert.fingerprint;
            let alarm = |fingerprint| Alarm { fingerprint, kind: alert.kind, severity: alert.severity };
            let what = if fires { What::Fires(Box::new(alarm(fingerprint))) } else { What::Resolved { fingerprint } };
            self.tell(now, what);
        }
    }

    /// It is watched no more.
    pub(super) fn forgotten(&self, now: Duration) {
        self.tell(now, What::Forgotten);
    }

    /// Whether the history took it.
    fn tell(&self, at: Duration, what: What) -> bool {
        let event = || Event { service: Arc::clone(&self.service), at: millis(at), what };
        self.history.as_ref().is_some_and(|history| history.record(event()))
    }
}
