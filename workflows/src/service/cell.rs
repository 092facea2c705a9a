//! What is known of one service and decided about it. Free of Temporal: signals come in as data, orders go out as data.

use std::collections::{BTreeSet, VecDeque};

use dixmgr_activities::api::{DependencyWait, WatchReport};
use dixmgr_model::{ActionReport, Health, HealthStatus, ServiceSpec, ServiceState, SyncState, SyncStatus, UnitPhase};
use serde::{Deserialize, Serialize};

use super::{Needs, ServiceAlerts};
use crate::messages::{Announce, DependencyReady, NodeInput, ServiceStatus};
use crate::outbox::{Message, Outbox};
use crate::restart::{Action, Decision, Event, Phase, Reason, RestartState, decide};

/// Workflows that asked to be told, beyond those that the specification names. More are refused.
const MAX_SUBSCRIBERS: usize = 10_000;

/// What one run hands to the next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Carried {
    machine: RestartState,
    needs: Needs,
    #[serde(default)]
    told: Option<bool>,
    #[serde(default)]
    subscribers: BTreeSet<String>,
    reason: Reason,
    since: u64,
    #[serde(default, skip_serializing_if = "ServiceAlerts::is_empty")]
    alerts: ServiceAlerts,
}

/// What came in by signal, in the order of arrival.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Inbound {
    RestartNow,
    Pause,
    Resume,
    UpdateSpec(Box<ServiceSpec>),
    DependencyReady(DependencyReady),
    Announce(Announce),
    StopWatching,
}

/// One line of the decision log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// What was decided: an action's name, or `wait`.
    pub(crate) decision: &'static str,
    /// Why.
    pub(crate) reason: Reason,
}

/// What follows from something that happened.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Orders {
    /// What to do to the unit.
    pub(crate) action: Option<Action>,
    /// What to log, once each.
    pub(crate) lines: Vec<Line>,
    /// Whether the watch must begin again with a new specification.
    pub(crate) rewatch: bool,
    /// Whether the workflow ends.
    pub(crate) stop: bool,
}

/// All that one service's workflow knows.
#[derive(Debug)]
pub(crate) struct Cell {
    pub(crate) spec: ServiceSpec,
    pub(crate) machine: RestartState,
    pub(crate) inbox: VecDeque<Inbound>,
    pub(crate) outbox: Outbox,
    /// Waits to be recorded by activity.
    pub(crate) waits: VecDeque<DependencyWait>,
    pub(crate) history_limit: Option<u32>,
    pub(crate) alerts: ServiceAlerts,
    needs: Needs,
    told: Option<bool>,
    subscribers: BTreeSet<String>,
    reason: Reason,
    since: u64,
}

impl Cell {
    /// Takes up a service, afresh or where an earlier run left it.
    pub(crate) fn new(input: NodeInput) -> Self {
        let carried = input.carried.unwrap_or_else(|| Carried {
            machine: RestartState::default(),
            needs: Needs::default(),
            told: None,
            subscribers: BTreeSet::new(),
            reason: Reason::NotObserved,
            since: 0,
            alerts: ServiceAlerts::default(),
        });
        Self {
            spec: input.spec,
            machine: carried.machine,
            inbox: VecDeque::new(),
            outbox: Outbox::default(),
            waits: VecDeque::new(),
            history_limit: input.history_limit,
            alerts: carried.alerts,
            needs: carried.needs,
            told: carried.told,
            subscribers: carried.subscribers,
            reason: carried.reason,
            since: carried.since,
        }
    }

    /// Hands over to the next run. Only sound when nothing is in flight.
    pub(crate) fn carry(&self) -> NodeInput {
        NodeInput {
            spec: self.spec.clone(),
            carried: Some(Carried {
                machine: self.machine.clone(),
                needs: self.needs.clone(),
                told: self.told,
                subscribers: self.subscribers.clone(),
                reason: self.reason,
                since: self.since,
                alerts: self.alerts.clone(),
            }),
            history_limit: self.history_limit,
        }
    }

    /// Whether a new run may begin: nothing waits to be handled, sent or recorded.
    pub(crate) fn is_quiet(&self) -> bool {
        self.inbox.is_empty()
            && self.outbox.is_empty()
            && self.waits.is_empty()
            && self.alerts.is_settled()
            && !matches!(self.machine.phase, Phase::Acting(_))
    }

