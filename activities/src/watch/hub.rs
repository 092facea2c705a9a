//! The task that owns all services: looks, samples, checks, and tells who waits.
//!
//! It never waits for the world itself: looks, samples and checks are tasks of their own that send an [`Event`] when they are
//! done. There is at most one look in flight in each of two lanes, so that whatever comes meanwhile is gathered for the
//! next: a thousand registrations, or a thousand units that die together, take a few calls. The urgent lane (signals,
//! registrations) does not wait for the routine one.

mod beyond;
mod due;
mod reconfigure;
mod start;

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use dixmgr_model::{Dependency, UnitStatus};
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{Semaphore, broadcast, mpsc};
use tokio::time::{Instant, sleep_until};

use self::due::interval;
use super::alerts::Alerts;
use super::chatter::CHATTER;
use super::entry::Entry;
use super::probe::{ProbeId, ProbeResult};
use super::sampling::Sampled;
use super::telling::Telling;
use super::{HubOptions, Registration};
use crate::manager::ManagerError;
use crate::metrics::{ActivityMetrics, ErrorType, WatchMetrics};

/// The activity in whose name errors of looks are counted.
const ACTIVITY: &str = "watch_service";

/// The first sampling window of a service. Later ones last from tick to tick: half the reads, and nothing missed.
const FIRST_WINDOW: Duration = Duration::from_millis(100);

/// Time in which those who begin to watch are gathered for one look: at a start they come by the thousand, one by one.
const GATHER: Duration = Duration::from_millis(10);

/// Wait before a look that failed is made again. A manager that comes back announces that itself, sooner.
const RETRY: Duration = Duration::from_secs(1);

/// HTTP and sync checks at work at the same time.
const CONCURRENT_CHECKS: usize = 64;

/// Finished work that may wait for the hub.
const EVENT_QUEUE: usize = 1024;

/// Registrations taken in between two other events.
const MAX_BATCH: usize = 1024;

/// A service's number in the hub.
type Id = u64;

/// Work that is done.
#[derive(Debug)]
enum Event {
    Looked { lane: Lane, number: u64, ids: Vec<Id>, result: Result<Vec<UnitStatus>, ManagerError> },
    Sampled(Sampled),
    Checked { id: Id, epoch: u64, probe: ProbeId, result: ProbeResult },
    Judged(beyond::Judged),
}

/// Who waits for a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lane {
    Urgent,
    Routine,
}

/// Services that wait for the next look of a lane.
#[derive(Debug, Default)]
struct Queue {
    wanted: BTreeSet<Id>,
    in_flight: bool,
}

/// Runs until the last handle is gone.
pub(super) async fn run(options: HubOptions, mut registrations: mpsc::Receiver<Registration>) {
    let mut changes = Some(options.manager.changes());
    let mut in_force = options.in_force.clone();
    let (sender, mut events) = mpsc::channel(EVENT_QUEUE);
    let mut hub = State::new(options, sender);
    let mut batch = Vec::new();
    loop {
        let wake = hub.next_wake();
        tokio::select! {
            biased;
            change = next_change(&mut changes) => hub.take_changes(change, &mut changes),
            Some(event) = events.recv() => hub.take(event),
            Ok(()) = in_force.changed() => hub.reconfigure(),
            count = registrations.recv_many(&mut batch, MAX_BATCH) => {
                if count == 0 {
                    return;
                }
                batch.drain(..).for_each(|registration| hub.register(registration));
            }
            () = sleep_until(wake) => {}
        }
        hub.take_due(Instant::now());
        hub.start_looks();
        hub.start_sampling();
    }
}

async fn next_change(changes: &mut Option<broadcast::Receiver<String>>) -> Result<String, RecvError> {
    match changes {
        Some(changes) => changes.recv().await,
        None => std::future::pending().await,
    }
}

struct State {
    options: HubOptions,
    events: mpsc::Sender<Event>,
    entries: HashMap<Id, Box<Entry>>,
    by_service: HashMap<String, Id>,
    /// Several services may name one unit.
    by_unit: HashMap<String, Vec<Id>>,
    next_id: Id,
    next_look: u64,
    urgent: Queue,
    routine: Queue,
    /// When each interval is due next.
    ticks: HashMap<Duration, Instant>,
    /// Services whose watch has just begun, and when they are looked at.
    begun: (BTreeSet<Id>, Option<Instant>),
    /// Units that talk without changing, and when they are looked at.
    chatter: (BTreeSet<Id>, Option<Instant>),
    /// Services that have to be looked at again, such as those of looks that failed, and when.
    retry: (BTreeSet<Id>, Option<Instant>),
    checks: BinaryHeap<Reverse<(Instant, Id, u64, ProbeId)>>,
    check_slots: Arc<Semaphore>,
    to_sample: BTreeSet<Id>,
    sampling: bool,
    /// Services that are not in the plan any more, and when it is seen whether their workflows have let go of them.
    leaving: (BTreeSet<Id>, Option<Instant>),
    /// Services whose first window is open, and when it ends.
    windows: (BTreeSet<Id>, Option<Instant>),
    /// The manager could not be asked at the last look.
    blind: bool,
    asking: beyond::Asking,
    clock: Clock,
    errors: Arc<ActivityMetrics>,
    watching: Arc<WatchMetrics>,
    ticks_per_second: u64,
}

