//! How every service is now, for those who ask: the API, the status page, `dixmgr status`.
//!
//! The hub writes a service's slot in place at each look, which costs one lock that nobody else holds for long; readers copy
//! what they show. It holds one state a service and nothing of the past.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use dixmgr_model::{Condition, ServiceState};
use tokio::sync::watch;

use super::probe::Facts;
use crate::proc::usage::Usage;

/// The services that are watched. Cheap to clone; clones share everything.
#[derive(Debug, Clone, Default)]
pub struct Board {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    slots: RwLock<BTreeMap<Arc<str>, Arc<Slot>>>,
    changes: Arc<Changes>,
}

/// Numbers that grow with everything that changes.
#[derive(Debug)]
struct Changes {
    newest: AtomicU64,
    told: watch::Sender<u64>,
}

/// One service.
#[derive(Debug)]
pub struct Slot {
    service: Arc<str>,
    live: Mutex<Live>,
    changes: Arc<Changes>,
}

/// A service as it is now.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Live {
    /// All that decides about it; absent before the first look.
    pub state: Option<ServiceState>,
    /// When it came to be in the condition that it is in, after the epoch; zero before the first look.
    pub since: Duration,
    /// When it was last looked at, after the epoch.
    pub seen: Duration,
    /// CPU use over the last window; 100 is one core busy.
    pub cpu_percent: Option<f64>,
    /// Resident memory.
    pub memory_bytes: Option<u64>,
    /// Bytes a second from and to disks.
    pub disk: Option<(f64, f64)>,
    /// How long the last HTTP check took to be answered.
    pub response_time: Option<Duration>,
    /// Peers of a node.
    pub peers: Option<u64>,
    /// Runs that took the place of another since it is watched by this dixmgr.
    pub restarts: u64,
    /// Number of the last change of any of the above but `seen`; see [`Board::changes`].
    pub version: u64,
}

impl Default for Inner {
    fn default() -> Self {
        let changes = Changes { newest: AtomicU64::new(0), told: watch::Sender::new(0) };
        Self { slots: RwLock::default(), changes: Arc::new(changes) }
    }
}

impl Board {
    /// The slot of a service, which is there from now on.
    pub(super) fn slot(&self, service: &str) -> Arc<Slot> {
        let mut slots = self.inner.slots.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get(service) {
            return Arc::clone(slot);
        }
        let service: Arc<str> = service.into();
        let changes = Arc::clone(&self.inner.changes);
        let slot = Arc::new(Slot { service: Arc::clone(&service), live: Mutex::default(), changes });
        slots.insert(service, Arc::clone(&slot));
        slot
    }

    /// A service is watched no more.
    pub(super) fn forget(&self, service: &str) {
        self.inner.slots.write().unwrap_or_else(PoisonError::into_inner).remove(service);
        self.inner.changes.next();
    }

    /// A service, if it is watched.
    #[must_use]
    pub fn get(&self, service: &str) -> Option<Live> {
        let slots = self.inner.slots.read().unwrap_or_else(PoisonError::into_inner);
        slots.get(service).map(|slot| slot.live().clone())
    }

    /// When any service was last looked at, after the epoch; zero before the first look.
    #[must_use]
    pub fn last_look(&self) -> Duration {
        let slots = self.inner.slots.read().unwrap_or_else(PoisonError::into_inner);
        slots.values().map(|slot| slot.live().seen).max().unwrap_or_default()
    }

    /// All services that are watched, with their names, whose last change is newer than number `version`.
    #[must_use]
    pub fn newer_than(&self, version: u64) -> Vec<(Arc<str>, Live)> {
        let slots = self.inner.slots.read().unwrap_or_else(PoisonError::into_inner);
        let newer = slots.values().filter_map(|slot| {
            let live = slot.live();
            (live.version > version).then(|| (Arc::clone(&slot.service), live.clone()))
        });
        newer.collect()
    }