    /// Begins a run: makes itself known to what the service needs.
    pub(crate) fn begin(&mut self, now: u64, draw: f64) -> Orders {
        if self.since == 0 {
            self.since = now;
        }
        self.follow_needs(now, draw)
    }

    /// Handles one signal.
    pub(crate) fn receive(&mut self, inbound: Inbound, now: u64, draw: f64) -> Orders {
        match inbound {
            Inbound::RestartNow => self.on(Event::RestartNow, now, draw),
            Inbound::Pause => self.on(Event::Pause, now, draw),
            Inbound::Resume => self.on(Event::Resume, now, draw),
            Inbound::UpdateSpec(spec) => self.update_spec(*spec, now, draw),
            Inbound::DependencyReady(told) => self.dependency_told(&told, now, draw),
            Inbound::Announce(announce) => {
                self.subscribe(announce.workflow_id);
                Orders::default()
            }
            Inbound::StopWatching => {
                self.alerts.end();
                let line = Line { decision: "stop", reason: Reason::Stopped };
                Orders { stop: true, lines: vec![line], ..Orders::default() }
            }
        }
    }

    /// Lets the machine decide, and tells those who depend on the service if its readiness changed.
    pub(crate) fn on(&mut self, event: Event, now: u64, draw: f64) -> Orders {
        let before = self.machine.standing();
        let decision = decide(&self.spec.restart, &mut self.machine, event, now, draw);
        if matches!(self.machine.phase, Phase::AwaitingDependencies { .. }) {
            self.needs.begin_wait(now);
        }
        let changed = decision.reason != self.reason || decision.action.is_some();
        if self.machine.standing() != before {
            self.since = now;
        }
        self.reason = decision.reason;
        self.tell_readiness();
        let lines = if changed { vec![line(&decision)] } else { Vec::new() };
        Orders { action: decision.action, lines, ..Orders::default() }
    }

    /// A watch saw something: the service, and its alerts.
    pub(crate) fn seen(&mut self, report: WatchReport, now: u64, draw: f64) -> Orders {
        let missing = self.missing();
        self.alerts.take(report.alerts, missing);
        self.on(Event::Seen(report.state), now, draw)
    }

    /// The action came back with a report.
    pub(crate) fn finished(&mut self, report: &ActionReport, now: u64, draw: f64) -> Orders {
        let after = self.state_after(report);
        self.on(Event::Finished { outcome: report.outcome, after }, now, draw)
    }

    /// The time named by [`Self::wake_at`] has come.
    pub(crate) fn wake(&mut self, now: u64, draw: f64) -> Orders {
        let overdue = self.needs.overdue(&self.spec.name, self.spec.dependency_timeout, now);
        let timed_out = !overdue.is_empty();
        self.waits.extend(overdue);
        let mut orders = self.on(Event::Woke, now, draw);
        if timed_out {
            orders.lines.push(Line { decision: "wait", reason: Reason::DependencyTimeout });
        }
        orders
    }

    /// When something is due by itself.
    pub(crate) fn wake_at(&self) -> Option<u64> {
        let decision = self.machine.wake_at(&self.spec.restart);
        [decision, self.needs.wake_at(self.spec.dependency_timeout)].into_iter().flatten().min()
    }

    /// Forgets a subscriber that no longer runs; it will ask again.
    pub(crate) fn unsubscribe(&mut self, workflow_id: &str) {
        self.subscribers.remove(workflow_id);
    }

    /// Notes a reason that did not come from the machine.
    pub(crate) fn note(&mut self, reason: Reason) -> Orders {
        self.reason = reason;
        Orders { lines: vec![Line { decision: "wait", reason }], ..Orders::default() }
    }

    /// For the query.
    pub(crate) fn status(&self) -> ServiceStatus {
        ServiceStatus {
            service: self.spec.name.clone(),
            standing: self.machine.standing(),
            reason: self.reason,
            restarts_in_window: u32::try_from(self.machine.restarts.len()).unwrap_or(u32::MAX),
            streak: self.machine.streak,
            last: self.machine.last.clone(),
            ready: self.machine.is_ready(),
            since: self.since,
            next: self.wake_at(),
            waiting_for: self.needs.missing().map(str::to_owned).collect(),
        }
    }