/// Time since the epoch that never goes back.
#[derive(Debug, Clone, Copy)]
struct Clock {
    origin: Instant,
    epoch: Duration,
}

impl Clock {
    fn start() -> Self {
        let epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { origin: Instant::now(), epoch }
    }

    fn now(self) -> Duration {
        self.epoch + self.origin.elapsed()
    }
}

impl State {
    fn new(options: HubOptions, events: mpsc::Sender<Event>) -> Self {
        Self {
            errors: options.metrics.activity(ACTIVITY),
            watching: options.metrics.watching(),
            options,
            events,
            entries: HashMap::new(),
            by_service: HashMap::new(),
            by_unit: HashMap::new(),
            next_id: 0,
            next_look: 1,
            urgent: Queue::default(),
            routine: Queue::default(),
            ticks: HashMap::new(),
            begun: Default::default(),
            chatter: Default::default(),
            retry: Default::default(),
            checks: BinaryHeap::new(),
            check_slots: Arc::new(Semaphore::new(CONCURRENT_CHECKS)),
            to_sample: BTreeSet::new(),
            sampling: false,
            leaving: Default::default(),
            windows: Default::default(),
            blind: false,
            asking: beyond::Asking::new(),
            clock: Clock::start(),
            ticks_per_second: procfs::ticks_per_second(),
        }
    }

    /// A workflow begins to watch a service.
    fn register(&mut self, registration: Registration) {
        let spec = Arc::clone(&registration.spec);
        let metrics = self.options.metrics.service(&spec);
        let known = self.by_service.get(&spec.name).copied();
        // Another unit under the same name is another service.
        let same = known.filter(|id| self.entries[id].spec.unit_name() == spec.unit_name());
        if let (Some(id), None) = (known, same) {
            self.remove(id);
        }
        let id = same.unwrap_or_else(|| self.add(&registration));
        let interval = interval(&spec);
        self.ticks.entry(interval).or_insert_with(|| Instant::now() + interval);
        let now = self.clock.now();
        let Some(entry) = self.entries.get_mut(&id) else { return };
        entry.last_watched = now;
        // The look that is made for it is the next one; those in flight may have begun before what it knows of.
        let check = entry.watch(registration, metrics, self.next_look, now);
        if check {
            self.schedule_checks(id);
        }
        self.begun.0.insert(id);
        self.begun.1.get_or_insert_with(|| Instant::now() + GATHER);
    }

    fn add(&mut self, registration: &Registration) -> Id {
        let id = self.next_id;
        self.next_id += 1;
        let spec = &registration.spec;
        self.by_service.insert(spec.name.clone(), id);
        self.by_unit.entry(spec.unit_name().to_owned()).or_default().push(id);
        let metrics = self.options.metrics.service(spec);
        let policy = Arc::clone(&self.options.in_force.borrow().alerts);
        let alerts = Alerts::new(policy, spec, &metrics, self.options.metrics.alerts());
        let slot = self.options.board.slot(&spec.name);
        let telling = Telling::new(slot, &spec.name, self.options.history.clone());
        let entry = Entry::new(Arc::clone(spec), metrics, alerts, telling);
        self.entries.insert(id, Box::new(entry));
        id
    }