    /// Number of the newest change of any service. A copy that is made afterwards has at least that.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.inner.changes.newest.load(Ordering::Acquire)
    }

    /// The number of the newest change, whenever there is one.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.inner.changes.told.subscribe()
    }
}

impl Slot {
    /// A look at `now`, and what followed from it.
    pub(super) fn seen(&self, state: ServiceState, now: Duration) {
        let mut live = self.live();
        live.seen = now;
        if live.state.as_ref() == Some(&state) {
            return;
        }
        if live.condition() != state.condition() || live.since.is_zero() {
            live.since = now;
        }
        live.state = Some(state);
        self.changed(live);
    }

    /// A new run took the place of another.
    pub(super) fn restarted(&self) {
        let mut live = self.live();
        live.restarts += 1;
        self.changed(live);
    }

    /// What its processes used.
    pub(super) fn used(&self, usage: &Usage) {
        let mut live = self.live();
        let (cpu, memory) = (Some(usage.cpu_percent), Some(usage.memory_bytes));
        let disk = usage.disk_rates();
        if (live.cpu_percent, live.memory_bytes, live.disk) != (cpu, memory, disk) {
            (live.cpu_percent, live.memory_bytes, live.disk) = (cpu, memory, disk);
            self.changed(live);
        }
    }

    /// What a check said beside its verdict.
    pub(super) fn answered(&self, facts: &Facts, now: Duration) {
        let mut live = self.live();
        live.seen = now;
        let before = (live.response_time, live.peers);
        match facts {
            Facts::Http(time) => live.response_time = *time,
            Facts::Sync(peers) => live.peers = *peers,
        }
        if (live.response_time, live.peers) != before {
            self.changed(live);
        }
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self, mut live: MutexGuard<'_, Live>) {
        // Numbered under the lock: whoever has seen the number finds the change.
        live.version = self.changes.next();
    }
}

impl Changes {
    fn next(&self) -> u64 {
        let number = self.newest.fetch_add(1, Ordering::AcqRel) + 1;
        self.told.send_if_modified(|told| {
            let newer = number > *told;
            *told = number.max(*told);
            newer
        });
        number
    }
}

impl Live {
    /// How it is, in one word.
    #[must_use]
    pub fn condition(&self) -> Condition {
        self.state.as_ref().map_or(Condition::Unknown, ServiceState::condition)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use dixmgr_model::{Health, UnitPhase, UnitStatus};

    use super::*;

    fn state(phase: UnitPhase, invocation: &str) -> ServiceState {
        let unit = UnitStatus { phase, invocation_id: invocation.to_owned(), ..UnitStatus::unknown() };
        ServiceState { unit, health: Health::healthy(), sync: None }
    }

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_look_that_sees_nothing_new_is_no_change() {
        let board = Board::default();
        let slot = board.slot("a");
        assert_eq!(board.get("a").unwrap().condition(), Condition::Unknown);
        slot.seen(state(UnitPhase::Active, "1"), s(10));
        let version = board.version();
        slot.seen(state(UnitPhase::Active, "1"), s(20));
        let live = board.get("a").unwrap();
        assert_eq!((board.version(), live.since, live.seen), (version, s(10), s(20)));
        assert!(board.newer_than(version).is_empty());
    }

    #[test]
    fn a_condition_counts_from_when_it_came() {
        let board = Board::default();
        let slot = board.slot("a");
        let mut changes = board.changes();
        slot.seen(state(UnitPhase::Active, "1"), s(10));
        slot.seen(state(UnitPhase::Active, "2"), s(20));
        assert_eq!(board.get("a").unwrap().since, s(10), "another run in the same condition");
        slot.seen(state(UnitPhase::Failed, "2"), s(30));
        assert_eq!(board.get("a").unwrap().since, s(30));
        assert!(changes.has_changed().unwrap());
        assert_eq!(*changes.borrow_and_update(), board.version());
        board.forget("a");
        assert!(board.get("a").is_none() && changes.has_changed().unwrap());
    }
}