    /// A unit that has just been replaced has to pass its checks anew; where there are none, running is enough.
    fn state_after(&self, report: &ActionReport) -> ServiceState {
        let before = self.machine.last.as_ref();
        if let Some(same) = before.filter(|last| last.unit.invocation_id == report.unit.invocation_id) {
            return ServiceState { unit: report.unit.clone(), ..same.clone() };
        }
        let unchecked = self.spec.probes.http.is_empty() && report.unit.phase == UnitPhase::Active;
        let status = if unchecked { HealthStatus::Healthy } else { HealthStatus::Unknown };
        let sync = self.spec.probes.sync.as_ref();
        ServiceState {
            unit: report.unit.clone(),
            health: Health { status, detail: String::new() },
            sync: sync.map(|_| SyncState { status: SyncStatus::Unknown, detail: String::new() }),
        }
    }

    fn dependency_told(&mut self, told: &DependencyReady, now: u64, draw: f64) -> Orders {
        self.waits.extend(self.needs.told(&self.spec.name, &told.service, told.ready, now));
        self.on_needs(now, draw)
    }

    fn missing(&self) -> BTreeSet<String> {
        self.needs.missing().map(str::to_owned).collect()
    }

    fn on_needs(&mut self, now: u64, draw: f64) -> Orders {
        let missing = self.missing();
        self.alerts.set_causes(missing);
        let ready = self.needs.all_ready();
        if ready == self.machine.dependencies_ready {
            return Orders::default();
        }
        self.on(Event::Dependencies { ready }, now, draw)
    }

    /// Asks whatever is newly needed to tell of its readiness.
    fn follow_needs(&mut self, now: u64, draw: f64) -> Orders {
        for workflow_id in self.needs.set(&self.spec.needs, now) {
            let announce = Announce { workflow_id: self.spec.workflow_id.clone() };
            self.outbox.push(workflow_id, Message::Announce(announce));
        }
        self.on_needs(now, draw)
    }

    fn update_spec(&mut self, spec: ServiceSpec, now: u64, draw: f64) -> Orders {
        if spec == self.spec {
            return Orders::default();
        }
        let other_unit = spec.target != self.spec.target;
        let newcomers: Vec<_> =
            spec.dependents.iter().filter(|id| !self.spec.dependents.contains(id)).cloned().collect();
        self.spec = spec;
        if other_unit && !matches!(self.machine.phase, Phase::Acting(_)) {
            let RestartState { paused, dependencies_ready, actions, .. } = self.machine;
            self.machine = RestartState { paused, dependencies_ready, actions, ..RestartState::default() };
        }
        let needs = self.follow_needs(now, draw);
        let policy = self.on(Event::PolicyChanged, now, draw);
        for newcomer in newcomers {
            self.tell(newcomer);
        }
        let lines = needs.lines.into_iter().chain(policy.lines).collect();
        Orders { action: needs.action.or(policy.action), lines, rewatch: true, stop: false }
    }

    fn subscribe(&mut self, workflow_id: String) {
        if self.subscribers.len() < MAX_SUBSCRIBERS && !self.spec.dependents.contains(&workflow_id) {
            self.subscribers.insert(workflow_id.clone());
        }
        self.tell(workflow_id);
    }

    /// Tells everyone, when readiness is known for the first time or has changed.
    fn tell_readiness(&mut self) {
        let known = self.machine.last.is_some();
        let ready = self.machine.is_ready();
        if !known || self.told == Some(ready) {
            return;
        }
        self.told = Some(ready);
        let receivers: Vec<_> = self.spec.dependents.iter().chain(&self.subscribers).cloned().collect();
        for receiver in receivers {
            self.tell(receiver);
        }
    }

    /// Tells one workflow what everyone was told last; nothing while nothing is known.
    fn tell(&mut self, to: String) {
        if let Some(ready) = self.told {
            let service = self.spec.name.clone();
            self.outbox.push(to, Message::Ready(DependencyReady { service, ready, actions: self.machine.actions }));
        }
    }
}

fn line(decision: &Decision) -> Line {
    let name = decision.action.as_ref().map_or("wait", |action| action.verb.name());
    Line { decision: name, reason: decision.reason }
}