    fn remove(&mut self, id: Id) {
        let Some(mut entry) = self.entries.remove(&id) else { return };
        entry.forgotten(self.clock.now());
        self.by_service.remove(&entry.spec.name);
        self.options.board.forget(&entry.spec.name);
        if let Some(ids) = self.by_unit.get_mut(entry.spec.unit_name()) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.by_unit.remove(entry.spec.unit_name());
            }
        }
    }

    /// Takes in an announcement and all that have come with it.
    fn take_changes(&mut self, first: Result<String, RecvError>, changes: &mut Option<broadcast::Receiver<String>>) {
        match first {
            Ok(unit) => self.changed(&unit),
            Err(RecvError::Lagged(_)) => self.all_changed(),
            Err(RecvError::Closed) => *changes = None,
        }
        while let Some(receiver) = changes {
            match receiver.try_recv() {
                Ok(unit) => self.changed(&unit),
                Err(TryRecvError::Lagged(_)) => self.all_changed(),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Closed) => *changes = None,
            }
        }
    }

    fn changed(&mut self, unit: &str) {
        let now = self.clock.now();
        for id in self.by_unit.get(unit).into_iter().flatten() {
            let Some(entry) = self.entries.get_mut(id) else { continue };
            if entry.chatter.signal(now) {
                self.chatter.0.remove(id);
                self.urgent.wanted.insert(*id);
            } else {
                self.chatter.0.insert(*id);
                self.chatter.1.get_or_insert_with(|| Instant::now() + CHATTER);
            }
        }
    }

    fn all_changed(&mut self) {
        self.urgent.wanted.extend(self.entries.keys());
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Looked { lane, number, ids, result } => self.looked(lane, number, ids, result),
            Event::Sampled(sampled) => self.sampled(sampled),
            Event::Checked { id, epoch, probe, result } => self.checked(id, epoch, probe, result),
            Event::Judged(judged) => self.judged(judged),
        }
    }

    /// A look is done.
    fn looked(&mut self, lane: Lane, number: u64, ids: Vec<Id>, result: Result<Vec<UnitStatus>, ManagerError>) {
        self.queue(lane).in_flight = false;
        let statuses = match result {
            Ok(statuses) => statuses,
            Err(error) => return self.look_failed(ids, &error),
        };
        if self.blind {
            self.blind = false;
            tracing::info!("the unit manager answers again");
        }
        let now = self.clock.now();
        let mut looked = Vec::with_capacity(ids.len());
        self.watching.looked(now);
        for (id, status) in ids.into_iter().zip(statuses) {
            let Some(entry) = self.entries.get_mut(&id) else { continue };
            looked.push((id, entry.seen(status, number, now)));
        }
        // Only now is it known what else has died in the same moment.
        for (id, seen) in looked {
            self.compare_needs(id, now);
            let Some(entry) = self.entries.get_mut(&id) else { continue };
            entry.report();
            let sampled = entry.spec.probes.resources && (lane == Lane::Routine || entry.meter.is_new());
            if sampled && (entry.has_processes() || !entry.meter.is_new()) {
                self.to_sample.insert(id);
            }
            if seen.check {
                self.schedule_checks(id);
            }
        }
    }

    /// Finds out which of the services that a dead one needs do not run either.
    fn compare_needs(&mut self, id: Id, now: Duration) {
        let Some(entry) = self.entries.get(&id) else { return };
        if entry.spec.needs.is_empty() {
            return;
        }
        let down = |need: &&Dependency| {
            let needed = self.by_service.get(&need.service).and_then(|id| self.entries.get(id));
            needed.is_some_and(|needed| needed.is_down())
        };
        let needs = if entry.is_down() { &*entry.spec.needs } else { &[] };
        let lacks = needs.iter().filter(down).map(|need| need.service.clone()).collect();
        if self.entries.get_mut(&id).is_some_and(|entry| entry.set_lacks(lacks, now)) {
            self.retry.0.insert(id);
            self.retry.1.get_or_insert_with(|| Instant::now() + RETRY);
        }
    }

    /// The manager could not be asked. That is no change of any service: watches go on.
    fn look_failed(&mut self, ids: Vec<Id>, error: &ManagerError) {
        self.errors.error(match error {
            ManagerError::Unreachable { .. } | ManagerError::Resting { .. } => ErrorType::Unreachable,
            ManagerError::Timeout { .. } => ErrorType::Timeout,
        });
        self.watching.blind();
        if !self.blind {
            self.blind = true;
            tracing::warn!(%error, services = ids.len(), "services cannot be looked at; nothing is decided until they can: {error}");
        }
        let now = self.clock.now();
        for id in &ids {
            if let Some(entry) = self.entries.get_mut(id) {
                entry.unseen(now);
            }
        }
        self.retry.0.extend(ids);
        self.retry.1.get_or_insert_with(|| Instant::now() + RETRY);
    }

    fn sampled(&mut self, sampled: Sampled) {
        self.sampling = false;
        let now = self.clock.now();
        for (id, moment, processes) in sampled {
            let Some(entry) = self.entries.get_mut(&id) else { continue };
            let opens = entry.meter.is_new();
            if let Some(usage) = entry.meter.fold(moment, processes, self.ticks_per_second) {
                entry.used(&usage, now);
                entry.report();
            } else if opens {
                self.windows.0.insert(id);
                self.windows.1.get_or_insert_with(|| Instant::now() + FIRST_WINDOW);
            }
        }
    }

    fn checked(&mut self, id: Id, epoch: u64, probe: ProbeId, result: ProbeResult) {
        let now = self.clock.now();
        let Some(entry) = self.entries.get_mut(&id).filter(|entry| entry.epoch == epoch) else { return };
        if let Some(wait) = entry.checked(probe, result, now) {
            self.checks.push(Reverse((Instant::now() + wait, id, epoch, probe)));
        }
        entry.report();
    }

    fn schedule_checks(&mut self, id: Id) {
        let Some(entry) = self.entries.get(&id) else { return };
        let now = Instant::now();
        for probe in entry.probes() {
            self.checks.push(Reverse((now, id, entry.epoch, probe)));
        }
    }

    fn queue(&mut self, lane: Lane) -> &mut Queue {
        match lane {
            Lane::Urgent => &mut self.urgent,
            Lane::Routine => &mut self.routine,
        }
    }
}
